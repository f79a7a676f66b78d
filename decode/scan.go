package decode

import (
	"strconv"
	"strings"
)

// scanner walks over the start tags of XML without building anything. It is
// for text that nobody promised to be whole or well-formed: what it does not
// understand it steps over. A summary reads the few elements that it wants
// from it, in about a thousandth of the time of a tree.
type scanner struct {
	src string
	at  int
	// name is the local name of the tag that next found, attrs what stands
	// between the name and the end of the tag, empty whether it closes itself.
	name, attrs string
	empty       bool
	// start is where the tag begins, attrsAt where attrs does, depth how many
	// elements are open around it.
	start, attrsAt, depth int

	open int
}

// next goes to the next start tag.
func (s *scanner) next() bool {
	for {
		i := strings.IndexByte(s.src[s.at:], '<')
		if i < 0 || s.at+i+1 >= len(s.src) {
			s.at = len(s.src)
			return false
		}
		at := s.at + i
		switch s.src[at+1] {
		case '/':
			s.open = max(s.open-1, 0)
			s.skipTag(at)
		case '?':
			s.skip(at, "?>")
		case '!':
			s.skipDeclaration(at)
		default:
			if s.startTag(at) {
				return true
			}
		}
	}
}

// skipTag goes behind the '>' that is next.
func (s *scanner) skipTag(at int) {
	if i := strings.IndexByte(s.src[at:], '>'); i >= 0 {
		s.at = at + i + 1
		return
	}
	s.at = len(s.src)
}

func (s *scanner) skip(at int, end string) {
	if i := strings.Index(s.src[at:], end); i >= 0 {
		s.at = at + i + len(end)
		return
	}
	s.at = len(s.src)
}

func (s *scanner) skipDeclaration(at int) {
	switch rest := s.src[at:]; {
	case strings.HasPrefix(rest, "<!--"):
		s.skip(at+4, "-->")
	case strings.HasPrefix(rest, "<![CDATA["):
		s.skip(at, "]]>")
	default:
		s.skipTag(at)
	}
}

// startTag reads the tag at a '<'; false means that it is none.
func (s *scanner) startTag(at int) bool {
	end := tagEnd(s.src, at+1)
	if end < 0 {
		s.at = len(s.src)
		return false
	}
	s.at = end + 1
	inner := s.src[at+1 : end]
	s.empty = strings.HasSuffix(inner, "/")
	if s.empty {
		inner = inner[:len(inner)-1]
	}
	n := 0
	for n < len(inner) && !isSpace(inner[n]) {
		n++
	}
	if n == 0 {
		return false
	}
	s.name = localName(inner[:n])
	s.attrs, s.attrsAt = inner[n:], at+1+n
	s.start, s.depth = at, s.open
	if !s.empty {
		s.open++
	}
	return true
}

// tagEnd finds the '>' that ends a tag, or -1. One inside of quotes does not
// count, unless the quote is never closed.
func tagEnd(s string, at int) int {
	for i := at; i < len(s); i++ {
		switch c := s[i]; c {
		case '>':
			return i
		case '"', '\'':
			n := strings.IndexByte(s[i+1:], c)
			if n < 0 || strings.IndexByte(s[i+1:i+1+n], '<') >= 0 {
				if n = strings.IndexByte(s[i:], '>'); n < 0 {
					return -1
				}
				return i + n
			}
			i += n + 1
		}
	}
	return -1
}

func localName(name string) string {
	return name[strings.LastIndexByte(name, ':')+1:]
}

// value is the text of the element whose start tag next found, up to its first
// child, with references and CDATA resolved.
func (s *scanner) value() string {
	if s.empty {
		return ""
	}
	rest := s.src[s.at:]
	i := strings.IndexByte(rest, '<')
	if i < 0 {
		i = len(rest)
	}
	text := rest[:i]
	if !strings.HasPrefix(rest[i:], "<![CDATA[") {
		return unescape(text)
	}
	var out strings.Builder
	for {
		out.WriteString(unescape(text))
		rest = rest[i:]
		if !strings.HasPrefix(rest, "<![CDATA[") {
			return out.String()
		}
		data, after, found := strings.Cut(rest[len("<![CDATA["):], "]]>")
		out.WriteString(data)
		if !found {
			return out.String()
		}
		rest = after
		if i = strings.IndexByte(rest, '<'); i < 0 {
			i = len(rest)
		}
		text = rest[:i]
	}
}

// attr is the value of an attribute of the tag that next found, or "".
func (s *scanner) attr(name string) string {
	from, to := s.attrSpan(name)
	if from < 0 {
		return ""
	}
	return unescape(s.src[from:to])
}

// attrSpan is where an attribute's value stands in src, or -1.
func (s *scanner) attrSpan(name string) (from, to int) {
	rest, at := s.attrs, s.attrsAt
	for {
		key, n, from, to := nextAttr(rest)
		if n == 0 {
			return -1, -1
		}
		if localName(key) == name {
			return at + from, at + to
		}
		rest, at = rest[n:], at+n
	}
}

// nextAttr reads one attribute from what stands behind an element's name. n is
// how much was read, 0 at the end; from and to are the value.
func nextAttr(s string) (key string, n, from, to int) {
	eq := strings.IndexByte(s, '=')
	if eq < 0 {
		return "", 0, 0, 0
	}
	end := eq
	for end > 0 && isSpace(s[end-1]) {
		end--
	}
	begin := end
	for begin > 0 && !isSpace(s[begin-1]) {
		begin--
	}
	key = s[begin:end]
	from = eq + 1
	for from < len(s) && isSpace(s[from]) {
		from++
	}
	if from == len(s) || s[from] != '"' && s[from] != '\'' {
		to = from
		for to < len(s) && !isSpace(s[to]) {
			to++
		}
		return key, to, from, to
	}
	quote := s[from]
	from++
	to = strings.IndexByte(s[from:], quote)
	if to < 0 {
		return key, len(s), from, len(s)
	}
	return key, from + to + 1, from, from + to
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// references are the five that XML knows without a DTD.
var references = map[string]string{"lt": "<", "gt": ">", "amp": "&", "quot": `"`, "apos": "'"}

// unescape resolves references; those that it does not know stay as they are.
func unescape(s string) string {
	i := strings.IndexByte(s, '&')
	if i < 0 {
		return s
	}
	var out strings.Builder
	for i >= 0 {
		out.WriteString(s[:i])
		s = s[i:]
		end := strings.IndexByte(s[:min(len(s), 12)], ';')
		if text, ok := reference(s, end); ok {
			out.WriteString(text)
			s = s[end+1:]
		} else {
			out.WriteByte('&')
			s = s[1:]
		}
		i = strings.IndexByte(s, '&')
	}
	out.WriteString(s)
	return out.String()
}

// reference resolves s[1:end]; s begins with '&' and s[end] is ';'.
func reference(s string, end int) (string, bool) {
	if end < 2 {
		return "", false
	}
	if s[1] != '#' {
		text, ok := references[s[1:end]]
		return text, ok
	}
	digits, base := s[2:end], 10
	if digits != "" && (digits[0] == 'x' || digits[0] == 'X') {
		digits, base = digits[1:], 16
	}
	n, err := strconv.ParseUint(digits, base, 32)
	if err != nil || n > 0x10FFFF {
		return "", false
	}
	return string(rune(n)), true
}
