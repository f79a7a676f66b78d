package replay

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"os"
	"strconv"
	"strings"
	"time"

	"mpproxy/compare"
	"mpproxy/decode"
	"mpproxy/traffic"
)

// Target is a management point.
type Target struct {
	Host, Port string
	TLS        bool
	// Address is dialled in place of Host and Port when not empty.
	Address string
}

// hostField is how agents name it in Host.
func (t Target) hostField() string {
	if t.TLS && t.Port == "443" || !t.TLS && t.Port == "80" {
		return t.Host
	}
	return net.JoinHostPort(t.Host, t.Port)
}

func (t Target) dialed() string {
	if t.Address != "" {
		return t.Address
	}
	return net.JoinHostPort(t.Host, t.Port)
}

// ErrUnreachable is for a management point that takes no connection, or with
// which TLS fails.
var ErrUnreachable = errors.New("the management point cannot be reached")

// link is a connection to the management point that is opened when it is
// needed, and again when the management point has closed it.
type link struct {
	target  Target
	tls     *tls.Config // nil speaks plain HTTP
	timeout time.Duration
	conn    net.Conn
	in      *bufio.Reader
}

// maxReply is how much of a reply's body is kept.
const maxReply = 64 << 20

// reply is what came back.
type reply struct {
	head   traffic.Head
	body   []byte
	digest string
	size   int64
}

// errLeft is for a connection that the management point closed while it was
// not used, as servers do.
var errLeft = errors.New("the management point has closed the connection")

// do sends a request and reads its reply. It is sent again only when the
// management point had left a connection that was kept open: what has been
// answered in part, or not in time, may have had its effect.
func (l *link) do(ctx context.Context, r *request) (*reply, error) {
	kept := l.conn != nil
	out, err := l.once(ctx, r)
	if kept && errors.Is(err, errLeft) && ctx.Err() == nil {
		out, err = l.once(ctx, r)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil {
		err = fmt.Errorf("no whole reply within %v; --timeout waits longer", l.timeout)
	}
	return out, err
}

func (l *link) once(ctx context.Context, r *request) (*reply, error) {
	if err := l.open(ctx); err != nil {
		return nil, err
	}
	conn := l.conn
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := conn.SetDeadline(time.Now().Add(l.timeout)); err != nil {
		l.close()
		return nil, err
	}
	sent := make(chan error, 1)
	go func() { sent <- write(conn, r) }()
	method, _, _ := r.head.Request()
	out, end, err := l.read(method)
	if err != nil || end {
		l.close() // the write must not wait for a management point that has left
	}
	werr := <-sent
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read the reply: %w", err), werr)
	}
	if werr != nil { // an answer came all the same, as to a body that is too large
		l.close()
	}
	return out, nil
}

// read reads a reply; errLeft when not a byte of one came before the end.
func (l *link) read(method string) (*reply, bool, error) {
	if _, err := l.in.Peek(1); err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, false, err
		}
		return nil, false, fmt.Errorf("%w: %w", errLeft, err)
	}
	return readReply(l.in, method)
}

// writeStep is how much is written at once: a larger write would keep crypto/tls
// from answering a renegotiation in the middle of a body.
const writeStep = 16 << 10

func write(conn net.Conn, r *request) error {
	for _, part := range r.wire() {
		for len(part) > 0 {
			n := min(len(part), writeStep)
			if _, err := conn.Write(part[:n]); err != nil {
				return fmt.Errorf("send the request: %w", err)
			}
			part = part[n:]
		}
	}
	return nil
}

// wire is the request as it is sent, in parts: a small one is one write, as
// agents do it, and a large body is not copied.
func (r *request) wire() [][]byte {
	before, after := bytes.Clone(r.head.Raw), []byte(nil)
	if r.chunked {
		after = []byte("0\r\n\r\n")
		if len(r.body) > 0 {
			before = append(before, strconv.FormatInt(int64(len(r.body)), 16)+"\r\n"...)
			after = []byte("\r\n0\r\n\r\n")
		}
	}
	if len(r.body) > writeStep {
		return [][]byte{before, r.body, after}
	}
	return [][]byte{append(append(before, r.body...), after...)}
}

func (l *link) open(ctx context.Context) error {
	if l.conn != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", l.target.dialed())
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, l.inTime(err))
	}
	if l.tls != nil {
		secure := tls.Client(conn, l.tls)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return fmt.Errorf("%w: TLS handshake: %w", ErrUnreachable, l.inTime(err))
		}
		conn = secure
	}
	l.conn, l.in = conn, bufio.NewReader(conn)
	return nil
}

// inTime is an error that says how long was waited.
func (l *link) inTime(err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("not over within %v (--timeout)", l.timeout)
	}
	return err
}

func (l *link) close() {
	if l.conn != nil {
		_ = l.conn.Close() // nothing more is wanted of it
		l.conn = nil
	}
}

// readReply reads a reply whole, behind interim ones. end is true when the
// connection ends with it.
func readReply(in *bufio.Reader, method string) (out *reply, end bool, err error) {
	for {
		raw, err := readHead(in)
		if err != nil {
			return nil, false, err
		}
		h := traffic.ParseHead(raw)
		if !strings.HasPrefix(h.Start, "HTTP/") || h.Status() == 0 {
			return nil, false, fmt.Errorf("what came is no reply of HTTP: %.60q", h.Start)
		}
		if s := h.Status(); s >= 100 && s < 200 && s != 101 {
			continue
		}
		out = &reply{head: h}
		break
	}
	body, end := bodyOf(in, out.head, method)
	if body == nil {
		return out, end, nil
	}
	var kept bytes.Buffer
	digest, n, err := compare.Digest(io.TeeReader(body, &limited{&kept, maxReply}))
	out.body, out.digest, out.size = kept.Bytes(), digest, n
	return out, end, err
}

// limited keeps the first bytes and forgets the others.
type limited struct {
	b    *bytes.Buffer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	n := min(len(p), l.left)
	l.left -= n
	l.b.Write(p[:n])
	return len(p), nil
}

// readHead reads up to the empty line.
func readHead(in *bufio.Reader) ([]byte, error) {
	var raw []byte
	for {
		line, err := in.ReadSlice('\n')
		raw = append(raw, line...)
		switch {
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		case len(raw) > traffic.MaxHead:
			return nil, errors.New("the head of the reply is too long")
		case len(raw) > 2 && (string(line) == "\r\n" || string(line) == "\n"):
			return raw, nil
		}
	}
}

// bodyOf is a reply's body without its framing, nil for none.
func bodyOf(in *bufio.Reader, h traffic.Head, method string) (body io.Reader, end bool) {
	end = strings.EqualFold(h.Get("Connection"), "close")
	switch s := h.Status(); {
	case method == "HEAD", s == 204, s == 304:
		return nil, end
	case strings.EqualFold(strings.TrimSpace(h.Get("Transfer-Encoding")), "chunked"):
		return &chunked{httputil.NewChunkedReader(in), in}, end
	}
	if text, has := h.Lookup("Content-Length"); has {
		n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
		if err != nil || n < 0 {
			return in, true
		}
		if n == 0 {
			return nil, end
		}
		return &exactly{io.LimitReader(in, n), n}, end
	}
	return in, true
}

// chunked reads the trailer too, so that the next reply begins where it should.
type chunked struct {
	io.Reader
	in *bufio.Reader
}

func (c *chunked) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		for {
			line, terr := c.in.ReadSlice('\n')
			if terr != nil {
				return n, io.ErrUnexpectedEOF
			}
			if len(bytes.TrimRight(line, "\r\n")) == 0 {
				break
			}
		}
	}
	return n, err
}

// exactly fails when less comes than was announced.
type exactly struct {
	io.Reader
	left int64
}

func (e *exactly) Read(p []byte) (int, error) {
	n, err := e.Reader.Read(p)
	if e.left -= int64(n); errors.Is(err, io.EOF) && e.left > 0 {
		return n, io.ErrUnexpectedEOF
	}
	return n, err
}

// decoded is the reply as a message.
func (r *reply) decoded(request *decode.Message) *decode.Message {
	if r.size > int64(len(r.body)) {
		return nil
	}
	return decode.Decode(decode.Source{
		Dir: traffic.Reply, Head: r.head, Body: bytes.NewReader(r.body), Size: int64(len(r.body)),
		Framing: traffic.ByLength, Whole: true, Request: request,
	}, decode.Content)
}
