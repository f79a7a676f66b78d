package capture

import (
	"context"
	"database/sql"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/mattn/go-sqlite3"

	"mpproxy/filter"
)

// querier is what reading needs: the store's connections, or the writer's own
// inside its transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// registerFunctions adds what SQLite cannot do as a filter means it: case
// folding outside ASCII, and regular expressions.
func registerFunctions(c *sqlite3.SQLiteConn) error {
	if err := c.RegisterFunc("fold", filter.Fold, true); err != nil {
		return err
	}
	var e expressions
	return c.RegisterFunc("regexp", e.match, true)
}

// expressions keeps the last regular expression compiled: a query asks the
// same one for each row.
type expressions struct {
	mu     sync.Mutex
	source string
	re     *regexp.Regexp
}

// match is SQL's "text REGEXP source".
func (e *expressions) match(source, text string) (bool, error) {
	re, err := e.compile(source)
	if err != nil {
		return false, err
	}
	return re.MatchString(text), nil
}

func (e *expressions) compile(source string) (*regexp.Regexp, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.re != nil && e.source == source {
		return e.re, nil
	}
	re, err := regexp.Compile(source)
	if err == nil {
		e.source, e.re = source, re
	}
	return re, err
}

// micros is a time as the file keeps it; NULL for none.
func micros(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

// instant is the reverse of micros.
func instant(us sql.NullInt64) time.Time {
	if !us.Valid {
		return time.Time{}
	}
	return time.UnixMicro(us.Int64).UTC()
}

// textLimit is the most bytes of a text column; what is longer stands in the
// wire bytes.
const textLimit = 2048

// plain makes a text from the wire fit for a text column: valid UTF-8 without
// NUL, which SQLite's functions take for the end, and of bounded length.
func plain(s string) string {
	if len(s) > textLimit {
		s = s[:textLimit]
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\u2400")
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// placeholders is "?,?,?" for n parameters.
func placeholders(n int) string {
	return strings.TrimSuffix(strings.Repeat("?,", n), ",")
}

// collect reads all rows of a query.
func collect[T any](rows *sql.Rows, err error, scan func(*sql.Rows) (T, error)) ([]T, error) {
	if err != nil {
		return nil, classify(err)
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, classify(err)
		}
		all = append(all, v)
	}
	return all, classify(rows.Err())
}
