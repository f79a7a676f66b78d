// Package tui shows a capture live and takes the user's decisions.
//
// A capture.Store goes in; the terminal is what comes out, and marks and notes
// in the store. Every screen is a window on the store: what it holds does not
// grow with the capture. Text from the wire is cleaned and drawn cell by cell;
// none of it reaches tview, which would read tags in it. The package writes to
// the terminal only through tcell, and deletes nothing.
package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gdamore/tcell/v2"
	"github.com/rivo/tview"

	"mpproxy/capture"
	"mpproxy/internal/diff"
	"mpproxy/internal/view"
	"mpproxy/traffic"
)

// Config is what a screen shows, and how. Only Store is needed.
type Config struct {
	// Store is the capture.
	Store *capture.Store
	// Soon tells of commits in this process; nil looks every 50 ms only.
	Soon <-chan struct{}
	// Live is the running proxy, nil for a file.
	Live *Live
	// Theme is "default", "dark", "light" or "mono"; empty is "default". A
	// terminal with few colours gets one that it can show; NO_COLOR is "mono".
	Theme  string
	Format view.Format
	// Filter is what the list shows at first.
	Filter string
	// Screen is what to draw on, not yet opened; nil is the terminal.
	Screen tcell.Screen
	// Replay sends an exchange's request to a management point and compares the
	// replies; it gives what was made fresh too. Nil sends nothing.
	Replay func(ctx context.Context, id traffic.ExchangeID, url string) (diff.Outcome, []string, error)
	// Log takes what the screen has to say about itself; nil discards.
	Log *slog.Logger
	// Now is the clock, nil is time.Now.
	Now func() time.Time

	hooks
}

// hooks let tests be the clock. The zero value is the real one.
type hooks struct {
	// after is time.After; tick comes 20 times a second.
	after func(time.Duration) <-chan time.Time
	tick  <-chan time.Time
	// patience is how long a key waits for a read, glance how long a notice.
	patience, glance time.Duration
	// watch follows the capture; nil is the store's own.
	watch func(context.Context) <-chan capture.Notice
	// settled is called after each picture and each answer.
	settled func(*app)
}

// Live is what the screen knows of a proxy that runs in this process.
type Live struct {
	// Connections is how many are open.
	Connections func() int
	// Recorder are the recorder's numbers.
	Recorder func() capture.Stats
}

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.after == nil {
		c.after = time.After
	}
	if c.patience == 0 {
		c.patience, c.glance = patience, glance
	}
	if c.settled == nil {
		c.settled = func(*app) {}
	}
	if c.watch == nil {
		c.watch = func(ctx context.Context) <-chan capture.Notice {
			return c.Store.Watch(ctx, capture.Look{Soon: c.Soon})
		}
	}
	return c
}

// Run shows the capture until the user quits or ctx ends; either is nil. Where
// there is no terminal to draw on it fails before anything was drawn. After a
// panic the terminal is given back and Run returns an error, as the proxy
// outlives its screen.
func Run(ctx context.Context, cfg Config) error {
	sc := cfg.Screen
	if sc == nil {
		var err error
		if sc, err = tcell.NewScreen(); err != nil {
			return fmt.Errorf("find out about the terminal (TERM=%s): %w", os.Getenv("TERM"), err)
		}
	}
	if err := sc.Init(); err != nil {
		return fmt.Errorf("open the terminal: %w", err)
	}
	f := newFrame(sc)
	defer f.Fini()
	// What others log would tear the picture.
	defer log.SetOutput(log.Writer())
	log.SetOutput(io.Discard)
	return newApp(cfg.withDefaults(), f).show(ctx)
}

// app is the whole screen. It belongs to the screen's goroutine, but for what
// says otherwise.
type app struct {
	*tview.Box
	cfg    Config
	tv     *tview.Application
	screen *frame
	theme  *theme
	sym    *symbols
	status status
	// stack are the screens, the visible one last. menu and prompt lie above
	// it and take all keys while they are there.
	stack  []screen
	menu   *menu
	prompt *prompt
	// said is the answer to a key, until the next one or until saidUntil.
	said      string
	saidUntil time.Time
	// interrupted is when Ctrl-C was pressed last.
	interrupted time.Time
	judge       *judge
	// filters are former ones, the newest last.
	filters       []string
	open, strokes int // jobs that are not finished; keys that came

	// These are for all goroutines. ctx is ended by the screen's alone, so
	// that it knows when nothing may be started any more.
	ctx     context.Context
	cancel  context.CancelFunc
	workers sync.WaitGroup
	answers chan *job
	steps   chan step     // capacity 1
	failed  chan error    // a panic beside the screen; capacity 1
	dead    chan struct{} // closed: the screen's loop has ended
	waiting atomic.Int64  // jobs that wait for a time
}

// screen is one of the stack.
type screen interface {
	// crumb is its part of the first line, flags what stands at its end.
	crumb() string
	flags() []string
	// scopes are where its keys are; everywhere is added.
	scopes() []scope
	// draw draws what stands between the first line and the last two.
	draw(c canvas)
	// info is the last line but one.
	info() piece
	// notice takes what is new in the store; true when it shows.
	notice(n capture.Notice) bool
}

func newApp(cfg Config, f *frame) *app {
	a := &app{
		Box: tview.NewBox(), cfg: cfg, tv: tview.NewApplication(), screen: f, sym: &unicodeSymbols,
		answers: make(chan *job), steps: make(chan step, 1), failed: make(chan error, 1), dead: make(chan struct{}),
	}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	if cfg.Format.ASCII {
		a.sym = &asciiSymbols
	}
	a.theme = fitting(cfg.Theme, a.colors())
	return a
}

// colors is how many colours to use.
func (a *app) colors() int {
	if os.Getenv("NO_COLOR") != "" {
		return 0
	}
	return a.screen.Colors()
}

// show shows until the user quits or ctx ends.
func (a *app) show(ctx context.Context) error {
	tick := a.cfg.tick
	if tick == nil {
		ticker := time.NewTicker(redrawEvery)
		defer ticker.Stop()
		tick = ticker.C
	}
	a.tv.SetScreen(a.screen)
	a.tv.EnablePaste(true)
	a.tv.SetInputCapture(a.key)
	a.tv.SetAfterDrawFunc(func(tcell.Screen) { a.cfg.settled(a) })
	a.tv.SetRoot(a, true)
	watch := a.cfg.watch(a.ctx)
	a.beside(func() { a.refresh(watch, tick) })
	ended := make(chan error, 1)
	go func() { ended <- a.end(ctx) }()
	err := a.draws()
	return errors.Join(err, <-ended)
}

// draws is the screen's own loop. However it ends, nobody can post any more.
func (a *app) draws() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = a.panicked(p)
		}
		a.cancel()
		close(a.dead)
	}()
	a.begin()
	if err := a.tv.Run(); err != nil {
		return fmt.Errorf("draw: %w", err)
	}
	return nil
}

// end ends the screen when ctx ends, when the user quits, or after a panic.
// Whoever posts to the screen is waited for before it stops, as posting to a
// stopped one never comes back.
func (a *app) end(ctx context.Context) (err error) {
	select {
	case <-ctx.Done():
	case err = <-a.failed:
	case <-a.ctx.Done():
	}
	a.post(func() bool { a.cancel(); return false })
	a.workers.Wait()
	a.tv.Stop()
	return err
}

// beside runs f in a goroutine that end waits for. A panic in it ends the
// screen, not the process.
func (a *app) beside(f func()) {
	a.workers.Go(func() {
		defer func() {
			if p := recover(); p != nil {
				select {
				case a.failed <- a.panicked(p):
				default:
				}
			}
		}()
		f()
	})
}

func (a *app) panicked(p any) error {
	a.cfg.Log.Error("the screen panicked", "panic", p, "stack", string(debug.Stack()))
	return fmt.Errorf("the screen panicked: %v", p)
}

// begin opens the first screen.
func (a *app) begin() {
	a.judge = newJudge(a)
	m := newMessages(a)
	a.stack = []screen{m}
	a.status.begin(a)
	m.begin(a.cfg.Filter)
}

// top is the visible screen.
func (a *app) top() screen { return a.stack[len(a.stack)-1] }

// scopes are those of the visible screen, the nearest first.
func (a *app) scopes() []scope { return append(a.top().scopes(), everywhere) }

// enter goes into a screen.
func (a *app) enter(s screen) { a.stack = append(a.stack, s) }

// leave goes back one step; from the first screen it quits.
func (a *app) leave() {
	if len(a.stack) == 1 {
		a.quit()
		return
	}
	if c, closes := a.top().(interface{ close() }); closes {
		c.close()
	}
	a.stack = a.stack[:len(a.stack)-1]
}

// escape goes back one step, but never out of the first screen.
func (a *app) escape() {
	if e, escapes := a.top().(interface{ escape() bool }); escapes && e.escape() {
		return
	}
	if len(a.stack) > 1 {
		a.leave()
	}
}

// redraw brings the terminal back after something else wrote to it.
func (a *app) redraw() {
	clear(a.screen.was)
	a.screen.Sync()
}

// say answers a key in the last line but one, for four seconds.
func (a *app) say(format string, args ...any) {
	a.said = view.Clean(fmt.Sprintf(format, args...), a.sym.ascii)
	a.saidUntil = a.cfg.Now().Add(4 * time.Second)
}

// key takes each key before tview does.
func (a *app) key(e *tcell.EventKey) *tcell.EventKey {
	s := strokeOf(e)
	a.strokes++
	a.said = ""
	switch {
	case s == "Ctrl-C":
		a.interrupt()
	case a.menu != nil:
		a.menu.press(a, s)
	case a.prompt != nil:
		a.prompt.press(a, e, s)
	default:
		a.press(a.scopes(), s)
	}
	return nil
}

// PasteHandler gives pasted text to a prompt, or to nobody. It never runs as
// keys.
func (a *app) PasteHandler() func(string, func(tview.Primitive)) {
	return func(text string, _ func(tview.Primitive)) {
		if a.prompt != nil {
			a.prompt.insert(text)
			a.prompt.edited(a)
		}
	}
}

// again is how soon a second Ctrl-C quits without a question.
const again = 2 * time.Second

// interrupt is Ctrl-C: it asks, and does not ask twice.
func (a *app) interrupt() {
	now := a.cfg.Now()
	if !a.interrupted.IsZero() && now.Sub(a.interrupted) < again {
		a.cancel()
		return
	}
	a.interrupted = now
	a.quit()
}

// quit ends the screen; it asks first when a proxy would end with it.
func (a *app) quit() {
	if a.cfg.Live == nil {
		a.cancel()
		return
	}
	a.menu = quitMenu(a)
}

// notice gives a notice to every screen; true when it shows.
func (a *app) notice(n capture.Notice) bool {
	changed := a.status.notice(a, n)
	for i, s := range a.stack {
		changed = s.notice(n) && i == len(a.stack)-1 || changed
	}
	return changed
}
