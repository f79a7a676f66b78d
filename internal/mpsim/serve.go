package mpsim

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	headLimit = 64 << 10
	bodyLimit = 30_000_000 // IIS's default
	idleLimit = 2 * time.Minute
)

// connState is what the site knows about a connection.
type connState struct {
	net.Conn
	// left bounds the next reads.
	left int64
	// authenticated is true once Windows authentication went through: it holds
	// for the connection, not for the request.
	authenticated bool
}

// Read keeps to the limit of a head or body.
func (c *connState) Read(b []byte) (int, error) {
	if c.left <= 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := c.Conn.Read(b[:min(int64(len(b)), c.left)])
	c.left -= int64(n)
	return n, err
}

// Serve answers on a listener until ctx ends, then lets running exchanges
// finish. The listener is closed in any case. It returns nil after ctx ended,
// the listener's error otherwise.
func (s *Site) Serve(ctx context.Context, l net.Listener) error {
	return s.serve(ctx, l, nil)
}

// ServeTLS is Serve with HTTPS. A native site asks for a client certificate in
// the first handshake, but takes connections without one: what needs one is
// refused with status 403.
func (s *Site) ServeTLS(ctx context.Context, l net.Listener) error {
	return s.serve(ctx, l, s.tlsConfig())
}

func (s *Site) tlsConfig() *tls.Config {
	config := &tls.Config{
		Certificates: []tls.Certificate{*s.serverCert},
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"http/1.1"},
		Time:         s.cfg.Now,
	}
	if s.cfg.Native {
		config.ClientAuth = tls.RequestClientCert
		config.ClientCAs = s.clientCAs
	}
	return config
}

func (s *Site) serve(ctx context.Context, l net.Listener, config *tls.Config) error {
	var running sync.WaitGroup
	defer running.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	shut := func() { _ = l.Close() } // the second time it is closed already
	defer shut()
	defer context.AfterFunc(ctx, shut)()
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		running.Go(func() { s.serveConn(ctx, conn, config) })
	}
}

// serveConn answers one connection's requests in their order. Errors are the
// peer's and end the connection; the agent sees them.
func (s *Site) serveConn(ctx context.Context, conn net.Conn, config *tls.Config) {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { expire(conn) })()
	var state *tls.ConnectionState
	if config != nil {
		secure := tls.Server(conn, config)
		if secure.HandshakeContext(ctx) != nil {
			return
		}
		cs := secure.ConnectionState()
		conn, state = secure, &cs
		defer func() { _ = secure.Close() }() // the peer may be gone already
	}
	c := &connState{Conn: conn}
	for reader := bufio.NewReader(c); ctx.Err() == nil; {
		if !s.serveNext(ctx, c, reader, state) {
			return
		}
	}
}

// expire ends a connection's reads and writes, also those under way. It fails
// only on a connection that is closed, which has none.
func expire(c net.Conn) { _ = c.SetDeadline(time.Unix(1, 0)) }

// serveNext answers one request and says whether another may follow.
func (s *Site) serveNext(ctx context.Context, c *connState, reader *bufio.Reader, state *tls.ConnectionState) bool {
	c.left = headLimit
	// Never a deadline in the future: it would undo the one that ctx set.
	idle := time.AfterFunc(idleLimit, func() { expire(c) })
	defer idle.Stop()
	request, err := http.ReadRequest(reader)
	if err != nil {
		return false
	}
	request.TLS = state
	if request.ContentLength > bodyLimit {
		tooLarge := page(http.StatusRequestEntityTooLarge, "", "The request filtering module denied a request that exceeds the request content length.")
		tooLarge.close = true
		_ = tooLarge.writeTo(c, s.cfg.Now()) // the connection ends here anyway
		return false
	}
	if strings.EqualFold(request.Header.Get("Expect"), "100-continue") {
		if _, err := io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n"); err != nil {
			return false
		}
	}
	c.left = bodyLimit
	body, err := io.ReadAll(io.LimitReader(request.Body, bodyLimit))
	if err != nil {
		return false
	}
	answer := s.answer(c, request, body)
	if !wait(ctx, answer.delay) {
		return false
	}
	if request.Method == http.MethodHead {
		answer.length, answer.body = len(answer.body), nil
	}
	err = answer.writeTo(c, s.cfg.Now())
	return err == nil && !answer.cut && !answer.close && !request.Close
}

// wait says false when ctx ended first.
func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
