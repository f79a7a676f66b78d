package filter

import (
	"regexp"
	"strings"
	"sync"
	"unicode"
)

// strength is how tightly a place binds what stands in it.
type strength int

const (
	loose strength = iota // anything may stand here as it is
	inAll                 // an OR needs parentheses
	inNot                 // a blank needs them too
)

// String is the filter in its canonical form, which parses to the same filter.
func (f *Filter) String() string {
	if f.Empty() {
		return ""
	}
	var b strings.Builder
	f.Root.print(&b, loose)
	return b.String()
}

func (any Any) print(b *strings.Builder, within strength) {
	printList(b, any, " OR ", loose, within > loose)
}

func (all All) print(b *strings.Builder, within strength) {
	printList(b, all, " ", inAll, within > inAll)
}

func printList(b *strings.Builder, nodes []Node, between string, inside strength, group bool) {
	if group {
		b.WriteByte('(')
		defer b.WriteByte(')')
	}
	for i, n := range nodes {
		if i > 0 {
			b.WriteString(between)
		}
		n.print(b, inside)
	}
}

func (n Not) print(b *strings.Builder, _ strength) {
	b.WriteByte('-')
	n.Node.print(b, inNot)
}

func (t *Term) print(b *strings.Builder, _ strength) {
	if t.Field == free {
		b.WriteString(t.Values[0].quote(bareWord()))
		return
	}
	b.WriteString(t.Field.Name + ":" + string(t.Op))
	for i, v := range t.Values {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(v.quote(bareValue()))
	}
}

// bareWord is what needs no quotes as a free word, bareValue what needs none
// behind a colon or comma.
var (
	bareWord  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[^\s"(),-][^\s"(),]*$`) })
	bareValue = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[^\s"(),><=~][^\s"(),]*$`) })
	looksLike = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(?:[a-z][a-z0-9.-]*:|(?:OR|AND|NOT)\b)`) })
)

// quote writes the value so that it is read back the same.
func (v Value) quote(bare *regexp.Regexp) string {
	plain := bare.MatchString(v.Text) &&
		!strings.ContainsFunc(v.Text, unicode.IsSpace) && // some of which the pattern takes for letters
		(!v.Quoted || !strings.ContainsAny(v.Text, wildcards)) &&
		(bare != bareWord() || !looksLike().MatchString(v.Text))
	if plain {
		return v.Text
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(v.Text) + `"`
}

// unquote takes a token's quotes off. A backslash before anything but a quote
// or a backslash stands for itself, so that regular expressions stay readable.
func unquote(token string) (text string, quoted bool) {
	if !strings.HasPrefix(token, `"`) {
		return token, false
	}
	var b strings.Builder
	in := token[1 : len(token)-1]
	for i := 0; i < len(in); i++ {
		if in[i] == '\\' && i+1 < len(in) && (in[i+1] == '"' || in[i+1] == '\\') {
			i++
		}
		b.WriteByte(in[i])
	}
	return b.String(), true
}
