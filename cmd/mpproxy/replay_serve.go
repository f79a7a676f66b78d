package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"mpproxy/capture"
	"mpproxy/filter"
	"mpproxy/internal/pki"
	"mpproxy/internal/view"
	"mpproxy/proxy"
	"mpproxy/replay"
)

// serveFlags are those of "mpproxy replay --serve".
type serveFlags struct {
	Serve  string `help:"Play the management point: answer agents at [http://|https://]ADDRESS:PORT." placeholder:"ADDR"`
	Strict bool   `help:"With --serve: end with 5 when a request came that no captured exchange answers."`
	Native bool   `help:"With --serve: demand a client certificate, 403 without."`
	Cert   string `type:"path" help:"With --serve: the certificate to show (PEM or PFX) in place of minted ones."`
	Key    string `type:"path" help:"With --serve: key of --cert, when it is not in the same file."`
	Write  string `short:"w" type:"path" help:"With --serve: record the live traffic." placeholder:"FILE.mpdb"`
}

// serve answers agents out of a capture. A proxy stands in front of the part
// that answers, so that TLS, recording and the printed lines are those of run.
func (c *replayCommand) serve(ctx context.Context, e *env, store *capture.Store, f *filter.Filter) error {
	var missed misses
	server, err := replay.NewServer(ctx, store, f, replay.ServerOptions{Native: c.Native, Unknown: missed.note})
	if err != nil {
		return err
	}
	if server.Empty() {
		return usage(errors.New("the capture answers nothing: there is nothing to replay"), "mpproxy ls FILE [FILTER] lists what it has.")
	}
	inner, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("open a port for the replay: %w", err)
	}
	cfg, inside, err := c.front(e, inner)
	if err != nil {
		return errors.Join(usage(err, ""), inner.Close())
	}
	log, done, err := e.ownLog()
	if err != nil {
		return errors.Join(err, inner.Close())
	}
	defer done()
	s := &session{face: &face{Plain: true, Width: 120, output: output{JSON: c.JSON, ASCII: c.ASCII}}, env: e, log: log}
	if err := s.open(c.Write, capture.Options{}, cfg); err != nil {
		return errors.Join(err, inner.Close())
	}
	fmt.Fprintf(e.stderr, "listening on %s as the management point of %s, with the parts of %d agents\n", s.server.Addrs()[0], c.File, server.Agents())
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	served := make(chan error, 1)
	go func() { served <- server.Serve(serving, inside) }()
	err = s.run(ctx)
	stop()
	err = errors.Join(err, <-served)
	missed.say(e, c.ASCII)
	if err == nil && c.Strict && missed.count() > 0 {
		return &exit{code: exitDiffers, err: fmt.Errorf("%d requests were not in the capture", missed.count())}
	}
	return err
}

// front is the proxy before the part that answers at a socket, and the socket as
// the part is to use it: with TLS where it has to see who has a certificate.
func (c *replayCommand) front(e *env, inner net.Listener) (cfg proxy.Config, inside net.Listener, err error) {
	host, port, _ := net.SplitHostPort(inner.Addr().String())
	l := proxy.Listener{Upstream: proxy.Target{Host: host, Port: port, TLS: c.Native}}
	if l.Scheme, l.Address, err = proxy.ParseListen(c.Serve); err != nil {
		return cfg, inner, err
	}
	if c.Cert != "" {
		if l.Certificate, err = pki.LoadKeyPair(c.Cert, c.Key); err != nil {
			return cfg, inner, err
		}
	} else if l.Scheme != proxy.HTTP {
		ca, err := openCA(e, "", "")
		if err != nil {
			return cfg, inner, err
		}
		cfg.Mint = ca.Minter(nil)
	}
	cfg.Listeners = []proxy.Listener{l}
	if !c.Native {
		return cfg, inner, nil
	}
	ca, err := pki.NewCA("mpproxy replay", time.Now())
	if err != nil {
		return cfg, inner, err
	}
	leaf, err := ca.Minter(nil).Leaf([]string{host}, true)
	if err != nil {
		return cfg, inner, err
	}
	cfg.Upstream = proxy.UpstreamTLS{Roots: ca.Pool(), Certificate: leaf, OnlyForAgents: true}
	return cfg, tls.NewListener(inner, &tls.Config{
		Certificates: []tls.Certificate{*leaf}, ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12,
	}), nil
}

// misses are requests that were not answered.
type misses struct {
	mu    sync.Mutex
	n     int
	first []replay.Unknown
}

// maxMisses is how many of them are named.
const maxMisses = 20

func (m *misses) note(u replay.Unknown) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.n++
	if len(m.first) < maxMisses {
		m.first = append(m.first, u)
	}
}

func (m *misses) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.n
}

func (m *misses) say(e *env, ascii bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, u := range m.first {
		words := fmt.Sprintf("not in the capture: %s asks %s %s (%s)", u.Agent, u.Method, u.Target, view.KindName(u.Kind))
		if u.Nearest != "" {
			words += "; nearest: " + u.Nearest
		}
		fmt.Fprintln(e.stderr, view.Clean(words, ascii))
	}
	if more := m.n - len(m.first); more > 0 {
		fmt.Fprintf(e.stderr, "and %d more\n", more)
	}
}
