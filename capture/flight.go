package capture

import (
	"errors"
	"io"

	"mpproxy/traffic"
)

const (
	// chunkLimit is the most bytes of a row in chunk.
	chunkLimit = 256 << 10
	// keptLimit is how much of the beginning of each message stays in memory
	// for the summary, and keptEach how much once all open exchanges together
	// have keptAll: enough for the header and what a summary reads of a large
	// text.
	keptLimit = 128 << 10
	keptEach  = 16 << 10
	keptAll   = 8 << 20
	// keptTail is how much of the end of a message stays: the decoder looks
	// for its closing boundary there.
	keptTail = 512
)

// flight is an exchange that is not over.
type flight struct {
	x    traffic.Exchange
	conn *openConn
	// streams are request and reply, each as received and as forwarded.
	streams [2][2]stream
	// unsaid is true while its row has not gone to the file.
	unsaid bool
	// touched is true while it is in the batch.
	touched bool
}

func (f *flight) stream(d traffic.Dir, forwarded bool) *stream {
	i, j := 0, 0
	if d == traffic.Reply {
		i = 1
	}
	if forwarded {
		j = 1
	}
	return &f.streams[i][j]
}

// chunk is a run of bytes of a message without a gap, at most chunkLimit long.
type chunk struct {
	exchange  traffic.ExchangeID
	dir       traffic.Dir
	forwarded bool
	at        int64
	parts     [][]byte
	size      int
}

// stream is one message while it passes. It reads as the message as far as it
// is in memory: what came in this batch, and before that the beginning and
// the end.
type stream struct {
	// ready are the bytes of this batch, before them came the first seen.
	ready []chunk
	seen  int64
	// head and tail are what is kept of the bytes seen.
	head, tail []byte
}

// errForgotten says that bytes are no longer in memory.
var errForgotten = errors.New("these bytes are no longer in memory")

// ReadAt reads until p is full, or up to the first byte that is not there.
func (s *stream) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		b := s.from(off + int64(n))
		switch {
		case len(b) > 0:
			n += copy(p[n:], b)
		case off+int64(n) >= s.end():
			return n, io.EOF
		default:
			return n, errForgotten
		}
	}
	return n, nil
}

// from are some bytes that begin at an offset.
func (s *stream) from(off int64) []byte {
	if off < int64(len(s.head)) {
		return s.head[off:]
	}
	if from := s.seen - int64(len(s.tail)); from <= off && off < s.seen {
		return s.tail[off-from:]
	}
	for i := range s.ready {
		if c := &s.ready[i]; c.at <= off && off < c.at+int64(c.size) {
			return c.from(int(off - c.at))
		}
	}
	return nil
}

func (c *chunk) from(off int) []byte {
	for _, p := range c.parts {
		if off < len(p) {
			return p[off:]
		}
		off -= len(p)
	}
	return nil
}

// end is how far the message has come.
func (s *stream) end() int64 {
	if n := len(s.ready); n > 0 {
		last := &s.ready[n-1]
		return last.at + int64(last.size)
	}
	return s.seen
}

// add takes the bytes of an event.
func (s *stream) add(e traffic.Chunk) {
	at, data := e.Offset, e.Data
	for len(data) > 0 {
		c := s.last(e, at)
		n := min(len(data), chunkLimit-c.size)
		c.parts = append(c.parts, data[:n])
		c.size += n
		data, at = data[n:], at+int64(n)
	}
}

// last is the chunk that goes on at offset at.
func (s *stream) last(e traffic.Chunk, at int64) *chunk {
	if n := len(s.ready); n > 0 {
		c := &s.ready[n-1]
		if c.at+int64(c.size) == at && c.size < chunkLimit {
			return c
		}
	}
	s.ready = append(s.ready, chunk{exchange: e.Exchange, dir: e.Dir, forwarded: e.Forwarded, at: at})
	return &s.ready[len(s.ready)-1]
}

// keep copies what is kept of the bytes of this batch, at most limit bytes of
// the beginning, and lets go of them. It returns by how much the head grew.
func (s *stream) keep(limit int) (grown int) {
	for _, c := range s.ready {
		if c.at != s.seen {
			s.seen, s.tail = c.at, nil // what was before is lost
		}
		for _, p := range c.parts {
			n := 0
			if s.seen == int64(len(s.head)) {
				n = max(0, min(len(p), limit-len(s.head)))
			}
			s.head = append(s.head, p[:n]...)
			s.tail = lastOf(s.tail, p[n:])
			s.seen += int64(len(p))
			grown += n
		}
	}
	s.ready = nil
	return grown
}

// lastOf are the last bytes of a and b together.
func lastOf(a, b []byte) []byte {
	if len(b) >= keptTail {
		return append(a[:0], b[len(b)-keptTail:]...)
	}
	if over := len(a) + len(b) - keptTail; over > 0 {
		a = a[:copy(a, a[over:])]
	}
	return append(a, b...)
}
