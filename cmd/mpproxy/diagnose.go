package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mpproxy/capture"
	"mpproxy/diagnose"
	"mpproxy/internal/evidence"
	"mpproxy/internal/view"
	"mpproxy/traffic"
)

// diagnoseCommand is "mpproxy diagnose".
type diagnoseCommand struct {
	File    string   `arg:"" type:"path" help:"The capture."`
	Filter  []string `arg:"" optional:"" help:"Only connections that carried such exchanges, as in: agent:PC-0419"`
	Earlier []string `type:"path" sep:"none" help:"A capture from before, to compare with: whether the site's certificates and keys have changed since, and which names agents were given. Several times, the oldest first." placeholder:"FILE"`
	JSON    bool     `help:"One JSON object a finding."`
	UTC     bool     `name:"utc" help:"Print times in UTC in place of local ones."`
	ASCII   bool     `name:"ascii" help:"Print ASCII only."`
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
	d := newDiagnosis(s)
	for _, file := range c.Earlier {
		if err := d.earlier(ctx, file); err != nil {
			return err
		}
	}
	if len(c.Filter) > 0 {
		if err := d.only(ctx, c.Filter); err != nil {
			return err
		}
	}
	report, clear := e.progress("fetching revocation lists")
	err = c.fetchFor(ctx, d, report)
	clear()
	if err != nil {
		return err
	}
	if err := d.judge(ctx, e); err != nil {
		return err
	}
	groups := d.folding.Groups()
	flaws, err := d.flaws(ctx, c.Filter, groups)
	if err != nil {
		return err
	}
	if err := c.print(ctx, e, d, groups, flaws); err != nil {
		return quietPipe(err)
	}
	worst := worstGroup(groups)
	for _, k := range flaws {
		worst = max(worst, k.Kind.Severity)
	}
	if least := severities[c.FailOn]; least > 0 && worst >= least {
		return &exit{code: exitFindings, err: fmt.Errorf("faults were found in %s", c.File)}
	}
	return nil
}

func (c *diagnoseCommand) print(ctx context.Context, e *env, d *diagnosis, groups []diagnose.Group, flaws []view.FoundKind) error {
	if c.JSON {
		if err := d.writeJSON(e.stdout, groups); err != nil {
			return err
		}
		return d.writeFlawsJSON(ctx, e.stdout, flaws)
	}
	f := output{UTC: c.UTC, ASCII: c.ASCII}.format(e)
	broken := worstGroup(groups) <= traffic.Info && slices.ContainsFunc(flaws, func(k view.FoundKind) bool { return k.Kind.Severity == traffic.Error })
	if !broken {
		if err := d.write(e.stdout, groups, f); err != nil {
			return err
		}
		return d.writeFlaws(ctx, e.stdout, flaws, "\nAlso found\n", f)
	}
	// What breaks messages comes before what is good to know.
	if err := d.writeFlaws(ctx, e.stdout, flaws, "", f); err != nil {
		return err
	}
	return d.writeGroups(e.stdout, groups, f)
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

// diagnosis is a survey of a capture and what it came to.
type diagnosis struct {
	store   *capture.Store
	survey  *evidence.Survey
	wanted  map[traffic.ConnID]bool // nil: all
	folding *diagnose.Folding
}

func newDiagnosis(s *capture.Store) *diagnosis {
	return &diagnosis{store: s, survey: evidence.New(s, nil), folding: &diagnose.Folding{}}
}

// earlier learns from a capture that was made before.
func (d *diagnosis) earlier(ctx context.Context, file string) error {
	s, err := openStore(file)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := d.survey.Earlier(ctx, s, filepath.Base(file)); err != nil {
		return fmt.Errorf("read %s, to compare with: %w", file, err)
	}
	return nil
}

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

// judge runs the survey, and shows how far it is.
func (d *diagnosis) judge(ctx context.Context, e *env) error {
	t, err := d.store.Totals(ctx)
	if err != nil {
		return err
	}
	report, clear := e.progress("judging")
	defer clear()
	d.survey.Step = func(heard traffic.ExchangeID, judged traffic.ConnID) {
		report(int64(heard)+int64(judged), int64(t.Last)+t.Conns)
	}
	return d.run(ctx)
}

func (d *diagnosis) run(ctx context.Context) (err error) {
	d.folding, err = d.survey.Run(ctx, d.wanted)
	return err
}

// concerned says how many agents a group is about, and how the others fare.
func (d *diagnosis) concerned(g *diagnose.Group) string {
	all, good := 0, 0
	if d.survey != nil {
		all, good = d.survey.Agents()
	}
	return view.Concerned(g, all, good)
}

// nothingSeen is what to look at when there is no traffic to judge.
const nothingSeen = `  No connection is here: no agent came, it went round mpproxy, or the filter takes none.
  Check    that mpproxy still listens where agents call (mpproxy doctor)
  Check    that agents use its name and port: DNS, hosts file, MP name of the agent
  Check    that no firewall stands between: Test-NetConnection NAME -Port PORT
  Check    that the service on the agent runs: LocationServices.log, ClientLocation.log
  Check    for a cloud connection point: that its role certificate has been issued
`

// write prints groups for people: causes, and under each what it explains.
func (d *diagnosis) write(w io.Writer, groups []diagnose.Group, f view.Format) error {
	var b strings.Builder
	if err := d.writeGroups(&b, groups, f); err != nil {
		return err
	}
	if worstGroup(groups) <= traffic.Info {
		fmt.Fprintf(&b, "no fault found in %d connections\n", d.folding.Conns)
		if n := d.folding.Sealed; n > 0 {
			fmt.Fprintf(&b, "  %d of them were passed through unopened: what was asked and answered in them cannot be seen (run --tls terminate opens them)\n", n)
		}
	}
	if d.folding.Conns == 0 {
		b.WriteString(nothingSeen)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (d *diagnosis) writeGroups(w io.Writer, groups []diagnose.Group, f view.Format) error {
	var b strings.Builder
	for i := range groups {
		if groups[i].MootBy == "" {
			d.writeGroup(&b, &groups[i], groups, f)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (d *diagnosis) writeGroup(b *strings.Builder, g *diagnose.Group, all []diagnose.Group, f view.Format) {
	x := &g.Example
	clean := func(s string) string { return view.Clean(s, f.ASCII) }
	b.WriteString(view.DiagnosisTitle(x) + "\n")
	fmt.Fprintf(b, "  %s  %s, connection %d; %s\n", x.Kind.Code, view.GroupWhen(g, f), g.Conn, clean(d.concerned(g)))
	section := func(name string, lines []string) {
		for _, line := range lines {
			fmt.Fprintf(b, "  %-9s  %s\n", name, clean(line))
			name = ""
		}
	}
	for _, part := range view.Diagnosis(x) {
		section(part.Label, part.Lines)
	}
	explained := view.Explained(g, all)
	section(explained.Label, explained.Lines)
	b.WriteByte('\n')
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
