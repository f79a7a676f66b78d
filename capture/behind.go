package capture

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"mpproxy/decode"
	"mpproxy/traffic"
)

const (
	// behindLimit is how many exchanges wait for the second pass at most.
	behindLimit = 1 << 16
	// wholeLimit is how large a message may be on the wire to be decoded
	// whole: a text of some megabytes takes ten times as much as a tree.
	wholeLimit = 1 << 20
	// quiet is how long nothing must have come for the second pass to work
	// without rests. While traffic passes it takes a tenth of one core, and
	// nothing when there is much of it.
	quiet = 200 * time.Millisecond
)

// decoded is what the second pass made of an exchange.
type decoded struct {
	id   traffic.ExchangeID
	conn traffic.ConnID
	// findings are those of the proxy.
	findings []traffic.Finding
	meaning  meaning
}

// behind is the second pass: it decodes whole what was recorded, with findings
// that need all of a message, while traffic leaves time for it.
type behind struct {
	opts  Options
	queue *queue
	store *Store

	mu      sync.Mutex
	ids     chan traffic.ExchangeID
	closed  bool
	skipped int64

	hurry    chan struct{} // closed: no more rests
	ctx      context.Context
	cancel   context.CancelFunc
	finished chan struct{}
}

func newBehind(opts Options, q *queue, s *Store) *behind {
	ctx, cancel := context.WithCancel(context.Background())
	return &behind{
		opts: opts, queue: q, store: s, ctx: ctx, cancel: cancel,
		ids:      make(chan traffic.ExchangeID, behindLimit),
		hurry:    make(chan struct{}),
		finished: make(chan struct{}),
	}
}

// add queues exchanges; when too many wait they are left at their summary.
func (b *behind) add(rows []listRow) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || b.opts.SummaryOnly {
		return
	}
	for _, r := range rows {
		select {
		case b.ids <- r.x.ID:
		default:
			b.skipped++
		}
	}
}

func (b *behind) waiting() (n int, skipped int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.ids), b.skipped
}

func (b *behind) run() {
	defer close(b.finished)
	for id := range b.ids {
		if b.ctx.Err() != nil {
			b.skip()
			continue
		}
		start := b.opts.Now()
		d, err := b.decode(id)
		switch {
		case err != nil:
			b.skip()
			b.opts.Log.Warn("second pass", "exchange", id, "err", err)
		case d != nil:
			b.queue.again(d)
		}
		b.rest(b.opts.Now().Sub(start))
	}
}

func (b *behind) skip() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.skipped++
}

// rest leaves the machine to the traffic: for nine times as long as the last
// decode took, and on while the queue is crowded.
func (b *behind) rest(took time.Duration) {
	for d := 9 * took; d > 0; {
		if event, _ := b.queue.lately(); b.opts.Now().Sub(event) > quiet {
			return
		}
		select {
		case <-b.opts.After(d):
		case <-b.hurry:
			return
		}
		_, crowd := b.queue.lately()
		d = quiet - b.opts.Now().Sub(crowd)
	}
}

// decode decodes an exchange whole. It is nil when there is nothing to gain.
func (b *behind) decode(id traffic.ExchangeID) (*decoded, error) {
	x, err := readExchange(b.ctx, b.store.db, id)
	if err != nil {
		return nil, fmt.Errorf("exchange %d: %w", id, err)
	}
	if !worthwhile(x) {
		return nil, nil
	}
	m := understand(x, func(d traffic.Dir) io.ReaderAt {
		return &blobs{ctx: b.ctx, q: b.store.db, exchange: id, dir: d}
	}, decode.Full)
	return &decoded{id, x.Conn, x.Findings, m}, nil
}

// worthwhile is true when an exchange has bodies, none too large.
func worthwhile(x *traffic.Exchange) bool {
	bodies := x.Request.Size - int64(len(x.Request.Head.Raw)) + x.Reply.Size - x.Reply.Interim - int64(len(x.Reply.Head.Raw))
	return bodies > 0 && x.Request.Size <= wholeLimit && x.Reply.Size <= wholeLimit
}

// finish works off what waits, until ctx ends.
func (b *behind) finish(ctx context.Context) {
	b.mu.Lock()
	b.closed = true
	close(b.ids)
	b.mu.Unlock()
	close(b.hurry)
	stop := context.AfterFunc(ctx, b.cancel)
	<-b.finished
	stop()
	b.cancel()
}
