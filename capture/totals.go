package capture

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"time"

	"mpproxy/traffic"
)

// Totals sum a capture up.
type Totals struct {
	// First and Last are the lowest and the highest exchange, 0 when there is
	// none; From and To when they began.
	First, Last traffic.ExchangeID
	From, To    time.Time
	// Conns and Agents were seen.
	Conns, Agents int64
	// Exchanges are over; of them Errors had an error, and so many bytes went
	// each way.
	Exchanges, Errors   int64
	ReqBytes, RespBytes int64
	// Size is the file's, its WAL included.
	Size int64
	// LostEvents and LostBytes could not be recorded.
	LostEvents, LostBytes int64
}

// Totals reads the sums that the recorder keeps; it does not walk the
// exchanges.
func (s *Store) Totals(ctx context.Context) (t Totals, err error) {
	var from, to sql.NullInt64
	err = s.db.QueryRowContext(ctx, `SELECT
		(SELECT ifnull(min(id), 0) FROM list), (SELECT ifnull(max(id), 0) FROM list),
		(SELECT begun_us FROM list ORDER BY id LIMIT 1), (SELECT begun_us FROM list ORDER BY id DESC LIMIT 1),
		(SELECT count(*) FROM conn), (SELECT count(*) FROM agent WHERE exchanges > 0),
		(SELECT ifnull(sum(events), 0) FROM loss), (SELECT ifnull(sum(bytes), 0) FROM loss),
		ifnull(sum(exchanges), 0), ifnull(sum(errors), 0), ifnull(sum(req_bytes), 0), ifnull(sum(resp_bytes), 0)
		FROM minute`).Scan(&t.First, &t.Last, &from, &to, &t.Conns, &t.Agents, &t.LostEvents, &t.LostBytes,
		&t.Exchanges, &t.Errors, &t.ReqBytes, &t.RespBytes)
	if err != nil {
		return t, fmt.Errorf("totals of %s: %w", s.path, classify(err))
	}
	t.From, t.To = instant(from), instant(to)
	for _, path := range []string{s.path, s.path + "-wal"} {
		if info, err := os.Stat(path); err == nil {
			t.Size += info.Size()
		}
	}
	return t, nil
}
