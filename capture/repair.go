package capture

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"mpproxy/traffic"
)

// repair closes what was left open in the file, by a killed process or
// because the end could not be written: with that finding and error.
func (w *writer) repair(kind *traffic.FindingKind, why string) error {
	ctx := context.Background()
	ids, err := w.leftOpen(ctx)
	if err != nil {
		return fmt.Errorf("repair: %w", err)
	}
	var b batch
	for _, id := range ids {
		x, err := readExchange(ctx, w.conn, id)
		if err != nil {
			return fmt.Errorf("repair exchange %d: %w", id, err)
		}
		x.Fate, x.Ended, x.Err = traffic.Broken, x.Begun, why
		x.Findings = append(x.Findings, traffic.Finding{Kind: kind, Offset: -1, Who: "proxy"})
		if err := w.recall(ctx, x.Conn); err != nil {
			return fmt.Errorf("repair connection %d: %w", x.Conn, err)
		}
		b.over = append(b.over, over{&flight{x: *x, conn: w.connOf(x.Conn), stored: true}, x})
	}
	if err := w.store(&b); err != nil {
		return fmt.Errorf("repair: %w", err)
	}
	w.conns = map[traffic.ConnID]*openConn{}
	err = w.exec(`UPDATE conn SET agent_err = ?,
		closed_us = ifnull((SELECT max(ifnull(ended_us, begun_us)) FROM list WHERE conn = conn.id), opened_us)
		WHERE closed_us IS NULL`, why)
	if err != nil {
		return fmt.Errorf("repair: %w", err)
	}
	return nil
}

func (w *writer) leftOpen(ctx context.Context) ([]traffic.ExchangeID, error) {
	rows, err := w.conn.QueryContext(ctx, `SELECT id FROM list WHERE fate IN (SELECT id FROM name WHERE text IN (?, ?)) ORDER BY id`,
		string(traffic.InFlight), fateHeld)
	return collect(rows, err, func(rows *sql.Rows) (id traffic.ExchangeID, err error) { return id, rows.Scan(&id) })
}

// recall reads what the exchange's row takes from its connection.
func (w *writer) recall(ctx context.Context, id traffic.ConnID) error {
	c := w.connOf(id)
	var certificates int
	err := w.conn.QueryRowContext(ctx, `SELECT c.agent, t.text,
			(SELECT count(*) FROM handshake h JOIN handshake_certificate p ON p.handshake = h.id
				WHERE h.conn = c.id AND h.leg = 1 AND p.own = 0)
		FROM conn c JOIN name t ON t.id = c.agent_tls WHERE c.id = ?`, id).Scan(&c.Agent, &c.agentTLS, &certificates)
	c.certified = certificates > 0
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return err
}
