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
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
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
type connector struct{ dsn string }

func (c connector) Driver() driver.Driver {
	return &sqlite3.SQLiteDriver{ConnectHook: registerFunctions}
}

func (c connector) Connect(context.Context) (driver.Conn, error) { return c.Driver().Open(c.dsn) }

// openDB opens the file with parameters of SQLite's and the driver's.
func openDB(path string, params ...string) (*sql.DB, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	p := filepath.ToSlash(abs)
	if !strings.HasPrefix(p, "/") {
		p = "/" + p // a drive letter
	}
	dsn := "file://" + (&url.URL{Path: p}).EscapedPath() + "?" + strings.Join(params, "&")
	return sql.OpenDB(connector{dsn}), nil
}

// fileMarks are what a capture says about itself in its first 100 bytes.
type fileMarks struct {
	size    int64
	version int
}

// readMarks looks at a file without SQLite, so that a foreign file is left
// alone. An empty file is size 0 and no error.
func readMarks(path string) (fileMarks, error) {
	f, err := os.Open(path)
	if err != nil {
		return fileMarks{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return fileMarks{}, err
	}
	var head [100]byte
	_, err = io.ReadFull(f, head[:])
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fileMarks{}, ErrForeign
	case err != nil:
		return fileMarks{}, err
	case string(head[:16]) != "SQLite format 3\x00" || binary.BigEndian.Uint32(head[68:]) != applicationID:
		return fileMarks{}, ErrForeign
	}
	return fileMarks{info.Size(), int(binary.BigEndian.Uint32(head[60:]))}, nil
}

// migrate brings an open file to the newest version.
func migrate(ctx context.Context, db *sql.Conn, from int) error {
	all, err := steps()
	if err != nil {
		return err
	}
	if from > len(all) {
		return ErrNewer
	}
	for i, step := range all[from:] {
		script := fmt.Sprintf("BEGIN;\n%s\nPRAGMA user_version = %d;\nCOMMIT;", step, from+i+1)
		if _, err := db.ExecContext(ctx, script); err != nil {
			_, _ = db.ExecContext(ctx, "ROLLBACK")
			return fmt.Errorf("migration %d: %w", from+i+1, err)
		}
	}
	return nil
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
