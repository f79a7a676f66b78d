package tlsrecord

// Range is how many bytes something can have.
type Range struct{ Min, Max int }

// Guess is what an encrypted message is, by its place and size.
type Guess uint8

// The guesses. Those that begin with Maybe rest on the size alone; the others
// are certain in a connection that keeps to the protocol.
const (
	NoGuess Guess = iota
	// SealedFinished is the first handshake message after a ChangeCipherSpec.
	SealedFinished
	// SealedHelloRequest asks the client to renegotiate: a handshake message
	// without content, after the server's Finished.
	SealedHelloRequest
	// SealedHandshake is a message of a renegotiation: handshake after Finished.
	SealedHandshake
	// SealedAlert is an alert; which one cannot be seen.
	SealedAlert
	// SealedChange is the ChangeCipherSpec of a renegotiation.
	SealedChange
	// SealedData is application data, up to TLS 1.2.
	SealedData
	// MaybeAlert has in TLS 1.3 the two bytes that alerts have.
	MaybeAlert
	// MaybeFinished has in TLS 1.3 the size of the client's Finished.
	MaybeFinished
	// MaybeNoCertificate has in TLS 1.3 the size of a client's Certificate
	// without any.
	MaybeNoCertificate
)

var guesses = [...]string{
	NoGuess:            "",
	SealedFinished:     "Finished",
	SealedHelloRequest: "HelloRequest",
	SealedHandshake:    "handshake",
	SealedAlert:        "alert",
	SealedChange:       "ChangeCipherSpec",
	SealedData:         "application data",
	MaybeAlert:         "alert, by its size",
	MaybeFinished:      "Finished, by its size",
	MaybeNoCertificate: "Certificate without any, by its size",
}

// String is the guess in words; empty for none.
func (g Guess) String() string { return guesses[g] }

// Certain is false for a guess by size alone.
func (g Guess) Certain() bool { return g > NoGuess && g < MaybeAlert }

// weighEncrypted says of each encrypted message what size it hides and what it
// must be.
func (t *Transcript) weighEncrypted() {
	var outer seal
	version := t.Version()
	if suite, ok := t.Suite(); ok {
		outer = sealOf(suite, version, t.ServerHello().Has(ExtEncryptThenMAC))
	}
	for _, s := range []*Stream{&t.Client, &t.Server} {
		for i := range s.Messages {
			if m := &s.Messages[i]; m.Encrypted {
				m.Plain = outer.plain(m.Length)
			}
		}
		if version >= TLS13 {
			s.guess13(outer)
		} else {
			s.guess12()
		}
	}
}

// serverHelloMin is the least that a ServerHello has, in bytes, and far more
// than a HelloRequest.
const serverHelloMin = 42

// guess12 goes by the outer record type, which stays readable before TLS 1.3.
// It is used for an unknown version too, and so waits for an encrypted handshake
// record, which TLS 1.3 has not, before it takes anything for data.
func (s *Stream) guess12() {
	changed, finished, before13 := false, false, false
	for i := range s.Messages {
		m := &s.Messages[i]
		switch m.Content {
		case ContentChangeCipherSpec:
			changed, finished = true, false
			if m.Encrypted {
				m.Guess = SealedChange
			}
		case ContentHandshake:
			if m.Encrypted {
				m.Guess = s.guessHandshake(m, changed && !finished)
				finished, before13 = true, true
			}
		case ContentAlert:
			if m.Encrypted {
				m.Guess = SealedAlert
			}
		case ContentApplicationData:
			if before13 {
				m.Guess = SealedData
			}
		}
	}
}

func (s *Stream) guessHandshake(m *Message, first bool) Guess {
	switch {
	case first:
		return SealedFinished
	case s.From == Server && m.Plain.Max < serverHelloMin && m.Plain.Min <= handshakeHeader:
		return SealedHelloRequest
	}
	return SealedHandshake
}

// The sizes of TLS 1.3 messages with their header: what has a size of its own.
const (
	alertSize         = 2
	noCertificateSize = handshakeHeader + 4 // an empty context, an empty list
)

// javaPadding is what Java puts behind every handshake message and alert of TLS
// 1.3. Nobody else is known to pad these.
const javaPadding = 16

// hides is true for content that may be so many bytes.
func hides(content, size int) bool { return content == size || content == size+javaPadding }

// guess13 has only sizes to go by.
func (s *Stream) guess13(outer seal) {
	finished := false
	for i := range s.Messages {
		m := &s.Messages[i]
		finished = finished || m.Opened && m.Is(TypeFinished)
		if !m.Encrypted || m.Truncated {
			continue
		}
		switch size := m.Plain.Max; {
		case hides(size, alertSize):
			m.Guess = MaybeAlert
		case s.From == Server || finished:
		case hides(size, noCertificateSize):
			m.Guess = MaybeNoCertificate
		case hides(size, handshakeHeader+outer.hash):
			m.Guess, finished = MaybeFinished, true
		}
	}
}
