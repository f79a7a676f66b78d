package tui

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gdamore/tcell/v2"

	"mpproxy/capture"
	"mpproxy/traffic"
)

func TestHelp(t *testing.T) {
	s := newScene(t)
	mixed(s)
	st := open(t, s.store, 80, 24)
	st.press("?")
	st.golden("help-messages-80x24")
	st.press("q Enter ?")
	st.golden("help-detail-80x24")
	st.press("q q")
	st.mustHave("1 Messages")
}

func TestPalette(t *testing.T) {
	s := newScene(t)
	mixed(s)
	st := open(t, s.store, 80, 24)
	st.press(":")
	st.golden("palette-80x24")
	st.press(`"goto␣4" Enter`)
	st.do(func(a *app) {
		if id := a.messages().cursor; id != 4 {
			t.Errorf("the cursor is at %d", id)
		}
	})
	st.press(`: "filter␣sev:E" Enter`)
	st.mustHave("/sev:E")
	st.press(`: "filter␣nope:" Enter`)
	st.mustHave("nope")
	st.press(`Esc : "nothing" Enter`)
	st.mustHave(`there is no command "nothing" here`)
	st.press(`Esc : "theme␣mo" Tab Enter`)
	st.do(func(a *app) {
		if a.theme.name != "mono" {
			t.Errorf("the theme is %s", a.theme.name)
		}
	})
	st.press(`: "help" Enter`)
	st.mustHave("Keys in messages")
	st.press(`q : "utc" Enter`)
	st.mustHave("times are in")
}

// A file closes at once; a running proxy is asked about, with the safe answer
// as default.
func TestQuit(t *testing.T) {
	s := newScene(t)
	mixed(s)
	open(t, s.store, 80, 24).pressAndEnd("q")
	open(t, s.store, 80, 24).pressAndEnd("Ctrl-C")
	running := func(c *Config) {
		c.Live = &Live{Connections: func() int { return 37 }, Recorder: s.recorder.Stats}
	}
	st := open(t, s.store, 80, 24, running)
	st.press("q")
	dump := strings.Replace(st.dump(), s.store.Path(), "site-lab.mpdb", 1)
	if !strings.Contains(dump, "stop mpproxy?") || !strings.Contains(dump, "37 connections are open") {
		t.Errorf("the question is\n%s", dump)
	}
	for _, stay := range []string{"n", "q Enter", "q Esc", "q q"} {
		st.press(stay)
		st.mustNotHave("stop mpproxy?")
	}
	st.press("q j Space x") // other keys answer nothing
	st.mustHave("stop mpproxy?")
	st.pressAndEnd("y")
	st = open(t, s.store, 80, 24, running)
	st.press("Ctrl-C")
	st.mustHave("stop mpproxy?")
	st.press("n")
	st.clock.advance(3 * time.Second)
	st.press("Ctrl-C")
	st.mustHave("stop mpproxy?")
	st.clock.advance(time.Second)
	st.pressAndEnd("Ctrl-C")
}

// pressAndEnd presses keys of which the last one ends the screen.
func (s *stage) pressAndEnd(keys string) {
	s.t.Helper()
	all := strings.Fields(keys)
	s.press(strings.Join(all[:len(all)-1], " "))
	last := stroke(all[len(all)-1])
	e := tcell.NewEventKey(keyCodes[last], 0, tcell.ModNone)
	if keyCodes[last] == 0 {
		e = tcell.NewEventKey(tcell.KeyRune, []rune(last)[0], tcell.ModNone)
	}
	s.app.tv.QueueEvent(e)
	s.mustEnd()
}

// After resizes the cursor is on the same exchange, and visible.
func TestResize(t *testing.T) {
	s := newScene(t)
	many(s, 200)
	st := open(t, s.store, 200, 50)
	st.press("PgUp PgUp k k k")
	var id traffic.ExchangeID
	st.do(func(a *app) { id = a.messages().cursor })
	for _, size := range [][2]int{{40, 10}, {80, 24}, {20, 5}, {200, 50}} {
		st.resize(size[0], size[1])
		st.do(func(a *app) {
			if got := a.messages().cursor; got != id {
				t.Errorf("at %v the cursor is at %d, not at %d", size, got, id)
			}
		})
		if size[0] >= 30 {
			st.mustHave(s.now.Add(-time.Duration(200-int(id)) * time.Second).Format("04:05"))
		}
	}
}

// Many notices between ticks are one picture, nothing new is none.
func TestDraws(t *testing.T) {
	s := newScene(t)
	many(s, 100)
	st := open(t, s.store, 80, 24, func(c *Config) { c.Live = &Live{} })
	drawn := func() (n int) {
		st.do(func(*app) { n = st.draws })
		return n
	}
	before := drawn()
	for range 20 {
		for range 500 {
			s.last++
			st.notice(capture.Notice{Last: s.last})
		}
		st.tick()
	}
	if n := drawn() - before; n > 20 || n < 2 {
		t.Errorf("10 000 notices in a second made %d pictures", n)
	}
	st.clock.advance(time.Minute)
	for range 20 {
		st.tick()
	}
	before = drawn()
	for range 100 {
		st.tick()
	}
	if n := drawn() - before; n != 0 {
		t.Errorf("5 seconds without anything new made %d pictures", n)
	}
}

// The last picture of a burst has the newest row.
func TestNewestIsShown(t *testing.T) {
	s := newScene(t)
	many(s, 10)
	st := open(t, s.store, 80, 24, func(c *Config) { c.Live = &Live{} })
	for range 5 {
		many(s, 300)
		st.notice(capture.Notice{Last: s.last})
		st.tick()
	}
	st.mustHave(fmt.Sprintf("GET /%d ", s.last))
	st.mustHave("1 510 rows")
}

// With the store's own notices, from this process, rows come by themselves.
func TestWatch(t *testing.T) {
	s := newScene(t)
	st := open(t, s.store, 80, 24, func(c *Config) {
		c.Live, c.Soon, c.watch = &Live{Recorder: s.recorder.Stats}, s.recorder.Committed(), nil
	})
	s.add(get("/at-last"), ok)
	st.until("the row", func(a *app) bool { return a.messages().row() != nil && a.messages().row().Short != "" })
	st.mustHave("GET /at-last")
}

// Nothing is left behind: no goroutine, whatever was going on.
func TestGoroutinesEnd(t *testing.T) {
	s := newScene(t)
	many(s, 50)
	before := runtime.NumGoroutine()
	for range 3 {
		st := open(t, s.store, 80, 24, func(c *Config) { c.patience = time.Nanosecond })
		st.sent++
		st.app.tv.QueueEvent(tcell.NewEventKey(tcell.KeyRune, 'g', tcell.ModNone))
		st.stop()
		st.mustEnd()
	}
	for end := time.Now().Add(tooLate); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(end) {
			buf := make([]byte, 1<<20)
			t.Fatalf("%d goroutines were there before, %d are now:\n%s", before, runtime.NumGoroutine(), buf[:runtime.Stack(buf, true)])
		}
	}
}

// A capture that can no longer be read leaves the screen as it was, and says
// so.
func TestStoreGone(t *testing.T) {
	s := newScene(t)
	many(s, 30)
	st := open(t, s.store, 80, 24)
	close(st.notices)
	st.send(st.ticks)
	st.send(st.ticks)
	st.mustHave("UNREADABLE")
	if err := s.store.Close(); err != nil {
		t.Fatal(err)
	}
	st.press("k g Enter")
	st.mustHave("closed")
}

// A panic gives the terminal back and is an error of Run, wherever it was.
func TestPanic(t *testing.T) {
	s := newScene(t)
	many(s, 3)
	st := open(t, s.store, 80, 24)
	st.do(func(a *app) { a.beside(func() { panic("beside") }) })
	st.over = true
	if err := <-st.ended; err == nil || !strings.Contains(err.Error(), "the screen panicked: beside") {
		t.Errorf("Run ended with %v", err)
	}
	st = open(t, s.store, 80, 24)
	st.over = true
	go st.app.tv.QueueUpdate(func() { panic("on it") })
	if err := <-st.ended; err == nil || !strings.Contains(err.Error(), "the screen panicked: on it") {
		t.Errorf("Run ended with %v", err)
	}
}

// A terminal that goes away ends the screen with its error.
func TestTerminalGone(t *testing.T) {
	s := newScene(t)
	many(s, 3)
	st := open(t, s.store, 80, 24)
	st.over = true
	st.app.tv.QueueEvent(tcell.NewEventError(errors.New("input/output error")))
	if err := <-st.ended; err == nil || !strings.Contains(err.Error(), "input/output error") {
		t.Errorf("Run ended with %v", err)
	}
}

// Where there is no terminal Run says so at once.
func TestNoTerminal(t *testing.T) {
	s := newScene(t)
	for _, term := range []string{"", "dumb"} {
		t.Setenv("TERM", term)
		if err := Run(t.Context(), Config{Store: s.store}); err == nil || !strings.Contains(err.Error(), "terminal") {
			t.Errorf("with TERM=%q Run gave %v", term, err)
		}
	}
	want := errors.New("no")
	if err := Run(t.Context(), Config{Store: s.store, Screen: &broken{err: want}}); !errors.Is(err, want) {
		t.Errorf("Run gave %v", err)
	}
}

type broken struct {
	tcell.Screen
	err error
}

func (b *broken) Init() error { return b.err }

// Pasted text goes into a prompt or nowhere; it never runs as keys.
func TestPaste(t *testing.T) {
	s := newScene(t)
	mixed(s)
	st := open(t, s.store, 80, 24)
	paste := func(text string) {
		st.app.tv.QueueEvent(tcell.NewEventPaste(true))
		for _, r := range text {
			st.app.tv.QueueEvent(tcell.NewEventKey(tcell.KeyRune, r, tcell.ModNone))
		}
		st.app.tv.QueueEvent(tcell.NewEventPaste(false))
		st.press("Ctrl-L")
	}
	paste("qQ!X")
	st.mustHave("1 Messages")
	st.press("/")
	paste("sev:E")
	st.mustHave("/sev:E")
}

func TestCopy(t *testing.T) {
	s := newScene(t)
	mixed(s)
	st := open(t, s.store, 80, 24)
	st.press("g c")
	st.mustHave("copy")
	st.press("i")
	st.mustHave("copied id: 1 byte")
	if got := string(st.sim.GetClipboardData()); got != "1" {
		t.Errorf("the clipboard has %q", got)
	}
	st.press("Enter Tab Tab Tab c x")
	if got := string(st.sim.GetClipboardData()); !strings.HasPrefix(got, "<ClientRegistrationRequest>\n  <Data") {
		t.Errorf("the clipboard has %.80q", got)
	}
}

// What others log does not reach the terminal while the screen is there.
func TestLogIsQuiet(t *testing.T) {
	s := newScene(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	restore := redirectLog(w)
	defer restore()
	st := open(t, s.store, 80, 24)
	logSomething()
	st.close()
	logSomething()
	w.Close()
	b := make([]byte, 100)
	n, _ := r.Read(b)
	if got := strings.Count(string(b[:n]), "something"); got != 1 {
		t.Errorf("the log got %q", b[:n])
	}
}
