package capture

import (
	"context"
	"database/sql"
	"errors"
	"io"

	"mpproxy/traffic"
)

// blobs reads the bytes of one message from their pieces. It is not for
// several goroutines at once.
type blobs struct {
	ctx       context.Context
	q         querier
	exchange  traffic.ExchangeID
	dir       traffic.Dir
	forwarded bool
	// at and piece are the last piece read, as most readers go on from there.
	at    int64
	piece []byte
}

// errHole says that bytes in the middle of a message were not recorded.
var errHole = errors.New("these bytes were not recorded")

// ReadAt reads until p is full, the bytes end, or some are missing.
func (b *blobs) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		if err := b.seek(off + int64(n)); err != nil {
			return n, err
		}
		n += copy(p[n:], b.piece[off+int64(n)-b.at:])
	}
	return n, nil
}

// seek loads the piece that has the byte at off.
func (b *blobs) seek(off int64) error {
	if b.at <= off && off < b.at+int64(len(b.piece)) {
		return nil
	}
	b.piece = nil
	err := b.q.QueryRowContext(b.ctx, `SELECT offset, bytes FROM chunk
		WHERE exchange = ? AND dir = ? AND forwarded = ? AND offset <= ? ORDER BY offset DESC LIMIT 1`,
		b.exchange, b.dir, boolInt(b.forwarded), off).Scan(&b.at, &b.piece)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return b.gap(off)
	case err != nil:
		return classify(err)
	case off >= b.at+int64(len(b.piece)):
		return b.gap(off)
	}
	return nil
}

// gap is io.EOF when nothing comes behind off.
func (b *blobs) gap(off int64) error {
	var more bool
	err := b.q.QueryRowContext(b.ctx, `SELECT EXISTS (SELECT 1 FROM chunk
		WHERE exchange = ? AND dir = ? AND forwarded = ? AND offset > ?)`,
		b.exchange, b.dir, boolInt(b.forwarded), off).Scan(&more)
	switch {
	case err != nil:
		return classify(err)
	case more:
		return errHole
	}
	return io.EOF
}

// extent is how far the recorded bytes of a message reach.
func (b *blobs) extent() (int64, error) {
	var end sql.NullInt64
	err := b.q.QueryRowContext(b.ctx, `SELECT offset + length(bytes) FROM chunk
		WHERE exchange = ? AND dir = ? AND forwarded = ? ORDER BY offset DESC LIMIT 1`,
		b.exchange, b.dir, boolInt(b.forwarded)).Scan(&end)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return end.Int64, classify(err)
}

// Body is a message's bytes in the capture. It reads them by range and keeps
// one piece of at most 256 KiB in memory. It is not for several goroutines at
// once, and lives as long as the context that it was asked for with.
type Body struct {
	io.ReaderAt
	size int64
}

// Size is how many bytes there are.
func (b *Body) Size() int64 { return b.size }

// Reader reads all bytes from the beginning.
func (b *Body) Reader() *io.SectionReader { return io.NewSectionReader(b.ReaderAt, 0, b.size) }
