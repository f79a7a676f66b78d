package revocation

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"slices"

	"mpproxy/internal/tlsrecord"
	"mpproxy/traffic"
)

// Chain fetches what the certificates of a chain name, leaf first as sent:
// revocation lists, delta lists, and issuers that neither the chain nor known
// has. Certificates that cannot be read, and roots, need none.
func (f *Fetcher) Chain(ctx context.Context, chain [][]byte, known []*x509.Certificate) []traffic.Revocation {
	var certificates []*x509.Certificate
	for _, der := range chain[:min(len(chain), maxChain)] {
		if x, err := x509.ParseCertificate(der); err == nil {
			certificates = append(certificates, x)
		}
	}
	var out []traffic.Revocation
	for _, x := range certificates {
		if !bytes.Equal(x.RawIssuer, x.RawSubject) {
			out = append(out, f.certificate(ctx, x, append(certificates, known...))...)
		}
	}
	return out
}

// certificate fetches what one certificate names.
func (f *Fetcher) certificate(ctx context.Context, x *x509.Certificate, known []*x509.Certificate) []traffic.Revocation {
	issuer, out := f.issuer(ctx, x, known)
	var deltas []string
	for _, e := range x.Extensions {
		if e.Id.Equal(oidFreshest) {
			deltas = distributionPoints(e.Value)
		}
	}
	add := func(url string, kind traffic.RevocationKind) {
		a := f.get(ctx, url, kind)
		out = append(out, a.revocation(url, kind, x, issuer))
		if a.list != nil && kind == traffic.RevocationList {
			deltas = append(deltas, a.list.Freshest...)
		}
	}
	for _, url := range unique(x.CRLDistributionPoints) {
		add(url, traffic.RevocationList)
	}
	for _, url := range unique(deltas) {
		add(url, traffic.RevocationDelta)
	}
	return out
}

// issuer finds the certificate's issuer, or fetches it.
func (f *Fetcher) issuer(ctx context.Context, x *x509.Certificate, known []*x509.Certificate) (issuer *x509.Certificate, out []traffic.Revocation) {
	for _, k := range known {
		if bytes.Equal(k.RawSubject, x.RawIssuer) && x.CheckSignatureFrom(k) == nil {
			return k, nil
		}
	}
	for _, url := range unique(x.IssuingCertificateURL) {
		a := f.get(ctx, url, traffic.RevocationIssuer)
		r := a.revocation(url, traffic.RevocationIssuer, x, nil)
		if a.issuer != nil {
			r.Signature = "bad"
			if x.CheckSignatureFrom(a.issuer) == nil {
				r.Signature, issuer = "good", a.issuer
			}
		}
		if out = append(out, r); issuer != nil {
			break
		}
	}
	return issuer, out
}

// unique leaves out repetitions, and what is too many.
func unique(urls []string) []string {
	var out []string
	for _, u := range urls {
		if !slices.Contains(out, u) && len(out) < maxURLs {
			out = append(out, u)
		}
	}
	return out
}

// revocation is the answer with regard to one certificate.
func (a *answer) revocation(url string, kind traffic.RevocationKind, x, issuer *x509.Certificate) traffic.Revocation {
	r := traffic.Revocation{
		URL: url, Kind: kind, Result: a.result, Issuer: tlsrecord.Name(x.RawIssuer), Serial: fmt.Sprintf("%x", x.SerialNumber.Bytes()),
		Fetched: a.fetched, Took: a.took, Status: a.status, ContentType: a.contentType, Size: a.size, Err: a.err,
	}
	l := a.list
	if l == nil {
		return r
	}
	r.ThisUpdate, r.NextUpdate, r.Entries = l.ThisUpdate, l.NextUpdate, l.Entries
	if !bytes.Equal(l.Issuer, x.RawIssuer) {
		r.Result, r.Err = traffic.RevocationUnreadable, "the list is another authority's: "+short(tlsrecord.Name(l.Issuer))
		return r
	}
	if issuer != nil {
		r.Signature = l.Signature(issuer)
	}
	if e, found := l.Find(x.SerialNumber.Bytes()); found {
		r.Revoked, r.Reason, r.RevokedAt = true, e.Reason, e.Revoked
	}
	return r
}
