package proxy

import (
	"io"
	"sync"

	"mpproxy/traffic"
)

// readSize is how much is read, and so written, at once. TLS records hold no
// more, and a larger write would keep crypto/tls from answering a
// renegotiation in the middle of a body.
const readSize = 16 << 10

// buffers lends read buffers to legs that have something to read. An idle leg
// owns none: thousands of agents keep connections open and say nothing.
var buffers = sync.Pool{New: func() any { return new([readSize]byte) }}

// inbox holds what was read from a peer and not yet passed on.
type inbox struct {
	src    io.Reader
	lent   *[readSize]byte
	buf    []byte
	r, w   int
	single [1]byte
}

// bytes is what is there.
func (in *inbox) bytes() []byte { return in.buf[in.r:in.w] }

// drop forgets the first n bytes.
func (in *inbox) drop(n int) {
	if in.r += n; in.r == in.w {
		in.r, in.w = 0, 0
	}
}

// idle gives the buffer back when nothing is in it.
func (in *inbox) idle() {
	if in.w != in.r || in.buf == nil {
		return
	}
	if in.lent != nil {
		buffers.Put(in.lent)
	}
	in.lent, in.buf = nil, nil
}

// more reads at least one byte. An empty inbox waits with a buffer of one
// byte, so that waiting costs no memory.
func (in *inbox) more() error {
	if in.buf == nil {
		n, err := in.src.Read(in.single[:])
		if n == 0 {
			return noProgress(err)
		}
		in.lent = buffers.Get().(*[readSize]byte)
		in.buf = in.lent[:]
		in.buf[0], in.r, in.w = in.single[0], 0, 1
		return nil
	}
	if in.w == len(in.buf) {
		in.grow()
	}
	n, err := in.src.Read(in.buf[in.w:])
	in.w += n
	if n > 0 {
		return nil
	}
	return noProgress(err)
}

// grow makes room: by moving what is left to the front, else by doubling up
// to what a head may need.
func (in *inbox) grow() {
	if in.r > 0 {
		in.w = copy(in.buf, in.buf[in.r:in.w])
		in.r = 0
		return
	}
	bigger := make([]byte, min(2*len(in.buf), 2*traffic.MaxHead))
	copy(bigger, in.buf[:in.w])
	if in.lent != nil {
		buffers.Put(in.lent)
	}
	in.lent, in.buf = nil, bigger
}

func noProgress(err error) error {
	if err == nil {
		return io.ErrNoProgress
	}
	return err
}

// Read takes what is there before it reads on, so that an inbox can stand in
// for its connection.
func (in *inbox) Read(p []byte) (int, error) {
	if in.r < in.w {
		n := copy(p, in.bytes())
		in.drop(n)
		return n, nil
	}
	in.idle()
	return in.src.Read(p)
}
