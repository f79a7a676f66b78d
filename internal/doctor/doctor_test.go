package doctor

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mpproxy/internal/mpsim"
	"mpproxy/internal/pki"
)

const mpName = "mp01.lab.example"

func authority(t *testing.T) *pki.CA { t.Helper(); return authorityNamed(t, "Lab CA") }

func authorityNamed(t *testing.T, name string) *pki.CA {
	t.Helper()
	ca, err := pki.NewCA(name, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// issue issues a certificate, good but for what the change makes of it.
func issue(t *testing.T, ca *pki.CA, usage x509.ExtKeyUsage, change func(*x509.Certificate)) *tls.Certificate {
	t.Helper()
	made, err := ca.Issue(pki.IssueRequest{CommonName: mpName, DNSNames: []string{mpName}, Usage: []x509.ExtKeyUsage{usage}})
	if err != nil {
		t.Fatal(err)
	}
	if change == nil {
		return made
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(4711), Subject: pkix.Name{CommonName: mpName}, DNSNames: []string{mpName},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{usage},
	}
	change(template)
	der, err := x509.CreateCertificate(rand.Reader, template, ca.Cert, made.Leaf.PublicKey, ca.Key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der, ca.Cert.Raw}, PrivateKey: made.PrivateKey}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// serveTLS is a management point that answers every request alike.
func serveTLS(t *testing.T, cfg *tls.Config, status int) string {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = cfg
	s.EnableHTTP2 = false
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL
}

func site(t *testing.T, cfg mpsim.SiteConfig, secure bool) (*mpsim.Site, string) {
	t.Helper()
	s, err := mpsim.NewSite(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l := listen(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if secure {
			_ = s.ServeTLS(ctx, l)
			return
		}
		_ = s.Serve(ctx, l)
	}()
	t.Cleanup(func() { cancel(); <-done })
	if secure {
		return s, "https://" + l.Addr().String()
	}
	return s, "http://" + l.Addr().String()
}

// text is a report as lines.
func text(r *Report) string {
	var b strings.Builder
	for _, l := range r.Lines {
		b.WriteString(string(l.State) + " " + l.What + ": " + l.Text + "\n")
	}
	for _, g := range r.Findings {
		b.WriteString(g.Example.Kind.Ref + " " + g.Example.Sure + " moot by " + g.MootBy + ": " + strings.Join(g.Example.Proof, "\n    ") + "\n")
	}
	return b.String() + r.Agent + "\n"
}

// holds holds a report against what it has to say: first is the first finding,
// "" for none; each of want is part of it.
func holds(t *testing.T, o Options, first string, reached bool, want ...string) {
	t.Helper()
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	r, err := Probe(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	if len(r.Findings) > 0 {
		got = r.Findings[0].Example.Kind.Ref
	}
	said := text(r)
	if got != first || r.Reached != reached {
		t.Errorf("found %q, reached %t, want %q, %t:\n%s", got, r.Reached, first, reached, said)
	}
	for _, w := range want {
		if !strings.Contains(said, w) {
			t.Errorf("lacks %q:\n%s", w, said)
		}
	}
}

// TestSites probes simulated sites of each kind: a good one must not be called
// bad, and what an agent would meet must be said.
func TestSites(t *testing.T) {
	native, at := site(t, mpsim.SiteConfig{Native: true}, true)
	cert, err := native.ClientCert("MPPROXY", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, odd := site(t, mpsim.SiteConfig{}, false)
	secure, https := site(t, mpsim.SiteConfig{}, true)
	t.Run("native, with a certificate", func(t *testing.T) {
		holds(t, Options{URL: at, Host: mpName, Roots: native.CA.Pool(), Certificate: cert, Lists: true}, "", true,
			"ok TLS: takes TLS 1.2, TLS 1.3\n", "ok names: ", "ok chain: ", "ok MPLIST: ", "ok MPCERT: CN=mp01.lab.example, by CN=LAB Test CA, ", "; the same as in TLS\n", "-- request: GET /SMS_MP/.sms_aut?MPLIST without a certificate: 403",
			"ok request: GET /SMS_MP/.sms_aut?MPLIST with the certificate: 200 OK; a client certificate is asked for at once",
			"ok own cert: CN=MPPROXY", "ok authorities: those named whose certificates are taken (1): CN=LAB Test CA", "the name is in this certificate", "ok clock: ", "would get in with a client certificate")
	})
	t.Run("native, without", func(t *testing.T) {
		holds(t, Options{URL: at, Host: mpName, Roots: native.CA.Pool()}, "M13", true, "!! request: GET /SMS_MP/.sms_aut?MPLIST without a certificate: 403", "An agent without a client certificate would be refused")
	})
	t.Run("native, not trusted here", func(t *testing.T) {
		holds(t, Options{URL: at, Host: mpName, Roots: authority(t).Pool()}, "M05", false, "!! chain: ", "only where its computer trusts the root")
	})
	t.Run("native, another name", func(t *testing.T) {
		holds(t, Options{URL: at, Host: "mp02.lab.example", Roots: native.CA.Pool()}, "M06", false, "!! names: mp02.lab.example was asked for")
	})
	t.Run("https", func(t *testing.T) {
		holds(t, Options{URL: https, Host: mpName, Roots: secure.CA.Pool()}, "", true, "ok request: GET /SMS_MP/.sms_aut?MPLIST without a certificate: 200 OK", "would get in")
	})
	t.Run("http", func(t *testing.T) {
		holds(t, Options{URL: odd}, "", true, "ok MP: mp01.lab.example, version 9128, http (SSLState 0)\n", "An agent would get in over plain HTTP, and be sent to mp01.lab.example.")
	})
}

// TestOtherClock: a management point whose clock is hours off is told, as agents
// with the right time cannot register with it.
func TestOtherClock(t *testing.T) {
	_, at := site(t, mpsim.SiteConfig{}, false)
	holds(t, Options{URL: at, Now: func() time.Time { return time.Now().Add(3 * time.Hour) }}, "", true, "!! clock: the management point's clock is 3h0m", "s behind this machine's")
}

// TestFaults probes what does not work, with real listeners.
func TestFaults(t *testing.T) {
	ca, other := authority(t), authorityNamed(t, "Other CA")
	server := issue(t, ca, x509.ExtKeyUsageServerAuth, nil)
	client := issue(t, ca, x509.ExtKeyUsageClientAuth, nil)
	closed := listen(t)
	closed.Close()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	list := func(change func(*x509.RevocationList)) string {
		l := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour)}
		change(l)
		der, err := x509.CreateRevocationList(rand.Reader, l, ca.Cert, ca.Key)
		if err != nil {
			t.Fatal(err)
		}
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(der) }))
		t.Cleanup(s.Close)
		return s.URL + "/lab.crl"
	}
	withList := func(url string) *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{*issue(t, ca, x509.ExtKeyUsageServerAuth, func(c *x509.Certificate) { c.CRLDistributionPoints = []string{url} })}}
	}
	good := list(func(*x509.RevocationList) {})
	revokes := list(func(l *x509.RevocationList) {
		l.RevokedCertificateEntries = []x509.RevocationListEntry{{SerialNumber: big.NewInt(4711), RevocationTime: time.Now().Add(-time.Minute), ReasonCode: 1}}
	})
	outdated := list(func(l *x509.RevocationList) { l.NextUpdate = time.Now().Add(-time.Minute) })
	for _, c := range []struct {
		name, url, first string
		reached          bool
		client           *tls.Certificate
		want             []string
	}{
		{"nothing listens", "https://" + closed.Addr().String(), "M02", false, nil, []string{"!! connect: ", "An agent would not even connect"}},
		{"nothing listens, http", "http://" + closed.Addr().String(), "M02", false, nil, []string{"An agent would not even connect"}},
		{"no such name", "https://doctor.invalid", "M01", false, nil, []string{"!! name: doctor.invalid"}},
		{"plain HTTP on the TLS port", strings.Replace(plain.URL, "http:", "https:", 1), "M04", false, nil, []string{"fail in the TLS handshake"}},
		{"TLS 1.0 only", serveTLS(t, &tls.Config{Certificates: []tls.Certificate{*server}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10}, 200), "M08", false, nil, []string{"!! TLS: takes TLS 1.0\n", "!! handshake: "}},
		{"TLS 1.3 only", serveTLS(t, &tls.Config{Certificates: []tls.Certificate{*server}, MinVersion: tls.VersionTLS13}, 200), "", true, nil, []string{"ok TLS: takes TLS 1.3\n", "ok handshake: TLS 1.3"}},
		{"certificate has expired", serveTLS(t, &tls.Config{Certificates: []tls.Certificate{*issue(t, ca, x509.ExtKeyUsageServerAuth, func(c *x509.Certificate) {
			c.NotAfter = time.Now().Add(-time.Minute)
		})}}, 200), "A05", false, nil, []string{"!! certificate: 1"}},
		{"list is good", serveTLS(t, withList(good), 200), "", true, nil, []string{"ok revocation: " + good + ": 0 entries, not this certificate"}},
		{"certificate is revoked", serveTLS(t, withList(revokes), 200), "A06", true, nil, []string{"!! revocation: " + revokes + ": REVOKED", "key compromise", "is revoked"}},
		{"list has expired", serveTLS(t, withList(outdated), 200), "A06", true, nil, []string{"!! revocation: " + outdated + ": expired", "would get in", "but: the revocation list"}},
		{"list is out of reach", serveTLS(t, withList("http://"+closed.Addr().String()+"/x.crl"), 200), "A06", true, nil, []string{"refused"}},
		{"list in a directory", serveTLS(t, withList("ldap:///CN=x"), 200), "", true, nil, []string{"-- revocation: ldap:///CN=x: not fetched; agents outside of the domain"}},
		{"client certificate for servers", serveTLS(t, &tls.Config{Certificates: []tls.Certificate{*server}, ClientAuth: tls.RequestClientCert}, 403), "M14", true, server, []string{"!! own cert: CN=mp01.lab.example", "it is not for Client Authentication", "without Client Authentication", "be answered 403"}},
		{"403 with a good certificate", serveTLS(t, &tls.Config{Certificates: []tls.Certificate{*server}, ClientAuth: tls.RequestClientCert}, 403), "M15", true, client, []string{"403.16 is likely"}},
		{"no answer", "https://" + listen(t).Addr().String(), "M03", false, nil, []string{"!! TLS: no answer to a ClientHello within 2s\n"}},
		{"authority not named", serveTLS(t, &tls.Config{Certificates: []tls.Certificate{*server}, ClientAuth: tls.RequestClientCert, ClientCAs: other.Pool()}, 200), "", true, client, []string{"!! authorities: ", "CN=Other CA; the given certificate's is not among them"}},
		{"503", serveTLS(t, &tls.Config{Certificates: []tls.Certificate{*server}}, 503), "M18", true, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			holds(t, Options{URL: c.url, Host: mpName, Roots: ca.Pool(), Issuers: []*x509.Certificate{ca.Cert}, Certificate: c.client, Lists: true, Timeout: 2 * time.Second}, c.first, c.reached, c.want...)
		})
	}
}

// TestOpenSSL: a foreign server that wants a client certificate of another
// authority refuses ours with an alert.
func TestOpenSSL(t *testing.T) {
	ca, other := authority(t), authority(t)
	file := func(name string) string { return filepath.Join(t.TempDir(), name) }
	serverFile, caFile := file("server.pem"), file("other.pem")
	server := issue(t, ca, x509.ExtKeyUsageServerAuth, nil)
	if err := pki.WriteKeyPair(server, serverFile, serverFile); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(caFile, other.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	address := freePort(t)
	start(t, address, "openssl", "s_server", "-accept", address, "-cert", serverFile, "-Verify", "3", "-verify_return_error", "-CAfile", caFile, "-www", "-tls1_2")
	holds(t, Options{URL: "https://" + address, Host: mpName, Roots: ca.Pool(), Certificate: issue(t, ca, x509.ExtKeyUsageClientAuth, nil)}, "M12", false, "fail in the TLS handshake")
}

// TestApache: a server that asks by renegotiation, and for one folder alone, is
// seen to do so, as IIS does.
func TestApache(t *testing.T) {
	ca := authority(t)
	behind := httptest.NewServer(http.NotFoundHandler())
	defer behind.Close()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil { // its workers are another user
		t.Fatal(err)
	}
	file := func(n string) string { return filepath.Join(dir, n) }
	if err := pki.WriteKeyPair(issue(t, ca, x509.ExtKeyUsageServerAuth, nil), file("server.pem"), file("server.key")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file("ca.pem"), ca.PEM(), 0o644); err != nil {
		t.Fatal(err)
	}
	address := freePort(t)
	conf := "ServerName " + mpName + "\nServerRoot " + dir + "\nListen " + address + "\nPidFile " + file("pid") + "\nErrorLog " + file("error.log") + "\n"
	for _, m := range []string{"mpm_event", "authz_core", "ssl", "socache_shmcb", "proxy", "proxy_http"} {
		conf += "LoadModule " + m + "_module /usr/lib/apache2/modules/mod_" + m + ".so\n"
	}
	if os.Getuid() == 0 {
		conf += "User nobody\nGroup nogroup\n"
	}
	conf += "SSLEngine on\nSSLProtocol -all +TLSv1.2\nSSLCertificateFile " + file("server.pem") + "\nSSLCertificateKeyFile " + file("server.key") + "\nSSLCACertificateFile " + file("ca.pem") +
		"\nProxyPass / " + behind.URL + "/\n<Location /ccm_system>\n SSLVerifyClient require\n</Location>\n"
	if err := os.WriteFile(file("apache.conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, address, "apache2", "-X", "-f", file("apache.conf"))
	holds(t, Options{URL: "https://" + address, Host: mpName, Roots: ca.Pool(), Certificate: issue(t, ca, x509.ExtKeyUsageClientAuth, nil)}, "", true,
		"GET /SMS_MP/.sms_aut?MPLIST with the certificate: 404 Not Found; no client certificate is asked for",
		"HEAD /ccm_system/request with the certificate: 404 Not Found; a client certificate is asked for by renegotiation, after the request",
		"authorities: those named whose certificates are taken (1): CN=Lab CA")
}

func freePort(t *testing.T) string {
	t.Helper()
	l := listen(t)
	defer l.Close()
	return l.Addr().String()
}

// start starts a foreign server and waits until it listens.
func start(t *testing.T, address, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	in, err := cmd.StdinPipe() // openssl ends with its input
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Process.Kill()
		cmd.Wait()
	})
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(20 * time.Second); ; {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			return
		}
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("%s does not listen: %v: %s", name, err, said.String())
		}
	}
}

// TestMachine: a bad key file, a clock behind, a taken port and a missing list
// are told; a good machine has nothing to tell.
func TestMachine(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ca")
	ca, _, err := pki.LoadOrCreateCA(dir, "mpproxy CA", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	der, err := ca.CRL(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/mpproxy.crl" {
			w.Write(der)
			return
		}
		io.WriteString(w, "<html>")
	}))
	defer s.Close()
	taken := listen(t)
	good := MachineOptions{CA: dir, Dirs: []string{t.TempDir(), filepath.Join(t.TempDir(), "not", "yet")}, Listen: []string{"127.0.0.1:0"}, CRL: s.URL + "/mpproxy.crl", Roots: ca.Pool(), Now: time.Now()}
	say := func(change func(*MachineOptions)) string {
		o := good
		change(&o)
		return text(&Report{Lines: Machine(t.Context(), o)})
	}
	if said := say(func(*MachineOptions) {}); strings.Contains(said, "!!") || !strings.Contains(said, "ok own list") || !strings.Contains(said, "ok trust") || !strings.Contains(said, "can be made") {
		t.Error(said)
	}
	for want, change := range map[string]func(*MachineOptions){
		"-- authority: none yet":   func(o *MachineOptions) { o.CA = t.TempDir() },
		"!! port: ":                func(o *MachineOptions) { o.Listen = []string{taken.Addr().String()} },
		"!! own list: ":            func(o *MachineOptions) { o.CRL = s.URL + "/page.crl" },
		"!! clock: ":               func(o *MachineOptions) { o.Now = o.Now.AddDate(-1, 0, 0) },
		"-- trust: this machine d": func(o *MachineOptions) { o.Roots = x509.NewCertPool() },
	} {
		if said := say(change); !strings.Contains(said, want) {
			t.Errorf("lacks %q:\n%s", want, said)
		}
	}
	if err := os.Chmod(filepath.Join(dir, pki.CAKeyFile), 0o644); err != nil {
		t.Fatal(err)
	}
	if said := say(func(*MachineOptions) {}); !strings.Contains(said, "can be read by others") {
		t.Error(said)
	}
}

// TestMPList reads lists as sites of different ages give them.
func TestMPList(t *testing.T) {
	for text, want := range map[string][]listed{
		`<?xml version="1.0" encoding="utf-16"?><MPList><MP Name="MP01" FQDN="mp01.lab.example"><Version>9128</Version><Capabilities><Property Name="SSLState" Value="63"/></Capabilities></MP></MPList>`:                            {{"mp01.lab.example", "9128", "63", true}},
		`<MPList><MP Name="MP01"><Version>9128</Version><Capabilities><Property Name="SSLState" Value="0"/></Capabilities></MP><MP FQDN="cmg.example"><Capabilities><Property Name="SSL" Version="1"/></Capabilities></MP></MPList>`: {{"MP01", "9128", "0", false}, {"cmg.example", "", "", true}},
		`<MPList></MPList>`:                               nil,
		`<MPList><MP Name="MP01"`:                         nil,
		strings.Repeat(`<MP Name="x"></MP>`, 3*maxListed): slices.Repeat([]listed{{name: "x"}}, maxListed),
	} {
		if got := parseMPList(text); !slices.Equal(got, want) {
			t.Errorf("%.60s: %v, want %v", text, got, want)
		}
	}
}
