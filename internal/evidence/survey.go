// Package evidence gathers from a capture what diagnose judges.
//
// A [Survey] reads every connection once, to learn what they tell about each
// other (which agents get in, whose certificates they show), and then judges
// them one by one or all together. It can go on where it was when more has been
// recorded. What it keeps is bounded, whatever the capture's size.
package evidence

import (
	"context"
	"net"
	"slices"
	"time"

	"mpproxy/capture"
	"mpproxy/decode"
	"mpproxy/diagnose"
	"mpproxy/internal/tlsrecord"
	"mpproxy/traffic"
)

// Survey is what a capture's connections tell about each other. It belongs to
// one goroutine at a time.
type Survey struct {
	store  *capture.Store
	now    func() time.Time
	places map[string]*place
	// retried are connections without a certificate after which the same agent
	// came at once with one.
	retried     map[traffic.ConnID]bool
	revocations diagnose.Revocations
	// fetched is true when revocations came from somebody else than the
	// capture.
	fetched bool
	// open are connections that were under way when they were learnt from;
	// last is the highest number that was.
	open map[traffic.ConnID]bool
	last traffic.ConnID
	// history has heard the exchanges up to heard but those unheard, which were
	// under way; told is what it told.
	history diagnose.History
	heard   traffic.ExchangeID
	unheard map[traffic.ExchangeID]bool
	told    map[traffic.ConnID][]diagnose.Told
	// Step is called now and then with the highest exchange heard and the
	// highest connection judged by Run; nil is not.
	Step func(heard traffic.ExchangeID, judged traffic.ConnID)
}

// New begins a survey of a capture; now is the clock by which certificates are
// judged, nil the real one.
func New(s *capture.Store, now func() time.Time) *Survey {
	if now == nil {
		now = time.Now
	}
	return &Survey{
		store: s, now: now, places: map[string]*place{},
		retried: map[traffic.ConnID]bool{}, open: map[traffic.ConnID]bool{},
		told: map[traffic.ConnID][]diagnose.Told{}, unheard: map[traffic.ExchangeID]bool{},
	}
}

// Revoked takes fetched revocation lists in place of those in the capture.
func (s *Survey) Revoked(fetched []traffic.Revocation) {
	s.revocations, s.fetched = diagnose.NewRevocations(fetched), true
}

// Update learns from the connections that have come since the last time.
func (s *Survey) Update(ctx context.Context) error {
	if !s.fetched {
		stored, err := s.store.Revocations(ctx)
		if err != nil {
			return err
		}
		s.revocations = diagnose.NewRevocations(stored)
	}
	if err := s.hear(ctx); err != nil {
		return err
	}
	for id := range s.open {
		c, err := s.store.Conn(ctx, id)
		if err != nil {
			return err
		}
		if !c.Closed.IsZero() {
			delete(s.open, id)
			if err := s.learn(ctx, c); err != nil {
				return err
			}
		}
	}
	return s.each(ctx, s.last, func(c *traffic.Conn) error {
		s.last = c.ID
		if c.Closed.IsZero() && len(s.open) < maxOpen {
			s.open[c.ID] = true
			return nil
		}
		return s.learn(ctx, c)
	})
}

// Each visits every connection of the capture with its handshakes.
func (s *Survey) Each(ctx context.Context, visit func(*traffic.Conn) error) error {
	return s.each(ctx, 0, visit)
}

func (s *Survey) each(ctx context.Context, last traffic.ConnID, visit func(*traffic.Conn) error) error {
	for {
		rows, err := s.store.Conns(ctx, last, capture.Newer, connPage)
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, r := range rows {
			conn, err := s.store.Conn(ctx, r.ID)
			if err != nil {
				return err
			}
			if err := visit(conn); err != nil {
				return err
			}
			last = r.ID
		}
	}
}

// Run learns from all connections and judges those that are wanted; nil wants
// all. What was found is folded.
func (s *Survey) Run(ctx context.Context, wanted map[traffic.ConnID]bool) (*diagnose.Folding, error) {
	if err := s.Update(ctx); err != nil {
		return nil, err
	}
	for id := range s.open { // they count as far as they have come
		c, err := s.store.Conn(ctx, id)
		if err != nil {
			return nil, err
		}
		if err := s.learn(ctx, c); err != nil {
			return nil, err
		}
		delete(s.open, id)
	}
	var f diagnose.Folding
	err := s.Each(ctx, func(c *traffic.Conn) error {
		if wanted != nil && !wanted[c.ID] {
			return nil
		}
		found, err := s.judge(ctx, c)
		if err != nil {
			return err
		}
		f.Add(diagnosed(c, found))
		if s.Step != nil {
			s.Step(s.heard, c.ID)
		}
		return nil
	})
	return &f, err
}

// diagnosed is what was found on a connection.
func diagnosed(c *traffic.Conn, found []diagnose.Finding) diagnose.ConnDiagnosis {
	hs := c.AgentLeg.Handshake
	return diagnose.ConnDiagnosis{
		Conn: c.ID, Agent: agentOf(c), Listener: c.Listener, At: c.Opened,
		Sealed: hs != nil && hs.PassedThrough, Findings: found,
	}
}

// Conn judges one connection by what Update has learnt so far.
func (s *Survey) Conn(ctx context.Context, id traffic.ConnID) ([]diagnose.Finding, error) {
	c, err := s.store.Conn(ctx, id)
	if err != nil {
		return nil, err
	}
	return s.judge(ctx, c)
}

// Learnt learns from all connections and judges one.
func (s *Survey) Learnt(ctx context.Context, id traffic.ConnID) ([]diagnose.Finding, error) {
	if err := s.Update(ctx); err != nil {
		return nil, err
	}
	return s.Conn(ctx, id)
}

// Agents are how many agents were seen on all listeners, and how many of them
// got in.
func (s *Survey) Agents() (all, good int) {
	for _, p := range s.places {
		all += len(p.agents)
		good += p.agentsGood
	}
	return all, good
}

func (s *Survey) judge(ctx context.Context, c *traffic.Conn) ([]diagnose.Finding, error) {
	p := s.place(c.Listener)
	peers := p.peers(c)
	peers.ShowedLater = s.retried[c.ID]
	e := diagnose.Evidence{Conn: c, Peers: peers, OwnIssuer: p.ownIssuer, Revocations: s.revocations, Told: s.told[c.ID], History: &s.history, Now: s.now()}
	ids, err := s.store.ExchangesOf(ctx, c.ID)
	if err != nil {
		return nil, err
	}
	for _, id := range ids[max(len(ids)-maxExchanges, 0):] {
		x, err := s.store.Exchange(ctx, id)
		if err != nil {
			return nil, err
		}
		short, err := s.read(ctx, x, decode.Full)
		if err != nil {
			return nil, err
		}
		short.Agent, short.TLS = agentOf(c), c.AgentLeg.Handshake != nil
		if x.Fate == traffic.Tunneled || x.Fate == traffic.Broken {
			if err := s.foreign(ctx, &short); err != nil {
				return nil, err
			}
		}
		e.Exchanges = append(e.Exchanges, short)
	}
	return diagnose.Judge(e), nil
}

// foreign adds what the proxy has noted of bytes that are no HTTP, and of
// messages without a clear end.
func (s *Survey) foreign(ctx context.Context, x *diagnose.Exchange) error {
	found, err := s.store.Findings(ctx, x.ID)
	if err != nil {
		return err
	}
	for _, f := range found {
		switch f.Kind.Code {
		case "http-not-http":
			x.Foreign, x.ForeignReply = f.Evidence, f.Dir == traffic.Reply
		case "http-framing-lost":
			x.Unframed, x.UnframedReply = f.Evidence, f.Dir == traffic.Reply
		}
	}
	return nil
}

// place is what is known of one listener.
type place struct {
	agents                              map[string]*visitor
	issuers, intermediates              map[string]bool
	ownIssuer                           string
	agentsGood, agentsWithCert, dropped int
}

// visitor is what is known of one agent on one listener.
type visitor struct {
	good, failed int
	firstGood    time.Time
	lastGood     time.Time
	lastFailed   time.Time
	// certified is true once it has shown a certificate; issuers are those of
	// the last chain that it showed, the leaf's first.
	certified bool
	issuers   []string
	// bare are its last connections without a certificate.
	bare []bareConn
}

type bareConn struct {
	id    traffic.ConnID
	at    time.Time
	hello string // its fingerprint
}

// The bounds of what is kept while a capture is read.
const (
	maxVisitors = 100_000
	maxNames    = 200
	maxChain    = 5
	maxName     = 512 // bytes
	maxOpen     = 100_000
	connPage    = 200
)

func agentOf(c *traffic.Conn) string {
	host, _, err := net.SplitHostPort(c.Agent)
	if err != nil {
		return c.Agent
	}
	return host
}

// learn keeps what a connection tells about others.
func (s *Survey) learn(ctx context.Context, c *traffic.Conn) error {
	if c.AgentLeg.BytesIn == 0 && !c.Closed.IsZero() { // a probe is no agent
		return nil
	}
	s.history.AddConn(c)
	hs := c.AgentLeg.Handshake
	p := s.place(c.Listener)
	v := p.visitor(agentOf(c))
	switch {
	case hs == nil:
		p.isGood(v, c.Opened)
		return nil
	case hs.Err != "":
		v.failed++
		v.lastFailed = c.Opened
		return nil
	case hs.TLS == nil: // passed through: whether it was good is the judge's business
		p.learnSealed(hs, v)
		return nil
	}
	s.pair(v, c, len(hs.PeerCertificates) > 0)
	xs, err := s.store.ExchangesOf(ctx, c.ID)
	if err != nil || len(xs) == 0 {
		return err
	}
	p.isGood(v, c.Opened)
	if own := hs.OwnCertificates; len(own) > 0 && p.ownIssuer == "" {
		p.ownIssuer = tlsrecord.ReadOutline(own[0]).Issuer
	}
	chain := hs.PeerCertificates
	p.shown(v, chain)
	if len(chain) == 0 {
		return nil
	}
	row, err := s.store.Row(ctx, xs[len(xs)-1])
	if err == nil && row.Status >= 200 && row.Status < 300 {
		keep(p.issuers, tlsrecord.ReadOutline(chain[0]).Issuer)
	}
	return err
}

// maxBare is how many connections of one agent wait for one with a certificate.
const maxBare = 16

// pair ties an agent's connections without a certificate to one with it that
// follows at once. Of agents behind one address those are the same whose hellos
// are alike.
func (s *Survey) pair(v *visitor, c *traffic.Conn, showed bool) {
	v.bare = slices.DeleteFunc(v.bare, func(b bareConn) bool { return c.Opened.Sub(b.at) > diagnose.RetryTime })
	if showed && len(v.bare) == 0 {
		return
	}
	hello := ""
	if h := tlsrecord.Parse(c.AgentLeg.Handshake.In, nil).ClientHello(); h != nil {
		hello = h.JA4()
	}
	if !showed {
		v.bare = append(v.bare[max(0, len(v.bare)-maxBare+1):], bareConn{c.ID, c.Opened, hello})
		return
	}
	v.bare = slices.DeleteFunc(v.bare, func(b bareConn) bool {
		same := b.hello == hello
		if same && len(s.retried) < maxVisitors {
			s.retried[b.id] = true
		}
		return same
	})
}

// isGood notes that an agent got in.
func (p *place) isGood(v *visitor, at time.Time) {
	if v.good++; v.firstGood.IsZero() {
		v.firstGood = at
		p.agentsGood++
	}
	v.lastGood = at
}

// learnSealed takes an agent's certificate from a handshake passed through.
func (p *place) learnSealed(hs *traffic.Handshake, v *visitor) {
	t := tlsrecord.Parse(hs.In, hs.Out)
	if t.Stage() >= tlsrecord.StageData {
		p.isGood(v, hs.Began)
	}
	var chain [][]byte
	if c := t.Certificate(tlsrecord.Client); c != nil {
		for _, der := range c.Chain {
			chain = append(chain, der.Bytes)
		}
	}
	p.shown(v, chain)
}

// shown keeps what an agent's chain tells.
func (p *place) shown(v *visitor, chain [][]byte) {
	if len(chain) == 0 {
		return
	}
	if !v.certified {
		v.certified = true
		p.agentsWithCert++
	}
	v.issuers = nil
	for i, der := range chain[:min(len(chain), maxChain)] {
		o := tlsrecord.ReadOutline(der)
		if len(o.Issuer) > maxName { // no name that anybody uses
			v.issuers = nil
			return
		}
		v.issuers = append(v.issuers, o.Issuer)
		if i > 0 && o.Issuer != o.Subject {
			keep(p.intermediates, o.Subject)
		}
	}
}

func keep(names map[string]bool, name string) {
	if len(names) < maxNames {
		names[name] = true
	}
}

func (s *Survey) place(listener string) *place {
	p := s.places[listener]
	if p == nil {
		p = &place{agents: map[string]*visitor{}, issuers: map[string]bool{}, intermediates: map[string]bool{}}
		s.places[listener] = p
	}
	return p
}

func (p *place) visitor(agent string) *visitor {
	v := p.agents[agent]
	if v == nil {
		v = &visitor{}
		if len(p.agents) < maxVisitors {
			p.agents[agent] = v
		} else {
			p.dropped++
		}
	}
	return v
}

// maxExchanges is how many exchanges of one connection are judged, the last.
const maxExchanges = 1000

// peers is what the other connections tell about one.
func (p *place) peers(c *traffic.Conn) diagnose.Peers {
	out := diagnose.Peers{
		Agents: len(p.agents), Failed: len(p.agents) - p.agentsGood, WithCertificate: p.agentsWithCert,
		Issuers: sorted(p.issuers), Intermediates: sorted(p.intermediates),
	}
	v := p.agents[agentOf(c)]
	if v == nil {
		return out
	}
	out.AgentIssuers = v.issuers
	failed := v.failed
	if hs := c.AgentLeg.Handshake; hs != nil && hs.Err != "" {
		failed--
	}
	if v.lastGood.After(c.Opened) {
		out.After.Good = 1
	}
	if !v.firstGood.IsZero() && v.firstGood.Before(c.Opened) {
		out.Before.Good = max(v.good-out.After.Good, 1)
	}
	if v.lastFailed.After(c.Opened) {
		out.After.Failed, failed = 1, failed-1
	}
	out.Before.Failed = max(failed, 0)
	return out
}

func sorted(names map[string]bool) []string {
	var out []string
	for n := range names {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}
