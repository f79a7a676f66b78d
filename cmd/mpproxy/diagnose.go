package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"mpproxy/capture"
	"mpproxy/diagnose"
	"mpproxy/internal/tlsrecord"
	"mpproxy/internal/view"
	"mpproxy/traffic"
)

// diagnoseCommand is "mpproxy diagnose".
type diagnoseCommand struct {
	File   string   `arg:"" type:"path" help:"The capture."`
	Filter []string `arg:"" optional:"" help:"Only connections that carried such exchanges, as in: agent:PC-0419"`
	JSON   bool     `help:"One JSON object a finding."`
	UTC    bool     `name:"utc" help:"Print times in UTC in place of local ones."`
	ASCII  bool     `name:"ascii" help:"Print ASCII only."`
	revocationFlags
	FailOn string `enum:"never,info,warning,warn,error,i,W,E" default:"never" help:"Exit with 3 when something as bad was found: info, warning, error."`
}

// Run diagnoses.
func (c *diagnoseCommand) Run(ctx context.Context, e *env) error {
	s, err := openStore(c.File)
	if err != nil {
		return err
	}
	defer s.Close()
	d := &diagnosis{store: s, now: time.Now()}
	if len(c.Filter) > 0 {
		if err := d.only(ctx, c.Filter); err != nil {
			return err
		}
	}
	if err := c.fetchFor(ctx, d); err != nil {
		return err
	}
	if err := d.run(ctx); err != nil {
		return err
	}
	groups := d.folding.Groups()
	if c.JSON {
		err = d.writeJSON(e.stdout, groups)
	} else {
		err = d.write(e.stdout, groups, output{UTC: c.UTC, ASCII: c.ASCII}.format(e))
	}
	if err != nil {
		return quietPipe(err)
	}
	if least := severities[c.FailOn]; least > 0 && worstGroup(groups) >= least {
		return &exit{code: exitFindings, err: fmt.Errorf("faults were found in %s", c.File)}
	}
	return nil
}

var severities = map[string]traffic.Severity{
	"info": traffic.Info, "i": traffic.Info, "warning": traffic.Warning, "warn": traffic.Warning, "W": traffic.Warning,
	"error": traffic.Error, "E": traffic.Error,
}

func worstGroup(groups []diagnose.Group) traffic.Severity {
	worst := traffic.None
	for _, g := range groups {
		worst = max(worst, g.Example.Kind.Severity)
	}
	return worst
}

// diagnosis goes over a capture's connections twice, by pages: first to learn
// what they tell about each other, then to judge each.
type diagnosis struct {
	store  *capture.Store
	now    time.Time
	wanted map[traffic.ConnID]bool // nil: all
	places map[string]*place
	// retried are connections without a certificate after which the same agent
	// came at once with one.
	retried map[traffic.ConnID]bool
	// fetched is revocation evidence beside what the capture has.
	fetched     []traffic.Revocation
	revocations diagnose.Revocations
	folding     diagnose.Folding
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
	issuer       string
	// bare are its last connections without a certificate.
	bare []bareConn
}

type bareConn struct {
	id traffic.ConnID
	at time.Time
}

// The bounds of what is kept while a capture is read.
const (
	maxVisitors = 100_000
	maxNames    = 200
	connPage    = 200
)

// only takes the connections that carried certain exchanges.
func (d *diagnosis) only(ctx context.Context, words []string) error {
	f, err := parseFilter(words)
	if err != nil {
		return err
	}
	d.wanted = map[traffic.ConnID]bool{}
	return each(ctx, d.store, f, 0, func(r capture.Row) error {
		d.wanted[r.Conn] = true
		return nil
	})
}

func (d *diagnosis) run(ctx context.Context) error {
	d.places, d.retried = map[string]*place{}, map[traffic.ConnID]bool{}
	stored, err := d.store.Revocations(ctx)
	if err != nil {
		return err
	}
	if len(d.fetched) > 0 {
		stored = d.fetched
	}
	d.revocations = diagnose.NewRevocations(stored)
	if err := d.walk(ctx, d.learn); err != nil {
		return err
	}
	return d.walk(ctx, d.judge)
}

// walk visits every connection with its handshakes.
func (d *diagnosis) walk(ctx context.Context, visit func(context.Context, *traffic.Conn) error) error {
	for last := traffic.ConnID(0); ; {
		rows, err := d.store.Conns(ctx, last, capture.Newer, connPage)
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, r := range rows {
			conn, err := d.store.Conn(ctx, r.ID)
			if err != nil {
				return err
			}
			if err := visit(ctx, conn); err != nil {
				return err
			}
			last = r.ID
		}
	}
}

func agentOf(c *traffic.Conn) string {
	host, _, err := net.SplitHostPort(c.Agent)
	if err != nil {
		return c.Agent
	}
	return host
}

// learn keeps what a connection tells about others.
func (d *diagnosis) learn(ctx context.Context, c *traffic.Conn) error {
	if c.AgentLeg.BytesIn == 0 && !c.Closed.IsZero() { // a probe is no agent
		return nil
	}
	hs := c.AgentLeg.Handshake
	p := d.place(c.Listener)
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
	d.pair(v, c, len(hs.TLS.PeerCertificates) > 0)
	xs, err := d.store.ExchangesOf(ctx, c.ID)
	if err != nil || len(xs) == 0 {
		return err
	}
	p.isGood(v, c.Opened)
	if own := hs.TLS.OwnCertificates; len(own) > 0 && p.ownIssuer == "" {
		p.ownIssuer = tlsrecord.ReadOutline(own[0]).Issuer
	}
	chain := hs.TLS.PeerCertificates
	p.shown(v, chain)
	if len(chain) == 0 {
		return nil
	}
	row, err := d.store.Row(ctx, xs[len(xs)-1])
	if err == nil && row.Status >= 200 && row.Status < 300 {
		keep(p.issuers, v.issuer)
	}
	return err
}

// maxBare is how many connections of one agent wait for one with a certificate.
const maxBare = 16

// pair ties an agent's connections without a certificate to one with it that
// follows at once.
func (d *diagnosis) pair(v *visitor, c *traffic.Conn, showed bool) {
	v.bare = slices.DeleteFunc(v.bare, func(b bareConn) bool { return c.Opened.Sub(b.at) > diagnose.RetryTime })
	if !showed {
		v.bare = append(v.bare[max(0, len(v.bare)-maxBare+1):], bareConn{c.ID, c.Opened})
		return
	}
	for _, b := range v.bare {
		if len(d.retried) < maxVisitors {
			d.retried[b.id] = true
		}
	}
	v.bare = nil
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
	if v.issuer == "" {
		p.agentsWithCert++
	}
	v.issuer = tlsrecord.ReadOutline(chain[0]).Issuer
	for _, der := range chain[1:] {
		if o := tlsrecord.ReadOutline(der); o.Issuer != o.Subject {
			keep(p.intermediates, o.Subject)
		}
	}
}

func keep(names map[string]bool, name string) {
	if len(names) < maxNames {
		names[name] = true
	}
}

func (d *diagnosis) place(listener string) *place {
	p := d.places[listener]
	if p == nil {
		p = &place{agents: map[string]*visitor{}, issuers: map[string]bool{}, intermediates: map[string]bool{}}
		d.places[listener] = p
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

// judge judges one connection and folds what was found.
func (d *diagnosis) judge(ctx context.Context, c *traffic.Conn) error {
	if d.wanted != nil && !d.wanted[c.ID] {
		return nil
	}
	p := d.place(c.Listener)
	peers := p.peers(c)
	peers.ShowedLater = d.retried[c.ID]
	e := diagnose.Evidence{Conn: c, Peers: peers, OwnIssuer: p.ownIssuer, Revocations: d.revocations, Now: d.now}
	ids, err := d.store.ExchangesOf(ctx, c.ID)
	if err != nil {
		return err
	}
	for _, id := range ids[max(len(ids)-maxExchanges, 0):] {
		x, err := d.store.Exchange(ctx, id)
		if err != nil {
			return err
		}
		e.Exchanges = append(e.Exchanges, diagnose.ExchangeOf(x))
	}
	d.folding.Add(diagnose.ConnDiagnosis{Conn: c.ID, Agent: agentOf(c), Listener: c.Listener, At: c.Opened, Findings: diagnose.Judge(e)})
	return nil
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
	out.AgentIssuer = v.issuer
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

// concerned says how many agents a group is about, and how the others fare.
func (d *diagnosis) concerned(g *diagnose.Group) string {
	all, good := 0, 0
	for _, p := range d.places {
		all += len(p.agents)
		good += p.agentsGood
	}
	text := fmt.Sprintf("%d agents", g.AgentCount)
	if g.AgentCount == 1 {
		text = "agent " + g.Agents[0]
	}
	if all > 1 && all >= g.AgentCount && g.AgentCount > 0 {
		text = fmt.Sprintf("%d of %d agents (%s)", g.AgentCount, all, strings.Join(g.Agents[:min(len(g.Agents), 5)], ", "))
		if good > 0 && g.AgentCount < all {
			text += "; others succeed"
		}
	}
	return text
}

// write prints groups for people: causes, and under each what it explains.
func (d *diagnosis) write(w io.Writer, groups []diagnose.Group, f view.Format) error {
	var b strings.Builder
	faults := 0
	for i := range groups {
		g := &groups[i]
		if g.MootBy != "" {
			continue
		}
		if g.Example.Kind.Severity > traffic.Info {
			faults++
		}
		d.writeGroup(&b, g, groups, f)
	}
	if faults == 0 {
		fmt.Fprintf(&b, "no fault found in %d connections\n", d.folding.Conns)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (d *diagnosis) writeGroup(b *strings.Builder, g *diagnose.Group, all []diagnose.Group, f view.Format) {
	x := &g.Example
	clean := func(s string) string { return view.Clean(s, f.ASCII) }
	fmt.Fprintf(b, "%s %s  %s  (side: %s, to act: %s, %s)\n", x.Kind.Severity.Letter(), x.Kind.Ref, x.Kind.Title, sideWord(x.Leg), cmp.Or(x.Who, "nobody"), x.Sure)
	when := g.First.In(f.Zone).Format("2006-01-02 15:04:05")
	if g.Count > 1 {
		when = fmt.Sprintf("%d times, %s to %s", g.Count, when, g.Last.In(f.Zone).Format("2006-01-02 15:04:05"))
	}
	fmt.Fprintf(b, "  %s  %s, connection %d; %s\n", x.Kind.Code, when, g.Conn, clean(d.concerned(g)))
	section := func(name string, lines []string) {
		for _, line := range lines {
			fmt.Fprintf(b, "  %-9s  %s\n", name, clean(line))
			name = ""
		}
	}
	section("Evidence", x.Proof)
	section("Why", []string{x.Kind.Why})
	section("Do", x.Do)
	section("Check", x.Check)
	var ruled []string
	for _, r := range x.NotIt {
		ruled = append(ruled, r.What+": "+r.Why)
	}
	section("Not it", ruled)
	var explains []string
	for i := range all {
		if all[i].MootBy == x.Kind.Code {
			explains = append(explains, fmt.Sprintf("%s %s (%d)", all[i].Example.Kind.Ref, all[i].Example.Kind.Title, all[i].Count))
		}
	}
	section("Explains", explains)
	b.WriteByte('\n')
}

func sideWord(s traffic.Side) string {
	switch s {
	case traffic.AgentSide:
		return "agent leg"
	case traffic.UpstreamSide:
		return "MP leg"
	}
	return "connection"
}

// diagnosisJSON is one group of "diagnose --json".
type diagnosisJSON struct {
	Schema   string             `json:"schema"`
	V        int                `json:"v"`
	Code     string             `json:"code"`
	Ref      string             `json:"ref"`
	Sev      string             `json:"sev"`
	Leg      string             `json:"leg"`
	Who      string             `json:"who"`
	Sure     string             `json:"sure"`
	Title    string             `json:"title"`
	Why      string             `json:"why"`
	Evidence []string           `json:"evidence"`
	Do       []string           `json:"do"`
	Check    []string           `json:"check"`
	NotIt    []string           `json:"not_it,omitempty"`
	Count    int                `json:"count"`
	First    time.Time          `json:"first"`
	Last     time.Time          `json:"last"`
	Agents   []string           `json:"agents"`
	AgentsN  int                `json:"agents_count"`
	Conn     traffic.ConnID     `json:"conn"`
	Exchange traffic.ExchangeID `json:"exchange,omitempty"`
	MootBy   string             `json:"moot_by,omitempty"`
}

func (d *diagnosis) writeJSON(w io.Writer, groups []diagnose.Group) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for i := range groups {
		g, x := &groups[i], &groups[i].Example
		var ruled []string
		for _, r := range x.NotIt {
			ruled = append(ruled, r.What+": "+r.Why)
		}
		if err := enc.Encode(diagnosisJSON{
			"mpproxy.diagnosis", 1, x.Kind.Code, x.Kind.Ref, x.Kind.Severity.String(), x.Leg.String(), x.Who, x.Sure,
			x.Kind.Title, x.Kind.Why, x.Proof, x.Do, x.Check, ruled, g.Count, g.First.UTC(), g.Last.UTC(), g.Agents, g.AgentCount,
			g.Conn, x.Exchange, g.MootBy,
		}); err != nil {
			return err
		}
	}
	return nil
}
