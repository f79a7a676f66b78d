package tui

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"mpproxy/capture"
	"mpproxy/decode"
	"mpproxy/filter"
	"mpproxy/internal/view"
	"mpproxy/traffic"
)

// followBar is how long after the last key the list follows what is typed.
const followBar = 150 * time.Millisecond

// maxFilters is how many former filters are kept.
const maxFilters = 100

// parse reads a filter.
func (a *app) parse(text string) (*filter.Filter, error) {
	return filter.Parse(text, a.cfg.Now(), a.zone())
}

func (a *app) zone() *time.Location { return cmp.Or(a.cfg.Format.Zone, time.Local) }

// remember keeps a filter for later.
func (a *app) remember(text string) {
	if text == "" {
		return
	}
	a.filters = slices.DeleteFunc(a.filters, func(s string) bool { return s == text })
	a.filters = append(a.filters, text)
	a.filters = a.filters[max(0, len(a.filters)-maxFilters):]
}

// editFilter opens the filter bar.
func (a *app) editFilter() {
	m, here := a.top().(*messages)
	if !here {
		return
	}
	before := m.text
	wait := &lane{app: a}
	a.ask(&prompt{
		edit: newEdit(m.text), where: inFilter, former: a.filters,
		offers: a.filterOffers,
		changed: func(text string) {
			wait.later(followBar, func(context.Context) func() {
				return func() { a.typed(m, text) }
			})
		},
		keep: func(text string) error {
			wait.stop()
			if err := m.set(strings.TrimSpace(text)); err != nil {
				return err
			}
			a.remember(before)
			a.remember(m.text)
			return nil
		},
		leave: func() {
			wait.stop()
			if err := m.set(before); err != nil {
				a.say("%v", err)
			}
		},
	})
}

// typed shows what the filter lets pass that is being typed, or where it is
// wrong.
func (a *app) typed(m *messages, text string) {
	if a.filtering() {
		a.prompt.wrong = m.set(strings.TrimSpace(text))
	}
}

// drawFilter draws the filter in the first line of c, and how far it is; what
// it offers, or where it is wrong, below.
func (a *app) drawFilter(c canvas, m *messages) {
	state := m.state()
	c.line(0, "", roleText)
	n := cells(state)
	c.text(c.w-n-1, 0, n, state, roleDim)
	left := c.lines(0, 1).columns(0, max(c.w-n-3, 12))
	left.text(1, 0, 1, "/", roleFooterKey)
	if !a.filtering() {
		left.text(2, 0, left.w-2, view.Clean(m.text, c.sym.ascii), roleText)
		return
	}
	p := a.prompt
	cellOf := p.draw(left, 2, roleText)
	under := c.lines(1, c.h-1)
	var bad *filter.Error
	switch {
	case p.offered != nil:
		x := p.at
		if p.chosen >= 0 {
			x -= len([]rune(p.offered[p.chosen].word))
		}
		p.drawOffers(under, cellOf(x)-1, false)
	case errors.As(p.wrong, &bad):
		drawWrong(under, cellOf(bad.Column-1), bad.Message)
	case p.wrong != nil:
		under.line(0, view.Clean(p.wrong.Error(), c.sym.ascii), roleError)
	}
}

// drawWrong points at the column where a filter is wrong, and says why on the
// side where there is room.
func drawWrong(c canvas, x int, message string) {
	message = view.Clean(message, c.sym.ascii)
	x = max(0, min(x, c.w-1))
	c.line(0, "", roleError)
	c.text(x, 0, 1, c.sym.pointer, roleError)
	if n := cells(message); x+2+n <= c.w || x < c.w/2 {
		c.text(x+2, 0, c.w-x-2, message, roleError)
	} else {
		from := max(0, x-1-n)
		c.text(from, 0, x-1-from, message, roleError)
	}
}

// state says how far a filter is.
func (m *messages) state() string {
	found := func(p *capture.Progress) string { return grouped(int64(p.Found)) + " so far" }
	switch {
	case m.scan != nil && m.stopped:
		return fmt.Sprintf("stopped at %.0f %%, %s", m.scan.Done*100, found(m.scan))
	case m.scan != nil:
		return fmt.Sprintf("scanning %.0f %%, %s (Esc stops)", m.scan.Done*100, found(m.scan))
	case m.text == "":
		return ""
	case m.matches == 1:
		return "= 1 match"
	case m.matches >= 0:
		return "= " + grouped(m.matches) + " matches"
	case m.count.busy():
		return "counting" + m.app.sym.dots + " (Esc stops)"
	}
	return ""
}

// bare are values that need no quotes in a filter.
var bare = regexp.MustCompile(`^[A-Za-z0-9_.+/-]+$`)

func quoted(s string) string {
	if bare.MatchString(s) && s != "OR" && s != "AND" && s != "NOT" && !strings.HasPrefix(s, "-") {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// terms are the columns that can be filtered by: what a filter says of a row,
// "" when there is nothing to say.
var terms = map[string]func(capture.Row, *time.Location) string{
	"sev":  func(r capture.Row, _ *time.Location) string { return "sev:=" + cmp.Or(r.Sev.String(), "none") },
	"fate": func(r capture.Row, _ *time.Location) string { return fateTerm(r) },
	"id":   func(r capture.Row, _ *time.Location) string { return fmt.Sprintf("id:%d", r.ID) },
	"time": func(r capture.Row, z *time.Location) string {
		return "time:" + r.Begun.In(z).Format("2006-01-02T15:04")
	},
	"agent":    func(r capture.Row, _ *time.Location) string { return textTerm("agent:", r.Who()) },
	"endpoint": func(r capture.Row, _ *time.Location) string { return textTerm("endpoint:", r.Endpoint) },
	"kind":     func(r capture.Row, _ *time.Location) string { return textTerm("kind:", r.Kind) },
	"summary":  func(r capture.Row, _ *time.Location) string { return summaryTerm(r.Short) },
	"status":   func(r capture.Row, _ *time.Location) string { return numberTerm("status:", int64(r.Status)) },
	"req":      func(r capture.Row, _ *time.Location) string { return numberTerm("req:>=", r.ReqBytes) },
	"resp":     func(r capture.Row, _ *time.Location) string { return numberTerm("resp:>=", r.RespBytes) },
	"took":     func(r capture.Row, _ *time.Location) string { return tookTerm(r.Took()) },
	"conn":     func(r capture.Row, _ *time.Location) string { return fmt.Sprintf("conn:%d", r.Conn) },
	"auth":     func(r capture.Row, _ *time.Location) string { return textTerm("auth:", r.Auth) },
	"tls":      func(r capture.Row, _ *time.Location) string { return textTerm("tls:", r.TLS) },
	"method":   func(r capture.Row, _ *time.Location) string { return textTerm("method:", r.Method) },
	"target":   func(r capture.Row, _ *time.Location) string { return textTerm("path:", r.Target) },
	"client":   func(r capture.Row, _ *time.Location) string { return textTerm("agent:", r.Client) },
	"rule":     func(r capture.Row, _ *time.Location) string { return textTerm("rule:", strings.Join(r.Rules, ",")) },
}

// term is what a filter says of one column of a row; false when it has no
// value.
func (a *app) term(column string, r capture.Row) (string, bool) {
	f, known := terms[column]
	if !known {
		return "", false
	}
	term := f(r, a.zone())
	return term, term != ""
}

func textTerm(field, value string) string {
	if value == "" {
		return ""
	}
	return field + quoted(value)
}

// summaryTerm is a summary as words to look for.
func summaryTerm(s string) string {
	if s == "" {
		return ""
	}
	return quoted(s)
}

func numberTerm(field string, n int64) string {
	if n == 0 {
		return ""
	}
	return field + strconv.FormatInt(n, 10)
}

func tookTerm(d time.Duration) string {
	if d <= 0 {
		return ""
	}
	return fmt.Sprintf("took:>=%dms", d.Milliseconds())
}

func fateTerm(r capture.Row) string {
	switch {
	case r.Origin == "replay":
		return "is:replayed"
	case filter.Lookup("is") != nil && r.Fate != "":
		return "is:" + string(r.Fate)
	}
	return ""
}

// filterOffers are the fields, or values of a field, that begin like the word
// before the cursor.
func (a *app) filterOffers(before string) []offer {
	word := before[strings.LastIndexAny(before, " (")+1:]
	word = strings.TrimPrefix(word, "-")
	name, value, isValue := strings.Cut(word, ":")
	if !isValue {
		return matching(word, fieldWords())
	}
	value = value[strings.LastIndex(value, ",")+1:]
	value = strings.TrimLeft(value, "=")
	return matching(value, a.valueWords(name))
}

func fieldWords() (words []offer) {
	for _, f := range filter.Fields() {
		words = append(words, offer{word: f.Name + ":", help: f.Help})
	}
	return words
}

// valueWords are the values of a field that are known without asking the
// capture.
func (a *app) valueWords(field string) (words []offer) {
	f := filter.Lookup(field)
	if f == nil || field == "" {
		return nil
	}
	for _, w := range f.Words {
		words = append(words, offer{word: w.Name, help: w.Help})
	}
	switch field {
	case "kind":
		for _, k := range decode.Kinds() {
			words = append(words, offer{word: k.Slug, help: k.Name})
		}
	case "endpoint":
		for _, e := range decode.Endpoints() {
			words = append(words, offer{word: e.Name, help: e.Family})
		}
	case "finding":
		for _, k := range capture.FindingKinds() {
			words = append(words, offer{word: k.Code, help: k.Severity.Letter() + " " + k.Title})
		}
	case "sev":
		for _, s := range []traffic.Severity{traffic.Error, traffic.Warning, traffic.Info} {
			words = append(words, offer{word: s.Letter(), help: s.String() + " or worse"})
		}
	case "agent":
		words = a.agentWords()
	}
	return words
}

// agentWords are the agents in the window.
func (a *app) agentWords() (words []offer) {
	m, here := a.top().(*messages)
	if !here {
		return nil
	}
	seen := map[string]bool{}
	for _, r := range m.rows {
		if who := r.Who(); who != "" && !seen[who] {
			seen[who] = true
			words = append(words, offer{word: quoted(who), help: r.Client})
		}
	}
	slices.SortFunc(words, func(x, y offer) int { return cmp.Compare(x.word, y.word) })
	return words
}

// matching are the words that begin with some text.
func matching(text string, words []offer) (fit []offer) {
	for _, w := range words {
		if len(w.word) >= len(text) && strings.EqualFold(w.word[:len(text)], text) {
			w.cut = len(text)
			fit = append(fit, w)
		}
	}
	return fit
}
