package capture

import (
	"bytes"
	"io"

	"mpproxy/traffic"
)

const (
	// chunkLimit is the most bytes of a row in chunk.
	chunkLimit = 256 << 10
	// prefixLimit is how much of each message stays in memory for the
	// summary; what lies behind is read back from the file.
	prefixLimit = 128 << 10
)

// flight is an exchange that is not over.
type flight struct {
	x    traffic.Exchange
	conn *openConn
	// streams are request and reply, each as received and as forwarded.
	streams [2][2]stream
	// stored is true once its row is committed; unsaid when it has changed
	// since.
	stored, unsaid bool
	// touched is true while it is in the batch.
	touched bool
	// holed is true when some of its bytes could not be written.
	holed bool
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

// pieces calls write for each piece that waits to be written.
func (f *flight) pieces(write func(traffic.Dir, bool, piece) error) error {
	for _, d := range []traffic.Dir{traffic.Request, traffic.Reply} {
		for _, forwarded := range []bool{false, true} {
			s := f.stream(d, forwarded)
			for _, p := range s.ready {
				if err := write(d, forwarded, p); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// written forgets the pieces.
func (f *flight) written() {
	for i := range f.streams {
		for j := range f.streams[i] {
			f.streams[i][j].ready = nil
		}
	}
}

// stream is one message's bytes while they pass.
type stream struct {
	next   int64
	prefix []byte
	ready  []piece
}

// piece is a run of bytes without a gap, at most chunkLimit long.
type piece struct {
	at    int64
	parts [][]byte
	size  int
}

func (p piece) bytes() []byte {
	if len(p.parts) == 1 {
		return p.parts[0]
	}
	return bytes.Join(p.parts, nil)
}

// add takes bytes that stand at offset at.
func (s *stream) add(at int64, data []byte) {
	s.keep(at, data)
	s.next = max(s.next, at+int64(len(data)))
	for len(data) > 0 {
		p := s.last(at)
		n := min(len(data), chunkLimit-p.size)
		p.parts = append(p.parts, data[:n])
		p.size += n
		data, at = data[n:], at+int64(n)
	}
}

// last is the piece that goes on at offset at.
func (s *stream) last(at int64) *piece {
	if n := len(s.ready); n > 0 {
		p := &s.ready[n-1]
		if p.at+int64(p.size) == at && p.size < chunkLimit {
			return p
		}
	}
	s.ready = append(s.ready, piece{at: at})
	return &s.ready[len(s.ready)-1]
}

func (s *stream) keep(at int64, data []byte) {
	have := len(s.prefix)
	if at != int64(have) || have >= prefixLimit {
		return
	}
	n := min(len(data), prefixLimit-have)
	if have == 0 {
		s.prefix = data[:n:n] // most messages come in one piece
		return
	}
	s.prefix = append(s.prefix, data[:n]...)
}

// prefixed reads a message whose beginning is in memory.
type prefixed struct {
	prefix []byte
	rest   io.ReaderAt
}

func (r prefixed) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(r.prefix)) {
		return r.rest.ReadAt(p, off)
	}
	n := copy(p, r.prefix[off:])
	if n == len(p) {
		return n, nil
	}
	m, err := r.rest.ReadAt(p[n:], off+int64(n))
	return n + m, err
}
