package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"mpproxy/capture"
	"mpproxy/filter"
	"mpproxy/proxy"
	"mpproxy/traffic"
	"mpproxy/tui"
)

// closeTime bounds how long the recorder may go on looking closer at what it
// has recorded, after the last connection.
const closeTime = 5 * time.Second

// face is how a running proxy shows itself: on the screen, or line by line.
type face struct {
	Plain  bool   `help:"Print a line for each exchange in place of the screen."`
	TUI    bool   `name:"tui" help:"Insist on the screen: fail where there is no terminal."`
	Theme  string `enum:"default,dark,light,mono" default:"default" help:"Colours of the screen: ${enum}."`
	FailOn string `enum:",info,warning,error" default:"" help:"End with 3 when there were findings of this severity or worse: ${enum}."`
	output
	Width int `default:"120" help:"How wide printed lines are."`
}

// session is a running proxy with its capture and its face.
type session struct {
	*face
	env      *env
	server   *proxy.Server
	recorder *capture.Recorder // nil records nothing
	store    *capture.Store
	log      *slog.Logger
	// works run beside the proxy; when all of them are done and quit is set,
	// the session ends.
	works []func(context.Context) error
	quit  bool
	// before makes what stands between proxy and recorder, and works beside
	// them; nil for nothing.
	before func(*capture.Recorder) (proxy.Sink, func(context.Context) error)
}

// open makes the capture and the proxy, in this order, so that no traffic is
// lost.
func (s *session) open(file string, opts capture.Options, cfg proxy.Config) (err error) {
	cfg.Log, opts.Log = s.log, s.log
	if file != "" {
		if s.recorder, err = capture.Create(file, opts); err != nil {
			return usage(fmt.Errorf("open capture: %w", err), "-w FILE.mpdb names another file.")
		}
		cfg.Sink = s.recorder
		if s.before != nil {
			sink, work := s.before(s.recorder)
			cfg.Sink, s.works = sink, append(s.works, work)
		}
		cfg.FirstConn, cfg.FirstExchange = s.recorder.NextIDs()
		if s.store, err = capture.Open(file); err != nil {
			return errors.Join(err, s.close())
		}
	}
	if s.server, err = proxy.New(cfg); err != nil {
		return errors.Join(usage(err, "Is the port taken, or below 1024? Choose another one."), s.close())
	}
	return nil
}

// close ends the capture.
func (s *session) close() error {
	var err error
	if s.store != nil {
		err = s.store.Close()
	}
	if s.recorder != nil {
		ctx, cancel := context.WithTimeout(context.Background(), closeTime)
		defer cancel()
		err = errors.Join(err, s.recorder.Close(ctx))
	}
	return err
}

// run proxies and shows until ctx ends, the user quits, or the works are done.
// A second signal ends what a drain would wait for.
func (s *session) run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	again := make(chan os.Signal, 1)
	defer signal.Stop(again)
	watch := context.AfterFunc(ctx, func() { signal.Notify(again, os.Interrupt, syscall.SIGTERM) })
	defer watch()
	served := make(chan struct{})
	go func() {
		select {
		case <-again:
			s.server.Kill()
		case <-served:
		}
	}()
	var group errgroup.Group
	group.Go(func() error {
		defer close(served)
		defer stop()
		return s.server.Serve(ctx)
	})
	group.Go(func() error { return s.work(ctx, stop) })
	showing, hide := context.WithCancel(context.Background())
	defer hide()
	shown := make(chan error, 1)
	go func() { shown <- s.show(ctx, showing, stop) }()
	err := group.Wait()
	hide()
	return errors.Join(err, <-shown, s.close())
}

func (s *session) work(ctx context.Context, stop func()) error {
	var group errgroup.Group
	for _, w := range s.works {
		group.Go(func() error { return w(ctx) })
	}
	err := group.Wait()
	if s.quit || err != nil && ctx.Err() == nil {
		stop()
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// show is the screen or the printed lines. It goes on while the proxy drains,
// until showing ends.
func (s *session) show(ctx, showing context.Context, stop func()) error {
	if s.store == nil {
		return nil
	}
	if s.screen() {
		err := s.draw(ctx)
		if err == nil {
			stop()
			return nil
		}
		if s.TUI {
			stop()
			return usage(fmt.Errorf("open the screen: %w", err), "--plain prints lines instead.")
		}
		fmt.Fprintln(s.env.stderr, "mpproxy: no screen:", err, "- going on as with --plain")
	}
	return s.print(showing)
}

// draw shows the screen. A panic of the screen is an error, logged with its
// stack: the proxy outlives its screen.
func (s *session) draw(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("the screen panicked", "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("the screen panicked: %v", p)
		}
	}()
	return tui.Run(ctx, tui.Config{
		Replay: replayOne(s.store),
		Store:  s.store, Soon: s.recorder.Committed(), Theme: s.Theme, Format: s.format(s.env), Log: s.log,
		Live: &tui.Live{Connections: s.server.Open, Recorder: s.recorder.Stats},
	})
}

// screen says whether there is a terminal to draw on.
func (s *session) screen() bool {
	if s.Plain || s.JSON {
		return false
	}
	return s.TUI || s.env.terminal() && s.env.getenv("TERM") != "dumb"
}

// terminal says whether standard output is one.
func (e *env) terminal() bool { return isTerminal(e.stdout) }

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// print writes a line for each exchange that is over, until showing ends.
func (s *session) print(showing context.Context) error {
	print, err := s.printer(s.env, s.Width)
	if err != nil {
		return err
	}
	first := traffic.ExchangeID(0)
	if last, err := s.store.Last(showing); err == nil {
		first = last
	}
	t := tailer{store: s.store, filter: &filter.Filter{}, print: print, from: first}
	err = t.follow(showing, capture.Look{Soon: s.recorder.Committed()})
	if showing.Err() == nil {
		return quietPipe(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	return quietPipe(errors.Join(s.recorder.Flush(ctx), t.catchUp(ctx)))
}

// judge is the exit code for what was found.
func (s *session) judge(file string) error {
	if s.FailOn == "" || file == "" {
		return nil
	}
	limit := map[string]traffic.Severity{"info": traffic.Info, "warning": traffic.Warning, "error": traffic.Error}[s.FailOn]
	store, err := openStore(file)
	if err != nil {
		return err
	}
	defer store.Close()
	groups, err := store.FindingGroups(context.Background(), time.Time{})
	if err != nil {
		return err
	}
	n := int64(0)
	for _, g := range groups {
		if g.Kind.Severity >= limit && !g.Silenced {
			n += g.Count
		}
	}
	if n == 0 {
		return nil
	}
	return &exit{exitFindings, fmt.Errorf("%d findings of severity %s or worse", n, s.FailOn), "mpproxy ls " + file + " sev:" + s.FailOn}
}

// ownLog is mpproxy's own log, and what closes it.
func (e *env) ownLog() (log *slog.Logger, done func(), err error) {
	path, err := e.place("state", "mpproxy.log")
	if err != nil {
		return nil, nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, nil, fmt.Errorf("open own log: %w", err)
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("open own log: %w", err)
	}
	return slog.New(slog.NewTextHandler(f, nil)), func() { _ = f.Close() }, nil // every line was written when it was said
}

// newCapture is the file for a capture that the user gave no name.
func (e *env) newCapture(now time.Time, host string) (string, error) {
	path, err := e.place("state", "captures", fmt.Sprintf("%s-%s.mpdb", now.UTC().Format("2006-01-02T150405"), host))
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", fmt.Errorf("make the folder for captures: %w", err)
	}
	return path, nil
}
