package tui

import (
	"fmt"

	"mpproxy/internal/view"
)

// menu is a box with choices. It takes all keys until one of them, or Esc, is
// pressed.
type menu struct {
	title string
	// text stands above the choices.
	text    []string
	choices []choice
	// fallback is what Enter does; nil: the chosen entry.
	fallback func(*app)
	// chosen is moved by j and k; -1 for menus that only take letters.
	chosen int
}

// choice is one entry.
type choice struct {
	press      stroke
	name, help string
	do         func(*app)
}

func (m *menu) press(a *app, s stroke) {
	switch s {
	case "":
		return
	case "Esc", "q":
		a.menu = nil
		return
	case "j", "Down", "k", "Up":
		m.move(s)
		return
	case "Enter":
		a.menu = nil
		if m.fallback != nil {
			m.fallback(a)
		} else if m.chosen >= 0 {
			m.choices[m.chosen].do(a)
		}
		return
	}
	for _, c := range m.choices {
		if c.press == s {
			a.menu = nil
			c.do(a)
			return
		}
	}
}

func (m *menu) move(s stroke) {
	if m.chosen < 0 {
		return
	}
	by := 1
	if s == "k" || s == "Up" {
		by = -1
	}
	m.chosen = max(0, min(m.chosen+by, len(m.choices)-1))
}

// draw draws the menu over the lower part of c.
func (m *menu) draw(c canvas) {
	var text []string
	for _, t := range m.text {
		text = append(text, wrapped(view.Clean(t, c.sym.ascii), c.w-6)...)
	}
	h := min(len(text)+len(m.choices)+2, c.h)
	box := c.lines(c.h-h, h)
	if c.h-h > 4 {
		box = c.lines(2, h)
	}
	in := box.columns(1, c.w-2).box(m.title)
	y := 0
	for _, t := range text {
		in.line(y, t, roleText)
		y++
	}
	from := max(0, min(m.chosen-(in.h-y)/2, len(m.choices)-(in.h-y)))
	wide := 0
	for _, ch := range m.choices {
		wide = max(wide, cells(ch.name))
	}
	for i, ch := range m.choices[from:] {
		if y >= in.h {
			break
		}
		style := c.theme.style
		if from+i == m.chosen {
			style = c.theme.on
		}
		in.styled(0, y, in.w, "", style(roleText))
		in.styled(0, y, 6, fmt.Sprintf("%2s", c.sym.shown(ch.press)), style(roleFooterKey))
		in.styled(4, y, wide, ch.name, style(roleText))
		in.styled(4+wide+2, y, in.w-wide-6, view.Clean(ch.help, c.sym.ascii), style(roleText))
		y++
	}
}

// quitMenu asks before a proxy ends.
func quitMenu(a *app) *menu {
	var text []string
	if f := a.cfg.Live.Connections; f != nil {
		switch n := f(); n {
		case 0:
			text = append(text, "No connection is open.")
		case 1:
			text = append(text, "1 connection is open: it gets some seconds to finish, then it is closed.")
		default:
			text = append(text, grouped(int64(n))+" connections are open: they get some seconds to finish, then they are closed.")
		}
	}
	recorded := "Everything recorded is in " + a.cfg.Store.Path()
	if f := a.cfg.Live.Recorder; f != nil {
		recorded += fmt.Sprintf(" (%s exchanges)", grouped(f().Exchanges))
	}
	stay := func(*app) {}
	return &menu{
		title: "stop mpproxy?", text: append(text, recorded+".", ""), chosen: -1, fallback: stay,
		choices: []choice{
			{"y", "stop", "end the proxy, and with it what agents have open", func(a *app) { a.cancel() }},
			{"n", "go on", "Enter and Esc do the same", stay},
		},
	}
}
