// Package report writes what a capture shows as one page for a ticket.
//
// Diagnoses come first, each with the ladder of a connection that has it, then
// findings by kind, agents, and the exchanges that are concerned, without their
// secrets. The page is one HTML file that needs nothing else and runs no script.
package report

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"mpproxy/capture"
	"mpproxy/diagnose"
	"mpproxy/export"
	"mpproxy/filter"
	"mpproxy/internal/evidence"
	"mpproxy/internal/view"
	"mpproxy/traffic"
)

// Options says what a report has.
type Options struct {
	// Filter takes exchanges, and with them their connections; nil takes those
	// with a warning or an error, and all connections.
	Filter *filter.Filter
	// Secrets leaves passwords, tokens and signatures in.
	Secrets bool
	Format  view.Format
	// Made is when the report is written, By what writes it.
	Made time.Time
	By   string
}

// The most that a page shows.
const (
	maxExchanges = 200
	maxAgents    = 500
	maxText      = 32 << 10 // bytes of one text
)

// Report is a page before it is written. All of it is clean.
type Report struct {
	File, Made, By string
	Facts          []view.Fact
	Diagnoses      []Diagnosis
	Kinds          []Kind
	Agents         []Agent
	Exchanges      []Exchange
	// MoreAgents and MoreExchanges are how many are left out.
	MoreAgents, MoreExchanges int
	// Redacted is how many secret values were taken out; Secrets says that none
	// were.
	Redacted int
	Secrets  bool
}

// Diagnosis is a fault of connections: its title, where and how often it was
// found, what is said of it, and both legs of a connection that has it.
type Diagnosis struct {
	Sev, Title, Code, When, Agents string
	Sections                       []view.Section
	Conn                           traffic.ConnID
	Legs                           []Leg
}

// Leg is a leg's ladder in lines.
type Leg struct {
	Name  string
	Lines []string
}

// Kind is what was found of one kind in messages.
type Kind struct {
	Sev, Code, Title, Why, Remedy string
	Count, Agents                 int64
}

// Agent is a line of the table of agents.
type Agent struct {
	Name, Client, Address, Auth, First, Last string
	Exchanges, Errors, Warnings              int64
}

// Exchange is one exchange, with its findings in lines.
type Exchange struct {
	ID       traffic.ExchangeID
	Sev      string
	When     string
	Title    string
	How      string
	Findings [][]string
	Messages []Message
}

// Message is one direction of an exchange.
type Message struct {
	Name               string
	Head, Header, Text string
}

// Gather reads a report from a capture.
func Gather(ctx context.Context, s *capture.Store, o Options) (*Report, error) {
	r := &Report{File: filepath.Base(s.Path()), Made: o.Format.Time(o.Made, stamp), By: o.By, Secrets: o.Secrets}
	g := gatherer{Report: r, store: s, o: o, survey: evidence.New(s, nil)}
	for _, step := range []func(context.Context) error{g.totals, g.exchanges, g.diagnoses, g.kinds, g.agents} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return r, nil
}

const stamp = "2006-01-02 15:04:05 -07:00"

type gatherer struct {
	*Report
	store  *capture.Store
	o      Options
	survey *evidence.Survey
	// wanted are the connections of a filter's exchanges; nil takes all.
	wanted map[traffic.ConnID]bool
}

func (g *gatherer) clean(s string) string { return view.Clean(s, g.o.Format.ASCII) }

func (g *gatherer) totals(ctx context.Context) error {
	t, err := g.store.Totals(ctx)
	if err != nil {
		return err
	}
	g.Facts = []view.Fact{
		{Label: "Capture", Value: g.clean(g.File)},
		{Label: "From", Value: g.o.Format.Time(t.From, stamp)},
		{Label: "To", Value: g.o.Format.Time(t.To, stamp)},
		{Label: "Seen", Value: fmt.Sprintf("%d exchanges on %d connections, %d with an error", t.Exchanges, t.Conns, t.Errors)},
	}
	if t.LostEvents > 0 {
		g.Facts = append(g.Facts, view.Fact{Label: "Lost", Value: fmt.Sprintf("%d events could not be recorded", t.LostEvents)})
	}
	if g.o.Filter != nil {
		g.Facts = append(g.Facts, view.Fact{Label: "Only", Value: g.clean(g.o.Filter.String())})
	}
	return nil
}

// scanStep is how many rows are read at once.
const scanStep = 256

// exchanges takes those that the filter finds, or those with a warning or an
// error.
func (g *gatherer) exchanges(ctx context.Context) error {
	f := g.o.Filter
	if f == nil {
		worth, err := filter.Parse("sev:W", g.o.Made, time.UTC)
		if err != nil {
			return err
		}
		f = worth
	} else {
		g.wanted = map[traffic.ConnID]bool{}
	}
	load := export.NewLoader(g.store, g.o.Secrets)
	for from := traffic.ExchangeID(0); ; {
		rows, err := g.store.Page(ctx, f, from, capture.Newer, scanStep)
		if err != nil {
			return err
		}
		for i := range rows {
			if err := g.exchange(ctx, load, &rows[i]); err != nil {
				return err
			}
		}
		if len(rows) < scanStep {
			break
		}
		from = rows[len(rows)-1].ID
	}
	g.Redacted = load.Redacted
	return nil
}

func (g *gatherer) exchange(ctx context.Context, load *export.Loader, row *capture.Row) error {
	if g.wanted != nil {
		g.wanted[row.Conn] = true
	}
	if len(g.Exchanges) >= maxExchanges {
		g.MoreExchanges++
		return nil
	}
	item, err := load.Load(ctx, *row)
	if err != nil {
		return err
	}
	x := Exchange{
		ID: row.ID, Sev: row.Sev.Letter(), When: g.o.Format.Time(row.Begun, "2006-01-02 15:04:05.000"),
		Title: g.clean(row.Who() + "  " + view.KindName(row.Kind) + "  " + cmp.Or(row.Long, row.Short, row.Err)),
		How:   g.clean(view.FateWords(row.Fate)),
	}
	for _, found := range item.Findings {
		x.Findings = append(x.Findings, view.Finding(found, g.o.Format))
	}
	for _, m := range []struct {
		name string
		of   *export.Message
	}{{"Request", item.Request}, {"sent on in its place", item.Sent}, {"Reply", item.Reply}, {"returned in its place", item.Returned}} {
		if m.of != nil && m.of.Head.Start != "" {
			x.Messages = append(x.Messages, g.message(m.name, m.of))
		}
	}
	g.Exchanges = append(g.Exchanges, x)
	return nil
}

func (g *gatherer) message(name string, m *export.Message) Message {
	out := Message{Name: name, Head: lines(view.Head(m.Head, g.o.Format))}
	if d := m.Decoded; d != nil {
		out.Header = lines(view.Text(cut(d.HeaderText.String), g.o.Format))
		out.Text = lines(view.Text(cut(d.Text.String), g.o.Format))
	}
	return out
}

func lines(all []string) (text string) {
	for _, line := range all {
		text += line + "\n"
	}
	return text
}

func cut(s string) string {
	if len(s) <= maxText {
		return s
	}
	return s[:maxText] + fmt.Sprintf("\n… %d bytes more", len(s)-maxText)
}

func (g *gatherer) diagnoses(ctx context.Context) error {
	folding, err := g.survey.Run(ctx, g.wanted)
	if err != nil {
		return err
	}
	all := folding.Groups()
	seen, good := g.survey.Agents()
	for i := range all {
		group := &all[i]
		if group.MootBy != "" {
			continue
		}
		d := Diagnosis{
			Sev: group.Example.Kind.Severity.Letter(), Title: g.clean(view.DiagnosisTitle(&group.Example)), Code: group.Example.Kind.Code,
			When: view.GroupWhen(group, g.o.Format), Agents: g.clean(view.Concerned(group, seen, good)), Conn: group.Conn,
		}
		for _, part := range append(view.Diagnosis(&group.Example), view.Explained(group, all)) {
			if len(part.Lines) == 0 {
				continue
			}
			for j := range part.Lines {
				part.Lines[j] = g.clean(part.Lines[j])
			}
			d.Sections = append(d.Sections, part)
		}
		if d.Legs, err = g.legs(ctx, group); err != nil {
			return err
		}
		g.Diagnoses = append(g.Diagnoses, d)
	}
	return nil
}

// legs are the ladders of a connection that a fault was found on.
func (g *gatherer) legs(ctx context.Context, group *diagnose.Group) ([]Leg, error) {
	if group.Example.Kind.Severity < traffic.Warning {
		return nil, nil
	}
	c, err := view.LoadConnection(ctx, g.store, group.Conn)
	if errors.Is(err, capture.ErrNone) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var legs []Leg
	for _, side := range []traffic.Side{traffic.AgentSide, traffic.UpstreamSide} {
		leg := Leg{Name: view.SideName(side)}
		for _, step := range c.Leg(side, g.o.Format) {
			leg.Lines = append(leg.Lines, step.Line(g.o.Format))
		}
		legs = append(legs, leg)
	}
	return legs, nil
}

func (g *gatherer) kinds(ctx context.Context) error {
	if g.o.Filter != nil { // sums are of the whole capture
		return nil
	}
	groups, err := g.store.FindingGroups(ctx, time.Time{})
	if err != nil {
		return err
	}
	for _, k := range groups {
		if k.Count > k.Moot {
			g.Kinds = append(g.Kinds, Kind{
				k.Kind.Severity.Letter(), k.Kind.Code, g.clean(k.Kind.Title), g.clean(k.Kind.Why), g.clean(k.Kind.Remedy), k.Count - k.Moot, k.Agents,
			})
		}
	}
	return nil
}

func (g *gatherer) agents(ctx context.Context) error {
	if g.o.Filter != nil {
		return nil
	}
	seen, err := g.store.Agents(ctx)
	if err != nil {
		return err
	}
	all := view.AgentsOf(seen)
	for i := range all[:min(len(all), maxAgents)] {
		a := &all[i]
		g.Agents = append(g.Agents, Agent{
			g.clean(a.Name), g.clean(strings.Join(a.Clients, " ")), g.clean(strings.Join(a.Addresses, " ")), g.clean(a.Auth),
			g.o.Format.Time(a.First, time.DateTime), g.o.Format.Time(a.Last, time.DateTime), a.Exchanges, a.Errors, a.Warnings,
		})
	}
	g.MoreAgents = len(all) - len(g.Agents)
	return nil
}
