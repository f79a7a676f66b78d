package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"mpproxy/traffic"
)

// connection is an agent's connection from accept to close. Its goroutine owns
// facts; the relay's goroutines own theirs.
type connection struct {
	s     *Server
	l     *Listener
	facts traffic.Conn
	agent *link
	up    *link
	// clientID is of the first message, when UpstreamTLS.Certificates asks.
	clientID string
	// relay is the one running now, nil between them.
	relay atomic.Pointer[relay]
}

// handle serves one accepted connection to its end.
func (s *Server) handle(l *Listener, socket net.Conn) {
	c := &connection{s: s, l: l, facts: traffic.Conn{
		ID:       traffic.ConnID(s.lastConn.Add(1)),
		Listener: listenerName(l), Mode: string(l.Mode),
		Agent: socket.RemoteAddr().String(), Opened: s.Now(),
	}}
	t := newTap(socket, s.Now)
	c.agent = newLink(t, t)
	s.add(c)
	s.Sink.Take(traffic.ConnOpened{Conn: c.facts})
	stop := context.AfterFunc(s.hard, func() { t.Close() })
	defer stop()
	defer c.close()
	if l.Mode == Transparent {
		c.transparent(s.hard)
		return
	}
	target := l.Upstream
	if l.Mode == Forward {
		target = Target{} // each request names its own
	}
	sealed, err := c.openAgent(s.hard, target)
	switch {
	case err != nil:
	case sealed:
		c.passThrough(s.hard, l.Upstream, traffic.Head{}, t)
	case l.Mode == Forward:
		c.forward(s.hard)
	case len(l.Routes) > 0 && c.facts.AgentLeg.Handshake == nil:
		c.serveByHost(s.hard)
	default:
		_ = c.serve(s.hard, l.upstreamFor(c.serverName()), nil) // its failure is recorded
	}
}

// serverName is the name in the agent's hello, empty without TLS.
func (c *connection) serverName() string {
	if hs := c.facts.AgentLeg.Handshake; hs != nil && hs.TLS != nil {
		return hs.TLS.ServerName
	}
	return ""
}

func listenerName(l *Listener) string {
	if l.Scheme == Auto {
		return l.Address
	}
	return string(l.Scheme) + "://" + l.Address
}

// openAgent finds out what the agent speaks. If it is TLS it shakes hands, or
// says that the connection is to stay sealed.
func (c *connection) openAgent(ctx context.Context, t Target) (sealed bool, err error) {
	secure := c.l.Scheme == HTTPS
	if c.l.Scheme == Auto || c.l.TLS == Passthrough {
		first, err := c.agent.tap.peek()
		if err != nil {
			return false, err
		}
		secure = isHello(first)
	}
	switch {
	case secure && c.l.Mode == Reverse && c.staysSealed():
		return true, nil
	case secure && c.l.Mode == Forward && c.l.TLS == Passthrough:
		c.notByProxy("TLS without a CONNECT before it")
		return false, errNotByProxy
	}
	if !secure {
		if t.TLS {
			c.facts.Findings = append(c.facts.Findings, found(&bridged, traffic.Both, "agent over HTTP, management point "+t.String()))
		}
		return false, nil
	}
	if c.l.Mode == Reverse && !t.TLS {
		c.facts.Findings = append(c.facts.Findings, found(&bridged, traffic.Both, "agent over HTTPS, management point "+t.String()))
	}
	return false, c.secureAgent(ctx, t, c.agent.tap)
}

// serve relays to one management point. same says which requests are for it;
// nil takes all. It returns errOtherTarget when one came that is not.
func (c *connection) serve(ctx context.Context, t Target, same func(traffic.Head) bool) error {
	r := &relay{c: c, agent: c.agent, owed: make(chan *flight, maxOwed), target: same}
	if _, err := readHead(&c.agent.in, maybeRequest); err != nil && len(c.agent.in.bytes()) == 0 {
		return err
	}
	return c.relayTo(ctx, t, r)
}

func (c *connection) relayTo(ctx context.Context, t Target, r *relay) error {
	if t.TLS {
		c.learnClient()
	}
	dial := c.dial
	if t.TLS && c.s.Upstream.Prime && r.sealed == nil {
		dial = c.dialPrimed
	}
	up, err := dial(ctx, t)
	if err != nil {
		c.refuse(t, err)
		return err
	}
	c.up, r.up = up, up
	return r.run(ctx)
}

func (c *connection) setRelay(r *relay) { c.relay.Store(r) }

// idle closes the connection if the server is stopping and nothing is owed.
func (c *connection) idle() {
	if !c.s.draining.Load() {
		return
	}
	r := c.relay.Load()
	if r == nil {
		c.agent.tap.Close()
		return
	}
	if r.open.Load() == 0 {
		r.agent.closeWrite()
		r.agent.tap.Close()
		r.up.tap.Close()
	}
}

// newFlight begins an exchange.
func (c *connection) newFlight(head traffic.Head) *flight {
	f := &flight{sink: c.s.Sink, Exchange: traffic.Exchange{
		ID: c.s.nextExchange(), Conn: c.facts.ID, Begun: c.s.Now(),
		TLS: c.facts.AgentLeg.Handshake != nil, Origin: "agent",
		Request: traffic.Wire{Head: head}, Fate: traffic.InFlight,
	}}
	f.halves.Store(2)
	f.method, _, _ = head.Request()
	if _, ok := head.Lookup("Upgrade"); ok || f.method == "CONNECT" {
		f.mayUpgrade = true
		f.upgraded = make(chan bool, 1)
	}
	c.s.Sink.Take(traffic.ExchangeBegun{Exchange: f.Exchange})
	return f
}

func (c *connection) over(f *flight) {
	x := f.settle()
	x.Ended = c.s.Now()
	c.s.Sink.Take(traffic.ExchangeOver{Exchange: x})
}

// close ends both legs and tells how they ended.
func (c *connection) close() {
	c.linger()
	c.agent.tap.Close()
	agentTLS := c.facts.AgentLeg.Handshake
	c.facts.AgentLeg = c.agent.leg()
	c.facts.AgentLeg.Handshake = agentTLS
	if c.up != nil {
		c.up.tap.Close()
		upTLS := c.facts.UpstreamLeg.Handshake
		c.facts.UpstreamLeg = c.up.leg()
		c.facts.UpstreamLeg.Handshake = upTLS
	}
	c.facts.Closed = c.s.Now()
	c.s.Sink.Take(traffic.ConnClosed{Conn: c.facts})
	c.s.remove(c)
}

// lingerTime is how long an agent may go on sending after we have said our
// last word. Closing at once would reset the connection, and the agent would
// lose the answer, or we its alert.
const lingerTime = 300 * time.Millisecond

func (c *connection) linger() {
	c.agent.tap.mu.Lock()
	over := c.agent.tap.end != traffic.EndOpen || c.agent.tap.closedByProxy
	c.agent.tap.mu.Unlock()
	if over {
		return
	}
	c.agent.closeWrite()
	_ = c.agent.tap.SetReadDeadline(time.Now().Add(lingerTime))
	_, _ = io.Copy(io.Discard, io.LimitReader(c.agent.tap, 1<<20))
}

// checkName compares the name that the agent asked for with the management
// point's own certificate: the proxy's, which fits, would hide the fault.
func (c *connection) checkName(upstream *traffic.Handshake) {
	a := c.facts.AgentLeg.Handshake
	if a == nil || a.TLS == nil || upstream.TLS == nil || a.TLS.ServerName == "" {
		return
	}
	cert := leafOf(upstream)
	if cert == nil || cert.VerifyHostname(a.TLS.ServerName) == nil {
		return
	}
	f := found(&nameHidden, traffic.Both, "agent asked for "+a.TLS.ServerName+"; the certificate has "+strings.Join(namesIn(cert), ", "))
	f.Leg = traffic.UpstreamSide
	c.facts.Findings = append(c.facts.Findings, f)
}

// refuse answers a request that cannot be forwarded, if it is one.
func (c *connection) refuse(t Target, err error) {
	kind, words := &upstreamUnreachable, reachWords(err)
	var hs *handshakeError
	if errors.As(err, &hs) {
		kind = &upstreamTLS
	}
	sentence := "mpproxy: cannot reach the management point " + t.String() + ": " + words + "."
	c.answer(502, "Bad Gateway", sentence, "", foundAt(kind, traffic.Request, -1, t.String()+": "+words))
}

// answer answers the request at the front of the inbox in the management
// point's place, and ends the connection.
func (c *connection) answer(status int, reason, sentence, extra string, why traffic.Finding) {
	n, _ := readHead(&c.agent.in, maybeRequest)
	if n == 0 { // no request, so there is nobody to read an answer
		f := c.newFlight(traffic.Head{})
		f.received(traffic.Request, c.agent.in.bytes())
		c.overAs(f, traffic.Broken, why, sentence)
		return
	}
	head := traffic.ParseHead(bytes.Clone(c.agent.in.bytes()[:n]))
	f := c.newFlight(head)
	fr, err := requestFraming(head)
	taken, done, terr := fr.take(c.agent.in.bytes()[n:])
	f.received(traffic.Request, c.agent.in.bytes()[:n+taken])
	f.Request.Framing, f.Request.Whole = fr.kind, done && err == nil && terr == nil
	body := sentence + "\r\n"
	reply := "HTTP/1.1 " + strconv.Itoa(status) + " " + reason + "\r\n" +
		"Content-Type: text/plain; charset=utf-8\r\n" + extra +
		"Content-Length: " + strconv.Itoa(len(body)) + "\r\nConnection: close\r\n\r\n"
	c.reply(f, []byte(reply), []byte(body))
	c.overAs(f, traffic.Answered, why, sentence)
}

// reply writes an answer of our own and records it as such.
func (c *connection) reply(f *flight, head, body []byte) {
	if f.method == "HEAD" {
		body = nil
	}
	all := append(head, body...)
	f.Replied = c.s.Now()
	f.sent(traffic.Reply, all)
	f.Returned.Head = traffic.ParseHead(bytes.Clone(all[:len(head)]))
	f.Returned.Framing, f.Returned.Whole = traffic.ByLength, true
	_, _ = c.agent.conn.Write(all) // an agent that is gone needs no answer
}

func (c *connection) overAs(f *flight, fate traffic.Fate, why traffic.Finding, err string) {
	f.Fate = fate
	f.find(why)
	f.requestErr = strings.TrimSuffix(strings.TrimPrefix(err, "mpproxy: "), ".")
	c.over(f)
}

// reachWords says in one sentence's end why a management point is out of reach.
func reachWords(err error) string {
	var dns *net.DNSError
	var hs *handshakeError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return "the name " + strconv.Quote(dns.Name) + " is unknown to this machine's DNS"
	case errors.As(err, &dns):
		return "the name " + strconv.Quote(dns.Name) + " could not be looked up (" + dns.Err + ")"
	case errors.As(err, &hs):
		return "TLS failed: " + hs.err.Error()
	case isTimeout(err):
		return "it does not answer (timeout)"
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err.Error()
	}
	return err.Error()
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &t) && t.Timeout()
}
