package filter

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/alecthomas/participle/v2"
	"github.com/alecthomas/participle/v2/lexer"
)

// maxSource bounds a filter's text, and with it the depth of its tree.
const maxSource = 4096

// Error says where a filter is wrong, and why.
type Error struct {
	// Column is where, in characters from 1.
	Column int
	// Message says what is wrong in words of the language.
	Message string
}

func (e *Error) Error() string { return fmt.Sprintf("column %d: %s", e.Column, e.Message) }

func wrong(at lexer.Position, format string, args ...any) *Error {
	return &Error{Column: at.Column, Message: fmt.Sprintf(format, args...)}
}

// The grammar: OR binds weaker than a blank, which means AND.
type (
	orTree struct {
		Ands []*andTree `parser:"@@ ( 'OR':Keyword @@ )*"`
	}
	andTree struct {
		Factors []*factorTree `parser:"@@ ( 'AND':Keyword? @@ )*"`
	}
	factorTree struct {
		Nots  []string   `parser:"( @'NOT':Keyword | @Minus )*"`
		Group *orTree    `parser:"( Open @@ Close"`
		Term  *termTree  `parser:"| @@"`
		Free  *valueTree `parser:"| @@ )"`
	}
	termTree struct {
		Pos    lexer.Position
		Field  string       `parser:"@Field"`
		Op     string       `parser:"@Op?"`
		Values []*valueTree `parser:"@@ ( Comma @@ )*"`
	}
	valueTree struct {
		Pos  lexer.Position
		Text string `parser:"@( Word | Quoted )"`
	}
)

// grammar is built when the first filter is parsed. After a field's colon the
// lexer reads a value, in which a colon or a minus is a letter.
var grammar = sync.OnceValue(func() *participle.Parser[orTree] {
	lex := lexer.MustStateful(lexer.Rules{
		"Root": {
			{Name: "Blank", Pattern: `\s+`},
			{Name: "Quoted", Pattern: quotedPattern},
			{Name: "Field", Pattern: `[a-z][a-z0-9.-]*:`, Action: lexer.Push("Value")},
			{Name: "Open", Pattern: `\(`},
			{Name: "Close", Pattern: `\)`},
			{Name: "Comma", Pattern: `,`},
			{Name: "Minus", Pattern: `-`},
			{Name: "Keyword", Pattern: `(?:OR|AND|NOT)\b`},
			{Name: "Word", Pattern: `[^\s"(),]+`},
		},
		"Value": {
			{Name: "Op", Pattern: `>=|<=|[><=~]`, Action: lexer.Push("Operand")},
			lexer.Include("Operand"),
		},
		"Operand": {
			{Name: "Quoted", Pattern: quotedPattern},
			{Name: "Comma", Pattern: `,`},
			{Name: "Word", Pattern: `[^\s"(),]+`},
			lexer.Return(),
		},
	})
	return participle.MustBuild[orTree](participle.Lexer(lex), participle.Elide("Blank"))
})

const quotedPattern = `"(?:\\.|[^"\\])*"`

// parse gives the tree of src as written, nil when there is nothing in it.
func parse(src string) (*orTree, error) {
	switch {
	case strings.TrimSpace(src) == "":
		return nil, nil
	case len(src) > maxSource:
		return nil, &Error{1, fmt.Sprintf("longer than %d bytes", maxSource)}
	case !utf8.ValidString(src):
		return nil, &Error{1, "not UTF-8"}
	}
	tree, err := grammar().ParseString("", src)
	if err != nil {
		return nil, inWords(err, src)
	}
	return tree, nil
}

// inWords says what the parser found in words that a user of the language
// knows.
func inWords(err error, src string) *Error {
	var unexpected *participle.UnexpectedTokenError
	var other participle.Error
	switch {
	case errors.As(err, &unexpected):
		return wrong(unexpected.Unexpected.Pos, "%s", surprise(unexpected.Unexpected, src))
	case errors.As(err, &other) && strings.HasPrefix(src[other.Position().Offset:], `"`):
		return wrong(other.Position(), "this quote is not closed")
	case errors.As(err, &other):
		return wrong(other.Position(), "%s", other.Message())
	}
	return &Error{1, err.Error()}
}

func surprise(t lexer.Token, src string) string {
	switch {
	case t.EOF() && strings.HasSuffix(strings.TrimSpace(src), ":"):
		return "a value is missing after the colon"
	case t.EOF() && isOpen(src):
		return `a ")" is missing`
	case t.EOF():
		return "the filter ends where a condition should follow"
	case t.Value == ")":
		return `this ")" comes too early: nothing is open, or a condition or value is missing before it`
	case t.Value == ",":
		return "a comma stands between the values of one field, without blanks"
	case t.Value == "OR" || t.Value == "AND":
		return t.Value + " stands between two conditions; in quotes it is a word"
	}
	return fmt.Sprintf("%q does not fit here", t.Value)
}

// isOpen is true when a parenthesis of src is not closed.
func isOpen(src string) bool {
	depth, quoted := 0, false
	for i := 0; i < len(src); i++ {
		switch c := src[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '(':
			depth++
		case c == ')':
			depth--
		}
	}
	return depth > 0
}
