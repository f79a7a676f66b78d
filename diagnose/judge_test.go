package diagnose

import (
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"time"

	"mpproxy/traffic"
)

// TestJudge makes what no peer at hand does, from evidence put together.
func TestJudge(t *testing.T) {
	now := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	conn := func() *traffic.Conn {
		return &traffic.Conn{ID: 1, Opened: now, Closed: now.Add(time.Second), Agent: "192.0.2.7:5000", AgentLeg: traffic.Leg{BytesIn: 10, End: traffic.EndFIN}}
	}
	for _, c := range []struct {
		name            string
		ref, code, sure string
		evidence        func() Evidence
	}{
		{name: "the server's certificate is no certificate", ref: "A19", code: "tls-server-cert-unreadable", sure: "certain", evidence: func() Evidence {
			c := conn()
			c.UpstreamLeg.Handshake = &traffic.Handshake{Side: traffic.UpstreamSide, Began: now, Ended: now, TLS: &traffic.TLSInfo{}, PeerCertificates: [][]byte{{0x30, 0x03, 1, 2, 3}}}
			return Evidence{Conn: c}
		}},
		{name: "a second renegotiation", ref: "M10", code: "upstream-renegotiation-refused", sure: "certain", evidence: func() Evidence {
			return Evidence{Conn: conn(), Exchanges: []Exchange{{ID: 1, Method: "GET", Target: "/", Err: "read: local error: tls: no renegotiation"}}}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			fs := Judge(c.evidence())
			if len(fs) == 0 {
				t.Fatal("nothing was found")
			}
			if f := fs[0]; f.Kind.Ref != c.ref || f.Kind.Code != c.code || f.Sure != c.sure {
				t.Errorf("found %s %s, %s; want %s %s, %s", f.Kind.Ref, f.Kind.Code, f.Sure, c.ref, c.code, c.sure)
			}
		})
	}
}

// TestHealthCheck: a management point that asks itself without a certificate is
// told from an agent.
func TestHealthCheck(t *testing.T) {
	ask := func(agent string) string {
		c := &traffic.Conn{Agent: agent, UpstreamLeg: traffic.Leg{Address: "192.0.2.5:443"}}
		c.AgentLeg.Handshake = &traffic.Handshake{Side: traffic.AgentSide, TLS: &traffic.TLSInfo{}, ClientCertAsked: true}
		c.UpstreamLeg.Handshake = &traffic.Handshake{Side: traffic.UpstreamSide, TLS: &traffic.TLSInfo{}, ClientCertAsked: true}
		x := Exchange{ID: 1, Method: "GET", Target: "/SMS_MP/.sms_aut?MPLIST", Status: 403, Reason: "Forbidden"}
		fs := Judge(Evidence{Conn: c, Exchanges: []Exchange{x}})
		if len(fs) == 0 || fs[0].Kind.Ref != "A12" {
			t.Fatalf("findings %+v", fs)
		}
		return strings.Join(fs[0].Proof, "\n")
	}
	if proof := ask("192.0.2.5:60000"); !strings.Contains(proof, "its health check") {
		t.Errorf("the management point's own request is not known: %s", proof)
	}
	if proof := ask("192.0.2.7:60000"); strings.Contains(proof, "its health check") {
		t.Errorf("an agent's request is taken for the management point's: %s", proof)
	}
}

// TestStopped: a handshake that ends with mpproxy is nobody's fault.
func TestStopped(t *testing.T) {
	for _, err := range []string{"context canceled", "read tcp 1->2: use of closed network connection"} {
		c := &traffic.Conn{Closed: time.Unix(1, 0), AgentLeg: traffic.Leg{BytesIn: 5, End: traffic.EndProxy}}
		c.AgentLeg.Handshake = &traffic.Handshake{Side: traffic.AgentSide, In: []byte{22, 3, 1, 0, 200}, Err: err}
		c.UpstreamLeg.Handshake = &traffic.Handshake{Side: traffic.UpstreamSide, Out: []byte{22, 3, 1, 0, 200}, Err: err}
		if fs := Judge(Evidence{Conn: c}); len(fs) > 0 {
			t.Errorf("%s: found %s", err, fs[0].Kind.Code)
		}
	}
}

// TestFold: repeated findings are one group with its span and its agents, and
// what is explained stands behind its cause.
func TestFold(t *testing.T) {
	at := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	find := func(r *rule, moot string) Finding {
		return Finding{Finding: traffic.Finding{Kind: &r.kind, Leg: traffic.AgentSide, Sure: likely}, MootBy: moot}
	}
	var cs []ConnDiagnosis
	for i := range 30 {
		cs = append(cs, ConnDiagnosis{
			Conn: traffic.ConnID(i + 1), Agent: "192.0.2." + string(rune('a'+i)), At: at.Add(time.Duration(30-i) * time.Minute),
			Findings: []Finding{find(&forbidden, noClientCert.kind.Code), find(&noClientCert, "")},
		})
	}
	groups := Fold(cs)
	if len(groups) != 2 || groups[0].Example.Kind.Ref != "A12" || groups[1].MootBy != noClientCert.kind.Code {
		t.Fatalf("groups %+v", groups)
	}
	g := groups[0]
	if g.Count != 30 || g.AgentCount != 30 || len(g.Agents) != maxAgents || !g.First.Equal(at.Add(time.Minute)) || !g.Last.Equal(at.Add(30*time.Minute)) {
		t.Errorf("group %+v", g)
	}
}

// TestAlertIn: crypto/tls names alerts in words of its own; the longest name
// that fits is meant.
func TestAlertIn(t *testing.T) {
	for text, want := range map[string]int{
		"remote error: tls: unknown certificate authority":               48,
		"remote error: tls: unknown certificate":                         46,
		"read tcp 1->2: remote error: tls: certificate required":         116,
		"it took no more: write: remote error: tls: expired certificate": 45,
		"local error: tls: bad record MAC":                               -1,
		"remote error: tls: nonsense":                                    -1,
		"":                                                               -1,
	} {
		code, found := alertIn(text, "remote error: ")
		if found != (want >= 0) || found && int(code) != want {
			t.Errorf("%q: %d %t, want %d", text, code, found, want)
		}
	}
}

// FuzzJudge: whatever stands in handshakes, nothing panics and every finding is
// whole.
func FuzzJudge(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\n"), []byte{21, 3, 3, 0, 2, 2, 48}, "remote error: tls: bad certificate", uint8(0))
	f.Add([]byte{22, 3, 1, 0, 5, 1, 0, 0, 1, 0}, []byte{22, 3, 3, 0, 4, 11, 0, 0, 0}, "EOF", uint8(3))
	f.Fuzz(func(t *testing.T, in, out []byte, err string, shape uint8) {
		hs := &traffic.Handshake{Side: traffic.AgentSide, In: in, Out: out, Err: err}
		if shape&1 != 0 {
			hs.TLS, hs.PeerCertificates, hs.OwnCertificates = &traffic.TLSInfo{}, [][]byte{in, out}, [][]byte{out}
		}
		up := &traffic.Handshake{Side: traffic.UpstreamSide, In: out, Out: in, Err: err}
		c := &traffic.Conn{Closed: time.Unix(1, 0), AgentLeg: traffic.Leg{BytesIn: int64(len(in)), Handshake: hs, End: traffic.EndFIN}}
		if shape&2 != 0 {
			c.UpstreamLeg = traffic.Leg{Handshake: up, End: traffic.EndReset, Err: err}
		}
		if shape&4 != 0 {
			hs.Err, hs.PassedThrough = "", true
		}
		x := Exchange{ID: 1, Method: "CCM_POST", Target: string(in), Status: 400 + int(shape)%120, Reason: err, Err: err}
		var h History
		h.Add(&x)
		h.AddConn(c)
		for _, found := range Judge(Evidence{Conn: c, Exchanges: []Exchange{x}, History: &h}) {
			if found.Kind == nil || len(found.Proof) == 0 || len(found.Do) == 0 || !strings.Contains("certain likely possible", found.Sure) || found.Sure == "" {
				t.Fatalf("finding without content: %+v", found)
			}
		}
	})
}

// TestLacking: a list that has any authority of the agent's chain lets it show
// its certificate; of one that was sent alone it is not known what is above it.
func TestLacking(t *testing.T) {
	for _, c := range []struct {
		names, issuers []string
		sure           string
	}{
		{nil, []string{"CN=A", "CN=Root"}, ""},
		{[]string{"CN=Root"}, nil, ""},
		{[]string{"CN=Root"}, []string{"CN=A", "CN=Root"}, ""},
		{[]string{"CN=B", "CN=A"}, []string{"CN=A", "CN=Root"}, ""},
		{[]string{"CN=B"}, []string{"CN=A"}, "possible"},
		{[]string{"CN=B"}, []string{"CN=A", "CN=Root"}, "likely"},
	} {
		if sure, lacks := lacking(c.names, c.issuers); sure != c.sure || lacks != (c.sure != "") {
			t.Errorf("%q for %q: %t, %q; want %q", c.names, c.issuers, lacks, sure, c.sure)
		}
	}
}

// TestSilence: a management point that says nothing is found also when mpproxy
// was stopped while it waited, but not when it had hardly begun to.
func TestSilence(t *testing.T) {
	begin := time.Unix(1_700_000_000, 0)
	for waited, want := range map[time.Duration]bool{time.Second: false, 20 * time.Second: true} {
		c := &traffic.Conn{Opened: begin, Closed: begin.Add(waited)}
		c.UpstreamLeg.Handshake = &traffic.Handshake{
			Side: traffic.UpstreamSide, Began: begin, Ended: begin.Add(waited), Out: helloBytes(t), Err: "context canceled",
		}
		fs := Judge(Evidence{Conn: c})
		if found := len(fs) > 0 && fs[0].Kind.Ref == "M03" && fs[0].Who == networkSide && fs[0].Sure == likely; found != want {
			t.Errorf("after %s: %+v", waited, fs)
		}
	}
}

// helloBytes are a ClientHello of crypto/tls.
func helloBytes(t *testing.T) []byte {
	t.Helper()
	near, far := net.Pipe()
	go func() {
		_ = tls.Client(near, &tls.Config{ServerName: "mp01.lab.example", MaxVersion: tls.VersionTLS12}).Handshake()
	}()
	defer near.Close()
	b := make([]byte, 4096)
	n, err := far.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}
