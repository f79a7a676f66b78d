package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"mpproxy/capture"
	"mpproxy/diagnose"
	"mpproxy/filter"
	"mpproxy/internal/view"
	"mpproxy/traffic"
)

// flaws are what was found in messages and is as bad as a fault of a
// connection, apart from what those explain. Of a filter's exchanges, or of all.
func (d *diagnosis) flaws(ctx context.Context, words []string, judged []diagnose.Group) ([]view.FoundKind, error) {
	stored, err := d.stored(ctx, words)
	if err != nil {
		return nil, err
	}
	var out []view.FoundKind
	for _, k := range view.FoundKinds(stored, judged) {
		if k.Diagnosis == nil && k.MootBy == "" && k.Kind.Severity >= traffic.Warning && k.Count > k.Moot && !k.Silenced && !diagnose.Judges(k.Kind.Code) {
			out = append(out, k)
		}
	}
	return out, nil
}

func (d *diagnosis) stored(ctx context.Context, words []string) ([]capture.FindingGroup, error) {
	if len(words) == 0 {
		return d.store.FindingGroups(ctx, time.Time{})
	}
	f, err := parseFilter(words)
	if err != nil {
		return nil, err
	}
	return d.storedOf(ctx, f)
}

// storedOf sums up what was found in some exchanges.
func (d *diagnosis) storedOf(ctx context.Context, f *filter.Filter) ([]capture.FindingGroup, error) {
	var groups []capture.FindingGroup
	at := map[string]int{}
	agents := map[string]map[string]bool{}
	err := each(ctx, d.store, f, 0, func(r capture.Row) error {
		if r.Sev < traffic.Warning {
			return nil
		}
		found, err := d.store.Findings(ctx, r.ID)
		for _, x := range found {
			i, known := at[x.Kind.Code]
			if !known {
				i, at[x.Kind.Code], agents[x.Kind.Code] = len(groups), len(groups), map[string]bool{}
				groups = append(groups, capture.FindingGroup{Kind: x.Kind, First: r.Begun, Who: x.Who})
			}
			g := &groups[i]
			g.Count, g.Last = g.Count+1, r.Begun
			if x.MootBy != "" {
				g.Moot++
			}
			if who := agents[x.Kind.Code]; len(who) < maxFlawAgents {
				who[r.Who()] = true
			}
			g.Agents = int64(len(agents[x.Kind.Code]))
		}
		return err
	})
	return groups, err
}

// maxFlawAgents is how many agents are told apart.
const maxFlawAgents = 10_000

// example is the newest occurrence of a kind.
func (d *diagnosis) example(ctx context.Context, k *view.FoundKind) (capture.Found, error) {
	found, err := d.store.FindingsOf(ctx, k.Kind.Code, 1)
	if err != nil || len(found) == 0 {
		return capture.Found{}, err
	}
	return found[0], nil
}

// writeFlaws prints what was found in messages below a heading, which may be
// empty.
func (d *diagnosis) writeFlaws(ctx context.Context, w io.Writer, flaws []view.FoundKind, heading string, f view.Format) error {
	if len(flaws) == 0 {
		return nil
	}
	var b strings.Builder
	b.WriteString(heading)
	for i := range flaws {
		k := &flaws[i]
		x, err := d.example(ctx, k)
		if err != nil {
			return err
		}
		for _, line := range k.Flaw(x, f) {
			b.WriteString(line + "\n")
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (d *diagnosis) writeFlawsJSON(ctx context.Context, w io.Writer, flaws []view.FoundKind) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for i := range flaws {
		k := &flaws[i]
		x, err := d.example(ctx, k)
		if err != nil {
			return err
		}
		if err := enc.Encode(diagnosisJSON{
			Schema: "mpproxy.diagnosis", V: 1, Code: k.Kind.Code, Ref: k.Kind.Ref, Sev: k.Kind.Severity.String(), Leg: x.Leg.String(), Who: k.Who,
			Sure: x.Sure, Title: k.Kind.Title, Why: k.Kind.Why, Evidence: []string{x.Evidence}, Do: []string{k.Kind.Remedy},
			Check: []string{k.Seek()}, Count: int(k.Count), First: k.First.UTC(), Last: k.Last.UTC(), Agents: []string{},
			AgentsN: int(k.Agents), Conn: x.Conn, Exchange: x.Exchange,
		}); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
	return nil
}
