package tui

import (
	"strings"

	"github.com/gdamore/tcell/v2"

	"mpproxy/internal/view"
)

// prompt is a line that is typed: it takes all keys until it is kept or left.
type prompt struct {
	edit
	label string
	// where is inFilter for the filter bar in the second line, inPrompt for
	// what is typed in the last line but one.
	where scope
	// keep takes the text; an error leaves the prompt open.
	keep func(text string) error
	// leave is called on Esc, changed after each change; both may be nil.
	leave   func()
	changed func(text string)
	// offers are what the word at the cursor could become; nil for none.
	offers func(before string) []offer
	// former texts, the newest last; recall is how far back one was fetched.
	former []string
	recall int
	typed  string // what was typed before a former text was fetched

	wrong   error
	offered []offer
	chosen  int // among offered, -1 for none
}

// offer is a word to complete.
type offer struct {
	// word stands in the place of the last cut bytes before the cursor.
	word, help string
	cut        int
}

// ask opens a prompt.
func (a *app) ask(p *prompt) {
	p.chosen = -1
	a.prompt = p
}

// filtering is true while the filter bar is open.
func (a *app) filtering() bool { return a.prompt != nil && a.prompt.where == inFilter }

// press takes a key.
func (p *prompt) press(a *app, e *tcell.EventKey, s stroke) {
	switch {
	case a.press([]scope{p.where}, s):
	case p.strike(s):
		p.edited(a)
	case e.Key() == tcell.KeyRune && e.Modifiers()&(tcell.ModAlt|tcell.ModCtrl) == 0:
		p.insert(string(e.Rune()))
		p.edited(a)
	}
}

// edited follows a change.
func (p *prompt) edited(a *app) {
	p.wrong, p.offered, p.chosen, p.recall = nil, nil, -1, 0
	if p.offers != nil && p.where == inPrompt {
		p.offered = p.offers(p.before())
	}
	if p.changed != nil {
		p.changed(p.String())
	}
}

// keepPrompt takes what was typed.
func (a *app) keepPrompt() {
	p := a.prompt
	if p.offered != nil && p.chosen >= 0 && p.where == inFilter {
		p.offered, p.chosen = nil, -1
		return
	}
	if p.wrong = p.keep(p.String()); p.wrong == nil && a.prompt == p {
		a.closePrompt()
	}
}

// leavePrompt forgets what was typed.
func (a *app) leavePrompt() {
	p := a.prompt
	if p.offered != nil && p.where == inFilter {
		p.offered, p.chosen = nil, -1
		return
	}
	a.closePrompt()
	if p.leave != nil {
		p.leave()
	}
}

func (a *app) closePrompt() {
	a.prompt = nil
	a.screen.HideCursor()
}

// complete takes the next of the words that fit.
func (a *app) complete() { a.offer(1) }

func (a *app) completeBack() { a.offer(-1) }

func (a *app) offer(by int) {
	p := a.prompt
	if p.offers == nil {
		return
	}
	if p.chosen < 0 {
		p.offered = p.offers(p.before())
	}
	n := len(p.offered)
	if n == 0 {
		a.say("nothing known begins like this")
		return
	}
	was := p.chosen
	p.chosen = (p.chosen + by + n) % n
	if was < 0 && by < 0 {
		p.chosen = n - 1
	}
	p.take(was)
	if n == 1 {
		p.offered, p.chosen = nil, -1
	}
	offered, chosen := p.offered, p.chosen
	if p.wrong = nil; p.changed != nil {
		p.changed(p.String())
	}
	p.offered, p.chosen = offered, chosen
}

// take puts the chosen offer into the line, in the place of the one that was
// there before.
func (p *prompt) take(was int) {
	cut := p.offered[p.chosen].cut
	if was >= 0 {
		cut = len(p.offered[was].word)
	}
	before := p.before()
	behind := strings.Join(p.clusters[p.at:], "")
	p.set(before[:max(0, len(before)-cut)] + p.offered[p.chosen].word)
	at := p.at
	p.insert(behind)
	p.at = at
}

// former and latter fetch texts typed before.
func (a *app) former() { a.fetch(1) }

func (a *app) latter() { a.fetch(-1) }

func (a *app) fetch(by int) {
	p := a.prompt
	to := p.recall + by
	if to < 0 || to > len(p.former) {
		return
	}
	if p.recall == 0 {
		p.typed = p.String()
	}
	text := p.typed
	if to > 0 {
		text = p.former[len(p.former)-to]
	}
	p.set(text)
	p.edited(a)
	p.recall = to
}

// drawPrompt draws a prompt in the last line but one, with what it offers
// above.
func (a *app) drawPrompt(c canvas) {
	p := a.prompt
	y := c.h - 2
	line := c.lines(y, 1)
	line.line(0, "", roleText)
	line.text(0, 0, cells(p.label), p.label, roleFooterKey)
	p.draw(line, cells(p.label), roleText)
	if p.wrong != nil {
		words := view.Clean(p.wrong.Error(), c.sym.ascii)
		c.lines(y-1, 1).line(0, " "+words, roleError)
		return
	}
	p.drawOffers(c.lines(0, y), 1, true)
}

// maxOffers is how many offers are shown at once.
const maxOffers = 8

// drawOffers draws the words that fit: below the top of c, or above its end.
func (p *prompt) drawOffers(c canvas, x int, above bool) {
	n := min(len(p.offered), maxOffers, c.h)
	if n == 0 {
		return
	}
	from := max(0, min(p.chosen-n/2, len(p.offered)-n))
	wide := 0
	for _, o := range p.offered[from : from+n] {
		wide = max(wide, cells(o.word))
	}
	width := min(c.w, wide+2+52)
	x = max(0, min(x, c.w-width))
	y := 0
	if above {
		y = c.h - n
	}
	for i, o := range p.offered[from : from+n] {
		st, dim := c.theme.style(roleFooterText), c.theme.style(roleFooterText)
		if from+i == p.chosen {
			st, dim = c.theme.on(roleText), c.theme.on(roleText)
		}
		word, help := view.Clean(o.word, c.sym.ascii), view.Clean(o.help, c.sym.ascii)
		c.styled(x, y+i, width, "", dim)
		c.styled(x+1, y+i, wide, word, st)
		c.styled(x+wide+3, y+i, width-wide-4, help, dim)
	}
}
