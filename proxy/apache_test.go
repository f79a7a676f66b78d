package proxy

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"mpproxy/internal/pki"
	"mpproxy/traffic"
)

// startApache is Apache as IIS is: for /ccm_system it asks for the client
// certificate by renegotiation, after it has read the request's head.
func startApache(t *testing.T) (Target, *pki.CA, *x509.CertPool) {
	t.Helper()
	ca, _, roots := authority(t)
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil { // its workers are another user
		t.Fatal(err)
	}
	file := func(n string) string { return filepath.Join(dir, n) }
	server := issue(t, ca, pki.IssueRequest{CommonName: "mp01.lab.example", DNSNames: []string{"mp01.lab.example"}, Usage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	if err := pki.WriteKeyPair(server, file("server.pem"), file("server.key")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file("ca.pem"), ca.PEM(), 0o644); err != nil {
		t.Fatal(err)
	}
	stub := &http.Server{Handler: http.HandlerFunc(answerDigest), ReadHeaderTimeout: 10 * time.Second}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go stub.Serve(l)
	t.Cleanup(func() { stub.Close() })
	port := freePorts(t, 1)[0]
	conf := "ServerName mp01.lab.example\nServerRoot " + dir + "\nListen 127.0.0.1:" + port + "\nPidFile " + file("pid") + "\nErrorLog " + file("error.log") + "\nLogLevel info\n"
	for _, m := range []string{"mpm_event", "authz_core", "ssl", "socache_shmcb", "proxy", "proxy_http"} {
		conf += "LoadModule " + m + "_module /usr/lib/apache2/modules/mod_" + m + ".so\n"
	}
	if os.Getuid() == 0 {
		conf += "User nobody\nGroup nogroup\n"
	}
	conf += "KeepAlive On\nMaxKeepAliveRequests 0\nSSLEngine on\nSSLProtocol -all +TLSv1.2\nSSLCertificateFile " + file("server.pem") + "\nSSLCertificateKeyFile " + file("server.key") +
		"\nSSLCACertificateFile " + file("ca.pem") + "\nLimitRequestBody 0\nProxyPass / http://" + l.Addr().String() + "/\n" +
		"<Location /ccm_system>\n SSLVerifyClient require\n SSLVerifyDepth 3\n SSLRenegBufferSize 100000000\n</Location>\n"
	if err := os.WriteFile(file("apache.conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), tool(t, "apache2"), "-X", "-f", file("apache.conf"))
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			log, _ := os.ReadFile(file("error.log"))
			t.Logf("apache says: %s %s", said.String(), log)
		}
	})
	waitFor(t, "127.0.0.1:"+port, &said)
	return Target{Host: "mp01.lab.example", Port: port, TLS: true, Address: "127.0.0.1:" + port}, ca, roots
}

// TestApacheRenegotiation: bodies of every size arrive whole though the server
// asks for a certificate when they are under way; two requests a connection.
func TestApacheRenegotiation(t *testing.T) {
	target, ca, roots := startApache(t)
	cert := issue(t, ca, pki.IssueRequest{CommonName: "PROXY", Usage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	for _, size := range []int{0, 1 << 10, 60 << 10, 1_600_000, 64 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			_, addr := start(t, Config{
				Listeners: []Listener{{Scheme: HTTP, Upstream: target}}, Upstream: UpstreamTLS{Roots: roots, Certificate: cert},
			})
			agent := dial(t, addr)
			agent.SetDeadline(time.Now().Add(60 * time.Second))
			body := bytes.Repeat([]byte("0123456789abcdef"), size/16)
			want := fmt.Sprintf("CCM_POST /ccm_system/request %x", sha256.Sum256(body))
			for i := range 2 {
				go func() {
					fmt.Fprintf(agent, "CCM_POST /ccm_system/request HTTP/1.1\r\nHost: mp01.lab.example\r\nContent-Length: %d\r\n\r\n", len(body))
					agent.Write(body)
				}()
				if got := readBody(t, agent); got != want {
					t.Fatalf("request %d: the server got %q, want %q", i+1, got, want)
				}
			}
		})
	}
}

// readBody reads one reply and gives its body.
func readBody(t *testing.T, c io.Reader) string {
	t.Helper()
	var got []byte
	var b [1]byte
	for headEnd(got) == 0 {
		if _, err := c.Read(b[:]); err != nil {
			t.Fatalf("after %q: %v", got, err)
		}
		got = append(got, b[0])
	}
	fr, err := replyFraming(traffic.ParseHead(got), "CCM_POST")
	if err != nil {
		t.Fatal(err)
	}
	body := make([]byte, fr.left)
	if _, err := io.ReadFull(c, body); err != nil {
		t.Fatal(err)
	}
	return string(body)
}
