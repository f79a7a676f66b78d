package tui

import (
	"fmt"
	"strings"

	"mpproxy/capture"
	"mpproxy/internal/view"
	"mpproxy/traffic"
)

// Limits of what terminals take into their clipboard: some stop at 74 994
// bytes, and tmux 3.3 cuts at 700 000 without a word.
const (
	sureClip = 64 << 10
	maxClip  = 700_000
)

// exchange is the exchange that is chosen or shown.
func (a *app) exchange() (traffic.ExchangeID, bool) {
	switch s := a.top().(type) {
	case *messages:
		if r := s.row(); r != nil {
			return r.ID, true
		}
	case *detail:
		return s.id, true
	}
	return 0, false
}

// row is the row of that exchange.
func (a *app) row() (capture.Row, bool) {
	switch s := a.top().(type) {
	case *messages:
		if r := s.row(); r != nil {
			return *r, true
		}
	case *detail:
		if s.data != nil {
			return s.data.Row, true
		}
	}
	return capture.Row{}, false
}

// copyMenu lets the user choose what to copy.
func (a *app) copyMenu() {
	r, chosen := a.row()
	if !chosen {
		a.say("there is nothing to copy")
		return
	}
	m := &menu{title: "copy"}
	offer := func(press stroke, name, help string, text func() string) {
		m.choices = append(m.choices, choice{press, name, help, func(a *app) { a.copyText(name, text()) }})
	}
	if t := a.text(); t != nil {
		offer("l", "line", "the line with the cursor", func() string { return t.lines[t.line()].full() })
		offer("x", "text", "all of this text, with folded blocks and long values", func() string { return allOf(t) })
	}
	offer("r", "row", "the line of the list", func() string { return strings.TrimRight(view.Exchanges.For(160).Line(r, a.cfg.Format), " ") })
	offer("i", "id", fmt.Sprintf("%d", r.ID), func() string { return fmt.Sprint(r.ID) })
	offer("f", "filter", "a filter for this exchange", func() string { return fmt.Sprintf("id:%d", r.ID) })
	offer("s", "show", "the command that prints it", func() string {
		return fmt.Sprintf("mpproxy show %s %d", shellWord(a.cfg.Store.Path()), r.ID)
	})
	if d, here := a.top().(*detail); here && len(d.data.Findings) > 0 {
		offer("e", "findings", "what was found, with evidence and remedy", func() string { return allOf(newText(findingLines(d.data.Findings, a.cfg.Format))) })
	}
	a.menu = m
}

// allOf is a text as a whole.
func allOf(t *text) string {
	var b strings.Builder
	for i := range t.lines {
		b.WriteString(t.lines[i].full())
		b.WriteByte('\n')
	}
	return b.String()
}

// shellWord is a word as a POSIX shell takes it.
func shellWord(s string) string {
	if bare.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// copyText hands text to the terminal's clipboard (OSC 52). Terminals never
// say whether they took it.
func (a *app) copyText(what, s string) {
	switch n := len(s); {
	case n > maxClip:
		a.say("%s is too long for a clipboard: %s bytes", what, grouped(int64(n)))
		return
	case n > sureClip:
		a.say("copied %s: %s bytes, more than some terminals take", what, grouped(int64(n)))
	default:
		a.say("copied %s: %s", what, count(n, "byte"))
	}
	a.screen.SetClipboard([]byte(s))
}
