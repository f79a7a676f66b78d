package tui

import (
	"context"
	"math"
	"slices"

	"mpproxy/capture"
	"mpproxy/filter"
	"mpproxy/traffic"
)

// badLimit is how many new rows with findings are kept count of.
const badLimit = 10_000

// catch is what a look at the capture has brought.
type catch struct {
	// changed are newer versions of rows of the window. With lo and hi, they
	// are all rows there are from lo to hi.
	changed []capture.Row
	lo, hi  traffic.ExchangeID
	// worse are the severities now of rows that were new before.
	worse []rowVersion
	// rows are the last ones of those that are new, count how many there are,
	// bad those of them with findings.
	rows   []capture.Row
	count  int
	bad    []rowVersion
	looked traffic.ExchangeID
}

// update reads what is new: rows that look different now, and those behind the
// last one that was looked at.
func (m *messages) update() {
	n, f, c, keep := m.news, m.filter, catch{looked: m.looked}, m.span()
	m.news = capture.Notice{}
	var again []traffic.ExchangeID
	switch {
	case n.All, len(n.Changed) > 0 && !f.Empty():
		c.lo, c.hi = m.stale(n)
	default:
		again = m.among(n.Changed)
	}
	worse := m.freshOf(n.Changed)
	m.tail.glance(func(ctx context.Context) func() {
		if err := c.read(ctx, m.app.cfg.Store, f, again, worse, keep); err != nil {
			return m.failed(err)
		}
		return func() {
			m.take(c)
			if !m.news.Empty() {
				m.update()
			}
		}
	})
}

// stale is the part of the window that has to be read again, as rows there may
// pass the filter now, or no longer. lo above hi is none of it.
func (m *messages) stale(n capture.Notice) (lo, hi traffic.ExchangeID) {
	lo, hi = 1, m.looked
	if len(m.rows) > 0 && !m.atFirst {
		lo = m.rows[0].ID
	}
	if len(m.rows) > 0 && !m.atLast {
		hi = m.rows[len(m.rows)-1].ID
	}
	if n.All {
		return lo, hi
	}
	first := slices.IndexFunc(n.Changed, func(id traffic.ExchangeID) bool { return id >= lo })
	if first < 0 || n.Changed[first] > hi {
		return 1, 0
	}
	return n.Changed[first], hi
}

// freshOf are those among ids that came since the newest was looked at.
func (m *messages) freshOf(ids []traffic.ExchangeID) []traffic.ExchangeID {
	if m.fresh == 0 {
		return nil
	}
	i, _ := slices.BinarySearch(ids, m.seenTo+1)
	return ids[i:]
}

// read fills the catch. It runs beside the screen.
func (c *catch) read(ctx context.Context, s *capture.Store, f *filter.Filter, again, worse []traffic.ExchangeID, keep int) (err error) {
	if len(again) > 0 {
		if c.changed, err = s.Rows(ctx, again); err != nil {
			return err
		}
	}
	if c.lo > 0 && c.lo <= c.hi {
		err = s.Scan(ctx, f, c.lo-1, capture.Newer, 0, func(rows []capture.Row, p capture.Progress) bool {
			for _, r := range rows {
				if r.ID <= c.hi {
					c.changed = append(c.changed, r)
				}
			}
			return p.At < c.hi && len(c.changed) < 10*keep && ctx.Err() == nil
		})
		if err != nil {
			return err
		}
	}
	if len(worse) > 0 {
		rows, err := s.Rows(ctx, worse[:min(len(worse), badLimit)])
		if err != nil {
			return err
		}
		for _, r := range rows {
			c.worse = append(c.worse, rowVersion{r.ID, r.Sev})
		}
	}
	return c.behind(ctx, s, f, keep)
}

// behind reads the rows that are new. With many, only the last ones stay.
func (c *catch) behind(ctx context.Context, s *capture.Store, f *filter.Filter, keep int) error {
	err := s.Scan(ctx, f, c.looked, capture.Newer, 0, func(rows []capture.Row, p capture.Progress) bool {
		c.count, c.looked = c.count+len(rows), p.At
		for _, r := range rows {
			if r.Sev > traffic.Info && len(c.bad) < badLimit {
				c.bad = append(c.bad, rowVersion{r.ID, r.Sev})
			}
		}
		c.rows = append(c.rows, rows[max(0, len(rows)-keep):]...)
		if n := len(c.rows) - keep; n > 0 {
			c.rows = slices.Delete(c.rows, 0, n)
		}
		return ctx.Err() == nil
	})
	if err != nil {
		return err
	}
	return ctx.Err()
}

// take shows a catch.
func (m *messages) take(c catch) {
	if c.lo > 0 && c.lo <= c.hi {
		m.put(c)
	} else {
		m.replace(c.changed)
	}
	known := c.count == 0 || c.rows[len(c.rows)-1].ID <= m.looked // somebody read them meanwhile
	m.looked = max(m.looked, c.looked)
	if !known {
		m.append(c)
	}
	m.note(c.worse)
	if m.matches >= 0 && !known {
		m.matches += int64(c.count)
	}
	m.settle()
	m.chosen()
}

// put puts what there is from lo to hi in the place of what was there.
func (m *messages) put(c catch) {
	id := m.cursor
	rows := slices.Concat(m.rows[:m.index(c.lo)], c.changed, m.rows[m.index(c.hi+1):])
	atLast := m.atLast
	top := m.top
	m.show(rows, m.atFirst, atLast, id)
	m.top = top
	m.settle()
}

// append adds new rows. While nobody follows, the cursor stays and they are
// counted.
func (m *messages) append(c catch) {
	whole := c.count == len(c.rows) && m.atLast
	switch {
	case whole && m.follow:
		m.show(slices.Concat(m.rows, c.rows), m.atFirst, true, 0)
	case m.follow:
		m.show(c.rows, false, true, 0)
	case len(m.rows) == 0:
		m.show(c.rows, m.atFirst && whole, true, c.rows[0].ID)
	case whole && len(m.rows) < 10*m.span():
		m.rows = slices.Concat(m.rows, c.rows)
	default:
		m.atLast = false
	}
	m.fresh = min(m.fresh+c.count, math.MaxInt32)
	m.note(c.bad)
	if m.follow || m.atLast && m.behind() == 0 {
		m.seen()
	}
	m.trim()
}

// note keeps count of new rows with findings.
func (m *messages) note(bad []rowVersion) {
	for _, v := range bad {
		switch {
		case v.sev <= traffic.Info:
			delete(m.bad, v.id)
		case len(m.bad) < badLimit:
			if m.bad == nil {
				m.bad = map[traffic.ExchangeID]traffic.Severity{}
			}
			m.bad[v.id] = v.sev
		}
	}
}
