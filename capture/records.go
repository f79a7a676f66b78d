package capture

import (
	"context"
	"database/sql"
	"fmt"

	"mpproxy/traffic"
)

// recordsSince is the version of the file that has the tables.
const recordsSince = 3

// storeRecords writes what was kept of TLS.
func (w *writer) storeRecords(b *batch) error {
	for i := range b.passed {
		if err := w.storePassed(&b.passed[i]); err != nil {
			return fmt.Errorf("TLS bytes of connection %d: %w", b.passed[i].Conn, err)
		}
	}
	for i := range b.secrets {
		if err := w.storeSecret(&b.secrets[i]); err != nil {
			return fmt.Errorf("TLS secret of connection %d: %w", b.secrets[i].Conn, err)
		}
	}
	return nil
}

func (w *writer) storePassed(p *traffic.TLSPassed) error {
	dir := 2
	if p.In {
		dir = 1
	}
	return w.exec(`INSERT INTO tls_bytes (conn, leg, dir, at_us, bytes) VALUES (?,?,?,?,?)`,
		p.Conn, p.Side, dir, p.At.UnixMicro(), p.Data)
}

func (w *writer) storeSecret(s *traffic.TLSSecret) error {
	return w.exec(`INSERT INTO tls_secret (conn, leg, line) VALUES (?,?,?)`, s.Conn, s.Side, plain(s.Line))
}

// TLSPassed visits the encrypted bytes of a connection, when they were kept, in
// the order in which they passed. What is written is stored once it is away, so
// that an answer can be stored before what it answers; within a direction the
// order stands, also when the clock was set back.
func (s *Store) TLSPassed(ctx context.Context, id traffic.ConnID, visit func(traffic.TLSPassed) error) error {
	if s.version < recordsSince {
		return nil
	}
	rows, err := s.db.QueryContext(ctx, `SELECT leg, dir, at_us, bytes FROM tls_bytes WHERE conn = ?
		ORDER BY max(at_us) OVER (PARTITION BY leg, dir ORDER BY id), id`, id)
	if err != nil {
		return fmt.Errorf("TLS bytes of connection %d: %w", id, err)
	}
	defer rows.Close()
	for rows.Next() {
		p := traffic.TLSPassed{Conn: id}
		var dir, at int64
		if err := rows.Scan(&p.Side, &dir, &at, &p.Data); err != nil {
			return fmt.Errorf("TLS bytes of connection %d: %w", id, err)
		}
		p.In, p.At = dir == 1, instant(sql.NullInt64{Int64: at, Valid: true})
		if err := visit(p); err != nil {
			return err
		}
	}
	return rows.Err()
}

// TLSKept are the connections of which encrypted bytes were kept.
func (s *Store) TLSKept(ctx context.Context) ([]traffic.ConnID, error) {
	if s.version < recordsSince {
		return nil, nil
	}
	rows, err := s.db.QueryContext(ctx, `SELECT DISTINCT conn FROM tls_bytes ORDER BY conn`)
	ids, err := collect(rows, err, func(rows *sql.Rows) (id traffic.ConnID, err error) { return id, rows.Scan(&id) })
	if err != nil {
		return nil, fmt.Errorf("connections with TLS bytes: %w", err)
	}
	return ids, nil
}

// TLSSecrets are the lines of a key log that open a connection's TLS, when they
// were kept.
func (s *Store) TLSSecrets(ctx context.Context, id traffic.ConnID) ([]string, error) {
	if s.version < recordsSince {
		return nil, nil
	}
	rows, err := s.db.QueryContext(ctx, `SELECT line FROM tls_secret WHERE conn = ? ORDER BY rowid`, id)
	lines, err := collect(rows, err, func(rows *sql.Rows) (line string, err error) { return line, rows.Scan(&line) })
	if err != nil {
		return nil, fmt.Errorf("TLS secrets of connection %d: %w", id, err)
	}
	return lines, nil
}
