package rules

import (
	"time"

	"mpproxy/decode"
	"mpproxy/traffic"
)

// Need is how much of a message a Set wants to see before it can decide.
type Need uint8

// The needs, from least to most.
const (
	// Nothing: no rule can concern this message, so it streams.
	Nothing Need = iota
	// HeadOnly: the HTTP head is enough, the body streams.
	HeadOnly
	// Header: the message's XML header, the first part, has to be there.
	Header
	// Whole: the whole body has to be there.
	Whole
)

// Question is one message, as far as it has come.
type Question struct {
	Dir traffic.Dir
	// Conn and Exchange are what is known so far; read only.
	Conn     *traffic.Conn
	Exchange *traffic.Exchange
	// Head is the message's own head, and Body what Need asked for: the body
	// as it stood on the wire.
	Head    traffic.Head
	Body    []byte
	Framing traffic.Framing
	// Complete is true when Body is the whole body.
	Complete bool
	// Request is the decoded request, for replies; nil when it was not decoded.
	Request *decode.Message
}

// Verdict is what to do with a message.
type Verdict struct {
	// Drop ends the connection in place of sending the message.
	Drop bool
	// Delay holds the message back before it goes on.
	Delay time.Duration
	// Head is the new head, nil to send the one that came.
	Head []byte
	// Body is the new body when BodyChanged; it is framed by Content-Length,
	// which Head then names.
	Body        []byte
	BodyChanged bool
	// Message is the decoded message, when it was decoded.
	Message *decode.Message
	// Rules names the rules that acted, Tags what they attached, Findings what
	// came of it.
	Rules, Tags []string
	Findings    []traffic.Finding
}

// Changed says whether other bytes are to be sent than came.
func (v Verdict) Changed() bool { return v.Head != nil || v.BodyChanged }

// Need says how much of a message the set wants to see. A nil set wants
// nothing.
func (s *Set) Need(q Question) Need { return Nothing }

// Decide says what to do with a message.
func (s *Set) Decide(q Question) Verdict { return Verdict{} }

// HasHeader says whether a body's first part is there whole.
func HasHeader(body []byte) bool { return false }

// Set is an ordered list of rules. A nil Set passes all.
type Set struct{}
