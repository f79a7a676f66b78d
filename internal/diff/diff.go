// Package diff compares exchanges of captures, one by one or whole captures
// with each other, and writes down what came of it.
//
// It reads captures and leaves the comparing to package compare. Outcomes come
// one at a time, so that a comparison of large captures needs little memory.
package diff

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http/httputil"

	"mpproxy/capture"
	"mpproxy/compare"
	"mpproxy/decode"
	"mpproxy/filter"
	"mpproxy/traffic"
)

// Side is one exchange of a comparison.
type Side struct {
	Row capture.Row
	// Request and Reply are nil where there is none.
	Request, Reply *compare.Message
}

// Outcome is what the comparison of two exchanges came to.
type Outcome struct {
	// A and B are the exchanges; nil when only the other capture has one of
	// this meaning.
	A, B *capture.Row
	// Request and Reply are nil when there was nothing to compare.
	Request, Reply *compare.Result
}

// Same is true when nothing differs but what may vary.
func (o *Outcome) Same() bool {
	return o.A != nil && o.B != nil && (o.Request == nil || o.Request.Same()) && (o.Reply == nil || o.Reply.Same())
}

// Row is the exchange that the outcome is about: A, or what only B has.
func (o *Outcome) Row() *capture.Row {
	if o.A != nil {
		return o.A
	}
	return o.B
}

// maxWhole is how large a message may be to be compared by its text; of larger
// ones heads and digests are.
const maxWhole = 16 << 20

// Load reads an exchange as it was received; forwarded takes what went on in
// the place of what a rule changed.
func Load(ctx context.Context, s *capture.Store, id traffic.ExchangeID, forwarded bool) (*Side, error) {
	row, err := s.Row(ctx, id)
	if err != nil {
		return nil, err
	}
	side := &Side{Row: row}
	if side.Request, err = load(ctx, s, id, traffic.Request, forwarded); err == nil {
		side.Reply, err = load(ctx, s, id, traffic.Reply, forwarded)
	}
	return side, err
}

// load reads a message, nil when there is none.
func load(ctx context.Context, s *capture.Store, id traffic.ExchangeID, d traffic.Dir, forwarded bool) (*compare.Message, error) {
	src, err := s.Source(ctx, id, d, forwarded)
	switch {
	case errors.Is(err, capture.ErrNone):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read the %s of exchange %d: %w", d, id, err)
	case src.Head.Start == "" && src.Size == 0:
		return nil, nil
	}
	m := &compare.Message{Head: src.Head}
	if src.Size <= maxWhole {
		m.Decoded = decode.Decode(src, decode.Content)
	}
	if m.Digest, err = digest(src); err != nil {
		return nil, fmt.Errorf("read the %s of exchange %d: %w", d, id, err)
	}
	return m, nil
}

// digest is the SHA-256 of a body without chunk framing, "" for no body.
func digest(src decode.Source) (string, error) {
	if src.Size == 0 {
		return "", nil
	}
	var body io.Reader = io.NewSectionReader(src.Body, 0, src.Size)
	if src.Framing == traffic.Chunked {
		body = httputil.NewChunkedReader(body)
	}
	text, _, err := compare.Digest(body)
	if err != nil && src.Framing != traffic.Chunked { // broken chunking is data: what came counts
		return "", err
	}
	return text, nil
}

// Exchanges compares two exchanges.
func Exchanges(a, b *Side, vary compare.Table) Outcome {
	return Outcome{A: &a.Row, B: &b.Row, Request: messages(a.Request, b.Request, vary), Reply: messages(a.Reply, b.Reply, vary)}
}

// messages compares two messages; one that is missing differs in everything.
func messages(a, b *compare.Message, vary compare.Table) *compare.Result {
	switch {
	case a == nil && b == nil:
		return nil
	case a == nil:
		a = &compare.Message{}
	case b == nil:
		b = &compare.Message{}
	}
	return compare.Messages(*a, *b, vary)
}

// Forwarded compares what was received of an exchange with what went on in its
// place. Both results are nil when nothing else went on.
func Forwarded(ctx context.Context, s *capture.Store, id traffic.ExchangeID, vary compare.Table) (Outcome, error) {
	x, err := s.Exchange(ctx, id)
	if err != nil {
		return Outcome{}, err
	}
	row, err := s.Row(ctx, id)
	if err != nil {
		return Outcome{}, err
	}
	o := Outcome{A: &row, B: &row}
	for d, changed := range map[traffic.Dir]bool{traffic.Request: x.Sent != nil, traffic.Reply: x.Returned != nil} {
		if !changed {
			continue
		}
		received, err := load(ctx, s, id, d, false)
		if err != nil {
			return o, err
		}
		sent, err := load(ctx, s, id, d, true)
		if err != nil {
			return o, err
		}
		if d == traffic.Request {
			o.Request = messages(received, sent, vary)
		} else {
			o.Reply = messages(received, sent, vary)
		}
	}
	return o, nil
}

// Options say what of captures is compared, and how.
type Options struct {
	// Filter picks the exchanges.
	Filter *filter.Filter
	Vary   compare.Table
	// Forwarded compares what went on in place of what was received.
	Forwarded bool
}

// Captures compares two captures: their exchanges are paired by what they are
// about. visit takes each pair in the order of A, and may stop by an error.
func Captures(ctx context.Context, a, b *capture.Store, opts Options, visit func(Outcome) error) error {
	as, idsA, err := items(ctx, a, opts.Filter)
	if err != nil {
		return err
	}
	bs, idsB, err := items(ctx, b, opts.Filter)
	if err != nil {
		return err
	}
	for _, p := range compare.Pairs(as, bs) {
		o, err := pair(ctx, a, b, at(idsA, p.A), at(idsB, p.B), opts)
		if err != nil {
			return err
		}
		if err := visit(o); err != nil {
			return err
		}
	}
	return nil
}

// at is an exchange's number, 0 for none.
func at(ids []traffic.ExchangeID, i int) traffic.ExchangeID {
	if i < 0 {
		return 0
	}
	return ids[i]
}

func pair(ctx context.Context, a, b *capture.Store, inA, inB traffic.ExchangeID, opts Options) (Outcome, error) {
	switch {
	case inA == 0:
		row, err := b.Row(ctx, inB)
		return Outcome{B: &row}, err
	case inB == 0:
		row, err := a.Row(ctx, inA)
		return Outcome{A: &row}, err
	}
	x, err := Load(ctx, a, inA, opts.Forwarded)
	if err != nil {
		return Outcome{}, err
	}
	y, err := Load(ctx, b, inB, opts.Forwarded)
	if err != nil {
		return Outcome{}, err
	}
	return Exchanges(x, y, opts.Vary), nil
}

// page is how many rows are read at once.
const page = 500

// items lists what a capture's exchanges are about.
func items(ctx context.Context, s *capture.Store, f *filter.Filter) (out []compare.Item, ids []traffic.ExchangeID, err error) {
	for last := traffic.ExchangeID(0); ; {
		rows, err := s.Page(ctx, f, last, capture.Newer, page)
		if err != nil || len(rows) == 0 {
			return out, ids, err
		}
		for _, r := range rows {
			last = r.ID
			if r.Fate == traffic.InFlight {
				continue
			}
			out = append(out, ItemOf(r))
			ids = append(ids, r.ID)
		}
	}
}

// ItemOf is what an exchange is about.
func ItemOf(r capture.Row) compare.Item {
	return compare.Item{Agent: r.Agent, Kind: r.Kind, Endpoint: r.Endpoint, Method: r.Method, Target: r.Target}
}
