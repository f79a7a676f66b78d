package capture

import (
	"sync"
	"time"

	"mpproxy/traffic"
)

// item is one thing for the writer to do: exactly one field is set.
type item struct {
	event traffic.Event
	// again is what the second pass found.
	again *decoded
	// breakOff ends everything that is still open.
	breakOff bool
	// done is closed once everything before it is committed.
	done chan struct{}
}

// queue stands between the connections' goroutines and the writer. It is
// bounded by events and by their bytes; put waits while it is full.
type queue struct {
	mu                  sync.Mutex
	room                sync.Cond
	items               []item
	bytes               int
	maxItems, maxBytes  int
	closed              bool
	waits               int64
	lastEvent           time.Time
	some, urgent        chan struct{} // capacity 1
	lateEvents, lateLen int64         // came after close
}

func newQueue(maxItems, maxBytes int) *queue {
	q := &queue{maxItems: maxItems, maxBytes: maxBytes, some: make(chan struct{}, 1), urgent: make(chan struct{}, 1)}
	q.room.L = &q.mu
	return q
}

// put adds an event, and waits for room if need be. After close it only
// counts.
func (q *queue) put(e traffic.Event, at time.Time) {
	size := eventBytes(e)
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.full() && !q.closed {
		q.waits++
		q.room.Wait()
	}
	if q.closed {
		q.lateEvents++
		q.lateLen += int64(size)
		return
	}
	q.bytes += size
	q.lastEvent = at
	q.add(item{event: e})
}

// push adds work that is not traffic; it never waits.
func (q *queue) push(it item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.add(it)
	if it.done != nil {
		signal(q.urgent)
	}
}

func (q *queue) add(it item) {
	q.items = append(q.items, it)
	signal(q.some)
	if len(q.items) > q.maxItems/2 || q.bytes > q.maxBytes/2 {
		signal(q.urgent)
	}
}

func (q *queue) full() bool { return len(q.items) >= q.maxItems || q.bytes >= q.maxBytes }

// take gives everything to the writer. spent is memory that may be used anew.
func (q *queue) take(spent []item) []item {
	clear(spent)
	q.mu.Lock()
	defer q.mu.Unlock()
	items := q.items
	q.items, q.bytes = spent[:0], 0
	q.room.Broadcast()
	return items
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.room.Broadcast()
}

// quietSince is when the last event came.
func (q *queue) quietSince() time.Time {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.lastEvent
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// eventBytes is roughly what an event holds in memory.
func eventBytes(e traffic.Event) int {
	switch e := e.(type) {
	case traffic.Chunk:
		return 128 + len(e.Data)
	case traffic.HandshakeOver:
		return 1024 + len(e.Handshake.In) + len(e.Handshake.Out)
	}
	return 1024
}
