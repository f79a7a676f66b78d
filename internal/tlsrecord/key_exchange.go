package tlsrecord

import "strings"

// ServerKeyExchange is the server's half of a Diffie-Hellman exchange up to TLS
// 1.2.
type ServerKeyExchange struct {
	// Kind is "ECDHE", "DHE", or empty for one that is not read.
	Kind string
	// Group is an ECDHE's curve, 0 for one that is spelled out.
	Group Group
	// PrimeBits is the size of a DHE's prime.
	PrimeBits int
	// Scheme is the signature's from TLS 1.2 on, 0 when there is none.
	Scheme SignatureScheme
	// SignatureSize is in bytes, 0 when the exchange is not signed.
	SignatureSize int
}

// readServerKeyExchange needs the suite to know what it looks at.
func readServerKeyExchange(c *cursor, version Version, suite Suite) *ServerKeyExchange {
	var m ServerKeyExchange
	name := suite.String()
	if strings.Contains(name, "_PSK_") {
		c.vector(2, "PSK hint")
	}
	switch {
	case strings.Contains(name, "ECDH"):
		m.readECDHE(c)
	case strings.Contains(name, "_DHE_"), strings.Contains(name, "_DH_anon_"):
		m.readDHE(c)
	}
	if m.Kind == "" || c.empty() {
		return &m
	}
	if version >= TLS12 {
		scheme, _ := c.uint(2, "signature algorithm")
		m.Scheme = SignatureScheme(scheme)
	}
	signature, _ := c.vector(2, "signature")
	m.SignatureSize = len(signature.rest)
	c.end("ServerKeyExchange")
	return &m
}

// readECDHE reads a curve by name (RFC 8422, 5.4); others are not used any more.
func (m *ServerKeyExchange) readECDHE(c *cursor) {
	const namedCurve = 3
	if kind, ok := c.uint(1, "curve type"); !ok || kind != namedCurve {
		return
	}
	group, _ := c.uint(2, "curve")
	c.vector(1, "public key")
	m.Kind, m.Group = "ECDHE", Group(group)
}

func (m *ServerKeyExchange) readDHE(c *cursor) {
	prime, _ := c.vector(2, "DH prime")
	c.vector(2, "DH generator")
	c.vector(2, "DH public key")
	m.Kind, m.PrimeBits = "DHE", bitLen(prime.rest)
}

// bitLen is the length of a number without its leading zeros.
func bitLen(b []byte) int {
	for len(b) > 0 && b[0] == 0 {
		b = b[1:]
	}
	bits := 8 * len(b)
	for i := 7; len(b) > 0 && b[0]>>i == 0; i-- {
		bits--
	}
	return bits
}
