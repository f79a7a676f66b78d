package evidence

import (
	"context"

	"mpproxy/capture"
	"mpproxy/decode"
	"mpproxy/diagnose"
	"mpproxy/traffic"
)

// maxMessage is the largest message that is read for a diagnosis, in bytes.
const maxMessage = 1 << 20

// maxTold is how much history tells of one connection.
const maxTold = 100

// hear gives history the exchanges that have come since the last time, in the
// order of their numbers. Only kinds that it remembers are decoded.
func (s *Survey) hear(ctx context.Context) error {
	for {
		rows, err := s.store.Page(ctx, nil, s.heard, capture.Newer, connPage)
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, r := range rows {
			s.heard = r.ID
			if !diagnose.Remembers(r.Kind, r.Target) {
				continue
			}
			x, err := s.store.Exchange(ctx, r.ID)
			if err != nil {
				return err
			}
			short, err := s.read(ctx, x)
			if err != nil {
				return err
			}
			if told := s.history.Add(&short); len(s.told[r.Conn]) < maxTold && len(s.told) < maxOpen {
				s.told[r.Conn] = append(s.told[r.Conn], told...)
			}
		}
	}
}

// read is an exchange in short, with what its messages say.
func (s *Survey) read(ctx context.Context, x *traffic.Exchange) (diagnose.Exchange, error) {
	short := diagnose.ExchangeOf(x)
	if short.Method == "" || short.Method == "CONNECT" || x.Request.Size > maxMessage {
		return short, nil
	}
	request, err := s.store.Message(ctx, x.ID, traffic.Request, decode.Full)
	if err != nil {
		return short, err
	}
	var reply *decode.Message
	if x.Reply.Size > 0 && x.Reply.Size <= maxMessage {
		if reply, err = s.store.Message(ctx, x.ID, traffic.Reply, decode.Full); err != nil {
			return short, err
		}
	}
	short.Message = diagnose.MessageOf(request, reply)
	return short, nil
}
