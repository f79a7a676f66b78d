package tlsrecord

import (
	"bytes"
	"io"
	"net"
	"sync"
	"time"
)

// wire makes two connected ends that remember what went through. Unlike
// net.Pipe it takes every write at once, as a socket does: a server that sends
// its alert while the client still writes would otherwise wait for ever.
func wire() (near, far *end) {
	a, b := newFlow(), newFlow()
	return &end{in: a, out: b}, &end{in: b, out: a}
}

// end is one end of a wire.
type end struct {
	net.Conn // nil: what is not below is not used
	in, out  *flow
}

func (e *end) Read(b []byte) (int, error)       { return e.in.read(b) }
func (e *end) Write(b []byte) (int, error)      { return e.out.write(b) }
func (e *end) Close() error                     { e.in.close(); e.out.close(); return nil }
func (e *end) SetDeadline(time.Time) error      { return nil }
func (e *end) SetReadDeadline(time.Time) error  { return nil }
func (e *end) SetWriteDeadline(time.Time) error { return nil }

// flow is one direction: all that was written, and how much of it was read.
type flow struct {
	mu     sync.Mutex
	more   *sync.Cond
	data   bytes.Buffer
	taken  int
	closed bool
}

func newFlow() *flow {
	f := &flow{}
	f.more = sync.NewCond(&f.mu)
	return f
}

func (f *flow) write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return 0, io.ErrClosedPipe
	}
	f.more.Broadcast()
	return f.data.Write(b)
}

func (f *flow) read(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.taken == f.data.Len() {
		if f.closed {
			return 0, io.EOF
		}
		f.more.Wait()
	}
	n := copy(b, f.data.Bytes()[f.taken:])
	f.taken += n
	return n, nil
}

func (f *flow) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	f.more.Broadcast()
}

// all is everything that was written.
func (f *flow) all() []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return bytes.Clone(f.data.Bytes())
}
