package tui

import (
	"strings"
	"unicode"

	"github.com/rivo/uniseg"

	"mpproxy/internal/view"
)

// maxEdit bounds what is typed or pasted into one line.
const maxEdit = 4096

// edit is a line of text that is typed.
type edit struct {
	// clusters are its graphemes, at is how many stand before the cursor.
	clusters []string
	at       int
}

func newEdit(s string) edit {
	var e edit
	e.insert(s)
	return e
}

func (e *edit) String() string { return strings.Join(e.clusters, "") }

// before is the text before the cursor.
func (e *edit) before() string { return strings.Join(e.clusters[:e.at], "") }

// set takes another text, the cursor behind it.
func (e *edit) set(s string) { *e = newEdit(s) }

// insert puts text at the cursor; of several lines it makes one.
func (e *edit) insert(s string) {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t', r == '\r':
			return ' '
		case unicode.IsControl(r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	room := maxEdit - len(e.String())
	rest := e.clusters[e.at:]
	clusters := append([]string(nil), e.clusters[:e.at]...)
	for state := -1; s != ""; {
		var c string
		c, s, _, state = uniseg.FirstGraphemeClusterInString(s, state)
		if room -= len(c); room < 0 {
			break
		}
		clusters = append(clusters, c)
	}
	e.at = len(clusters)
	e.clusters = append(clusters, rest...)
}

// strike changes the line by a key; false when the key does nothing here.
func (e *edit) strike(s stroke) bool {
	n := len(e.clusters)
	switch s {
	case "Left":
		e.at = max(e.at-1, 0)
	case "Right":
		e.at = min(e.at+1, n)
	case "Home", "Ctrl-A":
		e.at = 0
	case "End", "Ctrl-E":
		e.at = n
	case "Backspace":
		e.remove(e.at-1, e.at)
	case "Delete", "Ctrl-D":
		e.remove(e.at, e.at+1)
	case "Ctrl-U":
		e.remove(0, e.at)
	case "Ctrl-K":
		e.remove(e.at, n)
	case "Ctrl-W":
		e.remove(e.word(), e.at)
	default:
		return false
	}
	return true
}

// word is where the word before the cursor begins.
func (e *edit) word() int {
	i := e.at
	for i > 0 && e.clusters[i-1] == " " {
		i--
	}
	for i > 0 && e.clusters[i-1] != " " {
		i--
	}
	return i
}

func (e *edit) remove(from, to int) {
	from, to = max(from, 0), min(to, len(e.clusters))
	if from >= to {
		return
	}
	e.clusters = append(append([]string(nil), e.clusters[:from]...), e.clusters[to:]...)
	if e.at > from {
		e.at -= min(e.at, to) - from
	}
}

// draw draws the line with its cursor, scrolled so that the cursor is seen,
// and says in which cell column n of the text stands.
func (e *edit) draw(c canvas, x int, r role) (cellOf func(n int) int) {
	width := c.w - x
	starts := []int{0}
	var shown []string
	for _, cluster := range e.clusters {
		text := view.Clean(cluster, c.sym.ascii)
		shown = append(shown, text)
		starts = append(starts, starts[len(starts)-1]+cells(text))
	}
	left := max(0, starts[e.at]-width+1)
	c.text(x, 0, width, "", r)
	for i, text := range shown {
		if at := starts[i] - left; at >= 0 && at+cells(text) <= width {
			c.text(x+at, 0, cells(text), text, r)
		}
	}
	c.screen.ShowCursor(c.x+x+starts[e.at]-left, c.y)
	return func(n int) int { return x + starts[max(0, min(n, len(starts)-1))] - left }
}
