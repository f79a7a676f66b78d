package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mpproxy/internal/pki"
	"mpproxy/traffic"
)

// An agent of long ago gets in with the legacy profile alone, and that is said.
func TestLegacyProfile(t *testing.T) {
	openssl := tool(t, "openssl")
	_, mint, _ := authority(t)
	_, siteMint, siteRoots := authority(t)
	target := startTLS(t, &tls.Config{Certificates: []tls.Certificate{*mustLeaf(t, siteMint, "127.0.0.1")}})
	for _, c := range []struct {
		name    string
		profile Profile
		args    []string
		in      bool
	}{
		{"TLS 1.0, legacy", Legacy, []string{"-tls1", "-cipher", "ALL:@SECLEVEL=0"}, true},
		{"TLS 1.0, modern", Modern, []string{"-tls1", "-cipher", "ALL:@SECLEVEL=0"}, false},
		{"RSA key exchange, legacy", Legacy, []string{"-tls1_2", "-cipher", "AES128-SHA:@SECLEVEL=0"}, true},
		{"RSA key exchange, modern", Modern, []string{"-tls1_2", "-cipher", "AES128-SHA:@SECLEVEL=0"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			sink := newMemory()
			_, addr := start(t, Config{
				Listeners: []Listener{{Upstream: target, Profile: c.profile}}, Sink: sink, Mint: mint, Upstream: UpstreamTLS{Roots: siteRoots},
			})
			cmd := exec.CommandContext(t.Context(), openssl, append([]string{"s_client", "-quiet", "-no_ign_eof", "-connect", addr}, c.args...)...)
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			io.WriteString(in, get)
			got := make([]byte, len(okReply))
			io.ReadFull(out, got)
			in.Close()
			cmd.Wait()
			if (string(got) == okReply) != c.in {
				t.Errorf("got %q, want an answer: %v", got, c.in)
			}
			conn, _ := sink.conn(t, 1)
			var codes []string
			for _, f := range conn.Findings {
				codes = append(codes, f.Kind.Code)
			}
			if slices.Contains(codes, "tls-old") != c.in {
				t.Errorf("findings %v", codes)
			}
		})
	}
}

// With OnlyForAgents the management point sees no certificate for an agent
// that has none: the fault shows as without a proxy.
func TestIdentityOnlyForAgents(t *testing.T) {
	site, siteMint, siteRoots := authority(t)
	_, mint, roots := authority(t)
	cert := issue(t, site, pki.IssueRequest{CommonName: "PC-1", Usage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	target := startTLS(t, &tls.Config{
		Certificates: []tls.Certificate{*mustLeaf(t, siteMint, "127.0.0.1")}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: siteRoots,
	})
	for _, has := range []bool{true, false} {
		sink := newMemory()
		_, addr := start(t, Config{
			Listeners: []Listener{{Upstream: target}}, Sink: sink, Mint: mint,
			Upstream: UpstreamTLS{Roots: siteRoots, Certificate: cert, OnlyForAgents: true},
		})
		cfg := &tls.Config{ServerName: "127.0.0.1", RootCAs: roots}
		if has {
			cfg.Certificates = []tls.Certificate{*cert}
		}
		agent := tls.Client(dial(t, addr), cfg)
		write(t, agent, get)
		got := make([]byte, len(okReply))
		io.ReadFull(agent, got)
		agent.Close()
		sink.conn(t, 1)
		up := sink.shake(1, traffic.UpstreamSide)
		if (string(got) == okReply) != has {
			t.Errorf("agent with certificate %v got %q", has, got)
		}
		if up.TLS != nil && (len(up.OwnCertificates) > 0) != has {
			t.Errorf("agent with certificate %v: %d were shown", has, len(up.OwnCertificates))
		}
	}
}

// TestRenegotiation: openssl asks for the client certificate in mid-connection,
// as IIS does; the proxy answers with its own.
func TestRenegotiation(t *testing.T) {
	openssl := tool(t, "openssl")
	site, _, siteRoots := authority(t)
	dir := t.TempDir()
	server := issue(t, site, pki.IssueRequest{CommonName: "mp01.lab.example", DNSNames: []string{"mp01.lab.example"}, Usage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	client := issue(t, site, pki.IssueRequest{CommonName: "PROXY", Usage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	file := func(n string) string { return filepath.Join(dir, n) }
	if err := pki.WriteKeyPair(server, file("s.pem"), file("s.key")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file("ca.pem"), site.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	port := freePorts(t, 1)[0]
	cmd := exec.CommandContext(t.Context(), openssl, "s_server", "-accept", "127.0.0.1:"+port, "-cert", file("s.pem"), "-key", file("s.key"),
		"-CAfile", file("ca.pem"), "-tls1_2", "-verify", "2", "-msg", "-naccept", "2")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	waitFor(t, "127.0.0.1:"+port, &log)
	sink := newMemory()
	_, addr := start(t, Config{
		Listeners: []Listener{{Scheme: HTTP, Upstream: Target{Host: "mp01.lab.example", Port: port, TLS: true, Address: "127.0.0.1:" + port}}}, Sink: sink,
		Upstream: UpstreamTLS{Roots: siteRoots, Certificate: client},
	})
	agent := dial(t, addr)
	write(t, agent, get)
	said := make([]byte, 0, 1<<16)
	readUntil := func(times int, want string) {
		t.Helper()
		var b [4096]byte
		for strings.Count(string(said), want) < times {
			n, err := out.Read(b[:])
			if said = append(said, b[:n]...); err != nil {
				t.Fatalf("s_server ended before it said %q: %s %s", want, said, log.String())
			}
		}
	}
	const finished = ">>> TLS 1.2, Handshake [length 0010], Finished"
	readUntil(1, "MPLIST")
	before := strings.Count(string(said), finished)
	write(t, in, "R\n") // renegotiate, asking for a certificate
	readUntil(before+1, finished)
	readUntil(1, "CN = PROXY")
	write(t, in, okReply+"\n")
	expect(t, agent, okReply)
}
