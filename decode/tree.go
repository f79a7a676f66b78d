package decode

import "strings"

// maxNodes bounds the tree that is built for the lints; a report of the usual
// limit has a tenth of it.
const maxNodes = 400_000

// node is an element of a text that is looked at as a whole. It is built by
// the same tolerant scan as the summaries, so there is one for damaged text
// too: end tags are counted, not compared.
type node struct {
	name, attrs string
	// at is where the start tag begins in the text, attrsAt where its
	// attributes do.
	at, attrsAt int
	// text is the text before the first child, with references resolved.
	text     string
	empty    bool
	children []*node
}

// buildTree reads a text; nil when it has no element.
func buildTree(text string) *node {
	var root *node
	var open []*node
	s := scanner{src: text}
	for n := 0; n < maxNodes && s.next(); n++ {
		e := &node{
			name: s.name, attrs: s.attrs, at: s.start, attrsAt: s.attrsAt,
			text: strings.TrimSpace(s.value()), empty: s.empty,
		}
		switch {
		case root == nil:
			root = e
		case s.depth > 0 && s.depth <= len(open):
			parent := open[s.depth-1]
			parent.children = append(parent.children, e)
		default:
			continue // beside the root
		}
		if s.depth >= maxDepth {
			continue
		}
		open = append(open[:min(s.depth, len(open))], e)
	}
	return root
}

// attr is an attribute's value, and whether it is there.
func (n *node) attr(name string) (string, bool) {
	s := scanner{src: n.attrs, attrs: n.attrs}
	from, to := s.attrSpan(name)
	if from < 0 {
		return "", false
	}
	return unescape(n.attrs[from:to]), true
}

// get is an attribute's value, or "".
func (n *node) get(name string) string {
	v, _ := n.attr(name)
	return v
}

// child is the first child of a name, or nil.
func (n *node) child(name string) *node {
	for _, c := range n.children {
		if c.name == name {
			return c
		}
	}
	return nil
}

// find goes down a path of names; nil when a step is missing.
func (n *node) find(path ...string) *node {
	for _, name := range path {
		if n == nil {
			return nil
		}
		n = n.child(name)
	}
	return n
}

// all calls f for every element of a name below n, in order.
func (n *node) all(name string, f func(*node)) {
	if n == nil {
		return
	}
	for _, c := range n.children {
		if c.name == name {
			f(c)
		}
		c.all(name, f)
	}
}

// walk calls f for n and everything below it.
func (n *node) walk(f func(parent, n *node)) {
	f(nil, n)
	n.walkBelow(f)
}

func (n *node) walkBelow(f func(parent, n *node)) {
	for _, c := range n.children {
		f(n, c)
		c.walkBelow(f)
	}
}

// first is the first element of a name below n, or nil.
func (n *node) first(name string) *node {
	if n == nil {
		return nil
	}
	for _, c := range n.children {
		if c.name == name {
			return c
		}
		if found := c.first(name); found != nil {
			return found
		}
	}
	return nil
}
