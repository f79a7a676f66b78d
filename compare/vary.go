package compare

import (
	"regexp"
	"strings"
	"time"
)

// Vary is one row of the table of what may vary between two messages that mean
// the same.
type Vary struct {
	// Place is a pattern for places: a part, then a path in which * is one
	// name and ** any number of them, as in "text **/@TimeStamp" or
	// "head Date". Conditions in brackets are left out of the comparison.
	Place string
	// Kind is a pattern for the message's kind, "" for every kind.
	Kind string
	// Form bounds it to values that look alike: one of Forms; "" takes any value, and that one is missing.
	Form string
	// Why is said where the row was used.
	Why string
}

// Table are rows, the first that fits counts.
type Table []Vary

// row is the row that lets a difference be, nil when none does.
func (t Table) row(d Difference, kind string) *Vary {
	for i := range t {
		if t[i].fits(d, kind) {
			return &t[i]
		}
	}
	return nil
}

func (v *Vary) fits(d Difference, kind string) bool {
	if v.Kind != "" && !wild(v.Kind, kind) {
		return false
	}
	if v.Form != "" && (!looksLike(v.Form, d.A) || !looksLike(v.Form, d.B)) {
		return false
	}
	return placeFits(v.Place, d.Place)
}

// placeFits compares a place with a pattern.
func placeFits(pattern string, p Place) bool {
	wantPart, want := Place(pattern).cut()
	part, rest := p.cut()
	if !wild(wantPart, part) {
		return false
	}
	if part == "head" {
		return wild(strings.ToLower(want), strings.ToLower(rest))
	}
	return pathFits(steps(want), steps(rest))
}

var condition = regexp.MustCompile(`\[[^\]]*\]`)

// Bare is the place without the conditions of its path.
func (p Place) Bare() Place { return Place(condition.ReplaceAllString(string(p), "")) }

func steps(path string) []string {
	path = strings.Trim(condition.ReplaceAllString(path, ""), "/")
	if path == "" {
		return nil
	}
	return strings.Split(path, "/")
}

func pathFits(want, have []string) bool {
	for i, w := range want {
		if w == "**" {
			for n := 0; n <= len(have)-i; n++ {
				if pathFits(want[i+1:], have[i+n:]) {
					return true
				}
			}
			return false
		}
		if i >= len(have) || !wild(w, have[i]) {
			return false
		}
	}
	return len(have) == len(want)
}

// wild is true when a text fits a pattern in which * is any text.
func wild(pattern, text string) bool {
	first, rest, more := strings.Cut(pattern, "*")
	if !more {
		return pattern == text
	}
	if !strings.HasPrefix(text, first) {
		return false
	}
	text = text[len(first):]
	for i := 0; i <= len(text); i++ {
		if wild(rest, text[i:]) {
			return true
		}
	}
	return false
}

var forms = map[string]*regexp.Regexp{
	"guid":          regexp.MustCompile(`^(?i:GUID:|Machine:)?\{?[0-9A-Fa-f]{8}-([0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}\}?$`),
	"number":        regexp.MustCompile(`^[+-]?[0-9]+(\.[0-9]+)?$`),
	"hex":           regexp.MustCompile(`^(0x)?([0-9A-Fa-f]{2})+$`),
	"hash":          regexp.MustCompile(`^(?i:(MD5|SHA\d+):)?([0-9A-Fa-f]{2}){16,64}$`),
	"url with hash": regexp.MustCompile(`(?i)^https?://.*(SHA\d+:)?[0-9A-F]{40,}$`),
	"base64":        regexp.MustCompile(`^[A-Za-z0-9+/\s]+=*\s*$`),
}

// wmiTime is CIM_DATETIME: 20260504104105.000000+000.
var wmiTime = regexp.MustCompile(`^[0-9]{14}\.[0-9]{6}[+-][0-9]{3}$`)

var timeLayouts = []string{
	time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02", time.RFC1123, "01/02/2006 15:04:05", "1/2/2006 3:04:05 PM",
}

// looksLike says whether a value has a form. What was cut keeps its form.
func looksLike(form, value string) bool {
	value = strings.TrimSuffix(value, "…")
	if form == "time" {
		if wmiTime.MatchString(value) {
			return true
		}
		for _, l := range timeLayouts {
			if _, err := time.Parse(l, value); err == nil {
				return true
			}
		}
		return false
	}
	re := forms[form]
	return re != nil && re.MatchString(value)
}

// Forms are the names that Vary.Form takes.
func Forms() []string {
	return []string{"guid", "time", "number", "hex", "base64", "hash", "url with hash"}
}
