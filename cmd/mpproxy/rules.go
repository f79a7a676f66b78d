package main

import (
	"context"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"mpproxy/rules"
)

// rulesCommand is "mpproxy rules".
type rulesCommand struct {
	Check rulesCheckCommand `cmd:"" help:"Say what is wrong in a file of rules, and when each rule is asked."`
}

type rulesCheckCommand struct {
	File string `arg:"" type:"path" help:"The file of rules (YAML)."`
}

// Run checks a file of rules.
func (c *rulesCheckCommand) Run(_ context.Context, e *env) error {
	set, err := loadRules(c.File)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	for _, r := range set.Rules {
		state := "asked at the " + r.Phase()
		if r.Off {
			state = "off"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", r.Name, state, r.When)
	}
	return table.Flush()
}

// loadRules reads a file of rules.
func loadRules(path string) (*rules.Set, error) {
	src, err := os.ReadFile(path)
	if err != nil {
		return nil, usage(fmt.Errorf("load rules: %w", err), "")
	}
	set, err := rules.Parse(path, src, time.Now(), time.Local)
	if err != nil {
		return nil, usage(err, "docs/rules.md has every key and action.")
	}
	return set, nil
}
