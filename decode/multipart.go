package decode

import (
	"bytes"
	"strings"
)

// multipart is a body cut at its boundary. Every byte of it is in exactly one
// of the slices, so that putting them together again gives the body back.
type multipart struct {
	boundary string
	preamble []byte
	parts    []Part
	// closing is the closing delimiter with the CRLF before it; nil when the
	// body has none.
	closing  []byte
	epilogue []byte
}

// Part is one part of a multipart body, as raw slices.
type Part struct {
	// Delimiter is the line that begins the part, with the line ends around
	// it; Head the part's header fields with the empty line that ends them.
	Delimiter, Head []byte
	Body            []byte
	// Offset is where Body begins in the HTTP body without chunk framing.
	Offset int64
}

// Get returns a field of the part's head, or "".
func (p Part) Get(name string) string {
	for at := 0; ; {
		line, next := cutLine(p.Head, at)
		if next < 0 {
			return ""
		}
		key, value, found := bytes.Cut(line, []byte(":"))
		if found && bytes.EqualFold(bytes.TrimSpace(key), []byte(name)) {
			return string(bytes.TrimSpace(value))
		}
		at = next
	}
}

// boundaryOf reads the boundary from a Content-Type, quoted or not. The
// boundary of agents has capitals, and they matter.
func boundaryOf(contentType string) string {
	value, found := paramOf(contentType, "boundary")
	if !found {
		return ""
	}
	if rest, ok := strings.CutPrefix(value, `"`); ok {
		value, _, _ = strings.Cut(rest, `"`)
		return value
	}
	value, _, _ = strings.Cut(value, ";")
	return strings.TrimSpace(value)
}

// paramOf gives what follows "name=" after a semicolon.
func paramOf(contentType, name string) (string, bool) {
	for {
		_, rest, found := strings.Cut(contentType, ";")
		if !found {
			return "", false
		}
		rest = strings.TrimLeft(rest, " \t")
		if len(rest) > len(name) && rest[len(name)] == '=' && strings.EqualFold(rest[:len(name)], name) {
			return rest[len(name)+1:], true
		}
		contentType = rest
	}
}

// sniffBoundary reads the boundary from the first line of a body that came
// without a head.
func sniffBoundary(body []byte) string {
	if !bytes.HasPrefix(body, []byte("--")) {
		return ""
	}
	line, next := cutLine(body[:min(len(body), 80)], 0)
	if next < 0 {
		return ""
	}
	return string(bytes.TrimRight(line[2:], " \t"))
}

// splitMultipart cuts a body at its boundary. Line ends are never changed and
// nothing is trimmed, because signatures cover the exact bytes; a body without
// any delimiter is all preamble.
func splitMultipart(body []byte, boundary string) multipart {
	m := multipart{boundary: boundary}
	delimiter := []byte("--" + boundary)
	at := 0
	if !bytes.HasPrefix(body, delimiter) {
		at = indexDelimiter(body, 0, delimiter)
	}
	if at < 0 || boundary == "" {
		m.preamble = body
		return m
	}
	m.preamble = body[:at]
	for {
		after := at + bytes.Index(body[at:], delimiter) + len(delimiter)
		if bytes.HasPrefix(body[after:], []byte("--")) {
			m.closing, m.epilogue = body[at:after+2], body[after+2:]
			return m
		}
		_, start := cutLine(body, after)
		if start < 0 {
			start = len(body)
		}
		end := indexDelimiter(body, start, delimiter)
		if end < 0 {
			end = len(body)
		}
		m.parts = append(m.parts, newPart(body, at, start, end))
		if end == len(body) {
			return m
		}
		at = end
	}
}

// indexDelimiter finds a delimiter line, with the CRLF before it. The one
// that follows another at once shares its line end.
func indexDelimiter(body []byte, from int, delimiter []byte) int {
	for at := from; ; {
		i := bytes.Index(body[at:], delimiter)
		if i < 0 {
			return -1
		}
		i += at
		if i >= from+2 && body[i-2] == '\r' && body[i-1] == '\n' {
			return i - 2
		}
		if i == from {
			return i
		}
		at = i + 1
	}
}

func newPart(body []byte, at, start, end int) Part {
	head := partHead(body[start:end])
	return Part{
		Delimiter: body[at:start],
		Head:      body[start : start+head],
		Body:      body[start+head : end],
		Offset:    int64(start + head),
	}
}

// maxPartHead bounds the search for the end of a part's head.
const maxPartHead = 8 << 10

// partHead is the length of a part's header fields. Foreign senders leave
// them away, with or without the empty line.
func partHead(b []byte) int {
	for at := 0; at < min(len(b), maxPartHead); {
		line, next := cutLine(b, at)
		switch {
		case next < 0:
			return 0
		case len(line) == 0:
			return next
		case bytes.IndexByte(line, ':') <= 0 && at == 0:
			return 0
		}
		at = next
	}
	return 0
}

// bytes puts the body together again.
func (m multipart) bytes() []byte {
	var out []byte
	out = append(out, m.preamble...)
	for _, p := range m.parts {
		out = append(out, p.Delimiter...)
		out = append(out, p.Head...)
		out = append(out, p.Body...)
	}
	out = append(out, m.closing...)
	return append(out, m.epilogue...)
}
