package capture

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"

	"github.com/mattn/go-sqlite3"

	"mpproxy/decode"
	"mpproxy/traffic"
)

// statements are the connection that writes, with its statements prepared
// once. It calls the driver itself: for rows as small as these database/sql
// costs half as much as SQLite does. It is not for several goroutines at once.
type statements struct {
	conn     *sqlite3.SQLiteConn
	prepared map[string]*sqlite3.SQLiteStmt
	args     []driver.NamedValue
	// ran counts the statements run.
	ran int64
}

// openStatements opens a file for writing.
func openStatements(path string) (*statements, error) {
	dsn, err := dataSource(path, "mode=rw", "_mutex=no", "_busy_timeout=10000")
	if err != nil {
		return nil, err
	}
	conn, err := connector{dsn: dsn}.Connect(context.Background())
	if err != nil {
		return nil, err
	}
	return &statements{conn: conn.(*sqlite3.SQLiteConn), prepared: map[string]*sqlite3.SQLiteStmt{}}, nil
}

// script runs statements without parameters, separated by semicolons.
func (s *statements) script(sql string) error {
	_, err := s.conn.ExecContext(context.Background(), sql, nil)
	return err
}

// exec runs a statement that gives no rows.
func (s *statements) exec(query string, args ...any) error {
	rows, err := s.query(query, args)
	if err != nil {
		return err
	}
	return rows.Close()
}

// row runs a statement and reads its first row into dest, *int64 or *[]byte.
// The error is sql.ErrNoRows when there is none.
func (s *statements) row(query string, args []any, dest ...any) (err error) {
	rows, err := s.query(query, args)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	values := make([]driver.Value, len(dest))
	if err := rows.Next(values); errors.Is(err, io.EOF) {
		return sql.ErrNoRows
	} else if err != nil {
		return err
	}
	for i, v := range values {
		if err := assign(dest[i], v); err != nil {
			return fmt.Errorf("column %d: %w", i, err)
		}
	}
	return nil
}

func assign(dest any, v driver.Value) (err error) {
	ok := true
	switch d := dest.(type) {
	case *int64:
		*d, ok = v.(int64)
	case *[]byte:
		*d, ok = v.([]byte)
	default:
		ok = false
	}
	if !ok {
		return fmt.Errorf("%T does not fit %T", v, dest)
	}
	return nil
}

// query runs a statement up to its first row. The driver binds and steps in
// one call into C here, and in one for each argument when it is asked to
// execute instead.
func (s *statements) query(query string, args []any) (driver.Rows, error) {
	stmt, err := s.prepare(query)
	if err != nil {
		return nil, err
	}
	s.args = s.args[:0]
	for i, a := range args {
		s.args = append(s.args, driver.NamedValue{Ordinal: i + 1, Value: value(a)})
	}
	s.ran++
	return stmt.QueryContext(context.Background(), s.args)
}

func (s *statements) prepare(query string) (*sqlite3.SQLiteStmt, error) {
	if stmt := s.prepared[query]; stmt != nil {
		return stmt, nil
	}
	stmt, err := s.conn.Prepare(query)
	if err != nil {
		return nil, fmt.Errorf("prepare %q: %w", query, err)
	}
	s.prepared[query] = stmt.(*sqlite3.SQLiteStmt)
	return s.prepared[query], nil
}

// value is what the driver binds for a Go value.
func value(v any) driver.Value {
	switch v := v.(type) {
	case int:
		return int64(v)
	case uint16:
		return int64(v)
	case traffic.ExchangeID:
		return int64(v)
	case traffic.ConnID:
		return int64(v)
	case traffic.Dir:
		return int64(v)
	case traffic.Side:
		return int64(v)
	case traffic.Severity:
		return int64(v)
	case traffic.Framing:
		return int64(v)
	case decode.Depth:
		return int64(v)
	}
	return v
}

func (s *statements) close() error {
	var errs []error
	for _, stmt := range s.prepared {
		errs = append(errs, stmt.Close())
	}
	return errors.Join(append(errs, s.conn.Close())...)
}
