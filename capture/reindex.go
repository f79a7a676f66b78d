package capture

import (
	"context"
	"database/sql"
	"fmt"
	"io"

	"mpproxy/decode"
	"mpproxy/traffic"
)

// Reindex decodes every exchange of the file anew, for a decoder that knows
// more than the one that recorded them: kinds, summaries and findings of the
// decoder are replaced, bytes and what the proxy saw stay. It says after each
// step how far it is, and can be stopped between them by ctx: what was done is
// kept. The recorder must have no traffic. It returns how many exchanges were
// decoded.
func (r *Recorder) Reindex(ctx context.Context, progress func(done, all int64)) (int64, error) {
	last, err := r.store.Last(ctx)
	if err != nil {
		return 0, fmt.Errorf("reindex %s: %w", r.path, err)
	}
	done := int64(0)
	for at := traffic.ExchangeID(0); at < last; {
		ids, err := r.store.numbers(ctx, at, reindexStep)
		if err != nil || len(ids) == 0 {
			return done, err
		}
		for _, id := range ids {
			if err := r.reindex(ctx, id); err != nil {
				return done, fmt.Errorf("reindex %s: exchange %d: %w", r.path, id, err)
			}
		}
		at, done = ids[len(ids)-1], done+int64(len(ids))
		progress(int64(at), int64(last))
	}
	return done, r.Flush(ctx)
}

// reindexStep is how many exchanges are decoded between two looks at the time.
const reindexStep = 200

func (r *Recorder) reindex(ctx context.Context, id traffic.ExchangeID) error {
	x, err := readExchange(ctx, r.store.db, id)
	if err != nil {
		return err
	}
	depth := decode.Summary
	if worthwhile(x) {
		depth = decode.Full
	}
	m := understand(x, func(d traffic.Dir) io.ReaderAt {
		return &blobs{ctx: ctx, q: r.store.db, exchange: id, dir: d}
	}, depth)
	r.queue.again(&decoded{id, x.Conn, x.Findings, m})
	return ctx.Err()
}

// numbers are the next n exchanges behind one.
func (s *Store) numbers(ctx context.Context, from traffic.ExchangeID, n int) ([]traffic.ExchangeID, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT id FROM list WHERE id > ? ORDER BY id LIMIT ?`, from, n)
	return collect(rows, err, func(rows *sql.Rows) (id traffic.ExchangeID, err error) { return id, rows.Scan(&id) })
}
