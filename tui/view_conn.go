package tui

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"mpproxy/capture"
	"mpproxy/diagnose"
	"mpproxy/internal/evidence"
	"mpproxy/internal/tlsrecord"
	"mpproxy/internal/view"
	"mpproxy/traffic"
)

// connection is the screen of one connection: the ladders of both legs, and
// below them why it failed.
type connection struct {
	app  *app
	id   traffic.ConnID
	load lane
	data *view.Connection // nil while it is read
	// findings are the diagnoses, once judged is true.
	findings []diagnose.Finding
	judging  lane
	judged   bool
	// side is the leg that is shown where there is room for one; raw shows the
	// records in place of the ladder.
	side traffic.Side
	raw  bool
	body *text
	wide bool // body was made for both legs
	// rungs are the ladder's steps in body, w and h the room that it has.
	rungs []rung
	w, h  int
}

// judge is what the screens know of a capture's connections. Its survey is used
// by one lane at a time.
type judge struct {
	survey *evidence.Survey
	turn   chan struct{} // holds one while nobody uses the survey
}

func newJudge(a *app) *judge {
	j := &judge{survey: evidence.New(a.cfg.Store, a.cfg.Now), turn: make(chan struct{}, 1)}
	j.turn <- struct{}{}
	return j
}

// conn judges a connection by what all others tell. It runs beside the screen.
func (j *judge) conn(ctx context.Context, id traffic.ConnID) ([]diagnose.Finding, error) {
	return j.withSurvey(ctx, id, j.survey.Learnt)
}

// glance judges a connection by what is known already, which is soon done.
func (j *judge) glance(ctx context.Context, id traffic.ConnID) ([]diagnose.Finding, error) {
	return j.withSurvey(ctx, id, j.survey.Conn)
}

func (j *judge) withSurvey(ctx context.Context, id traffic.ConnID, judge func(context.Context, traffic.ConnID) ([]diagnose.Finding, error)) ([]diagnose.Finding, error) {
	select {
	case <-j.turn:
		defer func() { j.turn <- struct{}{} }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return judge(ctx, id)
}

// failed is true for exchanges that a diagnosis of the connection may explain.
func failed(r *capture.Row) bool {
	return r.Sev >= traffic.Warning && (r.Fate == traffic.Broken || r.Status == 0 || r.Status >= 400)
}

// causes are the diagnoses of a connection that explain what became of one of
// its exchanges.
func causes(found []diagnose.Finding, id traffic.ExchangeID) (out []diagnose.Finding) {
	for _, x := range found {
		if x.Kind.Severity >= traffic.Warning && x.MootBy == "" && (x.Exchange == 0 || x.Exchange == id) {
			out = append(out, x)
		}
	}
	return out
}

// causePiece is a diagnosis in one line: what it is, what to do.
func causePiece(x *diagnose.Finding, ascii bool) piece {
	words := x.Kind.Severity.Letter() + " " + x.Kind.Title
	if len(x.Do) > 0 {
		words += "  Do: " + x.Do[0]
	}
	return piece{view.Clean(words, ascii), severity(x.Kind.Severity)}
}

// openConn goes into a connection.
func (a *app) openConn(id traffic.ConnID) {
	c := &connection{app: a, side: traffic.AgentSide}
	c.load.app, c.judging.app = a, a
	a.enter(c)
	c.open(id)
}

// openConnOf goes into the connection of the exchange that is shown or chosen.
func (a *app) openConnOf() {
	switch s := a.top().(type) {
	case *messages:
		if r := s.row(); r != nil {
			a.openConn(r.Conn)
		}
	case *detail:
		if s.data != nil {
			a.openConn(s.data.Row.Conn)
		}
	}
}

// open reads a connection, and has it judged.
func (c *connection) open(id traffic.ConnID) {
	if id != c.id {
		c.data, c.findings, c.judged, c.body = nil, nil, false, nil
	}
	c.id = id
	c.load.read(func(ctx context.Context) func() {
		data, err := view.LoadConnection(ctx, c.app.cfg.Store, id)
		if err != nil {
			return c.failed(err)
		}
		return func() { c.data, c.body = data, nil }
	})
	c.judging.read(func(ctx context.Context) func() {
		found, err := c.app.judge.conn(ctx, id)
		if err != nil {
			return c.failed(err)
		}
		return func() { c.findings, c.judged, c.body = found, true, nil }
	})
}

func (c *connection) failed(err error) func() {
	return func() {
		if !errors.Is(err, context.Canceled) {
			c.app.say("%v", err)
		}
	}
}

func (c *connection) crumb() string {
	if _, list := c.app.stack[1].(lister); list {
		return strconv.FormatInt(int64(c.id), 10)
	}
	return fmt.Sprintf("connection %d", c.id)
}

func (c *connection) flags() []string {
	switch {
	case c.load.busy():
		return []string{"reading" + c.app.sym.dots}
	case c.judging.busy():
		return []string{"judging" + c.app.sym.dots}
	}
	return nil
}

func (c *connection) scopes() []scope { return []scope{inConn, inText, inMoving} }

func (c *connection) close() {
	c.load.stop()
	c.judging.stop()
}

// notice reads the connection again while it is open.
func (c *connection) notice(n capture.Notice) bool {
	if c.data != nil && !c.data.Conn.Closed.IsZero() && !n.All {
		return false
	}
	c.open(c.id)
	return true
}

// info is the first diagnosis, else what became of it.
func (c *connection) info() piece {
	switch {
	case len(c.findings) > 0:
		return causePiece(&c.findings[0], c.app.sym.ascii)
	case c.judged:
		return piece{"no fault found on this connection", roleDim}
	}
	return piece{}
}

func (c *connection) seen() *text { return c.body }

func (c *connection) move(by int) { c.withText(func(t *text) { t.move(by) }) }

func (c *connection) page() int {
	if c.body != nil {
		return c.body.page()
	}
	return 1
}

func (c *connection) first() { c.withText((*text).first) }

func (c *connection) last() { c.withText((*text).last) }

func (c *connection) withText(f func(*text)) {
	if c.body != nil {
		f(c.body)
	}
}

// otherLeg shows the other leg.
func (c *connection) otherLeg() {
	c.side, c.body = traffic.AgentSide+traffic.UpstreamSide-c.side, nil
}

// toggleRaw shows the records as they were read, or the ladder again.
func (c *connection) toggleRaw() { c.raw, c.body = !c.raw, nil }

// exchanges shows the connection's exchanges.
func (c *connection) exchanges() {
	if err := c.app.setFilter("conn:" + strconv.FormatInt(int64(c.id), 10)); err != nil {
		c.app.say("filter: %v", err)
	}
}

// next and previous go through the connections.
func (c *connection) next() { c.neighbour(capture.Newer) }

func (c *connection) previous() { c.neighbour(capture.Older) }

func (c *connection) neighbour(way capture.Way) {
	c.load.read(func(ctx context.Context) func() {
		rows, err := c.app.cfg.Store.Conns(ctx, c.id, way, 1)
		if err != nil {
			return c.failed(err)
		}
		return func() {
			if len(rows) == 0 {
				c.app.say("there are no more connections that way")
				return
			}
			c.open(rows[0].ID)
		}
	})
}

// nextFinding goes to the next diagnosis.
func (c *connection) nextFinding() {
	t := c.body
	if t == nil || len(c.findings) == 0 {
		c.app.say("no fault was found on this connection")
		return
	}
	var starts []int
	for i := range t.lines {
		if isTitle(t.lines[i]) {
			starts = append(starts, i)
		}
	}
	for _, at := range starts {
		if at > t.line() {
			t.goToLine(at)
			t.settle()
			return
		}
	}
	c.app.say("there are no more findings that way")
}

// bothLegs is how wide a terminal has to be for both ladders.
const bothLegs = 110

// draw draws title, legs and findings.
func (c *connection) draw(cv canvas) {
	if c.data == nil {
		if c.load.busy() {
			cv.text(2, 1, cv.w-2, "reading"+cv.sym.dots, roleDim)
		}
		return
	}
	who, how := c.data.Title(c.app.cfg.Format)
	n := cells(how)
	cv.text(1, 0, cv.w-n-4, who, roleHeading)
	cv.text(max(cv.w-n-1, 0), 0, n, how, roleHeading)
	if wide := cv.w >= bothLegs && !c.raw; c.body == nil || wide != c.wide {
		c.wide = wide
		c.make(cv.w)
	}
	c.w, c.h = cv.w, cv.h-1
	c.body.draw(cv.lines(1, cv.h-1), true)
}

// make makes the text for a width.
func (c *connection) make(w int) {
	f := c.app.cfg.Format
	var lines []line
	c.rungs = nil
	switch {
	case c.raw:
		lines = append(lines, c.legLine(), line{})
		lines = append(lines, c.records()...)
	case c.wide:
		lines = c.sideBySide(w, f)
	default:
		lines = append(lines, c.legLine())
		for _, s := range c.data.Leg(c.side, f) {
			c.rungs = append(c.rungs, rung{c.side, s, len(lines)})
			lines = append(lines, line{hang: 30, pieces: []piece{{s.Line(f), stepRole(s)}}})
		}
	}
	lines = append(lines, line{})
	lines = append(lines, c.diagnoses(f)...)
	was := c.body
	c.body = newText(sealed(lines))
	if was != nil {
		c.body.sought = was.sought
	}
}

// legLine says which leg is shown.
func (c *connection) legLine() line {
	names := []piece{{"agent leg", roleDim}, {"   ", roleText}, {"MP leg", roleDim}, {"     (tab: the other leg)", roleDim}}
	at := 0
	if c.side == traffic.UpstreamSide {
		at = 2
	}
	names[at] = piece{"[" + names[at].text + "]", roleTitle}
	return line{pieces: names}
}

func stepRole(s view.Step) role {
	if s.Sev > traffic.None {
		return severity(s.Sev)
	}
	return roleText
}

// sideBySide are both ladders in order of time, the agent's on the left.
func (c *connection) sideBySide(w int, f view.Format) (lines []line) {
	half := (w - 4) / 2
	left, right := c.data.Leg(traffic.AgentSide, f), c.data.Leg(traffic.UpstreamSide, f)
	row := func(a, b string, ra, rb role) {
		lines = append(lines, line{pieces: []piece{
			{view.Fit(a, half, false, f.ASCII), ra}, {" " + c.app.sym.vertical + " ", roleDim}, {view.Fit(b, half-2, false, f.ASCII), rb},
		}})
	}
	row("agent leg", "MP leg", roleHeading, roleHeading)
	steps := [2][]view.Step{slices.Clone(left), slices.Clone(right)}
	untimed(left)
	untimed(right)
	for len(left) > 0 || len(right) > 0 {
		if len(right) == 0 || len(left) > 0 && left[0].At <= right[0].At {
			c.rungs = append(c.rungs, rung{traffic.AgentSide, steps[0][0], len(lines)})
			row(left[0].Line(f), "", stepRole(left[0]), roleText)
			left, steps[0] = left[1:], steps[0][1:]
			continue
		}
		c.rungs = append(c.rungs, rung{traffic.UpstreamSide, steps[1][0], len(lines)})
		row("", right[0].Line(f), roleText, stepRole(right[0]))
		right, steps[1] = right[1:], steps[1][1:]
	}
	return lines
}

// untimed gives steps without a time that of the step before, so that they stay
// behind it; those at the beginning that of the first one that has a time.
func untimed(steps []view.Step) {
	var at time.Duration
	if first := slices.IndexFunc(steps, func(s view.Step) bool { return s.Timed }); first >= 0 {
		at = steps[first].At
	}
	for i := range steps {
		if steps[i].Timed {
			at = steps[i].At
		}
		steps[i].At = at
	}
}

// records are the raw records of the leg's handshakes, as they were read.
func (c *connection) records() (lines []line) {
	for _, hs := range c.data.Handshakes {
		if hs.Side != c.side {
			continue
		}
		for s := range strings.SplitSeq(strings.TrimSuffix(tlsrecord.ParseOpened(hs.Bytes()).String(), "\n"), "\n") {
			lines = append(lines, line{hang: 11, pieces: []piece{{view.Clean(s, c.app.sym.ascii), roleText}}})
		}
		lines = append(lines, line{})
	}
	if len(lines) == 0 {
		lines = append(lines, line{pieces: []piece{{"no TLS records on this leg", roleDim}}})
	}
	return lines
}

// diagnoses are what was found, the causes first.
func (c *connection) diagnoses(f view.Format) (lines []line) {
	if !c.judged {
		return []line{{pieces: []piece{{"judging" + c.app.sym.dots, roleDim}}}}
	}
	if len(c.findings) == 0 {
		return []line{{pieces: []piece{{"no fault found", roleDim}}}}
	}
	return diagnosisLines(c.findings, f)
}

// diagnosisLines are diagnoses one below the other; what another one explains
// is one line.
func diagnosisLines(found []diagnose.Finding, f view.Format) (lines []line) {
	for i := range found {
		x := &found[i]
		title := view.Clean(view.DiagnosisTitle(x), f.ASCII)
		role := severity(x.Kind.Severity)
		if x.MootBy != "" {
			title, role = title+"  explained by "+x.MootBy, roleDim
		}
		lines = append(lines, line{hang: 4, pieces: []piece{{"", roleTitle}, {title, role}}})
		if x.MootBy != "" {
			continue
		}
		for _, part := range view.Diagnosis(x) {
			label := part.Label
			for _, words := range part.Lines {
				lines = append(lines, line{hang: 13, pieces: []piece{
					{view.Fit("  "+label, 13, false, true), roleName}, {view.Clean(words, f.ASCII), roleText},
				}})
				label = ""
			}
		}
		lines = append(lines, line{})
	}
	return slices.Clip(lines)
}

func connDo(f func(*connection)) func(*app) {
	return func(a *app) {
		if c, here := a.top().(*connection); here {
			f(c)
		}
	}
}
