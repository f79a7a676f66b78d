package tlsrecord

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"testing"
	"time"
)

// authority issues certificates for tests.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func newAuthority(t testing.TB, name string) *authority {
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name, Organization: []string{"Contoso"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (a *authority) issue(t testing.TB, name string, key crypto.Signer) *tls.Certificate {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

const (
	serverName = "mp01.contoso.example"
	question   = "ping"
	answer     = "pong"
)

// talk has a client and a server of crypto/tls shake hands, then ask and answer,
// and says what each of them sent.
func talk(client, server *tls.Config) *Transcript {
	return Parse(talkBytes(client, server))
}

func talkBytes(client, server *tls.Config) (fromClient, fromServer []byte) {
	near, far := wire()
	done := make(chan struct{})
	go func() {
		defer close(done)
		serve(tls.Server(far, server))
	}()
	ask(tls.Client(near, client))
	<-done
	return near.out.all(), near.in.all()
}

// ask is the client's part. It reads to the end, so that the server's last
// alert arrives.
func ask(c *tls.Conn) {
	defer c.Close()
	if _, err := c.Write([]byte(question)); err != nil {
		return
	}
	io.ReadAll(c)
}

func serve(c *tls.Conn) {
	defer c.Close()
	b := make([]byte, len(question))
	if _, err := io.ReadFull(c, b); err != nil {
		return
	}
	c.Write([]byte(answer))
}

var allVersions = []Version{TLS10, TLS11, TLS12, TLS13}

// site has all that a handshake needs: an authority, one that nobody trusts, and
// configurations of both sides that fit.
type site struct {
	ca, other *authority
	server    *tls.Certificate
	client    *tls.Certificate
}

func newSite(t testing.TB) *site {
	s := &site{ca: newAuthority(t, "Contoso Root CA"), other: newAuthority(t, "Other Root CA")}
	s.server = s.ca.issue(t, serverName, newKey(t))
	s.client = s.ca.issue(t, "pc17.contoso.example", newKey(t))
	return s
}

func (s *site) clientConfig(v Version) *tls.Config {
	return &tls.Config{RootCAs: s.ca.pool(), ServerName: serverName, MinVersion: uint16(v), MaxVersion: uint16(v)}
}

func (s *site) serverConfig() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{*s.server}, ClientCAs: s.ca.pool(), MinVersion: tls.VersionTLS10}
}

// TestHandshakes reads handshakes of crypto/tls in every version. What fails
// here would be misread of every agent too.
func TestHandshakes(t *testing.T) {
	s := newSite(t)
	for _, v := range allVersions {
		t.Run(v.String(), func(t *testing.T) {
			got := talk(s.clientConfig(v), s.serverConfig())
			checkWhole(t, got)
			if got.Version() != v {
				t.Errorf("version %s, want %s", got.Version(), v)
			}
			if got.Stage() != StageData {
				t.Errorf("stage %q, want %q", got.Stage(), StageData)
			}
			if name := got.ClientHello().ServerName; name != serverName {
				t.Errorf("server name %q", name)
			}
			if got.Resumed() || got.Renegotiation() != nil || got.CertificateRequest() != nil {
				t.Error("resumed, renegotiated or asked for a certificate, which it was not")
			}
			checkChain(t, got, Server, v, s.server)
		})
	}
}

// checkWhole fails on anything that a good connection has not.
func checkWhole(t *testing.T, got *Transcript) {
	t.Helper()
	for _, s := range []*Stream{&got.Client, &got.Server} {
		if s.Parsed != s.Size || s.Truncated || len(s.Flaws) > 0 || s.Looks != TLS {
			t.Errorf("a good stream is called bad:\n%s", got)
		}
	}
}

// checkChain fails when the chain that a side showed is not found in clear, or
// in TLS 1.3 when one is.
func checkChain(t *testing.T, got *Transcript, side Side, v Version, want *tls.Certificate) {
	t.Helper()
	c := got.Certificate(side)
	if v == TLS13 {
		if c != nil {
			t.Error("a certificate in clear in TLS 1.3")
		}
		return
	}
	if c == nil || len(c.Chain) != len(want.Certificate) {
		t.Fatalf("the %s's chain was not found:\n%s", side, got)
	}
	for i, der := range c.Chain {
		if !bytes.Equal(der.Bytes, want.Certificate[i]) {
			t.Errorf("certificate %d differs from the one sent", i)
		}
	}
}

// TestClientCertificates reads how a certificate is asked for and shown, or not.
func TestClientCertificates(t *testing.T) {
	s := newSite(t)
	for _, v := range allVersions {
		t.Run(v.String(), func(t *testing.T) {
			server := s.serverConfig()
			server.ClientAuth = tls.RequireAndVerifyClientCert
			client := s.clientConfig(v)
			client.Certificates = []tls.Certificate{*s.client}
			got := talk(client, server)
			checkWhole(t, got)
			checkChain(t, got, Client, v, s.client)
			if got.Stage() != StageData {
				t.Errorf("stage %q", got.Stage())
			}
			checkRequest(t, got, v, s.ca)

			client.Certificates = nil
			got = talk(client, server)
			checkNone(t, got, v)
		})
	}
}

func checkRequest(t *testing.T, got *Transcript, v Version, ca *authority) {
	t.Helper()
	r := got.CertificateRequest()
	if v == TLS13 {
		return
	}
	if r == nil || len(r.Authorities) != 1 || !bytes.Equal(r.Authorities[0].Bytes, ca.cert.RawSubject) {
		t.Fatalf("the request for a certificate does not name its authority:\n%s", got)
	}
	if name := r.Authorities[0].Name; name != "CN=Contoso Root CA,O=Contoso" {
		t.Errorf("authority %q", name)
	}
	verify, m := First[*CertificateVerify](&got.Client)
	if m == nil || (verify.Scheme != 0) != (v == TLS12) {
		t.Errorf("CertificateVerify %+v", verify)
	}
}

// checkNone is for a client that shows no certificate where one is required.
func checkNone(t *testing.T, got *Transcript, v Version) {
	t.Helper()
	alerts := got.Server.Alerts()
	if v == TLS13 {
		if !got.Client.hasGuess(MaybeNoCertificate) || !got.Server.hasGuess(MaybeAlert) {
			t.Errorf("an empty certificate and an alert are not seen:\n%s", got)
		}
		return
	}
	if c := got.Certificate(Client); c == nil || len(c.Chain) != 0 {
		t.Errorf("an empty certificate is not seen:\n%s", got)
	}
	if len(alerts) == 0 || alerts[0].Body == nil || alerts[0].Body.(*Alert).Code != 40 {
		t.Errorf("alert 40 is not seen:\n%s", got)
	}
}

// TestRefusals reads the alerts with which each side refuses the other's
// certificate. Go encrypts them in TLS 1.3.
func TestRefusals(t *testing.T) {
	s := newSite(t)
	for _, v := range allVersions {
		t.Run(v.String(), func(t *testing.T) {
			client := s.clientConfig(v)
			client.RootCAs = s.other.pool()
			checkRefusal(t, talk(client, s.serverConfig()), Client, v, 42)

			server := s.serverConfig()
			server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, s.other.pool()
			client = s.clientConfig(v)
			client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return s.client, nil }
			checkRefusal(t, talk(client, server), Server, v, 48)
		})
	}
}

func checkRefusal(t *testing.T, got *Transcript, by Side, v Version, code AlertCode) {
	t.Helper()
	if v == TLS13 {
		if !got.Of(by).hasGuess(MaybeAlert) {
			t.Errorf("the %s's encrypted alert is not seen:\n%s", by, got)
		}
		return
	}
	for _, m := range got.Of(by).Alerts() {
		if a, ok := m.Body.(*Alert); ok && a.Code == code && a.Level == Fatal {
			return
		}
	}
	t.Errorf("the %s's alert %d is not seen:\n%s", by, code, got)
}

// TestNoCommonVersion reads the alert for a client that is too old.
func TestNoCommonVersion(t *testing.T) {
	s := newSite(t)
	server := s.serverConfig()
	server.MinVersion = tls.VersionTLS12
	got := talk(s.clientConfig(TLS10), server)
	checkRefusal(t, got, Server, TLS10, 70)
	if got.Stage() != StageClientHello {
		t.Errorf("stage %q", got.Stage())
	}
}

// TestResumption must know a resumed handshake, which hides the certificates.
func TestResumption(t *testing.T) {
	s := newSite(t)
	for _, v := range allVersions {
		t.Run(v.String(), func(t *testing.T) {
			server, client := s.serverConfig(), s.clientConfig(v)
			client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			if got := talk(client, server); got.Resumed() {
				t.Error("the first handshake is called resumed")
			}
			got := talk(client, server)
			checkWhole(t, got)
			if !got.Resumed() || got.Certificate(Server) != nil {
				t.Errorf("not called resumed:\n%s", got)
			}
			if got.Stage() != StageData {
				t.Errorf("stage %q", got.Stage())
			}
			if _, alone := talkBytes(client, server); !Parse(nil, alone).Resumed() {
				t.Error("not called resumed with the server's bytes alone")
			}
		})
	}
}

// TestRetry reads a HelloRetryRequest and both ClientHellos.
func TestRetry(t *testing.T) {
	s := newSite(t)
	server := s.serverConfig()
	server.CurvePreferences = []tls.CurveID{tls.CurveP521}
	got := talk(s.clientConfig(TLS13), server)
	checkWhole(t, got)
	if r := got.Retry(); r == nil || r.Group != GroupP521 {
		t.Errorf("no HelloRetryRequest for P-521:\n%s", got)
	}
	if n := countMessages(&got.Client, TypeClientHello); n != 2 {
		t.Errorf("%d ClientHellos, want 2:\n%s", n, got)
	}
	if h := got.ServerHello(); h == nil || h.Retry || h.Group != GroupP521 || got.Stage() != StageData {
		t.Errorf("the ServerHello behind it is not found:\n%s", got)
	}
}

func countMessages(s *Stream, of HandshakeType) (n int) {
	for i := range s.Messages {
		if s.Messages[i].Is(of) {
			n++
		}
	}
	return n
}

// TestSuites holds the sizes of what suites encrypt against handshakes with
// each: a Finished has 16 bytes, an alert 2, and the question's and answer's
// lengths are known.
func TestSuites(t *testing.T) {
	s := newSite(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	server := s.serverConfig()
	server.Certificates = append(server.Certificates, *s.ca.issue(t, serverName, key))
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		for _, v := range suite.SupportedVersions {
			if v == tls.VersionTLS13 {
				continue // not a choice in crypto/tls
			}
			t.Run(suite.Name+" "+Version(v).String(), func(t *testing.T) {
				client := s.clientConfig(Version(v))
				client.CipherSuites = []uint16{suite.ID}
				server := server.Clone()
				server.CipherSuites = client.CipherSuites
				got := talk(client, server)
				if chosen, _ := got.Suite(); uint16(chosen) != suite.ID || chosen.String() != suite.Name {
					t.Fatalf("suite %s, want %s:\n%s", chosen, suite.Name, got)
				}
				checkSizes(t, got)
			})
		}
	}
}

func checkSizes(t *testing.T, got *Transcript) {
	t.Helper()
	data := map[Side]int{Client: len(question), Server: len(answer)}
	for _, side := range []Side{Client, Server} {
		total := Range{}
		for _, m := range got.Of(side).Messages {
			switch m.Guess {
			case SealedFinished:
				within(t, "Finished", m.Plain, handshakeHeader+12)
			case SealedAlert:
				within(t, "alert", m.Plain, alertSize)
			case SealedData:
				// TLS 1.0 sends the first byte alone.
				total.Min, total.Max = total.Min+m.Plain.Min, total.Max+m.Plain.Max
			}
		}
		within(t, "data", total, data[side])
	}
}

func within(t *testing.T, what string, r Range, size int) {
	t.Helper()
	if size < r.Min || size > r.Max {
		t.Errorf("%s of %d to %d bytes, it has %d", what, r.Min, r.Max, size)
	}
}

// TestClientHelloAsGo holds what is read from a hello against what crypto/tls
// itself reads from it.
func TestClientHelloAsGo(t *testing.T) {
	s := newSite(t)
	for _, v := range allVersions {
		client := s.clientConfig(v)
		client.NextProtos = []string{"h2", "http/1.1"}
		checkAsGo(t, helloOf(t, client))
	}
}

// helloOf is the first flight of a client of crypto/tls.
func helloOf(t testing.TB, config *tls.Config) []byte {
	near, far := wire()
	far.out.close() // the server says nothing
	if err := tls.Client(near, config).Handshake(); err == nil {
		t.Fatal("a handshake without a server")
	}
	return near.out.all()
}

var errSeen = errors.New("seen")

// helloSeen is a ClientHello as crypto/tls reads it; nil when it refuses it.
func helloSeen(b []byte) *tls.ClientHelloInfo {
	var seen *tls.ClientHelloInfo
	config := &tls.Config{MinVersion: tls.VersionTLS10, GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		seen = h
		return nil, errSeen
	}}
	near, far := wire()
	near.out.write(b)
	near.out.close()
	if err := tls.Server(far, config).Handshake(); err == nil {
		return nil
	}
	return seen
}

// checkAsGo fails when crypto/tls reads a hello and this package reads it
// otherwise. GREASE is left out here and kept there.
func checkAsGo(t testing.TB, b []byte) {
	want := helloSeen(b)
	if want == nil {
		return
	}
	got := Parse(b, nil).ClientHello()
	if got == nil {
		t.Fatal("crypto/tls sees a hello here, this package none")
	}
	same(t, "suites", got.Suites, want.CipherSuites)
	same(t, "groups", got.Groups, want.SupportedCurves)
	same(t, "signature algorithms", got.SignatureSchemes, want.SignatureSchemes)
	same(t, "point formats", got.PointFormats, want.SupportedPoints)
	if got.Has(ExtSupportedVersions) {
		same(t, "versions", got.Versions, want.SupportedVersions)
	}
	var types []ExtensionType
	for _, e := range got.Extensions {
		types = append(types, e.Type)
	}
	same(t, "extensions", withoutGREASE(types), want.Extensions)
	if got.ServerName != want.ServerName && got.ServerName != want.ServerName+"." {
		t.Errorf("server name %q, crypto/tls reads %q", got.ServerName, want.ServerName)
	}
}

// same compares numbers, GREASE aside.
func same[A, B ~uint8 | ~uint16](t testing.TB, what string, got []A, want []B) {
	want = withoutGREASE(want)
	equal := len(got) == len(want)
	for i := 0; equal && i < len(got); i++ {
		equal = uint16(got[i]) == uint16(want[i])
	}
	if !equal {
		t.Errorf("%s %v, crypto/tls reads %v", what, got, want)
	}
}

func withoutGREASE[T ~uint8 | ~uint16](list []T) []T {
	var out []T
	for _, v := range list {
		if !isGREASE(int(v)) {
			out = append(out, v)
		}
	}
	return out
}
