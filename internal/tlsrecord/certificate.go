package tlsrecord

import "time"

// Certificate is a Certificate message; in TLS 1.3 it is encrypted, and is here
// only when it was opened. An empty chain says that the sender has none.
type Certificate struct {
	// Chain has the certificates in the order sent, the sender's own first,
	// whatever they contain.
	Chain []DER
}

// DER is something in DER with its place in the stream.
type DER struct {
	Offset int
	Bytes  []byte
	// Truncated is true when the message ends before it does.
	Truncated bool
}

func readCertificate(c *cursor, tls13 bool) *Certificate {
	var m Certificate
	if tls13 {
		c.vector(1, "certificate request context")
	}
	list, _ := c.vector(3, "certificate list")
	for !list.empty() {
		if len(m.Chain) == maxList {
			list.flaw("not read on after %d certificates", len(m.Chain))
			break
		}
		der, ok := list.vector(3, "certificate")
		m.Chain = append(m.Chain, DER{der.offset(), der.rest, !ok})
		if tls13 && ok {
			list.vector(2, "extensions of a certificate")
		}
	}
	c.end("Certificate")
	return &m
}

// CertificateRequest is how a server asks for a client certificate; in TLS 1.3
// it is here only when it was opened.
type CertificateRequest struct {
	// Types are kinds of certificates by number, for [CertificateType]. TLS 1.3
	// has none.
	Types []CertificateType
	// SignatureSchemes are there from TLS 1.2 on.
	SignatureSchemes []SignatureScheme
	// Authorities are whose certificates the server will take. Empty leaves it
	// to the client.
	Authorities []Authority
	// AuthoritiesSize is the length of their list in bytes, as it says itself.
	AuthoritiesSize int
}

// Authority is the name of an authority whose certificates are taken.
type Authority struct {
	DER
	// Name is the distinguished name in words, as [Name] gives it.
	Name string
}

func readCertificateRequest(c *cursor, version Version) *CertificateRequest {
	var m CertificateRequest
	types, _ := c.vector(1, "certificate types")
	for _, t := range types.rest {
		m.Types = append(m.Types, CertificateType(t))
	}
	if version >= TLS12 {
		var grease bool
		schemes, _ := c.vector(2, "signature algorithms")
		m.SignatureSchemes = numbers[SignatureScheme](&schemes, "signature algorithms", &grease)
	}
	if len(c.rest) >= 2 {
		m.AuthoritiesSize = be16(c.rest)
	}
	list, _ := c.vector(2, "certificate authorities")
	m.Authorities = readAuthorities(&list)
	c.end("CertificateRequest")
	return &m
}

// readCertificateRequest13 reads the form of TLS 1.3: a context and extensions
// (RFC 8446, 4.3.2).
func readCertificateRequest13(c *cursor) *CertificateRequest {
	var m CertificateRequest
	c.vector(1, "certificate request context")
	extensions, _ := c.vector(2, "extensions")
	for !extensions.empty() {
		kind, _ := extensions.uint(2, "extension type")
		data, _ := extensions.vector(2, "extension")
		switch ExtensionType(kind) {
		case ExtSignatureAlgorithms:
			var grease bool
			list, _ := data.vector(2, "signature algorithms")
			m.SignatureSchemes = numbers[SignatureScheme](&list, "signature algorithms", &grease)
		case ExtAuthorities:
			list, _ := data.vector(2, "certificate authorities")
			m.AuthoritiesSize = len(list.rest)
			m.Authorities = readAuthorities(&list)
		}
	}
	c.end("CertificateRequest")
	return &m
}

func readAuthorities(list *cursor) []Authority {
	var names []Authority
	for !list.empty() {
		der, ok := list.vector(2, "distinguished name")
		names = append(names, Authority{DER{der.offset(), der.rest, !ok}, Name(der.rest)})
	}
	return names
}

// CertificateVerify is the proof that the client has its certificate's key.
type CertificateVerify struct {
	// Scheme is 0 before TLS 1.2, which has no choice.
	Scheme SignatureScheme
	// Size is the signature's, in bytes.
	Size int
}

func readCertificateVerify(c *cursor, version Version) *CertificateVerify {
	var m CertificateVerify
	if version >= TLS12 {
		scheme, _ := c.uint(2, "signature algorithm")
		m.Scheme = SignatureScheme(scheme)
	}
	signature, _ := c.vector(2, "signature")
	m.Size = len(signature.rest)
	c.end("CertificateVerify")
	return &m
}

// CertificateStatus is what the server staples to its certificate.
type CertificateStatus struct {
	// Type is 1 for an OCSP response, 2 for several.
	Type     uint8
	Response DER
}

func readCertificateStatus(c *cursor) *CertificateStatus {
	kind, _ := c.uint(1, "status type")
	response, ok := c.vector(3, "status response")
	c.end("CertificateStatus")
	return &CertificateStatus{uint8(kind), DER{response.offset(), response.rest, !ok}}
}

// NewSessionTicket lets a client resume its session, up to TLS 1.2.
type NewSessionTicket struct {
	// Lifetime is a hint; 0 leaves it to the client.
	Lifetime time.Duration
	// Size is the ticket's, in bytes.
	Size int
}

func readNewSessionTicket(c *cursor) *NewSessionTicket {
	seconds, _ := c.uint(4, "ticket lifetime")
	ticket, _ := c.vector(2, "ticket")
	c.end("NewSessionTicket")
	return &NewSessionTicket{time.Duration(seconds) * time.Second, len(ticket.rest)}
}
