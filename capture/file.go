// Package capture keeps everything in one SQLite file: one writer, many
// readers; it turns a filter into SQL.
//
// Events of package traffic go in through a [Recorder], which is a proxy's
// Sink. A [Store] gives them back: rows for a list, exchanges, messages, wire
// bytes by range. What is kept are the bytes and the facts around them;
// messages, summaries and findings are computed from the bytes and can be
// computed again.
//
// The recorder never holds traffic up for longer than its queue is full, and
// never fails it: what cannot be written is counted. The store never writes,
// but for the annotations that people make.
//
// The file's tables and views are described in docs/schema.md.
package capture

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mattn/go-sqlite3"
)

// The file's marks in its first page.
const (
	applicationID = 0x6d706462 // "mpdb"
	pageSize      = 16384
)

// Errors of a file that cannot be used, to be tested with errors.Is.
var (
	// ErrForeign says that the file is not a capture.
	ErrForeign = errors.New("not an mpproxy capture")
	// ErrDamaged says that the file is a capture that cannot be read.
	ErrDamaged = errors.New("the capture is damaged")
	// ErrNewer says that a newer mpproxy made the file.
	ErrNewer = errors.New("the capture was made by a newer mpproxy")
	// ErrInUse says that another process has the file open.
	ErrInUse = errors.New("the capture is in use by another process")
)

//go:embed migrations/*.sql
var migrations embed.FS

// steps are the migrations in order; a file's user_version says how many it
// has seen.
func steps() ([]string, error) {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	var all []string
	for _, name := range names {
		b, err := fs.ReadFile(migrations, name)
		if err != nil {
			return nil, err
		}
		all = append(all, string(b))
	}
	return all, nil
}

// connector opens connections to one SQLite URI with the functions that
// filters need.
type connector struct {
	dsn string
	// reads lets old files be read as new ones.
	reads bool
}

func (c connector) Driver() driver.Driver {
	return &sqlite3.SQLiteDriver{ConnectHook: func(conn *sqlite3.SQLiteConn) error {
		if err := registerFunctions(conn); err != nil || !c.reads {
			return err
		}
		return showColumns(conn)
	}}
}

func (c connector) Connect(context.Context) (driver.Conn, error) { return c.Driver().Open(c.dsn) }

// openDB opens the file with parameters of SQLite's and the driver's.
func openDB(path string, params ...string) (*sql.DB, error) {
	dsn, err := dataSource(path, params...)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector{dsn, slices.Contains(params, "mode=ro")}), nil
}

// dataSource is a file with parameters as an URI.
func dataSource(path string, params ...string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	p := filepath.ToSlash(abs)
	if !strings.HasPrefix(p, "/") {
		p = "/" + p // a drive letter
	}
	return "file://" + (&url.URL{Path: p}).EscapedPath() + "?" + strings.Join(params, "&"), nil
}

// version reads the marks that a capture has in its first page, and gives how
// many migrations it has seen. It asks SQLite: to open and close the file
// beside it would drop the locks that this process has on it.
func version(ctx context.Context, db *sql.DB) (int, error) {
	var application, version int
	err := db.QueryRowContext(ctx, `SELECT application_id, user_version FROM pragma_application_id, pragma_user_version`).Scan(&application, &version)
	var e sqlite3.Error
	switch {
	case errors.As(err, &e) && e.Code == sqlite3.ErrNotADB:
		return 0, ErrForeign
	case err != nil:
		return 0, err
	case application != applicationID:
		return 0, ErrForeign
	}
	return version, nil
}

// migrate brings an open file to the newest version.
func migrate(st *statements, from int) error {
	all, err := steps()
	if err != nil {
		return err
	}
	if from > len(all) {
		return ErrNewer
	}
	for i, step := range all[from:] {
		err := st.script(fmt.Sprintf("BEGIN;\n%s\nPRAGMA user_version = %d;\nCOMMIT;", step, from+i+1))
		if err != nil {
			_ = st.script("ROLLBACK")
			return fmt.Errorf("migration %d: %w", from+i+1, err)
		}
	}
	return addColumns(st)
}

// classify puts the sentinel into errors that SQLite reports about a file.
func classify(err error) error {
	var e sqlite3.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code {
	case sqlite3.ErrCorrupt, sqlite3.ErrNotADB:
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	case sqlite3.ErrBusy, sqlite3.ErrLocked:
		return fmt.Errorf("%w: %w", ErrInUse, err)
	}
	return err
}
