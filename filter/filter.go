// Package filter is the one filter language: it parses it, says where it is
// wrong, and matches it against a thing's fields.
//
// A filter's text goes in, such as
//
//	agent:PC-04* sev:W age:<1d -kind:policy*
//
// and out comes a [Filter]: a tree that answers [Filter.Match] for any
// [Subject] and that package capture writes as SQL, with the same meaning.
// The package knows the fields' names and kinds; where their values come from
// is the Subject's business. It does no I/O and reads no clock.
package filter

import (
	"strings"
	"time"
)

// Filter is a parsed filter. It is never changed after [Parse]; any number of
// goroutines may use it. The zero value lets everything pass.
type Filter struct {
	// Root is the tree; nil lets everything pass.
	Root Node
}

// Node is a part of a filter's tree: [All], [Any], [Not] or [*Term].
type Node interface {
	match(Subject) bool
	// print writes the node as it must stand inside a node of that strength.
	print(b *strings.Builder, within strength)
}

// All passes what each of its two or more nodes passes.
type All []Node

// Any passes what one of its two or more nodes passes.
type Any []Node

// Not passes what its node does not.
type Not struct{ Node Node }

// Term asks for one field's values.
type Term struct {
	Field *Field
	Op    Op
	// Values are alternatives; there is at least one.
	Values []Value
}

// Op is the operator between a field's colon and its first value.
type Op string

// The operators.
const (
	Is        Op = ""  // equal; text: without case, with wildcards
	Exactly   Op = "=" // equal; text: with case, without wildcards
	Matches   Op = "~" // a regular expression is found in it
	Above     Op = ">"
	AtLeast   Op = ">="
	Below     Op = "<"
	AtMost    Op = "<="
	wildcards    = "*?"
)

// Value is one value of a term, ready to be compared.
type Value struct {
	// Text is the value as written, without quotes.
	Text string
	// Quoted is true when it stood in quotes: then * and ? are plain letters.
	Quoted bool
	// Span is what a number, size, duration, time or severity must lie in, in
	// the unit of its kind.
	Span Span
	// Patterns are what text must look like: one of them is enough.
	Patterns []Pattern
	// Bytes are to be found in a field of kind Bytes: one of them is enough.
	Bytes [][]byte
}

// Span is a closed interval.
type Span struct{ Lo, Hi int64 }

// Contains is true when n lies in the span.
func (s Span) Contains(n int64) bool { return s.Lo <= n && n <= s.Hi }

// Phase says when a rule can answer a filter.
type Phase uint8

// The phases.
const (
	AtRequest Phase = iota
	AtReply
)

// String is the phase in words.
func (p Phase) String() string {
	if p == AtReply {
		return "reply"
	}
	return "request"
}

// Phase is AtReply when the filter names anything that is only known once the
// reply has come.
func (f *Filter) Phase() Phase {
	phase := AtRequest
	f.Walk(func(t *Term) {
		if t.needsReply() {
			phase = AtReply
		}
	})
	return phase
}

func (t *Term) needsReply() bool {
	if t.Field.Reply {
		return true
	}
	for _, v := range t.Values {
		if word, known := t.Field.word(v.Text); known && word.Reply {
			return true
		}
	}
	return false
}

// Walk calls f for each term of the tree, from left to right.
func (f *Filter) Walk(visit func(*Term)) { walk(f.Root, visit) }

func walk(n Node, visit func(*Term)) {
	switch n := n.(type) {
	case All:
		for _, n := range n {
			walk(n, visit)
		}
	case Any:
		for _, n := range n {
			walk(n, visit)
		}
	case Not:
		walk(n.Node, visit)
	case *Term:
		visit(n)
	}
}

// Empty is true for a filter that lets everything pass.
func (f *Filter) Empty() bool { return f == nil || f.Root == nil }

// Parse reads a filter. The empty text lets everything pass. now is what
// "age:<2h" and "time:10:40" are counted from, loc the zone of times that do
// not end in Z. The error is an [*Error].
func Parse(src string, now time.Time, loc *time.Location) (*Filter, error) {
	tree, err := parse(src)
	if err != nil {
		return nil, err
	}
	r := reader{now: now, loc: loc}
	root, err := r.filter(tree)
	if err != nil {
		return nil, err
	}
	return &Filter{Root: root}, nil
}
