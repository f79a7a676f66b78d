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
	// What crypto/tls said comes before what the socket did.
	Err string
	// After is what TLS did after the handshake; nil without TLS, while the
	// leg is open, and when there is nothing to tell.
	After *Afterwards
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
	// InMarks and OutMarks say when they passed.
	InMarks, OutMarks Marks
	// OpenedIn and OpenedOut are the encrypted records of In and Out as mpproxy
	// could read them, where a handshake of TLS 1.3 failed; nil for others. The
	// form is that of tlsrecord.Secrets.Open. The secrets themselves are not kept.
	OpenedIn, OpenedOut []byte
	// Err is what crypto/tls said; empty when the handshake succeeded.
	Err string
	// PassedThrough is true for TLS that mpproxy did not open: then In is what
	// the agent sent, Out what the management point did, and nothing below is
	// known.
	PassedThrough bool
	// TLS is what was agreed on; nil when the handshake failed.
	TLS *TLSInfo
	// PeerCertificates are those that the peer showed, DER, leaf first; those
	// that mpproxy showed are in OwnCertificates. Both are known of a failed
	// handshake too, as far as it came and as crypto/tls could read them.
	PeerCertificates, OwnCertificates [][]byte
	// ClientCertAsked is true when a client certificate was asked for.
	ClientCertAsked bool
	// Asked is how the management point asked for it; nil on an agent's leg,
	// and when it did not.
	Asked *CertificateAsked
}

// Bytes are what the TLS client and the TLS server sent, and what of each was
// opened, as tlsrecord.ParseOpened takes them.
func (h *Handshake) Bytes() (client, server, openedClient, openedServer []byte) {
	if h.Side == UpstreamSide {
		return h.Out, h.In, h.OpenedOut, h.OpenedIn
	}
	return h.In, h.Out, h.OpenedIn, h.OpenedOut
}

// Passed is when the byte before an offset of what the TLS client or the TLS
// server sent had passed, since the handshake began; 0 when no time is known.
func (h *Handshake) Passed(fromClient bool, offset int) time.Duration {
	if fromClient == (h.Side == AgentSide) {
		return h.InMarks.At(offset)
	}
	return h.OutMarks.At(offset)
}

// TLSInfo is what a handshake agreed on.
type TLSInfo struct {
	// Version and Suite are the numbers of the protocol (0x0303 is TLS 1.2).
	Version, Suite uint16
	// VersionName and SuiteName are the same in words.
	VersionName, SuiteName string
	ServerName, ALPN       string
	Resumed                bool
}

// AuthoritiesLimit is how many bytes of authorities' names a CertificateAsked
// keeps in all. TLS itself allows no more in one list.
const AuthoritiesLimit = 64 << 10

// CertificateAsked is how a management point asked mpproxy for a client
// certificate, and what it was given.
type CertificateAsked struct {
	// Authorities are the names that the request gave, DER, not more than
	// AuthoritiesLimit bytes of them; Count and Size are of all of them.
	Authorities [][]byte `json:"authorities,omitempty"`
	Count       int      `json:"count"`
	Size        int      `json:"size"`
	// Identity is whose certificate was shown, and why that one, in words.
	Identity string `json:"identity,omitempty"`
	// Unsuited is why that certificate does not fit the request, by
	// crypto/tls; empty when it does.
	Unsuited string `json:"unsuited,omitempty"`
}

// Mark says that the bytes of a direction up to Offset had passed when After
// was over since the handshake began.
type Mark struct {
	Offset int
	After  time.Duration
}

// MarksLimit is how many marks a direction of a handshake has.
const MarksLimit = 64

// Marks are in order. The last one of a full list moves on with what comes.
type Marks []Mark

// Add notes that bytes passed up to an offset.
func (m *Marks) Add(offset int, after time.Duration) {
	if len(*m) == MarksLimit {
		(*m)[MarksLimit-1] = Mark{offset, after}
		return
	}
	*m = append(*m, Mark{offset, after})
}

// At is when the byte before an offset passed; 0 without marks.
func (m Marks) At(offset int) time.Duration {
	for _, mark := range m {
		if mark.Offset >= offset {
			return mark.After
		}
	}
	if len(m) == 0 {
		return 0
	}
	return m[len(m)-1].After
}

// Record is one TLS record as its header tells it.
type Record struct {
	// Type is the content type: 21 is an alert, 22 a handshake message.
	Type uint8 `json:"type"`
	// Length is of what the record carries, encrypted, in bytes.
	Length int `json:"length"`
	// At is when it passed, microseconds since 1970.
	At int64 `json:"at_us"`
}

// RecordsLimit is how many records a direction of Afterwards has.
const RecordsLimit = 32

// Afterwards is what TLS did on a leg once its first handshake was over.
type Afterwards struct {
	// In and Out are the records that carry no application data, the first
	// RecordsLimit of each direction. TLS 1.3 shows none: it hides the type.
	In  []Record `json:"in,omitempty"`
	Out []Record `json:"out,omitempty"`
	// LastIn and LastOut are the lengths of the last records, whatever they
	// carry.
	LastIn  int `json:"last_in,omitempty"`
	LastOut int `json:"last_out,omitempty"`
	// Again is how the management point asked for a client certificate by
	// renegotiation, the last time; AskedAt when, microseconds since 1970.
	Again   *CertificateAsked `json:"again,omitempty"`
	AskedAt int64             `json:"asked_us,omitempty"`
	// Shown is the certificate that it was then given, DER; nil for none.
	Shown []byte `json:"shown,omitempty"`
	// WriteErr is the error of the first write to the peer that failed.
	WriteErr string `json:"write_err,omitempty"`
}
