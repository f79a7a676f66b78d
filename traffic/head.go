package traffic

import (
	"bytes"
	"strconv"
	"strings"
)

// MaxHead is how many bytes of a head are read before a peer is taken not to
// speak HTTP. IIS itself refuses heads above 16 KiB by default.
const MaxHead = 64 << 10

// Head is the start line and the fields of one HTTP message, in the order,
// case and spacing in which they came. It is never changed after parsing: an
// edit makes new bytes and parses them.
type Head struct {
	// Raw is the head as received, up to and with the empty line that ends it.
	Raw []byte
	// Start is the start line without its line end.
	Start string
	// Fields are the header fields in order; repeated ones stay repeated.
	Fields []Field
	// Odd lists what a strict parser would refuse, with the offset in Raw.
	Odd []Oddity
}

// Field is one header field. Name and Value are as received; Value has no
// surrounding white space, and folded lines are joined with one blank.
type Field struct {
	Name, Value string
	// Offset and End are the field's lines in Head.Raw, line end included.
	Offset, End int
}

// Oddity is a place in a head that a strict parser would refuse.
type Oddity struct {
	Offset int
	What   string
}

// ParseHead reads a head that ends with an empty line. It never fails: what
// it cannot read it skips and names in Odd, because the bytes go on anyway.
func ParseHead(raw []byte) Head {
	h := Head{Raw: raw}
	odd := func(at int, what string) { h.Odd = append(h.Odd, Oddity{at, what}) }
	first := true
	for at := 0; at < len(raw); {
		end := bytes.IndexByte(raw[at:], '\n')
		next := len(raw)
		if end < 0 {
			end = len(raw)
		} else {
			end += at
			next = end + 1
		}
		line := raw[at:end]
		if n := len(line); n > 0 && line[n-1] == '\r' {
			line = line[:n-1]
		} else if next <= len(raw) && end < len(raw) {
			odd(at, "line ends in a bare LF")
		}
		if bytes.ContainsAny(line, "\r\x00") {
			odd(at, "CR or NUL inside a line")
		}
		switch {
		case first && len(line) == 0:
			odd(at, "empty line before the start line")
		case first:
			h.Start, first = string(line), false
		case len(line) == 0:
			at = len(raw)
			continue
		case line[0] == ' ' || line[0] == '\t':
			odd(at, "folded line")
			if n := len(h.Fields); n > 0 {
				f := &h.Fields[n-1]
				f.Value = strings.TrimSpace(f.Value + " " + string(bytes.TrimSpace(line)))
				f.End = next
			}
		default:
			name, value, found := bytes.Cut(line, []byte(":"))
			if !found {
				odd(at, "line without a colon")
			} else if len(name) == 0 || bytes.ContainsAny(name, " \t") {
				odd(at, "white space in or before a field name")
			}
			h.Fields = append(h.Fields, Field{
				Name: string(name), Value: string(bytes.TrimSpace(value)), Offset: at, End: next,
			})
		}
		at = next
	}
	return h
}

// Get returns the first value of a field, or "". Names are compared without
// case and without the white space that some peers write before the colon.
func (h Head) Get(name string) string {
	v, _ := h.Lookup(name)
	return v
}

// Lookup is Get that tells an empty field from an absent one.
func (h Head) Lookup(name string) (string, bool) {
	for _, f := range h.Fields {
		if strings.EqualFold(strings.TrimSpace(f.Name), name) {
			return f.Value, true
		}
	}
	return "", false
}

// Values returns every value of a field, in order.
func (h Head) Values(name string) []string {
	var vs []string
	for _, f := range h.Fields {
		if strings.EqualFold(strings.TrimSpace(f.Name), name) {
			vs = append(vs, f.Value)
		}
	}
	return vs
}

// Request splits a request line: method, target and version as received. A
// line of another shape gives what there is of it.
func (h Head) Request() (method, target, version string) {
	method, rest, _ := strings.Cut(h.Start, " ")
	if i := strings.LastIndexByte(rest, ' '); i >= 0 {
		return method, rest[:i], rest[i+1:]
	}
	return method, rest, ""
}

// Status is the status code of a status line, or 0 when it has none.
func (h Head) Status() int {
	_, rest, _ := strings.Cut(h.Start, " ")
	code, _, _ := strings.Cut(rest, " ")
	n, err := strconv.Atoi(code)
	if err != nil || n < 100 || n > 999 {
		return 0
	}
	return n
}

// Reason is the reason phrase of a status line. IIS names here what no code
// says, such as "Client certificate required".
func (h Head) Reason() string {
	_, rest, _ := strings.Cut(h.Start, " ")
	_, reason, _ := strings.Cut(rest, " ")
	return reason
}
