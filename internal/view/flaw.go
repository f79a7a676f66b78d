package view

import (
	"cmp"
	"fmt"
	"time"

	"mpproxy/capture"
)

// Flaw is a kind of finding in messages as a diagnosis is written, with an
// example of it.
func (k FoundKind) Flaw(x capture.Found, f Format) []string {
	when := f.Time(k.First, time.DateTime)
	if k.Count > 1 {
		when = fmt.Sprintf("%d times, %s to %s", k.Count, when, f.Time(k.Last, time.DateTime))
	}
	agents := "1 agent"
	if k.Agents != 1 {
		agents = fmt.Sprintf("%d agents", k.Agents)
	}
	lines := []string{
		fmt.Sprintf("%s %s  %s  (to act: %s)", k.Kind.Severity.Letter(), k.Kind.Ref, k.Kind.Title, cmp.Or(k.Who, "nobody")),
		fmt.Sprintf("  %s  %s, %s", k.Kind.Code, when, agents),
	}
	add := func(label, words string) {
		if words != "" {
			lines = append(lines, fmt.Sprintf("  %-9s  %s", label, words))
		}
	}
	where := ""
	if x.Conn != 0 {
		where = fmt.Sprintf("connection %d", x.Conn)
	}
	if x.Exchange != 0 {
		where = fmt.Sprintf("exchange %d", x.Exchange)
		if dir := x.Dir.String(); dir != "" {
			where += ", " + dir
		}
	}
	add("Evidence", joinWords(": ", where, x.Evidence))
	add("Why", k.Kind.Why)
	add("Do", k.Kind.Remedy)
	add("Check", k.Seek())
	for i := range lines {
		lines[i] = Clean(lines[i], f.ASCII)
	}
	return lines
}

// Seek is the command that lists all occurrences.
func (k FoundKind) Seek() string { return "mpproxy ls FILE finding:" + k.Kind.Code }
