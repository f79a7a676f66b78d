package tlsrecord

import "fmt"

// source is the message that cursors read: where its bytes stand in the stream,
// and where what is wrong with them is noted.
type source struct {
	stream *Stream
	parts  []part
	// cut says that the message breaks off, so that nothing that is missing at
	// its end is a flaw.
	cut bool
}

// cursor reads a part of a message from front to back. What is missing reads as
// zero or empty, and is noted.
type cursor struct {
	rest []byte
	// at is the index of rest in the message.
	at  int
	src *source
}

// offset is where in the stream the cursor stands: at most behind its last byte.
func (c *cursor) offset() int { return min(c.src.offset(c.at), c.src.stream.Size) }

func (c *cursor) flaw(format string, args ...any) {
	c.src.stream.flaws(c.offset(), fmt.Sprintf(format, args...))
}

func (c *cursor) empty() bool { return len(c.rest) == 0 }

// bytes takes n bytes, or what there is, which then lacks some of what.
func (c *cursor) bytes(n int, what string) (b []byte, ok bool) {
	ok = n <= len(c.rest)
	if !ok && !c.src.cut {
		c.flaw("%s: %d bytes are due, %d are there", what, n, len(c.rest))
	}
	n = min(n, len(c.rest))
	b, c.rest, c.at = c.rest[:n:n], c.rest[n:], c.at+n
	return b, ok
}

func (c *cursor) uint(size int, what string) (v int, ok bool) {
	b, ok := c.bytes(size, what)
	if !ok {
		return 0, false
	}
	for _, x := range b {
		v = v<<8 | int(x)
	}
	return v, true
}

// vector takes a length of so many bytes and what it counts, or what is there of
// that.
func (c *cursor) vector(size int, what string) (cursor, bool) {
	n, ok := c.uint(size, what)
	start := c.at
	b, whole := c.bytes(n, what)
	return cursor{rest: b, at: start, src: c.src}, ok && whole
}

// end notes bytes that are left over.
func (c *cursor) end(what string) {
	if !c.empty() {
		c.flaw("%s: %d bytes too many", what, len(c.rest))
	}
}

// numbers reads the rest as numbers of 2 bytes, without GREASE values; grease is
// set when there is one.
func numbers[T ~uint16](c *cursor, what string, grease *bool) []T {
	var list []T
	for !c.empty() {
		v, ok := c.uint(2, what)
		switch {
		case !ok:
			return list
		case isGREASE(v):
			*grease = true
		default:
			list = append(list, T(v))
		}
	}
	return list
}

// isGREASE knows the values that clients send to see whether a server minds
// (RFC 8701).
func isGREASE(v int) bool { return v&0x0f0f == 0x0a0a && v>>8 == v&0xff }
