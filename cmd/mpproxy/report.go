package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"time"

	"mpproxy/filter"
	"mpproxy/internal/view"
	"mpproxy/internal/whole"
	"mpproxy/report"
)

// reportCommand is "mpproxy report".
type reportCommand struct {
	File    string   `arg:"" type:"path" help:"The capture."`
	Filter  []string `arg:"" optional:"" help:"Only such exchanges and their connections, as in: agent:PC-0419. Default: exchanges with a warning or an error, and all connections."`
	Output  string   `short:"o" type:"path" help:"The page to write. Default: standard output." placeholder:"FILE.html"`
	Secrets bool     `help:"Leave passwords, tokens, signatures and the secrets of policies in."`
	UTC     bool     `name:"utc" help:"Write times in UTC in place of local ones."`
}

// Run writes the report.
func (c *reportCommand) Run(ctx context.Context, e *env) error {
	var f *filter.Filter
	if len(c.Filter) > 0 {
		var err error
		if f, err = parseFilter(c.Filter); err != nil {
			return err
		}
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
	format := view.Format{Zone: time.Local}
	if c.UTC {
		format.Zone = time.UTC
	}
	r, err := report.Gather(ctx, s, report.Options{
		Filter: f, Secrets: c.Secrets, Format: format, Made: time.Now(), By: "mpproxy " + build().Version,
	})
	if err != nil {
		return err
	}
	var page bytes.Buffer
	if err := r.Write(&page); err != nil {
		return err
	}
	if c.Output == "" {
		_, err := e.stdout.Write(page.Bytes())
		return quietPipe(err)
	}
	if err := writeWhole(c.Output, page.Bytes()); err != nil {
		return err
	}
	fmt.Fprintf(e.stderr, "%d faults of connections, %d exchanges; %s\n", len(r.Diagnoses), len(r.Exchanges), c.secrets(r))
	return nil
}

func (c *reportCommand) secrets(r *report.Report) string {
	if c.Secrets {
		return "secrets are in it"
	}
	return fmt.Sprintf("%d secret values taken out (--secrets leaves them in)", r.Redacted)
}

// writeWhole writes a file that only its owner may read, and that has its name
// only once it is whole.
func writeWhole(path string, content []byte) error {
	f, err := whole.Create(path)
	if err != nil {
		return usage(err, "-o PATH says where.")
	}
	_, err = f.Write(content)
	return f.End(err)
}

// notItself refuses to write over the capture that is read.
func notItself(output, capture string) error {
	out, err := os.Stat(output)
	if err != nil {
		return nil //nolint:nilerr // what is not there cannot be the capture
	}
	in, err := os.Stat(capture)
	if err != nil || !os.SameFile(out, in) {
		return nil //nolint:nilerr // what cannot be read is said when it is opened
	}
	return usage(fmt.Errorf("%s is the capture itself", output), "Name another file to write to.")
}
