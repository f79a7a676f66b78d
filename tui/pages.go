package tui

import (
	"context"
	"errors"
	"slices"

	"mpproxy/capture"
	"mpproxy/filter"
	"mpproxy/traffic"
)

// page is how many rows a page moves by.
func (m *messages) page() int { return max(m.height-1, 1) }

// span is how many rows a window has: the screen and a page on each side.
func (m *messages) span() int { return 3 * max(m.height, 10) }

// read reads rows next to from in a lane, and gives them to then. While a
// search goes on it shows how far it is; partial may be nil.
func (m *messages) read(from func(context.Context) (traffic.ExchangeID, error), way capture.Way, n int, partial func([]capture.Row), then func(rows []capture.Row, end bool)) {
	f := m.filter
	m.stopped, m.scan = false, nil
	m.pages.read(func(ctx context.Context) func() {
		id, err := from(ctx)
		if err != nil {
			return m.failed(err)
		}
		rows, end, err := m.fetch(ctx, f, id, way, n, func(rows []capture.Row, p capture.Progress) {
			m.pages.progress(ctx, func() {
				m.scan = &p
				if partial != nil {
					partial(rows)
				}
			})
		})
		if err != nil {
			return m.failed(err)
		}
		return func() {
			m.scan = nil
			then(rows, end)
			m.chosen()
		}
	})
}

// failed shows why a read has failed.
func (m *messages) failed(err error) func() {
	return func() {
		m.scan = nil
		if !errors.Is(err, context.Canceled) {
			m.app.say("%v", err)
		}
	}
}

// fetch reads up to n rows next to from, in the order of their numbers. end is
// true when there is nothing beyond them. It runs beside the screen.
func (m *messages) fetch(ctx context.Context, f *filter.Filter, from traffic.ExchangeID, way capture.Way, n int, progress func([]capture.Row, capture.Progress)) (rows []capture.Row, end bool, err error) {
	if f.Empty() {
		rows, err = m.app.cfg.Store.Page(ctx, f, from, way, n)
		return rows, len(rows) < n, err
	}
	end = true // where there is nothing to look at
	err = m.app.cfg.Store.Scan(ctx, f, from, way, n, func(some []capture.Row, p capture.Progress) bool {
		rows, end = append(rows, some...), p.End
		if !p.End && len(rows) < n {
			progress(inOrder(rows, way), p)
		}
		return ctx.Err() == nil
	})
	if err == nil {
		err = ctx.Err()
	}
	return inOrder(rows, way), end, err
}

// inOrder is rows as a walk found them in the order of their numbers.
func inOrder(rows []capture.Row, way capture.Way) []capture.Row {
	if way == capture.Older {
		rows = slices.Clone(rows)
		slices.Reverse(rows)
	}
	return rows
}

func at(id traffic.ExchangeID) func(context.Context) (traffic.ExchangeID, error) {
	return func(context.Context) (traffic.ExchangeID, error) { return id, nil }
}

// newest shows the newest rows, with the cursor on the last.
func (m *messages) newest() {
	var last traffic.ExchangeID
	begin := func(ctx context.Context) (id traffic.ExchangeID, err error) {
		last, err = m.app.cfg.Store.Last(ctx)
		return last + 1, err
	}
	partial := func(rows []capture.Row) { m.show(rows, false, true, 0) }
	m.read(begin, capture.Older, m.span(), partial, func(rows []capture.Row, end bool) {
		m.show(rows, end, true, 0)
		m.looked = last
		m.seen()
	})
}

// seen forgets what came since the newest row was looked at last.
func (m *messages) seen() { m.fresh, m.bad, m.seenTo = 0, nil, m.looked }

// around shows the rows around an exchange, with the cursor on it.
func (m *messages) around(id traffic.ExchangeID) {
	f := m.filter
	m.stopped, m.scan = false, nil
	n := m.span() / 2
	m.pages.read(func(ctx context.Context) func() {
		var before []capture.Row
		progress := func(some []capture.Row, p capture.Progress) {
			rows := slices.Concat(before, some)
			m.pages.progress(ctx, func() {
				m.scan = &p
				m.show(rows, false, false, id)
			})
		}
		before, first, err := m.fetch(ctx, f, id+1, capture.Older, n, progress)
		if err != nil {
			return m.failed(err)
		}
		last, err := m.app.cfg.Store.Last(ctx)
		if err != nil {
			return m.failed(err)
		}
		behind, end, err := m.fetch(ctx, f, id, capture.Newer, n, progress)
		if err != nil {
			return m.failed(err)
		}
		return func() {
			m.scan = nil
			m.show(slices.Concat(before, behind), first, end, id)
			if end {
				m.looked = max(m.looked, last)
			}
			m.chosen()
		}
	})
}

// ahead reads before the screen comes to the window's end.
func (m *messages) ahead() {
	switch {
	case m.before() < m.height/2 && !m.atFirst:
		m.older(func() {})
	case m.behind() < m.height/2 && !m.atLast:
		m.newer(func() {})
	}
}

func (m *messages) older(then func()) {
	if len(m.rows) == 0 {
		return
	}
	from := m.rows[0].ID
	m.read(at(from), capture.Older, m.span(), nil, func(rows []capture.Row, end bool) {
		if len(m.rows) == 0 || m.rows[0].ID != from {
			return // the window is another one now
		}
		m.rows, m.atFirst = slices.Concat(rows, m.rows), end
		then()
		m.trim()
	})
}

func (m *messages) newer(then func()) {
	if len(m.rows) == 0 {
		return
	}
	from := m.rows[len(m.rows)-1].ID
	m.read(at(from), capture.Newer, m.span(), nil, func(rows []capture.Row, end bool) {
		if len(m.rows) == 0 || m.rows[len(m.rows)-1].ID != from {
			return
		}
		m.rows, m.atLast = slices.Concat(m.rows, rows), end
		if n := len(rows); end && n > 0 {
			m.looked = max(m.looked, rows[n-1].ID)
		}
		then()
		m.trim()
	})
}
