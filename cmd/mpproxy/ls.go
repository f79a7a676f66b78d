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

// lsCommand is "mpproxy ls".
type lsCommand struct {
	File   string   `arg:"" type:"path" help:"The capture."`
	Filter []string `arg:"" optional:"" help:"What to list, such as: kind:policy* sev:W"`
	output
	N     int `short:"n" help:"Only the newest so many." placeholder:"N"`
	Width int `default:"120" help:"How wide lines are."`
}

// Run lists.
func (c *lsCommand) Run(ctx context.Context, e *env) error {
	f, err := parseFilter(c.Filter)
	if err != nil {
		return err
	}
	s, err := openStore(c.File)
	if err != nil {
		return err
	}
	defer s.Close()
	print, err := c.printer(e, c.Width)
	if err != nil {
		return err
	}
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
