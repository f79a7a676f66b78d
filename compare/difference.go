package compare

import (
	"strings"
)

// How says in which way two messages differ at a place.
type How string

// The ways.
const (
	Changed How = "changed"
	Added   How = "added"   // only B has it
	Removed How = "removed" // only A has it
	Moved   How = "moved"   // both have the same things in another order
)

// Place names a part of a message: "status", "head Content-Type",
// "header /Msg/SourceHost", "text /A/B[@ID='x']/@C", "attachment2".
type Place string

// part is the place's first word, rest what follows.
func (p Place) cut() (part, rest string) {
	part, rest, _ = strings.Cut(string(p), " ")
	return part, rest
}

// Span is a range of bytes in a text; From == To when the text has nothing
// there.
type Span struct{ From, To int }

// Difference is one place at which two messages differ.
type Difference struct {
	Place Place
	How   How
	// A and B are the values, "" where there is none. Long ones are cut.
	A, B string
	// SpanA and SpanB say where the values stand in the texts; zero for parts
	// that are no text.
	SpanA, SpanB Span
	// Vary is the row of the table by which it may vary, nil when it counts.
	Vary *Vary
}

// maxValue is how much of a value is kept.
const maxValue = 400

func cut(s string) string {
	if len(s) <= maxValue {
		return s
	}
	return strings.ToValidUTF8(s[:maxValue], "") + "…"
}

// Result is what a comparison comes to.
type Result struct {
	// Differences are in the order of the parts: status, head, header, text,
	// attachments.
	Differences []Difference
	// More is how many differences beyond MaxDifferences there are.
	More int
	// A and B are what was compared.
	A, B Message
}

// MaxDifferences is how many differences of one pair are kept.
const MaxDifferences = 1000

// Same is true when nothing differs but what may vary.
func (r *Result) Same() bool { return r.Counting() == 0 }

// Counting is how many differences count.
func (r *Result) Counting() int {
	n := r.More
	for i := range r.Differences {
		if r.Differences[i].Vary == nil {
			n++
		}
	}
	return n
}

// add notes a difference and asks the table about it.
func (r *Result) add(d Difference, kind string, vary Table) {
	d.Vary = vary.row(d, kind)
	d.A, d.B = cut(d.A), cut(d.B)
	switch {
	case len(r.Differences) < MaxDifferences:
		r.Differences = append(r.Differences, d)
	case d.Vary == nil:
		r.More++
	}
}
