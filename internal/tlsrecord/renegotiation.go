package tlsrecord

// Renegotiation is a second handshake inside of a connection, as far as its
// encrypted records show it (up to TLS 1.2).
type Renegotiation struct {
	// By is who wanted it: the server with a HelloRequest, or the client with a
	// ClientHello unasked. Offset is where in that side's stream.
	By     Side
	Offset int
	// Answered is true when the client sent a handshake after its Finished.
	Answered bool
	// Completed is true when both sides sent a second ChangeCipherSpec.
	Completed bool
	// ClientBytes is what the client sent for it, ServerBytes what the server
	// sent behind its HelloRequest, in bytes of ciphertext: a client's flight
	// with a certificate is larger by more than a kilobyte.
	ClientBytes, ServerBytes int
}

// Renegotiation finds the first renegotiation; nil when there is none.
func (t *Transcript) Renegotiation() *Renegotiation {
	server, client := t.Server.secondHandshake(), t.Client.secondHandshake()
	if client != nil && client.Is(TypeClientHello) && t.mayBeRetried(client) {
		client = nil
	}
	if server == nil && client == nil {
		return nil
	}
	r := &Renegotiation{
		Answered:    client != nil,
		Completed:   t.Client.changes() > 1 && t.Server.changes() > 1,
		ClientBytes: t.Client.sealedHandshake(),
		ServerBytes: t.Server.sealedHandshake(),
	}
	if server != nil && (client == nil || server.Guess == SealedHelloRequest || server.Is(TypeHelloRequest)) {
		r.By, r.Offset = Server, server.Offset
	} else {
		r.By, r.Offset = Client, client.Offset
	}
	return r
}

// mayBeRetried is true for a second ClientHello in clear that a
// HelloRetryRequest asked for, or may have.
func (t *Transcript) mayBeRetried(second *Message) bool {
	h, ok := second.Body.(*ClientHello)
	return t.Retry() != nil || t.Server.Size == 0 && ok && h.Offers(TLS13)
}

// secondHandshake is the first message of another handshake.
func (s *Stream) secondHandshake() *Message {
	hello := false
	for i := range s.Messages {
		m := &s.Messages[i]
		switch {
		case m.Guess == SealedHelloRequest, m.Guess == SealedHandshake, m.Is(TypeHelloRequest), hello && m.Is(TypeClientHello):
			return m
		case m.Is(TypeClientHello):
			hello = true
		}
	}
	return nil
}

func (s *Stream) changes() int {
	n := 0
	for i := range s.Messages {
		if s.Messages[i].Content == ContentChangeCipherSpec {
			n++
		}
	}
	return n
}

func (s *Stream) sealedHandshake() int {
	n := 0
	for i := range s.Messages {
		if s.Messages[i].Guess == SealedHandshake {
			n += s.Messages[i].Length
		}
	}
	return n
}
