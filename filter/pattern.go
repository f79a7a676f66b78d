package filter

import (
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Pattern is what a text must look like.
type Pattern struct {
	Text string
	// Literal means that * and ? in Text are plain letters, not wildcards for
	// any number of letters and for one.
	Literal bool
	// Case means that upper and lower case differ.
	Case bool
	// Contains means that Text may stand anywhere.
	Contains bool
	// Regexp, when set, decides alone: it must be found in the text.
	Regexp *regexp.Regexp
}

// Match is true when s looks like the pattern.
func (p Pattern) Match(s string) bool {
	if p.Regexp != nil {
		return p.Regexp.MatchString(s)
	}
	want := p.Text
	if !p.Case {
		want, s = Fold(want), Fold(s)
	}
	switch {
	case p.Literal && p.Contains:
		return strings.Contains(s, want)
	case p.Literal:
		return s == want
	case p.Contains:
		want = "*" + want + "*"
	}
	return glob(want, s)
}

// Fold brings s into the form in which texts that differ in case alone are
// equal. Letters outside ASCII never become ASCII letters, so that a search
// for ASCII text has one meaning here and in SQL.
func Fold(s string) string {
	ascii, upper := true, false
	for i := range len(s) {
		ascii = ascii && s[i] < utf8.RuneSelf
		upper = upper || 'A' <= s[i] && s[i] <= 'Z'
	}
	switch {
	case ascii && !upper:
		return s
	case ascii:
		return strings.ToLower(s)
	}
	return strings.Map(func(r rune) rune {
		lower := unicode.ToLower(r)
		if r >= utf8.RuneSelf && lower < utf8.RuneSelf {
			return r
		}
		return lower
	}, s)
}

// glob matches s as a whole. It remembers the last star alone, so that its
// time is bounded by the product of both lengths.
func glob(pattern, s string) bool {
	star, retry := -1, 0
	p, i := 0, 0
	for i < len(s) {
		r, size := utf8.DecodeRuneInString(s[i:])
		want, wide := rune(-1), 0
		if p < len(pattern) {
			want, wide = utf8.DecodeRuneInString(pattern[p:])
		}
		switch {
		case want == '*':
			star, retry = p+wide, i
			p += wide
		case want == '?' || want == r:
			p += wide
			i += size
		case star >= 0:
			_, skip := utf8.DecodeRuneInString(s[retry:])
			retry += skip
			p, i = star, retry
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// needles are the byte strings that a Bytes field's value looks for.
func needles(f *Field, text string) ([][]byte, error) {
	if text == "" {
		return nil, fmt.Errorf("nothing to look for")
	}
	if f.Name != "hex" {
		return [][]byte{[]byte(text), wide(text)}, nil
	}
	b, err := hex.DecodeString(strings.NewReplacer(" ", "", ":", "").Replace(text))
	if err != nil || len(b) == 0 {
		return nil, fmt.Errorf(`%q is not pairs of hex digits, such as 789c or "78 9c"`, text)
	}
	return [][]byte{b}, nil
}

// wide is s in UTF-16, low byte first.
func wide(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = append(b, byte(u), byte(u>>8))
	}
	return b
}
