package capture

import (
	"io"
	"maps"
	"slices"
	"sync/atomic"

	"mpproxy/decode"
	"mpproxy/traffic"
)

// batch is the work of one transaction.
type batch struct {
	handshakes  []traffic.HandshakeOver
	passed      []traffic.TLSPassed
	secrets     []traffic.TLSSecret
	revocations []traffic.Revocation
	chunks      []chunk
	// over are the exchanges that ended; begun those that began and go on.
	over, begun []listRow
	conns       []openConn
	again       []*decoded
	// done are closed once the batch is committed.
	done []chan struct{}
	// events and bytes are what is lost when it cannot be written; weight is
	// what the queue gets back.
	events, bytes int64
	weight        weight
}

// gatherer puts events together to what the file has rows for, and decodes
// what is over. It knows everything that is open. Nothing in it can fail. Its
// goroutine owns everything but kept.
type gatherer struct {
	opts    Options
	conns   map[traffic.ConnID]*openConn
	flights map[traffic.ExchangeID]*flight
	// touched and touchedConns have changed in the batch.
	touched      []*flight
	touchedConns []*openConn
	// kept is how many bytes open exchanges hold.
	kept atomic.Int64
}

func newGatherer(opts Options) *gatherer {
	return &gatherer{
		opts:    opts,
		conns:   map[traffic.ConnID]*openConn{},
		flights: map[traffic.ExchangeID]*flight{},
	}
}

// gather makes a batch of items.
func (g *gatherer) gather(items []item) *batch {
	b := &batch{}
	for _, it := range items {
		switch {
		case it.event != nil:
			b.events++
			g.take(b, it.event)
		case it.again != nil:
			b.again = append(b.again, it.again)
		case it.breakOff:
			g.breakOff(b)
		case it.done != nil:
			b.done = append(b.done, it.done)
		}
	}
	g.finish(b)
	return b
}

// take brings the memory up to date with one event.
func (g *gatherer) take(b *batch, e traffic.Event) {
	switch e := e.(type) {
	case traffic.ConnOpened:
		c := &openConn{Conn: e.Conn}
		g.conns[e.Conn.ID] = c
		g.touchConn(c)
	case traffic.HandshakeOver:
		b.handshakes = append(b.handshakes, e)
		c := g.conn(e.Conn)
		c.handshake(e.Handshake)
		g.touchConn(c)
	case traffic.RevocationFetched:
		b.revocations = append(b.revocations, e.Revocation)
	case traffic.TLSPassed:
		b.passed = append(b.passed, e)
		b.bytes += int64(len(e.Data))
	case traffic.TLSSecret:
		b.secrets = append(b.secrets, e)
	case traffic.ExchangeBegun:
		f := g.flight(e.Exchange.ID)
		f.x, f.conn, f.unsaid = e.Exchange, g.conn(e.Exchange.Conn), true
		g.touch(f)
	case traffic.Chunk:
		f := g.flight(e.Exchange)
		f.stream(e.Dir, e.Forwarded).add(e)
		b.bytes += int64(len(e.Data))
		g.touch(f)
	case traffic.ExchangeOver:
		f := g.flight(e.Exchange.ID)
		f.conn = g.conn(e.Exchange.Conn)
		g.over(b, f, e.Exchange)
	case traffic.ConnClosed:
		c := g.conn(e.Conn.ID)
		c.Conn, c.closed = e.Conn, true
		delete(g.conns, e.Conn.ID)
		g.touchConn(c)
	}
}

// flight is the open exchange of that number, made when it is new.
func (g *gatherer) flight(id traffic.ExchangeID) *flight {
	f := g.flights[id]
	if f == nil {
		f = &flight{x: traffic.Exchange{ID: id}, conn: &openConn{}}
		g.flights[id] = f
	}
	return f
}

// conn is the open connection of that number, made when it is new.
func (g *gatherer) conn(id traffic.ConnID) *openConn {
	c := g.conns[id]
	if c == nil {
		c = &openConn{Conn: traffic.Conn{ID: id}}
		g.conns[id] = c
	}
	return c
}

func (g *gatherer) touch(f *flight) {
	if !f.touched {
		f.touched = true
		g.touched = append(g.touched, f)
	}
}

func (g *gatherer) touchConn(c *openConn) {
	if !c.touched {
		c.touched = true
		g.touchedConns = append(g.touchedConns, c)
	}
}

// over decodes an exchange that has ended.
func (g *gatherer) over(b *batch, f *flight, x *traffic.Exchange) {
	m := understand(x, func(d traffic.Dir) io.ReaderAt { return f.stream(d, false) }, decode.Summary)
	f.conn.learn(m.row)
	b.over = append(b.over, overRow(x, f.conn, m))
	g.touch(f)
	delete(g.flights, x.ID)
	for i := range f.streams {
		g.kept.Add(-int64(len(f.streams[i][0].head)))
	}
}

// breakOff ends all that is open, because the recorder closes.
func (g *gatherer) breakOff(b *batch) {
	for _, id := range slices.Sorted(maps.Keys(g.flights)) {
		f := g.flights[id]
		if f.x.Begun.IsZero() {
			continue // bytes that nobody has told the beginning of
		}
		x := f.x
		x.Fate, x.Ended = traffic.Broken, g.opts.Now()
		x.Request.Size, x.Reply.Size = f.stream(traffic.Request, false).end(), f.stream(traffic.Reply, false).end()
		x.Err = "mpproxy stopped"
		x.Findings = []traffic.Finding{{Kind: &stopped, Offset: -1, Who: "proxy"}}
		g.over(b, f, &x)
	}
	for id, c := range g.conns {
		c.closed, c.Closed = true, g.opts.Now()
		delete(g.conns, id)
		g.touchConn(c)
	}
}

// finish puts into the batch what has changed, and lets go of what is not
// kept.
func (g *gatherer) finish(b *batch) {
	for _, f := range g.touched {
		f.touched = false
		for i := range f.streams {
			for j := range f.streams[i] {
				b.chunks = append(b.chunks, f.streams[i][j].ready...)
			}
		}
		if g.flights[f.x.ID] != f {
			continue // it is over
		}
		if f.unsaid {
			b.begun = append(b.begun, listRow{x: &f.x, agent: f.conn.key(), tls: f.conn.tlsOf(&f.x)})
			f.unsaid = false
		}
		g.keep(f)
	}
	for _, c := range g.touchedConns {
		c.touched = false
		b.conns = append(b.conns, *c)
		c.told = true
	}
	clear(g.touched)
	clear(g.touchedConns)
	g.touched, g.touchedConns = g.touched[:0], g.touchedConns[:0]
}

// keep copies what an open exchange needs at its end.
func (g *gatherer) keep(f *flight) {
	for i := range f.streams {
		limit := keptLimit
		if g.kept.Load() > keptAll {
			limit = keptEach
		}
		g.kept.Add(int64(f.streams[i][0].keep(limit)))
		f.streams[i][1].ready = nil
	}
}
