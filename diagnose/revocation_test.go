package diagnose

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"

	"mpproxy/traffic"
)

// TestRevocationEvidence: what was not seen well is not held against anybody,
// and what was fetched much later is said less surely.
func TestRevocationEvidence(t *testing.T) {
	now := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1000), Subject: pkix.Name{CommonName: "mp01"}, NotBefore: now.AddDate(0, -1, 0), NotAfter: now.AddDate(1, 0, 0)}
	issuer := &x509.Certificate{Subject: pkix.Name{CommonName: "Site CA"}}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	good := traffic.Revocation{
		URL: "http://pki.lab.example/site.crl", Kind: traffic.RevocationList, Result: traffic.RevocationGood, Issuer: "CN=Site CA", Serial: "03e8",
		Fetched: now, ThisUpdate: now.AddDate(0, 0, -5), NextUpdate: now.AddDate(0, 0, 5), Signature: "good",
	}
	with := func(change func(*traffic.Revocation)) traffic.Revocation { r := good; change(&r); return r }
	for name, c := range map[string]struct {
		lists      []traffic.Revocation
		code, sure string
	}{
		"nothing was fetched":        {nil, "", ""},
		"good":                       {[]traffic.Revocation{good}, "", ""},
		"not tried":                  {[]traffic.Revocation{with(func(r *traffic.Revocation) { r.Result = traffic.RevocationSkipped })}, "", ""},
		"too large to look at":       {[]traffic.Revocation{with(func(r *traffic.Revocation) { r.Result = traffic.RevocationTooLarge })}, "", ""},
		"one of two is out of reach": {[]traffic.Revocation{with(func(r *traffic.Revocation) { r.Result = traffic.RevocationUnreachable }), good}, "", ""},
		"delta is out of reach":      {[]traffic.Revocation{good, with(func(r *traffic.Revocation) { r.Kind, r.Result = traffic.RevocationDelta, traffic.RevocationUnreachable })}, "tls-revocation-unreachable", likely},
		"not found":                  {[]traffic.Revocation{with(func(r *traffic.Revocation) { r.Result, r.Status = traffic.RevocationStatus, 404 })}, "tls-revocation-unreachable", certain},
		"not found, days later": {[]traffic.Revocation{with(func(r *traffic.Revocation) {
			r.Result, r.Status, r.Fetched = traffic.RevocationStatus, 404, now.AddDate(0, 0, 3)
		})}, "tls-revocation-unreachable", likely},
		"forged":                         {[]traffic.Revocation{with(func(r *traffic.Revocation) { r.Signature, r.Revoked = "bad", true })}, "tls-revocation-not-a-list", certain},
		"revoked":                        {[]traffic.Revocation{with(func(r *traffic.Revocation) { r.Revoked, r.RevokedAt = true, now.Add(-time.Hour) })}, "tls-server-cert-revoked", certain},
		"revoked, signature not known":   {[]traffic.Revocation{with(func(r *traffic.Revocation) { r.Revoked, r.Signature = true, "" })}, "tls-server-cert-revoked", likely},
		"revoked after the connection":   {[]traffic.Revocation{with(func(r *traffic.Revocation) { r.Revoked, r.RevokedAt = true, now.Add(time.Hour) })}, "", ""},
		"another certificate's":          {[]traffic.Revocation{with(func(r *traffic.Revocation) { r.Serial, r.Revoked = "03e9", true })}, "", ""},
		"good once, expired when seen":   {[]traffic.Revocation{with(func(r *traffic.Revocation) { r.NextUpdate = now.Add(-time.Minute) })}, "tls-revocation-expired", certain},
		"no successor was ever promised": {[]traffic.Revocation{with(func(r *traffic.Revocation) { r.NextUpdate = time.Time{} })}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			conn := &traffic.Conn{ID: 1, Opened: now, Closed: now, AgentLeg: traffic.Leg{BytesIn: 1}}
			conn.UpstreamLeg.Handshake = &traffic.Handshake{Side: traffic.UpstreamSide, Began: now, Ended: now, TLS: &traffic.TLSInfo{}, PeerCertificates: [][]byte{der}}
			fs := Judge(Evidence{Conn: conn, Revocations: NewRevocations(c.lists), Probe: true, Now: now.AddDate(0, 0, 3)})
			code, sure := "", ""
			if len(fs) > 0 {
				code, sure = fs[0].Kind.Code, fs[0].Sure
			}
			if code != c.code || sure != c.sure {
				t.Errorf("found %q, %s; want %q, %s", code, sure, c.code, c.sure)
			}
			// Without a probe and without an agent that left, lists are nobody's
			// cause.
			for _, f := range Judge(Evidence{Conn: conn, Revocations: NewRevocations(c.lists)}) {
				if f.Kind.Code != "tls-server-cert-revoked" {
					t.Errorf("without a probe: found %s", f.Kind.Code)
				}
			}
		})
	}
}
