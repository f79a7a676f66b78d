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
	// wholeLimit is how large a message may be to be decoded whole.
	wholeLimit = 16 << 20
	// quiet is how long nothing must have come for the second pass to work
	// without rests. While traffic passes it takes a tenth of one core.
	quiet = 200 * time.Millisecond
)

// decoded is what the second pass made of an exchange.
type decoded struct {
	id      traffic.ExchangeID
	x       *traffic.Exchange
	meaning meaning
}

// behind is the second pass: it decodes whole what was recorded, with findings
// that need all of a message, while traffic leaves time for it.
type behind struct {
	r     *Recorder
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

func newBehind(r *Recorder) (*behind, error) {
	store, err := openStore(r.path)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &behind{
		r: r, store: store, ctx: ctx, cancel: cancel,
		ids:      make(chan traffic.ExchangeID, behindLimit),
		hurry:    make(chan struct{}),
		finished: make(chan struct{}),
	}, nil
}

// add queues an exchange; when too many wait it is left at its summary.
func (b *behind) add(id traffic.ExchangeID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || b.r.opts.SummaryOnly {
		return
	}
	select {
	case b.ids <- id:
	default:
		b.skipped++
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
		start := b.r.opts.Now()
		d, err := b.decode(id)
		switch {
		case err != nil:
			b.skip()
			b.r.opts.Log.Warn("second pass", "exchange", id, "err", err)
		case d != nil:
			b.r.queue.push(item{again: d})
		}
		b.rest(b.r.opts.Now().Sub(start))
	}
}

func (b *behind) skip() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.skipped++
}

// rest leaves the machine to the traffic for nine times as long as the last
// decode took.
func (b *behind) rest(took time.Duration) {
	if b.r.opts.Now().Sub(b.r.queue.quietSince()) > quiet {
		return
	}
	select {
	case <-b.r.opts.After(9 * took):
	case <-b.hurry:
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
	return &decoded{id, x, m}, nil
}

// worthwhile is true when an exchange has bodies, none too large.
func worthwhile(x *traffic.Exchange) bool {
	bodies := x.Request.Size - int64(len(x.Request.Head.Raw)) + x.Reply.Size - x.Reply.Interim - int64(len(x.Reply.Head.Raw))
	return bodies > 0 && x.Request.Size <= wholeLimit && x.Reply.Size <= wholeLimit
}

// finish works off what waits, until ctx ends.
func (b *behind) finish(ctx context.Context) error {
	b.mu.Lock()
	b.closed = true
	close(b.ids)
	b.mu.Unlock()
	close(b.hurry)
	stop := context.AfterFunc(ctx, b.cancel)
	<-b.finished
	stop()
	b.cancel()
	return b.store.Close()
}

// storeAgain replaces what the summary said by what the whole says.
func (w *writer) storeAgain(d *decoded) error {
	m := d.meaning
	for dir, v := range map[traffic.Dir]*decode.Message{traffic.Request: m.request, traffic.Reply: m.reply} {
		if v == nil {
			continue
		}
		names, err := w.nameIDs(v.Form, v.Endpoint, v.Kind, v.Root, v.Signature, hookNames(v), v.Client)
		if err != nil {
			return err
		}
		err = w.exec(`UPDATE wire SET form = ?, endpoint = ?, kind = ?, root = ?, signature = ?, hooks = ?, client = ?,
				msgid = ?, corr = ?, text_bytes = ?, attachments = ?, decoder = ?, depth = ?
			WHERE exchange = ? AND dir = ? AND forwarded = 0`,
			names[0], names[1], names[2], names[3], names[4], names[5], names[6],
			plain(v.MsgID), plain(v.Corr), v.TextBytes, len(v.Attachments), decode.Version, v.Depth, d.id, dir)
		if err != nil {
			return err
		}
	}
	if err := w.replaceFindings(d); err != nil {
		return err
	}
	return w.updateList(d)
}

// updateList brings the row in the list up to date, and tells followers when
// it looks different now.
func (w *writer) updateList(d *decoded) error {
	m := d.meaning
	names, err := w.nameIDs(m.row.Kind, m.row.Endpoint)
	if err != nil {
		return err
	}
	sev := max(traffic.Worst(d.x.Findings), traffic.Worst(m.findings()))
	if err := w.recount(d.id, sev); err != nil {
		return err
	}
	args := []any{names[0], names[1], sev, plain(m.row.Short), plain(m.row.Long), m.flags()}
	res, err := w.result(`UPDATE list SET kind = ?1, endpoint = ?2, sev = ?3, summary = ?4, long = ?5, flags = (flags & 1) | ?6
		WHERE id = ?7 AND (kind, endpoint, sev, summary, long, flags & ~1) IS NOT (?1, ?2, ?3, ?4, ?5, ?6)`, append(args, d.id)...)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return err
	}
	return w.change(d.id)
}
