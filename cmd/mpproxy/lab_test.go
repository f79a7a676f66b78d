package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mpproxy/capture"
	"mpproxy/diagnose"
	"mpproxy/internal/pki"
	"mpproxy/proxy"
	"mpproxy/traffic"
)

// lab has what all cases share: authorities and keys, which take long to make.
type lab struct {
	dir                string
	site, mpproxy, odd *pki.CA
	key, other         *rsa.PrivateKey
	mint               *pki.Minter
	serials            int64
	mu                 sync.Mutex
}

const mpName = "mp01.lab.example"

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{dir: t.TempDir(), serials: 1000}
	for name, ca := range map[string]**pki.CA{"Lab Site CA": &l.site, "mpproxy lab": &l.mpproxy, "Another CA": &l.odd} {
		made, err := pki.NewCA(name, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		*ca = made
	}
	l.site = mayHaveOthersBelow(t, l.site)
	for _, k := range []**rsa.PrivateKey{&l.key, &l.other} {
		made, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		*k = made
	}
	l.mint = l.mpproxy.Minter(nil)
	for name, ca := range map[string]*pki.CA{"site": l.site, "mpproxy": l.mpproxy, "odd": l.odd} {
		l.write(t, name+".pem", ca.PEM())
	}
	return l
}

// mayHaveOthersBelow is an authority without the limit that those made here have
// by themselves: that none is below it.
func mayHaveOthersBelow(t *testing.T, ca *pki.CA) *pki.CA {
	t.Helper()
	template := *ca.Cert
	template.MaxPathLen, template.MaxPathLenZero = -1, false
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, ca.Key.Public(), ca.Key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &pki.CA{Cert: cert, Key: ca.Key}
}

func (l *lab) file(name string) string { return filepath.Join(l.dir, name) }

func (l *lab) write(t *testing.T, name string, b []byte) string {
	t.Helper()
	if err := os.WriteFile(l.file(name), b, 0o600); err != nil {
		t.Fatal(err)
	}
	return l.file(name)
}

// cert issues a certificate, good but for what the change makes of it.
func (l *lab) cert(t *testing.T, ca *pki.CA, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	return l.certFor(t, ca, l.key, change)
}

func (l *lab) certFor(t *testing.T, ca *pki.CA, key crypto.Signer, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	l.mu.Lock()
	l.serials++
	serial := l.serials
	l.mu.Unlock()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: mpName}, DNSNames: []string{mpName},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.Cert, key.Public(), ca.Key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der, ca.Cert.Raw}, PrivateKey: key}
}

// agentCert issues an agent's certificate.
func (l *lab) agentCert(t *testing.T, ca *pki.CA, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	return l.cert(t, ca, func(c *x509.Certificate) {
		c.Subject, c.DNSNames = pkix.Name{CommonName: "PC-0419.lab.example"}, []string{"PC-0419.lab.example"}
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		if change != nil {
			change(c)
		}
	})
}

// pem writes a certificate with its key for foreign programs.
func (l *lab) pem(t *testing.T, name string, c tls.Certificate) string {
	t.Helper()
	var b bytes.Buffer
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	_ = pem.Encode(&b, &pem.Block{Type: "PRIVATE KEY", Bytes: key})
	_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})
	return l.write(t, name, b.Bytes())
}

// run runs one case's traffic through a proxy into a capture, and diagnoses it.
func (l *lab) run(t *testing.T, c *labCase) ([]diagnose.Group, int) {
	t.Helper()
	return judgeFile(t, l.record(t, c))
}

// record runs one case's traffic and gives the capture's file.
func (l *lab) record(t *testing.T, c *labCase) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "lab.mpdb")
	rec, err := capture.Create(file, capture.Options{})
	if err != nil {
		t.Fatal(err)
	}
	sink := &closings{Recorder: rec, closed: make(chan traffic.ConnID, 1000)}
	listener := proxy.Listener{Scheme: proxy.HTTPS}
	if c.listener != nil {
		listener = c.listener(t, l)
	}
	listener.Address = "127.0.0.1:0"
	cfg := proxy.Config{Sink: sink, Mint: l.mint, HandshakeTimeout: 5 * time.Second, HalfClosed: time.Second, Drain: time.Second, KeepRecords: c.records}
	if c.timeout > 0 {
		cfg.HandshakeTimeout = c.timeout
	}
	cfg.Upstream.Roots = l.site.Pool()
	if c.upstream != nil {
		cfg.Upstream = c.upstream(t, l)
	}
	if c.mp == nil {
		c.mp = goodMP
	}
	listener.Upstream = c.mp(t, l)
	cfg.Listeners = []proxy.Listener{listener}
	server, err := proxy.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx) }()
	c.agent(t, l, server.Addrs()[0].String())
	for range max(c.conns, 1) {
		select {
		case <-sink.closed:
		case <-time.After(20 * time.Second):
			t.Error("a connection was never closed")
		}
	}
	cancel()
	server.Kill()
	<-done
	if err := rec.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return file
}

func judgeFile(t *testing.T, file string) ([]diagnose.Group, int) {
	t.Helper()
	s, err := capture.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	d := newDiagnosis(s)
	if err := d.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d.folding.Groups(), d.folding.Conns
}

// closings tells which connections are closed and recorded.
type closings struct {
	*capture.Recorder
	closed chan traffic.ConnID
}

func (c *closings) Take(e traffic.Event) {
	c.Recorder.Take(e)
	if e, ok := e.(traffic.ConnClosed); ok {
		c.closed <- e.Conn.ID
	}
}

// Management points.

// mpThat serves TLS with a configuration, and answers with these replies in
// turn, the last one again and again. A nil configuration is plain HTTP.
func mpThat(t *testing.T, cfg *tls.Config, replies ...string) proxy.Target {
	t.Helper()
	return mpRaw(t, cfg != nil, serveReplies(cfg, replies...))
}

func serveReplies(cfg *tls.Config, replies ...string) func(net.Conn) {
	return func(c net.Conn) {
		defer c.Close()
		if cfg != nil {
			c = tls.Server(c, cfg)
		}
		in := bufio.NewReader(c)
		for i := 0; ; i++ {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, r.Body)
			reply := "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
			if len(replies) > 0 {
				reply = replies[min(i, len(replies)-1)]
			}
			if _, err := io.WriteString(c, reply); err != nil || r.Close {
				return
			}
		}
	}
}

// mpRaw listens as a management point whose connections are handled by hand.
func mpRaw(t *testing.T, secure bool, handle func(net.Conn)) proxy.Target {
	t.Helper()
	return mpAt(t, "127.0.0.1", secure, handle)
}

// mpAt is the same at another address of loopback.
func mpAt(t *testing.T, host string, secure bool, handle func(net.Conn)) proxy.Target {
	t.Helper()
	l, err := net.Listen("tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.SetDeadline(time.Now().Add(20 * time.Second))
			go handle(c)
		}
	}()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return proxy.Target{Host: mpName, Port: port, Address: l.Addr().String(), TLS: secure}
}

func goodMP(t *testing.T, l *lab) proxy.Target {
	return mpThat(t, &tls.Config{Certificates: []tls.Certificate{l.cert(t, l.site, nil)}})
}

// mpWith has a certificate that is good but for a change.
func mpWith(change func(*x509.Certificate)) func(*testing.T, *lab) proxy.Target {
	return func(t *testing.T, l *lab) proxy.Target {
		return mpThat(t, &tls.Config{Certificates: []tls.Certificate{l.cert(t, l.site, change)}})
	}
}

// mpCfg has a good certificate and a configuration.
func mpCfg(change func(*lab, *tls.Config), replies ...string) func(*testing.T, *lab) proxy.Target {
	return func(t *testing.T, l *lab) proxy.Target {
		cfg := &tls.Config{Certificates: []tls.Certificate{l.cert(t, l.site, nil)}}
		change(l, cfg)
		return mpThat(t, cfg, replies...)
	}
}

// mpHints names an authority when it asks for a certificate.
func mpHints(ca func(*lab) *pki.CA, replies ...string) func(*testing.T, *lab) proxy.Target {
	return mpCfg(func(l *lab, c *tls.Config) { c.ClientAuth, c.ClientCAs = tls.RequestClientCert, ca(l).Pool() }, replies...)
}

func mpPlainReplies(replies ...string) func(*testing.T, *lab) proxy.Target {
	return func(t *testing.T, _ *lab) proxy.Target { return mpThat(t, nil, replies...) }
}

// upstreamWith gives mpproxy a client certificate.
func upstreamWith(ca func(*lab) *pki.CA, max uint16, change func(*x509.Certificate)) func(*testing.T, *lab) proxy.UpstreamTLS {
	return func(t *testing.T, l *lab) proxy.UpstreamTLS {
		cert := l.agentCert(t, ca(l), change)
		return proxy.UpstreamTLS{Roots: l.site.Pool(), Certificate: &cert, MaxVersion: max}
	}
}

func siteCA(l *lab) *pki.CA { return l.site }
func oddCA(l *lab) *pki.CA  { return l.odd }

func upTo13(_ *testing.T, l *lab) proxy.UpstreamTLS {
	return proxy.UpstreamTLS{Roots: l.site.Pool(), MaxVersion: tls.VersionTLS13}
}

// shows is a listener that shows a certificate good but for a change, issued by
// the site.
func shows(change func(*x509.Certificate)) func(*testing.T, *lab) proxy.Listener {
	return func(t *testing.T, l *lab) proxy.Listener {
		cert := l.cert(t, l.site, change)
		return proxy.Listener{Scheme: proxy.HTTPS, Certificate: &cert}
	}
}

func sealed(*testing.T, *lab) proxy.Listener { return proxy.Listener{TLS: proxy.Passthrough} }
func plain(*testing.T, *lab) proxy.Listener  { return proxy.Listener{Scheme: proxy.HTTP} }

// Agents.

const labRequest = "GET /SMS_MP/.sms_aut?mplist HTTP/1.1\r\nHost: mp01.lab.example\r\n\r\n"

// goAgent speaks with a TLS configuration in Go and sends requests, each after
// the answer to the one before.
func goAgent(change func(*testing.T, *lab, *tls.Config), requests ...string) func(*testing.T, *lab, string) {
	return func(t *testing.T, l *lab, addr string) {
		cfg := &tls.Config{ServerName: mpName, RootCAs: l.mpproxy.Pool()}
		if change != nil {
			change(t, l, cfg)
		}
		raw := dialLab(t, addr)
		defer raw.Close()
		c := tls.Client(raw, cfg)
		if len(requests) == 0 {
			requests = []string{labRequest}
		}
		in := bufio.NewReader(c)
		for _, r := range requests {
			if _, err := io.WriteString(c, r); err != nil {
				return
			}
			reply, err := http.ReadResponse(in, nil)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, reply.Body)
		}
		c.Close()
	}
}

// trustsSite is an agent that trusts the site's authority, not mpproxy's.
func trustsSite(change func(*tls.Config)) func(*testing.T, *lab, *tls.Config) {
	return func(_ *testing.T, l *lab, cfg *tls.Config) {
		cfg.RootCAs = l.site.Pool()
		if change != nil {
			change(cfg)
		}
	}
}

func withCert(change func(*x509.Certificate)) func(*testing.T, *lab, *tls.Config) {
	return func(t *testing.T, l *lab, cfg *tls.Config) {
		cert := l.agentCert(t, l.site, change)
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
	}
}

func dialLab(t *testing.T, addr string) *net.TCPConn { return dialFrom(t, "127.0.0.1", addr) }

// dialFrom connects from an address of loopback: as another agent.
func dialFrom(t *testing.T, from, addr string) *net.TCPConn {
	t.Helper()
	c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c.(*net.TCPConn)
}

// rawAgent sends bytes and then ends the connection as told.
func rawAgent(send string, end func(*net.TCPConn)) func(*testing.T, *lab, string) {
	return func(t *testing.T, _ *lab, addr string) {
		c := dialLab(t, addr)
		_, _ = io.WriteString(c, send)
		end(c)
		_, _ = io.Copy(io.Discard, c)
		c.Close()
	}
}

func fin(c *net.TCPConn)  { _ = c.CloseWrite() }
func rst(c *net.TCPConn)  { _ = c.SetLinger(0); c.Close() }
func wait(c *net.TCPConn) {}

// hello is the ClientHello of a Go client.
func hello(max uint16) []byte {
	a, b := net.Pipe()
	go func() { _ = tls.Client(a, &tls.Config{ServerName: mpName, MaxVersion: max}).Handshake(); a.Close() }()
	defer b.Close()
	head := make([]byte, 5)
	_, _ = io.ReadFull(b, head)
	body := make([]byte, int(head[3])<<8|int(head[4]))
	_, _ = io.ReadFull(b, body)
	return append(head, body...)
}

// afterFlight sends a hello, reads the server's flight, sends bytes and ends.
func afterFlight(max uint16, send string, end func(*net.TCPConn)) func(*testing.T, *lab, string) {
	return afterHello(hello(max), send, end)
}

// helloAt carries a clock, as old stacks have it: in the first bytes of its
// random.
func helloAt(clock time.Time) []byte {
	b := schannelHello()
	binary.BigEndian.PutUint32(b[11:], uint32(clock.Unix()))
	return b
}

// schannelHello is a hello as Windows 10 makes it.
func schannelHello() []byte {
	sized := func(n int, b ...byte) []byte {
		var size [4]byte
		binary.BigEndian.PutUint32(size[:], uint32(len(b)))
		return append(size[4-n:], b...)
	}
	extension := func(id byte, data ...byte) []byte { return append([]byte{0, id}, sized(2, data...)...) }
	body := append([]byte{3, 3}, make([]byte, 32)...) // a clock of 1970 is none
	body = append(body, 0)
	body = append(body, sized(2, 0xc0, 0x2c, 0xc0, 0x2b, 0xc0, 0x30, 0xc0, 0x2f, 0xc0, 0x24, 0xc0, 0x23, 0xc0, 0x28, 0xc0, 0x27, 0, 0x9d, 0, 0x9c)...)
	body = append(body, 1, 0)
	body = append(body, sized(2, slices.Concat(
		extension(0, sized(2, append([]byte{0}, sized(2, []byte(mpName)...)...)...)...),
		extension(10, sized(2, 0, 29, 0, 23, 0, 24)...), extension(11, 1, 0),
		extension(13, sized(2, 8, 4, 8, 5, 4, 1, 5, 1, 2, 1, 4, 3, 5, 3, 2, 3)...), extension(23),
		append([]byte{0xff}, extension(1, 0)[1:]...),
	)...)...)
	return append([]byte{22, 3, 3}, sized(2, append([]byte{1}, sized(3, body...)...)...)...)
}

func afterHello(hello []byte, send string, end func(*net.TCPConn)) func(*testing.T, *lab, string) {
	return func(t *testing.T, _ *lab, addr string) {
		c := dialLab(t, addr)
		_, _ = c.Write(hello)
		for first := true; ; first = false { // records, until the server waits
			head := make([]byte, 5)
			if !first {
				_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
			}
			if _, err := io.ReadFull(c, head); err != nil {
				break
			}
			_, _ = io.CopyN(io.Discard, c, int64(head[3])<<8|int64(head[4]))
		}
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		_, _ = io.WriteString(c, send)
		end(c)
		_, _ = io.Copy(io.Discard, c)
		c.Close()
	}
}

func fatalAlert(code byte) string { return string([]byte{21, 3, 3, 0, 2, 2, code}) }

// twice makes an agent come twice.
func twice(agent func(*testing.T, *lab, string)) func(*testing.T, *lab, string) {
	return func(t *testing.T, l *lab, addr string) { agent(t, l, addr); agent(t, l, addr) }
}

// openssl runs s_client with the request on its standard input.
func openssl(args ...string) func(*testing.T, *lab, string) {
	return func(t *testing.T, l *lab, addr string) {
		args := append([]string{"s_client", "-connect", addr, "-ign_eof", "-quiet"}, l.files(args)...)
		if !slices.Contains(args, "-noservername") {
			args = append(args, "-servername", mpName)
		}
		foreign(t, strings.Replace(labRequest, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1), "openssl", args...)
	}
}

func gnutls(args ...string) func(*testing.T, *lab, string) {
	return func(t *testing.T, l *lab, addr string) {
		host, port, _ := net.SplitHostPort(addr)
		args := append([]string{"-p", port, "--sni-hostname", mpName, "--verify-hostname", mpName}, l.files(args)...)
		foreign(t, strings.Replace(labRequest, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1), "gnutls-cli", append(args, host)...)
	}
}

func curl(args ...string) func(*testing.T, *lab, string) {
	return func(t *testing.T, l *lab, addr string) {
		_, port, _ := net.SplitHostPort(addr)
		args := append([]string{"-sS", "--max-time", "10", "--resolve", mpName + ":" + port + ":127.0.0.1"}, l.files(args)...)
		foreign(t, "", "curl", append(args, "https://"+mpName+":"+port+"/SMS_MP/.sms_aut?mplist")...)
	}
}

// files puts the lab's folder before arguments that name a file of it.
func (l *lab) files(args []string) []string {
	args = slices.Clone(args)
	for i, a := range args {
		if strings.HasSuffix(a, ".pem") {
			args[i] = l.file(a)
		}
	}
	return args
}

// foreign runs a program that has to be there; how it ends is the case's
// matter.
func foreign(t *testing.T, stdin, name string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is not installed; scripts/test installs it: %v", name, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		t.Errorf("%s did not end", name)
	}
	if testing.Verbose() && err != nil {
		t.Logf("%s: %v\n%.600s", name, err, out)
	}
}

// mustOpenssl runs a command of openssl that has to work.
func mustOpenssl(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "openssl", args...).CombinedOutput(); err != nil {
		t.Fatalf("openssl %v: %v\n%s", args, err, out)
	}
}

// labCase is one failure, made with real peers.
type labCase struct {
	name string
	// ref, leg, who and sure are what the first finding must be; an empty who
	// is not asked for.
	ref       string
	leg       traffic.Side
	who, sure string
	listener  func(*testing.T, *lab) proxy.Listener
	mp        func(*testing.T, *lab) proxy.Target
	upstream  func(*testing.T, *lab) proxy.UpstreamTLS
	agent     func(*testing.T, *lab, string)
	conns     int
	timeout   time.Duration
	// also is a further finding that has to be there, proof a part of the first
	// one's evidence, lacks a part that no evidence may have, ruled a part of
	// what the first one rules out.
	also, proof, lacks, ruled string
	// without is a finding that may not be there.
	without string
	// records keeps TLS as it crosses the wire.
	records bool
}

const (
	agentLeg = traffic.AgentSide
	mpLeg    = traffic.UpstreamSide
)

func past(c *x509.Certificate) {
	c.NotBefore, c.NotAfter = time.Now().AddDate(0, -2, 0), time.Now().AddDate(0, -1, 0)
}

func future(c *x509.Certificate) {
	c.NotBefore, c.NotAfter = time.Now().AddDate(0, 1, 0), time.Now().AddDate(0, 2, 0)
}
func sha1Signed(c *x509.Certificate) { c.SignatureAlgorithm = x509.SHA1WithRSA }
func forClients(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }

func forServers(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }

func named(names ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.DNSNames = names }
}

func reply(status string, fields ...string) string {
	return "HTTP/1.1 " + status + "\r\n" + strings.Join(append(fields, "Content-Length: 0"), "\r\n") + "\r\n\r\n"
}

// mpListReply answers with a list of these management points.
func mpListReply(names ...string) string {
	list := "<MPList>"
	for _, n := range names {
		list += `<MP Name="MP" FQDN="` + n + `"><Version>9128</Version><Capabilities SchemaVersion="1.0"><Property Name="SSLState" Value="31"/></Capabilities></MP>`
	}
	list += "</MPList>"
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n%s", len(list), list)
}

// asked is a request of this program.
func asked(program string) string {
	return strings.Replace(labRequest, "\r\n\r\n", "\r\nUser-Agent: "+program+"\r\n\r\n", 1)
}

// oldAgents are one agent with TLS 1.0 and one with TLS 1.1 at most.
func oldAgents(t *testing.T, l *lab, addr string) {
	for from, max := range map[string]uint16{"127.0.0.2": tls.VersionTLS10, "127.0.0.3": tls.VersionTLS11} {
		c := tls.Client(dialFrom(t, from, addr), &tls.Config{ServerName: mpName, RootCAs: l.mpproxy.Pool(), MinVersion: tls.VersionTLS10, MaxVersion: max})
		_, _ = io.WriteString(c, labRequest)
		_, _ = c.Read(make([]byte, 1))
		c.Close()
	}
}

func post(size int) string {
	return fmt.Sprintf("CCM_POST /ccm_system/request HTTP/1.1\r\nHost: mp01.lab.example\r\nContent-Length: %d\r\n\r\n%s", size, strings.Repeat("x", size))
}

// labCases are rows of the catalogue as real peers make them.
func labCases() []labCase {
	max12 := func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }
	site12 := goAgent(trustsSite(max12))
	requireAny := func(_ *lab, c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert }
	requireSite := func(l *lab, c *tls.Config) {
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, l.site.Pool()
	}
	request := func(_ *lab, c *tls.Config) { c.ClientAuth = tls.RequestClientCert }
	asksNobody := func(*lab, *tls.Config) {}
	asksOfMany := func(t *testing.T, l *lab) proxy.Target { return manyAuthorities(t, l, tls.RequestClientCert) }
	return append([]labCase{
		// The agent refuses what it is shown.
		{name: "distrust, Go, TLS 1.2", ref: "A01", leg: agentLeg, who: "agent", sure: "likely", agent: site12},
		{name: "distrust, Go, TLS 1.3", ref: "A01", leg: agentLeg, who: "agent", sure: "likely", agent: goAgent(trustsSite(nil))},
		{name: "distrust, openssl, TLS 1.2", ref: "A01", leg: agentLeg, who: "agent", sure: "certain", agent: openssl("-CAfile", "site.pem", "-verify_return_error", "-tls1_2")},
		{name: "distrust, openssl, TLS 1.3, alert in clear", ref: "A01", leg: agentLeg, who: "agent", sure: "certain", agent: openssl("-CAfile", "site.pem", "-verify_return_error", "-tls1_3")},
		{name: "distrust, gnutls, TLS 1.2", ref: "A01", leg: agentLeg, who: "agent", sure: "likely", agent: gnutls("--x509cafile", "site.pem", "--priority", "NORMAL:-VERS-TLS1.3")},
		{name: "distrust, gnutls, TLS 1.3", ref: "A01", leg: agentLeg, who: "agent", sure: "likely", agent: gnutls("--x509cafile", "site.pem")},
		{name: "distrust, curl, TLS 1.3", ref: "A01", leg: agentLeg, who: "agent", sure: "certain", agent: curl("--cacert", "site.pem")},
		{name: "distrust, curl, TLS 1.2", ref: "A01", leg: agentLeg, who: "agent", sure: "certain", agent: curl("--cacert", "site.pem", "--tls-max", "1.2")},
		{name: "distrust, raw alert in clear, TLS 1.3", ref: "A01", leg: agentLeg, who: "agent", sure: "certain", agent: afterFlight(tls.VersionTLS13, fatalAlert(48), fin)},
		{name: "distrust, raw alert, TLS 1.2", ref: "A01", leg: agentLeg, who: "agent", sure: "certain", agent: afterFlight(tls.VersionTLS12, fatalAlert(48), fin)},
		{name: "distrust of the management point, passed through", ref: "A01", leg: agentLeg, who: "agent", sure: "certain", listener: sealed, agent: openssl("-CAfile", "odd.pem", "-verify_return_error", "-tls1_2")},
		{name: "distrust behind a CONNECT, curl", ref: "A01", leg: agentLeg, who: "agent", sure: "certain", listener: func(*testing.T, *lab) proxy.Listener {
			return proxy.Listener{Mode: proxy.Forward}
		}, agent: func(t *testing.T, l *lab, addr string) {
			foreign(t, "", "curl", "-sS", "--max-time", "10", "--cacert", l.file("site.pem"), "-x", "http://"+addr, "https://127.0.0.1:9/")
		}},
		{name: "distrust, then passed through", ref: "A01", leg: agentLeg, who: "agent", sure: "likely", conns: 2, listener: func(*testing.T, *lab) proxy.Listener {
			return proxy.Listener{TLS: proxy.TerminateOrPass}
		}, agent: twice(site12)},
		{name: "wrong name, Go", ref: "A04", leg: agentLeg, who: "proxy", sure: "certain", listener: shows(named("mp02.lab.example")), agent: site12},
		{name: "wrong name, Go, TLS 1.3", ref: "A04", leg: agentLeg, who: "proxy", sure: "certain", listener: shows(named("mp02.lab.example")), agent: goAgent(trustsSite(nil))},
		{name: "wrong name, common name only", ref: "A04", leg: agentLeg, who: "proxy", sure: "certain", listener: shows(named()), agent: site12},
		{name: "wrong name, two typed into one", ref: "A04", leg: agentLeg, who: "proxy", sure: "certain", listener: shows(named("mp01.lab.example&mp01")), agent: site12},
		{name: "wrong name, openssl", ref: "A04", leg: agentLeg, who: "proxy", sure: "certain", listener: shows(named("mp02.lab.example")), agent: openssl("-CAfile", "site.pem", "-verify_hostname", mpName, "-verify_return_error", "-tls1_2")},
		{name: "wrong name, curl, TLS 1.2: no alert, no bytes", ref: "A04", leg: agentLeg, who: "proxy", sure: "likely", listener: shows(named("mp02.lab.example")), agent: curl("--cacert", "site.pem", "--tls-max", "1.2")},
		{name: "wrong name, curl, TLS 1.3: no alert, no bytes", ref: "A04", leg: agentLeg, who: "proxy", sure: "likely", listener: shows(named("mp02.lab.example")), agent: curl("--cacert", "site.pem")},
		{name: "wrong name, passed through", ref: "A04", leg: agentLeg, who: "mp", sure: "certain", listener: sealed, mp: mpWith(named("mp02.lab.example")), agent: site12},
		{name: "no name in the hello, and no address in the certificate", ref: "A04", leg: agentLeg, who: "proxy", sure: "likely", proof: "as when one is called by an address", listener: shows(nil), agent: goAgent(trustsSite(func(c *tls.Config) { c.ServerName = "127.0.0.1" }))},
		{name: "no name in the hello, no address in the certificate, passed through", ref: "A04", leg: agentLeg, who: "mp", sure: "likely", listener: sealed, agent: goAgent(trustsSite(func(c *tls.Config) { c.ServerName, c.MaxVersion = "127.0.0.1", tls.VersionTLS12 }))},
		{name: "certificate without its intermediate", ref: "A01", leg: agentLeg, who: "proxy", sure: "likely", proof: "without its issuer", listener: func(t *testing.T, l *lab) proxy.Listener {
			cert := l.cert(t, l.below(t, l.site, nil), nil)
			cert.Certificate = cert.Certificate[:1]
			return proxy.Listener{Scheme: proxy.HTTPS, Certificate: &cert}
		}, agent: openssl("-CAfile", "site.pem", "-verify_return_error", "-tls1_3")},
		{name: "OpenSSL misses a revocation list and says unknown_ca", ref: "A01", leg: agentLeg, who: "agent", sure: "likely", proof: "has no list", listener: shows(func(c *x509.Certificate) {
			c.CRLDistributionPoints = []string{"http://127.0.0.1:9/none.crl"}
		}), agent: openssl("-CAfile", "site.pem", "-verify_return_error", "-crl_check", "-tls1_3")},
		{name: "Enhanced HTTP, passed through, a tool does not trust it", ref: "A01", leg: agentLeg, who: "agent", sure: "certain", also: "M07", listener: sealed, mp: enhancedHTTP, agent: openssl("-CAfile", "site.pem", "-verify_return_error", "-tls1_2")},
		{name: "expired, passed through, TLS 1.3", ref: "A05", leg: agentLeg, who: "mp", sure: "likely", proof: "only the agent has seen it", listener: sealed, mp: mpWith(past), agent: openssl("-CAfile", "site.pem", "-verify_return_error", "-tls1_3")},
		{name: "wrong usage, passed through, TLS 1.3", ref: "A07", leg: agentLeg, who: "mp", sure: "likely", listener: sealed, mp: mpWith(forClients), agent: openssl("-CAfile", "site.pem", "-purpose", "sslserver", "-verify_return_error", "-tls1_3")},
		{name: "wrong name, from a list that the site gave out", ref: "A04", leg: agentLeg, who: "proxy", sure: "certain", proof: "the agent got the name \"cmg.cloudapp.example\" from the MP list (MPLIST) of exchange 1", conns: 2, listener: shows(nil), mp: mpCfg(request, mpListReply("cmg.cloudapp.example", mpName)), agent: func(t *testing.T, l *lab, addr string) {
			site12(t, l, addr)
			goAgent(trustsSite(func(c *tls.Config) { c.ServerName = "cmg.cloudapp.example" }))(t, l, addr)
		}},
		{name: "wrong name, from a list that another agent got", ref: "A04", leg: agentLeg, who: "proxy", sure: "likely", proof: "which went to 127.0.0.1", conns: 2, listener: shows(nil), mp: mpCfg(request, mpListReply("CMG.cloudapp.example", mpName)), agent: func(t *testing.T, l *lab, addr string) {
			site12(t, l, addr)
			c := tls.Client(dialFrom(t, "127.0.0.2", addr), &tls.Config{ServerName: "cmg.cloudapp.example", RootCAs: l.site.Pool(), InsecureSkipVerify: true})
			if err := c.Handshake(); err != nil {
				t.Error(err)
			}
			c.Close()
		}},
		{name: "wrong name, not from the site", ref: "A04", leg: agentLeg, who: "proxy", sure: "certain", proof: "from its installation, from the directory", conns: 2, listener: shows(nil), mp: mpCfg(request, mpListReply(mpName, "mp02.lab.example")), agent: func(t *testing.T, l *lab, addr string) {
			site12(t, l, addr)
			goAgent(trustsSite(func(c *tls.Config) { c.ServerName = "alias.lab.example" }))(t, l, addr)
		}},
		{name: "name that only mpproxy's certificate has", ref: "A04", leg: agentLeg, who: "mp", sure: "certain", proof: "alias.lab.example was asked for", agent: goAgent(func(_ *testing.T, _ *lab, c *tls.Config) { c.ServerName = "alias.lab.example" })},
		{name: "expired, Go", ref: "A05", leg: agentLeg, who: "proxy", sure: "certain", listener: shows(past), agent: site12},
		{name: "expired, Go, TLS 1.3", ref: "A05", leg: agentLeg, who: "proxy", sure: "certain", listener: shows(past), agent: goAgent(trustsSite(nil))},
		{name: "not yet valid, openssl", ref: "A05", leg: agentLeg, who: "proxy", sure: "certain", listener: shows(future), agent: openssl("-CAfile", "site.pem", "-verify_return_error", "-tls1_2")},
		{name: "expired, passed through", ref: "A05", leg: agentLeg, who: "mp", sure: "certain", listener: sealed, mp: mpWith(past), agent: site12},
		{name: "agent's clock is 40 hours behind, no alert", ref: "A31", leg: agentLeg, who: "agent", sure: "possible", proof: "40 h behind", listener: shows(nil), agent: afterHello(helloAt(time.Now().Add(-40*time.Hour)), "", fin)},
		{name: "random bytes that look like a clock, in a hello that is not Schannel's", ref: "A02", without: "A31", leg: agentLeg, who: "agent", sure: "possible", listener: shows(nil), agent: func(t *testing.T, l *lab, addr string) {
			b := hello(tls.VersionTLS12)
			binary.BigEndian.PutUint32(b[11:], uint32(time.Now().Add(-40*time.Hour).Unix()))
			afterHello(b, "", fin)(t, l, addr)
		}},
		{name: "agent's clock, TLS 1.3", ref: "A31", leg: agentLeg, who: "agent", sure: "likely", listener: shows(nil), agent: openssl("-CAfile", "site.pem", "-verify_return_error", "-tls1_3", "-attime", "4000000000")},
		{name: "agent's clock", ref: "A31", leg: agentLeg, who: "agent", sure: "likely", listener: shows(nil), agent: openssl("-CAfile", "site.pem", "-verify_return_error", "-tls1_2", "-attime", "4000000000")},
		{name: "wrong usage, Go", ref: "A07", leg: agentLeg, who: "proxy", sure: "certain", listener: shows(forClients), agent: site12},
		{name: "wrong usage, openssl", ref: "A07", leg: agentLeg, who: "proxy", sure: "certain", listener: shows(forClients), agent: openssl("-CAfile", "site.pem", "-purpose", "sslserver", "-verify_return_error", "-tls1_2")},
		{name: "wrong usage, Go, TLS 1.3", ref: "A07", leg: agentLeg, who: "proxy", sure: "certain", listener: shows(forClients), agent: goAgent(trustsSite(nil))},
		{name: "SHA-1 certificate, TLS 1.3", ref: "A08", leg: agentLeg, who: "proxy", sure: "certain", listener: shows(sha1Signed), agent: openssl("-CAfile", "site.pem", "-verify_return_error", "-tls1_3")},
		{name: "SHA-1 certificate", ref: "A08", leg: agentLeg, who: "proxy", sure: "certain", listener: shows(sha1Signed), agent: openssl("-CAfile", "site.pem", "-verify_return_error", "-tls1_2")},
		{name: "end after the certificate", ref: "A02", leg: agentLeg, who: "agent", sure: "possible", agent: afterFlight(tls.VersionTLS12, "", fin)},
		{name: "reset after the certificate", ref: "A02", leg: agentLeg, who: "agent", sure: "possible", agent: afterFlight(tls.VersionTLS12, "", rst)},
		{name: "end after the certificate, again", ref: "A02", leg: agentLeg, who: "agent", sure: "likely", agent: twice(afterFlight(tls.VersionTLS12, "", fin)), conns: 2},
		{name: "Windows leaves again and again, and the certificate names no list", ref: "A02", also: "P01", leg: agentLeg, who: "agent", sure: "likely", conns: 2, agent: twice(afterHello(schannelHello(), "", fin))},
		{name: "Windows leaves once, and the certificate names no list", ref: "A02", without: "P01", leg: agentLeg, who: "agent", sure: "possible", agent: afterHello(schannelHello(), "", fin)},
		{name: "handshake and nothing more", ref: "A03", leg: agentLeg, who: "agent", sure: "possible", agent: func(t *testing.T, l *lab, addr string) {
			c := tls.Client(dialLab(t, addr), &tls.Config{ServerName: mpName, RootCAs: l.mpproxy.Pool()})
			if err := c.Handshake(); err != nil {
				t.Error(err)
			}
			c.Close()
		}},
		{name: "internal error of the agent", ref: "A28", leg: agentLeg, who: "agent", sure: "certain", agent: afterFlight(tls.VersionTLS12, fatalAlert(80), fin)},
		{name: "illegal parameter, says the agent", ref: "A28", leg: agentLeg, who: "agent", sure: "certain", agent: afterFlight(tls.VersionTLS12, fatalAlert(47), fin)},
		{name: "revoked, says the agent", ref: "A06", leg: agentLeg, who: "proxy", sure: "likely", agent: afterFlight(tls.VersionTLS12, fatalAlert(44), fin)},
		{name: "silent when asked, though it trusts", ref: "A22", leg: agentLeg, who: "agent", sure: "possible", conns: 2, agent: func(t *testing.T, l *lab, addr string) {
			goAgent(nil)(t, l, addr)
			afterFlight(tls.VersionTLS12, "", fin)(t, l, addr)
		}},

		{name: "alert 46 of the agent", ref: "A01", leg: agentLeg, who: "agent", sure: "likely", agent: afterFlight(tls.VersionTLS12, fatalAlert(46), fin)},
		{name: "distrust of a certificate that has expired as well", ref: "A01", leg: agentLeg, who: "agent", sure: "certain", listener: shows(past), agent: afterFlight(tls.VersionTLS12, fatalAlert(48), fin)},
		{name: "a warning, then the end", ref: "A02", leg: agentLeg, who: "agent", sure: "possible", agent: afterFlight(tls.VersionTLS12, "\x15\x03\x03\x00\x02\x01\x2e", fin)},
		{name: "distrust, passed through, TLS 1.3, Go", ref: "A02", leg: agentLeg, who: "agent", sure: "possible", listener: sealed, agent: goAgent(nil)},
		{name: "revocation list in a directory only", ref: "A06", leg: agentLeg, who: "proxy", sure: "likely", listener: shows(func(c *x509.Certificate) {
			c.CRLDistributionPoints = []string{"ldap:///CN=Lab,CN=CDP,DC=lab,DC=example?certificateRevocationList"}
		}), agent: afterFlight(tls.VersionTLS12, "", fin)},
		{name: "no name in the hello", ref: "A01", also: "A25", leg: agentLeg, who: "agent", sure: "certain", agent: openssl("-noservername", "-CAfile", "site.pem", "-verify_return_error", "-tls1_2")},
		{name: "a message that does not belong there", ref: "", leg: agentLeg, sure: "possible", agent: rawAgent("\x16\x03\x01\x00\x05\x0e\x00\x00\x01\x00", fin)},
		{name: "session resumed", ref: "A32", leg: agentLeg, sure: "certain", listener: sealed, conns: 2, agent: func(t *testing.T, l *lab, addr string) {
			cache := tls.NewLRUClientSessionCache(2)
			twice(goAgent(trustsSite(func(c *tls.Config) { c.ClientSessionCache, c.MaxVersion = cache, tls.VersionTLS12 })))(t, l, addr)
		}},

		// The agent cannot begin.
		{name: "TLS 1.0 only, Go", ref: "A09", leg: agentLeg, who: "agent", sure: "certain", agent: goAgent(func(_ *testing.T, _ *lab, c *tls.Config) {
			c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS10
		})},
		{name: "TLS 1.0 only, openssl", ref: "A09", leg: agentLeg, who: "agent", sure: "certain", agent: openssl("-tls1", "-cipher", "ALL@SECLEVEL=0")},
		{name: "TLS 1.0 only, two agents", ref: "A09", leg: agentLeg, who: "agent", sure: "certain", proof: "2 agents offer nothing newer than TLS 1.1: 127.0.0.2 TLS 1.0, 127.0.0.3 TLS 1.1", conns: 3, agent: func(t *testing.T, l *lab, addr string) {
			goAgent(nil)(t, l, addr)
			oldAgents(t, l, addr)
		}},
		{name: "TLS 1.0 only, let in", ref: "A09", leg: agentLeg, who: "agent", sure: "certain", proof: "2 of them got in here", conns: 3, listener: func(*testing.T, *lab) proxy.Listener {
			return proxy.Listener{Scheme: proxy.HTTPS, Profile: proxy.Legacy}
		}, agent: func(t *testing.T, l *lab, addr string) {
			goAgent(nil)(t, l, addr)
			oldAgents(t, l, addr)
		}},
		{name: "TLS 1.0 only, passed through", ref: "A09", leg: agentLeg, who: "agent", sure: "certain", proof: "2 agents offer nothing newer than TLS 1.1", conns: 2, listener: sealed, agent: oldAgents},
		{name: "RSA key exchange only", ref: "A10", leg: agentLeg, who: "agent", sure: "certain", agent: goAgent(func(_ *testing.T, _ *lab, c *tls.Config) {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}
		})},
		{name: "DHE only, openssl", ref: "A10", leg: agentLeg, who: "agent", sure: "certain", agent: openssl("-tls1_2", "-cipher", "DHE-RSA-AES256-GCM-SHA384")},
		{name: "SHA-1 signatures only, openssl", ref: "A11", leg: agentLeg, who: "agent", sure: "certain", agent: openssl("-tls1_2", "-sigalgs", "RSA+SHA1", "-cipher", "ECDHE-RSA-AES128-SHA:@SECLEVEL=0")},
		{name: "RC4 with MD5 only, gnutls", ref: "A10", leg: agentLeg, who: "agent", sure: "certain", agent: gnutls("--insecure", "--priority", "NONE:+VERS-TLS1.2:+ARCFOUR-128:+MD5:+RSA:+COMP-NULL:+SIGN-ALL:+CTYPE-X509")},
		{name: "h2 only", ref: "A29", leg: agentLeg, who: "agent", sure: "certain", agent: goAgent(func(_ *testing.T, _ *lab, c *tls.Config) { c.NextProtos = []string{"h2"} })},
		{name: "GET in plain", ref: "A23", leg: agentLeg, who: "agent", sure: "certain", agent: rawAgent(labRequest, fin)},
		{name: "CCM_POST in plain", ref: "A23", leg: agentLeg, who: "agent", sure: "certain", agent: rawAgent(post(10), fin)},
		{name: "SSL 2.0 hello", ref: "A24", leg: agentLeg, who: "agent", sure: "certain", agent: rawAgent("\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10\x01\x00\x80\x02\x00\x80\x03\x00\x80\x04\x00\x80\x05\x00\x80\x06\x00\x40\x07\x00\xc00123456789abcdef", fin)},
		{name: "SSL 3.0 hello", ref: "A24", leg: agentLeg, who: "agent", sure: "certain", agent: rawAgent("\x16\x03\x00\x00\x2f\x01\x00\x00\x2b\x03\x000123456789abcdef0123456789abcdef\x00\x00\x04\x00\x05\x00\x0a\x01\x00", fin)},
		{name: "half a hello, then silence", ref: "A26", leg: agentLeg, who: "network", sure: "likely", agent: rawAgent(string(hello(tls.VersionTLS13)[:100]), wait), timeout: 300 * time.Millisecond},
		{name: "half a hello, then the end", ref: "A26", leg: agentLeg, who: "network", sure: "likely", agent: rawAgent(string(hello(tls.VersionTLS13)[:100]), fin)},
		{name: "probe, closed", ref: "A27", leg: agentLeg, sure: "certain", agent: rawAgent("", fin)},
		{name: "probe, reset", ref: "A27", leg: agentLeg, sure: "certain", agent: rawAgent("", rst)},

		// The agent's certificate.
		{name: "no certificate, TLS 1.2", ref: "A12", leg: agentLeg, who: "agent", sure: "certain", mp: mpCfg(requireAny), agent: goAgent(nil)},
		{name: "no certificate, TLS 1.3", ref: "A12", leg: agentLeg, who: "agent", sure: "certain", mp: mpCfg(requireAny), upstream: upTo13, agent: goAgent(nil)},
		{name: "no certificate, 403 with a reason", ref: "A12", leg: agentLeg, who: "agent", sure: "certain", mp: mpCfg(request, reply("403 Client certificate required")), agent: curl("--cacert", "mpproxy.pem")},
		{name: "no certificate, 403", ref: "A12", leg: agentLeg, who: "agent", sure: "likely", mp: mpCfg(request, reply("403 Forbidden")), agent: openssl("-CAfile", "mpproxy.pem", "-tls1_2")},
		{name: "no certificate, from 5.00.9049 on", ref: "A12", leg: agentLeg, who: "agent", sure: "certain", proof: "the agent is 5.00.9058.1000 (User-Agent of exchange 1): from 5.00.9049 on its setup offers a PKI certificate on the internet only with /UsePKICert", mp: mpCfg(request, reply("403 Client certificate required")), agent: goAgent(nil, asked("ccmsetup/5.00.9058.1000"))},
		{name: "no certificate, older agent", ref: "A12", leg: agentLeg, who: "agent", sure: "certain", ruled: "the agent is 5.00.8968.1000", mp: mpCfg(requireAny), agent: goAgent(nil, asked("ccmsetup 5.00.8968.1000"))},
		{name: "no certificate, passed through", ref: "A12", leg: agentLeg, who: "agent", sure: "certain", listener: sealed, mp: mpCfg(requireAny), agent: site12},
		{name: "certificate held back for the list of authorities", ref: "A13", leg: agentLeg, who: "mp", sure: "likely", listener: sealed, conns: 2, mp: func(t *testing.T, l *lab) proxy.Target {
			cert := l.cert(t, l.site, nil)
			n := 0
			return mpThat(t, &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
				cfg := &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAnyClientCert}
				if n++; n > 1 {
					cfg.ClientCAs = l.odd.Pool()
				}
				return cfg, nil
			}})
		}, agent: twice(goAgent(func(t *testing.T, l *lab, c *tls.Config) {
			c.RootCAs, c.MaxVersion = l.site.Pool(), tls.VersionTLS12
			c.Certificates = []tls.Certificate{l.agentCert(t, l.site, nil)}
		}))},
		{name: "the list of authorities lacks the issuer of a certificate that mpproxy is shown", ref: "A13", leg: mpLeg, who: "mp", sure: "likely", proof: "CN=Another CA", mp: mpHints(oddCA), agent: goAgent(withCert(nil))},
		{name: "the list of authorities lacks the issuer, TLS 1.3, and the agent shows none the second time", ref: "A12", also: "A13", leg: agentLeg, who: "agent", sure: "likely", conns: 2, upstream: upTo13, mp: mpHints(oddCA, reply("200 OK"), reply("403 Forbidden")), agent: func(t *testing.T, l *lab, addr string) {
			goAgent(withCert(nil))(t, l, addr)
			goAgent(nil, labRequest, labRequest)(t, l, addr)
		}},
		{name: "no certificate, passed through, and authorities named", ref: "A12", leg: agentLeg, who: "agent", sure: "likely", proof: "it held that back", listener: sealed, mp: mpCfg(func(l *lab, c *tls.Config) {
			c.ClientAuth, c.ClientCAs = tls.RequireAnyClientCert, l.odd.Pool()
		}), agent: site12},
		{name: "no certificate, and it was never asked for one, 403", ref: "A12", leg: agentLeg, who: "agent", sure: "possible", proof: "never asked", mp: mpCfg(func(*lab, *tls.Config) {}, reply("403 Forbidden")), agent: goAgent(nil)},
		{name: "agent certificate with RSA 4096, refused", ref: "A20", leg: agentLeg, who: "agent", sure: "possible", mp: mpCfg(request, reply("403 Forbidden")), upstream: upstreamWith(siteCA, 0, nil), agent: goAgent(func(t *testing.T, l *lab, c *tls.Config) {
			key, err := rsa.GenerateKey(rand.Reader, 4096)
			if err != nil {
				t.Fatal(err)
			}
			c.Certificates = []tls.Certificate{l.certFor(t, l.site, key, forClients)}
		})},
		{name: "no certificate, and a list of authorities near the cut, passed through", ref: "A13", also: "M20", leg: agentLeg, who: "mp", sure: "possible", proof: "near the cut at 16384", listener: sealed, mp: func(t *testing.T, l *lab) proxy.Target { return manyAuthorities(t, l, tls.RequireAnyClientCert) }, agent: goAgent(func(t *testing.T, l *lab, c *tls.Config) {
			trustsSite(max12)(t, l, c)
			c.Certificates = []tls.Certificate{l.agentCert(t, l.odd, nil)}
		})},
		{name: "the management point's own check", ref: "A12", leg: agentLeg, who: "mp", sure: "likely", proof: "this is its health check, not an agent", mp: func(t *testing.T, l *lab) proxy.Target {
			cfg := &tls.Config{Certificates: []tls.Certificate{l.cert(t, l.site, nil)}, ClientAuth: tls.RequestClientCert}
			return mpAt(t, "127.0.0.9", true, serveReplies(cfg, reply("403 Forbidden")))
		}, agent: func(t *testing.T, l *lab, addr string) {
			t.Helper()
			c := tls.Client(dialFrom(t, "127.0.0.9", addr), &tls.Config{ServerName: mpName, RootCAs: l.mpproxy.Pool()})
			_, _ = io.WriteString(c, labRequest)
			_, _ = c.Read(make([]byte, 1))
			c.Close()
		}},
		{name: "agent certificate expired", ref: "A14", leg: agentLeg, who: "agent", sure: "certain", agent: goAgent(withCert(past))},
		{name: "agent certificate not yet valid", ref: "A14", leg: agentLeg, who: "agent", sure: "certain", agent: goAgent(withCert(future))},
		{name: "agent certificate for servers", ref: "A15", leg: agentLeg, who: "agent", sure: "certain", agent: goAgent(withCert(forServers))},
		{name: "agent certificate may not sign", ref: "A16", leg: agentLeg, who: "agent", sure: "certain", agent: goAgent(withCert(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }))},
		{name: "agent certificate of an unknown root, passed through", ref: "A17", leg: agentLeg, who: "mp", sure: "certain", proof: "(thumbprint ", listener: sealed, mp: mpCfg(requireSite), agent: goAgent(func(t *testing.T, l *lab, c *tls.Config) {
			cert := l.agentCert(t, l.odd, nil)
			trustsSite(max12)(t, l, c)
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
		})},
		{name: "agent certificate without its intermediate, passed through", ref: "A17", leg: agentLeg, who: "mp", sure: "certain", listener: sealed, mp: mpCfg(requireSite), agent: goAgent(func(t *testing.T, l *lab, c *tls.Config) {
			cert := l.agentCert(t, l.below(t, l.site, nil), nil)
			cert.Certificate = cert.Certificate[:1]
			trustsSite(max12)(t, l, c)
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
		})},
		{name: "agent certificate of another authority than the others', 403", ref: "A17", leg: agentLeg, who: "mp", sure: "likely", conns: 2, upstream: upstreamWith(siteCA, 0, nil), mp: func(t *testing.T, l *lab) proxy.Target {
			cfg := &tls.Config{Certificates: []tls.Certificate{l.cert(t, l.site, nil)}, ClientAuth: tls.RequestClientCert}
			answers := make(chan string, 2)
			answers <- reply("200 OK")
			answers <- reply("403 Forbidden")
			return mpRaw(t, true, func(raw net.Conn) {
				c := tls.Server(raw, cfg)
				defer c.Close()
				if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
					_, _ = io.WriteString(c, <-answers)
				}
			})
		}, agent: func(t *testing.T, l *lab, addr string) {
			goAgent(withCert(nil))(t, l, addr)
			goAgent(func(t *testing.T, l *lab, c *tls.Config) {
				c.Certificates = []tls.Certificate{l.agentCert(t, l.odd, nil)}
			})(t, l, addr)
		}},
		{name: "agent certificate signed with SHA-1", ref: "A18", leg: agentLeg, who: "agent", sure: "certain", agent: func(t *testing.T, l *lab, addr string) {
			l.pem(t, "sha1agent.pem", l.agentCert(t, l.site, sha1Signed))
			openssl("-CAfile", "mpproxy.pem", "-cert", "sha1agent.pem", "-key", "sha1agent.pem", "-tls1_2", "-cipher", "ALL:@SECLEVEL=0")(t, l, addr)
		}},
		{name: "agent certificate with a negative serial, TLS 1.2", ref: "A19", leg: agentLeg, who: "agent", sure: "certain", proof: "its serial number is negative", agent: negativeSerial("-tls1_2")},
		{name: "agent certificate with a negative serial, TLS 1.3", ref: "A19", leg: agentLeg, who: "agent", sure: "certain", proof: "its serial number is negative", agent: negativeSerial("-tls1_3")},
		{name: "agent certificate with RSA 512", ref: "A20", leg: agentLeg, who: "agent", sure: "certain", agent: func(t *testing.T, l *lab, addr string) {
			mustOpenssl(t, "req", "-x509", "-newkey", "rsa:512", "-nodes", "-keyout", l.file("k512.pem"), "-out", l.file("c512.pem"), "-subj", "/CN=PC-0512", "-days", "300", "-addext", "extendedKeyUsage=clientAuth")
			openssl("-CAfile", "mpproxy.pem", "-cert", "c512.pem", "-key", "k512.pem", "-tls1_2", "-cipher", "ALL:@SECLEVEL=0")(t, l, addr)
		}},
		{name: "agent certificate with ECDSA", ref: "A20", leg: agentLeg, who: "agent", sure: "certain", agent: goAgent(func(t *testing.T, l *lab, c *tls.Config) {
			key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			cert := l.certFor(t, l.site, key, forClients)
			c.Certificates = []tls.Certificate{cert}
		})},

		{name: "agent signs with another key", ref: "A21", leg: agentLeg, who: "agent", sure: "certain", agent: goAgent(func(t *testing.T, l *lab, c *tls.Config) {
			cert := l.agentCert(t, l.site, nil)
			cert.PrivateKey, c.MaxVersion = wrongKey{l.key, l.other}, tls.VersionTLS12
			c.Certificates = []tls.Certificate{cert}
		})},
		{name: "without the certificate, then with it", ref: "A12", leg: agentLeg, sure: "likely", conns: 2, mp: mpCfg(requireAny), upstream: func(t *testing.T, l *lab) proxy.UpstreamTLS {
			u := upstreamWith(siteCA, 0, nil)(t, l)
			u.OnlyForAgents = true
			return u
		}, agent: func(t *testing.T, l *lab, addr string) {
			goAgent(nil)(t, l, addr)
			goAgent(withCert(nil))(t, l, addr)
		}},

		// The management point cannot be spoken with.
		{name: "unknown name", ref: "M01", leg: mpLeg, who: "network", sure: "certain", mp: func(*testing.T, *lab) proxy.Target {
			return proxy.Target{Host: "nosuch.invalid", Port: "443", TLS: true}
		}, agent: goAgent(nil)},
		{name: "nothing listens", ref: "M02", leg: mpLeg, who: "mp", sure: "certain", mp: nobody, agent: goAgent(nil)},
		{name: "closed at the hello", ref: "M03", leg: mpLeg, who: "mp", sure: "certain", mp: rawMP(func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4096))
			c.Close()
		}), agent: goAgent(nil)},
		{name: "reset at the hello", ref: "M03", leg: mpLeg, who: "mp", sure: "certain", mp: rawMP(func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4096))
			rst(c.(*net.TCPConn))
		}), agent: goAgent(nil)},
		{name: "closed at the hello, passed through", ref: "M03", leg: agentLeg, who: "mp", sure: "certain", listener: sealed, mp: rawMP(func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4096))
			c.Close()
		}), agent: site12},
		{name: "reset at the hello, passed through, TLS 1.3", ref: "M03", leg: agentLeg, who: "mp", sure: "certain", listener: sealed, mp: rawMP(func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4096))
			rst(c.(*net.TCPConn))
		}), agent: goAgent(trustsSite(nil))},
		{name: "reset in the middle of the hello, passed through", ref: "M03", leg: agentLeg, who: "mp", sure: "certain", listener: sealed, mp: rawMP(func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4096))
			rst(c.(*net.TCPConn))
		}), agent: rawAgent(string(hello(tls.VersionTLS13)[:200]), wait)},
		{name: "nothing comes to the hello, passed through", ref: "M03", leg: agentLeg, who: "network", sure: "possible", listener: sealed, mp: rawMP(func(c net.Conn) { _, _ = io.Copy(io.Discard, c); c.Close() }), agent: func(t *testing.T, _ *lab, addr string) {
			c := dialLab(t, addr)
			_, _ = c.Write(hello(tls.VersionTLS12))
			_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
			_, _ = c.Read(make([]byte, 1))
			c.Close()
		}},
		{name: "nothing listens, passed through", ref: "M02", leg: mpLeg, who: "mp", sure: "certain", listener: sealed, mp: nobody, agent: site12},
		{name: "unknown name, passed through", ref: "M01", leg: mpLeg, who: "network", sure: "certain", listener: sealed, mp: func(*testing.T, *lab) proxy.Target {
			return proxy.Target{Host: "nosuch.invalid", Port: "443", TLS: true}
		}, agent: site12},
		{name: "plain HTTP on the TLS port, passed through", ref: "M04", leg: agentLeg, who: "mp", sure: "certain", listener: sealed, mp: rawMP(func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, reply("400 Bad Request"))
			c.Close()
		}), agent: site12},
		{name: "no certificate for the name", ref: "A25", leg: mpLeg, who: "proxy", sure: "certain", mp: namelessMP, agent: goAgent(nil)},
		{name: "no certificate for the name, passed through", ref: "A25", leg: agentLeg, who: "mp", sure: "certain", listener: sealed, mp: namelessMP, agent: goAgent(trustsSite(nil))},
		{name: "plain HTTP on the TLS port", ref: "M04", leg: mpLeg, who: "mp", sure: "certain", mp: rawMP(func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, reply("400 Bad Request", "Server: Microsoft-HTTPAPI/2.0"))
			c.Close()
		}), agent: goAgent(nil)},
		{name: "TLS 1.0 only", ref: "M08", leg: mpLeg, who: "proxy", sure: "certain", mp: mpCfg(func(_ *lab, c *tls.Config) {
			c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS10
		}), agent: goAgent(nil)},
		{name: "TLS 1.3 only", ref: "M08", leg: mpLeg, who: "proxy", sure: "certain", proof: "1 agent offers nothing newer than TLS 1.2: 127.0.0.1 TLS 1.2", mp: mpCfg(func(_ *lab, c *tls.Config) { c.MinVersion = tls.VersionTLS13 }), agent: goAgent(func(_ *testing.T, _ *lab, c *tls.Config) { c.MaxVersion = tls.VersionTLS12 })},
		{name: "RSA key exchange only", ref: "M09", leg: mpLeg, who: "mp", sure: "certain", mp: mpCfg(func(_ *lab, c *tls.Config) {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}
		}), agent: goAgent(nil)},
		{name: "internal error of the management point, passed through", ref: "", leg: agentLeg, who: "mp", sure: "certain", proof: "internal_error", listener: sealed, mp: rawMP(func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, fatalAlert(80))
			c.Close()
		}), agent: goAgent(trustsSite(nil))},
		{name: "no version of a modern agent, passed through", ref: "A09", leg: agentLeg, who: "mp", sure: "certain", listener: sealed, mp: mpCfg(func(_ *lab, c *tls.Config) {
			c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS10
		}), agent: goAgent(trustsSite(nil))},
		{name: "a message of the management point that does not belong there", ref: "", leg: mpLeg, sure: "possible", mp: rawMP(func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, "\x16\x03\x03\x00\x04\x0e\x00\x00\x00")
			_, _ = io.Copy(io.Discard, c)
			c.Close()
		}), agent: goAgent(nil)},
		{name: "a record of the management point that does not decrypt", ref: "", leg: mpLeg, who: "network", sure: "certain", proof: "bad record MAC", mp: func(t *testing.T, l *lab) proxy.Target {
			cfg := &tls.Config{Certificates: []tls.Certificate{l.cert(t, l.site, nil)}}
			return mpRaw(t, true, func(raw net.Conn) {
				_, _ = tls.Server(raw, cfg).Read(make([]byte, 4096))
				_, _ = io.WriteString(raw, "\x17\x03\x03\x00\x20"+strings.Repeat("x", 32))
				_, _ = io.Copy(io.Discard, raw)
				raw.Close()
			})
		}, agent: goAgent(nil)},
		{name: "data in the middle of a renegotiation", ref: "M10", leg: mpLeg, who: "proxy", sure: "certain", proof: "unexpected message", mp: func(t *testing.T, l *lab) proxy.Target {
			cert := l.pem(t, "mixed.pem", l.cert(t, l.site, nil))
			target, _ := opensslServer(t, "-cert", cert, "-key", cert, "-tls1_2", "-www", "-CAfile", l.file("site.pem"))
			return target
		}, upstream: upstreamWith(siteCA, 0, nil), agent: goAgent(nil, "GET /renegcert HTTP/1.1\r\nHost: mp01.lab.example\r\n\r\n")},
		{name: "internal error of the management point", ref: "", leg: mpLeg, who: "mp", sure: "certain", mp: rawMP(func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, fatalAlert(80))
			c.Close()
		}), agent: goAgent(nil)},
		{name: "reset in the middle", ref: "M21", leg: mpLeg, who: "network", sure: "likely", mp: rawMP(func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, "\x16\x03\x03\x00\x7a\x02\x00\x00")
			c.Close()
		}), agent: goAgent(nil)},

		// The management point's certificate.
		{name: "unknown authority", ref: "M05", leg: mpLeg, who: "proxy", sure: "certain", mp: func(t *testing.T, l *lab) proxy.Target {
			return mpThat(t, &tls.Config{Certificates: []tls.Certificate{l.cert(t, l.odd, nil)}})
		}, agent: goAgent(nil)},
		{name: "missing intermediate", ref: "M05", leg: mpLeg, who: "proxy", sure: "certain", mp: func(t *testing.T, l *lab) proxy.Target {
			cert := l.cert(t, l.below(t, l.site, nil), nil)
			cert.Certificate = cert.Certificate[:1]
			return mpThat(t, &tls.Config{Certificates: []tls.Certificate{cert}})
		}, agent: goAgent(nil)},
		{name: "name of the management point", ref: "M06", leg: mpLeg, who: "mp", sure: "certain", mp: mpWith(named("mp02.lab.example")), agent: goAgent(nil)},
		{name: "common name only", ref: "M06", leg: mpLeg, who: "mp", sure: "certain", mp: mpWith(named()), agent: goAgent(nil)},
		{name: "management point's certificate expired", ref: "A05", leg: mpLeg, who: "mp", sure: "certain", mp: mpWith(past), agent: goAgent(nil)},
		{name: "management point's certificate for clients", ref: "A07", leg: mpLeg, who: "mp", sure: "certain", mp: mpWith(forClients), agent: goAgent(nil)},
		{name: "management point's certificate SHA-1", ref: "A08", leg: mpLeg, who: "mp", sure: "certain", mp: mpWith(sha1Signed), agent: goAgent(nil)},
		{name: "management point's certificate with a negative serial, TLS 1.2", ref: "A19", leg: mpLeg, who: "mp", sure: "certain", proof: "its serial number is negative", mp: negativeMP("-tls1_2"), agent: goAgent(nil)},
		{name: "management point's certificate with a negative serial, TLS 1.3", ref: "A19", leg: mpLeg, who: "mp", sure: "certain", proof: "its serial number is negative", mp: negativeMP("-tls1_3"), upstream: upTo13, agent: goAgent(nil)},
		{name: "management point's key is short, and all goes well", ref: "A08", leg: mpLeg, who: "mp", sure: "certain", lacks: "because of that", mp: func(t *testing.T, l *lab) proxy.Target {
			key, err := rsa.GenerateKey(rand.Reader, 1024)
			if err != nil {
				t.Fatal(err)
			}
			return mpThat(t, &tls.Config{Certificates: []tls.Certificate{l.certFor(t, l.site, key, nil)}})
		}, agent: goAgent(nil)},
		{name: "Enhanced HTTP, not trusted", ref: "M05", also: "M07", leg: mpLeg, who: "proxy", sure: "certain", proof: "Enhanced HTTP", mp: enhancedHTTP, agent: goAgent(nil)},
		{name: "Enhanced HTTP", ref: "M07", leg: mpLeg, who: "proxy", sure: "certain", mp: enhancedHTTP, upstream: func(*testing.T, *lab) proxy.UpstreamTLS {
			return proxy.UpstreamTLS{Insecure: true}
		}, agent: goAgent(nil)},

		// The management point refuses mpproxy.
		{name: "refuses the certificate, TLS 1.2", ref: "M12", leg: mpLeg, who: "mp", sure: "certain", mp: mpCfg(requireSite), upstream: upstreamWith(oddCA, tls.VersionTLS12, nil), agent: goAgent(withCert(nil))},
		{name: "refuses the certificate, TLS 1.3", ref: "M12", leg: mpLeg, who: "mp", sure: "certain", mp: mpCfg(requireSite), upstream: upstreamWith(oddCA, tls.VersionTLS13, nil), agent: goAgent(withCert(nil))},
		{name: "refuses an expired certificate", ref: "M14", also: "M12", leg: mpLeg, who: "proxy", sure: "certain", mp: mpCfg(requireSite), upstream: upstreamWith(siteCA, tls.VersionTLS12, past), agent: goAgent(withCert(nil))},
		{name: "refuses the certificate of mpproxy, then the agent's leg ends", ref: "M12", leg: mpLeg, who: "mp", sure: "certain", proof: "the agent's leg ended because of that", mp: mpCfg(requireSite), upstream: upstreamWith(oddCA, tls.VersionTLS13, nil), agent: goAgent(withCert(nil))},
		{name: "refuses the agent's certificate, passed through, TLS 1.3", ref: "M12", leg: agentLeg, who: "mp", sure: "possible", proof: "as with a certificate", listener: sealed, mp: mpCfg(requireSite), agent: goAgent(func(t *testing.T, l *lab, c *tls.Config) {
			cert := l.agentCert(t, l.odd, nil)
			trustsSite(nil)(t, l, c)
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
		})},
		{name: "misses the agent's certificate, passed through, TLS 1.3", ref: "M12", leg: agentLeg, who: "mp", sure: "possible", proof: "without a certificate", listener: sealed, mp: mpCfg(requireAny), agent: goAgent(trustsSite(nil))},
		{name: "mpproxy has no certificate, and GnuTLS says decode_error", ref: "M13", leg: mpLeg, who: "proxy", sure: "likely", mp: gnutlsServer("--require-client-cert", "--verify-client-cert"), agent: goAgent(withCert(nil))},
		{name: "mpproxy's certificate without its intermediate", ref: "M12", leg: mpLeg, who: "mp", sure: "certain", mp: mpCfg(requireSite), upstream: func(t *testing.T, l *lab) proxy.UpstreamTLS {
			cert := l.agentCert(t, l.below(t, l.site, nil), nil)
			cert.Certificate = cert.Certificate[:1]
			return proxy.UpstreamTLS{Roots: l.site.Pool(), Certificate: &cert}
		}, agent: goAgent(withCert(nil))},
		{name: "another agent of the same address shows a certificate", ref: "A12", leg: agentLeg, who: "agent", sure: "certain", conns: 2, mp: mpCfg(requireAny), upstream: func(t *testing.T, l *lab) proxy.UpstreamTLS {
			u := upstreamWith(siteCA, 0, nil)(t, l)
			u.OnlyForAgents = true
			return u
		}, agent: func(t *testing.T, l *lab, addr string) {
			goAgent(nil)(t, l, addr)
			l.pem(t, "agent.pem", l.agentCert(t, l.site, nil))
			openssl("-CAfile", "mpproxy.pem", "-cert", "agent.pem", "-key", "agent.pem", "-tls1_2")(t, l, addr)
		}},
		{name: "mpproxy has no certificate, TLS 1.2", ref: "M13", leg: mpLeg, who: "proxy", sure: "certain", mp: mpCfg(requireAny), agent: goAgent(withCert(nil))},
		{name: "mpproxy has no certificate, TLS 1.3", ref: "M13", leg: mpLeg, who: "proxy", sure: "certain", mp: mpCfg(requireAny), upstream: upTo13, agent: goAgent(withCert(nil))},
		{name: "a list of authorities that mpproxy does not take", ref: "M20", leg: mpLeg, who: "mp", sure: "certain", proof: "exceeds maximum", without: "M10", mp: tooMany, agent: goAgent(nil)},
		{name: "a list of authorities that the agent does not take, passed through", ref: "M20", leg: agentLeg, who: "mp", sure: "likely", proof: "alert 80", listener: sealed, mp: tooMany, agent: site12},
		{name: "a list of authorities near the cut", ref: "M20", leg: mpLeg, who: "mp", sure: "likely", mp: asksOfMany, agent: goAgent(nil)},
		{name: "a list of authorities near the cut, TLS 1.3", ref: "M20", leg: mpLeg, who: "mp", sure: "likely", proof: "Lab Site CA\", is not in it", mp: asksOfMany, upstream: upTo13, agent: goAgent(withCert(nil))},

		// What the management point answers.
		{name: "403 with a good certificate", lacks: "because of that", ref: "M15", leg: mpLeg, who: "mp", sure: "likely", mp: mpCfg(request, reply("403 Forbidden")), upstream: upstreamWith(siteCA, 0, nil), agent: goAgent(withCert(nil))},
		{name: "403, and an intermediate among the authorities named", ref: "M15", leg: mpLeg, who: "mp", sure: "likely", proof: "which is no root (\"CN=Lab Site CA", mp: namesIntermediate, upstream: func(t *testing.T, l *lab) proxy.UpstreamTLS {
			cert := l.agentCert(t, l.below(t, l.site, nil), nil)
			return proxy.UpstreamTLS{Roots: l.site.Pool(), Certificate: &cert}
		}, agent: goAgent(withCert(nil))},
		{name: "an intermediate among the authorities named, passed through", ref: "M15", leg: agentLeg, who: "mp", sure: "possible", proof: "which is no root", listener: sealed, mp: namesIntermediate, agent: site12},
		{name: "location reply with another management point", ref: "N12", leg: mpLeg, sure: "certain", proof: "\"mp09.lab.example\", scheme not said, not in the certificate that this management point shows", mp: mpCfg(request, "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 53\r\n\r\n<MPLocation MP=\"mp09.lab.example\" SiteCode=\"LAB\"  />\n"), agent: goAgent(nil, strings.Replace(labRequest, "mplist", "MPLOCATION&ir=192.0.2.7", 1))},
		{name: "403 with an expired certificate", ref: "M14", also: "M15", leg: mpLeg, who: "proxy", sure: "certain", mp: mpCfg(request, reply("403 Forbidden")), upstream: upstreamWith(siteCA, 0, past), agent: goAgent(withCert(nil))},
		{name: "sent on to HTTPS", ref: "N10", leg: mpLeg, who: "agent", sure: "certain", listener: plain, mp: mpPlainReplies(reply("302 Found", "Location: https://mp01.lab.example/SMS_MP/.sms_aut?mplist")), agent: rawAgent(labRequest, fin)},
		{name: "403 over HTTP, the agent with TLS", ref: "N10", leg: mpLeg, who: "proxy", sure: "likely", mp: mpPlainReplies(reply("403 Forbidden")), agent: goAgent(nil)},
		{name: "plain HTTP to a port with TLS", ref: "", leg: mpLeg, who: "mp", sure: "likely", proof: "spoke plain HTTP", listener: plain, mp: func(t *testing.T, l *lab) proxy.Target {
			to := goodMP(t, l)
			to.TLS = false
			return to
		}, agent: rawAgent(labRequest, wait)},
		{name: "403 over HTTP", ref: "N10", leg: mpLeg, who: "agent", sure: "likely", listener: plain, mp: mpPlainReplies(reply("403 Forbidden")), agent: rawAgent(labRequest, fin)},
		{name: "413 after small bodies on another connection", ref: "M16", leg: mpLeg, who: "mp", sure: "likely", proof: "bodies below 48 KB from the same agent passed: 2 requests on all its connections, the largest with 40088 bytes", conns: 2, mp: mpCfg(asksNobody, reply("200 OK"), reply("200 OK"), reply("413 Request Entity Too Large")), upstream: upstreamWith(siteCA, 0, nil), agent: func(t *testing.T, l *lab, addr string) {
			goAgent(withCert(nil), post(100), post(40_000))(t, l, addr)
			goAgent(withCert(nil), labRequest, labRequest, post(80_000))(t, l, addr)
		}},
		{name: "413 although mpproxy primed", ref: "M16", leg: mpLeg, who: "mp", sure: "likely", proof: "mpproxy primed this connection (--prime)", mp: mpCfg(asksNobody, reply("200 OK"), reply("413 Request Entity Too Large")), upstream: func(t *testing.T, l *lab) proxy.UpstreamTLS {
			u := upstreamWith(siteCA, 0, nil)(t, l)
			u.Prime = true
			return u
		}, agent: goAgent(withCert(nil), post(80_000))},
		{name: "413, asked for the certificate in the first handshake", ref: "M16", leg: mpLeg, who: "mp", sure: "possible", proof: "another limit of size", mp: mpCfg(request, reply("413 Request Entity Too Large")), upstream: upstreamWith(siteCA, 0, nil), agent: goAgent(withCert(nil), post(80_000))},
		{name: "413", ref: "M16", leg: mpLeg, who: "mp", sure: "likely", mp: mpCfg(asksNobody, reply("200 OK"), reply("413 Request Entity Too Large")), upstream: upstreamWith(siteCA, 0, nil), agent: goAgent(withCert(nil), post(100), post(80_000))},
		{name: "401 again and again", ref: "M17", leg: mpLeg, who: "mp", sure: "likely", mp: mpCfg(request, reply("401 Unauthorized", "WWW-Authenticate: Negotiate")), agent: goAgent(nil, labRequest, labRequest, labRequest)},
		{name: "401 once, then good", ref: "N16", leg: mpLeg, sure: "certain", mp: mpCfg(request, reply("401 Unauthorized", "WWW-Authenticate: Negotiate", "WWW-Authenticate: NTLM"), reply("200 OK")), agent: goAgent(nil, labRequest, labRequest)},
		{name: "401 without a challenge", ref: "N16", leg: mpLeg, who: "mp", sure: "certain", mp: mpCfg(request, reply("401 Unauthorized")), agent: goAgent(nil)},
		{name: "list by names that the certificate lacks", ref: "N12", leg: mpLeg, who: "mp", sure: "likely", proof: "old.lab.example was asked for; the certificate has mp01.lab.example", mp: mpCfg(request, mpListReply("old.lab.example", "older.lab.example")), agent: goAgent(nil)},
		{name: "list of management points for plain HTTP alone", ref: "N12", leg: mpLeg, who: "mp", sure: "likely", proof: "the agent came by https, and the reply names only servers by http", mp: mpCfg(request, strings.Replace(mpListReply(mpName), `"31"`, `"0" `, 1)), upstream: upstreamWith(siteCA, 0, nil), agent: goAgent(withCert(nil))},
		{name: "list with three management points", ref: "N12", leg: mpLeg, sure: "certain", proof: "\"mp02.lab.example\", https (SSLState 31, binary 11111), not in the certificate that this management point shows", mp: mpCfg(request, mpListReply(mpName, "mp02.lab.example", "mp03.lab.example")), agent: goAgent(nil)},
		{name: "HTTP in, HTTPS out", ref: "P02", leg: mpLeg, who: "proxy", sure: "certain", listener: plain, agent: rawAgent(labRequest, fin)},
		{name: "HTTPS in, HTTP out", ref: "P02", leg: mpLeg, who: "proxy", sure: "certain", mp: mpPlainReplies(reply("200 OK")), agent: goAgent(nil)},
		{name: "503 of http.sys", ref: "M18", leg: mpLeg, who: "mp", sure: "certain", listener: plain, mp: mpPlainReplies(reply("503 Service Unavailable", "Server: Microsoft-HTTPAPI/2.0")), agent: rawAgent(labRequest, fin)},
		{name: "503 of IIS", ref: "M18", leg: mpLeg, who: "mp", sure: "possible", listener: plain, mp: mpPlainReplies(reply("503 Service Unavailable", "Server: Microsoft-IIS/10.0")), agent: rawAgent(labRequest, fin)},
		{name: "400 of http.sys", ref: "", leg: mpLeg, who: "mp", sure: "certain", proof: "a Host that no binding has", listener: plain, mp: mpPlainReplies(reply("400 Bad Request", "Server: Microsoft-HTTPAPI/2.0")), agent: rawAgent(labRequest, fin)},
		{name: "407", ref: "", leg: mpLeg, who: "network", sure: "certain", listener: plain, mp: mpPlainReplies(reply("407 Proxy Authentication Required")), agent: rawAgent(labRequest, fin)},
		{name: "404 for a GET", ref: "", leg: mpLeg, who: "mp", sure: "certain", listener: plain, mp: mpPlainReplies(reply("404 Not Found")), agent: rawAgent(labRequest, fin)},
		{name: "PROXY header of a load balancer", ref: "A23", leg: agentLeg, who: "network", sure: "certain", proof: "PROXY header", listener: func(*testing.T, *lab) proxy.Listener { return proxy.Listener{} }, agent: rawAgent("PROXY TCP4 192.0.2.7 192.0.2.8 1 2\r\n", fin)},
		{name: "SSH on the agent's way", ref: "A23", leg: agentLeg, who: "agent", sure: "certain", listener: plain, agent: rawAgent("SSH-2.0-OpenSSH_9\r\n", fin)},
		{name: "a TLS alert to plain HTTP", ref: "M04", leg: mpLeg, who: "proxy", sure: "certain", listener: plain, mp: func(t *testing.T, _ *lab) proxy.Target {
			return mpRaw(t, false, func(c net.Conn) {
				_, _ = c.Read(make([]byte, 4096))
				_, _ = io.WriteString(c, fatalAlert(70))
				c.Close()
			})
		}, agent: rawAgent(labRequest, wait)},
		{name: "503 without a sign of http.sys", ref: "M18", leg: mpLeg, who: "mp", sure: "likely", listener: plain, mp: mpPlainReplies(reply("503 Service Unavailable")), agent: rawAgent(labRequest, fin)},
		{name: "PROPFIND is unknown", ref: "M19", leg: mpLeg, who: "mp", sure: "certain", listener: plain, mp: mpPlainReplies(reply("501 Not Implemented")), agent: rawAgent("PROPFIND /SMS_DP_SMSPKG$/ HTTP/1.1\r\nHost: mp01.lab.example\r\n\r\n", fin)},
		{name: "CCM_POST is not found", ref: "M19", leg: mpLeg, who: "mp", sure: "likely", listener: plain, mp: mpPlainReplies(reply("404 Not Found")), agent: rawAgent(post(10), fin)},
		{name: "CCM_POST not allowed", ref: "M19", leg: mpLeg, who: "mp", sure: "certain", listener: plain, mp: mpPlainReplies(reply("405 Method Not Allowed")), agent: rawAgent(post(10), fin)},
		{name: "gateway", ref: "N15", leg: mpLeg, who: "mp", sure: "certain", mp: mpCfg(request, reply("403 CMGConnector_Clientcertificaterequired")), agent: goAgent(nil)},
		{name: "TLS 1.3, reset at the first request", ref: "M11", leg: mpLeg, who: "mp", sure: "likely", proof: "more than an alert", upstream: upTo13, mp: func(t *testing.T, l *lab) proxy.Target {
			cfg := &tls.Config{Certificates: []tls.Certificate{l.cert(t, l.site, nil)}}
			return mpRaw(t, true, func(raw net.Conn) {
				_, _ = tls.Server(raw, cfg).Read(make([]byte, 4096))
				rst(raw.(*net.TCPConn))
			})
		}, agent: goAgent(nil)},
		{name: "TLS 1.3, 500 at the first request", ref: "M18", also: "M11", leg: mpLeg, who: "mp", sure: "certain", upstream: upTo13, mp: mpCfg(func(*lab, *tls.Config) {}, reply("500 Internal Server Error")), agent: goAgent(nil)},
		{name: "TLS 1.3, reset at the first request, passed through", ref: "M11", leg: agentLeg, who: "mp", sure: "possible", listener: sealed, mp: func(t *testing.T, l *lab) proxy.Target {
			cfg := &tls.Config{Certificates: []tls.Certificate{l.cert(t, l.site, nil)}}
			return mpRaw(t, true, func(raw net.Conn) {
				_, _ = tls.Server(raw, cfg).Read(make([]byte, 4096))
				rst(raw.(*net.TCPConn))
			})
		}, agent: goAgent(trustsSite(nil))},
		{name: "reset while a large body is sent", ref: "M16", leg: mpLeg, who: "mp", sure: "possible", mp: func(t *testing.T, l *lab) proxy.Target {
			cfg := &tls.Config{Certificates: []tls.Certificate{l.cert(t, l.site, nil)}}
			return mpRaw(t, true, func(raw net.Conn) {
				_, _ = io.CopyN(io.Discard, tls.Server(raw, cfg), 60_000)
				rst(raw.(*net.TCPConn))
			})
		}, agent: goAgent(nil, post(8_000_000))},
		{name: "401 and nothing more", ref: "", leg: mpLeg, who: "agent", sure: "possible", mp: mpCfg(request, reply("401 Unauthorized", "WWW-Authenticate: Negotiate")), agent: goAgent(nil)},
		{name: "500", ref: "M18", leg: mpLeg, who: "mp", sure: "certain", listener: plain, mp: mpPlainReplies(reply("500 Internal Server Error")), agent: rawAgent(labRequest, fin)},
		{name: "agent gave up waiting", ref: "", leg: agentLeg, who: "agent", sure: "certain", listener: plain, mp: func(t *testing.T, _ *lab) proxy.Target {
			return mpRaw(t, false, func(c net.Conn) { _, _ = io.Copy(io.Discard, c); c.Close() })
		}, agent: rawAgent(labRequest, fin)},
		{name: "no answer", ref: "", leg: mpLeg, who: "mp", sure: "likely", listener: plain, mp: func(t *testing.T, _ *lab) proxy.Target {
			return mpRaw(t, false, func(c net.Conn) { _, _ = c.Read(make([]byte, 4096)); c.Close() })
		}, agent: rawAgent(labRequest, wait)},
		{name: "renegotiation refused by a program in Go, passed through", ref: "M10", leg: agentLeg, who: "mp", sure: "certain", listener: sealed, mp: renegotiatingMP, agent: goAgent(trustsSite(max12))},
		{name: "renegotiation for the certificate", ref: "M10", leg: mpLeg, who: "mp", sure: "certain", proof: "should not need one", mp: renegotiatingMP, upstream: upstreamWith(siteCA, 0, nil), agent: goAgent(nil)},
		{name: "renegotiation begun by the agent", ref: "A30", leg: agentLeg, who: "agent", sure: "certain", proof: "clientHelloMsg", agent: renegotiatingAgent},
		{name: "renegotiation begun by the agent, passed through", ref: "A30", leg: agentLeg, who: "agent", sure: "certain", listener: sealed, agent: renegotiatingAgent},
		{name: "expires soon", ref: "X01", leg: mpLeg, who: "mp", sure: "certain", mp: mpWith(func(c *x509.Certificate) { c.NotAfter = time.Now().AddDate(0, 0, 10) }), agent: goAgent(nil)},
	}, slices.Concat(renegotiationCases(), chainCases(), alertCases())...)
}

// nobody is an address where nobody listens.
func nobody(t *testing.T, _ *lab) proxy.Target {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return proxy.Target{Host: mpName, Port: port, Address: l.Addr().String(), TLS: true}
}

// namelessMP has no certificate for any name.
func namelessMP(t *testing.T, _ *lab) proxy.Target {
	return mpThat(t, &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil }})
}

// enhancedHTTP has a certificate as sites make for themselves.
func enhancedHTTP(t *testing.T, l *lab) proxy.Target {
	ca, err := pki.NewCA("SMS Issuing", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return mpThat(t, &tls.Config{Certificates: []tls.Certificate{l.cert(t, ca, func(c *x509.Certificate) { c.Subject.CommonName = "SMS Role SSL Certificate" })}})
}

// namesIntermediate asks for certificates of an authority that is no root, which
// it sends along, and then answers 403.
func namesIntermediate(t *testing.T, l *lab) proxy.Target {
	issuing := l.below(t, l.site, nil)
	pool := x509.NewCertPool()
	pool.AddCert(issuing.Cert)
	cert := l.cert(t, l.site, nil)
	cert.Certificate = append(cert.Certificate, issuing.Cert.Raw)
	return mpThat(t, &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequestClientCert, ClientCAs: pool}, reply("403 Forbidden"))
}

// tooMany asks for a certificate of one of more authorities than a client takes.
func tooMany(t *testing.T, l *lab) proxy.Target {
	return namesAuthorities(t, l, tls.RequestClientCert, strings.Repeat(" far and wide", 20))
}

// manyAuthorities asks for a certificate of one of very many.
func manyAuthorities(t *testing.T, l *lab, asks tls.ClientAuthType) proxy.Target {
	return namesAuthorities(t, l, asks, "")
}

func namesAuthorities(t *testing.T, l *lab, asks tls.ClientAuthType, more string) proxy.Target {
	t.Helper()
	pool := x509.NewCertPool()
	for i := range 260 {
		c := l.cert(t, l.site, func(c *x509.Certificate) {
			c.Subject = pkix.Name{CommonName: fmt.Sprintf("Root Authority of the Laboratory%s %03d", more, i)}
		})
		parsed, err := x509.ParseCertificate(c.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		pool.AddCert(parsed)
	}
	return mpThat(t, &tls.Config{Certificates: []tls.Certificate{l.cert(t, l.site, nil)}, ClientAuth: asks, ClientCAs: pool})
}

func rawMP(handle func(net.Conn)) func(*testing.T, *lab) proxy.Target {
	return func(t *testing.T, _ *lab) proxy.Target { return mpRaw(t, true, handle) }
}

// negativeCert writes a certificate whose serial number is below zero, and its
// key, into the lab's folder.
func negativeCert(t *testing.T, l *lab, name string) (cert, key string) {
	t.Helper()
	cert, key = name+".pem", name+"-key.pem"
	mustOpenssl(t, "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", l.file(key), "-out", l.file(name+".csr"), "-subj", "/CN="+name)
	mustOpenssl(t, "x509", "-req", "-in", l.file(name+".csr"), "-signkey", l.file(key), "-set_serial", "-5", "-days", "300", "-out", l.file(cert))
	return cert, key
}

// negativeMP is openssl's server with such a certificate.
func negativeMP(version string) func(*testing.T, *lab) proxy.Target {
	return func(t *testing.T, l *lab) proxy.Target {
		cert, key := negativeCert(t, l, "neg-mp")
		target, _ := opensslServer(t, "-cert", l.file(cert), "-key", l.file(key), version)
		return target
	}
}

// negativeSerial shows a certificate whose serial number is below zero.
func negativeSerial(version string) func(*testing.T, *lab, string) {
	return func(t *testing.T, l *lab, addr string) {
		cert, key := negativeCert(t, l, "PC-0419")
		openssl("-CAfile", "mpproxy.pem", "-cert", cert, "-key", key, version)(t, l, addr)
	}
}

// wrongKey signs with a key that is not the certificate's.
type wrongKey struct{ shown, used *rsa.PrivateKey }

func (w wrongKey) Public() crypto.PublicKey { return w.shown.Public() }
func (w wrongKey) Sign(r io.Reader, digest []byte, o crypto.SignerOpts) ([]byte, error) {
	return w.used.Sign(r, digest, o)
}

// renegotiatingMP is openssl's server, which asks for a second handshake as
// soon as a request has come.
func renegotiatingMP(t *testing.T, l *lab) proxy.Target {
	t.Helper()
	cert := l.pem(t, "reneg.pem", l.cert(t, l.site, nil))
	target, server := opensslServer(t, "-cert", cert, "-key", cert, "-tls1_2", "-msg")
	go func() {
		if !server.awaits("HTTP/1.1") {
			return
		}
		_, _ = io.WriteString(server.in, "R\n")
		if !server.awaits("<<< TLS 1.2, Handshake [length 0010], Finished") {
			return
		}
		_, _ = io.WriteString(server.in, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		_, _ = io.Copy(io.Discard, server.out)
	}()
	return target
}

// awaits reads up to a line with a text; false when none comes.
func (c console) awaits(text string) bool {
	for {
		line, err := c.out.ReadString('\n')
		if err != nil || strings.Contains(line, text) {
			return err == nil
		}
	}
}

// gnutlsServer is GnuTLS's server.
func gnutlsServer(args ...string) func(*testing.T, *lab) proxy.Target {
	return func(t *testing.T, l *lab) proxy.Target {
		t.Helper()
		target := nobody(t, l)
		cert := l.pem(t, "gnutls.pem", l.cert(t, l.site, nil))
		args := append([]string{"-p", target.Port, "--http", "--x509certfile", cert, "--x509keyfile", cert, "--x509cafile", l.file("site.pem")}, args...)
		cmd := exec.CommandContext(t.Context(), "gnutls-serv", args...)
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stderr = cmd.Stdout
		if err := cmd.Start(); err != nil {
			t.Fatalf("gnutls-serv is not installed; scripts/test installs it: %v", err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		out := bufio.NewReader(stdout)
		for line := ""; !strings.Contains(line, "IPv4"); {
			if line, err = out.ReadString('\n'); err != nil {
				t.Fatal("gnutls-serv: ", err)
			}
		}
		go func() { _, _ = io.Copy(io.Discard, out) }()
		return target
	}
}

// console is the input and output of a program.
type console struct {
	in  io.Writer
	out *bufio.Reader
}

// opensslServer runs s_server until the test is over.
func opensslServer(t *testing.T, args ...string) (proxy.Target, console) {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(free.Addr().String())
	free.Close()
	cmd := exec.CommandContext(t.Context(), "openssl", append([]string{"s_server", "-accept", "127.0.0.1:" + port}, args...)...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	out := bufio.NewReader(stdout)
	for line := ""; !strings.Contains(line, "ACCEPT"); {
		if line, err = out.ReadString('\n'); err != nil {
			t.Fatal("openssl s_server: ", err)
		}
	}
	return proxy.Target{Host: mpName, Port: port, Address: "127.0.0.1:" + port, TLS: true}, console{stdin, out}
}

// renegotiatingAgent is openssl's client, told to renegotiate once it is
// connected.
func renegotiatingAgent(t *testing.T, l *lab, addr string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "openssl", "s_client", "-connect", addr, "-servername", mpName, "-tls1_2", "-CAfile", l.file("site.pem"))
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewReader(stdout)
	for line := ""; !strings.Contains(line, "Extended master secret"); {
		if line, err = out.ReadString('\n'); err != nil {
			t.Fatal("openssl s_client: ", err)
		}
	}
	_, _ = io.WriteString(stdin, "R\n")
	_, _ = io.Copy(io.Discard, out)
	_ = cmd.Wait()
}

// TestLabDocumented: every case stands in the document that says what is
// covered.
func TestLabDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/diagnosis-coverage.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range labCases() {
		if !strings.Contains(string(doc), c.name) {
			t.Errorf("docs/diagnosis-coverage.md lacks the case %q", c.name)
		}
	}
	cases := map[string]bool{}
	for _, c := range labCases() {
		cases[c.name] = true
	}
	for _, list := range regexp.MustCompile("`TestLab`: (.*?)(?:; `Test| \\|)").FindAllStringSubmatch(string(doc), -1) {
		for name := range strings.SplitSeq(list[1], "; ") {
			if !cases[name] {
				t.Errorf("docs/diagnosis-coverage.md has the case %q, which there is not", name)
			}
		}
	}
}

// TestLab makes each failure with real peers on loopback, and asks what the
// first line of a diagnosis says: a wrong cause, side or certainty there, or a
// second cause called certain, would send people to the wrong machine.
func TestLab(t *testing.T) {
	l := newLab(t)
	for _, c := range labCases() {
		t.Run(c.name, func(t *testing.T) {
			groups, _ := l.run(t, &c)
			if len(groups) == 0 {
				t.Fatalf("nothing was found, want %s", c.ref)
			}
			first := groups[0].Example
			if first.Kind.Ref != c.ref || first.Leg != c.leg || first.Sure != c.sure || c.who != "" && first.Who != c.who {
				t.Errorf("found %s %q on %q, to act %q, %s; want %s on %q, %q, %s", first.Kind.Ref, first.Kind.Code, first.Leg, first.Who, first.Sure, c.ref, c.leg, c.who, c.sure)
			}
			if c.also != "" && !slices.ContainsFunc(groups, func(g diagnose.Group) bool { return g.Example.Kind.Ref == c.also }) {
				t.Errorf("%s was not found", c.also)
			}
			if c.without != "" && slices.ContainsFunc(groups, func(g diagnose.Group) bool { return g.Example.Kind.Ref == c.without }) {
				t.Errorf("%s was found", c.without)
			}
			if !strings.Contains(strings.Join(first.Proof, "\n"), c.proof) {
				t.Errorf("the evidence lacks %q", c.proof)
			}
			for _, g := range groups {
				if c.lacks != "" && strings.Contains(strings.Join(g.Example.Proof, "\n"), c.lacks) {
					t.Errorf("the evidence has %q: %q", c.lacks, g.Example.Proof)
				}
			}
			if c.ruled != "" && !slices.ContainsFunc(first.NotIt, func(r diagnose.Ruled) bool { return strings.Contains(r.Why, c.ruled) }) {
				t.Errorf("not ruled out: %q", c.ruled)
			}
			for _, g := range groups[1:] {
				if g.MootBy == "" && g.Example.Sure == "certain" && g.Example.Kind.Severity > traffic.Info {
					t.Errorf("%s %s is called certain too: %v", g.Example.Kind.Ref, g.Example.Kind.Code, g.Example.Proof)
				}
			}
			if t.Failed() {
				for _, g := range groups {
					t.Logf("%s %s leg %s who %s %s moot %q\n  %s", g.Example.Kind.Ref, g.Example.Kind.Code, g.Example.Leg, g.Example.Who, g.Example.Sure, g.MootBy, strings.Join(g.Example.Proof, "\n  "))
				}
			}
		})
	}
}

// healthyClients are clients of every kind that is at hand, with and without
// certificates, which trust an authority of the lab.
func healthyClients(ca string, trust func(*testing.T, *lab, *tls.Config)) []func(*testing.T, *lab, string) {
	cert := []string{"-cert", "agent.pem", "-key", "agent.pem", "-CAfile", ca}
	return []func(*testing.T, *lab, string){
		openssl("-CAfile", ca, "-tls1_2", "-verify_return_error"),
		openssl("-CAfile", ca, "-tls1_3", "-verify_return_error"),
		openssl(append(cert, "-tls1_2")...),
		openssl(append(cert, "-tls1_3")...),
		gnutls("--x509cafile", ca),
		gnutls("--x509cafile", ca, "--priority", "NORMAL:-VERS-TLS1.3", "--x509certfile", "agent.pem", "--x509keyfile", "agent.pem"),
		curl("--cacert", ca),
		curl("--cacert", ca, "--cert", "agent.pem", "--tls-max", "1.2"),
		goAgent(trust),
		goAgent(func(t *testing.T, l *lab, c *tls.Config) {
			withCert(nil)(t, l, c)
			trust(t, l, c)
		}),
	}
}

// TestLabHealthy makes good handshakes of every client that is at hand, 200 of
// them with TLS terminated and some passed through: a finding there is a false
// alarm.
func TestLabHealthy(t *testing.T) {
	l := newLab(t)
	l.pem(t, "agent.pem", l.agentCert(t, l.site, nil))
	trustOurs := func(_ *testing.T, l *lab, c *tls.Config) { c.RootCAs = l.mpproxy.Pool() }
	asks := mpCfg(func(_ *lab, c *tls.Config) { c.ClientAuth = tls.RequestClientCert })
	for _, c := range []struct {
		name     string
		each     int
		listener func(*testing.T, *lab) proxy.Listener
		mp       func(*testing.T, *lab) proxy.Target
		clients  []func(*testing.T, *lab, string)
	}{
		{"terminated", 20, nil, asks, healthyClients("mpproxy.pem", trustOurs)},
		{"passed through", 3, sealed, asks, healthyClients("site.pem", trustsSite(nil))},
		{"a chain larger than what is kept of it", 1, nil, mpShows(large), healthyClients("mpproxy.pem", trustOurs)},
		{"a chain larger than what is kept of it, passed through", 1, sealed, mpShows(large), healthyClients("site.pem", trustsSite(nil))},
		{"passed through, asked after the handshake", 2, sealed, apacheMP("TLSv1.3"), []func(*testing.T, *lab, string){askedLater("-cert", "agent.pem", "-key", "agent.pem")}},
		{"passed through, padded", 1, sealed, healthyJavaMP, []func(*testing.T, *lab, string){healthyJava}},
		{"passed through, in one record", 1, sealed, healthyJavaMP, []func(*testing.T, *lab, string){healthyCoalesced}},
		{"several requests", 3, func(*testing.T, *lab) proxy.Listener { return proxy.Listener{} }, asks, []func(*testing.T, *lab, string){
			goAgent(trustOurs, labRequest, post(100), post(100_000)),
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := c.each * len(c.clients)
			groups, conns := l.run(t, &labCase{
				conns: want, listener: c.listener, upstream: upstreamWith(siteCA, 0, nil),
				mp: c.mp,
				agent: func(t *testing.T, l *lab, addr string) {
					for _, client := range c.clients {
						for range c.each {
							client(t, l, addr)
						}
					}
				},
			})
			if conns != want {
				t.Errorf("%d connections were judged, want %d", conns, want)
			}
			for _, g := range groups {
				t.Errorf("%d times %s %s: %s", g.Count, g.Example.Kind.Ref, g.Example.Kind.Code, strings.Join(g.Example.Proof, "; "))
			}
		})
	}
}

// TestDiagnoseCommand: the first line names cause, side and certainty, the
// exit code follows --fail-on, and what an error explains stands under it.
func TestDiagnoseCommand(t *testing.T) {
	l := newLab(t)
	file := l.record(t, &labCase{agent: openssl("-CAfile", "site.pem", "-verify_return_error", "-tls1_3"), conns: 1})
	for _, c := range []struct {
		args []string
		code int
		want []string
	}{
		{nil, exitOK, []string{
			"E A01  The agent does not trust the authority of the certificate that it was shown  (side: agent leg, to act: agent, certain)\n",
			"\n  tls-agent-distrusts  ", "agent 127.0.0.1\n", "\n  Evidence   alert 48 unknown_ca from the agent", "\n  Do         ", "\n  Check      ", "\n  Explains   ",
		}},
		{[]string{"--fail-on", "error"}, exitFindings, nil},
		{[]string{"--json", "--fail-on", "W"}, exitFindings, []string{`{"schema":"mpproxy.diagnosis","v":1,"code":"tls-agent-distrusts","ref":"A01","sev":"error","leg":"agent","who":"agent","sure":"certain"`, `"agents":["127.0.0.1"],"agents_count":1,"conn":1`}},
		{[]string{"status:200"}, exitOK, []string{"no fault found in 0 connections"}},
		{[]string{"--fail-on", "now"}, exitUsage, nil},
	} {
		var out, errs bytes.Buffer
		code := run(append([]string{"diagnose", file}, c.args...), &env{strings.NewReader(""), &out, &errs, os.Getenv})
		if code != c.code {
			t.Errorf("diagnose %v exits with %d, want %d: %s", c.args, code, c.code, errs.String())
		}
		if len(c.want) > 0 && !strings.HasPrefix(out.String(), c.want[0]) {
			t.Errorf("diagnose %v begins:\n%s", c.args, out.String())
		}
		for _, want := range c.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("diagnose %v lacks %q:\n%s", c.args, want, out.String())
			}
		}
	}
}

// TestAgentsConcerned: one of two agents fails, and the report says so, as it
// tells a fault of the agent from one of the certificate.
func TestAgentsConcerned(t *testing.T) {
	l := newLab(t)
	file := l.record(t, &labCase{conns: 4, agent: func(t *testing.T, l *lab, addr string) {
		goAgent(nil)(t, l, addr)
		for range 3 {
			c := tls.Client(dialFrom(t, "127.0.0.2", addr), &tls.Config{ServerName: mpName, RootCAs: l.site.Pool(), MaxVersion: tls.VersionTLS12})
			if c.Handshake() == nil {
				t.Error("the agent trusts mpproxy")
			}
			c.Close()
		}
	}})
	var out bytes.Buffer
	if code := run([]string{"diagnose", file, "--utc"}, &env{strings.NewReader(""), &out, &out, os.Getenv}); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{"E A01 ", "3 times, ", "; 1 of 2 agents (127.0.0.2); others succeed", "1 of 2 agents on this listener get in", "issued by \"CN=mpproxy lab\""} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, out.String())
		}
	}
}
