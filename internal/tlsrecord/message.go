package tlsrecord

import "sort"

// Message is one thing that a side said: a handshake message put together from
// its records, an alert, or a whole record of something else.
type Message struct {
	From Side
	// Offset is where it begins: at its handshake header, else behind the
	// record's header. End is behind its last byte that is there.
	Offset, End int
	Content     ContentType
	// Type is the handshake message's type, and means nothing for an
	// encrypted message or another content.
	Type HandshakeType
	// Version is that of the record in which it begins.
	Version Version
	// Length is how long it says to be, in bytes without its header; for an
	// encrypted message the ciphertext's length.
	Length int
	// Fragments is over how many records it spreads.
	Fragments int
	// Truncated is true when it breaks off before Length.
	Truncated bool
	Encrypted bool
	// Opened is true for what is encrypted on the wire and was opened with the
	// connection's secrets: it is of TLS 1.3.
	Opened bool
	// Raw is the message without its header, as far as it is there; nil when
	// Encrypted.
	Raw []byte
	// Body is the message as read: *ClientHello, *ServerHello, *Certificate,
	// *CertificateRequest, *ServerKeyExchange, *CertificateVerify,
	// *NewSessionTicket, *CertificateStatus or *Alert. It is nil for all other
	// messages, which have nothing to say beyond their size.
	Body any
	// Plain is how long the content of an encrypted message can be, Guess what
	// it is. Both need the other direction's hellos.
	Plain Range
	Guess Guess
}

// Is says whether the message is in clear and of that handshake type.
func (m *Message) Is(t HandshakeType) bool {
	return m.Content == ContentHandshake && !m.Encrypted && m.Type == t
}

// part is a piece of a message's bytes that lies in one record.
type part struct {
	// at is the index of the piece's first byte in the message, offset the same
	// byte's in the stream.
	at, offset int
}

// assembly is a handshake message that is not complete yet.
type assembly struct {
	data    []byte
	parts   []part
	version Version
	opened  bool
}

func (a *assembly) active() bool { return len(a.parts) > 0 }

// missing is how many bytes the message still needs: those of its header while
// it has none.
func (a *assembly) missing() int {
	if len(a.data) < handshakeHeader {
		return handshakeHeader - len(a.data)
	}
	return handshakeHeader + be24(a.data[1:]) - len(a.data)
}

const handshakeHeader = 4

// handshake splits a fragment into messages and parts of messages.
func (r *reader) handshake(rec *Record, fragment []byte) {
	offset := rec.Offset + headerSize
	if rec.Length == 0 {
		r.flaw(rec.Offset, "an empty handshake record")
	}
	for len(fragment) > 0 && len(r.Messages) < maxMessages {
		if !r.pending.active() {
			r.pending.version, r.pending.opened = rec.Version, rec.Opened
		}
		n := r.pending.take(fragment, offset)
		fragment, offset = fragment[n:], offset+n
		if r.pending.missing() == 0 {
			r.complete(false)
		}
	}
}

// take adds bytes up to the message's end, and says how many. What lies in one
// record is not copied.
func (a *assembly) take(b []byte, offset int) int {
	a.parts = append(a.parts, part{len(a.data), offset})
	if len(a.data) == 0 {
		n := len(b)
		if n >= handshakeHeader {
			n = min(n, handshakeHeader+be24(b[1:]))
		}
		a.data = b[:n:n]
		return n
	}
	taken := 0
	for n := a.missing(); n > 0 && taken < len(b); n = a.missing() {
		n = min(n, len(b)-taken)
		a.data = append(a.data, b[taken:taken+n]...)
		taken += n
	}
	return taken
}

// breakOff ends a message that will not be completed.
func (r *reader) breakOff() {
	if r.pending.active() {
		r.Truncated = r.Truncated || r.Parsed == r.Size
		r.complete(true)
	}
}

// complete makes a message of what is pending.
func (r *reader) complete(truncated bool) {
	a := r.pending
	r.pending = assembly{}
	last := a.parts[len(a.parts)-1]
	m := Message{
		Offset: a.parts[0].offset, End: last.offset + len(a.data) - last.at,
		Content: ContentHandshake, Type: HandshakeType(a.data[0]), Version: a.version,
		Fragments: len(a.parts), Truncated: truncated, Opened: a.opened,
	}
	if len(a.data) < handshakeHeader {
		r.add(m)
		return
	}
	m.Length, m.Raw = be24(a.data[1:]), a.data[handshakeHeader:]
	src := &source{stream: r.Stream, parts: a.parts, cut: truncated}
	r.decode(&m, &cursor{rest: m.Raw, at: handshakeHeader, src: src})
	r.add(m)
}

// decode reads the body of the messages that have something to say.
func (r *reader) decode(m *Message, c *cursor) {
	switch m.Type {
	case TypeClientHello:
		m.Body = readClientHello(c)
	case TypeServerHello:
		h := readServerHello(c)
		r.tls13, r.suite = r.tls13 || h.Version >= TLS13, h.Suite
		m.Body = h
	case TypeCertificate:
		m.Body = readCertificate(c, m.Opened)
	case TypeCertificateRequest:
		if m.Opened {
			m.Body = readCertificateRequest13(c)
			break
		}
		m.Body = readCertificateRequest(c, m.Version)
	case TypeServerKeyExchange:
		m.Body = readServerKeyExchange(c, m.Version, r.suite)
	case TypeCertificateVerify:
		m.Body = readCertificateVerify(c, m.Version)
	case TypeNewSessionTicket:
		m.Body = readNewSessionTicket(c)
	case TypeCertificateStatus:
		m.Body = readCertificateStatus(c)
	case TypeHelloRequest, TypeServerHelloDone:
		c.end("empty message")
	default:
		if _, known := handshakeTypes[m.Type]; !known {
			c.flaw("handshake message of unknown type %d", uint8(m.Type))
		}
	}
}

// offset is where in the stream the byte at an index of the message is.
func (s *source) offset(at int) int {
	i := sort.Search(len(s.parts), func(i int) bool { return s.parts[i].at > at }) - 1
	return s.parts[i].offset + at - s.parts[i].at
}
