package proxy

import (
	"bytes"
	"crypto/tls"
	"strings"
	"sync"
	"testing"
)

// syncBuffer takes key log lines from several handshakes.
type syncBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

// The key log has the secrets of both legs, or Wireshark could read one only.
func TestKeyLog(t *testing.T) {
	_, siteMint, siteRoots := authority(t)
	_, mint, roots := authority(t)
	target := startTLS(t, &tls.Config{Certificates: []tls.Certificate{*mustLeaf(t, siteMint, "127.0.0.1")}})
	var log, agents syncBuffer
	_, addr := start(t, Config{
		Listeners: []Listener{{Upstream: target}}, Mint: mint, KeyLog: &log, Upstream: UpstreamTLS{Roots: siteRoots},
	})
	agent := tls.Client(dial(t, addr), &tls.Config{ServerName: "127.0.0.1", RootCAs: roots, KeyLogWriter: &agents, MaxVersion: tls.VersionTLS12})
	write(t, agent, get)
	expect(t, agent, okReply)
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 2 {
		t.Errorf("%d lines, want one for each leg: %q", len(lines), lines)
	}
	if !strings.Contains(log.String(), strings.TrimSpace(agents.String())) {
		t.Error("the agent's own secret is not in the log")
	}
}

// With Resume an agent's second handshake is short; without it never.
func TestResumption(t *testing.T) {
	_, siteMint, siteRoots := authority(t)
	_, mint, roots := authority(t)
	target := startTLS(t, &tls.Config{Certificates: []tls.Certificate{*mustLeaf(t, siteMint, "127.0.0.1")}})
	for _, resume := range []bool{false, true} {
		_, addr := start(t, Config{
			Listeners: []Listener{{Upstream: target}}, Mint: mint, Resume: resume, Upstream: UpstreamTLS{Roots: siteRoots},
		})
		cfg := &tls.Config{ServerName: "127.0.0.1", RootCAs: roots, ClientSessionCache: tls.NewLRUClientSessionCache(4)}
		var resumed bool
		for range 2 {
			agent := tls.Client(dial(t, addr), cfg)
			write(t, agent, get)
			expect(t, agent, okReply)
			resumed = agent.ConnectionState().DidResume
			agent.Close()
		}
		if resumed != resume {
			t.Errorf("Resume %v: the second handshake was resumed: %v", resume, resumed)
		}
	}
}
