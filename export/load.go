package export

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http/httputil"

	"mpproxy/capture"
	"mpproxy/decode"
	"mpproxy/internal/redact"
	"mpproxy/traffic"
)

// Loader reads exchanges as they are written, without their secrets.
type Loader struct {
	store   *capture.Store
	secrets bool
	conns   map[traffic.ConnID]*traffic.Conn
	// Redacted is how many secret values were taken out, Cut how many bodies
	// were too large to be read whole.
	Redacted, Cut int
}

// NewLoader reads from a store; with secrets it leaves them in.
func NewLoader(s *capture.Store, secrets bool) *Loader {
	return &Loader{store: s, secrets: secrets, conns: map[traffic.ConnID]*traffic.Conn{}}
}

// maxConns is how many connections are remembered.
const maxConns = 256

func (l *Loader) conn(ctx context.Context, id traffic.ConnID) (*traffic.Conn, error) {
	if c, known := l.conns[id]; known {
		return c, nil
	}
	c, err := l.store.Conn(ctx, id)
	if errors.Is(err, capture.ErrNone) {
		c, err = nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read connection %d: %w", id, err)
	}
	if len(l.conns) >= maxConns {
		clear(l.conns)
	}
	l.conns[id] = c
	return c, nil
}

// Load reads an exchange and takes its secrets out.
func (l *Loader) Load(ctx context.Context, row capture.Row) (*Item, error) {
	x, err := l.store.Exchange(ctx, row.ID)
	if err != nil {
		return nil, fmt.Errorf("read exchange %d: %w", row.ID, err)
	}
	item := &Item{Row: row, Exchange: x}
	if item.Conn, err = l.conn(ctx, row.Conn); err != nil {
		return nil, err
	}
	if item.Findings, err = l.store.Findings(ctx, row.ID); err != nil {
		return nil, fmt.Errorf("read the findings of exchange %d: %w", row.ID, err)
	}
	if !l.secrets {
		item.lines()
	}
	for _, m := range []struct {
		to        **Message
		dir       traffic.Dir
		forwarded bool
		there     bool
	}{
		{&item.Request, traffic.Request, false, x.Request.Size > 0},
		{&item.Reply, traffic.Reply, false, x.Reply.Size > 0},
		{&item.Sent, traffic.Request, true, x.Sent != nil},
		{&item.Returned, traffic.Reply, true, x.Returned != nil},
	} {
		if !m.there {
			continue
		}
		if *m.to, err = l.message(ctx, row.ID, m.dir, m.forwarded); err != nil {
			return nil, fmt.Errorf("read the %s of exchange %d: %w", m.dir, row.ID, err)
		}
	}
	return item, nil
}

// lines takes the secrets of URLs out of what is said of an exchange. They are
// counted where they stand in its messages.
func (i *Item) lines() {
	for _, s := range []*string{&i.Row.Target, &i.Row.Short, &i.Row.Long, &i.Row.Err, &i.Exchange.Err} {
		*s, _ = redact.Line(*s)
	}
	for k := range i.Findings {
		i.Findings[k].Evidence, _ = redact.Line(i.Findings[k].Evidence)
	}
}

func (l *Loader) message(ctx context.Context, id traffic.ExchangeID, d traffic.Dir, forwarded bool) (*Message, error) {
	src, err := l.store.Source(ctx, id, d, forwarded)
	if errors.Is(err, capture.ErrNone) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	m := &Message{Head: src.Head}
	if src.Size <= MaxBody {
		m.Decoded = decode.Decode(src, decode.Content)
	} else {
		l.Cut++
	}
	if m.Body, m.Size, err = body(src); err != nil {
		return nil, err
	}
	if !l.secrets {
		l.redact(m)
	}
	return m, nil
}

// body reads a body without its chunk framing.
func body(src decode.Source) ([]byte, int64, error) {
	var r io.Reader = io.NewSectionReader(src.Body, 0, src.Size)
	if src.Framing == traffic.Chunked {
		r = httputil.NewChunkedReader(r)
	}
	var b bytes.Buffer
	_, err := io.Copy(&b, io.LimitReader(r, MaxBody))
	if err != nil && src.Framing != traffic.Chunked { // broken chunking is data: what came counts
		return nil, 0, err
	}
	size := int64(b.Len())
	if size == MaxBody {
		size = src.Size
	}
	return b.Bytes(), size, nil
}

// redact takes the secrets out of a message.
func (l *Loader) redact(m *Message) {
	clean := redact.Of(m.Head, m.Decoded)
	l.Redacted += clean.Count
	m.Redacted = clean.Count > 0
	m.Head = clean.Head
	if clean.Body == nil {
		return
	}
	m.Body, m.Size = clean.Body, int64(len(clean.Body))
	method, _, _ := m.Head.Request()
	dir := traffic.Reply
	if method != "" && m.Head.Status() == 0 {
		dir = traffic.Request
	}
	m.Decoded = decode.Decode(decode.Source{
		Dir: dir, Head: m.Head, Body: bytes.NewReader(m.Body), Size: m.Size, Framing: traffic.ByLength, Whole: true,
	}, decode.Content)
}
