package tui

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"

	"mpproxy/decode"
	"mpproxy/internal/view"
)

// foldOver is from how many lines on a text opens with its inner blocks
// closed.
const foldOver = 100

// xmlText is a message's text: indented, coloured, with blocks to fold and
// long values cut.
func xmlText(s string, f view.Format) *text {
	shown := clip(s)
	lines := markup(view.Text(shown, f), f.ASCII)
	if len(shown) < len(s) {
		end := tooLong(len(shown), len(s))
		end.last = len(lines)
		lines = append(lines, end)
	}
	t := newText(lines)
	t.numbers = true
	return t
}

// markup colours indented XML and finds its blocks by their indentation.
func markup(texts []string, ascii bool) []line {
	lines := make([]line, len(texts))
	depth := make([]int, len(texts))
	for i, s := range texts {
		lines[i] = xmlLine(s, ascii)
		depth[i] = len(s) - len(strings.TrimLeft(s, " "))
	}
	var open []int // lines whose block has not ended
	for i := range lines {
		lines[i].last = i
		for len(open) > 0 && depth[i] <= depth[open[len(open)-1]] {
			at := open[len(open)-1]
			open = open[:len(open)-1]
			lines[at].last = i - 1
			if strings.HasPrefix(strings.TrimLeft(texts[i], " "), "</") && depth[i] == depth[at] {
				lines[at].last = i
			}
		}
		open = append(open, i)
	}
	for _, at := range open {
		lines[at].last = len(lines) - 1
	}
	if len(lines) > foldOver {
		for i := range lines {
			lines[i].closed = depth[i] >= 4 && lines[i].last > i+2
		}
	}
	return lines
}

// xmlLine colours a line of XML. What is no XML stays plain text.
func xmlLine(s string, ascii bool) line {
	body := strings.TrimLeft(s, " ")
	l := line{hang: len(s) - len(body) + 2}
	x := colours{ascii: ascii}
	x.add(s[:len(s)-len(body)], roleText)
	for body != "" {
		if body[0] == '<' {
			body = x.tag(body)
			continue
		}
		i := strings.IndexByte(body, '<')
		if i < 0 {
			i = len(body)
		}
		x.value(body[:i], roleText)
		body = body[i:]
	}
	l.pieces = x.short
	if x.cut {
		l.whole = x.whole
	}
	return l
}

// colours are the pieces of a line, with long values cut and in full.
type colours struct {
	short, whole []piece
	cut, ascii   bool
}

func (x *colours) add(s string, r role) {
	if s != "" {
		x.short, x.whole = append(x.short, piece{s, r}), append(x.whole, piece{s, r})
	}
}

// value adds a value, cut when it is long and no text.
func (x *colours) value(s string, r role) {
	words := inBrief(s, x.ascii)
	if words == "" {
		x.add(s, r)
		return
	}
	x.cut = true
	dots := unicodeSymbols.dots
	if x.ascii {
		dots = asciiSymbols.dots
	}
	x.short = append(x.short, piece{s[:8] + dots, r}, piece{" " + words, roleDim})
	x.whole = append(x.whole, piece{s, r})
}

// tag colours the tag with which s begins, and gives what comes behind it.
func (x *colours) tag(s string) string {
	n := 1
	for n < len(s) && !strings.ContainsRune(" />", rune(s[n])) || n < len(s) && n == 1 && s[n] == '/' {
		n++
	}
	x.add(s[:n], roleName)
	for s = s[n:]; s != ""; {
		switch s[0] {
		case '>':
			x.add(">", roleName)
			return s[1:]
		case '<': // the tag has no end
			return s
		case '"', '\'':
			s = x.quoted(s)
		default:
			i := strings.IndexAny(s, `"'><`)
			if i < 0 {
				i = len(s)
			}
			x.add(s[:i], roleAttr)
			s = s[i:]
		}
	}
	return ""
}

// quoted colours the value in quotes with which s begins.
func (x *colours) quoted(s string) string {
	end := strings.IndexByte(s[1:], s[0])
	if end < 0 {
		x.add(s, roleValue)
		return ""
	}
	x.add(s[:1], roleValue)
	x.value(s[1:1+end], roleValue)
	x.add(s[:1], roleValue)
	return s[end+2:]
}

// longValue is from how many digits on a value is shown in brief. Digests of
// 256 bits stay whole.
const longValue = 72

// inBrief says what a long value of hex or base64 is, "" for other values.
func inBrief(s string, ascii bool) string {
	if len(s) < longValue || strings.ContainsAny(s, " -") {
		return ""
	}
	b, kind := []byte(nil), "hex"
	var err error
	if b, err = hex.DecodeString(s); err != nil {
		kind = "base64"
		if b, err = base64.StdEncoding.DecodeString(s); err != nil {
			return ""
		}
	}
	words := grouped(int64(len(b))) + " bytes of " + kind
	switch c, err := x509.ParseCertificate(b); {
	case err == nil:
		words += ": certificate of " + view.Clean(c.Subject.String(), ascii)
	case kind == "hex" && decode.PublicKeyBlob(s) != nil:
		words += fmt.Sprintf(": RSA key of %d bits", decode.PublicKeyBlob(s).Size()*8)
	}
	return words
}
