package capture

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mpproxy/traffic"
)

// start is when the traffic of these tests begins.
var start = time.Date(2026, 5, 4, 10, 41, 0, 0, time.UTC)

// play makes traffic as a proxy tells it.
type play struct {
	take func(traffic.Event)
	// conns and exchanges are the last numbers given.
	conns     traffic.ConnID
	exchanges traffic.ExchangeID
	// now is moved on by a millisecond with each event of an exchange.
	now time.Time
	// pieces is how many bytes a Chunk has at most; zero is all in one.
	pieces int
	// told are the exchanges that are over.
	told []*traffic.Exchange
}

func newPlay(take func(traffic.Event)) *play { return &play{take: take, now: start} }

func (p *play) tick() time.Time {
	p.now = p.now.Add(time.Millisecond)
	return p.now
}

// open opens a connection of an agent.
func (p *play) open(agent string) traffic.Conn {
	p.conns++
	c := traffic.Conn{
		ID: p.conns, Listener: "http://127.0.0.1:8080", Mode: "reverse", Agent: agent,
		Upstream: "mp01.lab.example:80", Opened: p.tick(),
		AgentLeg: traffic.Leg{Address: agent}, UpstreamLeg: traffic.Leg{Address: "198.51.100.5:80"},
	}
	p.take(traffic.ConnOpened{Conn: c})
	return c
}

// close closes it.
func (p *play) close(c traffic.Conn) {
	c.Closed = p.tick()
	c.AgentLeg.End, c.UpstreamLeg.End = traffic.EndFIN, traffic.EndProxy
	c.AgentLeg.EndedAt, c.UpstreamLeg.EndedAt = c.Closed, c.Closed
	p.take(traffic.ConnClosed{Conn: c})
}

// begin tells the beginning of an exchange and its request.
func (p *play) begin(c traffic.Conn, request []byte) *traffic.Exchange {
	p.exchanges++
	x := &traffic.Exchange{ID: p.exchanges, Conn: c.ID, Begun: p.tick(), Origin: "agent", Fate: traffic.InFlight}
	x.TLS = strings.HasPrefix(c.Listener, "https")
	_, x.Request.Head = splitHead(request)
	x.Request.Framing = framingOf(x.Request.Head)
	p.take(traffic.ExchangeBegun{Exchange: *x})
	x.Request.Size, x.Request.Whole = int64(len(request)), true
	p.bytes(x.ID, traffic.Request, false, request)
	return x
}

// end tells the reply and the end. change may change the exchange before.
func (p *play) end(x *traffic.Exchange, reply []byte, change ...func(*traffic.Exchange)) {
	x.Fate = traffic.Passed
	if len(reply) > 0 {
		x.Replied = p.tick()
		p.bytes(x.ID, traffic.Reply, false, reply)
		x.Reply.Interim, x.Reply.Head = splitHead(reply)
		x.Reply.Framing, x.Reply.Size, x.Reply.Whole = framingOf(x.Reply.Head), int64(len(reply)), true
	}
	x.Ended = p.tick()
	for _, f := range change {
		f(x)
	}
	p.told = append(p.told, x)
	p.take(traffic.ExchangeOver{Exchange: x})
}

// exchange is begin and end.
func (p *play) exchange(c traffic.Conn, request, reply []byte, change ...func(*traffic.Exchange)) *traffic.Exchange {
	x := p.begin(c, request)
	p.end(x, reply, change...)
	return x
}

func (p *play) bytes(id traffic.ExchangeID, d traffic.Dir, forwarded bool, b []byte) {
	size := p.pieces
	if size == 0 {
		size = max(1, len(b))
	}
	at := int64(0)
	for piece := range slices.Chunk(b, size) {
		p.take(traffic.Chunk{Exchange: id, Dir: d, Forwarded: forwarded, Offset: at, Data: bytes.Clone(piece)})
		at += int64(len(piece))
	}
}

// message is a request or reply with a body and its length.
func message(start string, body string, fields ...string) []byte {
	head := strings.Join(append([]string{start}, fields...), "\r\n")
	return fmt.Appendf(nil, "%s\r\nContent-Length: %d\r\n\r\n%s", head, len(body), body)
}

// sample is an HTTP message of the samples.
func sample(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "testdata", "samples", "wire", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// steady are options with a clock that stands still and no waiting: a flush
// comes at once.
func steady() Options {
	return Options{
		Now:   func() time.Time { return start },
		After: func(time.Duration) <-chan time.Time { c := make(chan time.Time); close(c); return c },
	}
}

// record opens a new capture; it is closed at the end of the test at the
// latest.
func record(t testing.TB, opts Options) *Recorder {
	t.Helper()
	r, err := Create(filepath.Join(t.TempDir(), "test.mpdb"), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(context.Background()) })
	return r
}

func flush(t testing.TB, r *Recorder) {
	t.Helper()
	if err := r.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func closeRecorder(t testing.TB, r *Recorder) {
	t.Helper()
	if err := r.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func openTest(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// mustBeSound fails the test when the capture is damaged.
func mustBeSound(t testing.TB, s *Store) {
	t.Helper()
	problems, err := s.Check(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Error("check:", p)
	}
}
