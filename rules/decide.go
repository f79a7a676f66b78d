package rules

import (
	"bytes"
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
	// Body is the new body when BodyChanged, framed as the one that came: in
	// chunks, or by the Content-Length that Head then names.
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

// Set is an ordered list of rules. A nil Set passes all; a Set is never
// changed, a reload makes a new one.
type Set struct{ Rules []*Rule }

// Need says how much of a message the set wants to see before Decide. It costs
// nothing when no rule can concern the message.
func (s *Set) Need(q Question) Need {
	need := Nothing
	if s == nil {
		return need
	}
	subject := &subject{q: q, level: HeadOnly}
	for _, r := range s.Rules {
		if n := r.need(subject); n > need {
			need = n
		}
	}
	if need > HeadOnly && q.Framing == traffic.NoBody {
		return HeadOnly
	}
	return need
}

// Decide says what to do with a message. Filters see the message as it came;
// actions apply in order, each to what the ones before it left.
func (s *Set) Decide(q Question) Verdict {
	var v Verdict
	if s == nil {
		return v
	}
	e := &edit{q: q, head: q.Head, verdict: &v}
	subject := &subject{q: q, level: Whole, message: e.decoded}
	for _, r := range s.Rules {
		if r.Off || r.dir() != q.Dir || !r.When.Match(subject) {
			continue
		}
		v.Rules = append(v.Rules, r.Name)
		for _, a := range r.Do {
			a.apply(e, r)
		}
		subject.ruled, subject.tags = v.Rules, v.Tags
	}
	e.finish()
	v.Message = e.message
	if v.Message == nil && s.watches(q) {
		v.Message = e.decoded(decode.Summary)
	}
	return v
}

// watches is true when a rule about replies will ask about this request.
func (s *Set) watches(q Question) bool {
	if q.Dir != traffic.Request {
		return false
	}
	for _, r := range s.Rules {
		if !r.Off && r.dir() == traffic.Reply && r.asks > HeadOnly {
			return true
		}
	}
	return false
}

// HasHeader says whether a message's first part is there whole: the second
// boundary has come.
func HasHeader(body []byte) bool {
	line, rest, found := bytes.Cut(body, []byte("\r\n"))
	return found && len(line) > 2 && bytes.Contains(rest, line)
}
