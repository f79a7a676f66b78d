package tlsrecord

import (
	"encoding/asn1"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Outline is the beginning of a certificate, read without asking whether it is
// good: for those that crypto/x509 refuses to parse.
type Outline struct {
	// Version is 3 for today's certificates, 0 when it was not reached.
	Version int
	// Serial is the serial number's bytes as encoded, two's complement; Negative
	// says that it is below zero, which RFC 5280 forbids and Go refuses.
	Serial   []byte
	Negative bool
	// Algorithm is the signature algorithm's object identifier.
	Algorithm string
	// Issuer and Subject are in words, as [Name] gives them.
	Issuer, Subject string
	// NotBefore and NotAfter are zero when they cannot be read.
	NotBefore, NotAfter time.Time
	// Size is how many bytes the certificate says to have; what lies beyond is
	// none of it. 0 when there is no beginning of a certificate.
	Size int
	// Stopped names the field that could not be read; empty when the outline is
	// whole.
	Stopped string
}

// ReadOutline reads a certificate's outline up to the first field that is not
// DER.
func ReadOutline(der []byte) Outline {
	var o Outline
	o.Stopped = o.read(der)
	return o
}

// read fills in fields in their order (RFC 5280, 4.1) and names the one where
// it had to stop.
func (o *Outline) read(der []byte) (stopped string) {
	in := cryptobyte.String(der)
	var cert, tbs cryptobyte.String
	if !in.ReadASN1(&cert, cbasn1.SEQUENCE) {
		return "certificate"
	}
	o.Size = len(der) - len(in)
	if !cert.ReadASN1(&tbs, cbasn1.SEQUENCE) {
		return "to be signed"
	}
	version := 0
	tag := cbasn1.Tag(0).Constructed().ContextSpecific()
	if !tbs.ReadOptionalASN1Integer(&version, tag, 0) {
		return "version"
	}
	o.Version = version + 1
	var serial cryptobyte.String
	if !tbs.ReadASN1(&serial, cbasn1.INTEGER) || len(serial) == 0 {
		return "serial number"
	}
	o.Serial, o.Negative = serial, serial[0]&0x80 != 0
	var algorithm cryptobyte.String
	var oid asn1.ObjectIdentifier
	if !tbs.ReadASN1(&algorithm, cbasn1.SEQUENCE) || !algorithm.ReadASN1ObjectIdentifier(&oid) {
		return "signature algorithm"
	}
	o.Algorithm = oid.String()
	return o.readNames(&tbs)
}

func (o *Outline) readNames(tbs *cryptobyte.String) (stopped string) {
	var issuer, subject, validity cryptobyte.String
	if !tbs.ReadASN1Element(&issuer, cbasn1.SEQUENCE) {
		return "issuer"
	}
	o.Issuer = Name(issuer)
	if !tbs.ReadASN1(&validity, cbasn1.SEQUENCE) {
		return "validity"
	}
	var readable bool
	if o.NotBefore, readable = readTime(&validity); !readable {
		return "not before"
	}
	if o.NotAfter, readable = readTime(&validity); !readable {
		return "not after"
	}
	if !tbs.ReadASN1Element(&subject, cbasn1.SEQUENCE) {
		return "subject"
	}
	o.Subject = Name(subject)
	return ""
}

func readTime(in *cryptobyte.String) (t time.Time, ok bool) {
	if in.PeekASN1Tag(cbasn1.UTCTime) {
		ok = in.ReadASN1UTCTime(&t)
		return t, ok
	}
	ok = in.ReadASN1GeneralizedTime(&t)
	return t, ok
}
