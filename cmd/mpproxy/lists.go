package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"mpproxy/capture"
	"mpproxy/internal/evidence"
	"mpproxy/internal/view"
	"mpproxy/traffic"
)

// summing is what commands that list something other than exchanges have in
// common.
type summing struct {
	File string `arg:"" type:"path" help:"The capture."`
	output
	Width     int  `default:"120" help:"How wide lines are."`
	NoHeading bool `help:"No line with the columns' names."`
}

// printList prints things as lines of a table, or as JSON.
func printList[R any](c *summing, e *env, table view.Table[R], things []R, object func(R) any) error {
	if c.JSON {
		enc := json.NewEncoder(e.stdout)
		enc.SetEscapeHTML(false)
		for _, r := range things {
			if err := enc.Encode(object(r)); err != nil {
				return err
			}
		}
		return nil
	}
	layout, f := table.For(c.Width), c.format(e)
	if len(c.Columns) > 0 {
		var err error
		if layout, err = table.Of(c.Columns, c.Width); err != nil {
			return usage(err, "")
		}
	}
	if !c.NoHeading {
		if _, err := fmt.Fprintln(e.stdout, layout.Heading(f)); err != nil {
			return err
		}
	}
	for _, r := range things {
		if _, err := fmt.Fprintln(e.stdout, layout.Line(r, f)); err != nil {
			return err
		}
	}
	return nil
}

// agentsCommand is "mpproxy agents".
type agentsCommand struct{ summing }

type agentJSON struct {
	Schema     string    `json:"schema"`
	V          int       `json:"v"`
	Agent      string    `json:"agent"`
	Clients    []string  `json:"clients"`
	Addresses  []string  `json:"addresses"`
	Auth       string    `json:"auth"`
	Registered string    `json:"registered"`
	First      time.Time `json:"first"`
	Last       time.Time `json:"last"`
	Exchanges  int64     `json:"exchanges"`
	Errors     int64     `json:"errors"`
	Warnings   int64     `json:"warnings"`
	Bytes      int64     `json:"bytes"`
}

// Run lists the agents.
func (c *agentsCommand) Run(ctx context.Context, e *env) error {
	s, err := openStore(c.File)
	if err != nil {
		return err
	}
	defer s.Close()
	seen, err := s.Agents(ctx)
	if err != nil {
		return err
	}
	return quietPipe(printList(&c.summing, e, view.Agents, view.AgentsOf(seen), func(a view.Agent) any {
		return agentJSON{
			"mpproxy.agent", 1, a.Name, a.Clients, a.Addresses, a.Auth, a.Registered(), a.First.UTC(), a.Last.UTC(),
			a.Exchanges, a.Errors, a.Warnings, a.Bytes,
		}
	}))
}

// connPage is how many connections are read at once.
const connPage = 200

// connsCommand is "mpproxy conns".
type connsCommand struct {
	summing
	Failed bool `help:"Only connections with a handshake that failed, or a finding of warning or worse about the connection itself."`
}

type legJSON struct {
	Address  string    `json:"address"`
	TLS      string    `json:"tls,omitempty"`
	BytesIn  int64     `json:"bytes_in"`
	BytesOut int64     `json:"bytes_out"`
	End      string    `json:"end"`
	EndedAt  time.Time `json:"ended_at,omitzero"`
	Err      string    `json:"err,omitempty"`
}

type connJSON struct {
	Schema     string         `json:"schema"`
	V          int            `json:"v"`
	ID         traffic.ConnID `json:"id"`
	Listener   string         `json:"listener"`
	Mode       string         `json:"mode"`
	Agent      string         `json:"agent"`
	Upstream   string         `json:"upstream"`
	Opened     time.Time      `json:"opened"`
	Closed     time.Time      `json:"closed,omitzero"`
	Sev        string         `json:"sev"`
	Handshakes int            `json:"handshakes"`
	Failed     int            `json:"handshakes_failed"`
	Passed     bool           `json:"passed_through,omitempty"`
	Exchanges  int64          `json:"exchanges"`
	AgentLeg   legJSON        `json:"agent_leg"`
	MPLeg      legJSON        `json:"mp_leg"`
}

func legOf(l traffic.Leg, tls string) legJSON {
	return legJSON{l.Address, tls, l.BytesIn, l.BytesOut, string(l.End), l.EndedAt.UTC(), l.Err}
}

// Run lists the connections, page by page.
func (c *connsCommand) Run(ctx context.Context, e *env) error {
	s, err := openStore(c.File)
	if err != nil {
		return err
	}
	defer s.Close()
	heading := c.summing
	for last := traffic.ConnID(0); ; {
		page, err := s.Conns(ctx, last, capture.Newer, connPage)
		if err != nil || len(page) == 0 {
			return err
		}
		last = page[len(page)-1].ID
		if c.Failed {
			page = failing(page)
		}
		err = printList(&heading, e, view.Conns, page, func(r capture.ConnRow) any {
			return connJSON{
				"mpproxy.connection", 1, r.ID, r.Listener, r.Mode, r.Agent, r.Upstream, r.Opened.UTC(), r.Closed.UTC(),
				r.Sev.String(), r.Handshakes, r.Failed, r.Passed, r.Exchanges, legOf(r.AgentLeg, r.AgentTLS), legOf(r.UpstreamLeg, r.UpstreamTLS),
			}
		})
		if err != nil {
			return quietPipe(err)
		}
		heading.NoHeading = true
	}
}

func failing(rows []capture.ConnRow) []capture.ConnRow {
	var out []capture.ConnRow
	for _, r := range rows {
		if r.Failed > 0 || r.OwnSev >= traffic.Warning {
			out = append(out, r)
		}
	}
	return out
}

// findingsCommand is "mpproxy findings".
type findingsCommand struct {
	summing
	Since time.Duration `help:"Only what was found in exchanges that began so long ago at most, such as 24h."`
}

type findingGroupJSON struct {
	Schema string    `json:"schema"`
	V      int       `json:"v"`
	Code   string    `json:"code"`
	Ref    string    `json:"ref"`
	Sev    string    `json:"sev"`
	Title  string    `json:"title"`
	Why    string    `json:"why"`
	Remedy string    `json:"remedy"`
	Who    string    `json:"who"`
	Count  int64     `json:"count"`
	Agents int64     `json:"agents"`
	Moot   int64     `json:"moot"`
	First  time.Time `json:"first"`
	Last   time.Time `json:"last"`
	Silent bool      `json:"silenced,omitempty"`
	MootBy string    `json:"moot_by,omitempty"`
	// These are of diagnoses of connections alone.
	Leg  string         `json:"leg,omitempty"`
	Sure string         `json:"sure,omitempty"`
	Conn traffic.ConnID `json:"conn,omitempty"`
}

// Run lists the findings by kind.
func (c *findingsCommand) Run(ctx context.Context, e *env) error {
	s, err := openStore(c.File)
	if err != nil {
		return err
	}
	defer s.Close()
	since := time.Time{}
	if c.Since > 0 {
		since = time.Now().Add(-c.Since)
	}
	stored, err := s.FindingGroups(ctx, since)
	if err != nil {
		return err
	}
	totals, err := s.Totals(ctx)
	if err != nil {
		return err
	}
	standing := evidence.NewStanding(s, since, nil)
	report, clear := e.progress("judging connections")
	err = standing.Update(ctx, func() { report(int64(standing.Judged()), totals.Conns) })
	clear()
	if err != nil {
		return err
	}
	return quietPipe(printList(&c.summing, e, view.Findings, view.FoundKinds(stored, standing.Groups()), func(g view.FoundKind) any {
		k := g.Kind
		out := findingGroupJSON{
			"mpproxy.finding-kind", 1, k.Code, k.Ref, k.Severity.String(), k.Title, k.Why, k.Remedy, g.Who,
			g.Count, g.Agents, g.Moot, g.First.UTC(), g.Last.UTC(), g.Silenced, g.MootBy, "", "", 0,
		}
		if d := g.Diagnosis; d != nil {
			out.Leg, out.Sure, out.Conn = d.Example.Leg.String(), d.Example.Sure, d.Conn
		}
		return out
	}))
}

// statsCommand is "mpproxy stats".
type statsCommand struct {
	summing
	Since time.Duration `help:"Only exchanges that began so long ago at most, such as 1h."`
}

type endpointJSON struct {
	Schema    string  `json:"schema"`
	V         int     `json:"v"`
	Endpoint  string  `json:"endpoint"`
	Exchanges int64   `json:"exchanges"`
	Errors    int64   `json:"errors"`
	ReqBytes  int64   `json:"req_bytes"`
	RespBytes int64   `json:"resp_bytes"`
	P50       float64 `json:"p50_ms"`
	P95       float64 `json:"p95_ms"`
	P99       float64 `json:"p99_ms"`
	Max       float64 `json:"max_ms"`
}

// Run prints what the exchanges of each endpoint add up to.
func (c *statsCommand) Run(ctx context.Context, e *env) error {
	s, err := openStore(c.File)
	if err != nil {
		return err
	}
	defer s.Close()
	from := time.Time{}
	if c.Since > 0 {
		from = time.Now().Add(-c.Since)
	}
	minutes, err := s.Minutes(ctx, from, time.Time{})
	if err != nil {
		return err
	}
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }
	err = printList(&c.summing, e, view.Endpoints, view.EndpointStats(minutes), func(r view.EndpointStat) any {
		return endpointJSON{
			"mpproxy.endpoint", 1, r.Endpoint, r.Exchanges, r.Errors, r.ReqBytes, r.RespBytes,
			ms(r.Quantile(0.5)), ms(r.Quantile(0.95)), ms(r.Quantile(0.99)), ms(r.Longest),
		}
	})
	if err == nil && !c.JSON {
		err = c.totals(ctx, e.stdout, s)
	}
	return quietPipe(err)
}

// totals prints what the whole capture adds up to.
func (c *statsCommand) totals(ctx context.Context, w io.Writer, s *capture.Store) error {
	t, err := s.Totals(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "\nin all: %d exchanges of %d agents on %d connections, %d with errors; %s asked, %s answered; capture %s\n",
		t.Exchanges, t.Agents, t.Conns, t.Errors, view.Size(t.ReqBytes), view.Size(t.RespBytes), view.Size(t.Size))
	if t.LostEvents > 0 || t.LostBytes > 0 {
		_, lost := fmt.Fprintf(w, "not recorded: %d events, %s\n", t.LostEvents, view.Size(t.LostBytes))
		err = errors.Join(err, lost)
	}
	return err
}
