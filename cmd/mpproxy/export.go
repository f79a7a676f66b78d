package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"mpproxy/capture"
	"mpproxy/export"
	"mpproxy/filter"
	"mpproxy/internal/view"
)

// exportCommand is "mpproxy export".
type exportCommand struct {
	File    string   `arg:"" type:"path" help:"The capture."`
	Filter  []string `arg:"" optional:"" help:"Which exchanges, such as: kind:policy* agent:PC-0419"`
	Format  string   `help:"har, jsonl, pcapng, cmtrace, or in a folder curl, powershell, go-test; \"list\" describes them." default:"har"`
	Output  string   `short:"o" type:"path" help:"The file to write, or the folder. Default for formats of one file: standard output." placeholder:"PATH"`
	Secrets bool     `help:"Leave passwords, tokens, signatures and the secrets of policies in."`
}

// Run exports.
func (c *exportCommand) Run(ctx context.Context, e *env) (err error) {
	if c.Format == "list" {
		for _, f := range export.Formats() {
			fmt.Fprintf(e.stdout, "%-10s  %s\n", f.Name, f.Help)
		}
		return nil
	}
	format, err := export.Named(c.Format)
	if err != nil {
		return usage(err, "")
	}
	f, err := parseFilter(c.Filter)
	if err != nil {
		return err
	}
	if c.Output == "-" {
		c.Output = ""
	}
	if err := notItself(c.Output, c.File); err != nil {
		return err
	}
	s, err := openStore(c.File)
	if err != nil {
		return err
	}
	defer s.Close()
	x, err := export.To(s, format, c.Output, e.stdout, c.Secrets)
	if err != nil {
		return usage(err, "-o PATH says where.")
	}
	report, clear := e.progress("exporting")
	err = all(ctx, s, f, report, func(r capture.Row) error { return x.Add(ctx, r) })
	if err == nil {
		err = x.AddTLS(ctx, len(c.Filter) == 0)
	}
	n, err := x.Close(err)
	clear()
	if err != nil {
		return quietPipe(err)
	}
	fmt.Fprintln(e.stderr, c.account(n))
	return nil
}

// account says what came of an export.
func (c *exportCommand) account(n export.Count) string {
	words := []string{view.Plural(int64(n.Exchanges), "exchange") + " exported"}
	if n.Skipped > 0 {
		words = append(words, fmt.Sprintf("%d have no place in %s", n.Skipped, c.Format))
	}
	if n.Cut > 0 {
		words = append(words, fmt.Sprintf("%d bodies were too large to be whole", n.Cut))
	}
	switch {
	case n.TLS > 0 && c.Secrets:
		words = append(words, fmt.Sprintf("TLS of %d connections with the secrets that open it", n.TLS))
	case n.TLS > 0:
		words = append(words, fmt.Sprintf("TLS of %d connections, encrypted (--secrets adds what opens it)", n.TLS))
	}
	switch {
	case c.Secrets:
		words = append(words, "secrets are in it")
	case n.Redacted > 0:
		words = append(words, fmt.Sprintf("%d secret values taken out (--secrets leaves them in)", n.Redacted))
	}
	return strings.Join(words, "; ")
}

// all gives every exchange that the filter lets pass to visit, in the order of
// their numbers, and reports how far it is.
func all(ctx context.Context, s *capture.Store, f *filter.Filter, report func(done, all int64), visit func(capture.Row) error) error {
	last, err := s.Last(ctx)
	if err != nil {
		return err
	}
	err = each(ctx, s, f, 0, func(r capture.Row) error {
		report(int64(r.ID), int64(last))
		return visit(r)
	})
	return errors.Join(err, ctx.Err())
}
