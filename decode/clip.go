package decode

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxWords is how many characters of one value of the wire a summary takes.
const maxWords = 60

// clip makes text from the wire fit to stand in a summary: at most maxWords
// characters, and nothing that would move a terminal's cursor or turn its
// writing around.
func clip(s string) string {
	if len(s) <= maxWords && isPlain(s) {
		return s
	}
	var out strings.Builder
	n := 0
	for _, r := range s {
		if n++; n > maxWords {
			return out.String() + "…"
		}
		writeShown(&out, r)
	}
	return out.String()
}

func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7F {
			return false
		}
	}
	return true
}

// writeShown writes a character, or what shows one that must not be written.
func writeShown(out *strings.Builder, r rune) {
	switch {
	case r < ' ':
		out.WriteRune(0x2400 + r)
	case r == 0x7F:
		out.WriteRune(0x2421)
	case unicode.IsPrint(r) || r == utf8.RuneError:
		out.WriteRune(r)
	case r > 0xFFFF:
		fmt.Fprintf(out, `\U%08x`, r)
	default:
		fmt.Fprintf(out, `\u%04x`, r)
	}
}

// maxName bounds the names that columns are made of.
const maxName = 128

// clipName cuts a name as written to what a column may hold.
func clipName(s string) string {
	if len(s) <= maxName {
		return s
	}
	cut := maxName
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut]
}

// shortHost is a host's name without its domain. Addresses stay whole.
func shortHost(host string) string {
	name, _, _ := strings.Cut(host, ".")
	if _, err := netip.ParseAddr(host); err == nil || name == "" {
		return clip(host)
	}
	return clip(name)
}

// shortID is what a person needs of a GUID, however it is written: its first
// eight digits.
func shortID(id string) string {
	id = bareID(id)
	if len(id) > 8 && id[8] == '-' {
		id = id[:8]
	}
	return clip(id)
}

// bareID takes the prefix and the braces off an id, so that ids of different
// places can be compared (without case).
func bareID(id string) string {
	id = strings.TrimSpace(id)
	for _, prefix := range [...]string{"GUID:", "UID:"} {
		if len(id) >= len(prefix) && strings.EqualFold(id[:len(prefix)], prefix) {
			id = id[len(prefix):]
		}
	}
	return strings.TrimSuffix(strings.TrimPrefix(id, "{"), "}")
}

// sizeWords writes a size as people read it.
func sizeWords(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case n < 1000_000:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	case n < 1000_000_000:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1f GB", float64(n)/1e9)
}

// count writes a number with its noun.
func count(n int, noun string) string {
	return strconv.Itoa(n) + " " + plural(n, noun)
}

// joined puts the parts that are not empty together.
func joined(separator string, parts ...string) string {
	var out []string
	for _, p := range parts {
		if p != "" {
			out = append(out, p)
		}
	}
	return strings.Join(out, separator)
}
