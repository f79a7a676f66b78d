package decode

import (
	"bytes"
	"strconv"
)

// chunks is a body without its chunk framing, and where its pieces came from.
type chunks struct {
	data []byte
	// pieces map data back to the wire.
	pieces []piece
	// whole is true when the last chunk and the trailer's end were there.
	whole bool
	// odd says in words what a strict reader would refuse, with the offset of
	// the place on the wire; empty when nothing was.
	odd   string
	oddAt int64
	// trailer are the bytes after the last chunk's size line.
	trailer []byte
}

// piece is one chunk's data: at is its offset without the framing, wire with.
type piece struct{ at, wire int64 }

// dechunk takes the framing off a body. It is lenient, as a body that was cut
// or rewritten has to be shown too: bare LF line ends, white space around
// sizes and missing line ends after the data are read and named.
func dechunk(wire []byte) chunks {
	c := chunks{data: make([]byte, 0, len(wire))}
	for at := 0; ; {
		line, next := cutLine(wire, at)
		if next < 0 {
			c.strange(at, "chunk size line is cut")
			return c
		}
		size, ok := chunkSize(line)
		if !ok {
			c.strange(at, "chunk size is no hexadecimal number")
			c.add(wire, at, len(wire))
			return c
		}
		if size == 0 {
			c.trailer = wire[next:]
			c.whole = trailerEnds(c.trailer)
			return c
		}
		end := len(wire)
		if size < int64(len(wire)-next) {
			end = next + int(size)
		}
		c.add(wire, next, end)
		if int64(end-next) < size {
			return c
		}
		at = c.afterData(wire, end)
	}
}

func (c *chunks) add(wire []byte, from, to int) {
	c.pieces = append(c.pieces, piece{int64(len(c.data)), int64(from)})
	c.data = append(c.data, wire[from:to]...)
}

func (c *chunks) strange(at int, what string) {
	if c.odd == "" {
		c.odd, c.oddAt = what, int64(at)
	}
}

// afterData steps over the line end behind a chunk's data.
func (c *chunks) afterData(wire []byte, at int) int {
	switch rest := wire[at:]; {
	case bytes.HasPrefix(rest, []byte("\r\n")):
		return at + 2
	case bytes.HasPrefix(rest, []byte("\n")):
		c.strange(at, "bare LF after chunk data")
		return at + 1
	case len(rest) > 0:
		c.strange(at, "no line end after chunk data")
	}
	return at
}

// cutLine gives the line at an offset without its end, and where the next one
// begins, or -1 when there is no end.
func cutLine(b []byte, at int) (line []byte, next int) {
	i := bytes.IndexByte(b[at:], '\n')
	if i < 0 {
		return nil, -1
	}
	return bytes.TrimSuffix(b[at:at+i], []byte("\r")), at + i + 1
}

func chunkSize(line []byte) (int64, bool) {
	digits, _, _ := bytes.Cut(line, []byte(";"))
	digits = bytes.TrimSpace(digits)
	if len(digits) > 16 {
		digits = bytes.TrimLeft(digits, "0")
	}
	n, err := strconv.ParseInt(string(digits), 16, 64)
	return n, err == nil && n >= 0
}

// trailerEnds tells whether the empty line that ends the message is there.
func trailerEnds(trailer []byte) bool {
	return bytes.HasPrefix(trailer, []byte("\r\n")) || bytes.HasPrefix(trailer, []byte("\n")) ||
		bytes.HasSuffix(trailer, []byte("\r\n\r\n")) || bytes.HasSuffix(trailer, []byte("\n\n"))
}

// wireOffset maps an offset of data to the wire.
func (c chunks) wireOffset(at int64) int64 {
	wire := at
	for _, p := range c.pieces {
		if p.at > at {
			break
		}
		wire = p.wire + at - p.at
	}
	return wire
}
