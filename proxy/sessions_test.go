package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"sync"
	"testing"

	"mpproxy/internal/pki"
)

// With resumption the second connection of an identity is cheap; another
// identity has to shake hands itself, or the management point would take it for
// the first.
func TestSessions(t *testing.T) {
	ca, mint, roots := authority(t)
	client := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	a := issue(t, ca, pki.IssueRequest{CommonName: "A", Usage: client})
	b := issue(t, ca, pki.IssueRequest{CommonName: "B", Usage: client})
	var mu sync.Mutex
	var seen []string
	target := startTLS(t, &tls.Config{
		Certificates: []tls.Certificate{*mustLeaf(t, mint, "127.0.0.1")}, ClientAuth: tls.RequestClientCert,
		VerifyConnection: func(s tls.ConnectionState) error {
			mu.Lock()
			defer mu.Unlock()
			name := "nobody"
			if len(s.PeerCertificates) > 0 {
				name = s.PeerCertificates[0].Subject.CommonName
			}
			if s.DidResume {
				name += " again"
			}
			seen = append(seen, name)
			return nil
		},
	})
	for _, resume := range []bool{true, false} {
		seen = nil
		_, addr := start(t, Config{
			Listeners: []Listener{{Upstream: target}}, Mint: mint, Resume: resume,
			Upstream: UpstreamTLS{Roots: roots, Certificates: []ClientCertificate{
				{Subject: "one", Certificate: a}, {Agent: netip.MustParsePrefix("127.0.0.0/8"), Certificate: b},
			}},
		})
		own := issue(t, ca, pki.IssueRequest{CommonName: "one", Usage: client})
		for _, cfg := range []*tls.Config{
			{ServerName: "127.0.0.1", RootCAs: roots, Certificates: []tls.Certificate{*own}},
			{ServerName: "127.0.0.1", RootCAs: roots, Certificates: []tls.Certificate{*own}},
			{ServerName: "127.0.0.1", RootCAs: roots},
		} {
			agent := tls.Client(dial(t, addr), cfg)
			write(t, agent, get)
			expect(t, agent, okReply)
			agent.Close()
		}
		want := [3]string{"A", "A again", "B"}
		if !resume {
			want[1] = "A"
		}
		mu.Lock()
		if [3]string(seen) != want {
			t.Errorf("resume %v: the management point saw %v, want %v", resume, seen, want)
		}
		mu.Unlock()
	}
}
