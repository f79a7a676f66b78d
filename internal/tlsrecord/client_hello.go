package tlsrecord

import (
	"slices"
	"time"
)

// ClientHello is how a client begins. Lists are in the client's order, without
// GREASE values.
type ClientHello struct {
	// SSL2 is true for a hello in the format of SSL 2.0.
	SSL2 bool
	// Partial is true when the hello breaks off, so that lists may be short.
	Partial bool
	// GREASE is true when the client sent values that mean nothing, to see
	// whether the server minds.
	GREASE bool
	// LegacyVersion is the version field, at most TLS 1.2 in a good client.
	LegacyVersion Version
	// Random has 32 bytes; the challenge in SSL 2.0, of 16 to 32.
	Random    []byte
	SessionID []byte
	Suites    []Suite
	// SSL2Suites are the cipher kinds that only SSL 2.0 has, of 3 bytes.
	SSL2Suites  []SSL2Suite
	Compression []uint8
	// Extensions are all of them as they came, GREASE included.
	Extensions []Extension

	// The rest is what the extensions say.

	// ServerName is the first host name as it came, which may be no good name.
	// It is empty when there is none.
	ServerName string
	// ServerNames counts the entries of the server name list, of any kind.
	ServerNames      int
	Versions         []Version
	Groups           []Group
	PointFormats     []uint8
	SignatureSchemes []SignatureScheme
	// CertificateSchemes are those for certificates, when they differ.
	CertificateSchemes []SignatureScheme
	ALPN               []string
	KeyShares          []KeyShare
	PSKModes           []uint8
	// PSKs is how many pre-shared keys (TLS 1.3 tickets) are offered.
	PSKs int
	// TicketSize is the length of the offered session ticket of TLS 1.2 and
	// before, 0 when the client only asks for one.
	TicketSize int
	// Authorities are the names of authorities whose certificates are wanted.
	Authorities []Authority
}

// Extension is one extension of a hello.
type Extension struct {
	Type ExtensionType
	// Offset is where its data is in the stream.
	Offset int
	Data   []byte
}

// KeyShare is a key offered for a group, with its size in bytes.
type KeyShare struct {
	Group Group
	Size  int
}

// Has says whether the hello has an extension.
func (h *ClientHello) Has(t ExtensionType) bool {
	_, ok := findExtension(h.Extensions, t)
	return ok
}

// Extension is the first extension of that type.
func (h *ClientHello) Extension(t ExtensionType) (Extension, bool) {
	return findExtension(h.Extensions, t)
}

func findExtension(list []Extension, t ExtensionType) (Extension, bool) {
	for _, e := range list {
		if e.Type == t {
			return e, true
		}
	}
	return Extension{}, false
}

// MaxVersion is the highest version that the client offers.
func (h *ClientHello) MaxVersion() Version {
	if len(h.Versions) == 0 {
		return h.LegacyVersion
	}
	return slices.Max(h.Versions)
}

// Offers says whether the client offers a version. Before the extension for it
// (TLS 1.3), a client offered a highest version and seldom said a lowest.
func (h *ClientHello) Offers(v Version) bool {
	if len(h.Versions) == 0 {
		return v <= h.LegacyVersion
	}
	return slices.Contains(h.Versions, v)
}

// SecureRenegotiation says whether the client knows RFC 5746.
func (h *ClientHello) SecureRenegotiation() bool {
	return h.Has(ExtRenegotiationInfo) || h.offersSuite(SuiteRenegotiationInfo)
}

// Fallback is true when the client says that it tried a higher version before
// (RFC 7507).
func (h *ClientHello) Fallback() bool { return h.offersSuite(SuiteFallback) }

func (h *ClientHello) offersSuite(s Suite) bool {
	return slices.Contains(h.Suites, s)
}

// Clock is what the client's clock shows if the first four bytes of the random
// are its time, as in old stacks. New ones send random bytes there: it means
// something only when it is near.
func (h *ClientHello) Clock() (time.Time, bool) {
	if h.SSL2 || len(h.Random) < 4 {
		return time.Time{}, false
	}
	seconds := int64(be16(h.Random))<<16 | int64(be16(h.Random[2:]))
	return time.Unix(seconds, 0).UTC(), true
}

func readClientHello(c *cursor) *ClientHello {
	h := &ClientHello{Partial: c.src.cut}
	version, _ := c.uint(2, "client version")
	h.LegacyVersion = Version(version)
	h.Random, _ = c.bytes(32, "client random")
	id, _ := c.vector(1, "session id")
	h.SessionID = id.rest
	if len(h.SessionID) > 32 {
		id.flaw("a session id of %d bytes, where 32 are the most", len(h.SessionID))
	}
	suites, _ := c.vector(2, "cipher suites")
	h.Suites = numbers[Suite](&suites, "cipher suites", &h.GREASE)
	methods, _ := c.vector(1, "compression methods")
	h.Compression = methods.rest
	if c.empty() {
		return h // as before extensions were invented
	}
	extensions, _ := c.vector(2, "extensions")
	h.Extensions = readExtensions(&extensions, h.extension)
	c.end("ClientHello")
	return h
}

// maxList is how many extensions or certificates are read of one message. No
// good message comes near it.
const maxList = 256

// readExtensions lists extensions and has read look into each, once.
func readExtensions(c *cursor, read func(ExtensionType, *cursor)) []Extension {
	var list []Extension
	seen := map[ExtensionType]bool{}
	for !c.empty() {
		if len(list) == maxList {
			c.flaw("not read on after %d extensions", len(list))
			return list
		}
		offset := c.offset()
		t, ok := c.uint(2, "extension type")
		if !ok {
			break
		}
		data, _ := c.vector(2, "extension")
		e := Extension{Type: ExtensionType(t), Offset: data.offset(), Data: data.rest}
		list = append(list, e)
		if seen[e.Type] {
			c.src.stream.flaws(offset, "extension "+e.Type.String()+" comes twice")
			continue
		}
		seen[e.Type] = true
		read(e.Type, &data)
	}
	return list
}

// extension reads what an extension of a ClientHello says.
func (h *ClientHello) extension(t ExtensionType, c *cursor) {
	if isGREASE(int(t)) {
		h.GREASE = true
		return
	}
	if read := clientExtensions[t]; read != nil {
		read(h, c)
		c.end("extension " + t.String())
	}
}

// clientExtensions are the extensions whose content is read.
var clientExtensions = map[ExtensionType]func(*ClientHello, *cursor){
	ExtServerName:             (*ClientHello).readServerName,
	ExtSupportedGroups:        (*ClientHello).readGroups,
	ExtPointFormats:           (*ClientHello).readPointFormats,
	ExtSignatureAlgorithms:    (*ClientHello).readSchemes,
	ExtSignatureAlgorithmsCrt: (*ClientHello).readCertificateSchemes,
	ExtALPN:                   (*ClientHello).readALPN,
	ExtSessionTicket:          (*ClientHello).readTicket,
	ExtPreSharedKey:           (*ClientHello).readPSKs,
	ExtSupportedVersions:      (*ClientHello).readVersions,
	ExtPSKModes:               (*ClientHello).readPSKModes,
	ExtKeyShare:               (*ClientHello).readKeyShares,
	ExtAuthorities:            (*ClientHello).readAuthorities,
}

// readServerName takes the first name of type host_name (0), RFC 6066, 3.
func (h *ClientHello) readServerName(c *cursor) {
	const what = "server name list"
	list, _ := c.vector(2, what)
	if list.empty() {
		list.flaw("an empty server name list")
	}
	found := false
	for !list.empty() {
		kind, _ := list.uint(1, what)
		name, ok := list.vector(2, "server name")
		h.ServerNames++
		switch {
		case kind != 0:
			name.flaw("a server name of unknown type %d", kind)
		case found:
			name.flaw("a second host name")
		default:
			found = true
			h.ServerName = string(name.rest)
			if ok && name.empty() {
				name.flaw("an empty host name")
			}
		}
	}
}

func (h *ClientHello) readGroups(c *cursor) {
	list, _ := c.vector(2, "supported groups")
	h.Groups = numbers[Group](&list, "supported groups", &h.GREASE)
}

func (h *ClientHello) readPointFormats(c *cursor) {
	list, _ := c.vector(1, "point formats")
	h.PointFormats = list.rest
}

func (h *ClientHello) readSchemes(c *cursor) {
	list, _ := c.vector(2, "signature algorithms")
	h.SignatureSchemes = numbers[SignatureScheme](&list, "signature algorithms", &h.GREASE)
}

func (h *ClientHello) readCertificateSchemes(c *cursor) {
	list, _ := c.vector(2, "certificate signature algorithms")
	h.CertificateSchemes = numbers[SignatureScheme](&list, "certificate signature algorithms", &h.GREASE)
}

func (h *ClientHello) readALPN(c *cursor) {
	list, _ := c.vector(2, "ALPN")
	for !list.empty() {
		name, _ := list.vector(1, "ALPN name")
		if len(name.rest) == 2 && isGREASE(be16(name.rest)) {
			h.GREASE = true
			continue
		}
		h.ALPN = append(h.ALPN, string(name.rest))
	}
}

func (h *ClientHello) readTicket(c *cursor) {
	b, _ := c.bytes(len(c.rest), "session ticket")
	h.TicketSize = len(b)
}

func (h *ClientHello) readPSKs(c *cursor) {
	list, _ := c.vector(2, "pre-shared keys")
	for !list.empty() {
		list.vector(2, "pre-shared key identity")
		list.uint(4, "ticket age")
		h.PSKs++
	}
	c.vector(2, "pre-shared key binders")
}

func (h *ClientHello) readVersions(c *cursor) {
	list, _ := c.vector(1, "supported versions")
	h.Versions = numbers[Version](&list, "supported versions", &h.GREASE)
}

func (h *ClientHello) readPSKModes(c *cursor) {
	list, _ := c.vector(1, "PSK modes")
	h.PSKModes = list.rest
}

func (h *ClientHello) readKeyShares(c *cursor) {
	list, _ := c.vector(2, "key shares")
	for !list.empty() {
		group, ok := list.uint(2, "key share")
		key, _ := list.vector(2, "key share")
		switch {
		case isGREASE(group):
			h.GREASE = true
		case ok:
			h.KeyShares = append(h.KeyShares, KeyShare{Group(group), len(key.rest)})
		}
	}
}

func (h *ClientHello) readAuthorities(c *cursor) {
	list, _ := c.vector(2, "certificate authorities")
	h.Authorities = readAuthorities(&list)
}
