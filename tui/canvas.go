package tui

import (
	"strings"

	"github.com/gdamore/tcell/v2"
	"github.com/rivo/uniseg"

	"mpproxy/internal/view"
)

// put draws s into n cells, cut at a grapheme cluster and filled up with
// blanks. It knows no tags, so text from the wire stays text.
func put(sc tcell.Screen, x, y, n int, s string, st tcell.Style) {
	for end, state := x+n, -1; x < end; {
		cluster, w := " ", 1
		if s != "" {
			cluster, s, w, state = uniseg.FirstGraphemeClusterInString(s, state)
		}
		if x+w > end {
			cluster, s, w = " ", "", 1
		}
		if w > 0 {
			sc.Put(x, y, cluster, st)
		}
		x += w
	}
}

// cells is how many cells s takes.
func cells(s string) int { return uniseg.StringWidth(s) }

// canvas is a part of the screen to draw on, with the means to do it.
type canvas struct {
	screen     tcell.Screen
	x, y, w, h int
	theme      *theme
	sym        *symbols
}

// lines is the part of a canvas from line y on, n lines high.
func (c canvas) lines(y, n int) canvas {
	c.y, c.h = c.y+y, max(0, min(n, c.h-y))
	return c
}

// columns is the part of a canvas from column x on, n columns wide.
func (c canvas) columns(x, n int) canvas {
	c.x, c.w = c.x+x, max(0, min(n, c.w-x))
	return c
}

// text draws s into n cells of a line, beginning at x. Text that is too long
// ends in an ellipsis. s has to be clean.
func (c canvas) text(x, y, n int, s string, r role) { c.styled(x, y, n, s, c.theme.style(r)) }

func (c canvas) styled(x, y, n int, s string, st tcell.Style) {
	n = min(n, c.w-x)
	if n <= 0 || y < 0 || y >= c.h || x < 0 {
		return
	}
	put(c.screen, c.x+x, c.y+y, n, view.Fit(s, n, false, c.sym.ascii), st)
}

// line draws s over a whole line.
func (c canvas) line(y int, s string, r role) { c.text(0, y, c.w, s, r) }

// pieces draws pieces one behind the other and gives where they end.
func (c canvas) pieces(x, y int, ps ...piece) int {
	for _, p := range ps {
		n := min(cells(p.text), c.w-x)
		c.text(x, y, n, p.text, p.role)
		x += max(n, 0)
	}
	return x
}

// fill draws blanks over all of it.
func (c canvas) fill(r role) {
	for y := range c.h {
		c.line(y, "", r)
	}
}

// box draws a frame with a title, and gives what is inside.
func (c canvas) box(title string) canvas {
	s := c.sym
	title = view.Fit(title, min(cells(title), c.w-6), false, s.ascii)
	top := s.topLeft + s.horizontal + " " + title + " "
	c.line(0, top+strings.Repeat(s.horizontal, max(0, c.w-1-cells(top)))+s.topRight, roleText)
	for y := 1; y < c.h-1; y++ {
		c.line(y, s.vertical+strings.Repeat(" ", max(0, c.w-2))+s.vertical, roleText)
	}
	c.line(c.h-1, s.bottomLeft+strings.Repeat(s.horizontal, max(0, c.w-2))+s.bottomRight, roleText)
	return c.lines(1, c.h-2).columns(2, c.w-4)
}

// piece is text in one role. The text is clean.
type piece struct {
	text string
	role role
}

// symbols are the signs that are not letters.
type symbols struct {
	ascii                                        bool
	enter, dots, arrow, horizontal, vertical     string
	topLeft, topRight, bottomLeft, bottomRight   string
	pointer, sep, up, down, left, right, between string
}

var unicodeSymbols = symbols{
	enter: "⏎", dots: "…", arrow: "→", horizontal: "─", vertical: "│",
	topLeft: "┌", topRight: "┐", bottomLeft: "└", bottomRight: "┘",
	pointer: "^", sep: ">", up: "↑", down: "↓", left: "←", right: "→", between: "·",
}

var asciiSymbols = symbols{
	ascii: true, enter: "Enter", dots: "~", arrow: "->", horizontal: "-", vertical: "|",
	topLeft: "+", topRight: "+", bottomLeft: "+", bottomRight: "+",
	pointer: "^", sep: ">", up: "Up", down: "Down", left: "Left", right: "Right", between: "-",
}
