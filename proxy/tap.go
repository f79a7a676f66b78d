package proxy

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"mpproxy/traffic"
)

// tap is a net.Conn that remembers: how many bytes passed, the first of them
// until it is told to stop, and how and when the peer ended it. Under a TLS
// leg it keeps what crypto/tls does not tell: the raw handshake and its
// alerts.
type tap struct {
	net.Conn
	now     func() time.Time
	in, out atomic.Int64
	// keeping is true while the first bytes are kept.
	keeping atomic.Bool

	mu            sync.Mutex
	pushed        []byte // read but given back
	firstIn       []byte
	firstOut      []byte
	end           traffic.End
	endedAt       time.Time
	endErr        string
	closedByProxy bool
}

func newTap(c net.Conn, now func() time.Time) *tap {
	return &tap{Conn: c, now: now}
}

// keep begins to keep the first bytes of both directions.
func (t *tap) keep() { t.keeping.Store(true) }

// taken stops keeping and returns what was kept.
func (t *tap) taken() (in, out []byte) {
	t.keeping.Store(false)
	t.mu.Lock()
	defer t.mu.Unlock()
	in, out = t.firstIn, t.firstOut
	t.firstIn, t.firstOut = nil, nil
	return in, out
}

// peek returns the first byte without taking it.
func (t *tap) peek() (byte, error) {
	var b [1]byte
	n, err := t.Conn.Read(b[:])
	if n == 0 {
		t.ended(err)
		return 0, err
	}
	t.mu.Lock()
	t.pushed = append(t.pushed, b[0])
	t.mu.Unlock()
	return b[0], nil
}

func (t *tap) Read(p []byte) (n int, err error) {
	if n = t.unpush(p); n == 0 {
		n, err = t.Conn.Read(p)
	}
	t.in.Add(int64(n))
	if t.keeping.Load() {
		t.mu.Lock()
		t.firstIn = keepFirst(t.firstIn, p[:n])
		t.mu.Unlock()
	}
	if err != nil {
		t.ended(err)
	}
	return n, err
}

func (t *tap) unpush(p []byte) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := copy(p, t.pushed)
	if t.pushed = t.pushed[n:]; len(t.pushed) == 0 {
		t.pushed = nil
	}
	return n
}

func (t *tap) Write(p []byte) (int, error) {
	n, err := t.Conn.Write(p)
	t.out.Add(int64(n))
	if t.keeping.Load() {
		t.mu.Lock()
		t.firstOut = keepFirst(t.firstOut, p[:n])
		t.mu.Unlock()
	}
	if err != nil {
		t.ended(err)
	}
	return n, err
}

func keepFirst(kept, p []byte) []byte {
	return append(kept, p[:min(len(p), traffic.HandshakeLimit-len(kept))]...)
}

// ended notes the first sign that the peer is gone.
func (t *tap) ended(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.end != traffic.EndOpen {
		return
	}
	t.endedAt = t.now()
	switch {
	case t.closedByProxy:
		t.end = traffic.EndProxy
	case errors.Is(err, io.EOF):
		t.end = traffic.EndFIN
	case isReset(err):
		t.end, t.endErr = traffic.EndReset, err.Error()
	case errors.Is(err, os.ErrDeadlineExceeded):
		t.end, t.endErr = traffic.EndTimeout, err.Error()
	default:
		t.end, t.endErr = traffic.EndReset, err.Error()
	}
}

// wsaReset and wsaAborted are WSAECONNRESET and WSAECONNABORTED, which the
// syscall package of Windows does not map to ECONNRESET.
const (
	wsaReset   = syscall.Errno(10054)
	wsaAborted = syscall.Errno(10053)
)

func isReset(err error) bool {
	var no syscall.Errno
	return errors.As(err, &no) &&
		(no == syscall.ECONNRESET || no == syscall.EPIPE || no == wsaReset || no == wsaAborted)
}

// leg is the connection's story as the capture keeps it.
func (t *tap) leg() traffic.Leg {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := traffic.Leg{
		Address: t.RemoteAddr().String(),
		BytesIn: t.in.Load(), BytesOut: t.out.Load(),
		End: t.end, EndedAt: t.endedAt, Err: t.endErr,
	}
	if l.End == traffic.EndOpen {
		l.End, l.EndedAt = traffic.EndProxy, t.now()
	}
	return l
}

// patience bounds how long the peer is waited for, until it is given back. A
// wait that was too long is no end of the connection.
func (t *tap) patience(d time.Duration) (back func()) {
	_ = t.SetReadDeadline(time.Now().Add(d))
	return func() {
		_ = t.SetReadDeadline(time.Time{})
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.end == traffic.EndTimeout {
			t.end, t.endErr, t.endedAt = traffic.EndOpen, "", time.Time{}
		}
	}
}

// CloseWrite sends a FIN and leaves the other direction open.
func (t *tap) CloseWrite() error {
	if c, ok := t.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}

// Close ends the connection from our side.
func (t *tap) Close() error {
	t.mu.Lock()
	t.closedByProxy = true
	t.mu.Unlock()
	return t.Conn.Close()
}

// reset ends the connection with a reset in place of a FIN.
func (t *tap) reset() {
	if c, ok := t.Conn.(interface{ SetLinger(int) error }); ok {
		_ = c.SetLinger(0) // a peer that is gone already needs no reset
	}
	_ = t.Close()
}
