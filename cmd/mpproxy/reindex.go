package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mpproxy/capture"
)

// reindexCommand is "mpproxy reindex".
type reindexCommand struct {
	File string `arg:"" type:"existingfile" help:"The capture. It must not be recorded to meanwhile."`
}

// Run decodes a capture anew.
func (c *reindexCommand) Run(ctx context.Context, e *env) error {
	before, err := openStore(c.File)
	if err != nil {
		return err
	}
	if err := before.Close(); err != nil {
		return err
	}
	r, err := capture.Create(c.File, capture.Options{SummaryOnly: true})
	if err != nil {
		return usage(err, "Stop the mpproxy that records to it first.")
	}
	report, clear := e.progress("decoding")
	n, err := r.Reindex(ctx, report)
	clear()
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
	defer cancel()
	if err = errors.Join(err, r.Close(closing)); err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "%d exchanges decoded anew\n", n)
	return nil
}

// progress says on a terminal how far long work is, four times a second; clear
// takes the line away.
func (e *env) progress(what string) (report func(done, all int64), clear func()) {
	if !isTerminal(e.stderr) {
		return func(_, _ int64) {}, func() {}
	}
	last := time.Time{}
	return func(done, all int64) {
			if time.Since(last) >= 250*time.Millisecond {
				last = time.Now()
				fmt.Fprintf(e.stderr, "\r%s: %d %%", what, 100*done/max(all, 1))
			}
		}, func() {
			if !last.IsZero() {
				fmt.Fprint(e.stderr, "\r\x1b[K")
			}
		}
}
