package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"mpproxy/proxy"
)

const (
	openFolder    = "GET /open/file HTTP/1.1\r\nHost: mp01.lab.example\r\n\r\n"
	guardedFolder = "GET /guarded/file HTTP/1.1\r\nHost: mp01.lab.example\r\n\r\n"
)

// apacheMP asks for a client certificate in one folder only, as IIS does: by
// renegotiation, and in TLS 1.3 after the handshake.
func apacheMP(protocol string) func(*testing.T, *lab) proxy.Target {
	return func(t *testing.T, l *lab) proxy.Target {
		t.Helper()
		target := nobody(t, l)
		dir := t.TempDir()
		for _, folder := range []string{"/docs/open", "/docs/guarded"} {
			if err := os.MkdirAll(dir+folder, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(dir+folder+"/file", []byte("ok"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Mkdir(dir+"/docs/SMS_MP", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir+"/docs/SMS_MP/.sms_aut", []byte(`<MPList><MP Name="MP01" FQDN="`+mpName+`"/></MPList>`), 0o644); err != nil {
			t.Fatal(err)
		}
		cert := l.pem(t, "apache.pem", l.cert(t, l.site, func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)} }))
		conf := "ServerName " + mpName + "\nServerRoot " + dir + "\nListen " + target.Address + "\nPidFile " + dir + "/pid\nErrorLog " + dir + "/error.log\n"
		for _, m := range []string{"mpm_event", "authz_core", "ssl", "socache_shmcb"} {
			conf += "LoadModule " + m + "_module /usr/lib/apache2/modules/mod_" + m + ".so\n"
		}
		if os.Getuid() == 0 {
			conf += "User nobody\nGroup nogroup\n"
			openToAll(t, dir)
		}
		conf += "DocumentRoot " + dir + "/docs\nSSLEngine on\nSSLProtocol -all +" + protocol + "\nSSLCertificateFile " + cert + "\nSSLCertificateKeyFile " + cert +
			"\nSSLCACertificateFile " + l.file("site.pem") + "\n<Location /guarded>\n SSLVerifyClient require\n</Location>\n<Location /ccm_system>\n SSLVerifyClient require\n</Location>\n"
		if err := os.WriteFile(dir+"/apache.conf", []byte(conf), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), "apache2", "-X", "-f", dir+"/apache.conf")
		var said bytes.Buffer
		cmd.Stderr = &said
		if err := cmd.Start(); err != nil {
			t.Fatalf("apache2 is not installed; scripts/test installs it: %v", err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		for end := time.Now().Add(20 * time.Second); ; {
			c, err := net.DialTimeout("tcp", target.Address, time.Second)
			if err == nil {
				c.Close()
				return target
			}
			if time.Now().After(end) {
				t.Fatalf("apache2 does not listen: %s", said.String())
			}
		}
	}
}

// openToAll lets Apache's user into the folders of a test.
func openToAll(t *testing.T, dir string) {
	t.Helper()
	for at := dir; strings.HasPrefix(at, os.TempDir()+"/"); at = at[:strings.LastIndexByte(at, '/')] {
		if err := os.Chmod(at, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// renegotiationCases are management points that ask for a certificate in the
// middle of a connection, which is how IIS asks.
func renegotiationCases() []labCase {
	renegotiates := func(t *testing.T, l *lab, c *tls.Config) {
		c.RootCAs, c.MaxVersion, c.Renegotiation = l.site.Pool(), tls.VersionTLS12, tls.RenegotiateOnceAsClient
	}
	mp, later := apacheMP("TLSv1.2"), apacheMP("TLSv1.3")
	return []labCase{
		{name: "asked again, and all is well", ref: "M10", leg: mpLeg, who: "mp", sure: "certain", mp: mp, upstream: upstreamWith(siteCA, 0, nil), agent: goAgent(nil, guardedFolder)},
		{name: "asked again, neither the agent nor mpproxy has a certificate", ref: "A12", also: "M10", leg: agentLeg, who: "agent", sure: "certain", proof: "by renegotiation, got none", mp: mp, agent: goAgent(nil, openFolder, guardedFolder)},
		{name: "asked again, mpproxy has no certificate", ref: "M13", leg: mpLeg, who: "proxy", sure: "certain", proof: "by renegotiation, got none", mp: mp, agent: goAgent(withCert(nil), guardedFolder)},
		{name: "asked again, mpproxy's certificate is of an unknown authority", ref: "M12", leg: mpLeg, who: "mp", sure: "certain", proof: "in the renegotiation", lacks: "sent alone", mp: mp, upstream: upstreamWith(oddCA, 0, nil), agent: goAgent(withCert(nil), guardedFolder)},
		{name: "asked again, mpproxy's certificate has expired", ref: "M14", also: "M12", leg: mpLeg, who: "proxy", sure: "certain", mp: mp, upstream: upstreamWith(siteCA, 0, past), agent: goAgent(withCert(nil), guardedFolder)},
		{name: "asked again, passed through, a client that does not renegotiate", ref: "M10", leg: agentLeg, who: "mp", sure: "certain", proof: "it said an alert", listener: sealed, mp: mp, agent: goAgent(trustsSite(func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }), guardedFolder)},
		{name: "asked again, passed through, the agent shows none", ref: "M12", also: "M10", leg: agentLeg, who: "mp", sure: "likely", proof: "too little for a certificate", listener: sealed, mp: mp, agent: goAgent(renegotiates, guardedFolder)},
		{name: "asked again, passed through, the agent's certificate is of an unknown authority", ref: "M12", also: "M10", leg: agentLeg, who: "mp", sure: "likely", proof: "as much as with a certificate", listener: sealed, mp: mp, agent: goAgent(func(t *testing.T, l *lab, c *tls.Config) {
			renegotiates(t, l, c)
			cert := l.agentCert(t, l.odd, nil)
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
		}, guardedFolder)},
		{name: "a certificate wanted after TLS 1.3, 403", ref: "M11", leg: mpLeg, who: "mp", sure: "possible", mp: later, upstream: upstreamWith(siteCA, tls.VersionTLS13, nil), agent: goAgent(nil, guardedFolder)},
		{name: "asked after the handshake, passed through, the agent shows none", ref: "M12", leg: agentLeg, who: "mp", sure: "possible", proof: "post_handshake_auth", listener: sealed, mp: later, agent: askedLater()},
		{name: "asked after the handshake, passed through, the agent's certificate is of an unknown authority", ref: "M12", leg: agentLeg, who: "mp", sure: "possible", proof: "post_handshake_auth", listener: sealed, mp: later, agent: func(t *testing.T, l *lab, addr string) {
			l.pem(t, "odd-agent.pem", l.agentCert(t, l.odd, nil))
			askedLater("-cert", "odd-agent.pem", "-key", "odd-agent.pem")(t, l, addr)
		}},
	}
}

// askedLater is openssl's client, which lets itself be asked for a certificate
// after the handshake.
func askedLater(args ...string) func(*testing.T, *lab, string) {
	return func(t *testing.T, l *lab, addr string) {
		args := append([]string{"s_client", "-connect", addr, "-ign_eof", "-quiet", "-servername", mpName, "-tls1_3", "-enable_pha", "-CAfile", "site.pem"}, args...)
		foreign(t, strings.Replace(guardedFolder, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1), "openssl", l.files(args)...)
	}
}

// TestDoctorRenegotiation: doctor sees that a certificate is wanted only after
// the request, and says what came of the one that was shown; it does not say that
// an agent would get in which would not.
func TestDoctorRenegotiation(t *testing.T) {
	l := newLab(t)
	target := apacheMP("TLSv1.2")(t, l)
	plainMP := goodMP(t, l)
	l.pem(t, "good.pem", l.agentCert(t, l.site, nil))
	l.pem(t, "odd-agent.pem", l.agentCert(t, l.odd, nil))
	for _, c := range []struct {
		url  string
		cert string
		want []string
	}{
		{"https://" + target.Address, "", []string{"E M13 ", "asked for a certificate by renegotiation, got none, and said alert 40", "An agent without a client certificate would be refused"}},
		{"https://" + target.Address, "odd-agent.pem", []string{"E M12 ", "alert 48 unknown_ca from the management point, in the renegotiation", "An agent would meet this: the management point refuses"}},
		{"https://" + target.Address, "good.pem", []string{"the certificate: 404 Not Found; a client certificate is asked for by renegotiation"}},
		{"http://" + plainMP.Address, "", []string{"mpproxy spoke plain HTTP: a port that wants TLS ends so", "An agent would meet this: the management point, or something before it, ended the connection"}},
	} {
		args := []string{"doctor", c.url, "--upstream-ca", l.file("site.pem")}
		if c.cert != "" {
			args = append(args, "--client-cert", l.file(c.cert))
		}
		var out bytes.Buffer
		run(args, &env{strings.NewReader(""), &out, &out, os.Getenv})
		for _, want := range c.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%v lacks %q:\n%s", args, want, out.String())
			}
		}
	}
}
