package decode

import (
	"strconv"
	"strings"
)

// plural is a noun as it stands behind a number.
func plural(n int, noun string) string {
	switch {
	case n == 1:
		return noun
	case strings.HasSuffix(noun, "ss"):
		return noun + "es"
	case strings.HasSuffix(noun, "y"):
		return noun[:len(noun)-1] + "ies"
	}
	return noun + "s"
}

// firstOf cuts a list and says how much is not shown.
func firstOf(list []string, n int) []string {
	if len(list) <= n {
		return list
	}
	return append(append([]string(nil), list[:n]...), "+"+strconv.Itoa(len(list)-n))
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

func isHexDigit(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func isHex(s string) bool {
	for i := range len(s) {
		if !isHexDigit(s[i]) {
			return false
		}
	}
	return s != ""
}

const guidLen = len("00000000-0000-0000-0000-000000000000")

// isGUID tells a GUID without braces.
func isGUID(s string) bool {
	if len(s) != guidLen {
		return false
	}
	for i := range guidLen {
		switch i {
		case 8, 13, 18, 23:
			if s[i] != '-' {
				return false
			}
		default:
			if !isHexDigit(s[i]) {
				return false
			}
		}
	}
	return true
}

// shortGUIDs cuts every GUID in a text to its first eight digits.
func shortGUIDs(s string) string {
	if strings.Count(s, "-") < 4 {
		return s
	}
	var out strings.Builder
	for i := 0; i < len(s); {
		if i+guidLen <= len(s) && isGUID(s[i:i+guidLen]) {
			out.WriteString(s[i : i+8])
			i += guidLen
			continue
		}
		out.WriteByte(s[i])
		i++
	}
	return out.String()
}
