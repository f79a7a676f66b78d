package traffic

import "time"

// ExchangeID numbers exchanges within one capture, from 1, in the order in
// which their first byte came.
type ExchangeID int64

// Dir is a direction: what the agent sent, or what came back.
type Dir uint8

// The directions.
const (
	Both Dir = iota
	Request
	Reply
)

// String is the direction as views and filters name it.
func (d Dir) String() string {
	switch d {
	case Request:
		return "request"
	case Reply:
		return "reply"
	}
	return ""
}

// Fate is what became of an exchange.
type Fate string

// The fates.
const (
	InFlight Fate = "open"     // not over yet
	Passed   Fate = "passed"   // answered, forwarded unchanged
	Modified Fate = "modified" // a rule or a hand changed it
	Answered Fate = "answered" // mpproxy answered itself (502, a rule)
	Dropped  Fate = "dropped"  // a rule dropped it
	Broken   Fate = "broken"   // a side went away before the end
	Tunneled Fate = "tunnel"   // bytes without HTTP, passed both ways
)

// Framing says how a body's end is known.
type Framing uint8

// The framings of RFC 9112, 6.3.
const (
	NoBody    Framing = iota // by method, status, or Content-Length 0
	ByLength                 // Content-Length
	Chunked                  // Transfer-Encoding: chunked
	UntilEnd                 // a reply that ends with its connection
	NoFraming                // a tunnel: bytes until both sides are done
)

// Wire is one HTTP message as it crossed a leg. The bytes themselves go to the
// Sink in Chunk events while they pass; Wire says what they were.
type Wire struct {
	// Head is the final head; Interim the length in bytes of the 1xx heads
	// that came before it on the same wire.
	Head    Head
	Interim int64
	// Size is every byte of the message: interim heads, head, body with its
	// chunk framing, trailer.
	Size    int64
	Framing Framing
	// Whole is true when the end of the message was seen.
	Whole bool
	// SameBody is for a forwarded message whose head alone differs from the
	// received one: its body is not kept twice, so its Chunks hold the head
	// and the rest is read from the received message.
	SameBody bool
}

// Exchange is one request and what came back. Its connection's goroutine fills
// it; once given to the Sink as ExchangeOver nobody changes it.
type Exchange struct {
	ID   ExchangeID
	Conn ConnID
	// Begun is when the request's first byte came, Replied when the reply's
	// did (zero: never), Ended when both were through.
	Begun, Replied, Ended time.Time
	// TLS is true when the agent's leg is encrypted.
	TLS bool
	// Request and Reply are as received from agent and management point.
	Request, Reply Wire
	// Sent and Returned are what went on instead, nil when it was the same
	// bytes: the request as the management point got it, and the reply as the
	// agent got it.
	Sent, Returned *Wire
	Fate           Fate
	// Origin is "agent", or "proxy" for what mpproxy sends itself.
	Origin string
	// Rules are the names of the rules that acted, in order; Tags what they
	// attached.
	Rules, Tags []string
	// Findings are the proxy's own: framing, upstream, rules. Those about the
	// message's meaning are computed from the bytes.
	Findings []Finding
	// Err says in words why the exchange broke off; empty when it did not.
	Err string
}
