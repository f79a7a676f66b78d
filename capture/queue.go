package capture

import (
	"sync"
	"time"

	"mpproxy/traffic"
)

// item is one thing for the recorder to do: exactly one field is set.
type item struct {
	event traffic.Event
	// again is what the second pass found.
	again *decoded
	// breakOff ends everything that is still open.
	breakOff bool
	// done is closed once everything before it is committed.
	done chan struct{}
}

// weight is what traffic costs while it is in memory.
type weight struct{ events, bytes int }

func (w weight) plus(o weight) weight  { return weight{w.events + o.events, w.bytes + o.bytes} }
func (w weight) minus(o weight) weight { return weight{w.events - o.events, w.bytes - o.bytes} }

// over tells whether w reaches limit in one of both.
func (w weight) over(limit weight) bool { return w.events >= limit.events || w.bytes >= limit.bytes }

// share is the nth part of w.
func (w weight) share(n int) weight { return weight{w.events / n, w.bytes / n} }

// queue stands between the connections' goroutines and the recorder's. It
// bounds all that the recorder has in memory on the way to the file: what
// waits here, and what was taken and not yet released. put waits while that
// is too much.
type queue struct {
	mu      sync.Mutex
	room    sync.Cond
	items   []item
	waiting weight // of items
	held    weight // of items, and of what was taken
	limit   weight
	closed  bool
	late    weight // came after close
	waits   int64
	// lastEvent is when an event came last, lastCrowd when much was held.
	lastEvent, lastCrowd time.Time
	some, urgent         chan struct{} // capacity 1
}

func newQueue(limit weight) *queue {
	q := &queue{limit: limit, some: make(chan struct{}, 1), urgent: make(chan struct{}, 1)}
	q.room.L = &q.mu
	return q
}

// The parts of the limit: when the recorder does not wait for more, and when
// the second pass leaves the machine to the first.
const (
	urgentShare = 4
	crowdShare  = 16
)

// put adds an event, and waits for room if need be. After close it only
// counts.
func (q *queue) put(e traffic.Event, at time.Time) {
	w := weightOf(e)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.wait()
	if q.closed {
		q.late = q.late.plus(w)
		return
	}
	q.lastEvent = at
	if q.held.over(q.limit.share(crowdShare)) {
		q.lastCrowd = at
	}
	q.add(item{event: e}, w)
}

// wait returns once there is room, or none is needed.
func (q *queue) wait() {
	for q.held.over(q.limit) && !q.closed {
		q.waits++
		q.room.Wait()
	}
}

// again adds what the second pass found, and waits for room if need be.
func (q *queue) again(d *decoded) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.wait()
	q.add(item{again: d}, weight{1, eventWeight})
}

// push adds work that is not traffic; it never waits.
func (q *queue) push(it item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.add(it, weight{})
	if it.done != nil {
		signal(q.urgent)
	}
}

func (q *queue) add(it item, w weight) {
	q.items = append(q.items, it)
	q.waiting, q.held = q.waiting.plus(w), q.held.plus(w)
	signal(q.some)
	if q.waiting.over(q.limit.share(urgentShare)) {
		signal(q.urgent)
	}
}

// take gives everything that waits, and its weight, to be released once it is
// no longer in memory. spent is memory that may be used anew.
func (q *queue) take(spent []item) ([]item, weight) {
	clear(spent)
	q.mu.Lock()
	defer q.mu.Unlock()
	items, w := q.items, q.waiting
	q.items, q.waiting = spent[:0], weight{}
	return items, w
}

// release makes room.
func (q *queue) release(w weight) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.held = q.held.minus(w)
	q.room.Broadcast()
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.room.Broadcast()
}

// lately is when the last event came, and when much was held last.
func (q *queue) lately() (event, crowd time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.lastEvent, q.lastCrowd
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// eventWeight is roughly what an event without bytes holds in memory.
const eventWeight = 1024

func weightOf(e traffic.Event) weight {
	switch e := e.(type) {
	case traffic.Chunk:
		return weight{1, chunkWeight(len(e.Data))}
	case traffic.TLSPassed:
		return weight{1, chunkWeight(len(e.Data))}
	case traffic.HandshakeOver:
		return weight{1, eventWeight + len(e.Handshake.In) + len(e.Handshake.Out)}
	}
	return weight{1, eventWeight}
}

// chunkWeight is what n bytes of a message hold in memory.
func chunkWeight(n int) int { return 128 + n }
