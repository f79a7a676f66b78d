package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"mpproxy/diagnose"
	"mpproxy/internal/view"
)

// explainCommand is "mpproxy explain".
type explainCommand struct {
	Code []string `arg:"" optional:"" help:"Codes as they stand in logs: 0x80072f8f, 12175 0x8, 403.16, \"alert 48\", -2147012721, 36887, or log lines. None: standard input."`
	JSON bool     `help:"One JSON object a code."`
}

// explanationJSON is one code of "explain --json".
type explanationJSON struct {
	Schema  string `json:"schema"`
	V       int    `json:"v"`
	Code    string `json:"code"`
	Name    string `json:"name"`
	Area    string `json:"area"`
	Meaning string `json:"meaning"`
	LookAt  string `json:"look_at"`
	Known   bool   `json:"known"`
}

// Run explains.
func (c *explainCommand) Run(_ context.Context, e *env) error {
	text := strings.Join(c.Code, " ")
	if len(c.Code) == 0 {
		in, err := io.ReadAll(io.LimitReader(e.stdin, maxInput))
		if err != nil {
			return fmt.Errorf("read codes: %w", err)
		}
		text = string(in)
	}
	xs := diagnose.Explain(text)
	if len(xs) == 0 {
		return usage(fmt.Errorf("there is no code in %q", view.Clean(text, true)), "Write it as it stands in the log: 0x80072f8f, 12175 0x8, 403.16, alert 48.")
	}
	enc := json.NewEncoder(e.stdout)
	for _, x := range xs {
		if c.JSON {
			if err := enc.Encode(explanationJSON{"mpproxy.explanation", 1, x.Code, x.Name, x.Area, x.Meaning, x.LookAt, x.Known}); err != nil {
				return err
			}
			continue
		}
		title := x.Code
		if x.Name != "" {
			title += "  " + x.Name
		}
		fmt.Fprintf(e.stdout, "%s  (%s)\n  %s\n", title, x.Area, x.Meaning)
		if x.LookAt != "" {
			fmt.Fprintf(e.stdout, "  Look at  %s\n", x.LookAt)
		}
	}
	return nil
}
