package filter

import "strings"

// Subject is a thing that a filter is asked about. Names are those of
// [Field.Source].
type Subject interface {
	// Number is the value of a field with a numeric kind, in the unit of the
	// kind; false when there is none.
	Number(field string) (int64, bool)
	// Texts are the values of any other field. Empty ones count as none. For a
	// Flag field they are the words that hold; for a Bytes field each is one
	// run of bytes; the name "" asks for what free words are searched in.
	Texts(field string) []string
}

// Match is true when the filter lets s pass.
func (f *Filter) Match(s Subject) bool { return f.Empty() || f.Root.match(s) }

func (all All) match(s Subject) bool {
	for _, n := range all {
		if !n.match(s) {
			return false
		}
	}
	return true
}

func (any Any) match(s Subject) bool {
	for _, n := range any {
		if n.match(s) {
			return true
		}
	}
	return false
}

func (n Not) match(s Subject) bool { return !n.Node.match(s) }

func (t *Term) match(s Subject) bool {
	if t.Field.Kind.Numeric() {
		n, known := s.Number(t.Field.Source())
		return known && t.matchNumber(n)
	}
	for _, text := range s.Texts(t.Field.Source()) {
		if text != "" && t.matchText(text) {
			return true
		}
	}
	return false
}

func (t *Term) matchNumber(n int64) bool {
	for _, v := range t.Values {
		if v.Span.Contains(n) {
			return true
		}
	}
	return false
}

func (t *Term) matchText(text string) bool {
	for _, v := range t.Values {
		if v.match(t.Field.Kind, text) {
			return true
		}
	}
	return false
}

func (v Value) match(k Kind, text string) bool {
	switch k {
	case Flag:
		return strings.EqualFold(v.Text, text)
	case Bytes:
		for _, needle := range v.Bytes {
			if strings.Contains(text, string(needle)) {
				return true
			}
		}
		return false
	}
	for _, p := range v.Patterns {
		if p.Match(text) {
			return true
		}
	}
	return false
}
