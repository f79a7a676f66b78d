package capture

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"mpproxy/traffic"
)

// flushEvery is how long an event waits at most before it is committed. With
// the commit itself it stays well below the 200 ms that a kill may cost.
const flushEvery = 50 * time.Millisecond

// Options are a Recorder's settings; the zero value works.
type Options struct {
	// Queue is how many events are on the way to the file at most before Take
	// waits; zero is 4096. They, and the transaction under way, are what a
	// kill costs when the recorder is behind.
	Queue int
	// QueueBytes is how many bytes of them; zero is 8 MiB.
	QueueBytes int
	// MaxSize is how large the file may get, in bytes; zero is no limit. What
	// comes afterwards is counted as lost.
	MaxSize int64
	// SummaryOnly leaves out the second pass, which decodes whole what was
	// recorded.
	SummaryOnly bool
	// Now is the clock, nil is time.Now; After waits, nil is time.After.
	Now   func() time.Time
	After func(time.Duration) <-chan time.Time
	// Log takes what the administrator should know; nil discards.
	Log *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.Queue == 0 {
		o.Queue = 4096
	}
	if o.QueueBytes == 0 {
		o.QueueBytes = 8 << 20
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.After == nil {
		o.After = time.After
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Recorder writes a capture. It is the Sink of a proxy; only one Recorder
// writes to a file at a time.
type Recorder struct {
	path  string
	opts  Options
	queue *queue
	// gatherer and writer work at once: while a batch is written the next one
	// is decoded, and the one after that comes in.
	gatherer *gatherer
	batches  chan *batch
	w        *writer
	// store reads for the second pass and for repairs.
	store     *Store
	behind    *behind
	stop      chan struct{} // closed: end after what is queued
	stopped   chan struct{} // closed by the writer
	committed chan struct{} // capacity 1

	firstConn     traffic.ConnID
	firstExchange traffic.ExchangeID
	closing       sync.Once
	closeErr      error
}

// Create opens a capture for writing: a new file with mode 0600, or an
// existing capture, to which it appends. Exchanges that a killed process left
// open in it are closed as broken off. The errors are ErrForeign for a file
// that is no capture, ErrInUse, ErrNewer, ErrDamaged, or the system's.
func Create(path string, opts Options) (*Recorder, error) {
	r, err := create(path, opts.withDefaults())
	if err != nil {
		return nil, fmt.Errorf("record to %s: %w", path, err)
	}
	return r, nil
}

func create(path string, opts Options) (*Recorder, error) {
	seen, err := existing(path)
	if err != nil {
		return nil, err
	}
	st, err := openStatements(path)
	if err != nil {
		return nil, classify(err)
	}
	r, err := open(path, opts, st, seen)
	if err != nil {
		return nil, errors.Join(classify(err), st.close())
	}
	go r.gather()
	go r.write()
	go r.behind.run()
	return r, nil
}

// existing is how many migrations a capture has seen, 0 for a file that was
// empty, or not there and is now.
func existing(path string) (int, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	switch {
	case err == nil:
		return 0, f.Close()
	case !errors.Is(err, os.ErrExist):
		return 0, err
	}
	if info, err := os.Stat(path); err != nil || info.Size() == 0 {
		return 0, err
	}
	s, err := openStore(path)
	if err != nil {
		return 0, err
	}
	return s.version, s.Close()
}

func open(path string, opts Options, st *statements, seen int) (*Recorder, error) {
	if err := prepare(st, opts, seen); err != nil {
		return nil, err
	}
	store, err := openStore(path)
	if err != nil {
		return nil, err
	}
	store.db.SetMaxOpenConns(1) // the second pass is one goroutine
	q := newQueue(weight{opts.Queue, opts.QueueBytes})
	r := &Recorder{
		path: path, opts: opts, queue: q,
		gatherer:  newGatherer(opts),
		batches:   make(chan *batch),
		w:         newWriter(st, opts, q.release),
		store:     store,
		behind:    newBehind(opts, q, store),
		stop:      make(chan struct{}),
		stopped:   make(chan struct{}),
		committed: make(chan struct{}, 1),
	}
	err = r.w.repair(store, &killed, "mpproxy was killed")
	if err == nil {
		r.firstConn, r.firstExchange, err = r.w.nextIDs()
	}
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return r, nil
}

// prepare sets the file up. Leaving WAL mode needs the file for oneself, which
// tells whether another recorder has it.
func prepare(st *statements, opts Options, seen int) error {
	pragmas := []string{"cache_size = -2048", "journal_size_limit = 67108864", "temp_store = MEMORY"}
	if seen == 0 {
		pragmas = append(pragmas, fmt.Sprintf("page_size = %d", pageSize), fmt.Sprintf("application_id = %d", applicationID))
	} else {
		pragmas = append(pragmas, "busy_timeout = 0", "journal_mode = DELETE", "busy_timeout = 10000")
	}
	for _, p := range pragmas {
		if err := st.script("PRAGMA " + p); err != nil {
			return fmt.Errorf("pragma %s: %w", p, err)
		}
	}
	if err := migrate(st, seen); err != nil {
		return err
	}
	wal := "PRAGMA journal_mode = WAL"
	if opts.MaxSize > 0 {
		wal += fmt.Sprintf("; PRAGMA max_page_count = %d", max(1, opts.MaxSize/pageSize))
	}
	return st.script(wal)
}

// Path is where the capture is.
func (r *Recorder) Path() string { return r.path }

// NextIDs are the first numbers that are free in the file, for the proxy to
// number its connections and exchanges from.
func (r *Recorder) NextIDs() (traffic.ConnID, traffic.ExchangeID) {
	return r.firstConn, r.firstExchange
}

// Take records an event. It waits while the queue is full, and may be called
// from any goroutine. It does not fail: [Recorder.Stats] counts what could not
// be written.
func (r *Recorder) Take(e traffic.Event) { r.queue.put(e, r.opts.Now()) }

// Committed has a value after a commit: whoever follows the file through a
// [Store] need not wait for the next look at it. It is for one receiver.
func (r *Recorder) Committed() <-chan struct{} { return r.committed }

// Flush returns once everything taken so far is committed.
func (r *Recorder) Flush(ctx context.Context) error {
	done := make(chan struct{})
	r.queue.push(item{done: done})
	select {
	case <-done:
		return nil
	case <-r.stopped:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("flush %s: %w", r.path, ctx.Err())
	}
}

// gather makes batches of what comes.
func (r *Recorder) gather() {
	defer close(r.batches)
	var items []item
	for stopping := false; !stopping; {
		stopping = r.wait()
		var w weight
		if items, w = r.queue.take(items); len(items) == 0 {
			continue
		}
		b := r.gatherer.gather(items)
		b.weight = w
		r.batches <- b
	}
}

// wait returns when it is time for the next batch, and whether it is the last.
func (r *Recorder) wait() (stopping bool) {
	select {
	case <-r.queue.some:
	case <-r.stop:
		return true
	}
	select {
	case <-r.opts.After(flushEvery):
	case <-r.queue.urgent:
	case <-r.stop:
	}
	return false
}

// write is the one goroutine that writes.
func (r *Recorder) write() {
	defer close(r.stopped)
	for b := range r.batches {
		if r.w.write(b) {
			r.behind.add(b.over)
		}
		for _, done := range b.done {
			close(done)
		}
		signal(r.committed)
	}
}

// Close writes what is queued, ends what is open as broken off, finishes the
// second pass as far as ctx allows, and leaves one file without a WAL beside
// it. While another process has the file open, the WAL stays; it is empty
// then. Close returns the first error that made the recorder lose something.
func (r *Recorder) Close(ctx context.Context) error {
	r.closing.Do(func() { r.closeErr = r.close(ctx) })
	return r.closeErr
}

func (r *Recorder) close(ctx context.Context) error {
	r.queue.close()
	r.queue.push(item{breakOff: true})
	flushed := r.Flush(context.WithoutCancel(ctx))
	r.behind.finish(ctx)
	close(r.stop)
	<-r.stopped
	var repaired error
	if r.w.stats().LostEvents > 0 {
		repaired = r.w.repair(r.store, &holed, "the end was not recorded")
	}
	err := errors.Join(flushed, repaired, r.store.Close(), r.settle(), r.w.close(), r.w.firstErr())
	if err != nil {
		return fmt.Errorf("close %s: %w", r.path, err)
	}
	return nil
}

// settle brings the WAL into the file and leaves WAL mode.
func (r *Recorder) settle() error {
	if err := r.w.script("PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	err := r.w.script("PRAGMA busy_timeout = 100; PRAGMA journal_mode = DELETE")
	if errors.Is(classify(err), ErrInUse) {
		return nil // a reader has it; the last one to go may remove the WAL
	}
	return err
}

// Stats are a Recorder's numbers.
type Stats struct {
	// Queued of Limit events are on their way to the file; Full is the fuller
	// of events and bytes, from 0 to 1.
	Queued, Limit int
	Full          float64
	// Held is how many bytes of traffic are in memory: those on their way, and
	// the beginnings of messages whose exchanges are not over.
	Held int64
	// Waits counts how often a connection had to wait for room.
	Waits int64
	// Commits, Rows and Bytes were written; LastCommit is how long the last
	// commit took.
	Commits, Rows, Bytes int64
	LastCommit           time.Duration
	// Exchanges is how many are over and recorded.
	Exchanges int64
	// LostEvents and LostBytes could not be written, for the reason of Err.
	LostEvents, LostBytes int64
	Err                   error
	// Behind is how many exchanges wait for the second pass, Skipped how many
	// it will not see because too many waited.
	Behind  int
	Skipped int64
}

// Stats gives the numbers of this moment.
func (r *Recorder) Stats() Stats {
	s := r.w.stats()
	q := r.queue
	q.mu.Lock()
	held, limit := q.held, q.limit
	s.Waits = q.waits
	s.LostEvents += int64(q.late.events)
	s.LostBytes += int64(q.late.bytes)
	q.mu.Unlock()
	s.Queued, s.Limit = held.events, limit.events
	s.Full = max(float64(held.events)/float64(limit.events), float64(held.bytes)/float64(limit.bytes))
	s.Held = int64(held.bytes) + r.gatherer.kept.Load()
	s.Behind, s.Skipped = r.behind.waiting()
	return s
}
