package tui

import (
	"cmp"
	"slices"
)

// list is a window of rows over a capture, in the order of their numbers, with
// a cursor. Positions in it are numbers of things and never of rows, so that
// what arrives or changes moves nothing under the cursor.
type list[R any, K ~int64] struct {
	// number is a row's.
	number func(R) K
	rows   []R
	// first and last are true when there is nothing before or behind rows.
	atFirst, atLast bool
	// cursor is the chosen thing, top the one in the first line; 0 for none.
	cursor, top K
	// height is how many rows are drawn.
	height int
}

// index is where a thing is in rows, or where it would be.
func (l *list[R, K]) index(id K) int {
	i, _ := slices.BinarySearchFunc(l.rows, id, func(r R, id K) int { return cmp.Compare(l.number(r), id) })
	return i
}

// row is the chosen row, nil when there is none.
func (l *list[R, K]) row() *R {
	if len(l.rows) == 0 {
		return nil
	}
	return &l.rows[min(l.index(l.cursor), len(l.rows)-1)]
}

// show takes other rows and puts the cursor on the one nearest to id; 0
// is the last one.
func (l *list[R, K]) show(rows []R, atFirst, atLast bool, id K) {
	l.rows, l.atFirst, l.atLast = rows, atFirst, atLast
	if len(rows) == 0 {
		l.cursor, l.top = 0, 0
		return
	}
	at := len(rows) - 1
	if id != 0 {
		at = min(l.index(id), at)
	}
	l.cursor = l.number(rows[at])
	l.settle()
}

// settle moves the top as little as it takes to have the cursor on the screen,
// and no more lines empty than there must be.
func (l *list[R, K]) settle() {
	if len(l.rows) == 0 {
		return
	}
	at := min(l.index(l.cursor), len(l.rows)-1)
	l.cursor = l.number(l.rows[at])
	height := max(l.height, 1)
	top := min(l.index(l.top), at, max(len(l.rows)-height, 0))
	l.top = l.number(l.rows[max(top, at-height+1)])
}

// step is the row so many rows from the cursor, as an index that may lie
// outside of rows.
func (l *list[R, K]) step(by int) int { return l.index(l.cursor) + by }

// goTo puts the cursor on a row of the window, and scrolls by as many rows as
// the cursor goes when it went a page.
func (l *list[R, K]) goTo(at int) {
	if len(l.rows) == 0 {
		return
	}
	at = max(0, min(at, len(l.rows)-1))
	if by := at - l.index(l.cursor); by >= l.height-1 || -by >= l.height-1 {
		l.top = l.number(l.rows[max(0, min(l.index(l.top)+by, len(l.rows)-1))])
	}
	l.cursor = l.number(l.rows[at])
	l.settle()
}

// before and behind are the rows that lie outside of the screen.
func (l *list[R, K]) before() int { return l.index(l.top) }

func (l *list[R, K]) behind() int { return max(0, len(l.rows)-l.index(l.top)-l.height) }

// trim leaves a page on each side of the screen.
func (l *list[R, K]) trim() {
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
func (l *list[R, K]) replace(rows []R) (changed bool) {
	for _, r := range rows {
		if i := l.index(l.number(r)); i < len(l.rows) && l.number(l.rows[i]) == l.number(r) {
			l.rows[i], changed = r, true
		}
	}
	return changed
}

// visible are the rows on the screen.
func (l *list[R, K]) visible() []R {
	from := min(l.index(l.top), len(l.rows))
	return l.rows[from:min(from+l.height, len(l.rows))]
}

// each gives the numbers of the window's rows among ids.
func (l *list[R, K]) among(ids []K) []K {
	return slices.DeleteFunc(slices.Clone(ids), func(id K) bool {
		i := l.index(id)
		return i >= len(l.rows) || l.number(l.rows[i]) != id
	})
}
