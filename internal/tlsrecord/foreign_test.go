package tlsrecord

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// dialled runs a program that is to connect to an address, and gives its
// connection to serve. The program may fail after that; not being there is a
// failure.
func dialled(t *testing.T, args func(port string) []string, serve func(net.Conn)) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	line := args(port)
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	if err := cmd.Start(); err != nil {
		t.Fatalf("%s is needed for this test: %v", line[0], err)
	}
	defer cmd.Wait()
	l.(*net.TCPListener).SetDeadline(time.Now().Add(30 * time.Second))
	conn, err := l.Accept()
	if err != nil {
		t.Fatalf("%s did not connect: %v", line[0], err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	serve(conn)
}

// firstHello reads until there is a whole ClientHello.
func firstHello(t *testing.T, conn net.Conn) *ClientHello {
	t.Helper()
	var all []byte
	for b := make([]byte, 4096); ; {
		n, err := conn.Read(b)
		all = append(all, b[:n]...)
		if h := Parse(all, nil).ClientHello(); h != nil && !h.Partial {
			checkAsGo(t, all)
			return h
		}
		if err != nil {
			t.Fatalf("no hello in %d bytes: %v", len(all), err)
		}
	}
}

// output runs a program for its output, such as a version.
func output(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).Output()
	if err != nil {
		t.Fatalf("%s is needed for this test: %v", args[0], err)
	}
	return string(out)
}

// openSSLStack is the guess that fits the OpenSSL whose version a text names.
func openSSLStack(t *testing.T, version string) string {
	t.Helper()
	m := regexp.MustCompile(`OpenSSL[ /](\d+)\.(\d+)`).FindStringSubmatch(version)
	if m == nil {
		t.Fatalf("no version of OpenSSL in %q", version)
	}
	major, _ := strconv.Atoi(m[1])
	minor, _ := strconv.Atoi(m[2])
	switch {
	case major > 3 || major == 3 && minor >= 5:
		return "OpenSSL 3.5 or later"
	case major == 3:
		return "OpenSSL 3.0 to 3.4"
	}
	return "OpenSSL 1.1.1"
}

// TestForeignHellos guesses the library of hellos made by the programs of this
// machine, and reads them as crypto/tls does.
func TestForeignHellos(t *testing.T) {
	openssl := func(more ...string) func(string) []string {
		return func(port string) []string {
			return append([]string{"openssl", "s_client", "-connect", "127.0.0.1:" + port, "-servername", serverName}, more...)
		}
	}
	curl := func(more ...string) func(string) []string {
		return func(port string) []string {
			return append([]string{"curl", "--silent", "--noproxy", "*", "--resolve", serverName + ":" + port + ":127.0.0.1", "https://" + serverName + ":" + port + "/"}, more...)
		}
	}
	gnutls := func(more ...string) func(string) []string {
		return func(port string) []string {
			return append([]string{"gnutls-cli", "--insecure", "--port", port, "127.0.0.1"}, more...)
		}
	}
	const held = "OpenSSL 1.1.1 or 3, held down to TLS 1.2 or lower"
	for _, c := range []struct {
		name  string
		args  func(string) []string
		sni   string
		max   Version
		stack string
	}{
		{"openssl", openssl(), serverName, TLS13, openSSLStack(t, output(t, "openssl", "version"))},
		{"openssl TLS 1.2", openssl("-tls1_2"), serverName, TLS12, held},
		{"openssl TLS 1.0", openssl("-tls1", "-cipher", "DEFAULT@SECLEVEL=0"), serverName, TLS10, held},
		{"curl", curl(), serverName, TLS13, openSSLStack(t, output(t, "curl", "--version"))},
		{"curl TLS 1.2", curl("--tls-max", "1.2"), serverName, TLS12, held},
		{"gnutls-cli", gnutls(), "", TLS13, "GnuTLS"},
		{"gnutls-cli TLS 1.2", gnutls("--priority", "NORMAL:-VERS-ALL:+VERS-TLS1.2"), "", TLS12, "GnuTLS"},
		{"gnutls-cli TLS 1.0", gnutls("--priority", "NORMAL:-VERS-ALL:+VERS-TLS1.0"), "", TLS10, "GnuTLS"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var h *ClientHello
			dialled(t, c.args, func(conn net.Conn) { h = firstHello(t, conn) })
			checkStack(t, h, c.stack)
			if h.ServerName != c.sni || h.MaxVersion() != c.max {
				t.Errorf("server name %q, highest version %s", h.ServerName, h.MaxVersion())
			}
			if strings.HasPrefix(c.name, "curl") != (len(h.ALPN) > 0) {
				t.Errorf("ALPN %q", h.ALPN)
			}
			for _, s := range h.Suites {
				if strings.HasPrefix(s.String(), "0x") {
					t.Errorf("a suite without a name: %s", s)
				}
			}
		})
	}
}

// TestGoHellos guesses the library of this very Go.
func TestGoHellos(t *testing.T) {
	if !strings.HasPrefix(runtime.Version(), "go1.2") {
		t.Fatalf("the guesses have to be looked at for %s", runtime.Version())
	}
	checkStack(t, Parse(helloOf(t, &tls.Config{ServerName: serverName}), nil).ClientHello(), "Go 1.26 or later")
	for _, v := range []uint16{tls.VersionTLS10, tls.VersionTLS12} {
		config := &tls.Config{ServerName: serverName, MinVersion: v, MaxVersion: v}
		checkStack(t, Parse(helloOf(t, config), nil).ClientHello(), "Go, 1.22 or older or with curves or versions set")
	}
}

// TestJavaHellos guesses the library of hellos that OpenJDK 17.0.15 sent.
func TestJavaHellos(t *testing.T) {
	for _, name := range []string{"java17", "java17_tls12"} {
		client, _ := readVector(t, "testdata/"+name+".txt")
		checkStack(t, Parse(client, nil).ClientHello(), "Java 13 or later")
	}
}

// TestForeignRefusals reads the alert of clients that do not know the server's
// authority. OpenSSL sends it unencrypted even in TLS 1.3, where crypto/tls says
// "bad record MAC": the raw bytes are the only evidence.
func TestForeignRefusals(t *testing.T) {
	s := newSite(t)
	file := filepath.Join(t.TempDir(), "other.pem")
	writePEM(t, file, "CERTIFICATE", s.other.cert.Raw)
	for _, v := range []struct{ version, openssl, gnutls string }{
		{"TLS 1.2", "-tls1_2", "NORMAL:-VERS-ALL:+VERS-TLS1.2"},
		{"TLS 1.3", "-tls1_3", "NORMAL:-VERS-ALL:+VERS-TLS1.3"},
	} {
		t.Run("openssl "+v.version, func(t *testing.T) {
			got := serveForeign(t, s, func(port string) []string {
				return []string{"openssl", "s_client", "-connect", "127.0.0.1:" + port, "-verify_return_error", "-CAfile", file, v.openssl}
			})
			checkRefusal(t, got, Client, TLS12, 48)
			if stage := got.Stage(); stage != StageServerDone {
				t.Errorf("stage %q:\n%s", stage, got)
			}
		})
		t.Run("gnutls-cli "+v.version, func(t *testing.T) {
			got := serveForeign(t, s, func(port string) []string {
				return []string{"gnutls-cli", "--port", port, "--x509cafile", file, "--priority", v.gnutls, "127.0.0.1"}
			})
			if n := len(got.Client.Alerts()); n == 0 && !got.Client.hasGuess(MaybeAlert) {
				t.Errorf("no alert is seen:\n%s", got)
			}
		})
	}
}

// serveForeign is a handshake of crypto/tls with a program.
func serveForeign(t *testing.T, s *site, args func(port string) []string) *Transcript {
	t.Helper()
	var got *Transcript
	dialled(t, args, func(conn net.Conn) {
		tapped := &tap{Conn: conn}
		serve(tls.Server(tapped, s.serverConfig()))
		got = Parse(tapped.in.Bytes(), tapped.out.Bytes())
	})
	checkWhole(t, got)
	return got
}

// TestRenegotiation has openssl s_server ask for another handshake in the middle
// of a connection, as IIS does for a client certificate, and expects it to be
// seen from the outside, with every kind of cipher.
func TestRenegotiation(t *testing.T) {
	s := newSite(t)
	for _, suite := range []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA,
	} {
		for _, policy := range []tls.RenegotiationSupport{tls.RenegotiateOnceAsClient, tls.RenegotiateNever} {
			t.Run(tls.CipherSuiteName(suite)+" "+strconv.Itoa(int(policy)), func(t *testing.T) {
				client := s.clientConfig(TLS12)
				client.CipherSuites, client.Renegotiation = []uint16{suite}, policy
				got := renegotiate(t, s, client)
				checkWhole(t, got)
				r := got.Renegotiation()
				if r == nil || r.By != Server {
					t.Fatalf("the server's HelloRequest is not seen:\n%s", got)
				}
				agreed := policy == tls.RenegotiateOnceAsClient
				if r.Answered != agreed || r.Completed != agreed || r.ClientBytes > 0 != agreed {
					t.Errorf("%+v:\n%s", r, got)
				}
				if !agreed && !got.Client.hasGuess(SealedAlert) {
					t.Errorf("the client's alert is not seen:\n%s", got)
				}
			})
		}
	}
}

// renegotiate has a client talk to openssl s_server, which asks to renegotiate
// when the client has said something.
func renegotiate(t *testing.T, s *site, client *tls.Config) *Transcript {
	t.Helper()
	server, in, port := startServer(t, s)
	conn, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	tapped := &tap{Conn: conn}
	asked := make(chan struct{})
	client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		close(asked)
		return s.client, nil
	}
	tlsConn := tls.Client(tapped, client)
	if _, err := tlsConn.Write([]byte("hello server\n")); err != nil {
		t.Fatal(err)
	}
	server.await(t, `(hello server)`)
	left := make(chan struct{})
	go func() {
		defer close(left)
		io.ReadAll(tlsConn) // shakes hands again, or refuses
	}()
	io.WriteString(in, "R\n")
	select {
	case <-asked:
		// Waits until the handshake is over.
		if _, err := tlsConn.Write([]byte("hello again\n")); err != nil {
			t.Fatal(err)
		}
		server.await(t, `(hello again)`)
	case <-left:
	}
	tlsConn.Close()
	<-left
	return Parse(tapped.out.Bytes(), tapped.in.Bytes())
}

// startServer starts openssl s_server for one TLS 1.2 connection, until the
// test is over.
func startServer(t *testing.T, s *site) (out *lines, in io.Writer, port string) {
	t.Helper()
	dir := t.TempDir()
	writePEM(t, filepath.Join(dir, "cert.pem"), "CERTIFICATE", s.server.Certificate[0])
	key, err := x509.MarshalPKCS8PrivateKey(s.server.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, filepath.Join(dir, "key.pem"), "PRIVATE KEY", key)
	cmd := exec.CommandContext(t.Context(), "openssl", "s_server", "-accept", "127.0.0.1:0", "-naccept", "1", "-tls1_2",
		"-cert", filepath.Join(dir, "cert.pem"), "-key", filepath.Join(dir, "key.pem"))
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("openssl is needed for this test: %v", err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	out = &lines{r: stdout}
	return out, stdin, out.await(t, `ACCEPT .*:(\d+)`)
}

// TestEncryptThenMAC watches two programs that put the MAC behind the
// ciphertext, which crypto/tls does not know.
func TestEncryptThenMAC(t *testing.T) {
	_, _, port := startServer(t, newSite(t))
	server, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	var got *Transcript
	dialled(t, func(port string) []string {
		return []string{"openssl", "s_client", "-connect", "127.0.0.1:" + port, "-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"}
	}, func(client net.Conn) {
		tapped := &tap{Conn: client}
		answers := make(chan struct{})
		go func() {
			defer close(answers)
			io.Copy(tapped, server)
			client.Close()
		}()
		io.Copy(server, tapped)
		server.(*net.TCPConn).CloseWrite()
		<-answers
		got = Parse(tapped.in.Bytes(), tapped.out.Bytes())
	})
	checkWhole(t, got)
	if h := got.ServerHello(); h == nil || !h.Has(ExtEncryptThenMAC) {
		t.Fatalf("encrypt-then-MAC is not agreed on:\n%s", got)
	}
	for _, side := range []Side{Client, Server} {
		for _, m := range got.Of(side).Messages {
			if m.Guess == SealedFinished {
				within(t, "Finished", m.Plain, handshakeHeader+12)
			}
		}
		if !got.Of(side).hasGuess(SealedFinished) {
			t.Errorf("the %s's Finished is not seen:\n%s", side, got)
		}
	}
}

// tap remembers what goes through a connection.
type tap struct {
	net.Conn
	in, out bytes.Buffer
}

func (t *tap) Read(b []byte) (int, error) {
	n, err := t.Conn.Read(b)
	t.in.Write(b[:n])
	return n, err
}

func (t *tap) Write(b []byte) (int, error) {
	n, err := t.Conn.Write(b)
	t.out.Write(b[:n])
	return n, err
}

// lines reads a program's output until something is in it.
type lines struct {
	r   io.Reader
	all []byte
}

func (l *lines) await(t *testing.T, pattern string) string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	for b := make([]byte, 1024); ; {
		if m := re.FindSubmatch(l.all); m != nil && bytes.HasSuffix(l.all, []byte("\n")) {
			return string(m[1])
		}
		n, err := l.r.Read(b)
		l.all = append(l.all, b[:n]...)
		if err != nil {
			t.Fatalf("no %s in %q: %v", pattern, l.all, err)
		}
	}
}

func writePEM(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}
