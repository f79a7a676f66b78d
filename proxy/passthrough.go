package proxy

import (
	"container/list"
	"context"
	"net"
	"sync"

	"mpproxy/internal/tlsrecord"
	"mpproxy/traffic"
)

// staysSealed says whether this connection's TLS is not to be opened.
func (c *connection) staysSealed() bool {
	switch {
	case c.l.TLS == Passthrough:
		return true
	case c.l.TLS == TerminateOrPass && c.s.refusals.has(c.facts.Agent):
		f := found(&passedThrough, traffic.Both, "agent "+agentHost(c.facts.Agent))
		f.Leg = traffic.AgentSide
		c.facts.Findings = append(c.facts.Findings, f)
		return true
	}
	return false
}

// passThrough moves sealed bytes between agent and management point, as one
// exchange that begins with head (a CONNECT, or none). evidence is the tap
// that sees them: its first bytes have both sides' handshakes.
func (c *connection) passThrough(ctx context.Context, t Target, head traffic.Head, evidence *tap) {
	c.keepRecords(evidence, traffic.AgentSide)
	evidence.sealed = true
	evidence.keep()
	c.agent.evidence = evidence
	hs := &traffic.Handshake{Side: traffic.AgentSide, PassedThrough: true}
	if len(c.l.Routes) > 0 && c.l.Mode == Reverse {
		t = c.l.upstreamFor(c.helloName())
	}
	t.TLS = false // ours, not theirs
	r := &relay{c: c, agent: c.agent, owed: make(chan *flight, maxOwed), sealed: &head}
	_ = c.relayTo(ctx, t, r) // its failure is recorded
	hs.Ended = c.s.Now()
	if evidence.taken(hs); len(hs.In) > 0 {
		c.facts.AgentLeg.Handshake = c.tell(hs)
	}
}

// findStopped says of TLS that was passed through, and stopped in its
// handshake, how it did: the list has to show who could not get in.
func (r *relay) findStopped(f *flight) {
	in, out := r.agent.evidence.first()
	if len(in) == traffic.HandshakeLimit || len(out) == traffic.HandshakeLimit {
		return // the rest of the handshake may be behind that
	}
	words := stoppedIn(tlsrecord.Parse(in, out), r.agentLeft.Load())
	if words == "" {
		return
	}
	why := found(&agentTLS, traffic.Both, words)
	why.Leg = traffic.AgentSide
	f.find(why)
	f.requestErr = words
}

// maxRefusals is how many agents are remembered to have refused us.
const maxRefusals = 10_000

// refusals remembers which agents did not take our certificate, the last ones
// best.
type refusals struct {
	mu     sync.Mutex
	order  *list.List
	byHost map[string]*list.Element
}

func (r *refusals) add(agent string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byHost == nil {
		r.order, r.byHost = list.New(), map[string]*list.Element{}
	}
	host := agentHost(agent)
	if e := r.byHost[host]; e != nil {
		r.order.MoveToFront(e)
		return
	}
	r.byHost[host] = r.order.PushFront(host)
	if r.order.Len() > maxRefusals {
		oldest := r.order.Back()
		delete(r.byHost, r.order.Remove(oldest).(string))
	}
}

func (r *refusals) has(agent string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.byHost[agentHost(agent)] != nil
}

func agentHost(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}
