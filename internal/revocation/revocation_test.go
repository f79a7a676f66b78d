package revocation

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mpproxy/internal/pki"
	"mpproxy/traffic"
)

var now = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)

func authority(t testing.TB, name string) *pki.CA {
	t.Helper()
	ca, err := pki.NewCA(name, now)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// leaf is a certificate that names these URLs.
func leaf(t testing.TB, ca *pki.CA, serial int64, lists, issuers []string, fresh ...string) []byte {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "mp01"}, NotBefore: now, NotAfter: now.AddDate(1, 0, 0),
		CRLDistributionPoints: lists, IssuingCertificateURL: issuers,
	}
	for _, url := range fresh {
		template.ExtraExtensions = append(template.ExtraExtensions, pkix.Extension{Id: oidFreshest, Value: points(t, url)})
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.Cert, ca.Cert.PublicKey, ca.Key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// points is the value of an extension that names distribution points.
func points(t testing.TB, url string) []byte {
	t.Helper()
	type name struct {
		Full []asn1.RawValue `asn1:"optional,tag:0"`
	}
	type point struct {
		Name name `asn1:"optional,tag:0"`
	}
	der, err := asn1.Marshal([]point{{name{[]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte(url)}}}}})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// list is a list that revokes these.
func list(t testing.TB, ca *pki.CA, change func(*x509.RevocationList), serials ...int64) []byte {
	t.Helper()
	template := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: now.Add(-time.Hour), NextUpdate: now.Add(time.Hour)}
	for _, s := range serials {
		template.RevokedCertificateEntries = append(template.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: big.NewInt(s), RevocationTime: now, ReasonCode: 1})
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateRevocationList(rand.Reader, template, ca.Cert, ca.Key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// served serves contents by path; one that begins with "HTTP " is a status and
// a body.
func served(t *testing.T, contents map[string][]byte) (url string, asked map[string]int) {
	t.Helper()
	asked = map[string]int{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked[r.URL.Path]++
		switch body, there := contents[r.URL.Path]; {
		case !there:
			http.NotFound(w, r)
		case strings.HasPrefix(string(body), "407 "):
			w.WriteHeader(407)
			w.Write(body[4:])
		case strings.HasPrefix(string(body), "302 "):
			w.Header().Set("Location", string(body[4:]))
			w.WriteHeader(302)
		default:
			w.Header().Set("Content-Type", "application/pkix-crl")
			w.Write(body)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL, asked
}

// TestChain fetches good and bad lists from a real server.
func TestChain(t *testing.T) {
	ca, other := authority(t, "Site CA"), authority(t, "Other CA")
	contents := map[string][]byte{
		"/good.crl": list(t, ca, nil, 5, 6, 7), "/listed.crl": list(t, ca, nil, 5, 1000, 7),
		"/expired.crl": list(t, ca, func(l *x509.RevocationList) { l.NextUpdate = now.Add(-time.Minute) }),
		"/other.crl":   list(t, other, nil, 1000), "/page.crl": []byte("<html><title>Please\nlog on</title>"), "/407.crl": []byte("407 <html><title>Proxy Authentication Required</title>"),
		"/noise.crl": []byte("\x30\x03abc"), "/large.crl": make([]byte, maxList+1), "/ca.crt": ca.PEM(), "/loop.crl": []byte("302 /loop.crl"),
		"/https.crl": []byte("302 https://127.0.0.1/x.crl"), "/once.crl": []byte("302 /good.crl"),
	}
	at, asked := served(t, contents)
	forged := list(t, ca, nil)
	forged[len(forged)-1] ^= 1
	contents["/forged.crl"] = forged
	contents["/fresh.crl"] = list(t, ca, func(l *x509.RevocationList) {
		l.ExtraExtensions = []pkix.Extension{{Id: oidFreshest, Value: points(t, at+"/delta.crl")}}
	})
	contents["/delta.crl"] = list(t, ca, func(l *x509.RevocationList) {
		l.ExtraExtensions = []pkix.Extension{{Id: oidDeltaIndicator, Critical: true, Value: []byte{2, 1, 1}}}
	}, 1000)
	f := New(Options{Private: true, Now: func() time.Time { return now }})
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	for _, c := range []struct {
		url    string
		result traffic.RevocationResult
		err    string
		check  func(traffic.Revocation) bool
	}{
		{at + "/good.crl", traffic.RevocationGood, "", func(r traffic.Revocation) bool {
			return r.Signature == "good" && r.Entries == 3 && !r.Revoked && r.NextUpdate.Equal(now.Add(time.Hour)) && r.Status == 200 && r.ContentType == "application/pkix-crl"
		}},
		{at + "/once.crl", traffic.RevocationGood, "", nil},
		{at + "/listed.crl", traffic.RevocationGood, "", func(r traffic.Revocation) bool {
			return r.Revoked && r.Reason == "key compromise" && r.RevokedAt.Equal(now)
		}},
		{at + "/expired.crl", traffic.RevocationGood, "", func(r traffic.Revocation) bool { return r.NextUpdate.Before(now) }},
		{at + "/forged.crl", traffic.RevocationGood, "", func(r traffic.Revocation) bool { return r.Signature == "bad" }},
		{at + "/other.crl", traffic.RevocationUnreadable, "another authority's", func(r traffic.Revocation) bool { return !r.Revoked }},
		{at + "/page.crl", traffic.RevocationPage, "Please log on", nil},
		{at + "/407.crl", traffic.RevocationStatus, "407 Proxy Authentication Required, with a page", nil},
		{at + "/none.crl", traffic.RevocationStatus, "404", nil},
		{at + "/noise.crl", traffic.RevocationUnreadable, "", nil},
		{at + "/large.crl", traffic.RevocationTooLarge, "16777216", nil},
		{at + "/loop.crl", traffic.RevocationUnreachable, "redirects", nil},
		{at + "/https.crl", traffic.RevocationPage, "elsewhere: https://127.0.0.1/x.crl", nil},
		{"https://127.0.0.1/x.crl", traffic.RevocationSkipped, "https:", nil},
		{"ldap:///CN=x", traffic.RevocationSkipped, "ldap:", nil},
		{"file:///etc/passwd", traffic.RevocationSkipped, "file:", nil},
		{"http://user:word@127.0.0.1/x.crl", traffic.RevocationSkipped, "user name", nil},
		{"http://" + closed.Addr().String() + "/x.crl", traffic.RevocationUnreachable, "refused", nil},
	} {
		rs := f.Chain(t.Context(), [][]byte{leaf(t, ca, 1000, []string{c.url}, nil), ca.Cert.Raw}, nil)
		if len(rs) != 1 {
			t.Fatalf("%s: %d results", c.url, len(rs))
		}
		if r := rs[0]; r.Result != c.result || !strings.Contains(r.Err, c.err) || r.Issuer != "CN=Site CA" || r.Serial != "03e8" || c.check != nil && !c.check(r) {
			t.Errorf("%s: %+v", c.url, r)
		}
	}
	t.Run("delta", func(t *testing.T) {
		rs := f.Chain(t.Context(), [][]byte{leaf(t, ca, 1000, []string{at + "/fresh.crl"}, nil), ca.Cert.Raw}, nil)
		if len(rs) != 2 || rs[0].Revoked || rs[1].Kind != traffic.RevocationDelta || !rs[1].Revoked {
			t.Errorf("%+v", rs)
		}
	})
	t.Run("delta named by the certificate", func(t *testing.T) {
		rs := f.Chain(t.Context(), [][]byte{leaf(t, ca, 1000, nil, nil, at+"/delta.crl"), ca.Cert.Raw}, nil)
		if len(rs) != 1 || rs[0].Kind != traffic.RevocationDelta || !rs[0].Revoked {
			t.Errorf("%+v", rs)
		}
	})
	t.Run("issuer", func(t *testing.T) {
		rs := f.Chain(t.Context(), [][]byte{leaf(t, ca, 1000, []string{at + "/good.crl"}, []string{at + "/none.crt", at + "/ca.crt"})}, nil)
		if len(rs) != 3 || rs[0].Result != traffic.RevocationStatus || rs[1].Signature != "good" || rs[2].Signature != "good" {
			t.Errorf("%+v", rs)
		}
		if rs := f.Chain(t.Context(), [][]byte{leaf(t, ca, 1000, nil, []string{at + "/ca.crt"})}, []*x509.Certificate{ca.Cert}); len(rs) != 0 {
			t.Errorf("an issuer at hand was fetched: %+v", rs)
		}
	})
	if n := asked["/good.crl"]; n != 2 { // by itself, and once behind a redirect
		t.Errorf("the list was fetched %d times", n)
	}
}

// TestPrivate: what a certificate names must not lead into the own network,
// neither directly, nor by a name, nor by a redirect; the user's own URLs may.
func TestPrivate(t *testing.T) {
	ca := authority(t, "Site CA")
	at, asked := served(t, map[string][]byte{"/list.crl": list(t, ca, nil)})
	fetch := func(f *Fetcher, url string) traffic.Revocation {
		t.Helper()
		return f.Chain(t.Context(), [][]byte{leaf(t, ca, 1, []string{url}, nil), ca.Cert.Raw}, nil)[0]
	}
	f := New(Options{})
	for _, url := range []string{at + "/list.crl", strings.Replace(at, "127.0.0.1", "localhost", 1) + "/list.crl", "http://[::1]/x", "http://10.0.0.1/x", "http://169.254.169.254/x"} {
		if r := fetch(f, url); r.Result != traffic.RevocationSkipped || !strings.Contains(r.Err, "own network") {
			t.Errorf("%s: %+v", url, r)
		}
	}
	if len(asked) > 0 {
		t.Errorf("asked for %v", asked)
	}
	if r := fetch(New(Options{Own: []string{at + "/list.crl"}}), at+"/list.crl"); r.Result != traffic.RevocationGood {
		t.Errorf("own list: %+v", r)
	}
}

func TestPublic(t *testing.T) {
	for address, want := range map[string]bool{
		"93.184.216.34": true, "2606:4700::1111": true, "64:ff9b::808:808": true,
		"127.0.0.1": false, "10.1.2.3": false, "172.16.0.1": false, "192.168.1.1": false, "169.254.169.254": false, "100.64.0.1": false,
		"0.0.0.0": false, "255.255.255.255": false, "224.0.0.1": false, "::1": false, "::": false, "fe80::1": false, "fd00::1": false, "ff02::1": false,
		"::ffff:127.0.0.1": false, "64:ff9b::7f00:1": false, "2002:7f00:1::1": false, "2002:a00:1::": false,
	} {
		if got := Public(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: %t", address, got)
		}
	}
}

type events chan traffic.Event

func (e events) Take(x traffic.Event) { e <- x }

// TestWatcher: each chain is looked at once, and traffic goes on while a list
// does not come.
func TestWatcher(t *testing.T) {
	ca := authority(t, "Site CA")
	at, _ := served(t, map[string][]byte{"/list.crl": list(t, ca, nil)})
	out := make(events, 1000)
	w := NewWatcher(out, New(Options{Private: true}), nil)
	chain := [][]byte{leaf(t, ca, 1, []string{at + "/list.crl"}, nil), ca.Cert.Raw}
	over := traffic.HandshakeOver{Conn: 1, Handshake: &traffic.Handshake{Side: traffic.UpstreamSide, TLS: &traffic.TLSInfo{}, PeerCertificates: chain}}
	for range 3 * maxWaiting { // nobody looks yet
		w.Take(over)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()
	fetched := 0
	for range 3*maxWaiting + 1 {
		if r, is := (<-out).(traffic.RevocationFetched); is && r.Revocation.Result == traffic.RevocationGood {
			fetched++
		}
	}
	stop()
	if err := <-done; err != nil || fetched != 1 || len(out) != 0 {
		t.Errorf("%d fetched, %d more, %v", fetched, len(out), err)
	}
}

// TestFind: a certificate is told from one of another issuer with the same
// number, and from one that was taken off the list again.
func TestFind(t *testing.T) {
	ca := authority(t, "Site CA")
	entry := func(change func(*x509.RevocationListEntry)) func(*x509.RevocationList) {
		return func(l *x509.RevocationList) {
			e := x509.RevocationListEntry{SerialNumber: big.NewInt(1000), RevocationTime: now, ReasonCode: 4}
			change(&e)
			l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, e)
		}
	}
	for name, c := range map[string]struct {
		change func(*x509.RevocationList)
		found  bool
	}{
		"listed":    {entry(func(*x509.RevocationListEntry) {}), true},
		"another":   {entry(func(e *x509.RevocationListEntry) { e.SerialNumber = big.NewInt(1001) }), false},
		"taken off": {entry(func(e *x509.RevocationListEntry) { e.ReasonCode = removeFromList }), false},
		"another issuer's, in an indirect list": {func(l *x509.RevocationList) {
			l.ExtraExtensions = []pkix.Extension{{Id: oidDistribution, Critical: true, Value: []byte{0x30, 3, 0x84, 1, 0xff}}}
			entry(func(e *x509.RevocationListEntry) {
				e.ExtraExtensions = []pkix.Extension{{Id: oidCertificateIssuer, Critical: true, Value: []byte{0x30, 0}}}
			})(l)
		}, false},
		"its own, in an indirect list": {func(l *x509.RevocationList) {
			l.ExtraExtensions = []pkix.Extension{{Id: oidDistribution, Critical: true, Value: []byte{0x30, 3, 0x84, 1, 0xff}}}
			entry(func(*x509.RevocationListEntry) {})(l)
		}, true},
	} {
		l, err := ParseList(list(t, ca, c.change, 7))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		e, found := l.Find([]byte{0, 3, 232})
		if found != c.found || found && (e.Reason != "superseded" || !e.Revoked.Equal(now)) {
			t.Errorf("%s: %t %+v", name, found, e)
		}
	}
}

// FuzzParseList: no list makes it panic, and what crypto/x509 reads it reads the
// same.
func FuzzParseList(f *testing.F) {
	ca := authority(f, "Site CA")
	f.Add(list(f, ca, nil, 1, 1000))
	f.Add(list(f, ca, func(l *x509.RevocationList) { l.NextUpdate = now.Add(100 * 365 * 24 * time.Hour) }))
	f.Add(list(f, ca, func(l *x509.RevocationList) {
		l.ExtraExtensions = []pkix.Extension{{Id: oidFreshest, Value: points(f, "http://x/y")}}
	}, 7))
	f.Add([]byte("-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		l, err := ParseList(content)
		if err != nil {
			return
		}
		l.Signature(ca.Cert)
		l.Find([]byte{3, 232})
		theirs, err := x509.ParseRevocationList(content)
		if err != nil {
			return
		}
		if l.Entries != len(theirs.RevokedCertificateEntries) || !l.ThisUpdate.Equal(theirs.ThisUpdate) || !l.NextUpdate.Equal(theirs.NextUpdate) {
			t.Fatalf("read %+v, crypto/x509 %+v", l, theirs)
		}
	})
}
