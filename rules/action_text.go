package rules

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// replacement is one text for another, literal or by a regular expression.
type replacement struct {
	find, with string
	re         *regexp.Regexp
}

// in replaces every occurrence; false when there is none.
func (p replacement) in(s string) (string, bool) {
	if p.re == nil {
		return strings.ReplaceAll(s, p.find, p.with), strings.Contains(s, p.find)
	}
	return p.re.ReplaceAllString(s, p.with), p.re.MatchString(s)
}

func (p replacement) String() string { return strconv.Quote(p.find) }

// replaceText replaces text in the decoded message.
type replaceText struct {
	by       replacement
	inHeader bool
}

func (replaceText) needs() Need { return Whole }

func (a replaceText) apply(e *edit, r *Rule) {
	text, ok := e.content(a.inHeader)
	changed, found := a.by.in(*text)
	if !ok || !found {
		e.find(&nothingFound, r, "no "+a.by.String()+" in the text")
		return
	}
	*text, e.by = changed, r
}

// makeReplace reads {find, with, regexp} and either field, or in.
func makeReplace(args arguments) (Action, error) {
	var p replacement
	var err error
	if p.find, err = args.text("find"); err != nil {
		return nil, err
	}
	if p.find == "" {
		return nil, args.wrong("find", "is empty")
	}
	if p.with, err = args.text("with"); err != nil {
		return nil, err
	}
	isRegexp, err := args.flag("regexp")
	if err != nil {
		return nil, err
	}
	if isRegexp {
		if p.re, err = regexp.Compile(p.find); err != nil {
			return nil, args.wrong("find", fmt.Sprintf("is no regular expression: %v", err))
		}
	}
	if args.has("field") {
		name, err := args.fieldName("field")
		if err != nil {
			return nil, err
		}
		return replaceField{name, p}, args.done()
	}
	inHeader, err := args.place()
	if err != nil {
		return nil, err
	}
	return replaceText{p, inHeader}, args.done()
}
