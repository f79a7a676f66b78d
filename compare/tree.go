package compare

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// node is an element with the places of what it has.
type node struct {
	name     string
	attrs    []attr
	children []*node
	// text is the element's own text without the white space around it.
	text string
	// span is the whole element, inner where text stands.
	span, inner Span
	// hash is the same for elements that mean the same.
	hash uint64
}

type attr struct {
	name, value string
	span        Span
}

// maxDepth bounds how deep elements may be nested.
const maxDepth = 500

var errTooDeep = errors.New("elements are nested too deep")

// parse reads XML, whatever encoding it claims to have: the text was decoded
// already.
func parse(s string) (*node, error) {
	d := xml.NewDecoder(strings.NewReader(s))
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	root := &node{}
	open := []*node{root}
	for {
		from := int(d.InputOffset())
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read XML: %w", err)
		}
		to := int(d.InputOffset())
		top := open[len(open)-1]
		switch t := tok.(type) {
		case xml.StartElement:
			n := &node{name: t.Name.Local, span: Span{from, to}, inner: Span{to, to}}
			n.attributes(t, s[from:to], from)
			top.children = append(top.children, n)
			if open = append(open, n); len(open) > maxDepth {
				return nil, errTooDeep
			}
		case xml.EndElement:
			top.span.To = to
			open = open[:len(open)-1]
		case xml.CharData:
			if words := strings.TrimSpace(string(t)); words != "" {
				if top.text != "" {
					words = top.text + " " + words
				} else {
					top.inner.From = from
				}
				top.text, top.inner.To = words, to
			}
		}
	}
	if len(open) != 1 || len(root.children) == 0 {
		return nil, errors.New("no element in it")
	}
	root.seal()
	return root, nil
}

// attributes takes an element's attributes, without declarations of
// namespaces, and finds where they stand in its tag.
func (n *node) attributes(t xml.StartElement, tag string, at int) {
	for _, a := range t.Attr {
		if a.Name.Space == "xmlns" || a.Name.Local == "xmlns" {
			continue
		}
		n.attrs = append(n.attrs, attr{a.Name.Local, a.Value, attrSpan(tag, a.Name.Local, at)})
	}
}

// attrSpan is where an attribute stands in a tag, or the whole tag.
func attrSpan(tag, name string, at int) Span {
	for from := 0; ; {
		i := strings.Index(tag[from:], name)
		if i < 0 {
			return Span{at, at + len(tag)}
		}
		i += from
		from = i + len(name)
		rest := strings.TrimLeft(tag[from:], " \t\r\n")
		if i == 0 || !strings.ContainsRune(" \t\r\n:", rune(tag[i-1])) || !strings.HasPrefix(rest, "=") {
			continue
		}
		value := strings.TrimLeft(rest[1:], " \t\r\n")
		if value == "" {
			continue
		}
		if end := strings.IndexByte(value[1:], value[0]); end >= 0 {
			return Span{at + i, at + len(tag) - len(value) + end + 2}
		}
	}
}

// seal makes the hashes, of the children first.
func (n *node) seal() {
	for _, c := range n.children {
		c.seal()
	}
	h := hashText(offset, n.name)
	h = hashText(h, n.text)
	var attrs uint64
	for _, a := range n.attrs { // their order means nothing
		attrs += hashText(hashText(offset, a.name), a.value)
	}
	h = (h ^ attrs) * prime
	for _, c := range n.children {
		h = (h ^ c.hash) * prime
	}
	n.hash = h
}

// The constants of FNV-1a.
const (
	offset uint64 = 14695981039346656037
	prime  uint64 = 1099511628211
)

func hashText(h uint64, s string) uint64 {
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * prime
	}
	return (h ^ 0xff) * prime
}

// get is an attribute's value.
func (n *node) get(name string) (attr, bool) {
	for _, a := range n.attrs {
		if a.name == name {
			return a, true
		}
	}
	return attr{}, false
}
