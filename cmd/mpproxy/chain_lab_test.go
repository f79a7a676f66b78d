package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"mpproxy/internal/pki"
	"mpproxy/proxy"
)

// under is a good certificate of an authority that is good but for a change.
func under(change func(*x509.Certificate)) func(*testing.T, *lab) tls.Certificate {
	return func(t *testing.T, l *lab) tls.Certificate {
		t.Helper()
		return l.cert(t, l.below(t, l.site, change), nil)
	}
}

// below is an authority below another one, good but for a change.
func (l *lab) below(t *testing.T, root *pki.CA, change func(*x509.Certificate)) *pki.CA {
	t.Helper()
	made := l.certFor(t, root, l.other, func(c *x509.Certificate) {
		c.Subject, c.DNSNames = pkix.Name{CommonName: "Lab Issuing CA"}, nil
		c.IsCA, c.BasicConstraintsValid, c.ExtKeyUsage, c.KeyUsage = true, true, nil, x509.KeyUsageCertSign
		if change != nil {
			change(c)
		}
	})
	cert, err := x509.ParseCertificate(made.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return &pki.CA{Cert: cert, Key: l.other}
}

func onlyOtherNames(c *x509.Certificate) {
	c.PermittedDNSDomainsCritical, c.PermittedDNSDomains = true, []string{"contoso.example"}
}

func noAuthority(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature }

// tooDeep has an authority between that its own issuer does not allow.
func tooDeep(t *testing.T, l *lab) tls.Certificate {
	t.Helper()
	upper := l.below(t, l.site, func(c *x509.Certificate) { c.MaxPathLenZero = true })
	lower := l.below(t, upper, func(c *x509.Certificate) { c.Subject.CommonName = "Lab Lower CA" })
	cert := l.cert(t, lower, nil)
	cert.Certificate = append(cert.Certificate, upper.Cert.Raw)
	return cert
}

// wrongSister is sent with another authority of its issuer's name, as after that
// one got a new key.
func wrongSister(t *testing.T, l *lab) tls.Certificate {
	t.Helper()
	cert := l.cert(t, l.below(t, l.site, nil), nil)
	sister := l.certFor(t, l.site, l.key, func(c *x509.Certificate) {
		c.Subject, c.DNSNames, c.IsCA, c.BasicConstraintsValid = pkix.Name{CommonName: "Lab Issuing CA"}, nil, true, true
		c.KeyUsage = x509.KeyUsageCertSign
	})
	cert.Certificate = [][]byte{cert.Certificate[0], sister.Certificate[0]}
	return cert
}

func mpShows(cert func(*testing.T, *lab) tls.Certificate) func(*testing.T, *lab) proxy.Target {
	return func(t *testing.T, l *lab) proxy.Target {
		return mpThat(t, &tls.Config{Certificates: []tls.Certificate{cert(t, l)}})
	}
}

func showsAll(cert func(*testing.T, *lab) tls.Certificate) func(*testing.T, *lab) proxy.Listener {
	return func(t *testing.T, l *lab) proxy.Listener {
		c := cert(t, l)
		return proxy.Listener{Scheme: proxy.HTTPS, Certificate: &c}
	}
}

// aloneBelow is a certificate without its intermediate.
func aloneBelow(t *testing.T, l *lab) tls.Certificate {
	t.Helper()
	cert := under(nil)(t, l)
	cert.Certificate = cert.Certificate[:1]
	return cert
}

// selfSigned has no authority.
func selfSigned(t *testing.T, l *lab) tls.Certificate {
	t.Helper()
	self := &pki.CA{Cert: &x509.Certificate{Subject: pkix.Name{CommonName: mpName}, RawSubject: nil}, Key: l.key}
	cert := l.cert(t, self, nil)
	cert.Certificate = cert.Certificate[:1]
	return cert
}

// secondRoot is issued by another root of the site's name.
func secondRoot(t *testing.T, l *lab) tls.Certificate {
	t.Helper()
	again, err := pki.NewCA(l.site.Cert.Subject.CommonName, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return l.cert(t, again, nil)
}

// large has more names than fit into one record of TLS, and with its chain into
// the bytes that are kept of a handshake.
func large(t *testing.T, l *lab) tls.Certificate {
	t.Helper()
	cert := l.cert(t, l.site, func(c *x509.Certificate) {
		for i := range 700 {
			c.DNSNames = append(c.DNSNames, fmt.Sprintf("host%05d.with.a.long.name.lab.example", i))
		}
	})
	for range 8 {
		cert.Certificate = append(cert.Certificate, l.site.Cert.Raw)
	}
	return cert
}

// chainCases are faults of what stands above the server's own certificate.
func chainCases() []labCase {
	site12 := goAgent(trustsSite(func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }))
	verifying := openssl("-CAfile", "site.pem", "-verify_return_error", "-tls1_2")
	return []labCase{
		{name: "an authority of the management point's chain may not issue for its name", ref: "", leg: mpLeg, who: "mp", sure: "certain", proof: "name constraints", mp: mpShows(under(onlyOtherNames)), agent: goAgent(nil)},
		{name: "an authority of the management point's chain has expired", ref: "", leg: mpLeg, who: "mp", sure: "certain", proof: "above it in the chain, is valid from", mp: mpShows(under(past)), agent: goAgent(nil)},
		{name: "an authority of the management point's chain is none", ref: "", leg: mpLeg, who: "mp", sure: "certain", proof: "it is no authority", mp: mpShows(under(noAuthority)), agent: goAgent(nil)},
		{name: "an authority too many in the management point's chain", ref: "", leg: mpLeg, who: "mp", sure: "certain", proof: "path length", mp: mpShows(tooDeep), agent: goAgent(nil)},
		{name: "an authority of the right name in the management point's chain, with another key", ref: "", leg: mpLeg, who: "mp", sure: "certain", proof: "another authority of the same name", mp: mpShows(wrongSister), agent: goAgent(nil)},
		{name: "an authority has expired, openssl", ref: "", leg: agentLeg, who: "proxy", sure: "certain", without: "A05", listener: showsAll(under(past)), agent: verifying},
		{name: "an authority is none, openssl says unknown_ca", ref: "", leg: agentLeg, who: "proxy", sure: "likely", proof: "it is no authority", listener: showsAll(under(noAuthority)), agent: verifying},
		{name: "an authority may not issue for the name, openssl", ref: "", leg: agentLeg, who: "proxy", sure: "likely", proof: "name constraints", listener: showsAll(under(onlyOtherNames)), agent: verifying},
		{name: "an authority too many, passed through, Go", ref: "", leg: agentLeg, who: "mp", sure: "likely", proof: "path length", listener: sealed, mp: mpShows(tooDeep), agent: site12},
		{name: "distrust of a chain with an expired authority", ref: "A01", leg: agentLeg, who: "agent", sure: "certain", proof: "besides, \"CN=Lab Issuing CA\"", listener: showsAll(under(past)), agent: afterFlight(tls.VersionTLS12, fatalAlert(48), fin)},
		{name: "certificate without its intermediate, alert 46", ref: "A01", leg: agentLeg, who: "proxy", sure: "likely", proof: "without its issuer", listener: showsAll(aloneBelow), agent: afterFlight(tls.VersionTLS12, fatalAlert(46), fin)},
		{name: "certificate without its intermediate, Go, passed through", ref: "A01", leg: agentLeg, who: "mp", sure: "likely", proof: "without its issuer", listener: sealed, mp: mpShows(aloneBelow), agent: site12},
		{name: "management point's certificate signs itself", ref: "M05", leg: mpLeg, who: "proxy", sure: "certain", proof: "it signs itself", mp: mpShows(selfSigned), agent: goAgent(nil)},
		{name: "two roots of one name", ref: "M05", leg: mpLeg, who: "proxy", sure: "certain", proof: "but another key", mp: mpShows(secondRoot), agent: goAgent(nil)},
		{name: "distrust of a chain larger than what is kept of it, passed through", ref: "A01", leg: agentLeg, who: "agent", sure: "certain", lacks: "without its issuer", listener: sealed, mp: mpShows(large), agent: openssl("-CAfile", "odd.pem", "-verify_return_error", "-tls1_2")},
	}
}

// sealedRecord is a record of TLS 1.3 as it looks from outside.
func sealedRecord(size int) string {
	b := append([]byte{23, 3, 3}, make([]byte, 2+size)...)
	binary.BigEndian.PutUint16(b[3:], uint16(size))
	return string(b)
}

// readRecords reads so many records of TLS; what comes in place of one ends it.
func readRecords(c io.Reader, n int) error {
	head := make([]byte, 5)
	for range n {
		if _, err := io.ReadFull(c, head); err != nil {
			return err
		}
		if _, err := io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint16(head[3:]))); err != nil {
			return err
		}
	}
	return nil
}

// flight is what a server of TLS 1.3 sends to a hello: its hello, the idle
// ChangeCipherSpec and four sealed records.
func flight(t *testing.T, l *lab) []byte {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	cfg := &tls.Config{Certificates: []tls.Certificate{l.cert(t, l.site, nil)}}
	go func() { _ = tls.Server(far, cfg).Handshake(); far.Close() }()
	go func() { _, _ = near.Write(hello(tls.VersionTLS13)) }()
	_ = near.SetDeadline(time.Now().Add(20 * time.Second))
	var all bytes.Buffer
	if err := readRecords(io.TeeReader(near, &all), 6); err != nil {
		t.Fatal(err)
	}
	return all.Bytes()
}

// javaSays and javaMP are sides of a TLS 1.3 connection by the sizes of their
// records: Java pads what it says in the handshake by 16 bytes. Both speak in
// turn, so that what comes first came first.
func javaSays(turns ...[]int) func(*testing.T, *lab, string) {
	return func(t *testing.T, _ *lab, addr string) {
		c := dialLab(t, addr)
		defer c.Close()
		in := bufio.NewReader(c)
		_, _ = c.Write(hello(tls.VersionTLS13))
		if readRecords(in, 6) != nil {
			return
		}
		_, _ = io.WriteString(c, "\x14\x03\x03\x00\x01\x01")
		for i, sizes := range turns {
			if i > 0 && readRecords(in, 1) != nil {
				return
			}
			for _, n := range sizes {
				_, _ = io.WriteString(c, sealedRecord(n))
			}
		}
		_ = c.CloseWrite()
		_, _ = io.Copy(io.Discard, in)
	}
}

// javaMP answers each turn of the agent, which has so many records, with one
// record; 0 bytes end the connection.
func javaMP(turns ...[2]int) func(*testing.T, *lab) proxy.Target {
	return func(t *testing.T, l *lab) proxy.Target {
		answer := flight(t, l)
		return mpRaw(t, true, func(c net.Conn) {
			defer c.Close()
			in := bufio.NewReader(c)
			if readRecords(in, 1) != nil {
				return
			}
			_, _ = c.Write(answer)
			_, _ = io.ReadFull(in, make([]byte, 6))
			for _, turn := range turns {
				if readRecords(in, turn[0]) != nil {
					return
				}
				_, _ = io.WriteString(c, sealedRecord(turn[1]))
			}
			if len(turns) == 0 {
				_, _ = io.Copy(io.Discard, in)
			}
		})
	}
}

// Sizes of records with 17 bytes around them, and 16 of padding where Java pads.
const (
	javaAlert, javaNone, javaCertificate, javaVerify, javaFinished = 35, 41, 1400, 300, 69
	alertRecord, ticketRecord, replyRecord                         = 19, 250, 120
)

// alertCases are alerts and ends as other libraries make them.
func alertCases() []labCase {
	warning := func(c net.Conn) {
		_, _ = c.Read(make([]byte, 4096))
		_, _ = io.WriteString(c, "\x15\x03\x03\x00\x02\x01\x28")
		c.Close()
	}
	// nginx lets the handshake pass, and says by a page what it thinks of it.
	nginx := func(heading string) string {
		page := "<html><head><title>400 " + heading + "</title></head><body></body></html>"
		return fmt.Sprintf("HTTP/1.1 400 Bad Request\r\nServer: nginx/1.22.1\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s", len(page), page)
	}
	asks := func(_ *lab, c *tls.Config) { c.ClientAuth = tls.RequestClientCert }
	missed, disliked := nginx("No required SSL certificate was sent"), nginx("The SSL certificate error")
	return []labCase{
		{name: "nginx misses mpproxy's certificate", ref: "M13", leg: mpLeg, who: "proxy", sure: "certain", proof: "No required SSL certificate was sent", mp: mpCfg(asks, missed), agent: goAgent(withCert(nil))},
		{name: "nginx misses a certificate, and the agent has none either", ref: "A12", leg: agentLeg, who: "agent", sure: "certain", proof: "No required SSL certificate was sent", mp: mpCfg(asks, missed), agent: goAgent(nil)},
		{name: "nginx refuses mpproxy's certificate", ref: "M12", leg: mpLeg, who: "mp", sure: "certain", proof: "The SSL certificate error", mp: mpCfg(asks, disliked), upstream: upstreamWith(oddCA, 0, nil), agent: goAgent(withCert(nil))},
		{name: "nginx refuses mpproxy's certificate, which has expired", ref: "M14", also: "M12", leg: mpLeg, who: "proxy", sure: "certain", mp: mpCfg(asks, disliked), upstream: upstreamWith(siteCA, 0, past), agent: goAgent(withCert(nil))},
		{name: "plain HTTP to nginx's port with TLS", ref: "M04", leg: mpLeg, who: "proxy", sure: "certain", proof: "sent to HTTPS port", listener: plain, mp: mpPlainReplies(nginx("The plain HTTP request was sent to HTTPS port")), agent: rawAgent(labRequest, fin)},
		{name: "mpproxy has no certificate, TLS 1.3, and Java says bad_certificate", ref: "M13", leg: mpLeg, who: "proxy", sure: "certain", proof: "in which mpproxy showed no certificate", without: "M12", upstream: upTo13, mp: mpCfg(func(_ *lab, c *tls.Config) {
			c.ClientAuth, c.VerifyConnection = tls.RequestClientCert, func(tls.ConnectionState) error { return errors.New("no certificate") }
		}), agent: goAgent(withCert(nil))},
		{name: "distrust, passed through, Java, TLS 1.3", ref: "A02", leg: agentLeg, who: "agent", sure: "possible", proof: "an alert by its size", listener: sealed, mp: javaMP(), agent: javaSays([]int{javaAlert})},
		{name: "refuses the agent's certificate, passed through, Java, TLS 1.3", ref: "M12", leg: agentLeg, who: "mp", sure: "possible", proof: "as with a certificate", listener: sealed, mp: javaMP([2]int{3, alertRecord}), agent: javaSays([]int{javaCertificate, javaVerify, javaFinished}, nil)},
		{name: "misses the agent's certificate, passed through, Java, TLS 1.3", ref: "M12", leg: agentLeg, who: "mp", sure: "possible", proof: "without a certificate", listener: sealed, mp: javaMP([2]int{2, alertRecord}), agent: javaSays([]int{javaNone, javaFinished}, nil)},
		{name: "a warning of the management point, then the end", ref: "M21", leg: mpLeg, who: "network", sure: "likely", proof: "the warning 40 handshake_failure", mp: rawMP(warning), agent: goAgent(nil)},
		{name: "a warning of the management point, then the end, passed through", ref: "M21", leg: agentLeg, who: "network", sure: "likely", proof: "the warning 40 handshake_failure", listener: sealed, mp: rawMP(warning), agent: goAgent(trustsSite(nil))},
		{name: "the management point ends after its certificate, passed through", ref: "M21", without: "A02", leg: agentLeg, who: "network", sure: "likely", proof: "it ended the connection (fin)", listener: sealed, mp: func(t *testing.T, l *lab) proxy.Target {
			answer := flight(t, l)
			return mpRaw(t, true, func(c net.Conn) {
				_ = readRecords(c, 1)
				_, _ = c.Write(answer)
				c.Close()
			})
		}, agent: rawAgent(string(hello(tls.VersionTLS13)), wait)},
		{name: "bytes of no known protocol on the TLS port", ref: "M04", leg: mpLeg, who: "mp", sure: "certain", proof: "they begin 010203040506", mp: rawMP(func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, "\x01\x02\x03\x04\x05\x06\x07\x08")
			c.Close()
		}), agent: goAgent(nil)},
		{name: "end after the certificate, passed through, and OpenSSL answers with an alert", ref: "A02", leg: agentLeg, who: "agent", sure: "possible", listener: sealed, mp: func(t *testing.T, l *lab) proxy.Target {
			cert := l.pem(t, "openssl-mp.pem", l.cert(t, l.site, nil))
			target, _ := opensslServer(t, "-cert", cert, "-key", cert, "-www")
			return target
		}, agent: afterFlight(tls.VersionTLS12, "", fin)},
		{name: "CONNECT in plain", ref: "A23", leg: agentLeg, who: "agent", sure: "certain", proof: "CONNECT is what one says to an HTTP proxy", agent: rawAgent("CONNECT mp01.lab.example:443 HTTP/1.1\r\n\r\n", fin)},
	}
}

// healthyJava is a good connection of a client that pads, and ends with its
// goodbye; healthyCoalesced has its certificate and its Finished in one record.
var (
	healthyJava      = javaSays([]int{javaFinished}, []int{109}, []int{javaAlert, javaAlert})
	healthyCoalesced = javaSays([]int{javaCertificate + javaVerify + javaFinished}, []int{109}, []int{alertRecord})
	healthyJavaMP    = javaMP([2]int{1, ticketRecord}, [2]int{1, replyRecord})
)
