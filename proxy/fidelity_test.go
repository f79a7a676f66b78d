package proxy

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"

	"mpproxy/traffic"
)

// script is what two peers say to each other over one connection.
type script struct {
	turns []turn
	// close is who ends the connection once all is said: the agent, or the
	// management point (a reply that ends with its connection).
	upstreamCloses bool
	// atOnce is for messages whose end nobody can know: the agent says all and
	// closes its side, then the management point does.
	atOnce bool
}

// turn is a request, or several at once, and what is answered.
type turn struct {
	request, reply []byte
	// first is answered when early bytes of the request have come: an interim
	// reply.
	early int
	first []byte
}

// TestFidelity is the promise of the house: what the management point receives
// is what the agent sent, byte for byte, and so are the replies, and so is the
// record. 10 000 random legal messages, and a thousand that are not.
func TestFidelity(t *testing.T) {
	for _, c := range []struct {
		name     string
		messages int
		make     func(*generator) script
	}{
		{"legal", 10_000, (*generator).legal},
		{"illegal", 1_000, (*generator).illegal},
	} {
		t.Run(c.name, func(t *testing.T) {
			const workers = 4
			for w := range workers {
				t.Run(fmt.Sprint(w), func(t *testing.T) {
					t.Parallel()
					playAll(t, &generator{r: rand.New(rand.NewPCG(uint64(w), uint64(c.messages)))}, c.messages/workers, c.make)
				})
			}
		})
	}
}

func playAll(t *testing.T, g *generator, messages int, next func(*generator) script) {
	sink := newMemory()
	mp, target := upstream(t)
	_, addr := start(t, Config{Listeners: []Listener{{Scheme: HTTP, Upstream: target}}, Sink: sink})
	for id := 1; g.made < messages; id++ {
		s := next(g)
		sent, said := s.play(t, addr, mp)
		_, xs := sink.conn(t, traffic.ConnID(id))
		if got := sink.all(xs, 1); !bytes.Equal(got, sent) {
			t.Fatalf("connection %d: recorded request bytes differ from those sent\n%q\n%q", id, got, sent)
		}
		if got := sink.all(xs, 2); !bytes.Equal(got, said) {
			t.Fatalf("connection %d: recorded reply bytes differ from those sent\n%q\n%q", id, got, said)
		}
		sink.forget()
	}
}

// forget makes room for the next connection.
func (m *memory) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.closed)
	clear(m.begun)
	clear(m.over)
	clear(m.bytes)
	m.order = nil
}

// play says the script through the proxy and compares both ends.
func (s script) play(t *testing.T, addr string, mp net.Listener) (sent, said []byte) {
	agent := dial(t, addr)
	defer agent.Close()
	for _, turn := range s.turns {
		sent = append(sent, turn.request...)
		said = append(append(said, turn.first...), turn.reply...)
	}
	var wg sync.WaitGroup
	wg.Go(func() { s.answer(t, mp) })
	wg.Go(func() {
		for _, turn := range s.turns {
			if _, err := agent.Write(turn.request); err != nil {
				t.Error("agent writes:", err)
				return
			}
			if s.atOnce {
				agent.CloseWrite()
			}
			got := make([]byte, len(turn.first)+len(turn.reply))
			n, err := io.ReadFull(agent, got)
			if want := append(bytes.Clone(turn.first), turn.reply...); !bytes.Equal(got[:n], want) {
				t.Errorf("agent got %q (%v), want %q after %q", got[:n], err, want, turn.request)
				return
			}
		}
		if !s.upstreamCloses && !s.atOnce {
			agent.CloseWrite()
		}
		if rest, err := io.ReadAll(agent); len(rest) > 0 || err != nil {
			t.Errorf("agent got %q, %v after the end", rest, err)
		}
	})
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return sent, said
}

func (s script) answer(t *testing.T, mp net.Listener) {
	c, err := mp.Accept()
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	deadline(c)
	for _, turn := range s.turns {
		got := make([]byte, len(turn.request))
		n, err := io.ReadFull(c, got[:turn.early])
		if len(turn.first) > 0 {
			c.Write(turn.first)
		}
		if err == nil {
			var m int
			m, err = io.ReadFull(c, got[turn.early:])
			n += m
		}
		if !bytes.Equal(got[:n], turn.request) {
			t.Errorf("management point got %q (%v), want %q", got[:n], err, turn.request)
			return
		}
		if s.atOnce {
			if rest, err := io.ReadAll(c); len(rest) > 0 || err != nil {
				t.Errorf("management point got %q, %v after %q", rest, err, turn.request)
			}
		}
		c.Write(turn.reply)
	}
	if !s.upstreamCloses && !s.atOnce {
		if rest, err := io.ReadAll(c); len(rest) > 0 || err != nil {
			t.Errorf("management point got %q, %v after the end", rest, err)
		}
	}
}

// generator makes random traffic, the same for the same seed.
type generator struct {
	r    *rand.Rand
	made int
}

func pick[T any](g *generator, of ...T) T { return of[g.r.IntN(len(of))] }

func (g *generator) legal() script {
	var s script
	for range 1 + g.r.IntN(6) {
		s.turns = append(s.turns, g.exchange())
		if g.r.IntN(6) == 0 { // pipelined: the next one without waiting
			second := g.exchange()
			last := &s.turns[len(s.turns)-1]
			last.request = append(last.request, second.request...)
			last.reply = append(append(last.reply, second.first...), second.reply...)
		}
	}
	switch g.r.IntN(5) {
	case 0:
		s.turns = append(s.turns, g.untilEnd())
		s.upstreamCloses = true
	case 1:
		s.turns = append(s.turns, g.upgrade()...)
	}
	return s
}

// exchange is a request and its reply, both with a known end.
func (g *generator) exchange() turn {
	g.made++
	method := pick(g, "CCM_POST", "CCM_POST", "BITS_POST", "GET", "HEAD", "PROPFIND", "POST", "OPTIONS", "x!#$%&'*+-.^_`|~")
	target := pick(g, "/ccm_system/request", "/SMS_MP/.sms_pol?{"+g.word()+"}.2_00", "*", "/a%20b?"+g.word(), "http://mp01.lab.example/x", "/SMS_DP_SMSPKG$/"+g.word()+"/sccm?/file")
	version := pick(g, "HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0")
	var body, fields string
	chunkable := version == "HTTP/1.1"
	expect := false
	if method != "GET" && method != "HEAD" || g.r.IntN(8) == 0 {
		body, fields = g.body(chunkable)
		expect = chunkable && body != "" && g.r.IntN(4) == 0
	}
	if expect {
		fields += pick(g, "Expect: 100-continue\r\n", "expect:100-Continue\r\n")
	}
	head := pick(g, "", "", "", "\r\n") + method + " " + target + " " + version + "\r\n" + g.fields(fields) + "\r\n"
	tn := turn{request: []byte(head + body), early: 0}
	if expect {
		tn.early = len(head)
		tn.first = []byte(pick(g, "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 100\r\nx-a: b\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"))
	}
	tn.reply = []byte(g.reply(method))
	return tn
}

func (g *generator) reply(method string) string {
	status := pick(g, "200 OK", "200 OK", "204 No Content", "304 Not Modified", "403 Client certificate required", "401 ", "500", "207 Multi-Status")
	body, fields := g.body(true)
	if method == "HEAD" || status[:3] == "204" || status[:3] == "304" {
		body = ""
		fields = pick(g, "", "Content-Length: 17\r\n", fields)
	} else if fields == "" {
		fields = "Content-Length: 0\r\n"
	}
	interim := pick(g, "", "", "", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
	return interim + pick(g, "HTTP/1.1 ", "HTTP/1.1 ", "HTTP/1.0 ") + status + "\r\n" + g.fields(fields) + "\r\n" + body
}

// body is empty, measured, or chunked with extensions and trailers.
func (g *generator) body(chunkable bool) (body, fields string) {
	raw := g.bytes()
	switch n := g.r.IntN(4); {
	case n == 0:
		return "", ""
	case n == 1 && chunkable:
		return g.chunked(raw), pick(g, "Transfer-Encoding: chunked\r\n", "transfer-encoding:gzip, chunked\r\n", "Transfer-Encoding: gzip\r\nX: y\r\nTransfer-Encoding: CHUNKED\r\n")
	}
	return raw, pick(g,
		fmt.Sprintf("Content-Length: %d\r\n", len(raw)),
		fmt.Sprintf("content-length:%05d\r\n", len(raw)),
		fmt.Sprintf("CONTENT-LENGTH:\t%d \r\nContent-Length: %d\r\n", len(raw), len(raw)),
		fmt.Sprintf("Content-Length: %d, %d\r\n", len(raw), len(raw)))
}

func (g *generator) chunked(raw string) string {
	var b strings.Builder
	for raw != "" {
		n := 1 + g.r.IntN(len(raw))
		fmt.Fprintf(&b, pick(g, "%x", "%X", "0%x", "%x ")+pick(g, "", "", ";ext", `;name="a;b"`)+"\r\n", n)
		b.WriteString(raw[:n] + "\r\n")
		raw = raw[n:]
	}
	return b.String() + pick(g, "0", "000", "0;last") + "\r\n" + pick(g, "", "", "X-Trailer: 1\r\n", "A: b\r\n c\r\nD:\r\n") + "\r\n"
}

// fields mixes what is needed with what is odd but legal.
func (g *generator) fields(needed string) string {
	var lines []string
	if needed != "" {
		lines = strings.SplitAfter(strings.TrimSuffix(needed, "\r\n"), "\r\n")
		lines[len(lines)-1] += "\r\n"
	}
	for range g.r.IntN(8) {
		at := g.r.IntN(len(lines) + 1)
		odd := pick(g, "Host: mp01.lab.example\r\n", "hOsT:\r\n", "X-Empty:\r\n", "Accept: */*\r\nAccept: text/xml\r\n",
			"Connection: Keep-Alive\r\n", "connection: keep-alive, x\r\n", "X-Folded: one\r\n two\r\n\tthree\r\n", "X-Bytes: \x80\xff\xe4\r\n",
			"ClientToken: GUID:"+g.word()+";2026-03-02T08:15:30Z;2\r\n", "X-Long: "+strings.Repeat(g.word(), g.r.IntN(300))+"\r\n")
		lines = append(lines[:at], append([]string{odd}, lines[at:]...)...)
	}
	return strings.Join(lines, "")
}

// untilEnd is a last exchange whose reply ends with its connection.
func (g *generator) untilEnd() turn {
	g.made++
	return turn{
		request: []byte("GET /CCM_Client/ccmsetup.cab HTTP/1.0\r\n" + g.fields("") + "\r\n"),
		reply:   []byte("HTTP/1.0 200 OK\r\n" + g.fields("") + "\r\n" + g.bytes()),
	}
}

// upgrade turns the connection into something that is no HTTP.
func (g *generator) upgrade() []turn {
	g.made++
	return []turn{
		{
			request: []byte("GET /bgb HTTP/1.1\r\n" + g.fields("Upgrade: bgb\r\nConnection: Upgrade\r\n") + "\r\n"),
			reply:   []byte("HTTP/1.1 101 Switching Protocols\r\n" + g.fields("Upgrade: bgb\r\n") + "\r\n"),
		},
		{request: []byte("GET \x00 " + g.bytes()), reply: []byte("\r\n" + g.bytes())},
		{request: []byte(g.bytes()), reply: []byte(g.bytes())},
	}
}

// illegal is traffic that a strict peer would refuse: all of it is sent, then
// all of the answer.
func (g *generator) illegal() script {
	g.made++
	body := g.bytes()
	request := pick(g,
		"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"+body,
		"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"+g.chunked(body),
		"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n"+body,
		"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"+g.chunked(body),
		"POST / HTTP/1.1\r\nContent-Length : 3\r\n\r\nabc"+body,
		"POST / HTTP/1.1\r\nContent-Length: +3\r\n\r\n"+body,
		"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n"+body,
		"POST / HTTP/1.1\r\nContent-Length: 3\r\n\t7\r\n\r\n"+body,
		"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"+body,
		"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1234567890abcdef0\r\n"+body,
		"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcX\r\n"+body,
		"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nshort",
		"GET / HTTP/1.1\nHost: bare\nContent-Length: 3\n\nabc",
		"GET / HTTP/1.1\r\nno colon here\r\n: empty name\r\n\x00: nul\r\n\r\n",
		"GET / HTTP/1.1\r\n folded first\r\nA: b\r\n\r\n",
		"GET / HTTP/1.1\r\nA: "+strings.Repeat("x", 70_000)+"\r\n\r\n",
		"GET /"+strings.Repeat("y", 140_000)+" HTTP/1.1\r\n\r\n",
		"GET / HTTP/2.0\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET /\r\n", "GET / HTTP/1.1\r\nCut: off", "\x16\x03\x01\x00\x05hello", "\x00"+body, "G", "\r\n\r\n",
		"GET  /  HTTP/1.1 \r\nA:b\r\n\r\n", "GET / HTTP/1.1\r\nA: b\rc\r\n\r\n", body,
	)
	reply := pick(g,
		"", body, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n"+body,
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcTOO MUCH", "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"+body,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n"+body, "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort",
		"HTTP/1.1 2x0 OK\r\n\r\n", "HTTP/1.1 200", "HTTP/9.9 999\r\n\r\n", "\r\n", "HTTP/1.1 100 Continue\r\n\r\n"+body,
		"HTTP/1.1 200 OK\r\nA: "+strings.Repeat("z", 70_000)+"\r\n\r\n")
	return script{turns: []turn{{request: []byte(request), reply: []byte(reply)}}, atOnce: true}
}

func (g *generator) word() string {
	b := make([]byte, 1+g.r.IntN(12))
	for i := range b {
		b[i] = "0123456789ABCDEFabcdefghijkl-_."[g.r.IntN(31)]
	}
	return string(b)
}

// bytes are a body of any length up to four read buffers, mostly short.
func (g *generator) bytes() string {
	n := g.r.IntN(200)
	if g.r.IntN(20) == 0 {
		n = g.r.IntN(4 * readSize)
	}
	b := make([]byte, 1+n)
	for i := range b {
		b[i] = byte(g.r.Uint32())
	}
	return string(b)
}
