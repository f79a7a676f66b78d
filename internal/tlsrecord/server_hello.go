package tlsrecord

import "bytes"

// ServerHello is the server's choice, or its wish for another ClientHello.
type ServerHello struct {
	// Partial is true when the hello breaks off, so that Version and extensions
	// may be missing.
	Partial bool
	// Retry is true for a HelloRetryRequest, which is a ServerHello with a
	// fixed random (RFC 8446, 4.1.3).
	Retry bool
	// Version is the negotiated version, from the extension where there is
	// one; LegacyVersion is the field.
	Version, LegacyVersion Version
	Random, SessionID      []byte
	Suite                  Suite
	Compression            uint8
	Extensions             []Extension

	// ALPN is the protocol chosen, up to TLS 1.2.
	ALPN string
	// Group is the group of the server's key, or the one that a retry asks for;
	// 0 when there is none.
	Group Group
	// PSK is the number of the pre-shared key chosen, -1 for none.
	PSK int
	// Downgraded is the version that the server says it was brought down to
	// although it can do more: TLS12, TLS11 (or lower), or 0.
	Downgraded Version

	// chose is true when the suite is there.
	chose bool
}

// Has says whether the hello has an extension.
func (h *ServerHello) Has(t ExtensionType) bool {
	_, ok := findExtension(h.Extensions, t)
	return ok
}

// retryRandom is SHA-256 of "HelloRetryRequest".
var retryRandom = []byte("\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91" +
	"\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c")

func readServerHello(c *cursor) *ServerHello {
	h := &ServerHello{Partial: c.src.cut, PSK: -1}
	version, _ := c.uint(2, "server version")
	h.LegacyVersion, h.Version = Version(version), Version(version)
	h.Random, _ = c.bytes(32, "server random")
	h.Retry = bytes.Equal(h.Random, retryRandom)
	h.Downgraded = downgraded(h.Random)
	id, _ := c.vector(1, "session id")
	h.SessionID = id.rest
	suite, ok := c.uint(2, "cipher suite")
	h.Suite, h.chose = Suite(suite), ok
	method, _ := c.uint(1, "compression method")
	h.Compression = uint8(method)
	if c.empty() {
		return h
	}
	extensions, _ := c.vector(2, "extensions")
	h.Extensions = readExtensions(&extensions, h.extension)
	c.end("ServerHello")
	return h
}

// downgraded reads the end of the random, where a server that can do TLS 1.3
// says that it was asked for less (RFC 8446, 4.1.3).
func downgraded(random []byte) Version {
	switch {
	case bytes.HasSuffix(random, []byte("DOWNGRD\x01")):
		return TLS12
	case bytes.HasSuffix(random, []byte("DOWNGRD\x00")):
		return TLS11
	}
	return 0
}

// extension reads what an extension of a ServerHello says.
func (h *ServerHello) extension(t ExtensionType, c *cursor) {
	switch t {
	case ExtSupportedVersions:
		if v, ok := c.uint(2, "selected version"); ok {
			h.Version = Version(v)
		}
	case ExtKeyShare:
		group, _ := c.uint(2, "key share")
		h.Group = Group(group)
		if !h.Retry {
			c.vector(2, "key share")
		}
	case ExtPreSharedKey:
		if v, ok := c.uint(2, "selected pre-shared key"); ok {
			h.PSK = v
		}
	case ExtALPN:
		list, _ := c.vector(2, "ALPN")
		name, _ := list.vector(1, "ALPN name")
		h.ALPN = string(name.rest)
		list.end("ALPN")
	default:
		return
	}
	c.end("extension " + t.String())
}
