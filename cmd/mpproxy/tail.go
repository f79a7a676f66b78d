package main

import (
	"context"
	"fmt"
	"time"

	"mpproxy/capture"
	"mpproxy/filter"
	"mpproxy/traffic"
)

// tailCommand is "mpproxy tail".
type tailCommand struct {
	listing
	N      int           `short:"n" default:"20" help:"How many to begin with."`
	Follow bool          `short:"f" help:"Go on with new ones as they come."`
	Since  time.Duration `help:"Begin with those of the last so long." placeholder:"10m"`
}

// Run prints the newest exchanges, and new ones when asked to.
func (c *tailCommand) Run(ctx context.Context, e *env) error {
	s, f, print, err := c.open(e)
	if err != nil {
		return err
	}
	defer s.Close()
	t := tailer{store: s, filter: f, print: print}
	if c.Since > 0 {
		since, err := filter.Parse(fmt.Sprintf("age:<%dms", c.Since.Milliseconds()), time.Now(), time.Local)
		if err != nil {
			return err
		}
		t.from, err = newestBefore(ctx, s, since)
		if err != nil {
			return err
		}
	} else if t.from, err = newest(ctx, s, f, c.N); err != nil {
		return err
	}
	if !c.Follow {
		return quietPipe(each(ctx, s, f, t.from, print))
	}
	err = t.follow(ctx, capture.Look{})
	if ctx.Err() != nil {
		return nil // to be stopped is how following ends
	}
	return quietPipe(err)
}

// newestBefore is the number before the first row that passes.
func newestBefore(ctx context.Context, s *capture.Store, f *filter.Filter) (traffic.ExchangeID, error) {
	rows, err := s.Page(ctx, f, 0, capture.Newer, 1)
	if err != nil {
		return 0, err
	}
	if len(rows) == 0 {
		return s.Last(ctx)
	}
	return rows[0].ID - 1, nil
}

// maxWaiting is how many open exchanges a tailer keeps an eye on.
const maxWaiting = 10_000

// tailer prints exchanges once they are over, in the order of their numbers
// as far as they end in it.
type tailer struct {
	store  *capture.Store
	filter *filter.Filter
	print  func(capture.Row) error
	from   traffic.ExchangeID
	// waiting are exchanges seen that are not over.
	waiting []traffic.ExchangeID
}

// follow prints until ctx ends or the capture can no longer be read.
func (t *tailer) follow(ctx context.Context, look capture.Look) error {
	for range t.store.Watch(ctx, look) {
		if err := t.catchUp(ctx); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// catchUp prints what has ended since it was called last.
func (t *tailer) catchUp(ctx context.Context) error {
	if err := t.printEnded(ctx); err != nil {
		return err
	}
	last, err := t.store.Last(ctx)
	if err != nil || last <= t.from {
		return err
	}
	from := t.from
	t.from = last
	return each(ctx, t.store, t.filter, from, func(r capture.Row) error {
		if r.Fate == traffic.InFlight && r.ID <= last {
			if len(t.waiting) < maxWaiting {
				t.waiting = append(t.waiting, r.ID)
			}
			return nil
		}
		t.from = max(t.from, r.ID)
		return t.print(r)
	})
}

func (t *tailer) printEnded(ctx context.Context) error {
	if len(t.waiting) == 0 {
		return nil
	}
	rows, err := t.store.Rows(ctx, t.waiting)
	if err != nil {
		return err
	}
	t.waiting = t.waiting[:0]
	for _, r := range rows {
		if r.Fate == traffic.InFlight {
			t.waiting = append(t.waiting, r.ID)
			continue
		}
		if err := t.print(r); err != nil {
			return err
		}
	}
	return nil
}
