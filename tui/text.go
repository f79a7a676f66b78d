package tui

import (
	"slices"
	"strings"
	"unicode"

	"github.com/gdamore/tcell/v2"
	"github.com/rivo/uniseg"

	"mpproxy/internal/view"
)

// line is a line of a text.
type line struct {
	pieces []piece
	// whole are the pieces with every value in full, nil when none is cut.
	whole  []piece
	opened bool // whole is shown
	// last is the last line of the block that this line begins; blocks that
	// are closed show nothing else. A line that begins none has its own number.
	last   int
	closed bool
	// hang is how far what does not fit is moved in.
	hang int
}

// now are the pieces as they are shown, but for the mark of a closed block.
func (l *line) now() []piece {
	if l.opened && l.whole != nil {
		return l.whole
	}
	return l.pieces
}

func joinPieces(ps []piece) string {
	var b strings.Builder
	for _, p := range ps {
		b.WriteString(p.text)
	}
	return b.String()
}

// full is all that a line says.
func (l *line) full() string {
	if l.whole != nil {
		return joinPieces(l.whole)
	}
	return joinPieces(l.pieces)
}

// row is what of a line stands in one row of the screen: from a cell on.
type row struct{ line, from int }

// text shows lines: it scrolls, wraps, folds and finds.
type text struct {
	lines []line
	// rows are made of lines for a width; nil when they have to be made anew.
	rows []row
	// cursor and top are indexes into rows.
	cursor, top int
	left        int
	wrap        bool
	numbers     bool // of lines, and marks of blocks
	w, h        int
	sought      string
	hits        []int // the lines that have it
}

func newText(lines []line) *text { return &text{lines: lines, wrap: true} }

// gutter is how wide numbers and marks are.
func (t *text) gutter() int {
	if t.numbers {
		return 7
	}
	return 1
}

// lay makes the rows for a size. The cursor stays on its line.
func (t *text) lay(w, h int) {
	if t.rows != nil && t.w == w {
		t.h = h
		t.settle()
		return
	}
	at, above := t.line(), t.cursor-t.top
	t.w, t.h, t.rows = w, h, []row{}
	for i := 0; i < len(t.lines); i++ {
		l := &t.lines[i]
		t.rows = append(t.rows, row{i, 0})
		if t.wrap {
			for _, from := range breaks(joinPieces(l.now()), max(w-t.gutter(), 8), l.hang) {
				t.rows = append(t.rows, row{i, from})
			}
		}
		if l.closed && l.last > i {
			i = l.last
		}
	}
	t.goToLine(at)
	t.top = t.cursor - above
	t.settle()
}

// breaks says in which cells a text goes on in a new row, at blanks where
// there are some.
func breaks(s string, width, hang int) (at []int) {
	if len(s) <= width {
		return nil
	}
	hang = min(hang, width/2)
	begin, blank, x := 0, 0, 0
	room := width
	for state := -1; s != ""; {
		var c string
		var n int
		c, s, n, state = uniseg.FirstGraphemeClusterInString(s, state)
		if x+n-begin > room {
			if blank <= begin+room/2 {
				blank = x
			}
			at = append(at, blank)
			begin, room = blank, width-hang
		}
		x += n
		if c == " " {
			blank = x
		}
	}
	return at
}

// wrapped is a text in lines of a width.
func wrapped(s string, width int) (lines []string) {
	begin := 0
	x := 0
	at := breaks(s, width, 0)
	for i, state, rest := 0, -1, s; rest != "" && len(at) > 0; {
		var c string
		var n int
		if x >= at[0] {
			lines, begin, at = append(lines, s[begin:i]), i, at[1:]
			continue
		}
		c, rest, n, state = uniseg.FirstGraphemeClusterInString(rest, state)
		i, x = i+len(c), x+n
	}
	return append(lines, s[begin:])
}

// line is the number of the line with the cursor.
func (t *text) line() int {
	if len(t.rows) == 0 {
		return 0
	}
	return t.rows[min(t.cursor, len(t.rows)-1)].line
}

// goToLine puts the cursor on a line, or on the block in which it is closed.
func (t *text) goToLine(n int) {
	i, found := slices.BinarySearchFunc(t.rows, n, func(r row, n int) int {
		if r.line == n && r.from > 0 {
			return 1
		}
		return r.line - n
	})
	if !found {
		i--
	}
	t.cursor = max(0, i)
}

// settle keeps cursor and top inside.
func (t *text) settle() {
	t.cursor = max(0, min(t.cursor, len(t.rows)-1))
	t.top = max(0, min(t.top, len(t.rows)-t.h))
	t.top = min(t.top, t.cursor)
	t.top = max(t.top, t.cursor-t.h+1)
}

// again makes the rows anew after something has opened or closed.
func (t *text) again() {
	t.rows = slices.Clone(t.rows)
	w, h := t.w, t.h
	t.w = -1
	t.lay(w, h)
}

func (t *text) move(by int) {
	if n := t.h - 1; by >= n || -by >= n {
		t.top += by
	}
	t.cursor += by
	t.settle()
}

func (t *text) page() int { return max(t.h-1, 1) }

func (t *text) first() { t.move(-len(t.rows)) }

func (t *text) last() { t.move(len(t.rows)) }

func (t *text) toggleWrap() {
	t.wrap, t.left = !t.wrap, 0
	t.again()
}

// scroll moves sideways what is not wrapped.
func (t *text) scroll(by int) {
	if !t.wrap {
		t.left = max(0, t.left+by)
	}
}

// fold opens or closes the block that begins in the line with the cursor, or
// the value that is cut there, or the block around it.
func (t *text) fold() {
	if len(t.lines) == 0 {
		return
	}
	i := t.line()
	l := &t.lines[i]
	switch {
	case l.last > i:
		l.closed = !l.closed
	case l.whole != nil:
		l.opened = !l.opened
	default:
		for j := i - 1; j >= 0; j-- {
			if t.lines[j].last >= i {
				t.lines[j].closed = true
				break
			}
		}
	}
	t.again()
}

// openValue shows in full what is cut in the line with the cursor.
func (t *text) openValue() {
	if len(t.lines) == 0 {
		return
	}
	l := &t.lines[t.line()]
	if l.whole == nil {
		t.fold()
		return
	}
	l.opened = !l.opened
	t.again()
}

// foldAll opens all blocks, or closes all but the outermost when all are open.
func (t *text) foldAll() {
	closed := slices.ContainsFunc(t.lines, func(l line) bool { return l.closed })
	for i := range t.lines {
		t.lines[i].closed = !closed && i > 0 && t.lines[i].last > i
	}
	t.again()
}

// find looks for a text; without capitals in it case does not matter. It gives
// how many lines have it.
func (t *text) find(s string) int {
	t.sought, t.hits = s, nil
	if s == "" {
		return 0
	}
	for i := range t.lines {
		if len(t.matches(t.lines[i].full())) > 0 {
			t.hits = append(t.hits, i)
		}
	}
	return len(t.hits)
}

// matches are the places of a text where the sought one begins.
func (t *text) matches(s string) (at []int) {
	sought := t.sought
	if sought == "" {
		return nil
	}
	if !strings.ContainsFunc(sought, unicode.IsUpper) {
		if low := strings.ToLower(s); len(low) == len(s) {
			s = low
		}
	}
	for from := 0; ; {
		i := strings.Index(s[from:], sought)
		if i < 0 {
			return at
		}
		at = append(at, from+i)
		from += i + len(sought)
	}
}

// hit goes to the next line that has what is sought, from the one with the
// cursor on; by is 1 or -1, 0 takes that line too.
func (t *text) hit(by int) bool {
	if len(t.hits) == 0 {
		return false
	}
	i, found := slices.BinarySearch(t.hits, t.line())
	switch {
	case by > 0 && found:
		i++
	case by < 0:
		i--
	}
	n := len(t.hits)
	t.reveal(t.hits[(i+n)%n])
	return true
}

// reveal opens what hides a line and goes there.
func (t *text) reveal(n int) {
	for j := range n {
		if t.lines[j].last >= n {
			t.lines[j].closed = false
		}
	}
	if l := &t.lines[n]; l.whole != nil && len(t.matches(joinPieces(l.pieces))) == 0 {
		l.opened = true
	}
	t.again()
	t.goToLine(n)
	t.settle()
}

// found says which of the hits the cursor is on.
func (t *text) found() (n, of int) {
	i, on := slices.BinarySearch(t.hits, t.line())
	if on {
		i++
	}
	return i, len(t.hits)
}

// draw draws the text. focus is false for a text that has no cursor.
func (t *text) draw(c canvas, focus bool) {
	t.lay(c.w, c.h)
	for y := range c.h {
		if i := t.top + y; i < len(t.rows) {
			t.drawRow(c.lines(y, 1), t.rows[i], focus && i == t.cursor)
		}
	}
}

func (t *text) drawRow(c canvas, r row, chosen bool) {
	l := &t.lines[r.line]
	style := c.theme.style
	if chosen {
		style = c.theme.on
		c.styled(0, 0, c.w, "", style(roleText))
	}
	x := t.gutter()
	if t.numbers && r.from == 0 {
		c.styled(0, 0, x, view.Fit(itoa(r.line+1), 4, true, c.sym.ascii)+" "+mark(r.line, l)+" ", style(roleDim))
	}
	if r.from > 0 && t.wrap {
		x += min(l.hang, (c.w-x)/2)
	}
	x = t.drawPieces(c, x, r, style)
	if l.closed && l.last > r.line {
		words := " " + c.sym.dots + " " + count(l.last-r.line, "line")
		c.styled(x, 0, c.w-x, words, style(roleDim))
	}
}

// mark is the sign of a block.
func mark(i int, l *line) string {
	switch {
	case l.closed && l.last > i, l.whole != nil && !l.opened:
		return "+"
	case l.last > i:
		return "-"
	}
	return " "
}

// drawPieces draws the part of a line that belongs to a row, and gives where
// it ends.
func (t *text) drawPieces(c canvas, x int, r row, style func(role) tcell.Style) int {
	l := &t.lines[r.line]
	plain := joinPieces(l.now())
	hits := t.matches(plain)
	end := -1
	if t.wrap {
		end = t.rowEnd(r)
	}
	begin, at, offset := r.from, 0, 0
	if !t.wrap {
		begin = t.left
	}
	for _, p := range l.now() {
		st := style(p.role)
		for rest, state := p.text, -1; rest != ""; {
			var cluster string
			var n int
			cluster, rest, n, state = uniseg.FirstGraphemeClusterInString(rest, state)
			if at >= begin && (end < 0 || at < end) && x+n <= c.w {
				s := st
				if slices.ContainsFunc(hits, func(h int) bool { return h <= offset && offset < h+len(t.sought) }) {
					s = style(roleMatch)
				}
				put(c.screen, c.x+x, c.y, n, cluster, s)
				x += n
			}
			at, offset = at+n, offset+len(cluster)
		}
	}
	return x
}

// rowEnd is the cell with which the next row of the same line begins, -1 for
// the last one.
func (t *text) rowEnd(r row) int {
	i, found := slices.BinarySearchFunc(t.rows, r, func(a, b row) int {
		if a.line != b.line {
			return a.line - b.line
		}
		return a.from - b.from
	})
	if found && i+1 < len(t.rows) && t.rows[i+1].line == r.line {
		return t.rows[i+1].from
	}
	return -1
}
