package tlsrecord

// Stage is how far a handshake came.
type Stage uint8

// The stages, in their order.
const (
	// StageNothing: no message of a handshake.
	StageNothing Stage = iota
	// StageClientHello: the client began, the server has not answered.
	StageClientHello
	// StageRetry: the server asked for another ClientHello.
	StageRetry
	// StageServerHello: the server chose, and has more to say.
	StageServerHello
	// StageServerDone: it is the client's turn. In TLS 1.3 the server has sent
	// something encrypted, which may or may not be all of its flight.
	StageServerDone
	// StageClientAnswer: the client answered, without its Finished.
	StageClientAnswer
	// StageClientFinished: the client's Finished is there. In TLS 1.3, where the
	// server finishes first, this ends the handshake; it is told by size.
	StageClientFinished
	// StageFinished: both Finished are there.
	StageFinished
	// StageData: the client sent application data. A resumed TLS 1.3 handshake
	// with early data counts once it is finished.
	StageData
)

var stages = [...]string{
	StageNothing:        "no handshake",
	StageClientHello:    "after the ClientHello",
	StageRetry:          "after the HelloRetryRequest",
	StageServerHello:    "after the ServerHello",
	StageServerDone:     "after the server's messages",
	StageClientAnswer:   "after the client's answer",
	StageClientFinished: "after the client's Finished",
	StageFinished:       "after both Finished",
	StageData:           "with application data",
}

// String is the stage in words.
func (s Stage) String() string { return stages[s] }

// Stage is the furthest that the messages show. Alerts do not count.
func (t *Transcript) Stage() Stage {
	stage := StageNothing
	if t.ClientHello() != nil {
		stage = StageClientHello
	}
	if t.Retry() != nil {
		stage = StageRetry
	}
	if t.ServerHello() == nil {
		return stage
	}
	if t.Version() >= TLS13 {
		return t.stage13()
	}
	return t.stage12()
}

func (t *Transcript) stage12() Stage {
	serverFinished := t.Server.hasGuess(SealedFinished)
	switch {
	case t.Client.hasGuess(SealedData):
		return StageData
	case serverFinished && t.Client.hasGuess(SealedFinished):
		return StageFinished
	case t.Client.hasGuess(SealedFinished):
		return StageClientFinished
	case t.Client.changes() > 0, t.Client.said(TypeClientKeyExchange), t.Client.said(TypeCertificate):
		return StageClientAnswer
	case serverFinished, t.Server.said(TypeServerHelloDone):
		return StageServerDone
	}
	return StageServerHello
}

// stage13 reads the client's encrypted messages: the Finished is known by its
// size, and what follows it is data unless it is an alert.
func (t *Transcript) stage13() Stage {
	stage := StageServerHello
	if t.Server.sealed() || t.Server.said(TypeFinished) {
		stage = StageServerDone
	}
	for i := range t.Client.Messages {
		switch m := &t.Client.Messages[i]; {
		case !m.Encrypted && !m.Opened, m.Guess == MaybeAlert, m.Content == ContentAlert:
		case m.Guess == MaybeFinished, m.Is(TypeFinished):
			stage = StageFinished
		case stage == StageFinished:
			return StageData
		default:
			stage = StageClientAnswer
		}
	}
	return stage
}

func (s *Stream) hasGuess(g Guess) bool {
	for i := range s.Messages {
		if s.Messages[i].Guess == g {
			return true
		}
	}
	return false
}

func (s *Stream) said(t HandshakeType) bool {
	for i := range s.Messages {
		if s.Messages[i].Is(t) {
			return true
		}
	}
	return false
}

func (s *Stream) sealed() bool {
	for i := range s.Messages {
		if s.Messages[i].Encrypted {
			return true
		}
	}
	return false
}
