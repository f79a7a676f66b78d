package capture

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"

	"mpproxy/traffic"
)

// readExchange builds an exchange from its rows.
func readExchange(ctx context.Context, q querier, id traffic.ExchangeID) (*traffic.Exchange, error) {
	x := &traffic.Exchange{ID: id}
	var begun, replied, ended sql.NullInt64
	var fate, tls string
	err := q.QueryRowContext(ctx, `SELECT x.conn, x.begun_us, x.replied_us, x.ended_us, t.text, f.text, o.text, x.err
		FROM list x JOIN name t ON t.id = x.tls JOIN name f ON f.id = x.fate JOIN name o ON o.id = x.origin
		WHERE x.id = ?`, id).Scan(&x.Conn, &begun, &replied, &ended, &tls, &fate, &x.Origin, &x.Err)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, ErrNone
	case err != nil:
		return nil, classify(err)
	}
	x.Begun, x.Replied, x.Ended = instant(begun), instant(replied), instant(ended)
	x.TLS, x.Fate = tls != "", traffic.Fate(fate)
	if err := readWires(ctx, q, x); err != nil {
		return nil, err
	}
	if x.Rules, x.Tags, err = readLabels(ctx, q, id); err != nil {
		return nil, err
	}
	x.Findings, err = readFindings(ctx, q, "f.exchange = ? AND f.origin = ?", id, originProxy)
	return x, err
}

// readWires fills in the messages of an exchange.
func readWires(ctx context.Context, q querier, x *traffic.Exchange) error {
	rows, err := q.QueryContext(ctx, `SELECT dir, forwarded, interim, head, size, framing, whole, same_body
		FROM wire WHERE exchange = ?`, x.ID)
	type wire struct {
		traffic.Wire
		dir       traffic.Dir
		forwarded bool
		head      int64
	}
	wires, err := collect(rows, err, func(rows *sql.Rows) (w wire, err error) {
		return w, rows.Scan(&w.dir, &w.forwarded, &w.Interim, &w.head, &w.Size, &w.Framing, &w.Whole, &w.SameBody)
	})
	if err != nil {
		return err
	}
	for _, w := range wires {
		b := &blobs{ctx: ctx, q: q, exchange: x.ID, dir: w.dir, forwarded: w.forwarded}
		if w.Head, err = readHead(b, w.Interim, w.head); err != nil {
			return fmt.Errorf("head of the %v: %w", w.dir, err)
		}
		switch {
		case w.dir == traffic.Request && !w.forwarded:
			x.Request = w.Wire
		case w.dir == traffic.Request:
			x.Sent = &w.Wire
		case !w.forwarded:
			x.Reply = w.Wire
		default:
			x.Returned = &w.Wire
		}
	}
	if x.Request.Size > 0 || x.Reply.Size > 0 {
		return nil
	}
	for d, w := range map[traffic.Dir]*traffic.Wire{traffic.Request: &x.Request, traffic.Reply: &x.Reply} {
		if *w, err = guessWire(&blobs{ctx: ctx, q: q, exchange: x.ID, dir: d}); err != nil {
			return fmt.Errorf("%v: %w", d, err)
		}
	}
	return nil
}

// readHead parses a head. Where its bytes have a hole there is none to parse.
func readHead(b io.ReaderAt, at, size int64) (traffic.Head, error) {
	if size == 0 {
		return traffic.Head{}, nil
	}
	raw := make([]byte, size)
	n, err := b.ReadAt(raw, at)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, errHole) {
		return traffic.Head{}, err
	}
	return traffic.ParseHead(raw[:n]), nil
}

// guessWire says what is known of a message that nobody has told the end of:
// it is in flight, or mpproxy was killed.
func guessWire(b *blobs) (traffic.Wire, error) {
	size, err := b.extent()
	if err != nil || size == 0 {
		return traffic.Wire{}, err
	}
	beginning := make([]byte, min(size, traffic.MaxHead))
	n, err := b.ReadAt(beginning, 0)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, errHole) {
		return traffic.Wire{}, err
	}
	w := traffic.Wire{Size: size}
	w.Interim, w.Head = splitHead(beginning[:n])
	w.Framing = framingOf(w.Head)
	return w, nil
}

// splitHead finds the final head behind interim ones.
func splitHead(b []byte) (interim int64, h traffic.Head) {
	for {
		end := headEnd(b[interim:])
		if end < 0 {
			return interim, traffic.Head{}
		}
		h = traffic.ParseHead(b[interim : interim+int64(end)])
		if s := h.Status(); s < 100 || s > 199 || s == 101 {
			return interim, h
		}
		interim += int64(end)
	}
}

// headEnd is where a head's empty line ends, -1 when it does not.
func headEnd(b []byte) int {
	for at := 0; ; {
		i := bytes.IndexByte(b[at:], '\n')
		if i < 0 {
			return -1
		}
		line := bytes.TrimSuffix(b[at:at+i], []byte("\r"))
		if len(line) == 0 && at > 0 {
			return at + i + 1
		}
		at += i + 1
	}
}

func framingOf(h traffic.Head) traffic.Framing {
	switch {
	case h.Start == "":
		return traffic.NoFraming
	case h.Get("Transfer-Encoding") != "":
		return traffic.Chunked
	case h.Get("Content-Length") != "":
		return traffic.ByLength
	}
	return traffic.NoBody
}

func readLabels(ctx context.Context, q querier, id traffic.ExchangeID) (rules, tags []string, err error) {
	rows, err := q.QueryContext(ctx, `SELECT sort, text FROM label WHERE exchange = ? ORDER BY sort, pos`, id)
	type label struct {
		sort int
		text string
	}
	labels, err := collect(rows, err, func(rows *sql.Rows) (l label, err error) { return l, rows.Scan(&l.sort, &l.text) })
	for _, l := range labels {
		if l.sort == sortRule {
			rules = append(rules, l.text)
		} else {
			tags = append(tags, l.text)
		}
	}
	return rules, tags, err
}

// readFindings reads the findings that a condition on found picks.
func readFindings(ctx context.Context, q querier, where string, args ...any) ([]traffic.Finding, error) {
	rows, err := q.QueryContext(ctx, findingColumns+` WHERE `+where+` ORDER BY f.id`, args...)
	fs, err := collect(rows, err, scanFinding)
	var all []traffic.Finding
	for _, f := range fs {
		all = append(all, f.Finding)
	}
	return all, err
}

// CutRequests are the exchanges of which the request is not whole, such as an
// upload that was answered before its end.
func (s *Store) CutRequests(ctx context.Context) (map[traffic.ExchangeID]bool, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT exchange FROM wire WHERE dir = ? AND NOT forwarded AND NOT whole`, traffic.Request)
	ids, err := collect(rows, err, func(rows *sql.Rows) (id traffic.ExchangeID, err error) { return id, rows.Scan(&id) })
	if err != nil {
		return nil, fmt.Errorf("requests that are not whole: %w", err)
	}
	cut := map[traffic.ExchangeID]bool{}
	for _, id := range ids {
		cut[id] = true
	}
	return cut, nil
}
