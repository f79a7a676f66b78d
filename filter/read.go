package filter

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"
)

// reader turns the tree as written into the tree that is asked: fields looked
// up, values of the right kind.
type reader struct {
	now time.Time
	loc *time.Location
}

func (r *reader) filter(t *orTree) (Node, error) {
	if t == nil {
		return nil, nil
	}
	var any Any
	for _, and := range t.Ands {
		n, err := r.and(and)
		if err != nil {
			return nil, err
		}
		if inner, nested := n.(Any); nested {
			any = append(any, inner...)
		} else {
			any = append(any, n)
		}
	}
	if len(any) == 1 {
		return any[0], nil
	}
	return any, nil
}

func (r *reader) and(t *andTree) (Node, error) {
	var all All
	for _, f := range t.Factors {
		n, err := r.factor(f)
		if err != nil {
			return nil, err
		}
		if inner, nested := n.(All); nested {
			all = append(all, inner...)
		} else {
			all = append(all, n)
		}
	}
	if len(all) == 1 {
		return all[0], nil
	}
	return all, nil
}

func (r *reader) factor(t *factorTree) (n Node, err error) {
	switch {
	case t.Group != nil:
		n, err = r.filter(t.Group)
	case t.Term != nil:
		n, err = r.term(t.Term)
	default:
		n, err = r.words(t.Free)
	}
	if err != nil {
		return nil, err
	}
	if len(t.Nots)%2 == 0 {
		return n, nil
	}
	if not, twice := n.(Not); twice {
		return not.Node, nil
	}
	return Not{n}, nil
}

func (r *reader) words(t *valueTree) (Node, error) {
	v, err := r.value(free, Is, t)
	if err != nil {
		return nil, err
	}
	return &Term{Field: free, Values: []Value{v}}, nil
}

func (r *reader) term(t *termTree) (Node, error) {
	name := strings.TrimSuffix(t.Field, ":")
	f := Lookup(name)
	if f == nil || name == "" {
		return nil, wrong(t.Pos, "unknown field %q%s; in quotes it is searched as text", name, didYouMean(name, fieldNames()))
	}
	op := Op(t.Op)
	if ops := operators(f.Kind); !slices.Contains(ops, op) {
		return nil, wrong(t.Pos, "%s is %s: %q does not apply to it", name, article(f.Kind), t.Op)
	}
	term := &Term{Field: f, Op: op}
	for _, written := range t.Values {
		v, err := r.value(f, op, written)
		if err != nil {
			return nil, err
		}
		term.Values = append(term.Values, v)
	}
	return term, nil
}

// operators are what a kind can be compared by.
func operators(k Kind) []Op {
	switch {
	case k == Flag || k == Bytes:
		return []Op{Is}
	case k.Numeric():
		return []Op{Is, Exactly, Above, AtLeast, Below, AtMost}
	}
	return []Op{Is, Exactly, Matches}
}

func article(k Kind) string {
	switch k {
	case Text, Words, Bytes:
		return k.String()
	}
	return "a " + k.String()
}

// value reads one value for a field.
func (r *reader) value(f *Field, op Op, t *valueTree) (Value, error) {
	text, quoted := unquote(t.Text)
	v := Value{Text: text, Quoted: quoted}
	var err error
	switch {
	case f.Kind == Flag:
		err = knownWord(f, text)
	case f.Kind == Bytes:
		v.Bytes, err = needles(f, text)
	case f.Kind.Numeric():
		v.Span, err = r.span(f, op, text)
	default:
		v.Patterns, err = patterns(f, op, text, quoted)
	}
	if err != nil {
		return v, wrong(t.Pos, "%s: %v", fieldTitle(f), err)
	}
	return v, nil
}

func fieldTitle(f *Field) string {
	if f == free {
		return "text"
	}
	return f.Name
}

func knownWord(f *Field, text string) error {
	if _, known := f.word(text); known {
		return nil
	}
	var names []string
	for _, w := range f.Words {
		names = append(names, w.Name)
	}
	hint := didYouMean(text, names)
	if hint == "" {
		hint = " (known: " + strings.Join(names, ", ") + ")"
	}
	return fmt.Errorf("unknown value %q%s", text, hint)
}

func patterns(f *Field, op Op, text string, quoted bool) ([]Pattern, error) {
	p := Pattern{Text: text, Contains: f.Kind == Words}
	switch op {
	case Matches:
		re, err := regexp.Compile(text)
		if err != nil {
			return nil, fmt.Errorf("not a regular expression: %w", err)
		}
		p.Regexp = re
		return []Pattern{p}, nil
	case Exactly:
		p.Literal, p.Case = true, true
		return []Pattern{p}, nil
	}
	p.Literal = quoted || !strings.ContainsAny(text, wildcards)
	if !f.GUID {
		return []Pattern{p}, nil
	}
	return guidPatterns(p), nil
}

// guidPatterns are the ways in which messages write the id p.
func guidPatterns(p Pattern) []Pattern {
	bare := p.Text
	if len(bare) > 5 && strings.EqualFold(bare[:5], "GUID:") {
		bare = bare[5:]
	}
	bare = strings.TrimSuffix(strings.TrimPrefix(bare, "{"), "}")
	var ps []Pattern
	for _, form := range []string{bare, "{" + bare + "}", "GUID:" + bare} {
		q := p
		q.Text = form
		ps = append(ps, q)
	}
	return ps
}

// span reads what a number must lie in, with the operator applied.
func (r *reader) span(f *Field, op Op, text string) (Span, error) {
	s, err := r.interval(f.Kind, text, op)
	if err != nil {
		return s, err
	}
	switch {
	case op == Is && f.Kind == Severity && !strings.Contains(text, ".."):
		s.Hi = math.MaxInt64
	case op == Above:
		s = Span{after(s.Hi), math.MaxInt64}
	case op == AtLeast:
		s = Span{s.Lo, math.MaxInt64}
	case op == Below:
		s = Span{math.MinInt64, before(s.Lo)}
	case op == AtMost:
		s = Span{math.MinInt64, s.Hi}
	}
	if f.Name == "age" {
		s = r.ago(s)
	}
	return s, nil
}

func after(n int64) int64 {
	if n == math.MaxInt64 {
		return n
	}
	return n + 1
}

func before(n int64) int64 {
	if n == math.MinInt64 {
		return n
	}
	return n - 1
}

// ago turns an interval of ages into one of times.
func (r *reader) ago(s Span) Span {
	now := r.now.UnixMicro()
	from := func(age, unbounded, at int64) int64 {
		if age == unbounded {
			return at
		}
		return now - age
	}
	return Span{from(s.Hi, math.MaxInt64, math.MinInt64), from(s.Lo, math.MinInt64, math.MaxInt64)}
}

// interval reads "v" or "lo..hi". A time stands for all the time that it
// covers; another value does so, to the digits written, without an operator.
func (r *reader) interval(k Kind, text string, op Op) (Span, error) {
	lo, hi, isRange := strings.Cut(text, "..")
	if !isRange {
		return r.point(k, text, op == Is)
	}
	if op != Is && op != Exactly {
		return Span{}, fmt.Errorf("%q: a range takes no operator", text)
	}
	from, to := Span{Lo: math.MinInt64}, Span{Hi: math.MaxInt64}
	var err error
	if lo != "" {
		if from, err = r.point(k, lo, false); err != nil {
			return Span{}, err
		}
	}
	if hi != "" {
		if to, err = r.point(k, hi, false); err != nil {
			return Span{}, err
		}
	}
	if lo == "" && hi == "" || from.Lo > to.Hi {
		return Span{}, fmt.Errorf("%q: the range is empty", text)
	}
	return Span{from.Lo, to.Hi}, nil
}

func (r *reader) point(k Kind, text string, rounded bool) (Span, error) {
	switch k {
	case Severity:
		return severity(text)
	case Time:
		return r.time(text)
	case Number:
		return quantity(text, numberUnits, false, "a number such as 404")
	case Size:
		return quantity(text, sizeUnits, rounded, "a size such as 300, 4k, 1.6M or 2Mi")
	}
	return quantity(text, durationUnits, rounded, "a duration with its unit, such as 300ms, 2s, 5m, 1h or 2d")
}
