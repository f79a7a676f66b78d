package tui

import (
	"context"
	"slices"
	"strings"

	"mpproxy/capture"
	"mpproxy/filter"
	"mpproxy/internal/view"
	"mpproxy/traffic"
)

// messages is the first screen: one row is one exchange.
type messages struct {
	list[capture.Row, traffic.ExchangeID]
	app *app
	// pages are reads that a key asked for, tail those of what is new, count
	// those that count matches, about those of the chosen row.
	pages, tail, count, about lane

	filter *filter.Filter
	text   string // the filter as typed
	// follow keeps the cursor on the newest row.
	follow bool
	// looked is the highest number that was looked at.
	looked traffic.ExchangeID
	// fresh is how many rows came behind seenTo, which was the newest when it
	// was on the screen last; bad are those of them with findings.
	fresh  int
	seenTo traffic.ExchangeID
	bad    map[traffic.ExchangeID]traffic.Severity
	// news is what is new and was not read yet.
	news capture.Notice
	// scan is how far a search is, nil when none is under way; matches is how
	// many rows there are, -1 while that is not known.
	scan    *capture.Progress
	stopped bool
	matches int64
	// column is the chosen one.
	column string
	layout view.Layout[capture.Row]
	// worst is what the chosen row's worst finding says, of the row of worstOf.
	worst   piece
	worstOf rowVersion
}

// rowVersion tells a row from what it was before.
type rowVersion struct {
	id  traffic.ExchangeID
	sev traffic.Severity
}

func newMessages(a *app) *messages {
	m := &messages{app: a, follow: a.cfg.Live != nil, filter: &filter.Filter{}, column: "agent", matches: -1}
	m.number = func(r capture.Row) traffic.ExchangeID { return r.ID }
	for _, l := range []*lane{&m.pages, &m.tail, &m.count, &m.about} {
		l.app = a
	}
	return m
}

// begin reads the first rows.
func (m *messages) begin(text string) {
	m.height = 20
	if f, err := m.app.parse(text); err == nil {
		m.filter, m.text = f, text
	} else {
		m.app.say("filter: %v", err)
	}
	m.newest()
	m.recount()
}

func (m *messages) crumb() string { return "Messages" }

func (m *messages) scopes() []scope { return []scope{inMessages, inExchange, inMoving} }

func (m *messages) flags() []string {
	var flags []string
	if m.pages.busy() && m.scan == nil {
		flags = append(flags, "reading"+m.app.sym.dots)
	}
	if m.follow {
		flags = append(flags, "FOLLOW")
	}
	return flags
}

// set shows what another filter lets pass. The chosen row stays chosen, or the
// one nearest to it.
func (m *messages) set(text string) error {
	f, err := m.app.parse(text)
	if err != nil {
		return err
	}
	if f.String() == m.filter.String() && !m.stopped {
		m.text = text
		return nil
	}
	m.filter, m.text, m.matches = f, text, -1
	m.recount()
	if at := m.cursor; !m.follow && at != 0 {
		m.around(at)
		return nil
	}
	m.newest()
	return nil
}

// recount counts what the filter lets pass.
func (m *messages) recount() {
	m.matches = -1
	if m.filter.Empty() {
		m.count.stop()
		return
	}
	f := m.filter
	m.count.read(func(ctx context.Context) func() {
		n, err := m.app.cfg.Store.Count(ctx, f)
		if err != nil {
			return nil
		}
		return func() { m.matches = n }
	})
}

// first goes to the oldest row.
func (m *messages) first() {
	m.follow = false
	m.read(at(0), capture.Newer, m.span(), nil, func(rows []capture.Row, end bool) {
		var id traffic.ExchangeID
		if len(rows) > 0 {
			id = rows[0].ID
		}
		m.show(rows, true, end && len(rows) < m.span(), id)
	})
}

// last goes to the newest row, and follows.
func (m *messages) last() {
	m.follow = m.app.cfg.Live != nil || m.app.status.written
	m.newest()
}

func (m *messages) toggleFollow() {
	if m.follow {
		m.follow = false
		return
	}
	m.last()
}

// move moves the cursor. Beyond the window it reads first; keys that come
// meanwhile are left out, as each would begin the read anew.
func (m *messages) move(by int) {
	if m.pages.busy() {
		return
	}
	if by < 0 {
		m.follow = false
	}
	step := func() { m.goTo(m.step(by)) }
	switch to := m.step(by); {
	case to < 0 && !m.atFirst:
		m.older(step)
	case to >= len(m.rows) && !m.atLast:
		m.newer(step)
	default:
		step()
		m.ahead()
	}
	if m.atLast && m.behind() == 0 {
		m.seen()
	}
	m.chosen()
}

// chosen reads what the last line but one says of the chosen row.
func (m *messages) chosen() {
	r := m.row()
	if r == nil || r.Sev == traffic.None {
		m.about.stop()
		m.worst, m.worstOf = piece{}, rowVersion{}
		return
	}
	v := rowVersion{r.ID, r.Sev}
	if v == m.worstOf {
		return
	}
	m.worst, m.worstOf = piece{}, v
	row := *r
	m.about.glance(func(ctx context.Context) func() {
		worst, known := m.app.worst(ctx, &row)
		if !known {
			return nil
		}
		return func() {
			if m.worstOf == v {
				m.worst = worst
			}
		}
	})
}

// worst is the worst that is to be said of an exchange: why it failed, else its
// worst finding. It runs beside the screen.
func (a *app) worst(ctx context.Context, r *capture.Row) (piece, bool) {
	if failed(r) {
		if found, err := a.judge.glance(ctx, r.Conn); err == nil {
			if why := causes(found, r.ID); len(why) > 0 && why[0].Kind.Severity >= r.Sev {
				return causePiece(&why[0], a.sym.ascii), true
			}
		}
	}
	found, err := a.cfg.Store.Findings(ctx, r.ID)
	if err != nil || len(found) == 0 {
		return piece{}, false
	}
	return findingPiece(found[0], a.sym.ascii), true
}

// findingPiece is a finding in one line: what it is, what to do.
func findingPiece(f capture.Found, ascii bool) piece {
	k := f.Kind
	words := k.Severity.Letter() + " " + k.Title
	if k.Remedy != "" {
		words += "  Do: " + k.Remedy
	}
	return piece{view.Clean(words, ascii), severity(k.Severity)}
}

// info is the worst finding of the chosen row, else its long summary.
func (m *messages) info() piece {
	r := m.row()
	switch {
	case r == nil:
		return piece{}
	case m.worst.text != "":
		return m.worst
	}
	words := r.Long
	if r.Err != "" {
		words = strings.TrimSpace(words + "  " + r.Err)
	}
	return piece{view.Clean(words, m.app.sym.ascii), roleDim}
}

// escape ends a search; where there is none it takes the filter away.
func (m *messages) escape() bool {
	switch {
	case m.scan != nil && !m.stopped, m.pages.busy():
		m.pages.stop()
		m.count.stop()
		m.stopped = m.scan != nil
	case m.count.busy():
		m.count.stop()
	case m.text != "":
		m.app.remember(m.text)
		if err := m.set(""); err != nil {
			m.app.say("%v", err)
		}
	default:
		return false
	}
	return true
}

func (m *messages) open() {
	r := m.row()
	if r == nil {
		m.app.say("there is nothing to open")
		return
	}
	m.follow = false
	m.app.openDetail(r.ID)
}

// mark marks the chosen row, or unmarks it.
func (m *messages) mark() {
	r := m.row()
	if r == nil {
		return
	}
	m.app.annotate(capture.Mark{Exchange: r.ID, Off: r.Marked, Author: author(), At: m.app.cfg.Now()})
}

func (m *messages) onlyMarked() {
	text := "is:marked"
	if m.text == text {
		text = ""
	}
	if err := m.set(text); err != nil {
		m.app.say("%v", err)
	}
}

// nextFinding and previousFinding go to the next row with a finding of the
// worst severity there is.
func (m *messages) nextFinding() { m.seek(capture.Newer) }

func (m *messages) previousFinding() { m.seek(capture.Older) }

func (m *messages) seek(way capture.Way) {
	if m.pages.busy() {
		return
	}
	from := m.cursor
	severities := []traffic.Severity{traffic.Error, traffic.Warning, traffic.Info}
	var filters []*filter.Filter
	for _, sev := range severities {
		f, err := m.both("sev:=" + sev.Letter())
		if err != nil {
			m.app.say("%v", err)
			return
		}
		filters = append(filters, f)
	}
	m.pages.read(func(ctx context.Context) func() {
		for i, f := range filters {
			id, beyond, err := m.nextOf(ctx, f, from, way)
			switch {
			case err != nil:
				return m.failed(err)
			case id != 0:
				return func() { m.goToID(id) }
			case beyond:
				return func() { m.app.say("no further %s that way", severities[i].Letter()) }
			}
		}
		return func() { m.app.say("there are no findings here") }
	})
}

// both is the filter of the list and another one.
func (m *messages) both(text string) (*filter.Filter, error) {
	f, err := m.app.parse(text)
	if err != nil || m.filter.Empty() {
		return f, err
	}
	return &filter.Filter{Root: filter.All{m.filter.Root, f.Root}}, nil
}

// nextOf finds the next row that passes a filter. beyond is true when there are
// some, but the other way. It runs beside the screen.
func (m *messages) nextOf(ctx context.Context, f *filter.Filter, from traffic.ExchangeID, way capture.Way) (id traffic.ExchangeID, beyond bool, err error) {
	rows, err := m.app.cfg.Store.Page(ctx, f, from, way, 1)
	switch {
	case err != nil:
		return 0, false, err
	case len(rows) > 0:
		return rows[0].ID, false, nil
	}
	rows, err = m.app.cfg.Store.Page(ctx, f, 0, capture.Older, 1)
	return 0, len(rows) > 0, err
}

// goToID puts the cursor on an exchange, or the one nearest to it.
func (m *messages) goToID(id traffic.ExchangeID) {
	m.follow = false
	if i := m.index(id); i < len(m.rows) && m.rows[i].ID == id {
		m.goTo(i)
		m.ahead()
		m.chosen()
		return
	}
	m.around(id)
}

// notice reads what is new. What comes while that goes on waits.
func (m *messages) notice(n capture.Notice) bool {
	m.news = m.news.Merge(n)
	if m.tail.busy() {
		return false
	}
	m.update()
	return !m.tail.busy()
}

// columns to the left and to the right of the chosen one.
func (m *messages) columnLeft() { m.chooseColumn(-1) }

func (m *messages) columnRight() { m.chooseColumn(1) }

func (m *messages) chooseColumn(by int) {
	at := m.columnIndex() + by
	if at >= 0 && at < len(m.layout.Columns) {
		m.column = m.layout.Columns[at].Name
	}
}

func (m *messages) columnIndex() int {
	return max(0, slices.IndexFunc(m.layout.Columns, func(c view.Column[capture.Row]) bool { return c.Name == m.column }))
}

func (m *messages) only() { m.narrow("") }

func (m *messages) without() { m.narrow("-") }

// narrow adds the chosen value to the filter.
func (m *messages) narrow(sign string) {
	r := m.row()
	if r == nil || len(m.layout.Columns) == 0 {
		return
	}
	name := m.layout.Columns[m.columnIndex()].Name
	term, known := m.app.term(name, *r)
	if !known {
		m.app.say("there is nothing to filter by in column %s of this row", name)
		return
	}
	text := sign + term
	if m.text != "" {
		text = m.text + " " + text
		if strings.Contains(m.text, " OR ") {
			text = "(" + m.text + ") " + sign + term
		}
	}
	m.app.remember(m.text)
	if err := m.set(text); err != nil {
		m.app.say("filter: %v", err)
	}
}
