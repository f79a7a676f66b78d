package tui

import "github.com/gdamore/tcell/v2"

// stroke is a key as the table writes it: "j", "Enter", "Ctrl-F", "Shift-Tab".
type stroke string

var strokes = map[tcell.Key]stroke{
	tcell.KeyEnter: "Enter", tcell.KeyEscape: "Esc", tcell.KeyTab: "Tab", tcell.KeyBacktab: "Shift-Tab",
	tcell.KeyUp: "Up", tcell.KeyDown: "Down", tcell.KeyLeft: "Left", tcell.KeyRight: "Right",
	tcell.KeyHome: "Home", tcell.KeyEnd: "End", tcell.KeyPgUp: "PgUp", tcell.KeyPgDn: "PgDn",
	tcell.KeyBackspace: "Backspace", tcell.KeyBackspace2: "Backspace", tcell.KeyDelete: "Delete",
	tcell.KeyCtrlA: "Ctrl-A", tcell.KeyCtrlB: "Ctrl-B", tcell.KeyCtrlC: "Ctrl-C", tcell.KeyCtrlD: "Ctrl-D",
	tcell.KeyCtrlE: "Ctrl-E", tcell.KeyCtrlF: "Ctrl-F", tcell.KeyCtrlK: "Ctrl-K", tcell.KeyCtrlL: "Ctrl-L",
	tcell.KeyCtrlU: "Ctrl-U", tcell.KeyCtrlW: "Ctrl-W",
}

// strokeOf names a key, "" for those that mean nothing here.
func strokeOf(e *tcell.EventKey) stroke {
	if e.Key() != tcell.KeyRune {
		return strokes[e.Key()]
	}
	switch {
	case e.Modifiers()&(tcell.ModAlt|tcell.ModCtrl|tcell.ModMeta) != 0:
		return ""
	case e.Rune() == ' ':
		return "Space"
	}
	return stroke(e.Rune())
}

// shown is a stroke as footer and help write it.
func (s *symbols) shown(k stroke) string {
	switch k {
	case "Enter":
		return s.enter
	case "Up":
		return s.up
	case "Down":
		return s.down
	case "Left":
		return s.left
	case "Right":
		return s.right
	}
	return string(k)
}
