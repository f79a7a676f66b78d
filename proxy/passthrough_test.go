package proxy

import (
	"bytes"
	"crypto/tls"
	"net"
	"testing"

	"mpproxy/traffic"
)

// Passed through, agent and management point shake hands with each other; the
// record has both sides' bytes.
func TestPassthrough(t *testing.T) {
	_, siteMint, siteRoots := authority(t)
	target := startTLS(t, &tls.Config{Certificates: []tls.Certificate{*mustLeaf(t, siteMint, "mp01.lab.example")}})
	for _, mode := range []Mode{Reverse, Forward} {
		t.Run(string(mode), func(t *testing.T) {
			sink := newMemory()
			_, addr := start(t, Config{Listeners: []Listener{{Mode: mode, Upstream: target, TLS: Passthrough}}, Sink: sink})
			c := dial(t, addr)
			if mode == Forward {
				write(t, c, "CONNECT "+net.JoinHostPort(target.Host, target.Port)+" HTTP/1.1\r\n\r\n")
				expect(t, c, "HTTP/1.1 200 Connection established\r\n\r\n")
			}
			agent := tls.Client(c, &tls.Config{ServerName: "mp01.lab.example", RootCAs: siteRoots})
			write(t, agent, get)
			expect(t, agent, okReply)
			agent.Close()
			conn, xs := sink.conn(t, 1)
			h := sink.shake(1, traffic.AgentSide)
			if h == nil || h.TLS != nil || h.Err != "" || !bytes.HasPrefix(h.In, []byte{22, 3, 1}) || !bytes.HasPrefix(h.Out, []byte{22, 3, 3}) {
				t.Fatalf("handshake %+v, want both sides' hellos", h)
			}
			if !bytes.Contains(h.In, []byte("mp01.lab.example")) {
				t.Error("the agent's hello was not kept")
			}
			if len(xs) != 1 || xs[0].Fate != traffic.Tunneled || len(xs[0].Findings) > 0 || conn.UpstreamLeg.Handshake != nil || len(conn.Findings) > 0 {
				t.Errorf("exchanges %+v, findings %v", xs, conn.Findings)
			}
		})
	}
}

// A handshake that stops between agent and management point is a row that says
// so: in a long list nobody would find the agent that cannot get in.
func TestPassthroughStopped(t *testing.T) {
	_, siteMint, siteRoots := authority(t)
	target := startTLS(t, &tls.Config{Certificates: []tls.Certificate{*mustLeaf(t, siteMint, "mp01.lab.example")}, MinVersion: tls.VersionTLS12})
	_, _, others := authority(t)
	for _, c := range []struct {
		name  string
		agent *tls.Config
		want  string
	}{
		{"distrusts", &tls.Config{RootCAs: others, MaxVersion: tls.VersionTLS12}, "bad_certificate (42), alert of the agent"},
		{"distrusts, TLS 1.3", &tls.Config{RootCAs: others}, "ended by the agent after the server's messages"},
		{"too old", &tls.Config{RootCAs: siteRoots, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, "protocol_version (70), alert of the management point"},
	} {
		t.Run(c.name, func(t *testing.T) {
			sink := newMemory()
			_, addr := start(t, Config{Listeners: []Listener{{Upstream: target, TLS: Passthrough}}, Sink: sink})
			c.agent.ServerName = "mp01.lab.example"
			raw := dial(t, addr)
			if tls.Client(raw, c.agent).Handshake() == nil {
				t.Fatal("the handshake did not fail")
			}
			raw.Close()
			_, xs := sink.conn(t, 1)
			if len(xs) != 1 || xs[0].Err != c.want || len(xs[0].Findings) != 1 || xs[0].Findings[0].Evidence != c.want {
				t.Errorf("recorded %+v, want one exchange that says %q", xs, c.want)
			}
		})
	}
}

// What is no TLS is read as ever: passthrough is about TLS alone.
func TestPassthroughOfPlainHTTP(t *testing.T) {
	sink := newMemory()
	l, target := upstream(t)
	_, addr := start(t, Config{Listeners: []Listener{{Upstream: target, TLS: Passthrough}}, Sink: sink})
	agent := dial(t, addr)
	write(t, agent, get)
	mp := accept(t, l)
	expect(t, mp, get)
	write(t, mp, okReply)
	expect(t, agent, okReply)
	agent.Close()
	mp.Close()
	if _, xs := sink.conn(t, 1); xs[0].Fate != traffic.Passed {
		t.Errorf("fate %q", xs[0].Fate)
	}
}

// With auto, an agent that has refused our certificate reaches the management
// point from its next connection on.
func TestRefusalThenPassthrough(t *testing.T) {
	_, mint, _ := authority(t)
	_, siteMint, siteRoots := authority(t)
	target := startTLS(t, &tls.Config{Certificates: []tls.Certificate{*mustLeaf(t, siteMint, "mp01.lab.example")}})
	sink := newMemory()
	_, addr := start(t, Config{Listeners: []Listener{{Upstream: target, TLS: TerminateOrPass}}, Sink: sink, Mint: mint, Upstream: UpstreamTLS{Roots: siteRoots}})
	cfg := &tls.Config{ServerName: "mp01.lab.example", RootCAs: siteRoots}
	if tls.Client(dial(t, addr), cfg).Handshake() == nil {
		t.Fatal("the agent took our certificate")
	}
	sink.conn(t, 1)
	agent := tls.Client(dial(t, addr), cfg)
	write(t, agent, get)
	expect(t, agent, okReply)
	agent.Close()
	conn, xs := sink.conn(t, 2)
	if len(conn.Findings) != 1 || conn.Findings[0].Kind.Code != "tls-passed-through" || len(xs) != 1 || xs[0].Fate != traffic.Tunneled {
		t.Errorf("findings %v, exchanges %+v", conn.Findings, xs)
	}
}

func TestRefusalsAreBounded(t *testing.T) {
	var r refusals
	r.add("192.0.2.1:1")
	for i := range maxRefusals {
		r.add(net.IPv4(10, byte(i>>16), byte(i>>8), byte(i)).String() + ":1")
	}
	if r.has("192.0.2.1:99") || !r.has("10.0.0.5:99") || r.order.Len() != maxRefusals {
		t.Errorf("%d remembered", r.order.Len())
	}
}
