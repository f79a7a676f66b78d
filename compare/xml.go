package compare

import (
	"fmt"
	"slices"
	"strings"
)

// keys are attributes that tell elements of a list apart, the best first.
var keys = []string{
	"PolicyAssignmentID", "PolicyID", "PackageID", "ContentID", "UniqueID", "PropertyName", "Class", "class",
	"Name", "name", "ID", "Id", "id", "Key", "key", "FQDN",
}

// key is how an element is told apart from its brothers, "" when nothing does.
func (n *node) key() (name, value string) {
	for _, k := range keys {
		if a, has := n.get(k); has && a.value != "" {
			return k, a.value
		}
	}
	return "", ""
}

// walker compares two trees.
type walker struct {
	part string
	add  func(Difference)
	// steps bounds the work: pairs of elements that may still be looked at.
	steps int
}

// maxSteps is how many pairs of elements are looked at in one text.
const maxSteps = 200_000

func (w *walker) place(path string) Place { return Place(w.part + " " + path) }

// elements compares two elements of one name.
func (w *walker) elements(a, b *node, path string) {
	if a.hash == b.hash || w.steps <= 0 {
		return
	}
	w.steps--
	w.attributes(a, b, path)
	if a.text != b.text {
		w.add(Difference{Place: w.place(path), How: how(a.text, b.text), A: a.text, B: b.text, SpanA: a.inner, SpanB: b.inner})
	}
	w.children(a, b, path)
}

func how(a, b string) How {
	switch {
	case a == "":
		return Added
	case b == "":
		return Removed
	}
	return Changed
}

func (w *walker) attributes(a, b *node, path string) {
	for _, x := range a.attrs {
		y, has := b.get(x.name)
		switch {
		case !has:
			w.add(Difference{Place: w.place(path + "/@" + x.name), How: Removed, A: x.value, SpanA: x.span, SpanB: Span{b.span.From, b.span.From}})
		case x.value != y.value:
			w.add(Difference{Place: w.place(path + "/@" + x.name), How: Changed, A: x.value, B: y.value, SpanA: x.span, SpanB: y.span})
		}
	}
	for _, y := range b.attrs {
		if _, has := a.get(y.name); !has {
			w.add(Difference{Place: w.place(path + "/@" + y.name), How: Added, B: y.value, SpanA: Span{a.span.From, a.span.From}, SpanB: y.span})
		}
	}
}

// children pairs the elements of two lists and compares the pairs.
func (w *walker) children(a, b *node, path string) {
	pairs := pair(a.children, b.children)
	counts := map[string]int{}
	for _, c := range slices.Concat(a.children, b.children) {
		counts[c.name]++
	}
	seen := map[string]int{}
	step := func(n *node, at int) string {
		if k, v := n.key(); k != "" {
			return fmt.Sprintf("%s/%s[@%s='%s']", path, n.name, k, strings.ReplaceAll(cutKey(v), "]", ")"))
		}
		if counts[n.name] > 2 {
			return fmt.Sprintf("%s/%s[%d]", path, n.name, at)
		}
		return path + "/" + n.name
	}
	var order []int
	paired := make([]bool, len(b.children))
	for i, x := range a.children {
		seen[x.name]++
		at := step(x, seen[x.name])
		j := pairs[i]
		if j < 0 {
			w.add(Difference{Place: w.place(at), How: Removed, A: x.brief(), SpanA: x.span, SpanB: Span{b.span.To, b.span.To}})
			continue
		}
		order, paired[j] = append(order, j), true
		w.elements(x, b.children[j], at)
	}
	clear(seen)
	for j, y := range b.children {
		seen[y.name]++
		if !paired[j] {
			w.add(Difference{Place: w.place(step(y, seen[y.name])), How: Added, B: y.brief(), SpanA: Span{a.span.To, a.span.To}, SpanB: y.span})
		}
	}
	w.moved(a, b, path, order)
}

// moved says that what both have stands in another order: once for each name
// that is concerned.
func (w *walker) moved(a, b *node, path string, order []int) {
	if slices.IsSorted(order) {
		return
	}
	said := map[string]bool{}
	for i := 1; i < len(order); i++ {
		n := b.children[order[i]]
		if order[i] > order[i-1] || said[n.name] {
			continue
		}
		said[n.name] = true
		w.add(Difference{Place: w.place(path + "/" + n.name), How: Moved, A: "in one order", B: "in another", SpanA: a.span, SpanB: b.span})
	}
}

// pair finds for each element of one list its counterpart in the other, -1 for
// none: those with the same key, then those that are the same, then those of
// one name in their order.
func pair(as, bs []*node) []int {
	pairs := make([]int, len(as))
	for i := range pairs {
		pairs[i] = -1
	}
	taken := make([]bool, len(bs))
	match := func(word func(*node) string) {
		at := map[string][]int{}
		for j, b := range bs {
			if k := word(b); !taken[j] && k != "" {
				at[k] = append(at[k], j)
			}
		}
		for i, a := range as {
			k := word(a)
			if pairs[i] >= 0 || k == "" || len(at[k]) == 0 {
				continue
			}
			pairs[i], at[k] = at[k][0], at[k][1:]
			taken[pairs[i]] = true
		}
	}
	match(func(n *node) string { return fmt.Sprintf("%s %x", n.name, n.hash) })
	match(func(n *node) string {
		k, v := n.key()
		if k == "" {
			return ""
		}
		return n.name + " " + k + " " + v
	})
	// What is left over with a key has got another key, or is another thing:
	// as many on both sides are taken for the former.
	left := map[string]int{}
	for i, a := range as {
		if pairs[i] < 0 {
			left[a.name]++
		}
	}
	for j, b := range bs {
		if !taken[j] {
			left[b.name]--
		}
	}
	match(func(n *node) string {
		if k, _ := n.key(); k != "" && left[n.name] != 0 {
			return ""
		}
		return n.name
	})
	return pairs
}

// brief is an element in a few words.
func (n *node) brief() string {
	var b strings.Builder
	b.WriteString("<" + n.name)
	for _, a := range n.attrs {
		if b.Len() > maxValue {
			break
		}
		fmt.Fprintf(&b, " %s=%q", a.name, cutKey(a.value))
	}
	b.WriteString(">")
	if n.text != "" {
		b.WriteString(cutKey(n.text))
	}
	if len(n.children) > 0 {
		fmt.Fprintf(&b, " … %d elements", len(n.children))
	}
	return b.String()
}

// cutKey keeps a value short enough for a path.
func cutKey(s string) string {
	if len(s) <= 60 {
		return s
	}
	return strings.ToValidUTF8(s[:60], "") + "…"
}
