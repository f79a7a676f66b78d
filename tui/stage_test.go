package tui

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gdamore/tcell/v2"
	"github.com/google/go-cmp/cmp"

	"mpproxy/capture"
	"mpproxy/internal/view"
	"mpproxy/traffic"
)

var update = flag.Bool("update", false, "write the golden files anew")

// noon is when the traffic of these tests begins.
var noon = time.Date(2026, 5, 4, 10, 41, 0, 0, time.UTC)

// tooLate is after how long a test gives up waiting.
const tooLate = 30 * time.Second

// scene makes traffic as a proxy tells it, into a capture.
type scene struct {
	t        testing.TB
	recorder *capture.Recorder
	store    *capture.Store
	conn     traffic.ConnID
	last     traffic.ExchangeID
	now      time.Time
}

func newScene(t testing.TB) *scene {
	t.Helper()
	path := filepath.Join(t.TempDir(), "site-lab.mpdb")
	r, err := capture.Create(path, capture.Options{
		SummaryOnly: true, // the second pass comes when it likes
		Now:         func() time.Time { return noon },
		After:       func(time.Duration) <-chan time.Time { c := make(chan time.Time); close(c); return c },
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := capture.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		r.Close(context.Background())
	})
	return &scene{t: t, recorder: r, store: s, now: noon}
}

func (s *scene) tick(d time.Duration) time.Time {
	s.now = s.now.Add(d)
	return s.now
}

// connect opens a connection for the exchanges that follow.
func (s *scene) connect(agent string) {
	s.conn++
	s.recorder.Take(traffic.ConnOpened{Conn: traffic.Conn{
		ID: s.conn, Listener: "http://127.0.0.1:8080", Mode: "reverse", Agent: agent, Upstream: "mp01.lab.example:80",
		Opened: s.now, AgentLeg: traffic.Leg{Address: agent}, UpstreamLeg: traffic.Leg{Address: "198.51.100.5:80"},
	}})
}

// begin tells the beginning of an exchange and its request.
func (s *scene) begin(request []byte) *traffic.Exchange {
	if s.conn == 0 {
		s.connect("192.0.2.77:51322")
	}
	s.last++
	x := &traffic.Exchange{ID: s.last, Conn: s.conn, Begun: s.tick(time.Second), Origin: "agent", Fate: traffic.InFlight}
	x.Request = wire(request)
	begun := *x
	begun.Request = traffic.Wire{Head: x.Request.Head, Framing: x.Request.Framing}
	s.recorder.Take(traffic.ExchangeBegun{Exchange: begun})
	s.chunk(x.ID, traffic.Request, false, request)
	return x
}

// end tells the reply and the end; change may change the exchange before.
func (s *scene) end(x *traffic.Exchange, reply []byte, change ...func(*traffic.Exchange)) {
	x.Fate = traffic.Passed
	if reply != nil {
		x.Replied, x.Reply = x.Begun.Add(20*time.Millisecond), wire(reply)
		s.chunk(x.ID, traffic.Reply, false, reply)
	}
	x.Ended = x.Begun.Add(31 * time.Millisecond)
	for _, f := range change {
		f(x)
	}
	s.recorder.Take(traffic.ExchangeOver{Exchange: x})
}

func (s *scene) add(request, reply []byte, change ...func(*traffic.Exchange)) *traffic.Exchange {
	x := s.begin(request)
	s.end(x, reply, change...)
	return x
}

func (s *scene) chunk(id traffic.ExchangeID, d traffic.Dir, forwarded bool, b []byte) {
	for at := 0; at < len(b); at += 256 << 10 {
		piece := b[at:min(len(b), at+256<<10)]
		s.recorder.Take(traffic.Chunk{Exchange: id, Dir: d, Forwarded: forwarded, Offset: int64(at), Data: bytes.Clone(piece)})
	}
}

// flush brings everything into the file.
func (s *scene) flush() {
	s.t.Helper()
	if err := s.recorder.Flush(context.Background()); err != nil {
		s.t.Fatal(err)
	}
}

// wire is a message as a proxy tells of it.
func wire(b []byte) traffic.Wire {
	end := bytes.Index(b, []byte("\r\n\r\n")) + 4
	w := traffic.Wire{Head: traffic.ParseHead(bytes.Clone(b[:end])), Size: int64(len(b)), Whole: true}
	if end < len(b) {
		w.Framing = traffic.ByLength
	}
	return w
}

// httpMessage is a message with its length.
func httpMessage(start, body string, fields ...string) []byte {
	return fmt.Appendf(nil, "%s\r\nContent-Length: %d\r\n\r\n%s", strings.Join(append([]string{start}, fields...), "\r\n"), len(body), body)
}

func sample(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "testdata", "samples", "wire", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var ok = httpMessage("HTTP/1.1 200 OK", "")

// get is a request that is not of ConfigMgr.
func get(target string) []byte {
	return httpMessage("GET "+target+" HTTP/1.1", "", "Host: mp01.lab.example")
}

func found(k *traffic.FindingKind, evidence string) func(*traffic.Exchange) {
	return func(x *traffic.Exchange) {
		x.Findings = append(x.Findings, traffic.Finding{Kind: k, Dir: traffic.Request, Offset: -1, Evidence: evidence})
	}
}

var (
	testError = &traffic.FindingKind{
		Code: "test-no-certificate", Ref: "X1", Severity: traffic.Error, Title: "The agent sent no client certificate",
		Why: "The management point requires one.", Remedy: "Enrol a certificate with Client Authentication.",
	}
	testWarning = &traffic.FindingKind{
		Code: "test-slow", Ref: "X2", Severity: traffic.Warning, Title: "The management point is slow",
		Remedy: "Look at its load.",
	}
	testNote = &traffic.FindingKind{Code: "test-new", Severity: traffic.Info, Title: "An agent that was not seen before"}
)

// clock is a clock that a test moves.
type clock struct {
	mu    sync.Mutex
	now   time.Time
	waits []wait
}

type wait struct {
	until time.Time
	c     chan time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) after(d time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := wait{c.now.Add(d), make(chan time.Time, 1)}
	if d <= 0 {
		w.c <- c.now
		return w.c
	}
	c.waits = append(c.waits, w)
	return w.c
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	var rest []wait
	for _, w := range c.waits {
		if w.until.After(c.now) {
			rest = append(rest, w)
			continue
		}
		w.c <- c.now
	}
	c.waits = rest
}

// sized is a simulated screen that has its size when it is opened.
type sized struct {
	tcell.SimulationScreen
	w, h int
}

func (s *sized) Init() error {
	err := s.SimulationScreen.Init()
	s.SetSize(s.w, s.h)
	return err
}

// stage is a screen under test.
type stage struct {
	t       testing.TB
	sim     tcell.SimulationScreen
	clock   *clock
	ticks   chan time.Time
	notices chan capture.Notice
	woke    chan struct{}
	app     *app // after the first picture
	draws   int  // belongs to the screen's goroutine
	sent    int
	stop    context.CancelFunc
	ended   chan error
	over    bool
}

// open shows a capture on a simulated screen.
func open(t testing.TB, s *capture.Store, w, h int, change ...func(*Config)) *stage {
	t.Helper()
	t.Setenv("NO_COLOR", "")
	st := &stage{
		t: t, sim: tcell.NewSimulationScreen("UTF-8"), clock: &clock{now: noon.Add(time.Hour)},
		ticks: make(chan time.Time), notices: make(chan capture.Notice), woke: make(chan struct{}, 1), ended: make(chan error, 1),
	}
	first := make(chan *app, 1)
	cfg := Config{
		Store: s, Screen: &sized{st.sim, w, h}, Now: st.clock.Now, Format: view.Format{Zone: time.UTC},
		hooks: hooks{
			after: st.clock.after, tick: st.ticks, patience: time.Hour, glance: time.Hour,
			watch: func(context.Context) <-chan capture.Notice { return st.notices },
			settled: func(a *app) {
				select {
				case first <- a:
				default:
				}
				select {
				case st.woke <- struct{}{}:
				default:
				}
			},
		},
	}
	for _, f := range change {
		f(&cfg)
	}
	if cfg.watch == nil {
		cfg.tick = nil
	}
	ctx, stop := context.WithCancel(context.Background())
	st.stop = stop
	go func() { st.ended <- Run(ctx, cfg) }()
	select {
	case st.app = <-first:
	case err := <-st.ended:
		t.Fatal("the screen ended at once:", err)
	case <-time.After(tooLate):
		t.Fatal("no picture")
	}
	t.Cleanup(st.close)
	st.do(func(a *app) {
		after := a.tv.GetAfterDrawFunc()
		a.tv.SetAfterDrawFunc(func(sc tcell.Screen) { st.draws++; after(sc) })
	})
	st.idle()
	return st
}

// close ends the screen and fails the test when it does not end well.
func (s *stage) close() {
	if s.over {
		return
	}
	s.stop()
	s.mustEnd()
}

// mustEnd waits for the end.
func (s *stage) mustEnd() {
	s.t.Helper()
	s.over = true
	select {
	case err := <-s.ended:
		if err != nil {
			s.t.Error("the screen ended with:", err)
		}
	case <-time.After(tooLate):
		s.t.Fatal("the screen did not end")
	}
}

// do runs f on the screen's goroutine.
func (s *stage) do(f func(a *app)) {
	s.t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.app.tv.QueueUpdate(func() { f(s.app) })
	}()
	select {
	case <-done:
	case <-time.After(tooLate):
		s.t.Fatal("the screen does not answer")
	}
}

// until waits for a condition.
func (s *stage) until(what string, holds func(a *app) bool) {
	s.t.Helper()
	late := time.After(tooLate)
	for {
		yes := false
		s.do(func(a *app) { yes = holds(a) })
		if yes {
			return
		}
		select {
		case <-s.woke:
		case <-late:
			s.t.Fatalf("waited too long for %s:\n%s", what, s.dump())
		}
	}
}

// idle waits until every key was taken and nothing is read.
func (s *stage) idle() {
	s.t.Helper()
	s.until("the screen to be idle", func(a *app) bool { return a.strokes >= s.sent && int64(a.open) == a.waiting.Load() })
}

// keyCodes are the keys of the table's notation that are no letters.
var keyCodes = func() map[stroke]tcell.Key {
	codes := map[stroke]tcell.Key{}
	for k, s := range strokes {
		if codes[s] == 0 || k > codes[s] {
			codes[s] = k
		}
	}
	return codes
}()

// press presses keys, blanks between them: "j j Enter / Ctrl-U". A word in
// quotes is typed letter by letter.
func (s *stage) press(keys string) {
	s.t.Helper()
	for _, k := range strings.Fields(keys) {
		if typed, isText := strings.CutPrefix(k, `"`); isText {
			for _, r := range strings.ReplaceAll(strings.TrimSuffix(typed, `"`), "␣", " ") {
				s.key(tcell.KeyRune, r)
			}
			continue
		}
		switch code := keyCodes[stroke(k)]; {
		case k == "Space":
			s.key(tcell.KeyRune, ' ')
		case code != 0:
			s.key(code, 0)
		default:
			s.key(tcell.KeyRune, []rune(k)[0])
		}
	}
}

// key presses one key and waits until it was taken.
func (s *stage) key(k tcell.Key, r rune) {
	s.t.Helper()
	s.sent++
	s.app.tv.QueueEvent(tcell.NewEventKey(k, r, tcell.ModNone))
	s.idle()
}

// pressOnly presses a key and waits until it was taken, whatever is read.
func (s *stage) pressOnly(k stroke) {
	s.t.Helper()
	s.sent++
	s.app.tv.QueueEvent(tcell.NewEventKey(keyCodes[k], 0, tcell.ModNone))
	s.until("the key to be taken", func(a *app) bool { return a.strokes >= s.sent })
}

// tick lets a tick come, and returns when what came with it was shown.
func (s *stage) tick() {
	s.t.Helper()
	s.send(s.ticks)
	s.sync()
	s.idle()
}

func (s *stage) send(c chan time.Time) {
	s.t.Helper()
	select {
	case c <- noon:
	case <-time.After(tooLate):
		s.t.Fatal("nobody takes the tick")
	}
}

// sync returns when the refresher has done what it was doing.
func (s *stage) sync() { s.notice(capture.Notice{}) }

func (s *stage) notice(n capture.Notice) {
	s.t.Helper()
	select {
	case s.notices <- n:
	case <-time.After(tooLate):
		s.t.Fatal("nobody takes the notice")
	}
}

// resize changes the terminal's size.
func (s *stage) resize(w, h int) {
	s.t.Helper()
	s.do(func(a *app) {
		s.sim.SetSize(w, h)
		a.tv.ForceDraw()
	})
}

// lines are the rows of the screen.
func (s *stage) lines() []string {
	s.t.Helper()
	var lines []string
	s.do(func(*app) {
		cells, w, h := s.sim.GetContents()
		for y := range h {
			var b strings.Builder
			for x := 0; x < w; x++ {
				c := cells[y*w+x]
				text := string(c.Runes)
				b.WriteString(text)
				if n := uniwidth(text); n > 1 {
					x += n - 1
				}
			}
			lines = append(lines, strings.TrimRight(b.String(), " "))
		}
	})
	return lines
}

func uniwidth(s string) int { return cells(s) }

func (s *stage) dump() string { return strings.Join(s.lines(), "\n") + "\n" }

// styles has a letter for each cell's style, and what the letters mean.
func (s *stage) styles() string {
	s.t.Helper()
	var b strings.Builder
	s.do(func(*app) {
		cells, w, h := s.sim.GetContents()
		letters := map[tcell.Style]byte{}
		var legend []string
		for y := range h {
			row := make([]byte, w)
			for x := range w {
				st := cells[y*w+x].Style
				if letters[st] == 0 {
					letters[st] = byte('a' + len(letters))
					fg, bg, attr := st.Decompose()
					legend = append(legend, fmt.Sprintf("%c %s on %s %s", letters[st], fg, bg, attrWords(attr)))
				}
				row[x] = letters[st]
			}
			b.Write(row)
			b.WriteByte('\n')
		}
		b.WriteString(strings.Join(legend, "\n") + "\n")
	})
	return b.String()
}

func attrWords(a tcell.AttrMask) string {
	var words []string
	for _, x := range []struct {
		mask tcell.AttrMask
		word string
	}{{tcell.AttrBold, "bold"}, {tcell.AttrReverse, "reverse"}, {tcell.AttrDim, "dim"}, {tcell.AttrUnderline, "underline"}} {
		if a&x.mask != 0 {
			words = append(words, x.word)
		}
	}
	return strings.Join(words, " ")
}

// golden compares the screen with a file.
func (s *stage) golden(name string) {
	s.t.Helper()
	golden(s.t, name, s.dump())
}

func golden(t testing.TB, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err, "(-update writes it)")
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s is another picture (-want +got; -update takes it):\n%s", name, diff)
	}
}

// mustHave fails the test unless the screen has a text.
func (s *stage) mustHave(text string) {
	s.t.Helper()
	if d := s.dump(); !strings.Contains(d, text) {
		s.t.Errorf("the screen has no %q:\n%s", text, d)
	}
}

func (s *stage) mustNotHave(text string) {
	s.t.Helper()
	if d := s.dump(); strings.Contains(d, text) {
		s.t.Errorf("the screen has %q:\n%s", text, d)
	}
}

// redirectLog lets package log write to w until the result is called.
func redirectLog(w io.Writer) func() {
	was, flags := log.Writer(), log.Flags()
	log.SetOutput(w)
	log.SetFlags(0)
	return func() {
		log.SetOutput(was)
		log.SetFlags(flags)
	}
}

func logSomething() { log.Print("something") }
