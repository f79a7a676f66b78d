package rules

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"mpproxy/filter"
)

// Error says where a file of rules is wrong.
type Error struct {
	File         string
	Line, Column int
	Message      string
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Message)
}

// Parse reads a file of rules. name is used in errors only; now and loc are
// for times in filters. The error joins one *Error for each thing that is
// wrong, in the order of the file.
func Parse(name string, src []byte, now time.Time, loc *time.Location) (*Set, error) {
	p := &reader{file: name, now: now, loc: loc}
	file, err := parser.ParseBytes(src, 0)
	if err != nil {
		return nil, p.syntax(err)
	}
	set := &Set{}
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		p.document(doc.Body, set)
	}
	if len(p.errs) > 0 {
		return nil, errors.Join(p.errs...)
	}
	return set, nil
}

type reader struct {
	file string
	now  time.Time
	loc  *time.Location
	errs []error
}

// syntax turns an error of the YAML parser into one of ours.
func (p *reader) syntax(err error) error {
	var y yaml.Error
	if errors.As(err, &y) && y.GetToken() != nil {
		at := y.GetToken().Position
		return &Error{p.file, at.Line, at.Column, y.GetMessage()}
	}
	return &Error{p.file, 1, 1, err.Error()}
}

func (p *reader) fail(n ast.Node, format string, args ...any) {
	p.errs = append(p.errs, p.at(n, 0, fmt.Sprintf(format, args...)))
}

// at makes an error at a node, or some columns right of it.
func (p *reader) at(n ast.Node, right int, message string) *Error {
	pos := n.GetToken().Position
	if m, ok := n.(*ast.MappingNode); ok && len(m.Values) > 0 {
		pos = m.Values[0].Key.GetToken().Position
	}
	return &Error{p.file, pos.Line, pos.Column + right, message}
}

// pairs gives the keys of a mapping in order; nil after an error.
func (p *reader) pairs(n ast.Node, what string, known ...string) []*ast.MappingValueNode {
	var values []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	default:
		p.fail(n, "%s has to be a list of KEY: VALUE", what)
		return nil
	}
	for _, v := range values {
		if key := v.Key.String(); known != nil && !slices.Contains(known, key) {
			p.fail(v.Key, "unknown key %q in %s (known: %s)", key, what, strings.Join(known, ", "))
		}
	}
	return values
}

func (p *reader) document(n ast.Node, set *Set) {
	for _, kv := range p.pairs(n, "a file of rules", "rules") {
		list, ok := kv.Value.(*ast.SequenceNode)
		if !ok {
			p.fail(kv.Value, "rules has to be a list: lines that begin with \"- name:\"")
			continue
		}
		for _, item := range list.Values {
			p.rule(item, set)
		}
	}
}

func (p *reader) rule(n ast.Node, set *Set) {
	r := &Rule{When: &filter.Filter{}, Line: n.GetToken().Position.Line}
	values := p.pairs(n, "a rule", "name", "when", "do", "off")
	if len(values) > 0 {
		r.Line = values[0].Key.GetToken().Position.Line
	}
	before := len(p.errs)
	for _, kv := range values {
		switch kv.Key.String() {
		case "name":
			r.Name = p.string(kv.Value)
		case "when":
			p.when(kv.Value, r)
		case "off":
			r.Off = p.string(kv.Value) == "true"
		case "do":
			p.do(kv.Value, r)
		}
	}
	if len(p.errs) > before || values == nil {
		return
	}
	switch {
	case r.Name == "":
		p.fail(n, "a rule needs a name: captures and the screen say which rule acted")
	case slices.ContainsFunc(set.Rules, func(o *Rule) bool { return o.Name == r.Name }):
		p.fail(n, "a second rule with the name %q", r.Name)
	case len(r.Do) == 0:
		p.fail(n, "rule %q does nothing: add do:", r.Name)
	}
	r.settle()
	set.Rules = append(set.Rules, r)
}

func (p *reader) when(n ast.Node, r *Rule) {
	f, err := filter.Parse(p.string(n), p.now, p.loc)
	var bad *filter.Error
	switch {
	case errors.As(err, &bad):
		right := bad.Column - 1
		if quoted := n.GetToken().Type; quoted == token.SingleQuoteType || quoted == token.DoubleQuoteType {
			right++
		}
		p.errs = append(p.errs, p.at(n, right, "when: "+bad.Message))
	case err != nil:
		p.fail(n, "when: %v", err)
	default:
		r.When = f
	}
}

// do reads one action or a list of them: "drop", or "NAME: ARGUMENTS".
func (p *reader) do(n ast.Node, r *Rule) {
	switch n := n.(type) {
	case *ast.SequenceNode:
		for _, item := range n.Values {
			p.do(item, r)
		}
	case *ast.MappingNode, *ast.MappingValueNode:
		for _, kv := range p.pairs(n, "do") {
			p.action(kv.Key, kv.Value, r)
		}
	default:
		p.action(n, nil, r)
	}
}

func (p *reader) action(name, args ast.Node, r *Rule) {
	m, err := makerOf(p.string(name))
	if err != nil {
		p.fail(name, "%v", err)
		return
	}
	a, err := m.make(arguments{p, m.name, name, args, map[string]bool{}})
	var known *Error
	switch {
	case errors.As(err, &known):
		p.errs = append(p.errs, known)
	case err != nil:
		p.fail(name, "%s: %v", m.name, err)
	default:
		r.Do = append(r.Do, a)
	}
}

// string is a scalar's value; anything else is an error.
func (p *reader) string(n ast.Node) string {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value
	case *ast.LiteralNode:
		return n.Value.Value
	case *ast.NullNode:
		return ""
	case ast.ScalarNode:
		return strings.TrimSpace(n.GetToken().Value)
	}
	p.fail(n, "a text is expected here")
	return ""
}

// arguments are what stands behind an action's name.
type arguments struct {
	p      *reader
	action string
	name   ast.Node
	node   ast.Node
	used   map[string]bool
}

func (a arguments) find(key string) (*ast.MappingValueNode, bool) {
	a.used[key] = true
	switch n := a.node.(type) {
	case *ast.MappingNode:
		for _, kv := range n.Values {
			if kv.Key.String() == key {
				return kv, true
			}
		}
	case *ast.MappingValueNode:
		return n, n.Key.String() == key
	}
	return nil, false
}

func (a arguments) has(key string) bool {
	_, ok := a.find(key)
	return ok
}

// text is an argument that has to be there.
func (a arguments) text(key string) (string, error) {
	kv, ok := a.find(key)
	if !ok {
		return "", a.p.at(a.name, 0, fmt.Sprintf("%s: %s: is missing", a.action, key))
	}
	return a.p.string(kv.Value), nil
}

// fieldName is a text that can be the name of an HTTP field.
func (a arguments) fieldName(key string) (string, error) {
	name, err := a.text(key)
	if err == nil && (name == "" || strings.ContainsAny(name, " \t\r\n:")) {
		err = a.wrong(key, fmt.Sprintf("%q is no name of an HTTP field", name))
	}
	return name, err
}

// flag is true or false, false when absent.
func (a arguments) flag(key string) (bool, error) {
	kv, ok := a.find(key)
	if !ok {
		return false, nil
	}
	switch s := a.p.string(kv.Value); s {
	case "true", "false":
		return s == "true", nil
	}
	return false, a.wrong(key, "has to be true or false")
}

// place reads in: header or in: text, the default.
func (a arguments) place() (inHeader bool, err error) {
	kv, ok := a.find("in")
	if !ok {
		return false, nil
	}
	switch a.p.string(kv.Value) {
	case "header":
		return true, nil
	case "text":
		return false, nil
	}
	return false, a.wrong("in", "has to be text or header")
}

// scalar is the single value of an action without keys.
func (a arguments) scalar(what string) (string, error) {
	switch a.node.(type) {
	case nil:
		return "", nil
	case *ast.MappingNode, *ast.MappingValueNode, *ast.SequenceNode:
		return "", a.wrong("", "takes "+what)
	}
	return a.p.string(a.node), nil
}

// wrong is an error at an argument.
func (a arguments) wrong(key, message string) error {
	at, what := a.name, a.action
	if kv, ok := a.find(key); ok && key != "" {
		at, what = kv.Value, a.action+": "+key
	} else if key == "" && a.node != nil {
		at = a.node
	}
	return a.p.at(at, 0, what+" "+message)
}

// done refuses arguments that nobody asked for.
func (a arguments) done() error {
	var values []*ast.MappingValueNode
	switch n := a.node.(type) {
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	}
	for _, kv := range values {
		if key := kv.Key.String(); !a.used[key] {
			return a.p.at(kv.Key, 0, fmt.Sprintf("unknown key %q in %s", key, a.action))
		}
	}
	return nil
}
