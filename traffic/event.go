package traffic

import "time"

// Event is what a proxy tells its Sink, in the order in which it happened on
// one connection. It is one of the types of this file.
type Event interface{ event() }

// ConnOpened says that an agent's connection was accepted.
type ConnOpened struct{ Conn Conn }

// HandshakeOver says that TLS on one leg is agreed, or failed. Failed
// handshakes are rows in the capture like any other.
type HandshakeOver struct {
	Conn      ConnID
	Handshake *Handshake
}

// ExchangeBegun says that the head of a request has come. Only ID, Conn,
// Begun, TLS, Origin and Request.Head are set.
type ExchangeBegun struct{ Exchange Exchange }

// Chunk is a piece of a message's wire bytes while they pass: interim heads,
// head, body with its framing, trailer, without a gap. Data belongs to the
// receiver.
type Chunk struct {
	Exchange ExchangeID
	Dir      Dir
	// Forwarded is true for bytes that differ from what was received: what
	// mpproxy wrote instead.
	Forwarded bool
	// Offset is where Data begins in the message.
	Offset int64
	Data   []byte
}

// ExchangeOver says that an exchange has come to its end, good or bad.
type ExchangeOver struct{ Exchange *Exchange }

// ConnClosed says that both legs of a connection are closed. Every exchange of
// it was told before.
type ConnClosed struct{ Conn Conn }

// TLSPassed are bytes of TLS as they crossed a leg, encrypted, for who keeps
// them. Data belongs to the receiver.
type TLSPassed struct {
	Conn ConnID
	Side Side
	// In is true for what came from the peer.
	In   bool
	At   time.Time
	Data []byte
}

// TLSSecret is a secret of a leg's TLS, as a line of an NSS key log: who has it
// can read what TLSPassed has.
type TLSSecret struct {
	Conn ConnID
	Side Side
	Line string
}

// RevocationFetched says what a fetch of revocation evidence came to. It
// belongs to no connection.
type RevocationFetched struct{ Revocation Revocation }

func (ConnOpened) event()        {}
func (HandshakeOver) event()     {}
func (ExchangeBegun) event()     {}
func (Chunk) event()             {}
func (ExchangeOver) event()      {}
func (ConnClosed) event()        {}
func (TLSPassed) event()         {}
func (TLSSecret) event()         {}
func (RevocationFetched) event() {}
