package proxy

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"mpproxy/traffic"
)

// tap is a net.Conn that remembers: how many bytes passed, the first of them
// until it is told to stop, and how and when the peer ended it. Under a TLS
// leg it keeps what crypto/tls does not tell: the raw handshake and its
// alerts, and of what follows the types of the records.
type tap struct {
	net.Conn
	now     func() time.Time
	in, out atomic.Int64
	// keeping is true while the first bytes are kept, secure from then on.
	keeping, secure atomic.Bool

	// passed is told of all bytes, when they are kept; nil else. It is set
	// before TLS begins.
	passed func(in bool, at time.Time, p []byte)

	// sealed is true under TLS that is passed through: where its handshake ends
	// nobody says, so the records behind the bytes that are kept are noted. It
	// is set before TLS begins.
	sealed bool

	mu            sync.Mutex
	pushed        []byte // read but given back
	began         time.Time
	firstIn       []byte
	firstOut      []byte
	inMarks       traffic.Marks
	outMarks      traffic.Marks
	inRecords     records
	outRecords    records
	again         *traffic.CertificateAsked
	askedAt       time.Time
	shownAgain    []byte
	writeErr      string
	tlsErr        string
	end           traffic.End
	endedAt       time.Time
	endErr        string
	closedByProxy bool
}

func newTap(c net.Conn, now func() time.Time) *tap {
	return &tap{Conn: c, now: now}
}

// keep begins to keep the first bytes of both directions, and to follow their
// records.
func (t *tap) keep() {
	t.began = t.now()
	t.keeping.Store(true)
	t.secure.Store(true)
}

// taken stops keeping and gives what was kept to a handshake.
func (t *tap) taken(hs *traffic.Handshake) {
	t.keeping.Store(false)
	t.mu.Lock()
	defer t.mu.Unlock()
	hs.Began = t.began
	hs.In, hs.Out, hs.InMarks, hs.OutMarks = t.firstIn, t.firstOut, t.inMarks, t.outMarks
	t.firstIn, t.firstOut, t.inMarks, t.outMarks = nil, nil, nil, nil
}

// stamp is the time of what passes now; zero where nobody asks, since most
// bytes need none.
func (t *tap) stamp() (at time.Time) {
	if t.secure.Load() || t.passed != nil {
		at = t.now()
	}
	return at
}

// first are the first bytes of both directions so far.
func (t *tap) first() (in, out []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return bytes.Clone(t.firstIn), bytes.Clone(t.firstOut)
}

// pass is what is remembered of TLS when bytes pass in one direction. at is
// when they had been read, or were about to be written: an answer to bytes that
// were written may be read before Write returns, and is later all the same.
func (t *tap) pass(p []byte, at time.Time, first *[]byte, marks *traffic.Marks, rs *records) {
	if !t.secure.Load() || len(p) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.keeping.Load() {
		rs.follow(p, true, at)
		return
	}
	had := len(*first)
	*first = keepFirst(*first, p)
	kept := len(*first) > had
	if kept {
		marks.Add(len(*first), at.Sub(t.began))
	}
	rs.follow(p, t.sealed && !kept, at)
}

// askedAgain notes a client certificate asked for by renegotiation.
func (t *tap) askedAgain(a *traffic.CertificateAsked, shown []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.again, t.askedAt, t.shownAgain = a, t.now(), shown
}

// said notes what crypto/tls says about the end of the leg.
func (t *tap) said(err error) {
	if err == nil || errors.Is(err, io.EOF) {
		return
	}
	text := err.Error()
	if !strings.Contains(text, "tls: ") || strings.Contains(text, "protocol is shutdown") {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.tlsErr != "" || t.closedByProxy {
		return
	}
	t.tlsErr = text
	if t.end == traffic.EndOpen && strings.HasPrefix(text, "remote error: ") {
		t.end, t.endedAt = traffic.EndAlert, t.now()
	}
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
	at := t.stamp()
	t.pass(p[:n], at, &t.firstIn, &t.inMarks, &t.inRecords)
	if t.passed != nil && n > 0 {
		t.passed(true, at, p[:n])
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
	at := t.stamp()
	n, err := t.Conn.Write(p)
	t.out.Add(int64(n))
	t.pass(p[:n], at, &t.firstOut, &t.outMarks, &t.outRecords)
	if t.passed != nil && n > 0 {
		t.passed(false, at, p[:n])
	}
	if err != nil {
		t.writeFailed(err)
		t.ended(err)
	}
	return n, err
}

func keepFirst(kept, p []byte) []byte {
	return append(kept, p[:min(len(p), traffic.HandshakeLimit-len(kept))]...)
}

func (t *tap) writeFailed(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.writeErr == "" && !t.closedByProxy {
		t.writeErr = err.Error()
	}
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
	switch {
	case t.tlsErr != "" && l.Err != "":
		l.Err = t.tlsErr + "; " + l.Err
	case t.tlsErr != "":
		l.Err = t.tlsErr
	}
	return l
}

// after is what TLS did after the handshake; nil when there is nothing to tell.
func (t *tap) after() *traffic.Afterwards {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := &traffic.Afterwards{
		In: t.inRecords.noted, Out: t.outRecords.noted, LastIn: t.inRecords.last, LastOut: t.outRecords.last,
		Again: t.again, Shown: t.shownAgain, WriteErr: t.writeErr,
	}
	if !t.askedAt.IsZero() {
		a.AskedAt = t.askedAt.UnixMicro()
	}
	if !t.secure.Load() || a.LastIn == 0 && a.LastOut == 0 && a.WriteErr == "" {
		return nil
	}
	return a
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
