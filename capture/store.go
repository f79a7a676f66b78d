package capture

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/mattn/go-sqlite3"

	"mpproxy/decode"
	"mpproxy/traffic"
)

// Store reads a capture, live or finished. It never writes to it, but for
// [Store.Annotate]. Any number of goroutines may use it; no read lasts longer
// than the call that asked for it.
type Store struct {
	path string
	db   *sql.DB
	// version is how many migrations the file has seen.
	version int
	// frozen is true when the file is read as immutable.
	frozen bool
}

// connections is how many reads may run at once: the page, the count, a scan,
// and whoever follows.
const connections = 4

// Open opens a capture for reading. A file on a read-only medium is read as it
// is there. The errors are ErrForeign, ErrNewer, ErrDamaged, or the system's.
func Open(path string) (*Store, error) {
	s, err := openStore(path)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return s, nil
}

func openStore(path string) (*Store, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case info.Size() == 0:
		return nil, ErrForeign
	}
	s, err := tryOpen(path)
	if cannotWrite(err) && noWAL(path) {
		s, err = tryOpen(path, "immutable=1")
	}
	return s, classify(err)
}

func tryOpen(path string, more ...string) (*Store, error) {
	params := append([]string{"mode=ro", "_query_only=1", "_mutex=no", "_busy_timeout=5000", "_stmt_cache_size=64", "_cache_size=-512"}, more...)
	db, err := openDB(path, params...)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	s := &Store{path: path, db: db, frozen: len(more) > 0}
	if err := s.look(); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

// look tells a capture that this program can read from other files.
func (s *Store) look() (err error) {
	ctx := context.Background()
	if s.version, err = version(ctx, s.db); err != nil {
		return err
	}
	all, err := steps()
	if err != nil {
		return err
	}
	if s.version > len(all) {
		return ErrNewer
	}
	var n int
	if err := s.db.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_schema WHERE name = 'list'`).Scan(&n); err != nil {
		return err
	}
	if n != 1 {
		return ErrDamaged
	}
	return nil
}

// cannotWrite is true for errors of a file in WAL mode that lies where SQLite
// cannot make the files beside it.
func cannotWrite(err error) bool {
	var e sqlite3.Error
	return errors.As(err, &e) && (e.Code == sqlite3.ErrCantOpen || e.Code == sqlite3.ErrReadonly)
}

func noWAL(path string) bool {
	info, err := os.Stat(path + "-wal")
	return errors.Is(err, os.ErrNotExist) || err == nil && info.Size() == 0
}

// Close ends all reads.
func (s *Store) Close() error { return s.db.Close() }

// Path is where the capture is.
func (s *Store) Path() string { return s.path }

// ErrNone says that the capture has no such exchange, message or connection.
var ErrNone = errors.New("not in the capture")

// Exchange reads an exchange with its heads and findings. One that is not over
// has what is known so far, and Fate InFlight. The error is ErrNone for an
// unknown number.
func (s *Store) Exchange(ctx context.Context, id traffic.ExchangeID) (*traffic.Exchange, error) {
	x, err := readExchange(ctx, s.db, id)
	if err != nil {
		return nil, fmt.Errorf("exchange %d: %w", id, err)
	}
	return x, nil
}

// Wire reads the bytes of one message: interim heads, head, body with its
// framing, trailer. With forwarded they are those that went on; the same as
// received when nothing was changed. ErrNone when there is no such message.
func (s *Store) Wire(ctx context.Context, id traffic.ExchangeID, d traffic.Dir, forwarded bool) (*Body, error) {
	x, err := s.Exchange(ctx, id)
	if err != nil {
		return nil, err
	}
	v, r := wireOf(ctx, s.db, x, d, forwarded)
	if v.Size == 0 {
		return nil, fmt.Errorf("exchange %d: %v: %w", id, d, ErrNone)
	}
	return &Body{r, v.Size}, nil
}

// Source is one message of an exchange, for the decoder. A reply's Request is
// set, decoded as summary. ErrNone when there is no such message.
func (s *Store) Source(ctx context.Context, id traffic.ExchangeID, d traffic.Dir, forwarded bool) (decode.Source, error) {
	x, err := s.Exchange(ctx, id)
	if err != nil {
		return decode.Source{}, err
	}
	return s.sourceOf(ctx, x, d, forwarded)
}

func (s *Store) sourceOf(ctx context.Context, x *traffic.Exchange, d traffic.Dir, forwarded bool) (decode.Source, error) {
	v, r := wireOf(ctx, s.db, x, d, forwarded)
	if v.Size == 0 {
		return decode.Source{}, fmt.Errorf("exchange %d: %v: %w", x.ID, d, ErrNone)
	}
	var request *decode.Message
	if d == traffic.Reply && x.Request.Size > 0 {
		src, err := s.sourceOf(ctx, x, traffic.Request, forwarded)
		if err != nil {
			return decode.Source{}, err
		}
		request = decode.Decode(src, decode.Summary)
	}
	return sourceOf(x, d, v, r, request), nil
}

// Message decodes a message as it was received.
func (s *Store) Message(ctx context.Context, id traffic.ExchangeID, d traffic.Dir, depth decode.Depth) (*decode.Message, error) {
	src, err := s.Source(ctx, id, d, false)
	if err != nil {
		return nil, err
	}
	return decode.Decode(src, depth), nil
}

// Messages decodes both messages of an exchange as they were received, each as
// deep as is asked; nil for one that is not there.
func (s *Store) Messages(ctx context.Context, x *traffic.Exchange, requestDepth, replyDepth decode.Depth) (request, reply *decode.Message, err error) {
	if x.Request.Size > 0 {
		v, r := wireOf(ctx, s.db, x, traffic.Request, false)
		request = decode.Decode(sourceOf(x, traffic.Request, v, r, nil), requestDepth)
	}
	if x.Reply.Size > 0 {
		v, r := wireOf(ctx, s.db, x, traffic.Reply, false)
		reply = decode.Decode(sourceOf(x, traffic.Reply, v, r, request), replyDepth)
	}
	return request, reply, ctx.Err()
}

// wireOf is a message of an exchange and its bytes.
func wireOf(ctx context.Context, q querier, x *traffic.Exchange, d traffic.Dir, forwarded bool) (*traffic.Wire, io.ReaderAt) {
	received, sent := &x.Request, x.Sent
	if d == traffic.Reply {
		received, sent = &x.Reply, x.Returned
	}
	b := &blobs{ctx: ctx, q: q, exchange: x.ID, dir: d}
	if !forwarded || sent == nil {
		return received, b
	}
	f := &blobs{ctx: ctx, q: q, exchange: x.ID, dir: d, forwarded: true}
	if !sent.SameBody {
		return sent, f
	}
	head := sent.Interim + int64(len(sent.Head.Raw))
	body := received.Interim + int64(len(received.Head.Raw))
	return sent, joined{
		{at: 0, body: io.NewSectionReader(f, 0, head)},
		{at: head, body: io.NewSectionReader(b, body, received.Size-body)},
	}
}
