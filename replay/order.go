package replay

import (
	"context"
	"slices"
	"sync"
	"time"
)

// order keeps the exchanges of one agent in the order that the capture had: an
// exchange begins when all have ended that had ended before it began. Those
// that were under way together may be so again.
type order struct {
	mu sync.Mutex
	// ends are when the agent's exchanges ended in the capture, sorted; done
	// counts those that have ended in the replay.
	ends    []time.Time
	done    []bool
	low     int // all before it are done
	changed chan struct{}
}

func newOrder(cs []*conn, skip func(step) bool) *order {
	o := &order{changed: make(chan struct{})}
	for _, c := range cs {
		for _, s := range c.steps {
			if !skip(s) {
				o.ends = append(o.ends, s.ended)
			}
		}
	}
	slices.SortFunc(o.ends, time.Time.Compare)
	o.done = make([]bool, len(o.ends))
	return o
}

// wait returns when an exchange that began at a time may begin.
func (o *order) wait(ctx context.Context, begun time.Time) error {
	for {
		o.mu.Lock()
		before, _ := slices.BinarySearchFunc(o.ends, begun, time.Time.Compare)
		changed, free := o.changed, o.low >= before
		o.mu.Unlock()
		if free {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// end notes that an exchange that ended at a time in the capture has ended.
func (o *order) end(ended time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	i, _ := slices.BinarySearchFunc(o.ends, ended, time.Time.Compare)
	for ; i < len(o.ends) && o.ends[i].Equal(ended); i++ {
		if !o.done[i] {
			o.done[i] = true
			break
		}
	}
	for o.low < len(o.done) && o.done[o.low] {
		o.low++
	}
	close(o.changed)
	o.changed = make(chan struct{})
}
