package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"

	"mpproxy/capture"
	"mpproxy/compare"
	"mpproxy/internal/diff"
	"mpproxy/internal/whole"
	"mpproxy/traffic"
)

// diffCommand is "mpproxy diff".
type diffCommand struct {
	File      string `arg:"" type:"path" help:"A capture."`
	Other     string `arg:"" help:"Another capture; or the number of an exchange, to compare it with a second one, or with what went on in its place."`
	Second    string `arg:"" optional:"" help:"The number of the second exchange."`
	Where     string `help:"Of two captures, compare only exchanges that pass this filter." placeholder:"FILTER"`
	Forwarded bool   `help:"Compare what went on in place of what was received, where a rule changed it."`
	verdicts
}

// verdicts is how commands that compare say what came of it.
type verdicts struct {
	Vary    string `type:"path" help:"A file with more of what may vary (docs/replay.md)." placeholder:"FILE.yaml"`
	Varied  bool   `help:"Also list what differs and may."`
	Replies bool   `help:"Compare only the replies."`
	JSON    bool   `help:"One JSON object for each pair, and one for the sums."`
	Secrets bool   `help:"Show passwords, tokens, signatures and the secrets of policies where they differ."`
	JUnit   string `name:"junit" type:"path" help:"Also write the outcome as JUnit XML." placeholder:"FILE.xml"`
	ASCII   bool   `name:"ascii" help:"Print ASCII only."`
}

// Run compares.
func (c *diffCommand) Run(ctx context.Context, e *env) error {
	a, err := openStore(c.File)
	if err != nil {
		return err
	}
	defer a.Close()
	for _, file := range []string{c.File, c.Other} {
		if err := notItself(c.JUnit, file); err != nil {
			return err
		}
	}
	v, err := c.begin(e, filepath.Base(c.File), c.Other)
	if err != nil {
		return err
	}
	first, err := strconv.ParseInt(c.Other, 10, 64)
	switch {
	case err != nil && c.Second != "":
		err = usage(fmt.Errorf("%q is not the number of an exchange, and %s stands behind it", c.Other, c.Second), "diff takes two captures, or one and one or two numbers.")
	case err != nil:
		err = c.captures(ctx, a, v)
	case c.Second == "":
		err = v.forwarded(ctx, a, traffic.ExchangeID(first))
	default:
		err = c.exchanges(ctx, a, v, traffic.ExchangeID(first))
	}
	return v.end(err)
}

func (c *diffCommand) captures(ctx context.Context, a *capture.Store, v *verdict) error {
	f, err := parseFilter(strings.Fields(c.Where))
	if err != nil {
		return err
	}
	b, err := openStore(c.Other)
	if err != nil {
		return err
	}
	defer b.Close()
	return diff.Captures(ctx, a, b, diff.Options{Filter: f, Vary: v.vary, Forwarded: c.Forwarded}, v.take)
}

func (c *diffCommand) exchanges(ctx context.Context, s *capture.Store, v *verdict, first traffic.ExchangeID) error {
	second, err := strconv.ParseInt(c.Second, 10, 64)
	if err != nil {
		return usage(fmt.Errorf("%q is not the number of an exchange", c.Second), "mpproxy ls lists the numbers there are.")
	}
	a, err := diff.Load(ctx, s, first, c.Forwarded)
	if err != nil {
		return missing(err)
	}
	b, err := diff.Load(ctx, s, traffic.ExchangeID(second), c.Forwarded)
	if err != nil {
		return missing(err)
	}
	return v.take(diff.Exchanges(a, b, v.vary))
}

func missing(err error) error {
	if errors.Is(err, capture.ErrNone) {
		return usage(err, "mpproxy ls lists the numbers there are.")
	}
	return err
}

// verdict gathers outcomes, and gives the exit code.
type verdict struct {
	vary    compare.Table
	reports []diff.Report
	sum     diff.Summary
	replies bool
	secrets bool
	// differed counts what differed before this run, of a replay that goes on.
	differed int
	// junit is the report of --junit, which goes to junitFile; nil writes none.
	junit     *diff.JUnit
	junitFile *whole.File
}

// begin opens the reports that were asked for.
func (o *verdicts) begin(e *env, a, b string) (*verdict, error) {
	v := &verdict{vary: compare.Standard(), replies: o.Replies, secrets: o.Secrets}
	if o.Vary != "" {
		more, err := readVary(o.Vary)
		if err != nil {
			return nil, usage(err, "")
		}
		v.vary = slices.Concat(more, v.vary)
	}
	if o.JSON {
		v.reports = append(v.reports, &diff.JSON{W: e.stdout})
	} else {
		v.reports = append(v.reports, &diff.Text{W: e.stdout, Format: output{ASCII: o.ASCII}.format(e), Varied: o.Varied, Names: [2]string{a, b}})
	}
	if o.JUnit != "" {
		f, err := whole.Create(o.JUnit)
		if err != nil {
			return nil, usage(err, "--junit FILE says where.")
		}
		v.junit, v.junitFile = &diff.JUnit{W: f, Suite: a + " | " + b}, f
		v.reports = append(v.reports, v.junit)
	}
	return v, nil
}

// take takes one outcome.
func (v *verdict) take(o diff.Outcome) error {
	if v.replies {
		o.Request = nil
	}
	if !v.secrets {
		o = o.WithoutSecrets()
	}
	v.sum.Add(o)
	for _, r := range v.reports {
		if err := r.Outcome(o); err != nil {
			return err
		}
	}
	return nil
}

// forwarded compares what came of an exchange with what went on.
func (v *verdict) forwarded(ctx context.Context, s *capture.Store, id traffic.ExchangeID) error {
	o, err := diff.Forwarded(ctx, s, id, v.vary)
	if err != nil {
		return missing(err)
	}
	if o.Request == nil && o.Reply == nil {
		return usage(fmt.Errorf("exchange %d went on as it came", id), "Give the number of a second exchange to compare it with.")
	}
	return v.take(o)
}

// end writes the sums; it is an error with exit code 5 when something differs.
// err is what ended the comparing before, and leaves no half JUnit file.
func (v *verdict) end(err error) error {
	if err == nil {
		for _, r := range v.reports {
			err = errors.Join(err, r.End(v.sum))
		}
	}
	if v.junit != nil {
		err = v.junitFile.End(errors.Join(err, v.junit.Close()))
	}
	if err != nil {
		return quietPipe(err)
	}
	if v.sum.Differ() || v.differed > 0 {
		return &exit{code: exitDiffers, err: errors.New("")}
	}
	return nil
}

// varyFile is a file of --vary.
type varyFile struct {
	Vary []struct {
		Place string `yaml:"place"`
		Kind  string `yaml:"kind"`
		Form  string `yaml:"form"`
		Why   string `yaml:"why"`
	} `yaml:"vary"`
}

// readVary reads rows for the table of what may vary.
func readVary(path string) (compare.Table, error) {
	src, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read --vary: %w", err)
	}
	var in varyFile
	if err := yaml.UnmarshalWithOptions(src, &in, yaml.Strict()); err != nil {
		return nil, placed(path, err)
	}
	var out compare.Table
	for i, r := range in.Vary {
		if r.Place == "" || r.Why == "" {
			return nil, fmt.Errorf("%s: row %d: place and why are needed, as in: {place: text **/@Build, why: another build}", path, i+1)
		}
		if r.Form != "" && !slices.Contains(compare.Forms(), r.Form) {
			return nil, fmt.Errorf("%s: row %d: unknown form %q (known: %s)", path, i+1, r.Form, strings.Join(compare.Forms(), ", "))
		}
		out = append(out, compare.Vary{Place: r.Place, Kind: r.Kind, Form: r.Form, Why: r.Why})
	}
	return out, nil
}
