package traffic

import "time"

// ConnID numbers accepted connections within one capture, from 1.
type ConnID int64

// Side is one end of the proxy.
type Side uint8

// The sides of a connection.
const (
	NoLeg Side = iota
	AgentSide
	UpstreamSide
)

// String is the side as views and columns name it.
func (s Side) String() string {
	switch s {
	case AgentSide:
		return "agent"
	case UpstreamSide:
		return "upstream"
	}
	return ""
}

// Conn is an accepted connection. It belongs to its goroutine in proxy until
// ConnClosed gives it away.
type Conn struct {
	ID ConnID
	// Listener is the listener's address with its scheme, as in --listen.
	Listener string
	// Mode is how the agent got here: "reverse" or "forward".
	Mode string
	// Agent is the agent's address, host and port.
	Agent string
	// Upstream is the management point's name or address and port, once known.
	Upstream       string
	Opened, Closed time.Time
	AgentLeg       Leg
	UpstreamLeg    Leg
	// Findings are about the connection as a whole.
	Findings []Finding
}

// End says how a leg came to its end.
type End string

// The ends of a leg.
const (
	EndOpen    End = ""        // still open
	EndFIN     End = "fin"     // the peer closed in order
	EndReset   End = "reset"   // the peer reset the connection
	EndTimeout End = "timeout" // nothing came for too long
	EndAlert   End = "alert"   // a fatal TLS alert
	EndProxy   End = "proxy"   // mpproxy closed it, as the other leg had ended
	EndRefused End = "refused" // never came up: refused, name unknown, no route
)

// Leg is one side of a connection: what carried it and how it ended.
type Leg struct {
	// Address is the peer's address; for the upstream the one that was dialled.
	Address string
	// BytesIn came from the peer, BytesOut went to it; below TLS.
	BytesIn, BytesOut int64
	// Handshake is nil on a leg without TLS. In events other than
	// HandshakeOver it lacks the raw bytes and all certificates but the peer's
	// own: the connection does not hold them for its lifetime.
	Handshake *Handshake
	End       End
	// EndedAt is when End was seen. Zero while open.
	EndedAt time.Time
	// Err is the error that ended the leg, in words; empty after an orderly end.
	Err string
}

// HandshakeLimit is how many bytes of each direction a Handshake keeps. A
// chain of ten RSA certificates fits.
const HandshakeLimit = 32 << 10

// Handshake is the evidence of one TLS handshake: enough to judge it later.
type Handshake struct {
	Side         Side
	Began, Ended time.Time
	// In are the first raw bytes from the peer, Out the first ones to it, each
	// up to HandshakeLimit, from the beginning of the connection.
	In, Out []byte
	// Err is what crypto/tls said; empty when the handshake succeeded.
	Err string
	// TLS is nil when the handshake failed, and when it was passed through
	// unopened: then Err is empty, In is what the agent sent and Out what the
	// management point did.
	TLS *TLSInfo
}

// TLSInfo is what a handshake agreed on.
type TLSInfo struct {
	// Version and Suite are the numbers of the protocol (0x0303 is TLS 1.2).
	Version, Suite uint16
	// VersionName and SuiteName are the same in words.
	VersionName, SuiteName string
	ServerName, ALPN       string
	Resumed                bool
	// ClientCertAsked is true when a client certificate was asked for.
	ClientCertAsked bool
	// PeerCertificates are the peer's, DER, leaf first; ours are in
	// OwnCertificates (what the proxy showed, or sent as a client).
	PeerCertificates, OwnCertificates [][]byte
}
