package tui

import (
	"context"
	"errors"
	"slices"
	"time"

	"mpproxy/capture"
	"mpproxy/internal/view"
)

// listing is the screen of a list other than that of exchanges: connections,
// agents, findings, endpoints.
type listing[R any] struct {
	list[ranked[R], int64]
	app   *app
	pages lane
	of    listed[R]
	// readAt is when the rows were read last; stale is true when there is news
	// since.
	readAt time.Time
	stale  bool
}

// ranked is a thing with its place: its own number, or that in the order of
// the list.
type ranked[R any] struct {
	number int64
	thing  R
}

// listed is what a listing shows.
type listed[R any] struct {
	crumb string
	on    scope
	table view.Table[R]
	// fetch reads up to n things next to a place, in order: those before it
	// going Older, where 0 begins with the last, those behind it going Newer.
	// It runs beside the screen.
	fetch func(ctx context.Context, from int64, way capture.Way, n int) ([]ranked[R], error)
	// newest begins with the last thing in place of the first.
	newest bool
	// same is true for one thing before and after the list was read anew, which
	// the cursor then follows, unless it was on the first one; nil leaves it in
	// its place.
	same func(a, b R) bool
	// open is Enter, nil shows the exchanges; only is the filter that leaves the
	// exchanges of a thing.
	open func(R)
	only func(R) string
	info func(R) piece
	role func(column string, r R) role
	// none is said when there is nothing.
	none string
}

func newListing[R any](a *app, of listed[R]) *listing[R] {
	l := &listing[R]{app: a, of: of}
	l.number = func(r ranked[R]) int64 { return r.number }
	l.pages.app, l.height = a, 20
	if of.newest {
		l.last()
	} else {
		l.first()
	}
	return l
}

// inMemory is the fetch of a list that is read whole.
func inMemory[R any](read func(context.Context) ([]R, error)) func(context.Context, int64, capture.Way, int) ([]ranked[R], error) {
	return func(ctx context.Context, from int64, way capture.Way, n int) ([]ranked[R], error) {
		all, err := read(ctx)
		if err != nil {
			return nil, err
		}
		lo, hi := min(int(from), len(all)), min(int(from)+n, len(all))
		if way == capture.Older {
			hi = len(all)
			if from > 0 {
				hi = min(int(from)-1, hi)
			}
			lo = max(hi-n, 0)
		}
		var out []ranked[R]
		for i := lo; i < hi; i++ {
			out = append(out, ranked[R]{int64(i) + 1, all[i]})
		}
		return out, nil
	}
}

func (l *listing[R]) crumb() string { return l.of.crumb }

func (l *listing[R]) scopes() []scope { return []scope{l.of.on, inLists, inMoving} }

func (l *listing[R]) close() { l.pages.stop() }

func (l *listing[R]) flags() []string {
	if l.pages.busy() {
		return []string{"reading" + l.app.sym.dots}
	}
	return nil
}

func (l *listing[R]) page() int { return max(l.height-1, 1) }

func (l *listing[R]) span() int { return 3 * max(l.height, 10) }

// load reads a window, and gives it to then.
func (l *listing[R]) load(from int64, way capture.Way, then func(rows []ranked[R], end bool)) {
	n := l.span()
	l.readAt, l.stale = l.app.cfg.Now(), false
	l.pages.read(func(ctx context.Context) func() {
		rows, err := l.of.fetch(ctx, from, way, n)
		if err != nil {
			return func() {
				if !errors.Is(err, context.Canceled) {
					l.app.say("%v", err)
				}
			}
		}
		return func() { then(rows, len(rows) < n) }
	})
}

func (l *listing[R]) first() {
	l.load(0, capture.Newer, func(rows []ranked[R], end bool) {
		at := int64(0)
		if len(rows) > 0 {
			at = rows[0].number
		}
		l.show(rows, true, end, at)
	})
}

func (l *listing[R]) last() {
	l.load(0, capture.Older, func(rows []ranked[R], end bool) { l.show(rows, end, true, 0) })
}

// move moves the cursor; beyond the window it reads first.
func (l *listing[R]) move(by int) {
	if l.pages.busy() {
		return
	}
	to := l.step(by)
	switch {
	case to < 0 && !l.atFirst:
		l.load(l.rows[0].number, capture.Older, func(rows []ranked[R], end bool) {
			l.show(slices.Concat(rows, l.rows), end, l.atLast, l.cursor)
			l.goTo(l.step(by))
			l.trim()
		})
	case to >= len(l.rows) && !l.atLast:
		l.load(l.rows[len(l.rows)-1].number, capture.Newer, func(rows []ranked[R], end bool) {
			l.show(slices.Concat(l.rows, rows), l.atFirst, end, l.cursor)
			l.goTo(l.step(by))
			l.trim()
		})
	default:
		l.goTo(to)
	}
}

// reload reads the window anew. A cursor on the newest thing stays there.
func (l *listing[R]) reload() {
	if len(l.rows) == 0 {
		if l.of.newest {
			l.last()
		} else {
			l.first()
		}
		return
	}
	if l.of.newest && l.atLast && l.cursor == l.rows[len(l.rows)-1].number {
		l.last()
		return
	}
	from, cursor, first := l.rows[0].number-1, l.cursor, l.atFirst
	var on *R
	if r := l.row(); r != nil && l.of.same != nil && (!first || cursor != l.rows[0].number) {
		on = &r.thing
	}
	l.load(from, capture.Newer, func(rows []ranked[R], end bool) {
		for _, r := range rows {
			if on != nil && l.of.same(*on, r.thing) {
				cursor = r.number
			}
		}
		l.show(rows, first, end, cursor)
	})
}

// reloadEvery bounds how often news makes a list be read anew.
const reloadEvery = time.Second

// notice reads the list anew, once a second at most.
func (l *listing[R]) notice(n capture.Notice) bool {
	l.stale = true
	return l.beat()
}

// beat reads what a notice has left for later.
func (l *listing[R]) beat() bool {
	if !l.stale || l.pages.busy() || l.app.cfg.Now().Sub(l.readAt) < reloadEvery {
		return false
	}
	l.reload()
	return true
}

func (l *listing[R]) info() piece {
	r := l.row()
	if r == nil || l.of.info == nil {
		return piece{}
	}
	return l.of.info(r.thing)
}

// draw draws heading and rows.
func (l *listing[R]) draw(c canvas) {
	layout := l.of.table.For(c.w)
	c.line(0, layout.Heading(l.app.cfg.Format), roleHeading)
	body := c.lines(1, c.h-1)
	l.height = body.h
	l.settle()
	starts := layout.Starts()
	for i, r := range l.visible() {
		row, style := body.lines(i, 1), c.theme.style
		if r.number == l.cursor {
			style = c.theme.on
			row.styled(0, 0, c.w, "", style(roleText))
		}
		for n, text := range layout.Texts(r.thing, l.app.cfg.Format) {
			row.styled(starts[n], 0, layout.Cells[n], text, style(l.roleOf(layout.Columns[n].Name, r.thing)))
		}
	}
	if len(l.rows) == 0 && !l.pages.busy() {
		c.text(max(0, (c.w-cells(l.of.none))/2), c.h/2, cells(l.of.none), l.of.none, roleDim)
	}
}

func (l *listing[R]) roleOf(column string, r R) role {
	if l.of.role == nil {
		return roleText
	}
	return l.of.role(column, r)
}

// enter opens the chosen thing.
func (l *listing[R]) enter() {
	if l.of.open == nil {
		l.messagesOf()
		return
	}
	if r := l.row(); r != nil {
		l.of.open(r.thing)
	}
}

// messagesOf shows the exchanges of the chosen thing.
func (l *listing[R]) messagesOf() {
	r := l.row()
	if r == nil {
		return
	}
	text := l.of.only(r.thing)
	if text == "" {
		l.app.say("these exchanges have nothing in common that a filter could ask for")
		return
	}
	if err := l.app.setFilter(text); err != nil {
		l.app.say("filter: %v", err)
	}
}

// lister is what every listing can do, whatever it lists.
type lister interface {
	enter()
	messagesOf()
}

func listDo(f func(lister)) func(*app) {
	return func(a *app) {
		if l, here := a.top().(lister); here {
			f(l)
		}
	}
}
