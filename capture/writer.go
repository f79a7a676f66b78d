package capture

import (
	"errors"
	"fmt"
	"sync"

	"mpproxy/traffic"
)

// writer turns batches into rows, one transaction each. Its goroutine owns
// everything but what mu guards.
type writer struct {
	*statements
	opts Options
	caches
	// open is what the file knows of exchanges that are not over.
	open map[traffic.ExchangeID]state
	// owed are rows of exchanges that go on which could not be written.
	owed map[traffic.ExchangeID]listRow
	// highest is the highest exchange in the file.
	highest traffic.ExchangeID
	// changes counts the rows of change since it was last cut.
	changes int
	// unsaid is the loss that the file does not know of yet.
	unsaid loss
	// joined is room to put the parts of a chunk together.
	joined []byte
	// release tells the queue what is no longer in memory.
	release func(weight)

	mu sync.Mutex
	st Stats
}

// state is what the file has of an exchange that is not over.
type state struct {
	// stored is true once its row is there, holed when some of its bytes could
	// not be written.
	stored, holed bool
}

// loss is what could not be written.
type loss struct {
	events, bytes int64
	cause         string
}

func newWriter(s *statements, opts Options, release func(weight)) *writer {
	return &writer{
		statements: s, opts: opts, caches: newCaches(), release: release,
		open: map[traffic.ExchangeID]state{},
		owed: map[traffic.ExchangeID]listRow{},
	}
}

// write records a batch, and says whether it could.
func (w *writer) write(b *batch) bool {
	start := w.opts.Now()
	w.ran = 0
	err := w.store(b)
	w.release(b.weight)
	if err != nil {
		w.lose(b, err)
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.st.Commits++
	w.st.Rows += w.ran
	w.st.Bytes += b.bytes
	w.st.Exchanges += int64(len(b.over))
	w.st.LastCommit = w.opts.Now().Sub(start)
	return true
}

// store writes the batch in one transaction.
func (w *writer) store(b *batch) (err error) {
	if err := w.exec("BEGIN IMMEDIATE"); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	highest := w.highest
	defer func() {
		if err != nil {
			_ = w.script("ROLLBACK") // it may be rolled back already
			w.caches, w.highest = newCaches(), highest
		}
	}()
	if err := w.storeAll(b); err != nil {
		return err
	}
	if err := w.exec("COMMIT"); err != nil {
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
	for i := range b.revocations {
		if err := w.storeRevocation(&b.revocations[i]); err != nil {
			return fmt.Errorf("revocation evidence: %w", err)
		}
	}
	if err := w.storeRecords(b); err != nil {
		return err
	}
	if err := w.storeChunks(b); err != nil {
		return err
	}
	for _, r := range b.over {
		delete(w.owed, r.x.ID)
		if err := w.storeOver(r); err != nil {
			return fmt.Errorf("exchange %d: %w", r.x.ID, err)
		}
	}
	for _, r := range b.begun {
		w.owed[r.x.ID] = r
	}
	for id, r := range w.owed {
		if err := w.storeList(r); err != nil {
			return fmt.Errorf("exchange %d: %w", id, err)
		}
	}
	for _, d := range b.again {
		if err := w.storeAgain(d); err != nil {
			return fmt.Errorf("exchange %d, second pass: %w", d.id, err)
		}
	}
	for i := range b.conns {
		if err := w.storeConn(&b.conns[i]); err != nil {
			return fmt.Errorf("connection %d: %w", b.conns[i].ID, err)
		}
	}
	return errors.Join(w.storeAgents(), w.storeMinutes(), w.storeLoss(), w.cutChanges())
}

// releaseStep is how many bytes are written before the queue is told.
const releaseStep = 256 << 10

// storeChunks writes the bytes, which make up most of a batch's weight, and
// makes room in the queue as it goes: connections wait for a part of the
// transaction, not for all of it.
func (w *writer) storeChunks(b *batch) error {
	written := 0
	for i := range b.chunks {
		c := &b.chunks[i]
		if err := w.storeChunk(c); err != nil {
			return fmt.Errorf("bytes of exchange %d: %w", c.exchange, err)
		}
		c.parts = nil
		if written += c.size; written >= releaseStep || i == len(b.chunks)-1 {
			w.release(weight{0, written})
			b.weight.bytes -= written
			written = 0
		}
	}
	return nil
}

// committed notes what the file has now.
func (w *writer) committed(b *batch) {
	for id := range w.owed {
		s := w.open[id]
		s.stored = true
		w.open[id] = s
	}
	clear(w.owed)
	for _, r := range b.over {
		delete(w.open, r.x.ID)
	}
	w.unsaid = loss{}
	w.trim()
}

// lose counts a batch that could not be written. Exchanges that go on have a
// hole; they say so at their end.
func (w *writer) lose(b *batch, err error) {
	for i := range b.chunks {
		s := w.open[b.chunks[i].exchange]
		s.holed = true
		w.open[b.chunks[i].exchange] = s
	}
	for _, r := range b.over {
		delete(w.open, r.x.ID)
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

func (w *writer) nextIDs() (traffic.ConnID, traffic.ExchangeID, error) {
	var c, x int64
	err := w.row(`SELECT (SELECT ifnull(max(id), 0) FROM conn),
		max((SELECT ifnull(max(id), 0) FROM list), (SELECT ifnull(max(exchange), 0) FROM chunk))`, nil, &c, &x)
	w.highest = traffic.ExchangeID(x)
	return traffic.ConnID(c + 1), traffic.ExchangeID(x + 1), err
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
