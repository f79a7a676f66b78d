package revocation

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// List is a revocation list (RFC 5280, 5). It keeps the bytes, and no entry of
// its own: lists have hundreds of thousands of them.
type List struct {
	// Issuer is the issuer's name in DER.
	Issuer []byte
	// NextUpdate is zero when the list has none.
	ThisUpdate, NextUpdate time.Time
	// Delta is true for a list of changes; Freshest are where those are, for
	// a whole list.
	Delta    bool
	Freshest []string
	// Entries is how many certificates it has.
	Entries int

	signed, signature []byte
	algorithm         asn1.ObjectIdentifier
	entries           cryptobyte.String
	// indirect is true for a list with entries of other issuers too.
	indirect bool
}

// Entry is one revoked certificate.
type Entry struct {
	Revoked time.Time
	// Reason is in words, empty when the list gives none.
	Reason string
}

// The extensions that matter here.
var (
	oidDistribution      = asn1.ObjectIdentifier{2, 5, 29, 28}
	oidDeltaIndicator    = asn1.ObjectIdentifier{2, 5, 29, 27}
	oidFreshest          = asn1.ObjectIdentifier{2, 5, 29, 46}
	oidReason            = asn1.ObjectIdentifier{2, 5, 29, 21}
	oidCertificateIssuer = asn1.ObjectIdentifier{2, 5, 29, 29}
)

// ParseList reads a list in DER, or in PEM as some servers have it. The error
// names the field that is not as it should be.
func ParseList(content []byte) (*List, error) {
	if block, _ := pem.Decode(content); block != nil && block.Type == "X509 CRL" {
		content = block.Bytes
	}
	l := &List{}
	in := cryptobyte.String(content)
	var list, tbs, algorithm cryptobyte.String
	var signature asn1.BitString
	if !in.ReadASN1(&list, cbasn1.SEQUENCE) || !list.ReadASN1Element(&tbs, cbasn1.SEQUENCE) {
		return nil, errors.New("it does not begin as a revocation list")
	}
	l.signed = tbs
	if !list.ReadASN1(&algorithm, cbasn1.SEQUENCE) || !algorithm.ReadASN1ObjectIdentifier(&l.algorithm) || !list.ReadASN1BitString(&signature) {
		return nil, errors.New("its signature cannot be read")
	}
	l.signature = signature.Bytes
	if err := l.read(tbs); err != nil {
		return nil, err
	}
	return l, nil
}

// read reads what is signed.
func (l *List) read(element cryptobyte.String) error {
	var tbs, issuer cryptobyte.String
	if !element.ReadASN1(&tbs, cbasn1.SEQUENCE) || !tbs.SkipOptionalASN1(cbasn1.INTEGER) || !tbs.SkipASN1(cbasn1.SEQUENCE) || !tbs.ReadASN1Element(&issuer, cbasn1.SEQUENCE) {
		return errors.New("its issuer cannot be read")
	}
	l.Issuer = issuer
	readable := false
	if l.ThisUpdate, readable = readTime(&tbs); !readable {
		return errors.New("its time of issue cannot be read")
	}
	if tbs.PeekASN1Tag(cbasn1.UTCTime) || tbs.PeekASN1Tag(cbasn1.GeneralizedTime) {
		if l.NextUpdate, readable = readTime(&tbs); !readable {
			return errors.New("the time of its next issue cannot be read")
		}
	}
	if tbs.PeekASN1Tag(cbasn1.SEQUENCE) && !tbs.ReadASN1(&l.entries, cbasn1.SEQUENCE) {
		return errors.New("its entries cannot be read")
	}
	if err := l.each(func([]byte, cryptobyte.String) bool { l.Entries++; return true }); err != nil {
		return err
	}
	return l.readExtensions(tbs)
}

func (l *List) readExtensions(tbs cryptobyte.String) error {
	var outer cryptobyte.String
	found := false
	if !tbs.ReadOptionalASN1(&outer, &found, cbasn1.Tag(0).Constructed().ContextSpecific()) || !tbs.Empty() {
		return errors.New("its extensions cannot be read")
	}
	if !found {
		return nil
	}
	read := eachExtension(outer, func(oid asn1.ObjectIdentifier, value []byte) {
		switch {
		case oid.Equal(oidDeltaIndicator):
			l.Delta = true
		case oid.Equal(oidFreshest):
			l.Freshest = distributionPoints(value)
		case oid.Equal(oidDistribution):
			l.indirect = isIndirect(value)
		}
	})
	if !read {
		return errors.New("its extensions cannot be read")
	}
	return nil
}

// isIndirect reads the flag of an issuing distribution point (RFC 5280, 5.2.5).
func isIndirect(value []byte) bool {
	in := cryptobyte.String(value)
	var fields cryptobyte.String
	if !in.ReadASN1(&fields, cbasn1.SEQUENCE) {
		return false
	}
	for !fields.Empty() {
		var field cryptobyte.String
		var tag cbasn1.Tag
		if !fields.ReadAnyASN1(&field, &tag) {
			return false
		}
		if tag == cbasn1.Tag(4).ContextSpecific() {
			return len(field) == 1 && field[0] != 0
		}
	}
	return false
}

// each visits the entries (serial number as encoded, what stands behind it)
// until it is told to stop.
func (l *List) each(visit func(serial []byte, rest cryptobyte.String) bool) error {
	for in := l.entries; !in.Empty(); {
		var entry, serial cryptobyte.String
		if !in.ReadASN1(&entry, cbasn1.SEQUENCE) || !entry.ReadASN1(&serial, cbasn1.INTEGER) {
			return errors.New("one of its entries cannot be read")
		}
		if !visit(serial, entry) {
			return nil
		}
	}
	return nil
}

// Find finds a certificate of the list's issuer by its serial number (the
// bytes of its magnitude). An entry that takes a certificate off the list, in
// a delta, finds nothing.
func (l *List) Find(serial []byte) (e Entry, found bool) {
	serial = bytes.TrimLeft(serial, "\x00")
	foreign := false // entries of another issuer, in an indirect list
	_ = l.each(func(number []byte, rest cryptobyte.String) bool {
		same := bytes.Equal(bytes.TrimLeft(number, "\x00"), serial)
		if !same && !l.indirect { // nearly all, and there may be very many
			return true
		}
		when, _ := readTime(&rest)
		reason, other := readEntry(rest)
		if foreign = foreign || other; foreign || !same {
			return true
		}
		e, found = Entry{when, reasons[reason]}, reason != removeFromList
		return !found
	}) // it was read once, so it can be
	if !found {
		return Entry{}, false
	}
	return e, true
}

// readEntry reads an entry's extensions: the reason, -1 without one, and
// whether another issuer is named.
func readEntry(rest cryptobyte.String) (reason int, foreign bool) {
	reason = -1
	eachExtension(rest, func(oid asn1.ObjectIdentifier, value []byte) {
		in := cryptobyte.String(value)
		switch {
		case oid.Equal(oidReason):
			if n := 0; in.ReadASN1Enum(&n) {
				reason = n
			}
		case oid.Equal(oidCertificateIssuer):
			foreign = true
		}
	})
	return reason, foreign
}

// removeFromList is the reason of an entry that takes one back (RFC 5280,
// 5.3.1).
const removeFromList = 8

var reasons = map[int]string{
	0: "unspecified", 1: "key compromise", 2: "CA compromise", 3: "affiliation changed", 4: "superseded",
	5: "cessation of operation", 6: "certificate hold", 9: "privilege withdrawn", 10: "AA compromise",
}

// algorithms are the signatures that are checked; others stay unknown.
var algorithms = map[string]x509.SignatureAlgorithm{
	"1.2.840.113549.1.1.11": x509.SHA256WithRSA,
	"1.2.840.113549.1.1.12": x509.SHA384WithRSA,
	"1.2.840.113549.1.1.13": x509.SHA512WithRSA,
	"1.2.840.10045.4.3.2":   x509.ECDSAWithSHA256,
	"1.2.840.10045.4.3.3":   x509.ECDSAWithSHA384,
	"1.2.840.10045.4.3.4":   x509.ECDSAWithSHA512,
	"1.3.101.112":           x509.PureEd25519,
}

// Signature says whether an authority has signed the list: "good", "bad", or ""
// for a signature of a kind that is not checked.
func (l *List) Signature(issuer *x509.Certificate) string {
	algorithm, known := algorithms[l.algorithm.String()]
	switch {
	case !known:
		return ""
	case issuer.KeyUsage != 0 && issuer.KeyUsage&x509.KeyUsageCRLSign == 0:
		return "bad"
	case issuer.CheckSignature(algorithm, l.signed, l.signature) != nil:
		return "bad"
	}
	return "good"
}

func readTime(in *cryptobyte.String) (t time.Time, ok bool) {
	if in.PeekASN1Tag(cbasn1.UTCTime) {
		ok = in.ReadASN1UTCTime(&t)
		return t, ok
	}
	ok = in.ReadASN1GeneralizedTime(&t)
	return t, ok
}

// eachExtension visits extensions, and says whether all could be read.
func eachExtension(in cryptobyte.String, visit func(asn1.ObjectIdentifier, []byte)) bool {
	if in.Empty() {
		return true
	}
	var all cryptobyte.String
	if !in.ReadASN1(&all, cbasn1.SEQUENCE) {
		return false
	}
	for !all.Empty() {
		var one, value cryptobyte.String
		var oid asn1.ObjectIdentifier
		if !all.ReadASN1(&one, cbasn1.SEQUENCE) || !one.ReadASN1ObjectIdentifier(&oid) || !one.SkipOptionalASN1(cbasn1.BOOLEAN) || !one.ReadASN1(&value, cbasn1.OCTET_STRING) {
			return false
		}
		visit(oid, value)
	}
	return true
}

// distributionPoints are the URLs of a list of distribution points (RFC 5280,
// 4.2.1.13), as far as they can be read.
func distributionPoints(value []byte) []string {
	var out []string
	in := cryptobyte.String(value)
	var points cryptobyte.String
	if !in.ReadASN1(&points, cbasn1.SEQUENCE) {
		return nil
	}
	context0 := cbasn1.Tag(0).Constructed().ContextSpecific()
	for !points.Empty() && len(out) < maxURLs {
		var point, name, full cryptobyte.String
		has, hasFull := false, false
		if !points.ReadASN1(&point, cbasn1.SEQUENCE) || !point.ReadOptionalASN1(&name, &has, context0) {
			return out
		}
		if !has || !name.ReadOptionalASN1(&full, &hasFull, context0) || !hasFull {
			continue
		}
		for !full.Empty() && len(out) < maxURLs {
			var one cryptobyte.String
			var tag cbasn1.Tag
			if !full.ReadAnyASN1(&one, &tag) {
				return out
			}
			if tag == cbasn1.Tag(6).ContextSpecific() {
				out = append(out, string(one))
			}
		}
	}
	return out
}

// parseIssuer reads a certificate that a server gave for an issuer.
func parseIssuer(content []byte) (*x509.Certificate, error) {
	if block, _ := pem.Decode(content); block != nil && block.Type == "CERTIFICATE" {
		content = block.Bytes
	}
	x, err := x509.ParseCertificate(content)
	if err != nil {
		return nil, fmt.Errorf("no certificate: %w", err)
	}
	return x, nil
}
