package proxy

import (
	"bytes"
	"errors"
	"strconv"
	"strings"

	"mpproxy/traffic"
)

// errFraming says that the end of a message cannot be known; its connection
// goes on as a tunnel.
var errFraming = errors.New("framing lost")

// framer finds the end of a body without changing or keeping it.
type framer struct {
	kind traffic.Framing
	left int64 // bytes of the body (ByLength) or of the chunk's data
	at   chunkState
	seen bool // something stood on the line
	hex  int  // digits of the size so far
}

type chunkState uint8

const (
	chunkSize chunkState = iota
	chunkExtension
	chunkData
	chunkDataEnd
	chunkTrailer
	chunkDone
)

// take says how many bytes of b belong to the body, and whether its end is
// among them.
func (f *framer) take(b []byte) (n int, done bool, err error) {
	switch f.kind {
	case traffic.NoBody:
		return 0, true, nil
	case traffic.ByLength:
		n = int(min(int64(len(b)), f.left))
		f.left -= int64(n)
		return n, f.left == 0, nil
	case traffic.Chunked:
		return f.chunks(b)
	}
	return len(b), false, nil
}

// chunks walks over chunked framing (RFC 9112, 7.1). It takes a bare LF for a
// line end, as most servers do, and gives up on anything that two readers
// could read differently.
func (f *framer) chunks(b []byte) (n int, done bool, err error) {
	for n < len(b) && f.at != chunkDone {
		if f.at == chunkData {
			step := min(int64(len(b)-n), f.left)
			n += int(step)
			if f.left -= step; f.left == 0 {
				f.at = chunkDataEnd
			}
			continue
		}
		if err := f.chunkByte(b[n]); err != nil {
			return n, false, err
		}
		n++
	}
	return n, f.at == chunkDone, nil
}

func (f *framer) chunkByte(c byte) error {
	switch f.at {
	case chunkSize:
		return f.sizeByte(c)
	case chunkExtension:
		if c == '\n' {
			f.sizeOver()
		}
	case chunkDataEnd:
		if c == '\n' {
			f.at, f.hex, f.left = chunkSize, 0, 0
		} else if c != '\r' {
			return errFraming
		}
	case chunkTrailer:
		switch c {
		case '\n':
			if !f.seen {
				f.at = chunkDone
			}
			f.seen = false
		case '\r':
		default:
			f.seen = true
		}
	}
	return nil
}

func (f *framer) sizeByte(c byte) error {
	digit := -1
	switch {
	case c >= '0' && c <= '9':
		digit = int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		digit = int(c|0x20-'a') + 10
	}
	switch {
	case digit >= 0 && f.hex < 15:
		f.left = f.left<<4 | int64(digit)
		f.hex++
	case f.hex == 0 || digit >= 0:
		return errFraming
	case c == '\n':
		f.sizeOver()
	default:
		f.at = chunkExtension
	}
	return nil
}

func (f *framer) sizeOver() {
	if f.left == 0 {
		f.at, f.seen = chunkTrailer, false
		return
	}
	f.at = chunkData
}

// bodyLength reads the framing fields of a head. It refuses what could be read
// in two ways: that is how requests are smuggled.
func bodyLength(h traffic.Head) (kind traffic.Framing, length int64, err error) {
	coded, length, given := "", int64(0), false
	for _, f := range h.Fields {
		name := strings.TrimSpace(f.Name)
		te, cl := strings.EqualFold(name, "Transfer-Encoding"), strings.EqualFold(name, "Content-Length")
		if !te && !cl {
			continue
		}
		if name != f.Name || strings.ContainsAny(f.Value, "\r\x00") {
			return 0, 0, errFraming
		}
		if te {
			coded = strings.Trim(coded+","+f.Value, ", ")
			continue
		}
		for part := range strings.SplitSeq(f.Value, ",") {
			n, ok := decimal(strings.TrimSpace(part))
			if !ok || (given && n != length) {
				return 0, 0, errFraming
			}
			length, given = n, true
		}
	}
	switch {
	case coded == "" && !given:
		return traffic.NoBody, -1, nil
	case coded == "":
		return traffic.ByLength, length, nil
	case given:
		return 0, 0, errFraming
	}
	last := coded[strings.LastIndexByte(coded, ',')+1:]
	if !strings.EqualFold(strings.TrimSpace(last), "chunked") {
		return traffic.UntilEnd, -1, nil
	}
	return traffic.Chunked, -1, nil
}

// decimal reads digits only: no sign, no blank, at most 18 of them.
func decimal(s string) (int64, bool) {
	if s == "" || len(s) > 18 || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// requestFraming says how a request's body ends.
func requestFraming(h traffic.Head) (framer, error) {
	kind, n, err := bodyLength(h)
	if err != nil || kind == traffic.UntilEnd {
		return framer{}, errFraming // a request cannot end with its connection
	}
	if _, _, version := h.Request(); version == "HTTP/1.0" && kind == traffic.Chunked {
		return framer{}, errFraming
	}
	return newFramer(kind, n), nil
}

// replyFraming says how the body of a final reply ends, given the method it
// answers (RFC 9112, 6.3).
func replyFraming(h traffic.Head, method string) (framer, error) {
	if s := h.Status(); method == "HEAD" || s == 204 || s == 304 {
		return newFramer(traffic.NoBody, 0), nil
	}
	kind, n, err := bodyLength(h)
	if err != nil {
		return framer{}, err
	}
	if kind == traffic.NoBody {
		kind = traffic.UntilEnd
	}
	return newFramer(kind, n), nil
}

func newFramer(kind traffic.Framing, n int64) framer {
	if kind == traffic.ByLength && n == 0 {
		kind = traffic.NoBody
	}
	return framer{kind: kind, left: max(n, 0)}
}

// headEnd is the length of the head at the start of b, empty line included, or
// 0 when its end has not come. Empty lines before the start line belong to it.
func headEnd(b []byte) int {
	at := 0
	for at < len(b) && (b[at] == '\r' || b[at] == '\n') {
		at++
	}
	for {
		i := bytes.IndexByte(b[at:], '\n')
		if i < 0 {
			return 0
		}
		at += i + 1
		switch rest := b[at:]; {
		case len(rest) > 0 && rest[0] == '\n':
			return at + 1
		case len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n':
			return at + 2
		}
	}
}

// maybeRequest is false once b cannot become a request of HTTP/1.
func maybeRequest(b []byte) bool {
	b = bytes.TrimLeft(b, "\r\n")
	for i, c := range b {
		if c == ' ' && i > 0 {
			return maybeRequestLine(b)
		}
		if !isToken(c) || i > 64 {
			return false
		}
	}
	return true
}

func maybeRequestLine(b []byte) bool {
	line, _, over := bytes.Cut(b, []byte("\n"))
	if !over {
		return true
	}
	line = bytes.TrimRight(line, "\r ")
	i := bytes.LastIndexByte(line, ' ')
	return i > 0 && isVersion(line[i+1:])
}

// maybeReply is false once b cannot become a status line of HTTP/1.
func maybeReply(b []byte) bool {
	b = bytes.TrimLeft(b, "\r\n")
	const prefix = "HTTP/1."
	if n := min(len(b), len(prefix)); string(b[:n]) != prefix[:n] {
		return false
	}
	line, _, over := bytes.Cut(b, []byte("\n"))
	return !over || traffic.ParseHead(line).Status() != 0
}

func isVersion(b []byte) bool {
	return len(b) == 8 && string(b[:7]) == "HTTP/1." && b[7] >= '0' && b[7] <= '9'
}

// isToken is tchar of RFC 9110, 5.6.2.
func isToken(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' ||
		strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}
