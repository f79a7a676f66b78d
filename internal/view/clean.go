package view

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

// maxMarks is how many combining marks one letter may carry.
const maxMarks = 8

// Clean makes text from the wire printable on one line of a terminal: control
// and format characters are shown, never sent, as are bytes that are no UTF-8.
// With ascii nothing outside ASCII comes out.
func Clean(s string, ascii bool) string {
	if plain(s) {
		return s
	}
	var b strings.Builder
	marks := 0
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if unicode.Is(unicode.Mn, r) || unicode.Is(unicode.Me, r) {
			marks++
		} else {
			marks = 0
		}
		switch {
		case r == utf8.RuneError && n == 1:
			b.WriteString(shown(ascii, "‹%02x›", `\x%02x`, rune(s[i])))
		case r < 0x20 && !ascii:
			b.WriteRune('␀' + r)
		case r == 0x7f && !ascii:
			b.WriteRune('␡')
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < utf8.RuneSelf:
			b.WriteByte(byte(r))
		case ascii && r == '→': // our own summaries have it
			b.WriteString("->")
		case ascii:
			fmt.Fprintf(&b, `\u%04x`, r)
		case marks > maxMarks:
		case unsafe(r):
			fmt.Fprintf(&b, "‹U+%04X›", r)
		default:
			b.WriteRune(r)
		}
		i += n
	}
	return b.String()
}

func shown(ascii bool, rich, poor string, r rune) string {
	if ascii {
		return fmt.Sprintf(poor, r)
	}
	return fmt.Sprintf(rich, r)
}

func plain(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// unsafe is true for what would move, hide or turn text around: C1, format
// characters (bidi, zero width, BOM), line separators, private use.
func unsafe(r rune) bool {
	return unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Co, r) ||
		unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) || !unicode.IsPrint(r) && !unicode.IsMark(r) && r != '\u00a0'
}

// Fit cuts or pads cleaned text to n cells. What is cut ends in an ellipsis.
func Fit(s string, n int, right, ascii bool) string {
	if n <= 0 {
		return ""
	}
	w := width(s)
	if w > n {
		s, w = cut(s, n, ascii)
	}
	if pad := strings.Repeat(" ", n-w); right {
		return pad + s
	} else {
		return s + pad
	}
}

func width(s string) int {
	if plain(s) {
		return len(s)
	}
	return uniseg.StringWidth(s)
}

// cut keeps what fits into n cells, the last of which says that more follows.
func cut(s string, n int, ascii bool) (string, int) {
	dots := "…"
	if ascii {
		dots = "~"
	}
	kept, w, state := 0, 0, -1
	for rest := s; rest != ""; {
		cluster, next, cells, newState := uniseg.FirstGraphemeClusterInString(rest, state)
		if w+cells > n-1 {
			break
		}
		kept, w, rest, state = kept+len(cluster), w+cells, next, newState
	}
	return s[:kept] + dots, w + 1
}

// Plural is a number of things: "1 exchange", "2 exchanges".
func Plural(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Size is a number of bytes as lists show it: "312", "8.8k", "48k", "1.6M".
func Size(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprint(n)
	case n < 9950:
		return fmt.Sprintf("%.1fk", float64(n)/1e3)
	case n < 999_500:
		return fmt.Sprintf("%.0fk", float64(n)/1e3)
	case n < 9_950_000:
		return fmt.Sprintf("%.1fM", float64(n)/1e6)
	case n < 999_500_000:
		return fmt.Sprintf("%.0fM", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1fG", float64(n)/1e9)
}
