package doctor

import (
	"fmt"
	"time"

	"mpproxy/diagnose"
)

// State says whether a line is as it should be.
type State string

// The states of a line.
const (
	Good State = "ok"
	Bad  State = "!!"
	Note State = "--" // worth knowing, neither good nor bad
)

// Line is one thing that was looked at.
type Line struct {
	// What names it, Text says what was seen. Text may hold what came from the
	// wire: it is to be cleaned before it gets to a terminal.
	What  string
	State State
	Text  string
}

// Report is what a probe found.
type Report struct {
	Lines []Line
	// Findings are the judgement, folded.
	Findings []diagnose.Group
	// Agent says in one sentence what an agent would meet.
	Agent string
	// Reached is false when there was no connection, or no TLS.
	Reached bool
}

type lines []Line

func (l *lines) add(s State, what, format string, args ...any) {
	*l = append(*l, Line{what, s, fmt.Sprintf(format, args...)})
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") + " UTC" }

func goodIf(good bool) State {
	if good {
		return Good
	}
	return Bad
}

func ms(d time.Duration) string { return d.Round(time.Millisecond / 10).String() }
