package proxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mpproxy/traffic"
)

// maxOwed is how many pipelined requests may wait for their replies; further
// ones wait in the agent's socket.
const maxOwed = 64

var (
	// errOtherTarget ends a relay whose agent asks for another host; the head
	// of that request is still in the inbox.
	errOtherTarget = errors.New("request for another host")
	// errDropped ends a relay by a rule.
	errDropped = errors.New("dropped by a rule")
	// errUpstreamWrite says that the management point takes no more; what it
	// has to say may still come.
	errUpstreamWrite = errors.New("write to the management point")
	// errAgentWrite says that the agent takes no more.
	errAgentWrite = errors.New("write to the agent")
)

// link is one leg in use.
type link struct {
	conn net.Conn // the tap itself, or TLS above it
	tap  *tap
	// evidence is the tap right under TLS: tap itself, but in a CONNECT.
	evidence *tap
	in       inbox
}

func newLink(conn net.Conn, t *tap) *link {
	return &link{conn: conn, tap: t, evidence: t, in: inbox{src: conn}}
}

// newTLSLink is a leg with TLS above evidence, and above t in the end.
func newTLSLink(conn *tls.Conn, t, evidence *tap) *link {
	l := newLink(&tlsConn{Conn: conn, tap: t}, t)
	l.evidence = evidence
	return l
}

// tlsConn notes on its tap what crypto/tls says when it ends the leg.
type tlsConn struct {
	*tls.Conn
	tap *tap
}

func (c *tlsConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.tap.said(err)
	return n, err
}

func (c *tlsConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.tap.said(err)
	return n, err
}

// leg is the link's story as the capture keeps it.
func (l *link) leg() traffic.Leg {
	leg := l.tap.leg()
	leg.After = l.evidence.after()
	return leg
}

// closeWrite passes an orderly end on: close_notify, then FIN.
func (l *link) closeWrite() {
	if t, ok := l.conn.(*tlsConn); ok {
		_ = t.CloseWrite() // the peer may be gone already
	}
	_ = l.tap.CloseWrite()
}

// relay moves messages between one agent and one management point until a side
// ends: two goroutines, one for each direction, so that early answers, 100
// Continue and pipelining work as without a proxy.
type relay struct {
	c         *connection
	agent, up *link
	// owed has the requests whose replies are to come, in order.
	owed chan *flight
	// flying counts exchanges that are not over.
	flying sync.WaitGroup
	open   atomic.Int32
	// target says whether a request is for this management point; nil: all are.
	target func(traffic.Head) bool
	// sealed passes everything unopened, as one exchange that begins with this
	// CONNECT.
	sealed *traffic.Head
	// agentDone is set once no more requests will come.
	agentDone atomic.Bool
	// agentLeft is set when that was the agent's end, and nobody else's.
	agentLeft atomic.Bool
	// switching is set when only the management point's leg is to end, since
	// the agent goes on with another host.
	switching atomic.Bool
}

// run returns errOtherTarget when the agent wants another host, else nil.
func (r *relay) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		r.agent.tap.Close()
		r.up.tap.Close()
	})
	defer stop()
	r.c.setRelay(r)
	defer r.c.setRelay(nil)
	replies := make(chan struct{})
	go func() {
		defer close(replies)
		r.endReplies(r.replies(ctx))
	}()
	err := r.requests(ctx)
	r.agentDone.Store(true)
	close(r.owed)
	r.endRequests(err)
	<-replies
	if errors.Is(err, errOtherTarget) {
		return err
	}
	return nil
}

// endRequests passes the agent's end on to the management point.
func (r *relay) endRequests(err error) {
	switch {
	case errors.Is(err, errOtherTarget):
		r.flying.Wait()
		r.switching.Store(true)
		r.up.tap.Close()
	case errors.Is(err, io.EOF):
		r.agentLeft.Store(true)
		r.up.closeWrite()
		if r.open.Load() == 0 {
			r.limit(r.up)
		}
	case errors.Is(err, errUpstreamWrite):
		r.limit(r.up) // its last words may still come
	case isReset(err):
		r.agentLeft.Store(true)
		r.up.tap.reset()
	default:
		r.agent.tap.Close()
		r.up.tap.Close()
	}
}

// endReplies passes the management point's end on to the agent.
func (r *relay) endReplies(err error) {
	// Asked before the end is passed on, which an agent may answer with its own.
	left := r.agentLeft.Load()
	switch {
	case r.switching.Load():
	case errors.Is(err, errDropped):
		r.agent.tap.Close()
		r.up.tap.Close()
	case errors.Is(err, errAgentWrite):
		r.up.tap.reset()
	case isReset(err):
		r.agent.tap.reset()
	default:
		r.agent.closeWrite()
		r.limit(r.agent)
	}
	for f := range r.owed { // until no more requests can come
		r.unanswered(f, left, err)
		if f.mayUpgrade {
			f.upgraded <- false
		}
		r.half(f)
	}
}

// unanswered says why a request has no answer: its agent had left before the
// management point ended, which counts only where the request was whole.
func (r *relay) unanswered(f *flight, left bool, err error) {
	if !left {
		f.find(found(&noReply, traffic.Reply, endWords(err)))
		f.replyErr = "the management point sent no reply: " + endWords(err)
		return
	}
	f.replyErr = "the agent left before the answer came"
	if f.requestErr == "" {
		f.find(found(&notAwaited, traffic.Reply, f.replyErr))
	}
}

// limit bounds how long a leg may stay open once the other one has ended.
func (r *relay) limit(l *link) {
	_ = l.conn.SetReadDeadline(time.Now().Add(r.c.s.HalfClosed)) // a closed leg needs none
}

func endWords(err error) string {
	switch {
	case err == nil, errors.Is(err, io.EOF):
		return "closed (FIN)"
	case isReset(err):
		return "reset (RST)"
	case errors.Is(err, net.ErrClosed):
		return "closed by mpproxy"
	}
	return err.Error()
}

// begin numbers a new exchange and tells of it.
func (r *relay) begin(head traffic.Head) *flight {
	f := r.c.newFlight(head)
	r.flying.Add(1)
	r.open.Add(1)
	return f
}

// half says that one direction of an exchange is through.
func (r *relay) half(f *flight) {
	if f.halves.Add(-1) > 0 {
		return
	}
	if r.sealed != nil {
		r.findStopped(f)
	}
	r.c.over(f)
	r.flying.Done()
	if r.open.Add(-1) == 0 {
		if r.agentDone.Load() {
			r.limit(r.up)
		}
		r.c.idle()
	}
}

// readHead waits for a whole head at the front of the inbox and returns its
// length. It returns 0 when what comes is no HTTP.
func readHead(in *inbox, maybe func([]byte) bool) (int, error) {
	for {
		b := in.bytes()
		if len(b) > 0 {
			if !maybe(b) {
				return 0, nil
			}
			if n := headEnd(b); n > 0 {
				return n, nil
			}
			if len(b) >= traffic.MaxHead {
				return 0, nil
			}
		} else {
			in.idle()
		}
		if err := in.more(); err != nil {
			return 0, err
		}
	}
}

// requests reads what the agent sends until its end.
func (r *relay) requests(ctx context.Context) error {
	if r.sealed != nil {
		f := r.begin(*r.sealed)
		f.sealed = true
		r.owed <- f
		return r.rawRequest(f)
	}
	for {
		n, err := readHead(&r.agent.in, maybeRequest)
		if err != nil {
			return r.cutRequest(err)
		}
		if n == 0 {
			return r.tunnelRequest(r.begin(traffic.Head{}), r.whyNot())
		}
		head := traffic.ParseHead(bytes.Clone(r.agent.in.bytes()[:n]))
		if r.target != nil && !r.target(head) {
			return errOtherTarget
		}
		if err := r.request(ctx, head); err != nil {
			return err
		}
	}
}

func (r *relay) whyNot() traffic.Finding {
	if len(r.agent.in.bytes()) >= traffic.MaxHead {
		return foundAt(&headTooLong, traffic.Request, 0, "no empty line in the first 65536 bytes")
	}
	return foundAt(&notHTTP, traffic.Request, 0, "begins "+quoted(r.agent.in.bytes()))
}

// cutRequest handles an end in the middle of a head: what came goes on.
func (r *relay) cutRequest(err error) error {
	b := r.agent.in.bytes()
	if len(b) == 0 {
		return err
	}
	f := r.begin(traffic.Head{Raw: bytes.Clone(b), Start: firstLine(b)})
	f.find(found(&cutShort, traffic.Request, "head of a request, then "+endWords(err)))
	f.requestErr = "the agent's request ended within its head"
	f.received(traffic.Request, b)
	r.owed <- f
	_, _ = r.up.conn.Write(b) // the agent's end follows, so a failure adds nothing
	r.agent.in.drop(len(b))
	r.half(f)
	return err
}

// request passes on one request.
func (r *relay) request(ctx context.Context, head traffic.Head) error {
	f := r.begin(head)
	f.findOdd(traffic.Request, head, 0)
	fr, err := requestFraming(head)
	if err != nil {
		return r.tunnelRequest(f, foundAt(&framingLost, traffic.Request, 0, lengths(head)))
	}
	f.Request.Framing = fr.kind
	out, err := r.consult(ctx, f, traffic.Request, r.agent, head, &fr)
	if err != nil {
		f.requestErr = r.blame(f, traffic.Request, err)
		r.half(f)
		r.half(f) // no reply will come to what was not sent
		return err
	}
	r.owed <- f
	err = r.send(r.agent, r.up, f, traffic.Request, out, &fr)
	f.Request.Whole = err == nil
	switch {
	case errors.Is(err, errFraming):
		f.find(foundAt(&framingLost, traffic.Request, f.Request.Size, lengths(head)))
		return r.rawRequest(f)
	case err != nil:
		f.requestErr = r.blame(f, traffic.Request, err)
		r.half(f)
		return err
	}
	mayUpgrade := f.mayUpgrade
	r.half(f)
	if mayUpgrade && <-f.upgraded {
		return r.rawRequest(f)
	}
	return nil
}

// blame says in words why a message ended before its end.
func (r *relay) blame(f *flight, d traffic.Dir, err error) string {
	switch {
	case errors.Is(err, errDropped):
		return err.Error()
	case errors.Is(err, errUpstreamWrite):
		return "the management point took no more of the request: " + endWords(err)
	case errors.Is(err, errAgentWrite):
		f.find(found(&cutShort, d, "the agent took no more: "+endWords(err)))
		return "the agent took no more of the reply: " + endWords(err)
	case errors.Is(err, net.ErrClosed) && r.c.s.hard.Err() == nil && d == traffic.Request:
		f.find(foundAt(&cutShort, d, f.wire(d).Size, "the management point ended the connection"))
		return "the management point ended the connection while the request was coming"
	}
	f.find(foundAt(&cutShort, d, f.wire(d).Size, endWords(err)))
	from := "agent"
	if d == traffic.Reply {
		from = "management point"
	}
	return "the " + from + " ended within a message: " + endWords(err)
}

// send writes what consult left to write, and streams the rest of the message.
func (r *relay) send(from, to *link, f *flight, d traffic.Dir, out outgoing, fr *framer) error {
	if out.ready != nil {
		if err := r.write(to, d, out.ready); err != nil {
			return err
		}
	}
	if out.swallowed {
		return nil
	}
	return r.stream(from, to, f, d, fr, out.head)
}

// stream passes on the rest of a message as it comes. The first headLen bytes
// of the inbox are head still to be sent, if any.
func (r *relay) stream(from, to *link, f *flight, d traffic.Dir, fr *framer, headLen int) error {
	for {
		b := from.in.bytes()
		n, done, err := fr.take(b[headLen:])
		n += headLen
		headLen = 0
		if n > 0 {
			if werr := r.write(to, d, b[:n]); werr != nil {
				f.received(d, b[:n])
				from.in.drop(n)
				return werr
			}
			f.received(d, b[:n])
			from.in.drop(n)
		}
		if done || err != nil {
			return err
		}
		if len(from.in.bytes()) == 0 {
			if err := from.in.more(); err != nil {
				return err
			}
		}
	}
}

func (r *relay) write(to *link, d traffic.Dir, b []byte) error {
	for len(b) > 0 {
		n := min(len(b), readSize)
		if _, err := to.conn.Write(b[:n]); err != nil {
			if d == traffic.Request {
				return errors.Join(errUpstreamWrite, err)
			}
			return errors.Join(errAgentWrite, err)
		}
		b = b[n:]
	}
	return nil
}

// replies reads what the management point sends until its end.
func (r *relay) replies(ctx context.Context) error {
	for {
		if len(r.up.in.bytes()) == 0 {
			r.up.in.idle()
			if err := r.up.in.more(); err != nil {
				return err
			}
		}
		select {
		case f, asked := <-r.owed:
			if asked {
				if err := r.reply(ctx, f); err != nil {
					return err
				}
				continue
			}
		default:
		}
		return r.unaskedReply()
	}
}

// reply passes on one reply, its interim heads first.
func (r *relay) reply(ctx context.Context, f *flight) error {
	f.Replied = r.c.s.Now()
	if f.sealed {
		return r.endReply(f, r.raw(r.up, r.agent, f, traffic.Reply))
	}
	head, fr, err := r.finalHead(f)
	f.Reply.Head, f.Reply.Framing = head, fr.kind
	f.findOdd(traffic.Reply, head, f.Reply.Interim)
	if err == nil {
		var out outgoing
		if out, err = r.consult(ctx, f, traffic.Reply, r.up, head, &fr); err == nil {
			err = r.send(r.up, r.agent, f, traffic.Reply, out, &fr)
		}
	}
	switch {
	case fr.kind == traffic.UntilEnd && errors.Is(err, io.EOF):
		f.Reply.Whole = true // that was its end
	case errors.Is(err, errFraming):
		if len(head.Raw) > 0 { // else it is no HTTP, which is found already
			f.find(foundAt(&framingLost, traffic.Reply, f.Reply.Size, lengths(head)))
		}
		err = r.raw(r.up, r.agent, f, traffic.Reply)
	case err != nil:
		f.replyErr = r.blame(f, traffic.Reply, err)
	default:
		f.Reply.Whole = true
	}
	return r.endReply(f, err)
}

// endReply tells a waiting request whether the connection is a tunnel now, and
// becomes its other half if so.
func (r *relay) endReply(f *flight, err error) error {
	upgraded := err == nil && f.mayUpgrade && (f.Reply.Head.Status() == 101 ||
		f.method == "CONNECT" && f.Reply.Head.Status()/100 == 2)
	if upgraded {
		f.halves.Add(1) // the request half goes on, as the tunnel's first
	}
	if f.mayUpgrade {
		f.upgraded <- upgraded
	}
	if upgraded {
		err = r.raw(r.up, r.agent, f, traffic.Reply)
	}
	r.half(f)
	return err
}

// finalHead passes interim heads on and returns the final one, which is then
// at the front of the inbox.
func (r *relay) finalHead(f *flight) (traffic.Head, framer, error) {
	for {
		n, err := readHead(&r.up.in, maybeReply)
		if err != nil {
			r.passRest(f)
			return traffic.Head{}, framer{}, err
		}
		if n == 0 {
			f.find(foundAt(&notHTTP, traffic.Reply, f.Reply.Size, "begins "+quoted(r.up.in.bytes())))
			return traffic.Head{}, framer{}, errFraming
		}
		head := traffic.ParseHead(bytes.Clone(r.up.in.bytes()[:n]))
		if s := head.Status(); s/100 != 1 || s == 101 {
			fr, err := replyFraming(head, f.method)
			if s == 101 {
				fr = newFramer(traffic.NoBody, 0)
			}
			return head, fr, err
		}
		if f.continued && head.Status() == 100 {
			f.Returned = &traffic.Wire{SameBody: true}
		} else if err := r.write(r.agent, traffic.Reply, head.Raw); err != nil {
			return head, framer{}, err
		}
		f.received(traffic.Reply, head.Raw)
		f.Reply.Interim += int64(n)
		r.up.in.drop(n)
	}
}

// passRest passes on what came of a head that will not come whole.
func (r *relay) passRest(f *flight) {
	if b := r.up.in.bytes(); len(b) > 0 {
		f.received(traffic.Reply, b)
		_ = r.write(r.agent, traffic.Reply, b) // the end follows anyway
		r.up.in.drop(len(b))
	}
}

// unaskedReply passes on bytes that belong to no request.
func (r *relay) unaskedReply() error {
	f := r.begin(traffic.Head{})
	f.Replied = f.Begun
	f.find(foundAt(&unasked, traffic.Reply, 0, "begins "+quoted(r.up.in.bytes())))
	r.half(f)
	err := r.raw(r.up, r.agent, f, traffic.Reply)
	r.half(f)
	return err
}

// tunnelRequest turns the connection into a tunnel, from this request on.
func (r *relay) tunnelRequest(f *flight, why traffic.Finding) error {
	f.find(why)
	f.sealed = true
	r.owed <- f
	return r.rawRequest(f)
}

func (r *relay) rawRequest(f *flight) error {
	err := r.raw(r.agent, r.up, f, traffic.Request)
	r.half(f)
	return err
}

// raw passes bytes on until their end, as part of an exchange.
func (r *relay) raw(from, to *link, f *flight, d traffic.Dir) error {
	fr := framer{kind: traffic.NoFraming}
	f.wire(d).Framing = traffic.NoFraming
	if d == traffic.Request {
		f.requestFate = traffic.Tunneled
	} else {
		f.replyFate = traffic.Tunneled
		if n := headEnd(from.in.bytes()); n > 0 && f.Reply.Head.Raw == nil && maybeReply(from.in.bytes()) {
			f.Reply.Head = traffic.ParseHead(bytes.Clone(from.in.bytes()[:n]))
		}
	}
	err := r.stream(from, to, f, d, &fr, 0)
	f.wire(d).Whole = errors.Is(err, io.EOF)
	return err
}

// lengths is the evidence for lost framing: the fields that conflict.
func lengths(h traffic.Head) string {
	var parts []string
	for _, f := range h.Fields {
		if n := strings.TrimSpace(f.Name); strings.EqualFold(n, "Content-Length") || strings.EqualFold(n, "Transfer-Encoding") {
			parts = append(parts, quoted([]byte(f.Name+": "+f.Value)))
		}
	}
	if parts == nil {
		return "chunk framing is broken"
	}
	return strings.Join(parts, ", ")
}
