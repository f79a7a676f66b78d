package tui

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// patience is how long a key waits for a read, so that most of them make one
// picture; glance is how long a notice does, since keys wait meanwhile. What
// takes longer comes later, and the first line says so.
const (
	patience = 30 * time.Millisecond
	glance   = 5 * time.Millisecond
)

// lane runs one piece of slow work at a time beside the screen; a new one ends
// the one before. It belongs to the screen's goroutine.
type lane struct {
	app *app
	// one is held while work runs: what cannot be stopped keeps those behind
	// it waiting.
	one sync.Mutex
	job *job
}

// job is work in a lane.
type job struct {
	lane   *lane
	cancel context.CancelFunc
	show   func() // what the work came to, for the screen's goroutine
	done   chan struct{}
	state  atomic.Int32
}

// The states of a job: somebody waits for it; it was done in time; nobody
// waits any more, so that it comes through the refresher.
const (
	awaited int32 = iota
	inTime
	late
)

// busy is true while work is under way.
func (l *lane) busy() bool { return l.job != nil }

// stop ends the work under way; what it comes to is thrown away.
func (l *lane) stop() {
	if l.job != nil {
		l.job.cancel()
		l.job = nil
	}
}

// read runs work for a key beside the screen, and then on the screen's
// goroutine what it returns, which may be nil.
func (l *lane) read(work func(ctx context.Context) func()) { l.wait(l.app.cfg.patience, work) }

// glance is read for what comes by itself.
func (l *lane) glance(work func(ctx context.Context) func()) { l.wait(l.app.cfg.glance, work) }

func (l *lane) wait(d time.Duration, work func(ctx context.Context) func()) {
	j := l.start(work)
	if j == nil {
		return
	}
	select {
	case <-j.done:
	case <-l.app.cfg.after(d):
	}
	if !j.state.CompareAndSwap(awaited, late) {
		j.finish()
	}
}

// later is read after some time, for which nobody waits.
func (l *lane) later(d time.Duration, work func(ctx context.Context) func()) {
	after := l.app.cfg.after(d)
	l.app.waiting.Add(1)
	j := l.start(func(ctx context.Context) func() {
		select {
		case <-after:
			l.app.waiting.Add(-1)
			return work(ctx)
		case <-ctx.Done():
			l.app.waiting.Add(-1)
			return nil
		}
	})
	if j != nil && !j.state.CompareAndSwap(awaited, late) {
		j.finish()
	}
}

// start is nil when the screen is about to end.
func (l *lane) start(work func(ctx context.Context) func()) *job {
	l.stop()
	if l.app.ctx.Err() != nil {
		return nil
	}
	ctx, cancel := context.WithCancel(l.app.ctx)
	j := &job{lane: l, cancel: cancel, done: make(chan struct{})}
	l.job = j
	l.app.open++
	l.app.beside(func() {
		l.one.Lock()
		func() {
			defer l.one.Unlock()
			j.show = work(ctx)
		}()
		if j.state.CompareAndSwap(awaited, inTime) {
			close(j.done)
			return
		}
		select {
		case l.app.answers <- j:
		case <-l.app.ctx.Done():
		}
	})
	return j
}

// finish shows what the work came to, unless something newer took its place.
// It is true when something was shown.
func (j *job) finish() bool {
	j.lane.app.open--
	j.cancel()
	if j.lane.job != j {
		return false
	}
	j.lane.job = nil
	if j.show == nil {
		return false
	}
	j.show()
	return true
}

// step is how far some work has come.
type step struct {
	ctx  context.Context
	show func()
}

// progress shows something on the way, at the next tick. Only the latest step
// is shown, so it has to bring all that came before.
func (l *lane) progress(ctx context.Context, show func()) {
	for {
		select {
		case l.app.steps <- step{ctx, show}:
			return
		default:
		}
		select {
		case <-l.app.steps:
		default:
		}
	}
}
