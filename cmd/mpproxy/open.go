package main

import (
	"context"
	"fmt"

	"mpproxy/tui"
)

// openCommand is "mpproxy open".
type openCommand struct {
	File   string   `arg:"" type:"path" help:"The capture."`
	Filter []string `arg:"" optional:"" help:"What to show at first."`
	Theme  string   `enum:"default,dark,light,mono" default:"default" help:"Colours: ${enum}."`
	UTC    bool     `name:"utc" help:"Show times in UTC."`
	ASCII  bool     `name:"ascii" help:"Draw with ASCII only."`
}

// Run shows a capture on the screen.
func (c *openCommand) Run(ctx context.Context, e *env) error {
	f, err := parseFilter(c.Filter)
	if err != nil {
		return err
	}
	s, err := openStore(c.File)
	if err != nil {
		return err
	}
	defer s.Close()
	if !e.terminal() {
		return usage(fmt.Errorf("open %s: there is no terminal to draw on", c.File), "mpproxy ls and mpproxy tail print the same.")
	}
	return tui.Run(ctx, tui.Config{
		Store: s, Replay: replayOne(s), Theme: c.Theme, Format: output{UTC: c.UTC, ASCII: c.ASCII}.format(e), Filter: f.String(),
	})
}
