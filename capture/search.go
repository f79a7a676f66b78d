package capture

import (
	"context"
	"database/sql"
	"io"
	"slices"

	"mpproxy/decode"
	"mpproxy/traffic"
)

// searchBatch is how many exchanges are read at once to be asked again. Their
// first pieces are in memory together: at most 512 KiB each.
const searchBatch = 16

// askAgain gives the first n exchanges (-1: all) that pass the filter as it is
// meant, whatever their fields need.
func (s *Store) askAgain(ctx context.Context, q *query, ids []traffic.ExchangeID, n int) ([]traffic.ExchangeID, error) {
	var passed []traffic.ExchangeID
	for batch := range slices.Chunk(ids, searchBatch) {
		subjects, err := s.subjects(ctx, batch)
		if err != nil {
			return nil, err
		}
		for _, x := range subjects {
			if q.filter.Match(x) {
				passed = append(passed, x.id)
			}
			if x.err != nil {
				return nil, x.err
			}
			if len(passed) == n {
				return passed, nil
			}
		}
	}
	return passed, ctx.Err()
}

// subjects are several exchanges with their messages.
func (s *Store) subjects(ctx context.Context, ids []traffic.ExchangeID) ([]*subject, error) {
	sources, err := s.firstPieces(ctx, ids)
	if err != nil {
		return nil, err
	}
	var all []*subject
	for _, id := range ids {
		all = append(all, &subject{ctx: ctx, store: s, id: id, sources: sources[id]})
	}
	return all, nil
}

// firstPieces reads the messages of exchanges that are over with one query:
// what they are, and the first piece of each, which for most is all. An
// exchange in flight is not in the result.
func (s *Store) firstPieces(ctx context.Context, ids []traffic.ExchangeID) (map[traffic.ExchangeID][]decode.Source, error) {
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = id
	}
	rows, err := s.db.QueryContext(ctx, `SELECT w.exchange, w.dir, w.interim, w.head, w.size, w.framing, w.whole,
			x.begun_us, x.replied_us, x.tls > 0, c.bytes
		FROM wire w JOIN list x ON x.id = w.exchange
			LEFT JOIN chunk c ON c.exchange = w.exchange AND c.dir = w.dir AND c.forwarded = 0 AND c.offset = 0
		WHERE w.forwarded = 0 AND w.exchange IN (`+placeholders(len(ids))+`) ORDER BY w.exchange, w.dir`, args...)
	type message struct {
		x   traffic.ExchangeID
		src decode.Source
	}
	messages, err := collect(rows, err, func(rows *sql.Rows) (m message, err error) {
		x, v := &traffic.Exchange{}, &traffic.Wire{}
		var d traffic.Dir
		var head int64
		var begun, replied sql.NullInt64
		var first []byte
		if err := rows.Scan(&x.ID, &d, &v.Interim, &head, &v.Size, &v.Framing, &v.Whole, &begun, &replied, &x.TLS, &first); err != nil {
			return m, err
		}
		x.Begun, x.Replied = instant(begun), instant(replied)
		b := prefixed{first, &blobs{ctx: ctx, q: s.db, exchange: x.ID, dir: d}}
		v.Head, err = readHead(b, v.Interim, head)
		return message{x.ID, sourceOf(x, d, v, b, nil)}, err
	})
	all := map[traffic.ExchangeID][]decode.Source{}
	for _, m := range messages {
		all[m.x] = append(all[m.x], m.src)
	}
	return all, err
}

// prefixed reads a message whose beginning is in memory.
type prefixed struct {
	prefix []byte
	rest   io.ReaderAt
}

func (r prefixed) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(r.prefix)) {
		return r.rest.ReadAt(p, off)
	}
	n := copy(p, r.prefix[off:])
	if n == len(p) {
		return n, nil
	}
	m, err := r.rest.ReadAt(p[n:], off+int64(n))
	return n + m, err
}
