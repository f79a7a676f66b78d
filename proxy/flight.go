package proxy

import (
	"bytes"
	"slices"
	"sync/atomic"

	"mpproxy/decode"
	"mpproxy/traffic"
)

// flight is an exchange on its way. The goroutine that reads the agent owns
// its request half, the one that reads the management point its reply half;
// whoever is through last gives it to the Sink.
type flight struct {
	traffic.Exchange
	sink   Sink
	method string
	// halves is how many of request and reply are still under way.
	halves atomic.Int32
	// sealed is true when nothing of it is to be read as HTTP.
	sealed bool

	// requestFate and replyFate are what a half knows early; empty: nothing.
	requestFate, replyFate traffic.Fate

	requestFindings, replyFindings []traffic.Finding
	requestRules, replyRules       []string
	requestTags, replyTags         []string
	requestErr, replyErr           string

	// mayUpgrade is true when the reply may turn the connection into a
	// tunnel; upgraded then tells the request half what became of it.
	mayUpgrade bool
	upgraded   chan bool
	// continued is true when mpproxy has said "100 Continue" itself, so that
	// the management point's must not reach the agent.
	continued bool
	// message is the decoded request, when a rule asked for it.
	message *decode.Message
}

func (f *flight) wire(d traffic.Dir) *traffic.Wire {
	if d == traffic.Request {
		return &f.Request
	}
	return &f.Reply
}

// received records bytes as they came from a peer.
func (f *flight) received(d traffic.Dir, b []byte) {
	w := f.wire(d)
	f.chunk(d, false, w.Size, b)
	w.Size += int64(len(b))
}

// sent records bytes that mpproxy wrote in place of those received.
func (f *flight) sent(d traffic.Dir, b []byte) {
	w := f.forwarded(d)
	f.chunk(d, true, w.Size, b)
	w.Size += int64(len(b))
}

func (f *flight) forwarded(d traffic.Dir) *traffic.Wire {
	w := &f.Sent
	if d == traffic.Reply {
		w = &f.Returned
	}
	if *w == nil {
		*w = &traffic.Wire{}
	}
	return *w
}

func (f *flight) chunk(d traffic.Dir, forwarded bool, at int64, b []byte) {
	if _, none := f.sink.(Discard); none || len(b) == 0 {
		return
	}
	f.sink.Take(traffic.Chunk{Exchange: f.ID, Dir: d, Forwarded: forwarded, Offset: at, Data: bytes.Clone(b)})
}

// find notes a finding in the half of its direction.
func (f *flight) find(x traffic.Finding) {
	if x.Dir == traffic.Reply {
		f.replyFindings = append(f.replyFindings, x)
		return
	}
	f.requestFindings = append(f.requestFindings, x)
}

func (f *flight) findOdd(d traffic.Dir, h traffic.Head, at int64) {
	for _, o := range h.Odd {
		f.find(foundAt(&oddHead, d, at+int64(o.Offset), o.What))
	}
}

// settle puts both halves together, once both are through.
func (f *flight) settle() *traffic.Exchange {
	x := &f.Exchange
	x.Findings = slices.Concat(x.Findings, f.requestFindings, f.replyFindings)
	x.Rules = slices.Concat(f.requestRules, f.replyRules)
	x.Tags = slices.Concat(f.requestTags, f.replyTags)
	x.Err = f.requestErr
	if x.Err == "" {
		x.Err = f.replyErr
	}
	for _, w := range []struct{ received, forwarded *traffic.Wire }{{&x.Request, x.Sent}, {&x.Reply, x.Returned}} {
		if w.forwarded != nil && w.forwarded.SameBody {
			w.forwarded.Size += w.received.Size - w.received.Interim - int64(len(w.received.Head.Raw))
			w.forwarded.Framing, w.forwarded.Whole = w.received.Framing, w.received.Whole
		}
	}
	switch {
	case x.Fate != traffic.InFlight:
	case f.replyFate != "":
		x.Fate = f.replyFate
	case f.requestFate != "":
		x.Fate = f.requestFate
	case !x.Request.Whole || !x.Reply.Whole:
		x.Fate = traffic.Broken
	case len(x.Rules) > 0 && (x.Sent != nil || x.Returned != nil):
		x.Fate = traffic.Modified
	default:
		x.Fate = traffic.Passed
	}
	return x
}
