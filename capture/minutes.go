package capture

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"math"
	"time"

	"mpproxy/traffic"
)

// Took is a histogram of durations on a logarithmic scale.
type Took [64]uint32

// tookBase is the end of the first bucket, tookStep how much wider each next
// one is.
const (
	tookBase = 100 * time.Microsecond
	tookStep = 1.35
)

// Add counts one duration.
func (t *Took) Add(d time.Duration) {
	n := 0
	if d > tookBase {
		n = min(len(t)-1, int(math.Log(float64(d)/float64(tookBase))/math.Log(tookStep)))
	}
	t[n]++
}

// Quantile is about the duration that a share q of all stayed below, 0 when
// there are none.
func (t *Took) Quantile(q float64) time.Duration {
	var all, seen float64
	for _, n := range t {
		all += float64(n)
	}
	for i, n := range t {
		seen += float64(n)
		if n > 0 && seen >= q*all {
			return time.Duration(float64(tookBase) * math.Pow(tookStep, float64(i)+0.5))
		}
	}
	return 0
}

// Merge adds another histogram.
func (t *Took) Merge(o Took) {
	for i, n := range o {
		t[i] += n
	}
}

func (t *Took) bytes() []byte {
	b := make([]byte, 0, 4*len(t))
	for _, n := range t {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	return b
}

func tookOf(b []byte) (t Took) {
	for i := 0; i < len(t) && 4*i+4 <= len(b); i++ {
		t[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	return t
}

type minuteKey struct{ minute, endpoint int64 }

// minuteRow is a minute's sums as the file has them after the next commit.
type minuteRow struct {
	minuteKey
	exchanges, errors, req, resp, longest int64
	took                                  Took
	changed                               bool
}

// countMinute adds an exchange to the sums of its minute.
func (w *writer) countMinute(x *traffic.Exchange, endpoint string, sev traffic.Severity) error {
	id, err := w.name(endpoint)
	if err != nil {
		return err
	}
	row, err := w.minute(minuteKey{begunMicros(x) / 60e6, id})
	if err != nil {
		return err
	}
	w.touchMinute(row)
	row.exchanges++
	row.req += x.Request.Size
	row.resp += x.Reply.Size
	if sev == traffic.Error {
		row.errors++
	}
	if took := x.Ended.Sub(x.Begun); !x.Begun.IsZero() && took >= 0 {
		row.took.Add(took)
		row.longest = max(row.longest, took.Microseconds())
	}
	return nil
}

// minute gives the sums of a minute and endpoint, to be added to.
func (w *writer) minute(k minuteKey) (*minuteRow, error) {
	if row := w.minutes[k]; row != nil {
		return row, nil
	}
	row := minuteRow{minuteKey: k}
	var took []byte
	err := w.row(`SELECT exchanges, errors, req_bytes, resp_bytes, max_us, took FROM minute WHERE minute = ? AND endpoint = ?`,
		[]any{k.minute, k.endpoint}, &row.exchanges, &row.errors, &row.req, &row.resp, &row.longest, &took)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, err
	}
	row.took = tookOf(took)
	w.minutes[k] = &row
	return &row, nil
}

func (w *writer) touchMinute(row *minuteRow) {
	if !row.changed {
		row.changed = true
		w.changedMinutes = append(w.changedMinutes, row)
	}
}

func (w *writer) storeMinutes() error {
	for _, row := range w.changedMinutes {
		err := w.exec(`INSERT OR REPLACE INTO minute (minute, endpoint, exchanges, errors, req_bytes, resp_bytes, max_us, took)
			VALUES (?,?,?,?,?,?,?,?)`,
			row.minute, row.endpoint, row.exchanges, row.errors, row.req, row.resp, row.longest, row.took.bytes())
		if err != nil {
			return err
		}
		row.changed = false
	}
	w.changedMinutes = w.changedMinutes[:0]
	return nil
}

// Minute is what one endpoint's exchanges that began in one minute add up to.
type Minute struct {
	At                  time.Time
	Endpoint            string
	Exchanges, Errors   int64
	ReqBytes, RespBytes int64
	Longest             time.Duration
	Took                Took
}

// Minutes gives the sums of the minutes from one time to before another one,
// in order of time; a zero time is no limit.
func (s *Store) Minutes(ctx context.Context, from, to time.Time) ([]Minute, error) {
	lo, hi := int64(math.MinInt64), int64(math.MaxInt64)
	if !from.IsZero() {
		lo = from.Unix() / 60
	}
	if !to.IsZero() {
		hi = (to.Unix() + 59) / 60
	}
	rows, err := s.db.QueryContext(ctx, `SELECT m.minute, e.text, m.exchanges, m.errors, m.req_bytes, m.resp_bytes, m.max_us, m.took
		FROM minute m JOIN name e ON e.id = m.endpoint WHERE m.minute >= ? AND m.minute < ? ORDER BY m.minute, e.text`, lo, hi)
	return collect(rows, err, func(rows *sql.Rows) (m Minute, err error) {
		var at, longest int64
		var took []byte
		err = rows.Scan(&at, &m.Endpoint, &m.Exchanges, &m.Errors, &m.ReqBytes, &m.RespBytes, &longest, &took)
		m.At, m.Longest, m.Took = time.Unix(at*60, 0).UTC(), time.Duration(longest)*time.Microsecond, tookOf(took)
		return m, err
	})
}
