package proxy

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"mpproxy/rules"
	"mpproxy/traffic"
)

const (
	// maxHeaderPart is how far a rule may wait for a message's XML header.
	maxHeaderPart = 64 << 10
	// maxText is the largest body that a rule may read whole.
	maxText = 16 << 20
)

// outgoing is how a message goes on after the rules were asked.
type outgoing struct {
	// head is how many bytes at the front of the inbox are the head, to be
	// sent as they are.
	head int
	// ready is written first, before anything is taken from the inbox.
	ready []byte
	// swallowed is true when ready is the whole message.
	swallowed bool
}

// consult asks the rules about a message whose head is at the front of the
// inbox. With no rule that could match, nothing is read and nothing copied.
func (r *relay) consult(ctx context.Context, f *flight, d traffic.Dir, from *link, head traffic.Head, fr *framer) (outgoing, error) {
	passed := r.passedOn(d, head)
	set := r.c.s.Rules()
	q := rules.Question{
		Dir: d, Conn: &r.c.facts, Exchange: &f.Exchange, Head: head, Framing: fr.kind, Request: f.message,
	}
	need := set.Need(q)
	if need == rules.Nothing && passed == nil {
		return outgoing{head: len(head.Raw)}, nil
	}
	f.received(d, head.Raw)
	from.in.drop(len(head.Raw))
	if need > rules.HeadOnly {
		release, err := r.c.s.room(ctx, fr)
		if err != nil {
			return outgoing{}, err
		}
		defer release()
		q.Body, q.Complete = r.gather(f, d, from, fr, need)
		if need == rules.Whole && !q.Complete && len(q.Body) >= maxText {
			f.find(foundAt(&ruleTooLarge, d, 0, "body of more than 16 MiB"))
		}
	}
	q.Complete = q.Complete || fr.kind == traffic.NoBody
	v := set.Decide(q)
	if err := r.obey(ctx, f, d, v); err != nil {
		return outgoing{}, err
	}
	return r.written(f, d, q, passed, v), nil
}

// obey notes what the rules did, and does what takes time.
func (r *relay) obey(ctx context.Context, f *flight, d traffic.Dir, v rules.Verdict) error {
	ruleNames, tags, fate := &f.requestRules, &f.requestTags, &f.requestFate
	if d == traffic.Reply {
		ruleNames, tags, fate = &f.replyRules, &f.replyTags, &f.replyFate
	} else {
		f.message = v.Message
	}
	*ruleNames, *tags = v.Rules, v.Tags
	for _, x := range v.Findings {
		f.find(x)
	}
	if v.Delay > 0 {
		select {
		case <-time.After(v.Delay):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if v.Drop {
		*fate = traffic.Dropped
		return errDropped
	}
	return nil
}

// written puts together what to send in place of, or as, what was taken from
// the inbox.
func (r *relay) written(f *flight, d traffic.Dir, q rules.Question, passed []byte, v rules.Verdict) outgoing {
	head, body, framing := q.Head, q.Body, q.Framing
	newHead := v.Head
	if newHead == nil {
		newHead = passed
	}
	switch {
	case v.BodyChanged:
		f.sent(d, newHead)
		f.sent(d, v.Body)
		w := f.forwarded(d)
		w.Head, w.Framing, w.Whole = traffic.ParseHead(newHead), framing, true
		return outgoing{ready: append(append([]byte(nil), newHead...), v.Body...), swallowed: true}
	case newHead != nil:
		w := f.forwarded(d)
		w.SameBody = true
		f.sent(d, newHead)
		w.Head = traffic.ParseHead(newHead)
	default:
		newHead = head.Raw
	}
	return outgoing{ready: append(append([]byte(nil), newHead...), body...), swallowed: q.Complete}
}

// gather takes as much of a body from the inbox as need asks for. It says
// whether that was all of it.
func (r *relay) gather(f *flight, d traffic.Dir, from *link, fr *framer, need rules.Need) (body []byte, complete bool) {
	limit := maxText
	if need == rules.Header {
		limit = maxHeaderPart
	}
	if d == traffic.Request {
		r.continueItself(f)
	}
	for len(body) < limit {
		b := from.in.bytes()
		n, done, err := fr.take(b[:min(len(b), limit-len(body))])
		body = append(body, b[:n]...)
		f.received(d, b[:n])
		from.in.drop(n)
		if done {
			return body, true
		}
		if err != nil || need == rules.Header && rules.HasHeader(body) {
			return body, false
		}
		if len(from.in.bytes()) > 0 {
			continue
		}
		if err := from.in.more(); err != nil {
			return body, fr.kind == traffic.UntilEnd && errors.Is(err, io.EOF)
		}
	}
	return body, false
}

// continueItself asks for a body that the agent holds back until it is told to
// go on; the management point cannot be asked before the rules have read it.
func (r *relay) continueItself(f *flight) {
	if !strings.EqualFold(f.Request.Head.Get("Expect"), "100-continue") || len(r.agent.in.bytes()) > 0 {
		return
	}
	f.continued = true
	_ = r.write(r.agent, traffic.Reply, []byte("HTTP/1.1 100 Continue\r\n\r\n")) // gather sees it fail
}

// room reserves memory for a body that has to be read whole.
func (s *Server) room(ctx context.Context, fr *framer) (release func(), err error) {
	n := int64(maxText)
	if fr.kind == traffic.ByLength {
		n = min(n, fr.left)
	}
	if err := s.memory.Acquire(ctx, n); err != nil {
		return nil, err
	}
	return func() { s.memory.Release(n) }, nil
}

// passedOn is the head without what is meant for the proxy alone, or nil when
// nothing is.
func (r *relay) passedOn(d traffic.Dir, head traffic.Head) []byte {
	if d != traffic.Request || len(r.c.l.Users) == 0 {
		return nil
	}
	var out []byte
	at := 0
	for _, f := range head.Fields {
		if strings.EqualFold(f.Name, "Proxy-Authorization") {
			out = append(out, head.Raw[at:f.Offset]...)
			at = f.End
		}
	}
	if at == 0 {
		return nil
	}
	return append(out, head.Raw[at:]...)
}
