package view

import (
	"fmt"
	"slices"
	"strings"
)

// Column is one column of a list of things R.
type Column[R any] struct {
	// Name is what --columns and the screen's settings call it, Head what
	// stands above it.
	Name, Head string
	// Right is true for columns of numbers.
	Right bool
	// cells is how wide it is at each of the breakpoints; 0 leaves it out, -1
	// takes what is left.
	cells [6]int
	// value is what it says of a thing when it is so many cells wide.
	value func(R, Format, int) string
	// wide is how wide it is when it is asked for by name and no breakpoint
	// shows it.
	wide int
}

// breakpoints are the terminal widths at which the columns change.
var breakpoints = [6]int{160, 120, 100, 80, 60, 0}

// Table is the columns of a list, from left to right. The screen and the
// commands show the same ones. Widths are fixed for a terminal's width, so that
// columns do not jump while rows scroll.
type Table[R any] []Column[R]

// Names are the names that --columns takes.
func (t Table[R]) Names() []string {
	var names []string
	for _, c := range t {
		names = append(names, c.Name)
	}
	return names
}

// Layout is which columns a list shows, and how wide.
type Layout[R any] struct {
	Columns []Column[R]
	Cells   []int
}

// For lays the columns out for a terminal of some width.
func (t Table[R]) For(cells int) Layout[R] {
	step := slices.IndexFunc(breakpoints[:], func(b int) bool { return cells >= b })
	var l Layout[R]
	for _, c := range t {
		if n := c.cells[step]; n != 0 {
			l.Columns, l.Cells = append(l.Columns, c), append(l.Cells, n)
		}
	}
	return l.fill(cells)
}

// Of lays out columns by their names, in that order. The error names the known
// ones.
func (t Table[R]) Of(names []string, cells int) (Layout[R], error) {
	var l Layout[R]
	for _, name := range names {
		i := slices.IndexFunc(t, func(c Column[R]) bool { return c.Name == name })
		if i < 0 {
			return l, fmt.Errorf("unknown column %q (known: %s)", name, strings.Join(t.Names(), ", "))
		}
		n := t[i].cells[1]
		if n == 0 {
			n = max(t[i].cells[0], t[i].wide)
		}
		l.Columns, l.Cells = append(l.Columns, t[i]), append(l.Cells, n)
	}
	return l.fill(cells), nil
}

// fill gives what is left to the column that takes it.
func (l Layout[R]) fill(cells int) Layout[R] {
	rest := cells
	at := -1
	for i, n := range l.Cells {
		if l.spaced(i) {
			rest--
		}
		if n < 0 {
			at = i
			continue
		}
		rest -= n
	}
	if at >= 0 {
		l.Cells[at] = max(rest, 8)
	}
	return l
}

// Heading is the line above the list.
func (l Layout[R]) Heading(f Format) string {
	return l.join(func(c Column[R], _ int) string { return c.Head }, f)
}

// Line is a thing as one line, cleaned and cut.
func (l Layout[R]) Line(r R, f Format) string {
	return l.join(func(c Column[R], cells int) string { return Clean(c.value(r, f, cells), f.ASCII) }, f)
}

// Value is what a column says of a thing, cleaned but not cut.
func (c Column[R]) Value(r R, f Format) string {
	return Clean(c.value(r, f, 23), f.ASCII)
}

// Texts are the parts of Line, each as wide as its column.
func (l Layout[R]) Texts(r R, f Format) []string {
	var texts []string
	for i, c := range l.Columns {
		texts = append(texts, Fit(Clean(c.value(r, f, l.Cells[i]), f.ASCII), l.Cells[i], c.Right, f.ASCII))
	}
	return texts
}

// Starts is where in Line each column begins, in cells.
func (l Layout[R]) Starts() []int {
	var starts []int
	at := 0
	for i, n := range l.Cells {
		if l.spaced(i) {
			at++
		}
		starts = append(starts, at)
		at += n
	}
	return starts
}

// spaced is true when a blank stands before a column.
func (l Layout[R]) spaced(i int) bool {
	return i > 0 && (l.Columns[i].Name != "fate" || l.Columns[i-1].Name != "sev")
}

func (l Layout[R]) join(value func(Column[R], int) string, f Format) string {
	var b strings.Builder
	for i, c := range l.Columns {
		if l.spaced(i) {
			b.WriteByte(' ')
		}
		b.WriteString(Fit(value(c, l.Cells[i]), l.Cells[i], c.Right, f.ASCII))
	}
	return b.String()
}
