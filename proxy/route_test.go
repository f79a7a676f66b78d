package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"unicode/utf16"

	"mpproxy/internal/pki"
)

// Agents of two sites come to one listener: each has to reach its own
// management point, whichever way the name is given.
func TestRoutes(t *testing.T) {
	_, mint, roots := authority(t)
	_, siteMint, siteRoots := authority(t)
	first := startTLS(t, &tls.Config{Certificates: []tls.Certificate{*mustLeaf(t, siteMint, "mp01.lab.example")}})
	second := startTLS(t, &tls.Config{Certificates: []tls.Certificate{*mustLeaf(t, siteMint, "mp02.other.example")}})
	routes := []Route{{Name: "*.other.example", Upstream: second}}
	for _, c := range []struct {
		policy TLSPolicy
		name   string
		want   Target
	}{
		{Passthrough, "mp01.lab.example", first},
		{Passthrough, "mp02.other.example", second},
		{Terminate, "mp01.lab.example", first},
		{Terminate, "mp02.other.example", second},
	} {
		t.Run(string(c.policy)+" "+c.name, func(t *testing.T) {
			sink := newMemory()
			_, addr := start(t, Config{
				Listeners: []Listener{{Upstream: first, Routes: routes, TLS: c.policy}},
				Sink:      sink, Mint: mint, Upstream: UpstreamTLS{Insecure: true},
			})
			pool := roots
			if c.policy == Passthrough {
				pool = siteRoots
			}
			agent := tls.Client(dial(t, addr), &tls.Config{ServerName: c.name, RootCAs: pool})
			write(t, agent, get)
			expect(t, agent, okReply)
			agent.Close()
			if conn, _ := sink.conn(t, 1); conn.Upstream != net.JoinHostPort(c.want.Host, c.want.Port) {
				t.Errorf("went to %s, want %s", conn.Upstream, c.want)
			}
		})
	}
}

// On HTTP the Host field decides, request by request.
func TestRoutesByHost(t *testing.T) {
	l1, first := upstream(t)
	l2, second := upstream(t)
	_, addr := start(t, Config{Listeners: []Listener{{Scheme: HTTP, Upstream: first, Routes: []Route{{Name: "mp02", Upstream: second}}}}})
	agent := dial(t, addr)
	write(t, agent, "GET / HTTP/1.1\r\nHost: mp01\r\n\r\n")
	mp := accept(t, l1)
	expect(t, mp, "GET / HTTP/1.1\r\nHost: mp01\r\n\r\n")
	write(t, mp, okReply)
	expect(t, agent, okReply)
	write(t, agent, "GET / HTTP/1.1\r\nHost: MP02:8080\r\n\r\n")
	mp = accept(t, l2)
	expect(t, mp, "GET / HTTP/1.1\r\nHost: MP02:8080\r\n\r\n")
	write(t, mp, okReply)
	expect(t, agent, okReply)
}

// The table says by address, subject and client id who is shown what; a row
// that fits somebody else would give an agent another one's identity.
func TestClientCertificates(t *testing.T) {
	ca, mint, roots := authority(t)
	cert := func(name string) *tls.Certificate {
		return issue(t, ca, pki.IssueRequest{CommonName: name, Usage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	}
	a, b, agents := cert("bridge A"), cert("bridge B"), cert("PC-0412")
	const posted = "GET / HTTP/1.1\r\nHost: mp01\r\nCCMClientID: {8F3C1A20-77B1-4C55-9E0D-2A6D1B90C0F4}\r\n\r\n"
	for _, c := range []struct {
		name  string
		table []ClientCertificate
		own   *tls.Certificate
		want  string
	}{
		{"by address", []ClientCertificate{{Agent: netip.MustParsePrefix("127.0.0.0/8"), Certificate: a}}, nil, "bridge A"},
		{"another address", []ClientCertificate{{Agent: netip.MustParsePrefix("192.0.2.0/24"), Certificate: a}, {Certificate: b}}, nil, "bridge B"},
		{"by subject", []ClientCertificate{{Subject: "CN=PC-04*", Certificate: a}, {Certificate: b}}, agents, "bridge A"},
		{"by common name", []ClientCertificate{{Subject: "pc-0412", Certificate: a}, {Certificate: b}}, agents, "bridge A"},
		{"no certificate of its own", []ClientCertificate{{Subject: "CN=PC-04*", Certificate: a}}, nil, ""},
		{"by client id", []ClientCertificate{{Client: "*8f3c1a20-*", Certificate: a}}, nil, "bridge A"},
		{"another client id", []ClientCertificate{{Client: "*9999*", Certificate: a}}, nil, ""},
		{"none on purpose", []ClientCertificate{{Agent: netip.MustParsePrefix("127.0.0.1/32")}, {Certificate: b}}, agents, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			shown := make(chan string, 1)
			target := startTLS(t, &tls.Config{
				Certificates: []tls.Certificate{*mustLeaf(t, mint, "127.0.0.1")}, ClientAuth: tls.RequestClientCert,
				VerifyConnection: func(s tls.ConnectionState) error {
					name := ""
					if len(s.PeerCertificates) > 0 {
						name = s.PeerCertificates[0].Subject.CommonName
					}
					shown <- name
					return nil
				},
			})
			_, addr := start(t, Config{
				Listeners: []Listener{{Upstream: target}}, Mint: mint,
				Upstream: UpstreamTLS{Roots: roots, Certificates: c.table},
			})
			cfg := &tls.Config{ServerName: "127.0.0.1", RootCAs: roots}
			if c.own != nil {
				cfg.Certificates = []tls.Certificate{*c.own}
			}
			agent := tls.Client(dial(t, addr), cfg)
			write(t, agent, posted)
			expect(t, agent, okReply)
			if got := <-shown; got != c.want {
				t.Errorf("the management point saw %q, want %q", got, c.want)
			}
		})
	}
}

// The client id of a message stands in its XML header, the first part of the
// body: the management point is called when that part is here, not before, and
// not only after the rest.
func TestClientIDInMessage(t *testing.T) {
	ca, mint, roots := authority(t)
	bridge := issue(t, ca, pki.IssueRequest{CommonName: "bridge", Usage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	shown := make(chan int, 1)
	target := startTLS(t, &tls.Config{
		Certificates: []tls.Certificate{*mustLeaf(t, mint, "127.0.0.1")}, ClientAuth: tls.RequestClientCert,
		VerifyConnection: func(s tls.ConnectionState) error {
			shown <- len(s.PeerCertificates)
			return nil
		},
	})
	_, addr := start(t, Config{
		Listeners: []Listener{{Upstream: target}}, Mint: mint,
		Upstream: UpstreamTLS{Roots: roots, Certificates: []ClientCertificate{{Client: "GUID:8F3C1A20-*", Certificate: bridge}}},
	})
	header := []byte{0xff, 0xfe}
	for _, c := range utf16.Encode([]rune(`<Msg SchemaVersion="1.1"><ID>{5C0E1B7A-2F5D-4B0E-9A53-0B1D3A6E4F10}</ID><SourceID>GUID:8F3C1A20-77B1-4C55-9E0D-2A6D1B90C0F4</SourceID></Msg>`)) {
		header = binary.LittleEndian.AppendUint16(header, c)
	}
	part := "--b\r\nContent-Type: text/plain; charset=UTF-16\r\n\r\n" + string(header) + "\r\n--b\r\n"
	agent := tls.Client(dial(t, addr), &tls.Config{ServerName: "127.0.0.1", RootCAs: roots})
	write(t, agent, fmt.Sprintf("CCM_POST /ccm_system/request HTTP/1.1\r\nHost: mp01\r\nContent-Type: multipart/mixed; boundary=b\r\nContent-Length: %d\r\n\r\n%s",
		len(part)+1000, part[:len(part)/2]))
	write(t, agent, part[len(part)/2:])
	if n := <-shown; n == 0 {
		t.Error("the management point saw no certificate, want the bridge's")
	}
}

// TestParseTarget: what is no management point is said to be none before
// anything listens.
func TestParseTarget(t *testing.T) {
	for url, want := range map[string]Target{
		"https://mp01.lab.example":                     {Host: "mp01.lab.example", Port: "443", TLS: true},
		"http://mp01.lab.example:8080/":                {Host: "mp01.lab.example", Port: "8080"},
		"https://[::1]:8443":                           {Host: "::1", Port: "8443", TLS: true},
		"mp01.lab.example":                             {},
		"ftp://mp01.lab.example":                       {},
		"https://mp01.lab.example/ccm":                 {},
		"https://mp01.lab.example:0":                   {},
		"https://mp01.lab.example:9999999999999999999": {},
		"https://mp01.lab.example:65536":               {},
	} {
		got, err := ParseTarget(url)
		if got != want || (err == nil) != (want.Host != "") {
			t.Errorf("%s: %+v, %v; want %+v", url, got, err, want)
		}
	}
}
