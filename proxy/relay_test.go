package proxy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"mpproxy/internal/pki"
	"mpproxy/traffic"
)

const get = "GET /SMS_MP/.sms_aut?MPLIST HTTP/1.1\r\nHost: mp01\r\n\r\n"

// plain is a proxy between plain HTTP on both sides.
func plain(t *testing.T) (sink *memory, s *Server, agent, mp *net.TCPConn) {
	t.Helper()
	sink = newMemory()
	l, target := upstream(t)
	s, addr := start(t, Config{Listeners: []Listener{{Scheme: HTTP, Upstream: target}}, Sink: sink})
	agent = dial(t, addr)
	write(t, agent, get)
	mp = accept(t, l)
	expect(t, mp, get)
	return sink, s, agent, mp
}

func TestEndsAreMirrored(t *testing.T) {
	const reply = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	reset := func(c *net.TCPConn) { c.SetLinger(0); c.Close() }
	for _, c := range []struct {
		name      string
		play      func(t *testing.T, agent, mp *net.TCPConn)
		agent, up traffic.End
		fate      traffic.Fate
		code      string
	}{
		{"agent closes after the reply", func(t *testing.T, agent, mp *net.TCPConn) {
			write(t, mp, reply)
			expect(t, agent, reply)
			agent.Close()
			expectEOF(t, mp)
			mp.Close()
		}, traffic.EndFIN, traffic.EndFIN, traffic.Passed, ""},
		{"agent half-closes and waits", func(t *testing.T, agent, mp *net.TCPConn) {
			agent.CloseWrite()
			expectEOF(t, mp)
			write(t, mp, reply)
			expect(t, agent, reply)
			mp.Close()
			expectEOF(t, agent)
		}, traffic.EndFIN, traffic.EndFIN, traffic.Passed, ""},
		{"upstream closes without a reply", func(t *testing.T, agent, mp *net.TCPConn) {
			mp.Close()
			expectEOF(t, agent)
			agent.Close()
		}, traffic.EndFIN, traffic.EndFIN, traffic.Broken, "upstream-no-reply"},
		{"upstream resets without a reply", func(t *testing.T, agent, mp *net.TCPConn) {
			reset(mp)
			if _, err := io.ReadAll(agent); !isReset(err) {
				t.Errorf("agent sees %v, want a reset", err)
			}
		}, traffic.EndProxy, traffic.EndReset, traffic.Broken, "upstream-no-reply"},
		{"upstream resets within the reply", func(t *testing.T, agent, mp *net.TCPConn) {
			write(t, mp, reply[:len(reply)-1])
			expect(t, agent, reply[:len(reply)-1])
			reset(mp)
			if _, err := io.ReadAll(agent); !isReset(err) {
				t.Errorf("agent sees %v, want a reset", err)
			}
		}, traffic.EndProxy, traffic.EndReset, traffic.Broken, "http-cut-short"},
		{"upstream closes within the reply", func(t *testing.T, agent, mp *net.TCPConn) {
			write(t, mp, reply[:len(reply)-1])
			expect(t, agent, reply[:len(reply)-1])
			mp.Close()
			expectEOF(t, agent)
			agent.Close()
		}, traffic.EndFIN, traffic.EndFIN, traffic.Broken, "http-cut-short"},
		{"agent resets while it waits", func(t *testing.T, agent, mp *net.TCPConn) {
			reset(agent)
			if _, err := io.ReadAll(mp); !isReset(err) {
				t.Errorf("management point sees %v, want a reset", err)
			}
		}, traffic.EndReset, traffic.EndProxy, traffic.Broken, "http-not-awaited"},
		{"agent closes while it waits", func(t *testing.T, agent, mp *net.TCPConn) {
			agent.Close()
			expectEOF(t, mp)
			mp.Close()
		}, traffic.EndFIN, traffic.EndFIN, traffic.Broken, "http-not-awaited"},
		{"agent resets within a request", func(t *testing.T, agent, mp *net.TCPConn) {
			write(t, mp, reply)
			expect(t, agent, reply)
			const half = "POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nhalf"
			write(t, agent, half)
			expect(t, mp, half)
			reset(agent)
			if _, err := io.ReadAll(mp); !isReset(err) {
				t.Errorf("management point sees %v, want a reset", err)
			}
		}, traffic.EndReset, traffic.EndProxy, traffic.Broken, "http-cut-short"},
		{"agent closes within a head", func(t *testing.T, agent, mp *net.TCPConn) {
			write(t, mp, reply)
			expect(t, agent, reply)
			write(t, agent, "POST / HT")
			agent.Close()
			expect(t, mp, "POST / HT")
			expectEOF(t, mp)
			mp.Close()
		}, traffic.EndFIN, traffic.EndFIN, traffic.Broken, "http-cut-short"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			sink, _, agent, mp := plain(t)
			c.play(t, agent, mp)
			conn, xs := sink.conn(t, 1)
			if conn.AgentLeg.End != c.agent || conn.UpstreamLeg.End != c.up {
				t.Errorf("legs ended %q and %q, want %q and %q", conn.AgentLeg.End, conn.UpstreamLeg.End, c.agent, c.up)
			}
			last := xs[len(xs)-1]
			if last.Fate != c.fate {
				t.Errorf("fate %q, want %q (%s)", last.Fate, c.fate, last.Err)
			}
			if c.code != "" && !slices.Contains(findings(last), c.code) {
				t.Errorf("findings %v, want %s", findings(last), c.code)
			}
			if c.code == "" && len(last.Findings) > 0 {
				t.Errorf("a healthy exchange has findings %v", findings(last))
			}
		})
	}
}

// An early refusal has to reach an agent that is still sending.
func TestEarlyReplyToLargeUpload(t *testing.T) {
	const early = "HTTP/1.1 413 Request Entity Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
	sink := newMemory()
	l, target := upstream(t)
	_, addr := start(t, Config{Listeners: []Listener{{Scheme: HTTP, Upstream: target}}, Sink: sink})
	agent := dial(t, addr)
	write(t, agent, "POST / HTTP/1.1\r\nContent-Length: 100000000\r\n\r\n")
	mp := accept(t, l)
	expect(t, mp, "POST / HTTP/1.1\r\nContent-Length: 100000000\r\n\r\n")
	write(t, mp, early)
	expect(t, agent, early)
	mp.Close()
	agent.Close()
	_, xs := sink.conn(t, 1)
	if s := xs[0].Reply.Head.Status(); s != 413 || !xs[0].Reply.Whole {
		t.Errorf("recorded status %d, whole %v; want the 413", s, xs[0].Reply.Whole)
	}
}

func TestUpstreamOutOfReach(t *testing.T) {
	closed, target := upstream(t)
	closed.Close()
	ca, mint, _ := authority(t)
	_ = ca
	tlsTarget := startTLS(t, &tls.Config{Certificates: []tls.Certificate{*mustLeaf(t, mint, "other.example")}})
	for _, c := range []struct {
		name   string
		target Target
		dial   Dial
		words  string
		code   string
	}{
		{"refused", target, nil, "connection refused", "upstream-unreachable"},
		{"unknown name", Target{Host: "mp01.invalid", Port: "80"}, func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "mp01.invalid", IsNotFound: true}}
		}, "unknown to this machine's DNS", "upstream-unreachable"},
		{"silent", Target{Host: "mp01.invalid", Port: "80"}, func(context.Context, string, string) (net.Conn, error) {
			return nil, context.DeadlineExceeded
		}, "timeout", "upstream-unreachable"},
		{"wrong certificate", tlsTarget, nil, "TLS failed", "upstream-tls-failed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			sink := newMemory()
			_, addr := start(t, Config{Listeners: []Listener{{Scheme: HTTP, Upstream: c.target}}, Sink: sink, Dial: c.dial})
			agent := dial(t, addr)
			write(t, agent, "POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody")
			reply, err := io.ReadAll(agent)
			if err != nil || !strings.HasPrefix(string(reply), "HTTP/1.1 502 Bad Gateway\r\n") || !strings.Contains(string(reply), c.words) {
				t.Errorf("agent got %q, %v; want a 502 with %q", reply, err, c.words)
			}
			agent.Close()
			_, xs := sink.conn(t, 1)
			if xs[0].Fate != traffic.Answered || !slices.Contains(findings(xs[0]), c.code) {
				t.Errorf("fate %q, findings %v; want answered, %s", xs[0].Fate, findings(xs[0]), c.code)
			}
			if got := sink.wire(xs[0].ID, traffic.Reply, true); !bytes.Equal(got, reply) {
				t.Errorf("recorded answer %q, sent %q", got, reply)
			}
		})
	}
}

func mustLeaf(t *testing.T, m *pki.Minter, names ...string) *tls.Certificate {
	t.Helper()
	c, err := m.Leaf(names, true)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// startTLS is a management point that shakes hands and answers each head with
// its length, until the test ends.
func startTLS(t *testing.T, cfg *tls.Config) Target {
	t.Helper()
	l, target := upstream(t)
	target.TLS = true
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				deadline(c)
				secure := tls.Server(c, cfg)
				var b [4096]byte
				for {
					n, err := secure.Read(b[:])
					if err != nil {
						return
					}
					if bytes.HasSuffix(b[:n], []byte("\r\n\r\n")) {
						io.WriteString(secure, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
					}
				}
			}()
		}
	}()
	return target
}

func TestTLSOnBothLegs(t *testing.T) {
	site, siteMint, siteRoots := authority(t)
	_, mint, roots := authority(t)
	agentCert := issue(t, site, pki.IssueRequest{CommonName: "PC-0001", Usage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	proxyCert := issue(t, site, pki.IssueRequest{CommonName: "PROXY", Usage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(v), func(t *testing.T) {
			sink := newMemory()
			target := startTLS(t, &tls.Config{
				Certificates: []tls.Certificate{*mustLeaf(t, siteMint, "localhost", "127.0.0.1", "mp01.lab.example")},
				ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: siteRoots,
			})
			target.Host = "localhost"
			_, addr := start(t, Config{
				Listeners: []Listener{{Upstream: target}}, Sink: sink, Mint: mint,
				Upstream: UpstreamTLS{Roots: siteRoots, Certificate: proxyCert, MaxVersion: v},
			})
			agent := tls.Client(dial(t, addr), &tls.Config{
				ServerName: "mp01.lab.example", RootCAs: roots, MaxVersion: v, Certificates: []tls.Certificate{*agentCert},
			})
			write(t, agent, get)
			expect(t, agent, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			agent.Close()
			conn, xs := sink.conn(t, 1)
			a, u := sink.shake(1, traffic.AgentSide), sink.shake(1, traffic.UpstreamSide)
			if a == nil || u == nil || a.TLS == nil || u.TLS == nil {
				t.Fatalf("handshakes %+v %+v, want both to be there", a, u)
			}
			if a.TLS.Version != v || u.TLS.Version != v || a.TLS.ServerName != "mp01.lab.example" {
				t.Errorf("negotiated %s %q and %s", a.TLS.VersionName, a.TLS.ServerName, u.TLS.VersionName)
			}
			if len(a.PeerCertificates) == 0 || !bytes.Equal(a.PeerCertificates[0], agentCert.Certificate[0]) {
				t.Error("the agent's client certificate was not recorded")
			}
			if !u.ClientCertAsked || len(u.OwnCertificates) == 0 || !bytes.Equal(u.OwnCertificates[0], proxyCert.Certificate[0]) {
				t.Error("the certificate shown to the management point was not recorded")
			}
			for _, h := range []*traffic.Handshake{a, u} {
				if len(h.In) < 100 || len(h.Out) < 100 || h.In[0] != recordHandshake || h.Out[0] != recordHandshake {
					t.Errorf("%s leg: raw handshake not kept (%d and %d bytes)", h.Side, len(h.In), len(h.Out))
				}
			}
			if !xs[0].TLS || xs[0].Fate != traffic.Passed || len(conn.Findings) > 0 {
				t.Errorf("exchange TLS %v, fate %q, findings %v", xs[0].TLS, xs[0].Fate, conn.Findings)
			}
		})
	}
}

// A refused certificate is a row like any other, with the alert's bytes.
func TestAgentRefusesCertificate(t *testing.T) {
	_, mint, _ := authority(t)
	_, _, strangers := authority(t)
	for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(v), func(t *testing.T) {
			sink := newMemory()
			_, target := upstream(t)
			_, addr := start(t, Config{Listeners: []Listener{{Upstream: target}}, Sink: sink, Mint: mint})
			err := tls.Client(dial(t, addr), &tls.Config{ServerName: "mp01.lab.example", RootCAs: strangers, MaxVersion: v}).Handshake()
			var unknown x509.UnknownAuthorityError
			if !errors.As(err, &unknown) {
				t.Fatalf("agent: %v, want an unknown authority", err)
			}
			_, xs := sink.conn(t, 1)
			h := sink.shake(1, traffic.AgentSide)
			if h == nil || h.Err == "" || h.TLS != nil || len(xs) != 1 {
				t.Fatalf("handshake %+v with %d exchanges, want a failed one and a row for it", h, len(xs))
			}
			if v == tls.VersionTLS12 && !bytes.HasSuffix(h.In, []byte{21, 3, 3, 0, 2, 2, 42}) {
				t.Errorf("the agent's alert is not among the bytes kept: % x", h.In)
			}
			x := xs[0]
			if x.Fate != traffic.Broken || !strings.HasSuffix(x.Err, "alert of the agent") || len(findings(x)) != 1 || findings(x)[0] != "tls-agent-handshake-failed" {
				t.Errorf("fate %q, %s, findings %v", x.Fate, x.Err, findings(x))
			}
			if !bytes.Equal(sink.wire(x.ID, traffic.Request, false), h.In) || !bytes.Equal(sink.wire(x.ID, traffic.Reply, true), h.Out) {
				t.Error("the row does not have the handshake's bytes")
			}
		})
	}
}

func TestForward(t *testing.T) {
	_, mint, roots := authority(t)
	_, siteMint, siteRoots := authority(t)
	secure := startTLS(t, &tls.Config{Certificates: []tls.Certificate{*mustLeaf(t, siteMint, "127.0.0.1")}})
	l, target := upstream(t)
	to := net.JoinHostPort(target.Host, target.Port)
	users := map[string]string{"lab": "secret"}
	newProxy := func(t *testing.T, lis Listener) (*memory, *net.TCPConn) {
		sink := newMemory()
		lis.Mode = Forward
		_, addr := start(t, Config{Listeners: []Listener{lis}, Sink: sink, Mint: mint, Upstream: UpstreamTLS{Roots: siteRoots}})
		return sink, dial(t, addr)
	}
	const established = "HTTP/1.1 200 Connection established\r\n\r\n"
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

	t.Run("CONNECT with TLS", func(t *testing.T) {
		sink, c := newProxy(t, Listener{})
		write(t, c, "CONNECT "+net.JoinHostPort(secure.Host, secure.Port)+" HTTP/1.1\r\nHost: x\r\n\r\n")
		expect(t, c, established)
		agent := tls.Client(c, &tls.Config{ServerName: "127.0.0.1", RootCAs: roots})
		write(t, agent, get)
		expect(t, agent, ok)
		agent.Close()
		if _, xs := sink.conn(t, 1); len(xs) != 1 || sink.shake(1, traffic.AgentSide).In[0] != recordHandshake {
			t.Errorf("%d exchanges, handshake %+v", len(xs), sink.shake(1, traffic.AgentSide))
		}
	})
	// An agent that takes us for its management point is told so: nothing of it
	// may go on, least of all by HTTP what came by TLS.
	t.Run("TLS as to a management point", func(t *testing.T) {
		sink, c := newProxy(t, Listener{})
		agent := tls.Client(c, &tls.Config{ServerName: "127.0.0.1", RootCAs: roots})
		write(t, agent, "GET /SMS_MP/.sms_aut?mplist HTTP/1.1\r\nHost: "+to+"\r\n\r\n")
		expect(t, agent, "HTTP/1.1 400 Bad Request\r\n")
		agent.Close()
		conn, xs := sink.conn(t, 1)
		if conn.Upstream != "" || len(xs) != 1 || len(xs[0].Findings) != 1 || xs[0].Findings[0].Kind != &doorRefused || !strings.Contains(xs[0].Findings[0].Evidence, "over TLS: the agent takes") {
			t.Errorf("went on to %q, exchanges %+v", conn.Upstream, xs)
		}
	})
	t.Run("TLS as to a management point, never opened", func(t *testing.T) {
		sink := newMemory()
		_, addr := start(t, Config{Listeners: []Listener{{Mode: Forward, TLS: Passthrough}}, Sink: sink})
		if err := tls.Client(dial(t, addr), &tls.Config{ServerName: "127.0.0.1"}).Handshake(); err == nil {
			t.Error("somebody shook hands")
		}
		if conn, xs := sink.conn(t, 1); conn.Upstream != "" || len(xs) != 1 || len(xs[0].Findings) != 1 || xs[0].Findings[0].Kind != &doorRefused {
			t.Errorf("went on to %q, exchanges %+v", conn.Upstream, xs)
		}
	})
	t.Run("CONNECT to no host", func(t *testing.T) {
		sink, c := newProxy(t, Listener{})
		write(t, c, "CONNECT :443 HTTP/1.1\r\n\r\n")
		expect(t, c, "HTTP/1.1 400 Bad Request\r\n")
		c.Close()
		if conn, _ := sink.conn(t, 1); conn.Upstream != "" {
			t.Errorf("went on to %q", conn.Upstream)
		}
	})
	for given, want := range map[string]string{
		"": "no credentials", "Proxy-Authorization: NTLM TlRM\r\n": "another scheme", "Proxy-Authorization: Basic bGFiOnJlZA==\r\n": "not in --proxy-auth-file",
	} {
		t.Run("CONNECT with "+want, func(t *testing.T) {
			sink, c := newProxy(t, Listener{Users: users})
			write(t, c, "CONNECT "+to+" HTTP/1.1\r\n"+given+"\r\n")
			if said, err := io.ReadAll(c); err != nil || !bytes.HasPrefix(said, []byte("HTTP/1.1 407 ")) {
				t.Errorf("%q, %v", said, err)
			}
			c.Close()
			if _, xs := sink.conn(t, 1); len(xs) != 1 || len(xs[0].Findings) != 1 || !strings.Contains(xs[0].Findings[0].Evidence, want) {
				t.Errorf("exchanges %+v", xs)
			}
		})
	}
	t.Run("CONNECT and the first request in one write", func(t *testing.T) {
		sink, c := newProxy(t, Listener{})
		write(t, c, "CONNECT "+to+" HTTP/1.1\r\n\r\n"+get)
		mp := accept(t, l)
		expect(t, mp, get)
		write(t, mp, ok)
		expect(t, c, established+ok)
		c.Close()
		expectEOF(t, mp)
		mp.Close()
		if _, xs := sink.conn(t, 1); len(xs) != 1 || xs[0].Fate != traffic.Passed {
			t.Errorf("exchanges %+v", xs)
		}
	})
	t.Run("CONNECT to a host not to be opened", func(t *testing.T) {
		sink, c := newProxy(t, Listener{Tunnel: []string{"127.0.0.*:1", target.Host}})
		write(t, c, "CONNECT "+to+" HTTP/1.1\r\n\r\n\x16\x03sealed")
		mp := accept(t, l)
		expect(t, mp, "\x16\x03sealed")
		write(t, mp, "\x15answer")
		expect(t, c, established+"\x15answer")
		c.Close()
		expectEOF(t, mp)
		mp.Close()
		if _, xs := sink.conn(t, 1); len(xs) != 1 || xs[0].Fate != traffic.Tunneled || string(sink.wire(xs[0].ID, traffic.Reply, false)) != "\x15answer" {
			t.Errorf("exchanges %+v", xs)
		}
	})
	t.Run("whole URLs, two hosts on one connection", func(t *testing.T) {
		l2, target2 := upstream(t)
		sink, c := newProxy(t, Listener{})
		first := "get http://" + to + "/x HTTP/1.1\r\nproxy-CONNECTION: keep-alive\r\n\r\n"
		second := "GET http://" + net.JoinHostPort(target2.Host, target2.Port) + "/y HTTP/1.1\r\n\r\n"
		write(t, c, first+second)
		mp := accept(t, l)
		expect(t, mp, first)
		write(t, mp, ok)
		mp2 := accept(t, l2)
		expect(t, mp2, second)
		write(t, mp2, ok)
		expect(t, c, ok+ok)
		c.Close()
		expectEOF(t, mp2)
		mp2.Close()
		if _, xs := sink.conn(t, 1); len(xs) != 2 || xs[0].Fate != traffic.Passed || xs[1].Fate != traffic.Passed {
			t.Errorf("exchanges %+v", xs)
		}
	})
	t.Run("credentials stay here", func(t *testing.T) {
		sink, c := newProxy(t, Listener{Users: users})
		write(t, c, "GET http://"+to+"/x HTTP/1.1\r\nA: b\r\nProxy-Authorization: Basic bGFiOnNlY3JldA==\r\nC: d\r\n\r\n")
		mp := accept(t, l)
		expect(t, mp, "GET http://"+to+"/x HTTP/1.1\r\nA: b\r\nC: d\r\n\r\n")
		write(t, mp, ok)
		expect(t, c, ok)
		c.Close()
		expectEOF(t, mp)
		mp.Close()
		if _, xs := sink.conn(t, 1); xs[0].Sent == nil || !xs[0].Sent.SameBody || xs[0].Fate != traffic.Passed {
			t.Errorf("exchange %+v", xs[0])
		}
	})
	for name, head := range map[string]string{
		"CONNECT": "CONNECT " + to + " HTTP/1.1\r\n\r\n", "GET": "GET http://" + to + "/ HTTP/1.1\r\n\r\n",
		"wrong password": "CONNECT " + to + " HTTP/1.1\r\nProxy-Authorization: Basic bGFiOndyb25n\r\n\r\n",
	} {
		t.Run(name+" without credentials", func(t *testing.T) {
			sink, c := newProxy(t, Listener{Users: users})
			write(t, c, head)
			if b, _ := io.ReadAll(c); !bytes.HasPrefix(b, []byte("HTTP/1.1 407 ")) || !bytes.Contains(b, []byte(askForPassword)) {
				t.Errorf("got %q, want a 407", b)
			}
			c.Close()
			if _, xs := sink.conn(t, 1); len(xs) != 1 || xs[0].Fate != traffic.Answered || xs[0].Returned == nil || xs[0].Returned.Head.Status() != 407 {
				t.Errorf("exchanges %+v", xs)
			}
		})
	}
	t.Run("no host", func(t *testing.T) {
		_, c := newProxy(t, Listener{})
		write(t, c, "GET /x HTTP/1.1\r\n\r\n")
		if b, _ := io.ReadAll(c); !bytes.HasPrefix(b, []byte("HTTP/1.1 400 ")) {
			t.Errorf("got %q, want a 400", b)
		}
	})
}

// A stop lets open exchanges finish, and ends idle connections.
func TestDrain(t *testing.T) {
	sink := newMemory()
	l, target := upstream(t)
	s, err := New(Config{Listeners: []Listener{{Address: "127.0.0.1:0", Scheme: HTTP, Upstream: target}}, Sink: sink})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	addr := s.Addrs()[0].String()
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	quiet, busy := dial(t, addr), dial(t, addr)
	write(t, quiet, get)
	mp := accept(t, l)
	expect(t, mp, get)
	write(t, mp, ok)
	expect(t, quiet, ok)
	write(t, busy, get)
	mp2 := accept(t, l)
	expect(t, mp2, get)
	stop()
	expectEOF(t, quiet)
	if c, err := net.Dial("tcp", addr); err == nil {
		c.Close()
		t.Error("still accepts after the stop")
	}
	write(t, mp2, ok)
	expect(t, busy, ok)
	expectEOF(t, busy)
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("Serve does not return though nothing is open")
	}
	if _, xs := sink.conn(t, 2); xs[0].Fate != traffic.Passed {
		t.Errorf("the open exchange ended %q", xs[0].Fate)
	}
}

// A kill ends at once what a drain would wait for.
func TestKill(t *testing.T) {
	sink, s, agent, _ := plain(t)
	s.Kill()
	if _, err := io.ReadAll(agent); err == nil {
		t.Log("agent saw an orderly end")
	}
	if _, xs := sink.conn(t, 1); xs[0].Fate != traffic.Broken {
		t.Errorf("fate %q, want broken", xs[0].Fate)
	}
}

// Large bodies stream both ways at once without either side's help.
func TestLargeBodies(t *testing.T) {
	sink := newMemory()
	l, target := upstream(t)
	_, addr := start(t, Config{Listeners: []Listener{{Scheme: HTTP, Upstream: target}}, Sink: sink})
	agent := dial(t, addr)
	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<19) // 8 MiB
	go func() {
		io.WriteString(agent, "BITS_POST /CCM_Incoming/x HTTP/1.1\r\nContent-Length: 8388608\r\n\r\n")
		agent.Write(body)
	}()
	mp := accept(t, l)
	expect(t, mp, "BITS_POST /CCM_Incoming/x HTTP/1.1\r\nContent-Length: 8388608\r\n\r\n")
	write(t, mp, "HTTP/1.1 200 OK\r\nContent-Length: 8388608\r\n\r\n")
	go io.Copy(mp, io.TeeReader(io.LimitReader(mp, 8<<20), io.Discard))
	expect(t, agent, "HTTP/1.1 200 OK\r\nContent-Length: 8388608\r\n\r\n")
	h := sha256.New()
	if _, err := io.CopyN(h, agent, 8<<20); err != nil {
		t.Fatal(err)
	}
	if want := sha256.Sum256(body); !bytes.Equal(h.Sum(nil), want[:]) {
		t.Error("the echoed body differs")
	}
	agent.Close()
	mp.Close()
	if _, xs := sink.conn(t, 1); xs[0].Fate != traffic.Passed {
		t.Errorf("fate %q %s", xs[0].Fate, xs[0].Err)
	}
}

// Who ended an upload is said rightly: the management point did.
func TestUpstreamResetsWithinUpload(t *testing.T) {
	sink := newMemory()
	l, target := upstream(t)
	_, addr := start(t, Config{Listeners: []Listener{{Scheme: HTTP, Upstream: target}}, Sink: sink})
	agent := dial(t, addr)
	const half = "POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\nhalf"
	write(t, agent, half)
	mp := accept(t, l)
	expect(t, mp, half)
	mp.SetLinger(0)
	mp.Close()
	io.ReadAll(agent)
	_, xs := sink.conn(t, 1)
	if x := xs[0]; x.Fate != traffic.Broken || !strings.HasPrefix(x.Err, "the management point ended") {
		t.Errorf("fate %q: %s", x.Fate, x.Err)
	}
}
