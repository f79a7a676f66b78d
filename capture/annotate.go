package capture

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"mpproxy/traffic"
)

// Annotation is something that people add to a capture: a [Mark], a [Note] or
// a [Silence].
type Annotation interface {
	write(ctx context.Context, tx *sql.Tx) error
	// about is the exchange whose row looks different now, 0 for none.
	about() traffic.ExchangeID
}

// Mark marks an exchange, or unmarks it.
type Mark struct {
	Exchange traffic.ExchangeID
	Off      bool
	Author   string
	At       time.Time
}

// Note is a remark on an exchange.
type Note struct {
	Exchange     traffic.ExchangeID
	Text, Author string
	At           time.Time
}

// Silence hides a kind of finding from views, or shows it again. Nothing is
// removed.
type Silence struct {
	// Code is the kind's, Text why it is silenced.
	Code         string
	Off          bool
	Text, Author string
	At           time.Time
}

func (m Mark) about() traffic.ExchangeID    { return m.Exchange }
func (n Note) about() traffic.ExchangeID    { return n.Exchange }
func (s Silence) about() traffic.ExchangeID { return 0 }

func (m Mark) write(ctx context.Context, tx *sql.Tx) error {
	if m.Off {
		return run(ctx, tx, `DELETE FROM mark WHERE exchange = ?`, m.Exchange)
	}
	return run(ctx, tx, `INSERT OR REPLACE INTO mark (exchange, author, at_us) VALUES (?, ?, ?)`, m.Exchange, plain(m.Author), m.At.UnixMicro())
}

func (n Note) write(ctx context.Context, tx *sql.Tx) error {
	return run(ctx, tx, `INSERT INTO note (exchange, text, author, at_us) VALUES (?, ?, ?, ?)`, n.Exchange, plain(n.Text), plain(n.Author), n.At.UnixMicro())
}

func (s Silence) write(ctx context.Context, tx *sql.Tx) error {
	if s.Off {
		return run(ctx, tx, `DELETE FROM silence WHERE code = ?`, s.Code)
	}
	return run(ctx, tx, `INSERT OR REPLACE INTO silence (code, text, author, at_us) VALUES (?, ?, ?, ?)`, s.Code, plain(s.Text), plain(s.Author), s.At.UnixMicro())
}

func run(ctx context.Context, tx *sql.Tx, query string, args ...any) error {
	_, err := tx.ExecContext(ctx, query, args...)
	return err
}

// Annotate writes annotations in one short transaction of its own, also while
// another process records into the file.
func (s *Store) Annotate(ctx context.Context, what ...Annotation) error {
	db, err := openDB(s.path, "mode=rw", "_busy_timeout=5000", "_txlock=immediate")
	if err != nil {
		return fmt.Errorf("annotate %s: %w", s.path, err)
	}
	if err := errors.Join(annotate(ctx, db, what), db.Close()); err != nil {
		return fmt.Errorf("annotate %s: %w", s.path, classify(err))
	}
	return nil
}

func annotate(ctx context.Context, db *sql.DB, what []Annotation) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit there is nothing to roll back
	for _, a := range what {
		if err := a.write(ctx, tx); err != nil {
			return err
		}
		if id := a.about(); id != 0 {
			if err := run(ctx, tx, `INSERT INTO change (exchange) VALUES (?)`, id); err != nil {
				return err
			}
		}
	}
	return tx.Commit()
}

// Notes are the remarks on an exchange, the oldest first; those on all when id
// is 0.
func (s *Store) Notes(ctx context.Context, id traffic.ExchangeID) ([]Note, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT exchange, text, author, at_us FROM note WHERE ?1 = 0 OR exchange = ?1 ORDER BY id`, id)
	return collect(rows, err, func(rows *sql.Rows) (n Note, err error) {
		var at sql.NullInt64
		err = rows.Scan(&n.Exchange, &n.Text, &n.Author, &at)
		n.At = instant(at)
		return n, err
	})
}

// Marks are the exchanges that are marked, in the order of their numbers.
func (s *Store) Marks(ctx context.Context) ([]Mark, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT exchange, author, at_us FROM mark ORDER BY exchange`)
	return collect(rows, err, func(rows *sql.Rows) (m Mark, err error) {
		var at sql.NullInt64
		err = rows.Scan(&m.Exchange, &m.Author, &at)
		m.At = instant(at)
		return m, err
	})
}

// Silences are the kinds of findings that are silenced.
func (s *Store) Silences(ctx context.Context) ([]Silence, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT code, text, author, at_us FROM silence ORDER BY code`)
	return collect(rows, err, func(rows *sql.Rows) (x Silence, err error) {
		var at sql.NullInt64
		err = rows.Scan(&x.Code, &x.Text, &x.Author, &at)
		x.At = instant(at)
		return x, err
	})
}
