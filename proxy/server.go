package proxy

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"mpproxy/traffic"
)

// Dial opens a connection, as net.Dialer.DialContext does.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// ruleMemory is how much all bodies together may take that rules read whole.
const ruleMemory = 256 << 20

// Server is the proxy: its listeners and the connections they accepted.
type Server struct {
	Config
	sockets []net.Listener
	door    *door
	memory  *semaphore.Weighted
	tickets [32]byte

	lastConn, lastExchange atomic.Int64
	draining               atomic.Bool
	sessions               sessions
	refusals               refusals
	// seen has the names in the certificates of management points, by target.
	seen sync.Map

	hard context.Context
	kill context.CancelFunc

	mu    sync.Mutex
	conns map[*connection]struct{}
	idle  chan struct{} // closed when draining and conns is empty
}

// New checks the configuration and opens the listeners' sockets.
func New(cfg Config) (*Server, error) {
	s := &Server{
		Config: cfg.withDefaults(), memory: semaphore.NewWeighted(ruleMemory),
		conns: map[*connection]struct{}{}, idle: make(chan struct{}),
	}
	if len(s.Listeners) == 0 {
		return nil, errors.New("start proxy: no listener is configured")
	}
	_, _ = rand.Read(s.tickets[:]) // never fails (crypto/rand)
	s.hard, s.kill = context.WithCancel(context.Background())
	s.lastConn.Store(int64(s.FirstConn) - 1)
	s.lastExchange.Store(int64(s.FirstExchange) - 1)
	for i := range s.Listeners {
		if err := s.open(&s.Listeners[i]); err != nil {
			s.closeSockets()
			return nil, err
		}
	}
	s.door = newDoor(s)
	return s, nil
}

func (s *Server) open(l *Listener) error {
	if l.Mode == "" {
		l.Mode = Reverse
	}
	if l.Mode == Reverse && l.Upstream.Host == "" {
		return fmt.Errorf("listen on %s: a reverse listener needs an upstream", l.Address)
	}
	if l.TLS == "" {
		l.TLS = Terminate
	}
	if l.Scheme != HTTP && l.TLS != Passthrough && l.Certificate == nil && s.Mint == nil {
		return fmt.Errorf("listen on %s: no certificate and no authority to make one", l.Address)
	}
	socket := l.Listening
	if socket == nil {
		var err error
		if socket, err = l.config().Listen(s.hard, "tcp", l.Address); err != nil {
			return fmt.Errorf("listen on %s: %w", l.Address, err)
		}
	}
	l.Address = socket.Addr().String() // port 0 has become one
	s.sockets = append(s.sockets, socket)
	return nil
}

// config prepares the socket for what the mode needs.
func (l *Listener) config() *net.ListenConfig {
	if l.Mode == Transparent {
		return &net.ListenConfig{Control: allowTransparent}
	}
	return &net.ListenConfig{}
}

func (s *Server) closeSockets() {
	for _, l := range s.sockets {
		_ = l.Close() // nothing was accepted that could be lost
	}
}

// Addrs are the addresses listened on, in the order of Config.Listeners.
func (s *Server) Addrs() []net.Addr {
	var as []net.Addr
	for _, l := range s.sockets {
		as = append(as, l.Addr())
	}
	return as
}

// Open is how many connections there are.
func (s *Server) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Kill ends Serve without waiting for open exchanges.
func (s *Server) Kill() { s.kill() }

// Serve accepts connections until ctx ends; then it stops accepting, closes
// idle connections, and gives the others Config.Drain to finish. When it
// returns, every connection was reported closed.
func (s *Server) Serve(ctx context.Context) error {
	defer s.kill()
	var accepting, serving errgroup.Group
	for i, socket := range s.sockets {
		accepting.Go(func() error { return s.accept(ctx, &s.Listeners[i], socket, &serving) })
	}
	serving.Go(s.door.serve)
	stop := context.AfterFunc(ctx, s.closeSockets)
	defer stop()
	err := accepting.Wait()
	s.closeSockets()
	s.drain()
	s.kill()
	s.door.close()
	_ = serving.Wait() // connections report their ends to the Sink
	return err
}

func (s *Server) accept(ctx context.Context, l *Listener, socket net.Listener, serving *errgroup.Group) error {
	for wait := 5 * time.Millisecond; ; {
		conn, err := socket.Accept()
		switch {
		case err == nil:
			wait = 5 * time.Millisecond
			serving.Go(func() error { s.handle(l, conn); return nil })
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("listen on %s: %w", l.Address, err)
		default: // out of file descriptors: some connection has to end first
			s.Log.Error("accept a connection", "listener", l.Address, "error", err)
			select {
			case <-time.After(wait):
				wait = min(2*wait, time.Second)
			case <-ctx.Done():
				return nil
			}
		}
	}
}

// drain waits until every connection is closed, or Config.Drain is over.
func (s *Server) drain() {
	s.draining.Store(true)
	s.mu.Lock()
	open := make([]*connection, 0, len(s.conns))
	for c := range s.conns {
		open = append(open, c)
	}
	if len(open) == 0 {
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	for _, c := range open {
		c.idle()
	}
	select {
	case <-s.idle:
	case <-time.After(s.Drain):
	case <-s.hard.Done():
	}
}

func (s *Server) add(c *connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[c] = struct{}{}
}

func (s *Server) remove(c *connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if len(s.conns) == 0 && s.draining.Load() {
		select {
		case <-s.idle:
		default:
			close(s.idle)
		}
	}
}

// namesOf are the names that a target's certificate was seen with.
func (s *Server) namesOf(t Target) []string {
	if names, ok := s.seen.Load(t); ok {
		return names.([]string)
	}
	return nil
}

func (s *Server) sawNames(t Target, names []string) {
	if !slices.Equal(s.namesOf(t), names) {
		s.seen.Store(t, names)
	}
}

func (s *Server) nextExchange() traffic.ExchangeID {
	return traffic.ExchangeID(s.lastExchange.Add(1))
}
