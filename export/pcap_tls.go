package export

import (
	"context"

	"mpproxy/traffic"
)

// tls writes the TLS of a connection as it crossed the wire, with the lines of
// a key log that open it, if any.
func (p *pcap) tls(c *traffic.Conn, secrets []string, visit func(func(traffic.TLSPassed) error) error) error {
	if err := p.flushAll(); err != nil {
		return err
	}
	if len(secrets) > 0 {
		if err := p.file.secrets(secrets); err != nil {
			return err
		}
	}
	legs := map[traffic.Side]*stream{}
	return visit(func(t traffic.TLSPassed) error {
		var packets []packet
		s := legs[t.Side]
		if s == nil {
			s, packets = newStream(c, t.Side, recordedTLS(), t.At)
			legs[t.Side] = s
		}
		// The peer is the client on the agent's leg, the server on the other.
		from := 0
		if t.In == (t.Side == traffic.UpstreamSide) {
			from = 1
		}
		for _, k := range append(packets, s.say(from, t.At, t.Data, "")...) {
			if err := p.file.packet(k); err != nil {
				return err
			}
		}
		return nil
	})
}

// tlsWriter are the formats that have a place for TLS as it crossed the wire.
type tlsWriter interface {
	tls(c *traffic.Conn, secrets []string, visit func(func(traffic.TLSPassed) error) error) error
}

// AddTLS writes the TLS of connections as run --keep-records kept it, for the
// formats that have a place for it: of those whose exchanges were added, or of
// all. The secrets that open it are written with it when secrets are.
func (e *Export) AddTLS(ctx context.Context, all bool) error {
	out, fit := e.out.(tlsWriter)
	if !fit {
		return nil
	}
	kept, err := e.from.store.TLSKept(ctx)
	if err != nil {
		return err
	}
	for _, id := range kept {
		if !all && !e.seen[id] {
			continue
		}
		if err := e.addTLS(ctx, out, id); err != nil {
			return err
		}
		e.count.TLS++
	}
	return nil
}

func (e *Export) addTLS(ctx context.Context, out tlsWriter, id traffic.ConnID) error {
	c, err := e.from.conn(ctx, id)
	if err != nil {
		return err
	}
	if c == nil {
		c = &traffic.Conn{ID: id}
	}
	var secrets []string
	if e.from.secrets {
		if secrets, err = e.from.store.TLSSecrets(ctx, id); err != nil {
			return err
		}
	}
	return out.tls(c, secrets, func(visit func(traffic.TLSPassed) error) error {
		return e.from.store.TLSPassed(ctx, id, visit)
	})
}
