package proxy

import (
	"bytes"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"mpproxy/rules"
	"mpproxy/traffic"
)

func withRules(t *testing.T, src string) (*memory, string, func() io.ReadWriteCloser) {
	t.Helper()
	set, err := rules.Parse("test.yaml", []byte("rules:\n"+src), time.Now(), time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	sink := newMemory()
	l, target := upstream(t)
	_, addr := start(t, Config{
		Listeners: []Listener{{Scheme: HTTP, Upstream: target}}, Sink: sink,
		Rules: func() *rules.Set { return set },
	})
	return sink, addr, func() io.ReadWriteCloser { return accept(t, l) }
}

const okReply = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func TestRuleChangesHead(t *testing.T) {
	sink, addr, mp := withRules(t, "  - {name: r, when: 'method:GET', do: {set: {field: Host, value: mp02.lab.example}}}\n")
	agent := dial(t, addr)
	write(t, agent, get)
	up := mp()
	want := strings.Replace(get, "mp01", "mp02.lab.example", 1)
	expect(t, up, want)
	write(t, up, okReply)
	expect(t, agent, okReply)
	agent.Close()
	expectEOF(t, up)
	up.Close()
	_, xs := sink.conn(t, 1)
	x := xs[0]
	if x.Fate != traffic.Modified || !slices.Equal(x.Rules, []string{"r"}) || x.Sent == nil || x.Sent.Size != int64(len(want)) {
		t.Errorf("fate %q, rules %v, sent %+v", x.Fate, x.Rules, x.Sent)
	}
	if got := string(sink.wire(x.ID, traffic.Request, false)); got != get {
		t.Errorf("received bytes recorded as %q", got)
	}
	if got := string(sink.wire(x.ID, traffic.Request, true)); got != want {
		t.Errorf("forwarded bytes recorded as %q", got)
	}
}

func TestRuleChangesText(t *testing.T) {
	raw, err := os.ReadFile("../testdata/samples/wire/03-policy-request.http")
	if err != nil {
		t.Fatal(err)
	}
	sink, addr, mp := withRules(t, "  - {name: r, when: 'kind:policy-request', do: {replace: {find: PC-0001, with: PC-000002}}}\n")
	agent := dial(t, addr)
	write(t, agent, string(raw)+get) // the next request waits its turn
	up := mp()
	got := make([]byte, len(raw)+100)
	n, _ := io.ReadAtLeast(up, got, bytes.Index(raw, []byte("\r\n\r\n")))
	for !bytes.HasSuffix(got[:n], []byte(get)) {
		m, err := up.Read(got[n:])
		if n += m; err != nil {
			t.Fatal(err)
		}
	}
	write(t, up, okReply+okReply)
	expect(t, agent, okReply+okReply)
	agent.Close()
	expectEOF(t, up)
	up.Close()
	_, xs := sink.conn(t, 1)
	if xs[0].Fate != traffic.Modified || !slices.Contains(findings(xs[0]), "rule-breaks-signature") {
		t.Errorf("fate %q, findings %v", xs[0].Fate, findings(xs[0]))
	}
	if rec := sink.wire(xs[0].ID, traffic.Request, true); !bytes.Equal(rec, got[:n-len(get)]) {
		t.Error("the record of what was forwarded is not what was forwarded")
	}
	if rec := sink.wire(xs[0].ID, traffic.Request, false); !bytes.Equal(rec, raw) {
		t.Error("the record of what was received is not what was received")
	}
	if xs[1].Fate != traffic.Passed {
		t.Errorf("the next request: %q", xs[1].Fate)
	}
}

// With a rule that reads the body, mpproxy asks for it itself, and the
// management point's "100 Continue" does not reach the agent twice.
func TestRuleAndExpect(t *testing.T) {
	sink, addr, mp := withRules(t, "  - {name: r, when: 'text:nosuch', do: {tag: x}}\n")
	agent := dial(t, addr)
	const head = "POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
	write(t, agent, head)
	expect(t, agent, "HTTP/1.1 100 Continue\r\n\r\n")
	write(t, agent, "body")
	up := mp()
	expect(t, up, head+"body")
	write(t, up, "HTTP/1.1 100 Continue\r\n\r\n"+okReply)
	expect(t, agent, okReply)
	agent.Close()
	expectEOF(t, up)
	up.Close()
	_, xs := sink.conn(t, 1)
	if got := string(sink.wire(xs[0].ID, traffic.Reply, false)); got != "HTTP/1.1 100 Continue\r\n\r\n"+okReply {
		t.Errorf("received reply recorded as %q", got)
	}
	if xs[0].Fate != traffic.Passed {
		t.Errorf("fate %q", xs[0].Fate)
	}
}

func TestRuleOnReply(t *testing.T) {
	sink, addr, mp := withRules(t, "  - {name: r, when: 'status:200 method:GET', do: [{remove: {field: Server}}, {tag: seen}]}\n")
	agent := dial(t, addr)
	write(t, agent, get)
	up := mp()
	expect(t, up, get)
	write(t, up, "HTTP/1.1 200 OK\r\nServer: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")
	const want = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"
	expect(t, agent, want) // streams: the end has not come yet
	write(t, up, "0\r\n\r\n")
	expect(t, agent, "0\r\n\r\n")
	agent.Close()
	expectEOF(t, up)
	up.Close()
	_, xs := sink.conn(t, 1)
	if x := xs[0]; x.Fate != traffic.Modified || x.Returned == nil || x.Returned.Size != int64(len(want)+5) || !slices.Equal(x.Tags, []string{"seen"}) {
		t.Errorf("fate %q, returned %+v, tags %v", x.Fate, x.Returned, x.Tags)
	}
}

func TestRuleDrops(t *testing.T) {
	for _, when := range []string{"method:GET", "status:200"} {
		sink, addr, mp := withRules(t, "  - {name: r, when: '"+when+"', do: drop}\n")
		agent := dial(t, addr)
		write(t, agent, get)
		up := mp()
		if when != "method:GET" {
			expect(t, up, get)
			write(t, up, okReply)
		}
		if b, _ := io.ReadAll(agent); len(b) > 0 {
			t.Errorf("%s: the agent got %q", when, b)
		}
		up.Close()
		if _, xs := sink.conn(t, 1); xs[0].Fate != traffic.Dropped || !slices.Equal(xs[0].Rules, []string{"r"}) {
			t.Errorf("%s: fate %q, rules %v", when, xs[0].Fate, xs[0].Rules)
		}
	}
}

func TestRuleDelays(t *testing.T) {
	sink, addr, mp := withRules(t, "  - {name: r, do: {delay: 150ms}}\n")
	agent := dial(t, addr)
	begun := time.Now()
	write(t, agent, get)
	up := mp()
	expect(t, up, get)
	if d := time.Since(begun); d < 150*time.Millisecond {
		t.Errorf("forwarded after %s, want at least 150ms", d)
	}
	write(t, up, okReply)
	expect(t, agent, okReply)
	agent.Close()
	up.Close()
	if _, xs := sink.conn(t, 1); xs[0].Fate != traffic.Passed || !slices.Equal(xs[0].Rules, []string{"r"}) {
		t.Errorf("fate %q, rules %v", xs[0].Fate, xs[0].Rules)
	}
}

// What is too large for a rule to read passes unchanged, and says so.
func TestRuleMeetsLargeBody(t *testing.T) {
	sink, addr, mp := withRules(t, "  - {name: r, when: 'text:x', do: {replace: {find: x, with: y}}}\n")
	agent := dial(t, addr)
	const size = maxText + 100_000
	body := strings.Repeat("x", size)
	go io.WriteString(agent, "POST / HTTP/1.1\r\nContent-Length: 16877216\r\n\r\n"+body) // the other end checks it
	up := mp()
	expect(t, up, "POST / HTTP/1.1\r\nContent-Length: 16877216\r\n\r\n"+body)
	write(t, up, okReply)
	expect(t, agent, okReply)
	agent.Close()
	up.Close()
	if _, xs := sink.conn(t, 1); xs[0].Fate != traffic.Passed || !slices.Contains(findings(xs[0]), "rule-body-too-large") {
		t.Errorf("fate %q, findings %v", xs[0].Fate, findings(xs[0]))
	}
}
