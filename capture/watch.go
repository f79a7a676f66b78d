package capture

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"mpproxy/traffic"
)

// lookEvery is how often a follower looks whether the file has changed.
const lookEvery = 50 * time.Millisecond

// Notice says what is new in a capture.
type Notice struct {
	// Last is the highest number.
	Last traffic.ExchangeID
	// Changed are exchanges told of before whose rows are different now, in
	// order.
	Changed []traffic.ExchangeID
	// All means that more has changed than was kept count of.
	All bool
	// Other is true when something else has changed, such as connections or
	// annotations.
	Other bool
}

// Empty is true when there is nothing new.
func (n Notice) Empty() bool { return n.Last == 0 && len(n.Changed) == 0 && !n.All && !n.Other }

// Merge is what both say.
func (n Notice) Merge(later Notice) Notice {
	changed := slices.Concat(n.Changed, later.Changed)
	slices.Sort(changed)
	return Notice{
		Last:    max(n.Last, later.Last),
		Changed: slices.Compact(changed),
		All:     n.All || later.All,
		Other:   n.Other || later.Other,
	}
}

// Look says when a follower looks at the file. The zero value looks every
// 50 ms.
type Look struct {
	// Tick is when to look; nil is a ticker of 50 ms.
	Tick <-chan time.Time
	// Soon makes it look at once: [Recorder.Committed] of the same process.
	Soon <-chan struct{}
}

// Watch follows the capture, whoever writes to it. The first notice has the
// highest number there is. Notices that nobody receives are merged. The
// channel is closed when ctx ends, or when the file can no longer be read.
func (s *Store) Watch(ctx context.Context, look Look) <-chan Notice {
	out := make(chan Notice)
	go func() {
		defer close(out)
		conn, err := s.db.Conn(ctx)
		if err != nil {
			return
		}
		defer conn.Close()
		tick := look.Tick
		if tick == nil {
			t := time.NewTicker(lookEvery)
			defer t.Stop()
			tick = t.C
		}
		f := follower{conn: conn}
		f.follow(ctx, tick, look.Soon, out)
	}()
	return out
}

// follower is what a watch knows of the file.
type follower struct {
	conn    *sql.Conn
	version int64 // SQLite's data_version
	last    traffic.ExchangeID
	seq     int64
	begun   bool
}

func (f *follower) follow(ctx context.Context, tick <-chan time.Time, soon <-chan struct{}, out chan<- Notice) {
	var pending Notice
	for {
		n, err := f.look(ctx)
		if err != nil {
			return
		}
		pending = pending.Merge(n)
		ready := out
		if pending.Empty() {
			ready = nil
		}
		select {
		case ready <- pending:
			pending = Notice{}
			select {
			case <-tick:
			case <-soon:
			case <-ctx.Done():
				return
			}
		case <-tick:
		case <-soon:
		case <-ctx.Done():
			return
		}
	}
}

// look reads what is new since the last look.
func (f *follower) look(ctx context.Context) (n Notice, err error) {
	var version int64
	if err := f.conn.QueryRowContext(ctx, `PRAGMA data_version`).Scan(&version); err != nil {
		return n, fmt.Errorf("follow: %w", err)
	}
	if f.begun && version == f.version {
		return n, nil
	}
	f.version = version
	var last traffic.ExchangeID
	var oldest, newest int64
	err = f.conn.QueryRowContext(ctx, `SELECT (SELECT ifnull(max(id), 0) FROM list),
		(SELECT ifnull(min(seq), 0) FROM change), (SELECT ifnull(max(seq), 0) FROM change)`).Scan(&last, &oldest, &newest)
	if err != nil {
		return n, fmt.Errorf("follow: %w", err)
	}
	n = Notice{Other: f.begun}
	if last > f.last {
		n.Last = last
	}
	if f.begun && newest > f.seq {
		n.All = oldest > f.seq+1
		if n.Changed, err = f.changed(ctx, newest); err != nil {
			return n, err
		}
	}
	f.last, f.seq, f.begun = max(f.last, last), newest, true
	return n, nil
}

// changedLimit is how many numbers a notice names; beyond that it says All.
const changedLimit = 10_000

func (f *follower) changed(ctx context.Context, newest int64) ([]traffic.ExchangeID, error) {
	rows, err := f.conn.QueryContext(ctx, `SELECT DISTINCT exchange FROM change WHERE seq > ? AND seq <= ? AND exchange <= ?
		ORDER BY exchange LIMIT ?`, f.seq, newest, f.last, changedLimit)
	return collect(rows, err, func(rows *sql.Rows) (id traffic.ExchangeID, err error) { return id, rows.Scan(&id) })
}
