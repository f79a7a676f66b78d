package proxy

import (
	"bytes"
	"crypto/tls"
	"io"
	"strings"
	"testing"

	"mpproxy/traffic"
)

// A large upload is preceded by a HEAD that the agent never sees; small ones
// are not.
func TestPrime(t *testing.T) {
	_, siteMint, siteRoots := authority(t)
	l, target := upstream(t)
	target.TLS = true
	serverTLS := &tls.Config{Certificates: []tls.Certificate{*mustLeaf(t, siteMint, "127.0.0.1")}}
	body := strings.Repeat("x", primeAbove+1)
	for _, c := range []struct{ name, request, primed string }{
		{"large", "CCM_POST /ccm_system/request HTTP/1.1\r\nHost: mp01\r\nContent-Length: 49153\r\n\r\n" + body, "HEAD /ccm_system/request HTTP/1.1\r\nHost: mp01\r\nContent-Length: 0\r\n\r\n"},
		{"small", "CCM_POST /ccm_system/request HTTP/1.1\r\nHost: mp01\r\nContent-Length: 4\r\n\r\nbody", ""},
		{"none", get, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			sink := newMemory()
			_, addr := start(t, Config{
				Listeners: []Listener{{Scheme: HTTP, Upstream: target}}, Sink: sink, Upstream: UpstreamTLS{Roots: siteRoots, Prime: true},
			})
			agent := dial(t, addr)
			go io.WriteString(agent, c.request)
			mp := tls.Server(accept(t, l), serverTLS)
			if c.primed != "" {
				expect(t, mp, c.primed)
				write(t, mp, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 405 No\r\nContent-Length: 99\r\n\r\n")
			}
			expect(t, mp, c.request)
			write(t, mp, okReply)
			expect(t, agent, okReply)
			agent.Close()
			mp.Close()
			_, xs := sink.conn(t, 1)
			if c.primed == "" {
				if len(xs) != 1 || xs[0].Origin != "agent" {
					t.Errorf("exchanges %+v", xs)
				}
				return
			}
			if len(xs) != 2 || xs[0].Origin != "proxy" || xs[0].Fate != traffic.Passed || xs[0].Reply.Head.Status() != 405 || xs[1].Fate != traffic.Passed {
				t.Errorf("exchanges %+v %+v", xs[0], xs[1])
			}
			if !bytes.Equal(sink.wire(xs[0].ID, traffic.Request, false), []byte(c.primed)) {
				t.Error("what the proxy sent itself is not recorded")
			}
		})
	}
}

// A management point that ends the connection over the HEAD, or does not answer
// it, is dialled again: the agent's request must not suffer from ours.
func TestPrimeAnew(t *testing.T) {
	_, siteMint, siteRoots := authority(t)
	l, target := upstream(t)
	target.TLS = true
	serverTLS := &tls.Config{Certificates: []tls.Certificate{*mustLeaf(t, siteMint, "127.0.0.1")}}
	request := "CCM_POST /ccm_system/request HTTP/1.1\r\nHost: mp01\r\nContent-Length: 49153\r\n\r\n" + strings.Repeat("x", primeAbove+1)
	for name, answer := range map[string]string{
		"closes behind its answer": "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
		"HTTP/1.0":                 "HTTP/1.0 200 OK\r\n\r\n",
		"closes":                   "",
	} {
		t.Run(name, func(t *testing.T) {
			sink := newMemory()
			_, addr := start(t, Config{Listeners: []Listener{{Scheme: HTTP, Upstream: target}}, Sink: sink, Upstream: UpstreamTLS{Roots: siteRoots, Prime: true}})
			agent := dial(t, addr)
			go io.WriteString(agent, request)
			first := tls.Server(accept(t, l), serverTLS)
			expect(t, first, "HEAD /ccm_system/request HTTP/1.1\r\nHost: mp01\r\nContent-Length: 0\r\n\r\n")
			write(t, first, answer)
			first.Close()
			mp := tls.Server(accept(t, l), serverTLS)
			expect(t, mp, request)
			write(t, mp, okReply)
			expect(t, agent, okReply)
			agent.Close()
			mp.Close()
			if _, xs := sink.conn(t, 1); len(xs) != 2 || xs[0].Origin != "proxy" || xs[1].Fate != traffic.Passed {
				t.Errorf("exchanges %+v", xs)
			}
		})
	}
}
