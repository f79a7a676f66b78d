package evidence

import (
	"context"
	"maps"
	"slices"

	"mpproxy/capture"
	"mpproxy/decode"
	"mpproxy/diagnose"
	"mpproxy/traffic"
)

// maxMessage is the largest message that is read whole for a diagnosis, in
// bytes; of larger ones the beginning is.
const maxMessage = 1 << 20

// maxTold is how much history tells of one connection.
const maxTold = 100

// hear gives history the exchanges that have come since the last time, in the
// order of their numbers. Those under way wait until they are over.
func (s *Survey) hear(ctx context.Context) error {
	for _, id := range slices.Sorted(maps.Keys(s.unheard)) {
		r, err := s.store.Row(ctx, id)
		if err != nil {
			return err
		}
		if r.Ended.IsZero() {
			continue
		}
		delete(s.unheard, id)
		if err := s.hearOne(ctx, &r); err != nil {
			return err
		}
	}
	for {
		rows, err := s.store.Page(ctx, nil, s.heard, capture.Newer, connPage)
		if err != nil || len(rows) == 0 {
			return err
		}
		if s.Step != nil {
			s.Step(s.heard, 0)
		}
		for i := range rows {
			s.heard = rows[i].ID
			if rows[i].Ended.IsZero() && len(s.unheard) < maxOpen {
				s.unheard[rows[i].ID] = true
				continue
			}
			if err := s.hearOne(ctx, &rows[i]); err != nil {
				return err
			}
		}
	}
}

// hearOne gives history one exchange: its row, and its messages when they are of
// a kind that is remembered.
func (s *Survey) hearOne(ctx context.Context, r *capture.Row) error {
	short := diagnose.Exchange{
		ID: r.ID, Conn: r.Conn, Agent: r.Address, TLS: r.TLS != "", Own: r.Origin == "proxy", Method: r.Method, Target: r.Target,
		Status: r.Status, RequestSize: r.ReqBytes, ReplySize: r.RespBytes, Begun: r.Begun, Ended: r.Ended, Fate: r.Fate, Err: r.Err,
	}
	if diagnose.Remembers(r.Kind) {
		x, err := s.store.Exchange(ctx, r.ID)
		if err != nil {
			return err
		}
		depth := decode.Content
		if diagnose.Verifies(r.Kind) {
			depth = decode.Full
		}
		if short, err = s.read(ctx, x, depth); err != nil {
			return err
		}
		short.Agent, short.TLS = r.Address, r.TLS != ""
	}
	told := s.history.Add(&short)
	if len(told) > 0 && len(s.told[r.Conn]) < maxTold && len(s.told) < maxOpen {
		s.told[r.Conn] = append(s.told[r.Conn], told...)
	}
	return nil
}

// Earlier learns from a capture that was made before this one: which
// certificates, keys and names its site had, and who its agents were. name is
// how findings call it. It has to come before the first Update.
func (s *Survey) Earlier(ctx context.Context, store *capture.Store, name string) error {
	before := New(store, s.now)
	before.history = s.history
	before.history.Earlier(name)
	err := before.hear(ctx)
	before.history.Present()
	s.history = before.history
	return err
}

// read is an exchange in short, with what its messages say.
func (s *Survey) read(ctx context.Context, x *traffic.Exchange, depth decode.Depth) (diagnose.Exchange, error) {
	short := diagnose.ExchangeOf(x)
	if short.Method == "" || short.Method == "CONNECT" {
		return short, nil
	}
	within := func(w *traffic.Wire) decode.Depth {
		if w.Size > maxMessage {
			return decode.Summary
		}
		return depth
	}
	request, reply, err := s.store.Messages(ctx, x, within(&x.Request), within(&x.Reply))
	if err != nil {
		return short, err
	}
	short.Message = diagnose.MessageOf(request, reply)
	return short, nil
}
