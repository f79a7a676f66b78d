package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"

	"mpproxy/capture"
	"mpproxy/filter"
	"mpproxy/traffic"
)

// listing is what commands that list exchanges have in common.
type listing struct {
	File   string   `arg:"" type:"path" help:"The capture."`
	Filter []string `arg:"" optional:"" help:"Which exchanges, such as: kind:policy* sev:W"`
	output
	Width int `default:"120" help:"How wide lines are."`
}

// open opens the capture and reads the filter; the caller closes the store.
func (l *listing) open(e *env) (s *capture.Store, f *filter.Filter, print func(capture.Row) error, err error) {
	if f, err = parseFilter(l.Filter); err != nil {
		return nil, nil, nil, err
	}
	if print, err = l.printer(e, l.Width); err != nil {
		return nil, nil, nil, err
	}
	s, err = openStore(l.File)
	return s, f, print, err
}

// lsCommand is "mpproxy ls".
type lsCommand struct {
	listing
	N int `short:"n" help:"Only the newest so many." placeholder:"N"`
}

// Run lists.
func (c *lsCommand) Run(ctx context.Context, e *env) error {
	s, f, print, err := c.open(e)
	if err != nil {
		return err
	}
	defer s.Close()
	from := traffic.ExchangeID(0)
	if c.N > 0 {
		if from, err = newest(ctx, s, f, c.N); err != nil {
			return err
		}
	}
	return quietPipe(each(ctx, s, f, from, print))
}

// newest is the number before the newest n rows.
func newest(ctx context.Context, s *capture.Store, f *filter.Filter, n int) (traffic.ExchangeID, error) {
	rows, err := s.Page(ctx, f, 0, capture.Older, n)
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	return rows[0].ID - 1, nil
}

// quietPipe takes a reader that has seen enough for a good end.
func quietPipe(err error) error {
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe) {
		return nil
	}
	return err
}

// checkCommand is "mpproxy check".
type checkCommand struct {
	File string `arg:"" type:"path" help:"The capture."`
}

// Run checks.
func (c *checkCommand) Run(ctx context.Context, e *env) error {
	s, err := openStore(c.File)
	if err != nil {
		return err
	}
	defer s.Close()
	problems, err := s.Check(ctx)
	if err != nil {
		return err
	}
	for _, p := range problems {
		fmt.Fprintln(e.stdout, strings.ToValidUTF8(p.String(), "?"))
	}
	if len(problems) > 0 {
		return &exit{exitDamaged, fmt.Errorf("%s has %d faults", c.File, len(problems)), ""}
	}
	n, err := s.Count(ctx, &filter.Filter{})
	if err == nil {
		fmt.Fprintf(e.stdout, "%s is whole: %d exchanges\n", c.File, n)
	}
	return err
}
