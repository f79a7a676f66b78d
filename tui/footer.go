package tui

import (
	"cmp"
	"slices"

	"github.com/gdamore/tcell/v2"
)

// Draw draws everything. tview calls it after each key.
func (a *app) Draw(sc tcell.Screen) {
	_, _, w, h := a.GetRect()
	c := canvas{sc, 0, 0, w, h, a.theme, a.sym}
	c.fill(roleText)
	switch {
	case c.w < 30 || c.h < 8:
		c.line(c.h/2, "too small: 60x15 needed", roleText)
		return
	case c.w < 60 || c.h < 15:
		a.top().draw(c)
	default:
		a.drawTitle(c.lines(0, 1))
		a.top().draw(c.lines(1, c.h-3))
		a.drawInfo(c.lines(c.h-2, 1))
		a.drawFooter(c.lines(c.h-1, 1))
	}
	if a.prompt != nil && !a.filtering() {
		a.drawPrompt(c)
	}
	if a.menu != nil {
		a.menu.draw(c.lines(1, c.h-2))
	}
}

func (a *app) drawInfo(c canvas) {
	p := a.top().info()
	if a.said != "" {
		p = piece{a.said, roleText}
	}
	c.line(0, " "+p.text, p.role)
}

// drawFooter draws the keys that work here and now, the most useful first, as
// many as there is room for.
func (a *app) drawFooter(c canvas) {
	c.line(0, "", roleFooterText)
	x := 1
	help := key{press: []stroke{"?"}, name: "help"}
	keys := a.footerKeys()
	if a.menu != nil || a.prompt != nil {
		help = key{press: []stroke{"Esc"}, name: "back"}
	}
	last := c.w - a.footerWidth(help)
	for _, k := range keys {
		if x+a.footerWidth(k)+1 > last {
			break
		}
		x = a.drawKey(c, x, k) + 2
	}
	a.drawKey(c, last, help)
}

func (a *app) footerWidth(k key) int { return cells(a.sym.shown(k.press[0])) + 1 + cells(k.name) + 1 }

func (a *app) drawKey(c canvas, x int, k key) int {
	return c.pieces(x, 0, piece{a.sym.shown(k.press[0]), roleFooterKey}, piece{" " + k.name, roleFooterText})
}

// footerKeys are the keys for the footer, in its order.
func (a *app) footerKeys() []key {
	scopes := a.scopes()
	switch {
	case a.menu != nil && a.menu.chosen >= 0:
		return []key{{press: []stroke{"Enter"}, name: "take"}}
	case a.menu != nil:
		return nil
	case a.prompt != nil:
		scopes = []scope{a.prompt.where}
	}
	ks := slices.DeleteFunc(keysOf(scopes), func(k key) bool {
		return k.footer == 0 || k.can != nil && k.can(a) != nil
	})
	slices.SortStableFunc(ks, func(x, y key) int { return cmp.Compare(x.footer, y.footer) })
	return ks
}
