package decode

import "strings"

// maxPretty bounds what Pretty makes: text beyond it stays as it is.
const maxPretty = 8 << 20

// Pretty indents XML for reading, one element a line. The tags and texts
// themselves are not changed, so it may be called on anything: what is no XML
// comes back as it was, and so do pages with a DOCTYPE.
func Pretty(text string) string {
	if !strings.HasPrefix(strings.TrimLeft(text[:min(len(text), 64)], " \t\r\n\uFEFF"), "<") || hasDoctype(text) {
		return text
	}
	p := printer{rest: text}
	p.out.Grow(len(text) + len(text)/4)
	for p.rest != "" && p.out.Len() < maxPretty && p.piece() {
	}
	p.out.WriteString(p.rest)
	return p.out.String()
}

// hasDoctype looks for a DOCTYPE where one can be: before the root element.
func hasDoctype(text string) bool {
	for rest := text; ; {
		rest = strings.TrimLeft(rest, " \t\r\n\uFEFF")
		switch {
		case hasPrefixFold(rest, "<!doctype"), hasPrefixFold(rest, "<html"):
			return true
		case strings.HasPrefix(rest, "<?"), strings.HasPrefix(rest, "<!--"):
			_, after, found := strings.Cut(rest, ">")
			if !found {
				return false
			}
			rest = after
		default:
			return false
		}
	}
}

// printer lays out XML piece by piece.
type printer struct {
	out   strings.Builder
	rest  string
	depth int
	// inline is true when the next end tag belongs on the same line: nothing
	// but text came since the start tag.
	inline bool
}

// piece moves one tag or text to the output; false means that it cannot go on.
func (p *printer) piece() bool {
	if p.rest[0] != '<' {
		return p.text()
	}
	end := pieceEnd(p.rest)
	if end < 0 {
		return false
	}
	tag := p.rest[:end]
	p.rest = p.rest[end:]
	switch {
	case strings.HasPrefix(tag, "</"):
		p.depth = max(p.depth-1, 0)
		if !p.inline {
			p.newLine()
		}
		p.inline = false
	case strings.HasPrefix(tag, "<![CDATA["):
		// Character data stands where it stood.
	case strings.HasPrefix(tag, "<?"), strings.HasPrefix(tag, "<!"), strings.HasSuffix(tag, "/>"):
		p.newLine()
		p.inline = false
	default:
		p.newLine()
		p.depth++
		p.inline = true
	}
	p.out.WriteString(tag)
	return true
}

// text moves character data. White space between tags is what is laid out
// anew.
func (p *printer) text() bool {
	n := strings.IndexByte(p.rest, '<')
	if n < 0 {
		return false
	}
	text := p.rest[:n]
	if strings.TrimSpace(text) != "" || p.inline && strings.HasPrefix(p.rest[n:], "</") {
		p.out.WriteString(text)
	}
	p.rest = p.rest[n:]
	return true
}

func (p *printer) newLine() {
	if p.out.Len() == 0 {
		return
	}
	p.out.WriteByte('\n')
	for range min(p.depth, 64) {
		p.out.WriteString("  ")
	}
}

// pieceEnd is where the tag, comment, declaration or CDATA at the beginning
// ends, or -1.
func pieceEnd(s string) int {
	for _, p := range [...]struct{ begin, end string }{{"<!--", "-->"}, {"<![CDATA[", "]]>"}, {"<?", "?>"}} {
		if strings.HasPrefix(s, p.begin) {
			if i := strings.Index(s, p.end); i >= 0 {
				return i + len(p.end)
			}
			return -1
		}
	}
	if i := tagEnd(s, 1); i >= 0 {
		return i + 1
	}
	return -1
}
