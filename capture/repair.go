package capture

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"

	"mpproxy/decode"
	"mpproxy/traffic"
)

// repair closes what was left open in the file, by a killed process or
// because the end could not be written: with that finding and error.
func (w *writer) repair(s *Store, kind *traffic.FindingKind, why string) error {
	ctx := context.Background()
	ids, err := leftOpen(ctx, s.db)
	if err != nil {
		return fmt.Errorf("repair: %w", err)
	}
	var b batch
	conns := map[traffic.ConnID]*openConn{}
	for _, id := range ids {
		x, err := readExchange(ctx, s.db, id)
		if err != nil {
			return fmt.Errorf("repair exchange %d: %w", id, err)
		}
		x.Fate, x.Ended, x.Err = traffic.Broken, x.Begun, why
		x.Findings = append(x.Findings, traffic.Finding{Kind: kind, Offset: -1, Who: "proxy"})
		c := conns[x.Conn]
		if c == nil {
			if c, err = recall(ctx, s.db, x.Conn); err != nil {
				return fmt.Errorf("repair connection %d: %w", x.Conn, err)
			}
			conns[x.Conn] = c
		}
		m := understand(x, func(d traffic.Dir) io.ReaderAt {
			return &blobs{ctx: ctx, q: s.db, exchange: id, dir: d}
		}, decode.Summary)
		c.learn(m.row)
		b.over = append(b.over, overRow(x, c, m))
		w.open[id] = state{stored: true}
	}
	if err := w.store(&b); err != nil {
		return fmt.Errorf("repair: %w", err)
	}
	err = w.exec(`UPDATE conn SET agent_err = ?,
		closed_us = ifnull((SELECT max(ifnull(ended_us, begun_us)) FROM list WHERE conn = conn.id), opened_us)
		WHERE closed_us IS NULL`, why)
	if err != nil {
		return fmt.Errorf("repair: %w", err)
	}
	return nil
}

func leftOpen(ctx context.Context, q querier) ([]traffic.ExchangeID, error) {
	rows, err := q.QueryContext(ctx, `SELECT id FROM list WHERE fate IN (SELECT id FROM name WHERE text IN (?, ?)) ORDER BY id`,
		string(traffic.InFlight), fateHeld)
	return collect(rows, err, func(rows *sql.Rows) (id traffic.ExchangeID, err error) { return id, rows.Scan(&id) })
}

// recall reads what the exchange's row takes from its connection.
func recall(ctx context.Context, q querier, id traffic.ConnID) (*openConn, error) {
	c := &openConn{Conn: traffic.Conn{ID: id}}
	var certificates int
	err := q.QueryRowContext(ctx, `SELECT c.agent, t.text,
			(SELECT count(*) FROM handshake h JOIN handshake_certificate p ON p.handshake = h.id
				WHERE h.conn = c.id AND h.leg = 1 AND h.version IS NOT NULL AND p.own = 0)
		FROM conn c JOIN name t ON t.id = c.agent_tls WHERE c.id = ?`, id).Scan(&c.Agent, &c.agentTLS, &certificates)
	c.certified = certificates > 0
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return c, err
}
