package proxy

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mpproxy/internal/pki"
	"mpproxy/traffic"
)

// foreignSite is nginx in front of a stub that answers with the digest of what
// it got: a management point that shares no line with us.
type foreignSite struct {
	plain, secure, mutual Target
	ca                    *pki.CA
	roots                 *x509.CertPool
	// dir has the files that foreign clients read.
	dir string
}

func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/" + name)
	}
	if err != nil {
		t.Fatalf("%s is not installed; scripts/test installs it: %v", name, err)
	}
	return path
}

func startNginx(t *testing.T) *foreignSite {
	t.Helper()
	ca, _, roots := authority(t)
	s := &foreignSite{ca: ca, roots: roots, dir: t.TempDir()}
	server := issue(t, ca, pki.IssueRequest{CommonName: "mp01.lab.example", DNSNames: []string{"mp01.lab.example"}, IPs: []net.IP{net.IPv4(127, 0, 0, 1)}, Usage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	file := func(name string) string { return filepath.Join(s.dir, name) }
	if err := pki.WriteKeyPair(server, file("server.pem"), file("server.key")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file("ca.pem"), ca.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	stub := &http.Server{Handler: http.HandlerFunc(answerDigest), ReadHeaderTimeout: 10 * time.Second}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go stub.Serve(l)
	t.Cleanup(func() { stub.Close() })
	ports := freePorts(t, 3)
	s.plain = Target{Host: "127.0.0.1", Port: ports[0]}
	s.secure = Target{Host: "127.0.0.1", Port: ports[1], TLS: true}
	s.mutual = Target{Host: "127.0.0.1", Port: ports[2], TLS: true}
	conf := fmt.Sprintf(`daemon off; master_process off; error_log stderr; pid %[1]s/nginx.pid;
events {}
http {
  access_log off; client_max_body_size 64m;
  client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
  ssl_certificate %[1]s/server.pem; ssl_certificate_key %[1]s/server.key;
  server { listen 127.0.0.1:%[2]s; location / { proxy_pass http://%[5]s; } }
  server { listen 127.0.0.1:%[3]s ssl; location / { proxy_pass http://%[5]s; } }
  server { listen 127.0.0.1:%[4]s ssl; ssl_verify_client on; ssl_client_certificate %[1]s/ca.pem; location / { proxy_pass http://%[5]s; } }
}`, s.dir, ports[0], ports[1], ports[2], l.Addr())
	if err := os.WriteFile(file("nginx.conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), tool(t, "nginx"), "-p", s.dir, "-c", file("nginx.conf"))
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	waitFor(t, "127.0.0.1:"+ports[2], &log)
	return s
}

func answerDigest(w http.ResponseWriter, r *http.Request) {
	h := sha256.New()
	io.Copy(h, r.Body)
	fmt.Fprintf(w, "%s %s %x", r.Method, r.URL.RequestURI(), h.Sum(nil))
}

func freePorts(t *testing.T, n int) []string {
	t.Helper()
	var ports []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		_, port, _ := net.SplitHostPort(l.Addr().String())
		ports = append(ports, port)
	}
	return ports
}

// waitFor dials until a foreign server listens.
func waitFor(t *testing.T, addr string, log fmt.Stringer) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		if c, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
			c.Close()
			return
		}
	}
	t.Fatalf("nothing listens on %s: %s", addr, log)
}

// TestCurl posts the sample messages with curl, through reverse and forward
// listeners, with and without TLS and client certificates, to nginx.
func TestCurl(t *testing.T) {
	curl := tool(t, "curl")
	site := startNginx(t)
	proxyCA, mint, _ := authority(t)
	file := func(name string) string { return filepath.Join(site.dir, name) }
	if err := os.WriteFile(file("proxy-ca.pem"), proxyCA.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	agent := issue(t, site.ca, pki.IssueRequest{CommonName: "PC-0001", Usage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err := pki.WriteKeyPair(agent, file("agent.pem"), file("agent.key")); err != nil {
		t.Fatal(err)
	}
	samples, err := filepath.Glob("../testdata/samples/wire/*request.http")
	if err != nil || len(samples) < 5 {
		t.Fatalf("%d samples, %v", len(samples), err)
	}
	for _, c := range []struct {
		name     string
		listener Listener
		url      func(proxy string) string
		args     func(proxy string) []string
		agentTLS bool
	}{
		{"reverse, plain", Listener{Scheme: HTTP, Upstream: site.plain}, func(p string) string { return "http://" + p }, nil, false},
		{"reverse, TLS on both sides", Listener{Scheme: HTTPS, Upstream: site.secure}, func(p string) string { return "https://" + p }, nil, true},
		{"reverse, client certificates on both sides", Listener{Upstream: site.mutual}, func(p string) string { return "https://" + p }, func(string) []string {
			return []string{"--cert", file("agent.pem"), "--key", file("agent.key")}
		}, true},
		{"forward, whole URL", Listener{Mode: Forward}, func(string) string { return "http://127.0.0.1:" + site.plain.Port }, func(p string) []string {
			return []string{"-x", "http://" + p}
		}, false},
		{"forward, CONNECT to plain HTTP", Listener{Mode: Forward}, func(string) string { return "http://127.0.0.1:" + site.plain.Port }, func(p string) []string {
			return []string{"-p", "-x", "http://" + p}
		}, false},
		{"forward, CONNECT to TLS with client certificate", Listener{Mode: Forward}, func(string) string { return "https://127.0.0.1:" + site.mutual.Port }, func(p string) []string {
			return []string{"-x", "http://" + p, "--cert", file("agent.pem"), "--key", file("agent.key")}
		}, true},
		{"forward, the proxy itself over TLS", Listener{Mode: Forward, Scheme: HTTPS}, func(string) string { return "https://127.0.0.1:" + site.secure.Port }, func(p string) []string {
			return []string{"-x", "https://" + p, "--proxy-cacert", file("proxy-ca.pem")}
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			sink := newMemory()
			_, addr := start(t, Config{
				Listeners: []Listener{c.listener}, Sink: sink, Mint: mint,
				Upstream: UpstreamTLS{Roots: site.roots, Certificate: agent},
			})
			for i, sample := range samples {
				raw, err := os.ReadFile(sample)
				if err != nil {
					t.Fatal(err)
				}
				head, body, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
				method, target, _ := traffic.ParseHead(head).Request()
				if err := os.WriteFile(file("message.bin"), body, 0o600); err != nil {
					t.Fatal(err)
				}
				args := []string{"-sS", "-g", "--max-time", "20", "-X", method, "--cacert", file("proxy-ca.pem"), "-H", "Content-Type: multipart/mixed"}
				if len(body) > 0 {
					args = append(args, "--data-binary", "@"+file("message.bin"))
				}
				if c.args != nil {
					args = append(args, c.args(addr)...)
				}
				out, err := exec.CommandContext(t.Context(), curl, append(args, c.url(addr)+target)...).CombinedOutput()
				sum := sha256.Sum256(body)
				if want := fmt.Sprintf("%s %s %x", method, target, sum); err != nil || string(out) != want {
					t.Fatalf("%s: curl says %q, %v; want %q", filepath.Base(sample), out, err, want)
				}
				conn, xs := sink.conn(t, traffic.ConnID(i+1))
				if len(xs) != 1 || xs[0].Fate != traffic.Passed || conn.AgentLeg.Handshake != nil != c.agentTLS {
					t.Fatalf("%s: %d exchanges, handshake %+v", filepath.Base(sample), len(xs), conn.AgentLeg.Handshake)
				}
				if got := sink.wire(xs[0].ID, traffic.Request, false); !bytes.HasSuffix(got, body) {
					t.Errorf("%s: the recorded body is not the one sent", filepath.Base(sample))
				}
			}
		})
	}
}

// TestOpenSSL sends requests with openssl s_client: pipelined, and split at
// every byte.
func TestOpenSSL(t *testing.T) {
	openssl := tool(t, "openssl")
	site := startNginx(t)
	proxyCA, mint, _ := authority(t)
	ca := filepath.Join(site.dir, "proxy-ca.pem")
	if err := os.WriteFile(ca, proxyCA.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	request := "CCM_POST /ccm_system/request HTTP/1.1\r\nHost: mp01.lab.example\r\nContent-Length: 4\r\n\r\nbody"
	last := "GET /last HTTP/1.1\r\nHost: mp01.lab.example\r\nConnection: close\r\n\r\n"
	sum := sha256.Sum256([]byte("body"))
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		for _, c := range []struct {
			name string
			send func(io.Writer)
		}{
			{"pipelined", func(w io.Writer) { io.WriteString(w, request+request+last) }},
			{"split at every byte", func(w io.Writer) {
				for _, b := range []byte(request + request + last) {
					w.Write([]byte{b})
				}
			}},
		} {
			t.Run(c.name+" "+version, func(t *testing.T) {
				sink := newMemory()
				_, addr := start(t, Config{Listeners: []Listener{{Upstream: site.secure}}, Sink: sink, Mint: mint, Upstream: UpstreamTLS{Roots: site.roots}})
				cmd := exec.CommandContext(t.Context(), openssl, "s_client", "-quiet", "-no_ign_eof", "-verify_return_error", version,
					"-connect", addr, "-servername", "mp01.lab.example", "-CAfile", ca)
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
				go c.send(in)
				got, err := io.ReadAll(out)
				in.Close()
				cmd.Wait()
				if n := strings.Count(string(got), "CCM_POST /ccm_system/request "+hex.EncodeToString(sum[:])); n != 2 || err != nil {
					t.Fatalf("%d of two answers in %q, %v", n, got, err)
				}
				_, xs := sink.conn(t, 1)
				if len(xs) != 3 || slices.ContainsFunc(xs, func(x *traffic.Exchange) bool { return x.Fate != traffic.Passed }) {
					t.Errorf("%d exchanges recorded, want three that passed", len(xs))
				}
			})
		}
	}
}

// TestSplitEverywhere cuts requests and replies at every byte.
func TestSplitEverywhere(t *testing.T) {
	sink := newMemory()
	l, target := upstream(t)
	_, addr := start(t, Config{Listeners: []Listener{{Scheme: HTTP, Upstream: target}}, Sink: sink})
	agent := dial(t, addr)
	const request = "CCM_POST /ccm_system/request HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: r\r\n\r\n"
	bytewise := func(w io.Writer, s string) {
		for i := range len(s) {
			io.WriteString(w, s[i:i+1])
		}
	}
	go bytewise(agent, request+request)
	mp := accept(t, l)
	expect(t, mp, request+request)
	go bytewise(mp, "HTTP/1.1 100 Continue\r\n\r\n"+okReply+okReply)
	expect(t, agent, "HTTP/1.1 100 Continue\r\n\r\n"+okReply+okReply)
	agent.Close()
	mp.Close()
	if _, xs := sink.conn(t, 1); len(xs) != 2 || xs[0].Fate != traffic.Passed || xs[1].Fate != traffic.Passed {
		t.Errorf("exchanges %+v", xs)
	}
}

// TestGnuTLS shakes hands with gnutls-cli in both versions.
func TestGnuTLS(t *testing.T) {
	cli := tool(t, "gnutls-cli")
	site := startNginx(t)
	proxyCA, mint, _ := authority(t)
	ca := filepath.Join(site.dir, "proxy-ca.pem")
	if err := os.WriteFile(ca, proxyCA.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"1.2", "1.3"} {
		t.Run(version, func(t *testing.T) {
			sink := newMemory()
			_, addr := start(t, Config{Listeners: []Listener{{Upstream: site.secure}}, Sink: sink, Mint: mint, Upstream: UpstreamTLS{Roots: site.roots}})
			_, port, _ := net.SplitHostPort(addr)
			cmd := exec.CommandContext(t.Context(), cli, "--logfile=/dev/null", "--x509cafile="+ca, "--sni-hostname=mp01.lab.example", "--verify-hostname=mp01.lab.example",
				"--priority=NORMAL:-VERS-ALL:+VERS-TLS"+version, "-p", port, "127.0.0.1")
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			var said bytes.Buffer
			cmd.Stdout = &said
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			write(t, in, "GET /x HTTP/1.1\r\nHost: mp01.lab.example\r\nConnection: close\r\n\r\n")
			err = cmd.Wait() // it ends with the connection
			if out := said.Bytes(); err != nil || !bytes.Contains(out, []byte("GET /x ")) {
				t.Fatalf("gnutls-cli got %q, %v", out, err)
			}
			conn, xs := sink.conn(t, 1)
			if h := conn.AgentLeg.Handshake; len(xs) != 1 || h == nil || h.TLS == nil || h.TLS.VersionName != "TLS "+version {
				t.Errorf("%d exchanges, handshake %+v", len(xs), h)
			}
		})
	}
}

// TestKilledClient ends a client in the middle of its upload: what came is
// recorded, and the management point sees the end.
func TestKilledClient(t *testing.T) {
	curl := tool(t, "curl")
	sink := newMemory()
	l, target := upstream(t)
	_, addr := start(t, Config{Listeners: []Listener{{Scheme: HTTP, Upstream: target}}, Sink: sink})
	cmd := exec.CommandContext(t.Context(), curl, "-sS", "-T", "-", "-X", "BITS_POST", "http://"+addr+"/CCM_Incoming/x")
	feed, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	mp := accept(t, l)
	go feed.Write(bytes.Repeat([]byte("x"), 100_000))
	got := make([]byte, 50_000)
	if _, err := io.ReadFull(mp, got[:1000]); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(got, []byte("100-continue")) {
		write(t, mp, "HTTP/1.1 100 Continue\r\n\r\n")
	}
	if _, err := io.ReadFull(mp, got[1000:]); err != nil {
		t.Fatal(err)
	}
	cmd.Process.Kill()
	cmd.Wait()
	io.Copy(io.Discard, mp)
	mp.Close()
	_, xs := sink.conn(t, 1)
	if x := xs[0]; x.Fate != traffic.Broken || !slices.Contains(findings(x), "http-cut-short") {
		t.Errorf("fate %q, findings %v", x.Fate, findings(x))
	}
	if rec := sink.wire(xs[0].ID, traffic.Request, false); !bytes.HasPrefix(rec, got) {
		t.Error("the record does not have what the management point received")
	}
}
