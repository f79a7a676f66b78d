package tui

import (
	"slices"

	"mpproxy/capture"
	"mpproxy/traffic"
)

// list is a window of rows over a capture, in the order of their numbers, with
// a cursor. Positions in it are numbers of exchanges and never of rows, so
// that what arrives or changes moves nothing under the cursor.
type list struct {
	rows []capture.Row
	// first and last are true when there is nothing before or behind rows.
	atFirst, atLast bool
	// cursor is the chosen exchange, top the one in the first line; 0 for none.
	cursor, top traffic.ExchangeID
	// height is how many rows are drawn.
	height int
}

// index is where an exchange is in rows, or where it would be.
func (l *list) index(id traffic.ExchangeID) int {
	i, _ := slices.BinarySearchFunc(l.rows, id, func(r capture.Row, id traffic.ExchangeID) int { return int(r.ID - id) })
	return i
}

// row is the chosen row, nil when there is none.
func (l *list) row() *capture.Row {
	if len(l.rows) == 0 {
		return nil
	}
	return &l.rows[min(l.index(l.cursor), len(l.rows)-1)]
}

// show takes other rows and puts the cursor on the exchange nearest to id; 0
// is the last one.
func (l *list) show(rows []capture.Row, atFirst, atLast bool, id traffic.ExchangeID) {
	l.rows, l.atFirst, l.atLast = rows, atFirst, atLast
	if len(rows) == 0 {
		l.cursor, l.top = 0, 0
		return
	}
	at := len(rows) - 1
	if id != 0 {
		at = min(l.index(id), at)
	}
	l.cursor = rows[at].ID
	l.settle()
}

// settle moves the top as little as it takes to have the cursor on the screen,
// and no more lines empty than there must be.
func (l *list) settle() {
	if len(l.rows) == 0 {
		return
	}
	at := min(l.index(l.cursor), len(l.rows)-1)
	l.cursor = l.rows[at].ID
	height := max(l.height, 1)
	top := min(l.index(l.top), at, max(len(l.rows)-height, 0))
	l.top = l.rows[max(top, at-height+1)].ID
}

// step is the row so many rows from the cursor, as an index that may lie
// outside of rows.
func (l *list) step(by int) int { return l.index(l.cursor) + by }

// goTo puts the cursor on a row of the window, and scrolls by as many rows as
// the cursor goes when it went a page.
func (l *list) goTo(at int) {
	if len(l.rows) == 0 {
		return
	}
	at = max(0, min(at, len(l.rows)-1))
	if by := at - l.index(l.cursor); by >= l.height-1 || -by >= l.height-1 {
		l.top = l.rows[max(0, min(l.index(l.top)+by, len(l.rows)-1))].ID
	}
	l.cursor = l.rows[at].ID
	l.settle()
}

// before and behind are the rows that lie outside of the screen.
func (l *list) before() int { return l.index(l.top) }

func (l *list) behind() int { return max(0, len(l.rows)-l.index(l.top)-l.height) }

// trim leaves a page on each side of the screen.
func (l *list) trim() {
	page := max(l.height, 1)
	if n := l.before() - page; n > 0 {
		l.rows, l.atFirst = slices.Clone(l.rows[n:]), false
	}
	if n := l.behind() - page; n > 0 {
		l.rows, l.atLast = slices.Clone(l.rows[:len(l.rows)-n]), false
	}
}

// replace takes newer versions of rows that are in the window; true when there
// was one.
func (l *list) replace(rows []capture.Row) (changed bool) {
	for _, r := range rows {
		if i := l.index(r.ID); i < len(l.rows) && l.rows[i].ID == r.ID {
			l.rows[i], changed = r, true
		}
	}
	return changed
}

// visible are the rows on the screen.
func (l *list) visible() []capture.Row {
	from := min(l.index(l.top), len(l.rows))
	return l.rows[from:min(from+l.height, len(l.rows))]
}

// each gives the numbers of the window's rows among ids.
func (l *list) among(ids []traffic.ExchangeID) []traffic.ExchangeID {
	return slices.DeleteFunc(slices.Clone(ids), func(id traffic.ExchangeID) bool {
		i := l.index(id)
		return i >= len(l.rows) || l.rows[i].ID != id
	})
}
