package tui

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"mpproxy/capture"
	"mpproxy/filter"
	"mpproxy/internal/view"
	"mpproxy/traffic"
)

// status is what the first line says of the capture.
type status struct {
	counting lane
	// counted is how many rows there were up to base, -1 while unknown; last
	// is the highest number now.
	counted    int64
	base, last traffic.ExchangeID
	// arrivals are when the highest number was seen to grow; those of the
	// last rateOver.
	arrivals []arrival
	written  bool // somebody writes into the capture
	lost     bool // it can no longer be read
	// commits is how many the recorder had made at committed.
	commits   int64
	committed time.Time
	shown     string // what the first line says
}

type arrival struct {
	at   time.Time
	last traffic.ExchangeID
}

// rateOver is the time over which arrivals are counted; stallAfter is how long
// the recorder may have work and write nothing.
const (
	rateOver   = 2 * time.Second
	stallAfter = 3 * time.Second
)

// begin finds out what there is, and counts it beside the screen.
func (s *status) begin(a *app) {
	s.counting.app, s.counted = a, -1
	last, err := a.cfg.Store.Last(a.ctx)
	if err != nil {
		s.lost = true
		return
	}
	s.base, s.last = last, last
	s.counting.read(func(ctx context.Context) func() {
		upTo, err := filter.Parse(fmt.Sprintf("id:<=%d", last), a.cfg.Now(), time.UTC)
		if err != nil {
			return nil
		}
		n, err := a.cfg.Store.Count(ctx, upTo)
		if err != nil {
			return nil
		}
		return func() { s.counted = n }
	})
}

// notice takes what is new; true when the first line changes by it.
func (s *status) notice(a *app, n capture.Notice) bool {
	if n.Last <= s.last {
		return false
	}
	now := a.cfg.Now()
	if len(s.arrivals) == 0 {
		s.arrivals = append(s.arrivals, arrival{now, s.last})
	}
	s.last, s.written = n.Last, true
	s.arrivals = append(s.arrivals, arrival{now, n.Last})
	return true
}

// beat forgets old arrivals; true when the first line changes by it.
func (s *status) beat(a *app) bool {
	old := a.cfg.Now().Add(-rateOver)
	for len(s.arrivals) > 1 && s.arrivals[1].at.Before(old) {
		s.arrivals = s.arrivals[1:]
	}
	if n := len(s.arrivals); n > 0 && s.arrivals[n-1].at.Before(old) {
		s.arrivals = nil
	}
	return strings.Join(append(s.words(a), s.alarms(a)...), "  ") != s.shown
}

// rate is how many exchanges came in a second.
func (s *status) rate(now time.Time) int {
	if len(s.arrivals) < 2 {
		return 0
	}
	first, last := s.arrivals[0], s.arrivals[len(s.arrivals)-1]
	took := max(now.Sub(first.at), time.Second)
	return int(float64(last.last-first.last)/took.Seconds() + 0.5)
}

// words are the parts of the first line that tell of the capture.
func (s *status) words(a *app) []string {
	words := []string{view.Clean(filepath.Base(a.cfg.Store.Path()), a.sym.ascii), s.pace(a)}
	if s.counted >= 0 {
		words = append(words, count(int(s.counted)+int(s.last-s.base), "row"))
	}
	return words
}

// pace says whether the capture is alive.
func (s *status) pace(a *app) string {
	now := a.cfg.Now()
	if stalled := s.stalled(a, now); stalled > 0 {
		return fmt.Sprintf("STALLED %d s", int(stalled.Seconds()))
	}
	switch {
	case s.lost:
		return "UNREADABLE"
	case a.cfg.Live != nil, s.written:
		return fmt.Sprintf("LIVE %d/s", s.rate(now))
	}
	return "FILE"
}

// stalled is how long the recorder has had work and written nothing, 0 while
// that is not long.
func (s *status) stalled(a *app, now time.Time) time.Duration {
	if a.cfg.Live == nil || a.cfg.Live.Recorder == nil {
		return 0
	}
	stats := a.cfg.Live.Recorder()
	if stats.Queued == 0 || stats.Commits != s.commits || s.committed.IsZero() {
		s.commits, s.committed = stats.Commits, now
	}
	if d := now.Sub(s.committed); d >= stallAfter {
		return d
	}
	return 0
}

// alarms are what the recorder has to complain about.
func (s *status) alarms(a *app) (alarms []string) {
	if a.cfg.Live == nil || a.cfg.Live.Recorder == nil {
		return nil
	}
	stats := a.cfg.Live.Recorder()
	if stats.Full > 0.5 {
		alarms = append(alarms, fmt.Sprintf("REC! %.0f %%", stats.Full*100))
	}
	if stats.LostEvents > 0 {
		alarms = append(alarms, "LOST "+grouped(stats.LostEvents))
	}
	return alarms
}

// drawTitle draws the first line. Where it is narrow the capture's name goes
// first, then the number of rows.
func (a *app) drawTitle(c canvas) {
	c.line(0, "", roleTitle)
	left, words, flags := a.crumbs(), a.status.words(a), a.status.alarms(a)
	a.status.shown = strings.Join(append(words, flags...), "  ")
	flags = append(flags, a.top().flags()...)
	width := func() int { return cells(strings.Join(append(slices.Clone(words), flags...), "  ")) + 1 }
	narrow := func() bool { return cells(left)+2+width() > c.w }
	if narrow() {
		words = words[1:]
	}
	if narrow() {
		words = words[:1]
	}
	x := max(c.w-width(), 0)
	c.text(0, 0, x, left, roleTitle)
	for i, w := range append(words, flags...) {
		r := roleTitle
		if i >= len(words) {
			r = roleFlag
		}
		c.text(x, 0, cells(w), w, r)
		x += cells(w) + 2
	}
}

// crumbs are the screens from the first to the visible one.
func (a *app) crumbs() string {
	if len(a.stack) == 1 {
		return " mpproxy  1 " + a.stack[0].crumb()
	}
	var parts []string
	for i, s := range a.stack {
		if _, list := a.stack[1].(lister); i > 0 || !list {
			parts = append(parts, s.crumb())
		}
	}
	return " mpproxy  " + strings.Join(parts, " "+a.sym.sep+" ")
}

// grouped is a number in groups of three digits: "1 204 518".
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + " " + s[i:]
	}
	return s
}
