package proxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"mpproxy/internal/pki"
	"mpproxy/traffic"
)

// memory is a Sink that keeps everything, and can be waited on.
type memory struct {
	mu     sync.Mutex
	closed map[traffic.ConnID]*traffic.Conn
	shakes map[traffic.ConnID][]*traffic.Handshake
	order  []traffic.ExchangeID
	begun  map[traffic.ExchangeID]traffic.Exchange
	over   map[traffic.ExchangeID]*traffic.Exchange
	bytes  map[stream][]byte
	faults []string
	woken  *sync.Cond
}

type stream struct {
	id        traffic.ExchangeID
	dir       traffic.Dir
	forwarded bool
}

func newMemory() *memory {
	m := &memory{
		closed: map[traffic.ConnID]*traffic.Conn{}, shakes: map[traffic.ConnID][]*traffic.Handshake{},
		begun: map[traffic.ExchangeID]traffic.Exchange{}, over: map[traffic.ExchangeID]*traffic.Exchange{},
		bytes: map[stream][]byte{},
	}
	m.woken = sync.NewCond(&m.mu)
	return m
}

func (m *memory) Take(e traffic.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	defer m.woken.Broadcast()
	switch e := e.(type) {
	case traffic.HandshakeOver:
		m.shakes[e.Conn] = append(m.shakes[e.Conn], e.Handshake)
	case traffic.ExchangeBegun:
		m.order = append(m.order, e.Exchange.ID)
		m.begun[e.Exchange.ID] = e.Exchange
	case traffic.Chunk:
		k := stream{e.Exchange, e.Dir, e.Forwarded}
		if int64(len(m.bytes[k])) != e.Offset {
			m.faults = append(m.faults, "chunk with a gap")
		}
		if _, over := m.over[e.Exchange]; over {
			m.faults = append(m.faults, "chunk after its exchange was over")
		}
		m.bytes[k] = append(m.bytes[k], e.Data...)
	case traffic.ExchangeOver:
		m.over[e.Exchange.ID] = e.Exchange
	case traffic.ConnClosed:
		m.closed[e.Conn.ID] = &e.Conn
		for id, x := range m.begun {
			if x.Conn == e.Conn.ID && m.over[id] == nil {
				m.faults = append(m.faults, "connection closed before its exchange was over")
			}
		}
	}
}

// conn waits until a connection is closed and returns it with its exchanges.
func (m *memory) conn(t *testing.T, id traffic.ConnID) (*traffic.Conn, []*traffic.Exchange) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	stop := time.AfterFunc(20*time.Second, m.woken.Broadcast)
	defer stop.Stop()
	for start := time.Now(); m.closed[id] == nil; m.woken.Wait() {
		if time.Since(start) > 20*time.Second {
			t.Fatalf("connection %d was never reported closed", id)
		}
	}
	var xs []*traffic.Exchange
	for _, x := range m.order {
		if m.begun[x].Conn == id {
			xs = append(xs, m.over[x])
		}
	}
	for _, f := range m.faults {
		t.Error(f)
	}
	return m.closed[id], xs
}

func (m *memory) wire(id traffic.ExchangeID, d traffic.Dir, forwarded bool) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.bytes[stream{id, d, forwarded}]
}

// shake is a connection's last handshake on one leg, nil when there was none.
func (m *memory) shake(id traffic.ConnID, side traffic.Side) *traffic.Handshake {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := len(m.shakes[id]) - 1; i >= 0; i-- {
		if h := m.shakes[id][i]; h.Side == side {
			return h
		}
	}
	return nil
}

// all is everything recorded of one direction of a connection, in order.
func (m *memory) all(xs []*traffic.Exchange, d traffic.Dir) []byte {
	var b bytes.Buffer
	for _, x := range xs {
		b.Write(m.wire(x.ID, d, false))
	}
	return b.Bytes()
}

// start runs a proxy until the test ends and returns it with its address.
func start(t *testing.T, cfg Config) (*Server, string) {
	t.Helper()
	for i := range cfg.Listeners {
		if cfg.Listeners[i].Address == "" {
			cfg.Listeners[i].Address = "127.0.0.1:0"
		}
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		s.Kill()
		if err := <-done; err != nil {
			t.Error("serve:", err)
		}
	})
	return s, s.Addrs()[0].String()
}

// upstream listens as a management point; the test accepts by hand.
func upstream(t *testing.T) (net.Listener, Target) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	host, port, _ := net.SplitHostPort(l.Addr().String())
	return l, Target{Host: host, Port: port}
}

func dial(t *testing.T, addr string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	deadline(c)
	t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

func accept(t *testing.T, l net.Listener) *net.TCPConn {
	t.Helper()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	deadline(c)
	t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

func deadline(c net.Conn) { c.SetDeadline(time.Now().Add(20 * time.Second)) }

func write(t *testing.T, c io.Writer, s string) {
	t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		t.Fatal("write:", err)
	}
}

// expect reads exactly what is wanted.
func expect(t *testing.T, c io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	n, err := io.ReadFull(c, got)
	if string(got[:n]) != want {
		t.Fatalf("got %q (%v), want %q", got[:n], err, want)
	}
}

func expectEOF(t *testing.T, c io.Reader) {
	t.Helper()
	if b, err := io.ReadAll(c); err != nil || len(b) > 0 {
		t.Fatalf("got %q, %v; want an orderly end", b, err)
	}
}

func findings(x *traffic.Exchange) []string {
	var codes []string
	for _, f := range x.Findings {
		codes = append(codes, f.Kind.Code)
	}
	return codes
}

// authority is a CA for tests, and what is needed to use it.
func authority(t *testing.T) (*pki.CA, *pki.Minter, *x509.CertPool) {
	t.Helper()
	ca, err := pki.NewCA("mpproxy test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return ca, ca.Minter(nil), ca.Pool()
}

func issue(t *testing.T, ca *pki.CA, r pki.IssueRequest) *tls.Certificate {
	t.Helper()
	c, err := ca.Issue(r)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
