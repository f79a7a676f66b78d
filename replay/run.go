package replay

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http/httputil"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"mpproxy/capture"
	"mpproxy/compare"
	"mpproxy/decode"
	"mpproxy/internal/diff"
	"mpproxy/traffic"
)

// Options say how a plan is played.
type Options struct {
	Target Target
	// TLS is how TLS is spoken with the management point; nil is the default.
	// Certificates and the server's name are set for each agent.
	TLS *tls.Config
	// Certificate is the client certificate of an agent, Signer its signing
	// key; nil for none. The agent is its name in capitals, else its client id
	// or address.
	Certificate func(agent string) *tls.Certificate
	Signer      func(agent string) *decode.Signer
	// Speed is how many times as fast as in the capture; zero is as fast as
	// possible.
	Speed float64
	// AtOnce is how many exchanges may be under way; zero is 64.
	AtOnce int
	// Timeout bounds each exchange; zero is a minute.
	Timeout time.Duration
	Vary    compare.Table
	// Skip leaves exchanges out that were sent before, Given is what they have
	// brought.
	Skip  func(traffic.ExchangeID) bool
	Given []Given
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

func (o Options) withDefaults() Options {
	if o.AtOnce == 0 {
		o.AtOnce = 64
	}
	if o.Timeout == 0 {
		o.Timeout = time.Minute
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Skip == nil {
		o.Skip = func(traffic.ExchangeID) bool { return false }
	}
	if o.Certificate == nil {
		o.Certificate = func(string) *tls.Certificate { return nil }
	}
	if o.Signer == nil {
		o.Signer = func(string) *decode.Signer { return nil }
	}
	return o
}

// Played is what came of one exchange.
type Played struct {
	diff.Outcome
	// Changes are what was made fresh, Unsigned what was signed and went out as
	// captured.
	Changes  []Change
	Unsigned []string
	// Given is what the management point gave anew in its reply.
	Given []Given
	Took  time.Duration
	// Err is why there was no reply.
	Err error
}

// Run plays the plan. visit is called for one exchange after the other, in the
// order in which they end; its error stops the replay. A management point that
// cannot be reached at all is ErrUnreachable.
func (p *Plan) Run(ctx context.Context, opts Options, visit func(Played) error) error {
	r := &runner{plan: p, Options: opts.withDefaults(), played: make(chan Played)}
	r.slots = make(chan struct{}, r.AtOnce)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sending, end := later(ctx)
	defer end()
	r.sending = sending
	done := make(chan error, 1)
	go func() {
		done <- r.agents(ctx)
		close(r.played)
	}()
	var failed error
	for one := range r.played {
		if failed == nil {
			if failed = visit(one); failed != nil {
				cancel()
			}
		}
	}
	err := <-done
	if failed != nil {
		return failed
	}
	return err
}

// grace is how long what is under way may take to its end when a replay is
// stopped: what has been answered is not sent again by one that goes on.
const grace = 5 * time.Second

// later is a context that ends some time after another one.
func later(ctx context.Context) (context.Context, context.CancelFunc) {
	out, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-time.After(grace):
			cancel()
		case <-out.Done():
		}
	})
	return out, func() { stop(); cancel() }
}

// runner is a replay under way.
type runner struct {
	plan *Plan
	Options
	// sending ends when what is under way has to be given up.
	sending context.Context //nolint:containedctx // a second one, for the end
	slots   chan struct{}
	played  chan Played
	begun   time.Time
	first   time.Time
}

// agent is one agent of the replay.
type agent struct {
	name   string
	conns  []*conn
	order  *order
	cert   *tls.Certificate
	signer *decode.Signer

	mu     sync.Mutex
	values values
	// keys are what its registrations have made known.
	keys []decode.Key
}

// turn is a step of a connection, for the dispatcher.
type turn struct {
	conn *conn
	step step
}

func (r *runner) agents(ctx context.Context) error {
	byName := map[string]*agent{}
	var all []*agent
	for _, c := range r.plan.conns {
		a := byName[c.agent]
		if a == nil {
			a = &agent{name: c.agent, cert: r.Certificate(c.agent), signer: r.Signer(c.agent)}
			for _, g := range r.Given {
				if g.Agent == a.name {
					a.values.set(g.What, g.Old, g.New)
				}
			}
			byName[c.agent] = a
			all = append(all, a)
		}
		a.conns = append(a.conns, c)
		if len(c.steps) > 0 && (r.first.IsZero() || c.steps[0].begun.Before(r.first)) {
			r.first = c.steps[0].begun
		}
	}
	r.begun = r.Now()
	group, ctx := errgroup.WithContext(ctx)
	for _, a := range all {
		group.Go(func() error { return r.agent(ctx, a) })
	}
	return group.Wait()
}

// agent plays one agent: its steps are given to their connections in the order
// of the capture, each when it is free to begin.
func (r *runner) agent(ctx context.Context, a *agent) error {
	skip := func(s step) bool { return r.Skip(s.id) }
	a.order = newOrder(a.conns, skip)
	var turns []turn
	for _, c := range a.conns {
		for _, s := range c.steps {
			if !skip(s) {
				turns = append(turns, turn{c, s})
			}
		}
	}
	slices.SortStableFunc(turns, func(x, y turn) int {
		return cmp.Or(x.step.begun.Compare(y.step.begun), cmp.Compare(x.step.id, y.step.id))
	})
	group, ctx := errgroup.WithContext(ctx)
	queues := map[*conn]chan step{}
	left := map[*conn]int{}
	for _, t := range turns {
		left[t.conn]++
	}
	var failed error
	for _, t := range turns {
		if failed = r.free(ctx, a, t.step); failed != nil {
			break
		}
		q := queues[t.conn]
		if q == nil {
			q = make(chan step, len(t.conn.steps))
			queues[t.conn] = q
			group.Go(func() error { return r.connection(ctx, a, t.conn, q) })
		}
		q <- t.step
		if left[t.conn]--; left[t.conn] == 0 {
			close(q)
			delete(queues, t.conn)
		}
	}
	for _, q := range queues {
		close(q)
	}
	// A connection's error comes first: it is why the others were stopped.
	return cmp.Or(group.Wait(), failed)
}

// free waits until a step may begin: by the agent's order, and by the clock.
func (r *runner) free(ctx context.Context, a *agent, s step) error {
	if err := a.order.wait(ctx, s.begun); err != nil {
		return err
	}
	if r.Speed <= 0 {
		return nil
	}
	due := r.begun.Add(time.Duration(float64(s.begun.Sub(r.first)) / r.Speed))
	wait := due.Sub(r.Now())
	if wait <= 0 {
		return nil
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// connection plays the steps of one connection.
func (r *runner) connection(ctx context.Context, a *agent, c *conn, steps <-chan step) error {
	l := &link{target: r.Target, timeout: r.Timeout}
	if r.Target.TLS {
		l.tls = r.tlsFor(a)
	}
	defer l.close()
	for s := range steps {
		select {
		case r.slots <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		if ctx.Err() != nil {
			<-r.slots
			return ctx.Err()
		}
		one, err := r.step(r.sending, a, l, s)
		<-r.slots
		a.order.end(s.ended)
		if err != nil {
			return err
		}
		r.played <- one // always taken: Run reads to the end
	}
	return nil
}

func (r *runner) tlsFor(a *agent) *tls.Config {
	cfg := &tls.Config{}
	if r.TLS != nil {
		cfg = r.TLS.Clone()
	}
	cfg.ServerName = r.Target.Host
	cfg.NextProtos = []string{"http/1.1"}
	cfg.Renegotiation = tls.RenegotiateOnceAsClient
	cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if a.cert == nil {
			return &tls.Certificate{}, nil
		}
		return a.cert, nil
	}
	return cfg
}

// step plays one exchange. Its error ends the replay; what goes wrong with the
// exchange alone is in what was played.
func (r *runner) step(ctx context.Context, a *agent, l *link, s step) (Played, error) {
	store := r.plan.store
	before, err := diff.Load(ctx, store, s.id, false)
	if err != nil {
		return Played{}, err
	}
	src, err := store.Source(ctx, s.id, traffic.Request, false)
	if err != nil {
		return Played{}, fmt.Errorf("read the request of exchange %d: %w", s.id, err)
	}
	body, err := plainBody(src)
	if err != nil {
		return Played{}, fmt.Errorf("read the request of exchange %d: %w", s.id, err)
	}
	out := Played{Outcome: diff.Outcome{A: &before.Row, B: &capture.Row{}}}
	req, err := r.fresh(a, before, src, body)
	if err != nil {
		out.Err, out.B = err, nil
		return out, nil
	}
	out.Changes, out.Unsigned = req.changes, req.unsigned
	start := r.Now()
	rep, err := l.do(ctx, req)
	out.Took = r.Now().Sub(start)
	if err != nil && ctx.Err() != nil {
		return out, ctx.Err()
	}
	if errors.Is(err, ErrUnreachable) {
		return out, err
	}
	if err != nil {
		out.Err, out.B = err, nil
		return out, nil
	}
	out.B.Status, out.B.Kind, out.B.ID = rep.head.Status(), before.Row.Kind, s.id
	out.Reply, out.Given = r.judge(a, before, req, rep)
	return out, nil
}

// fresh makes a request fresh with what is known of the agent now.
func (r *runner) fresh(a *agent, before *diff.Side, src decode.Source, body []byte) (*request, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if m := before.Request.Decoded; m != nil {
		if k := m.SigningKey(); k != nil {
			a.keys = []decode.Key{*k}
		}
	}
	f := &freshener{now: r.Now, host: r.Target.hostField(), signer: a.signer, known: a.keys, values: &a.values}
	return f.make(src, body)
}

// judge compares the live reply with the captured one, and learns from it.
func (r *runner) judge(a *agent, before *diff.Side, req *request, rep *reply) (result *compare.Result, given []Given) {
	live := compare.Message{Head: rep.head, Decoded: rep.decoded(req.message), Digest: rep.digest}
	was := compare.Message{}
	if before.Reply != nil {
		was = *before.Reply
	}
	result = compare.Messages(was, live, r.Vary)
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range a.values.learn(result) {
		given = append(given, Given{a.name, p.what, p.old, p.new})
	}
	return result, given
}

// plainBody is a body without chunk framing.
func plainBody(src decode.Source) ([]byte, error) {
	var in io.Reader = io.NewSectionReader(src.Body, 0, src.Size)
	if src.Framing == traffic.Chunked {
		in = httputil.NewChunkedReader(in)
	}
	return io.ReadAll(in)
}
