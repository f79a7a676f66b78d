package decode

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
)

const (
	// summaryWhole is how large an inflated payload may be to be inflated
	// whole on the recording path; of a larger one come the first
	// summaryStart bytes.
	summaryWhole = 64 << 10
	summaryStart = 8 << 10
	// maxInflated and maxRatio bound what a whole decode takes: 256 MiB, and
	// a thousand times the compressed size, as text never packs better.
	maxInflated = 256 << 20
	maxRatio    = 1000
)

// Inflated says how a compressed payload came out.
type Inflated struct {
	// Method is "zlib", "gzip", or "" for a payload that was not compressed.
	Method string
	// Level is a guess at the level it was packed with, from its first bytes.
	Level int
	// Size counts the inflated bytes, as far as they were inflated.
	Size int64
	// Whole is true when the stream ended in order, its checksum right.
	Whole bool
	// Rest counts the bytes after the end of the stream.
	Rest int64
	// Err says why inflating stopped; nil when it was Whole or when only the
	// beginning was wanted.
	Err error
}

// errTooLarge stops a payload that inflates beyond the limits.
var errTooLarge = errors.New("inflates beyond the limit")

// isZlib tells a zlib header: method 8, and a check sum over both bytes.
func isZlib(b []byte) bool {
	return len(b) >= 2 && b[0]&0x0F == 8 && b[0]>>4 <= 7 && (int(b[0])<<8|int(b[1]))%31 == 0
}

func isGzip(b []byte) bool { return len(b) >= 2 && b[0] == 0x1F && b[1] == 0x8B }

// zlibLevel is the middle of the levels that write this header.
func zlibLevel(b []byte) int {
	return [...]int{1, 4, 6, 9}[b[1]>>6]
}

// inflater is what one inflation needs; making it costs more than a small
// message does.
type inflater struct {
	in  bytes.Reader
	out io.ReadCloser
}

var inflaters = sync.Pool{New: func() any { return new(inflater) }}

// inflate unpacks a zlib or gzip stream. It appends to dst no more than limit
// bytes; with exact, reaching it is an error, without, it is what was wanted.
// The bytes that came before something broke are returned too.
func inflate(dst, packed []byte, limit int64, exact bool) ([]byte, Inflated) {
	if isGzip(packed) {
		return gunzip(dst, packed, limit)
	}
	info := Inflated{Method: "zlib"}
	if !isZlib(packed) {
		info.Err = zlib.ErrHeader
		return dst, info
	}
	info.Level = zlibLevel(packed)
	z := inflaters.Get().(*inflater)
	defer inflaters.Put(z)
	z.in.Reset(packed)
	if err := z.reset(); err != nil {
		info.Err = err
		return dst, info
	}
	dst = info.read(dst, z.out, limit, exact)
	info.Rest = int64(z.in.Len())
	z.in.Reset(nil)
	return dst, info
}

func (z *inflater) reset() error {
	if z.out == nil {
		out, err := zlib.NewReader(&z.in)
		z.out = out
		return err
	}
	return z.out.(zlib.Resetter).Reset(&z.in, nil)
}

func gunzip(dst, packed []byte, limit int64) ([]byte, Inflated) {
	info := Inflated{Method: "gzip", Level: 6}
	in := bytes.NewReader(packed)
	r, err := gzip.NewReader(in)
	if err != nil {
		info.Err = err
		return dst, info
	}
	dst = info.read(dst, r, limit, true)
	info.Rest = int64(in.Len())
	return dst, info
}

// read appends what comes, until the end, an error or the limit.
func (info *Inflated) read(dst []byte, from io.Reader, limit int64, exact bool) []byte {
	before := len(dst)
	for int64(len(dst)-before) < limit {
		if len(dst) == cap(dst) {
			dst = append(dst, 0)[:len(dst)]
		}
		room := min(int64(cap(dst)-len(dst)), limit-int64(len(dst)-before))
		n, err := from.Read(dst[len(dst) : len(dst)+int(room)])
		dst = dst[:len(dst)+n]
		if err == io.EOF {
			info.Whole = true
			break
		}
		if err != nil {
			info.Err = err
			break
		}
	}
	info.Size = int64(len(dst) - before)
	if !info.Whole && info.Err == nil {
		info.atLimit(from, exact)
	}
	return dst
}

// atLimit looks whether the stream ends just at the limit.
func (info *Inflated) atLimit(from io.Reader, exact bool) {
	var one [1]byte
	n, err := io.ReadFull(from, one[:])
	switch {
	case n == 0 && err == io.EOF:
		info.Whole = true
	case n == 0:
		info.Err = err
	case exact:
		info.Err = errTooLarge
	}
}

// inflateLimit is how much a payload of this size may inflate to.
func inflateLimit(packed int64) int64 {
	return min(maxInflated, max(packed*maxRatio, summaryWhole))
}

// deflate packs as the payload that is being replaced was packed.
func deflate(data []byte, method string, level int) ([]byte, error) {
	var out bytes.Buffer
	w, err := compressor(&out, method, level)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func compressor(out io.Writer, method string, level int) (io.WriteCloser, error) {
	if method == "gzip" {
		return gzip.NewWriterLevel(out, level)
	}
	return zlib.NewWriterLevel(out, level)
}
