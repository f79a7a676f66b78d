package capture

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"mpproxy/filter"
	"mpproxy/traffic"
)

// Way is a direction through the numbers.
type Way bool

// The ways.
const (
	Older Way = false
	Newer Way = true
)

// visitLimit is how many rows are given at once.
const visitLimit = 1000

// The steps of a scan: how many numbers at first and at most, and how long one
// may take.
const (
	firstStep = 5000
	mostStep  = 1 << 24
	quickStep = 10 * time.Millisecond
	slowStep  = 30 * time.Millisecond
)

// Progress is how far a scan has come.
type Progress struct {
	// At is the last number looked at.
	At traffic.ExchangeID
	// Done is the share of what there was to look at, from 0 to 1.
	Done float64
	// Found is how many rows passed the filter so far.
	Found int
	// End is true when there is nothing left to look at.
	End bool
}

// Scan walks the exchanges before from (Older; 0 begins with the newest) or
// behind it (Newer) and gives those that the filter lets pass to visit, in
// steps of some 10 ms: the rows in the order of the walk, perhaps none, and
// how far it is. It ends when visit returns false, when n rows were given (0:
// no limit), with the last exchange, or with ctx.
func (s *Store) Scan(ctx context.Context, f *filter.Filter, from traffic.ExchangeID, way Way, n int, visit func([]Row, Progress) bool) error {
	q, err := compile(f)
	if err != nil {
		return err
	}
	first, last, err := s.bounds(ctx)
	if err != nil {
		return err
	}
	w := newWalk(first, last, from, way)
	w.size = q.firstStep()
	found := 0
	for !w.over() {
		lo, hi := w.next()
		want := visitLimit
		if n > 0 {
			want = min(want, n-found)
		}
		start := time.Now()
		rows, err := s.stepRows(ctx, q, lo, hi, way, want)
		if err != nil {
			return fmt.Errorf("filter %q: %w", f, err)
		}
		if way == Older {
			slices.Reverse(rows)
		}
		if len(rows) == want {
			w.stopAt(rows[want-1].ID)
		}
		w.adapt(time.Since(start))
		found += len(rows)
		if !visit(rows, Progress{At: w.at, Done: w.done(), Found: found, End: w.over()}) || n > 0 && found >= n {
			return nil
		}
	}
	return nil
}

func (s *Store) bounds(ctx context.Context) (first, last traffic.ExchangeID, err error) {
	if first, err = s.First(ctx); err != nil {
		return 0, 0, err
	}
	last, err = s.Last(ctx)
	return first, last, err
}

// walk is the way of a scan through the numbers from first to last.
type walk struct {
	first, last traffic.ExchangeID
	at, start   traffic.ExchangeID // the last number looked at; the one before the walk
	way         Way
	size        traffic.ExchangeID
}

func newWalk(first, last, from traffic.ExchangeID, way Way) walk {
	if way == Newer {
		from = max(from, first-1)
	} else if from == 0 || from > last+1 {
		from = last + 1
	}
	return walk{first: first, last: last, at: from, start: from, way: way, size: firstStep}
}

func (w *walk) over() bool {
	if w.way == Newer {
		return w.at >= w.last
	}
	return w.at <= w.first || w.last == 0
}

// next is the next interval to look at.
func (w *walk) next() (lo, hi traffic.ExchangeID) {
	if w.way == Newer {
		lo, hi = w.at+1, min(w.at+w.size, w.last)
		w.at = hi
		return lo, hi
	}
	lo, hi = max(w.at-w.size, w.first), w.at-1
	w.at = lo
	return lo, hi
}

// stopAt takes back what was not looked at, as enough was found before.
func (w *walk) stopAt(id traffic.ExchangeID) { w.at = id }

func (w *walk) adapt(took time.Duration) {
	switch {
	case took < quickStep:
		w.size = min(2*w.size, mostStep)
	case took > slowStep:
		w.size = max(1, w.size/2)
	}
}

func (w *walk) done() float64 {
	all, seen := float64(w.last-w.start), float64(w.at-w.start)
	if w.way == Older {
		all, seen = float64(w.start-w.first), float64(w.start-w.at)
	}
	if all <= 0 {
		return 1
	}
	return min(1, seen/all)
}

// Page reads up to n rows (0: all) that the filter lets pass, next to from: those
// before it going Older (0: the newest), those behind it going Newer. They
// come in the order of their numbers, whatever the way.
func (s *Store) Page(ctx context.Context, f *filter.Filter, from traffic.ExchangeID, way Way, n int) ([]Row, error) {
	if f.Empty() {
		return s.plainPage(ctx, from, way, n)
	}
	var all []Row
	err := s.Scan(ctx, f, from, way, n, func(rows []Row, _ Progress) bool {
		all = append(all, rows...)
		return true
	})
	if way == Older {
		slices.Reverse(all)
	}
	return all, err
}

func (s *Store) plainPage(ctx context.Context, from traffic.ExchangeID, way Way, n int) ([]Row, error) {
	if n <= 0 {
		n = -1
	}
	part := `SELECT * FROM list WHERE id > ? ORDER BY id LIMIT ?`
	if way == Older {
		part = `SELECT * FROM list WHERE id < ? ORDER BY id DESC LIMIT ?`
		if from == 0 {
			from = math.MaxInt64
		}
	}
	all, err := s.rowsOf(ctx, part, from, n)
	if err != nil {
		return nil, fmt.Errorf("page: %w", err)
	}
	return all, nil
}

// Count counts what the filter lets pass.
func (s *Store) Count(ctx context.Context, f *filter.Filter) (int64, error) {
	if f.Empty() {
		n, err := s.number(ctx, `SELECT count(*) FROM list`)
		return int64(n), err
	}
	q, err := compile(f)
	if err != nil {
		return 0, err
	}
	first, last, err := s.bounds(ctx)
	if err != nil {
		return 0, err
	}
	w := newWalk(first, last, 0, Newer)
	w.size = q.firstStep()
	total := int64(0)
	for !w.over() {
		lo, hi := w.next()
		start := time.Now()
		n, err := s.countStep(ctx, q, lo, hi)
		if err != nil {
			return 0, fmt.Errorf("count %q: %w", f, err)
		}
		total += n
		w.adapt(time.Since(start))
	}
	return total, nil
}
