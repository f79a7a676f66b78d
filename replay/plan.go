package replay

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"mpproxy/capture"
	"mpproxy/filter"
	"mpproxy/traffic"
)

// Plan is what of a capture is to be sent, and what cannot be.
type Plan struct {
	// Began is when the capture's first exchange began.
	Began time.Time
	// Agents, Conns and Exchanges are to be played.
	Agents, Conns, Exchanges int
	// Left are exchanges that cannot be replayed, by reason.
	Left []Left
	// Notes are what is sent though it may not fit any more.
	Notes []Left
	// Signing and Certified are the agents by name that have signed, and that
	// have shown a client certificate.
	Signing, Certified []string

	store *capture.Store
	conns []*conn
}

// Left is a reason, and the exchanges that it concerns.
type Left struct {
	Why   string
	Count int
	// Example is the first of them.
	Example traffic.ExchangeID
}

// conn is an agent's connection with its exchanges in order.
type conn struct {
	id traffic.ConnID
	// agent tells agents apart: a name, a client id, or an address.
	agent string
	steps []step
	// signing and certified say what the agent has proved.
	signing, certified bool
}

// step is one exchange to be sent.
type step struct {
	id    traffic.ExchangeID
	begun time.Time
	ended time.Time
}

// maxReplayed is how large a request may be to be replayed.
const maxReplayed = 256 << 20

// Prepare plans the replay of what a filter lets pass.
func Prepare(ctx context.Context, s *capture.Store, f *filter.Filter) (*Plan, error) {
	cut, err := s.CutRequests(ctx)
	if err != nil {
		return nil, fmt.Errorf("plan the replay: %w", err)
	}
	totals, err := s.Totals(ctx)
	if err != nil {
		return nil, fmt.Errorf("plan the replay: %w", err)
	}
	p := &planner{plan: &Plan{store: s, Began: totals.From}, cut: cut, conns: map[traffic.ConnID]*conn{}, left: map[string]*Left{}, notes: map[string]*Left{}}
	err = s.Scan(ctx, f, 0, capture.Newer, 0, func(rows []capture.Row, _ capture.Progress) bool {
		for _, r := range rows {
			p.row(r)
		}
		return ctx.Err() == nil
	})
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("plan the replay: %w", err)
	}
	return p.done(), nil
}

type planner struct {
	plan *Plan
	// cut are the exchanges whose requests are not whole.
	cut         map[traffic.ExchangeID]bool
	conns       map[traffic.ConnID]*conn
	left, notes map[string]*Left
}

func (p *planner) row(r capture.Row) {
	why := cannot(r)
	if why == "" && p.cut[r.ID] {
		why = "cut short: the capture does not have the whole request"
	}
	if why != "" {
		count(p.left, why, r.ID)
		return
	}
	if why := odd(r); why != "" {
		count(p.notes, why, r.ID)
	}
	c := p.conns[r.Conn]
	if c == nil {
		c = &conn{id: r.Conn}
		p.conns[r.Conn] = c
		p.plan.conns = append(p.plan.conns, c)
	}
	if c.agent == "" {
		c.agent = strings.ToUpper(cmp.Or(r.Agent, r.Client))
	}
	c.signing = c.signing || r.Auth == "self" || r.Auth == "cert" && r.Method == "CCM_POST"
	c.certified = c.certified || r.Auth == "cert"
	ended := r.Ended
	if ended.IsZero() {
		ended = r.Begun
	}
	c.steps = append(c.steps, step{r.ID, r.Begun, ended})
	p.plan.Exchanges++
}

func count(m map[string]*Left, why string, id traffic.ExchangeID) {
	l := m[why]
	if l == nil {
		l = &Left{Why: why, Example: id}
		m[why] = l
	}
	l.Count++
}

// cannot says why an exchange cannot be replayed, "" when it can.
func cannot(r capture.Row) string {
	switch {
	case r.Kind == "tls":
		return "TLS that was not opened, or a handshake that failed"
	case r.Fate == traffic.Tunneled:
		return "passed through without being read"
	case r.Origin != "agent":
		return "sent by mpproxy itself"
	case r.Method == "":
		return "no HTTP request"
	case r.Method == "CONNECT":
		return "a CONNECT to a proxy"
	case r.Fate == traffic.InFlight:
		return "not over when the capture ended"
	case r.Fate == traffic.Broken && r.Status == 0:
		return "broken off before it was answered: the request may be cut short"
	case r.Kind == "encrypted":
		return "encrypted for the captured management point: no other can read it"
	case r.ReqBytes > maxReplayed:
		return "larger than 256 MiB"
	}
	return ""
}

// odd says why an exchange may not come out as it did.
func odd(r capture.Row) string {
	switch {
	case r.Auth == "windows":
		return "Windows authentication is bound to its moment: the management point will challenge it again"
	case r.Fate == traffic.Modified:
		return "changed by a rule in the capture: sent as the agent sent it"
	case r.Fate == traffic.Answered:
		return "answered by mpproxy in the capture"
	}
	return ""
}

func (p *planner) done() *Plan {
	agents, signing, certified := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, c := range p.plan.conns {
		if c.agent == "" {
			c.agent = fmt.Sprintf("CONNECTION %d", c.id)
		}
		agents[c.agent] = true
		if c.signing {
			signing[c.agent] = true
		}
		if c.certified {
			certified[c.agent] = true
		}
	}
	p.plan.Signing, p.plan.Certified = slices.Sorted(maps.Keys(signing)), slices.Sorted(maps.Keys(certified))
	p.plan.Agents, p.plan.Conns = len(agents), len(p.plan.conns)
	p.plan.Left, p.plan.Notes = sorted(p.left), sorted(p.notes)
	return p.plan
}

func sorted(m map[string]*Left) []Left {
	var out []Left
	for _, l := range m {
		out = append(out, *l)
	}
	slices.SortFunc(out, func(a, b Left) int { return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Why, b.Why)) })
	return out
}
