package tui

import (
	"time"

	"mpproxy/capture"
)

// redrawEvery bounds redraws that nobody asked for by a key to 20 a second;
// every beats of them the first line is looked at.
const (
	redrawEvery = 50 * time.Millisecond
	beats       = 20
)

// refresh brings to the screen what happens beside it: answers of lanes at
// once, notices and progress at the next tick. It ends with the app.
func (a *app) refresh(watch <-chan capture.Notice, tick <-chan time.Time) {
	var n news
	for ticks := 1; ; {
		select {
		case <-a.ctx.Done():
			return
		case some, open := <-watch:
			if !open {
				watch, n.lost = nil, true
			}
			n.notice = n.notice.Merge(some)
		case j := <-a.answers:
			a.post(j.finish)
		case s := <-a.steps:
			n.step = &s
		case <-tick:
			n.beat = ticks%beats == 0
			ticks++
			if !n.empty() {
				now := n
				a.post(func() bool { return a.tell(now) })
			}
			n = news{}
		}
	}
}

// news is what gathers between two ticks.
type news struct {
	notice capture.Notice
	step   *step
	lost   bool // the capture can no longer be read
	beat   bool // a second has passed
}

func (n news) empty() bool { return n.notice.Empty() && n.step == nil && !n.lost && !n.beat }

// tell shows news; true when the picture is another one.
func (a *app) tell(n news) (changed bool) {
	if n.lost {
		a.status.lost, changed = true, true
	}
	if !n.notice.Empty() {
		changed = a.notice(n.notice) || changed
	}
	if n.step != nil && n.step.ctx.Err() == nil {
		n.step.show()
		changed = true
	}
	if n.beat {
		changed = a.beat() || changed
	}
	return changed
}

// beat looks at what changes by itself.
func (a *app) beat() (changed bool) {
	if a.said != "" && !a.cfg.Now().Before(a.saidUntil) {
		a.said, changed = "", true
	}
	if s, beats := a.top().(interface{ beat() bool }); beats {
		changed = s.beat() || changed
	}
	return a.status.beat(a) || changed
}

// post runs f on the screen's goroutine and draws when f says so. The screen's
// loop goes on until everybody who posts has ended, unless it has failed.
func (a *app) post(f func() bool) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.tv.QueueUpdate(func() {
			if f() {
				a.tv.ForceDraw()
				return
			}
			a.cfg.settled(a)
		})
	}()
	select {
	case <-done:
	case <-a.dead:
	}
}
