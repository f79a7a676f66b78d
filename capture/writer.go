package capture

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"mpproxy/traffic"
)

// writer turns batches of events into rows. Its goroutine owns everything but
// what mu guards.
//
// A batch is worked on in two steps: apply brings the memory up to date and
// cannot fail, store writes one transaction. When store fails, the batch is
// lost and counted, and memory is still right.
type writer struct {
	opts    Options
	conn    *sql.Conn
	stmts   map[string]*sql.Stmt
	rows    int64
	conns   map[traffic.ConnID]*openConn
	flights map[traffic.ExchangeID]*flight
	caches
	// highest is the highest exchange in the file.
	highest traffic.ExchangeID
	// changes counts the rows of change since it was last cut.
	changes int
	// unsaid is the loss that the file does not know of yet.
	unsaid loss

	mu sync.Mutex
	st Stats
}

// caches are what the writer knows of the file's rows. They are thrown away
// with a failed transaction.
type caches struct {
	names        map[string]int64
	kinds        map[string]kindRow
	agents       map[agentKey]*agentRow
	minutes      map[minuteKey]*minuteRow
	certificates map[[32]byte]int64
}

func newCaches() caches {
	return caches{
		names:        map[string]int64{"": 0},
		kinds:        map[string]kindRow{},
		agents:       map[agentKey]*agentRow{},
		minutes:      map[minuteKey]*minuteRow{},
		certificates: map[[32]byte]int64{},
	}
}

// cacheLimit is how many entries a cache may have before it starts anew.
const cacheLimit = 20_000

func newWriter(conn *sql.Conn, opts Options) *writer {
	return &writer{
		opts: opts, conn: conn,
		stmts:   map[string]*sql.Stmt{},
		conns:   map[traffic.ConnID]*openConn{},
		flights: map[traffic.ExchangeID]*flight{},
		caches:  newCaches(),
	}
}

// batch is the work of one transaction.
type batch struct {
	handshakes []traffic.HandshakeOver
	conns      []*openConn
	flights    []*flight
	over       []over
	again      []*decoded
	events     int64
	bytes      int64
}

// over is an exchange at its end.
type over struct {
	*flight
	x *traffic.Exchange
}

// loss is what could not be written.
type loss struct {
	events, bytes int64
	cause         string
}

// write records a batch and returns the exchanges that are over.
func (w *writer) write(items []item) []traffic.ExchangeID {
	var b batch
	for _, it := range items {
		w.apply(&b, it)
	}
	start := w.opts.Now()
	w.rows = 0
	if err := w.store(&b); err != nil {
		w.lose(&b, err)
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.st.Commits++
	w.st.Rows += w.rows
	w.st.Bytes += b.bytes
	w.st.Exchanges += int64(len(b.over))
	w.st.LastCommit = w.opts.Now().Sub(start)
	var ids []traffic.ExchangeID
	for _, o := range b.over {
		ids = append(ids, o.x.ID)
	}
	return ids
}

// apply brings the memory up to date with one item.
func (w *writer) apply(b *batch, it item) {
	switch {
	case it.event != nil:
		b.events++
		w.applyEvent(b, it.event)
	case it.again != nil:
		b.again = append(b.again, it.again)
	case it.breakOff:
		w.breakOff(b)
	}
}

func (w *writer) applyEvent(b *batch, e traffic.Event) {
	switch e := e.(type) {
	case traffic.ConnOpened:
		c := &openConn{Conn: e.Conn}
		w.conns[e.Conn.ID] = c
		b.touchConn(c)
	case traffic.HandshakeOver:
		b.handshakes = append(b.handshakes, e)
		c := w.connOf(e.Conn)
		c.handshake(e.Handshake)
		b.touchConn(c)
	case traffic.ExchangeBegun:
		f := w.flight(e.Exchange.ID)
		f.x, f.conn = e.Exchange, w.connOf(e.Exchange.Conn)
		f.unsaid = true
		b.touch(f)
	case traffic.Chunk:
		f := w.flight(e.Exchange)
		f.stream(e.Dir, e.Forwarded).add(e.Offset, e.Data)
		b.bytes += int64(len(e.Data))
		b.touch(f)
	case traffic.ExchangeOver:
		f := w.flight(e.Exchange.ID)
		f.conn = w.connOf(e.Exchange.Conn)
		delete(w.flights, e.Exchange.ID)
		b.touch(f)
		b.over = append(b.over, over{f, e.Exchange})
	case traffic.ConnClosed:
		c := w.connOf(e.Conn.ID)
		delete(w.conns, e.Conn.ID)
		c.Conn, c.closed = e.Conn, true
		b.touchConn(c)
	}
}

// flight is the open exchange of that number, made when it is new.
func (w *writer) flight(id traffic.ExchangeID) *flight {
	f := w.flights[id]
	if f == nil {
		f = &flight{x: traffic.Exchange{ID: id}, conn: &openConn{}}
		w.flights[id] = f
	}
	return f
}

// connOf is the open connection of that number, made when it is new.
func (w *writer) connOf(id traffic.ConnID) *openConn {
	c := w.conns[id]
	if c == nil {
		c = &openConn{Conn: traffic.Conn{ID: id}}
		w.conns[id] = c
	}
	return c
}

func (b *batch) touch(f *flight) {
	if !f.touched {
		f.touched = true
		b.flights = append(b.flights, f)
	}
}

func (b *batch) touchConn(c *openConn) {
	if !c.touched {
		c.touched = true
		b.conns = append(b.conns, c)
	}
}

// breakOff ends all that is open, because the recorder closes.
func (w *writer) breakOff(b *batch) {
	for id, f := range w.flights {
		if f.x.Begun.IsZero() {
			continue // bytes that nobody has told the beginning of
		}
		x := f.x
		x.Fate, x.Ended = traffic.Broken, w.opts.Now()
		x.Request.Size, x.Reply.Size = f.stream(traffic.Request, false).next, f.stream(traffic.Reply, false).next
		x.Err = "mpproxy stopped"
		x.Findings = []traffic.Finding{{Kind: &stopped, Offset: -1, Who: "proxy"}}
		delete(w.flights, id)
		b.touch(f)
		b.over = append(b.over, over{f, &x})
	}
	for id, c := range w.conns {
		c.closed, c.Closed = true, w.opts.Now()
		delete(w.conns, id)
		b.touchConn(c)
	}
}

// store writes the batch in one transaction.
func (w *writer) store(b *batch) (err error) {
	if _, err := w.conn.ExecContext(context.Background(), "BEGIN IMMEDIATE"); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer func() {
		if err != nil {
			_, _ = w.conn.ExecContext(context.Background(), "ROLLBACK") // it may be rolled back already
			w.caches = newCaches()
		}
	}()
	highest := w.highest
	if err := w.storeAll(b); err != nil {
		w.highest = highest
		return err
	}
	if _, err := w.conn.ExecContext(context.Background(), "COMMIT"); err != nil {
		w.highest = highest
		return fmt.Errorf("commit: %w", err)
	}
	w.committed(b)
	return nil
}

func (w *writer) storeAll(b *batch) error {
	for _, h := range b.handshakes {
		if err := w.storeHandshake(h); err != nil {
			return fmt.Errorf("handshake of connection %d: %w", h.Conn, err)
		}
	}
	for _, f := range b.flights {
		if err := w.storePieces(f); err != nil {
			return fmt.Errorf("bytes of exchange %d: %w", f.x.ID, err)
		}
	}
	for _, o := range b.over {
		if err := w.storeOver(o); err != nil {
			return fmt.Errorf("exchange %d: %w", o.x.ID, err)
		}
	}
	for _, f := range b.flights {
		if w.flights[f.x.ID] != f || !f.unsaid {
			continue
		}
		if err := w.storeOpen(f); err != nil {
			return fmt.Errorf("exchange %d: %w", f.x.ID, err)
		}
	}
	for _, d := range b.again {
		if err := w.storeAgain(d); err != nil {
			return fmt.Errorf("exchange %d, second pass: %w", d.id, err)
		}
	}
	for _, c := range b.conns {
		if err := w.storeConn(c); err != nil {
			return fmt.Errorf("connection %d: %w", c.ID, err)
		}
	}
	return errors.Join(w.storeAgents(), w.storeMinutes(), w.storeLoss(), w.cutChanges())
}

// committed marks what the file now has.
func (w *writer) committed(b *batch) {
	for _, f := range b.flights {
		f.touched, f.stored, f.unsaid = false, true, false
		f.written()
	}
	for _, c := range b.conns {
		c.touched = false
	}
	w.unsaid = loss{}
	w.trimCaches()
}

// lose counts a batch that could not be written. Exchanges that go on have a
// hole; they say so at their end.
func (w *writer) lose(b *batch, err error) {
	for _, f := range b.flights {
		f.touched, f.holed = false, true
		f.written()
	}
	for _, c := range b.conns {
		c.touched = false
	}
	w.unsaid.events += b.events
	w.unsaid.bytes += b.bytes
	w.unsaid.cause = err.Error()
	w.opts.Log.Error("could not record", "events", b.events, "bytes", b.bytes, "err", err)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.st.LostEvents += b.events
	w.st.LostBytes += b.bytes
	if w.st.Err == nil {
		w.st.Err = err
	}
}

func (w *writer) storeLoss() error {
	if w.unsaid == (loss{}) {
		return nil
	}
	return w.exec(`INSERT INTO loss (at_us, events, bytes, cause) VALUES (?, ?, ?, ?)`,
		w.opts.Now().UnixMicro(), w.unsaid.events, w.unsaid.bytes, plain(w.unsaid.cause))
}

// exec runs a statement, which is prepared once.
func (w *writer) exec(query string, args ...any) error {
	_, err := w.result(query, args...)
	return err
}

func (w *writer) result(query string, args ...any) (sql.Result, error) {
	stmt, err := w.stmt(query)
	if err != nil {
		return nil, err
	}
	w.rows++
	return stmt.ExecContext(context.Background(), args...)
}

// row reads one row with a statement that is prepared once.
func (w *writer) row(query string, args []any, dest ...any) error {
	stmt, err := w.stmt(query)
	if err != nil {
		return err
	}
	return stmt.QueryRowContext(context.Background(), args...).Scan(dest...)
}

func (w *writer) stmt(query string) (*sql.Stmt, error) {
	if stmt := w.stmts[query]; stmt != nil {
		return stmt, nil
	}
	stmt, err := w.conn.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, fmt.Errorf("prepare %q: %w", query, err)
	}
	w.stmts[query] = stmt
	return stmt, nil
}

// change notes for followers that a row they may know is different now.
func (w *writer) change(id traffic.ExchangeID) error {
	w.changes++
	return w.exec(`INSERT INTO change (exchange) VALUES (?)`, id)
}

// keptChanges is how many rows of change stay at least: whoever looks twenty
// times a second misses none.
const keptChanges = 50_000

func (w *writer) cutChanges() error {
	if w.changes < keptChanges {
		return nil
	}
	w.changes = 0
	return w.exec(`DELETE FROM change WHERE seq <= (SELECT max(seq) FROM change) - ?`, keptChanges)
}

func (w *writer) nextIDs() (c traffic.ConnID, x traffic.ExchangeID, err error) {
	err = w.row(`SELECT (SELECT ifnull(max(id), 0) FROM conn),
		max((SELECT ifnull(max(id), 0) FROM list), (SELECT ifnull(max(exchange), 0) FROM chunk))`, nil, &c, &x)
	w.highest = x
	return c + 1, x + 1, err
}

func (w *writer) stats() Stats {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.st
}

func (w *writer) firstErr() error {
	s := w.stats()
	if s.Err == nil {
		return nil
	}
	return fmt.Errorf("%d events were not recorded: %w", s.LostEvents, s.Err)
}

func (w *writer) close() error {
	var errs []error
	for _, stmt := range w.stmts {
		errs = append(errs, stmt.Close())
	}
	return errors.Join(append(errs, w.conn.Close())...)
}
