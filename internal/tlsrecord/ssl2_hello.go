package tlsrecord

// isSSL2Hello knows an SSL 2.0 CLIENT-HELLO by its two-byte header with the top
// bit set, its type 1 and a version of SSL 2.0 or 3.x. Old clients sent one for
// TLS 1.0 too (RFC 5246, E.2).
func isSSL2Hello(b []byte) bool {
	return len(b) >= 3 && b[0]&0x80 != 0 && b[2] == 1 &&
		(len(b) < 4 || b[3] == 0 || b[3] == 3)
}

// ssl2Hello reads the record and the message, which are the same in SSL 2.0.
func (r *reader) ssl2Hello(b []byte) {
	length := be16(b) & 0x7fff
	body := b[2:min(len(b), 2+length)]
	rec := Record{Type: ContentHandshake, Version: SSL20, Length: length, Have: len(body)}
	r.Records = append(r.Records, rec)
	r.Parsed = 2 + len(body)
	r.Truncated = rec.Truncated()
	m := Message{
		Offset: 2, End: r.Parsed, Content: ContentHandshake, Type: TypeClientHello, Version: SSL20,
		Length: max(length-1, 0), Fragments: 1, Truncated: rec.Truncated(),
	}
	if len(body) > 0 {
		m.Raw = body[1:]
	}
	src := &source{stream: r.Stream, parts: []part{{0, 3}}, cut: m.Truncated}
	m.Body = readSSL2Hello(&cursor{rest: m.Raw, src: src})
	r.add(m)
}

func readSSL2Hello(c *cursor) *ClientHello {
	h := &ClientHello{SSL2: true, Partial: c.src.cut}
	version, _ := c.uint(2, "client version")
	h.LegacyVersion = Version(version)
	suites, _ := c.uint(2, "cipher spec length")
	id, _ := c.uint(2, "session id length")
	challenge, _ := c.uint(2, "challenge length")
	list, _ := c.bytes(suites, "cipher specs")
	for ; len(list) >= 3; list = list[3:] {
		if kind := be24(list); kind > 0xffff {
			h.SSL2Suites = append(h.SSL2Suites, SSL2Suite(kind))
		} else {
			h.Suites = append(h.Suites, Suite(kind))
		}
	}
	if len(list) > 0 && !c.src.cut {
		c.flaw("%d bytes of cipher specs that are no whole one", len(list))
	}
	h.SessionID, _ = c.bytes(id, "session id")
	h.Random, _ = c.bytes(challenge, "challenge")
	c.end("CLIENT-HELLO")
	return h
}
