package tui

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"github.com/gdamore/tcell/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/rivo/uniseg"

	"mpproxy/internal/view"
	"mpproxy/traffic"
)

// hostile are texts that want to be more than text.
var hostile = []string{
	"[red]tag[-] [::b]bold[::-] [\"r\"]region[\"\"]",
	"[:::https://evil.example/]click",
	"\x1b]8;;https://evil.example/\x07link\x1b]8;;\x07",
	"\x1b[31mred\x1b[2J\x1b]52;c;ZXZpbA==\x07",
	"\u009b31mC1 \u0085 \u2028",
	"\u202eright to left\u202c \u200b\u200d\ufeff",
	strings.Repeat("界", 60),
	"x" + strings.Repeat("界", 60),
	"e" + strings.Repeat("\u0301", 5000),
	strings.Repeat("ten thousand ", 800),
	"not UTF-8 \xff\xfe\x80 here",
	"\r\n\t\x00\x07\x08\x7f",
	"👩‍👩‍👧‍👦🇩🇪 family and flag",
}

// hostileScene has them wherever text from the wire is shown.
func hostileScene(t testing.TB) *scene {
	s := newScene(t)
	for _, h := range hostile {
		clean := strings.NewReplacer("\r", "", "\n", "", " ", "_", "\x00", "").Replace(h)
		body := "<Stuff><Item Name=\"" + h + "\">" + h + "</Item></Stuff>"
		s.add(httpMessage("GET /"+clean+" HTTP/1.1", body, "Host: "+clean, "X-Odd: "+clean),
			httpMessage("HTTP/1.1 200 "+clean, body, "Server: "+clean),
			found(testError, h), func(x *traffic.Exchange) { x.Err, x.Rules = h, []string{h} })
	}
	s.flush()
	return s
}

// Hostile text stays text: columns stand where they stood, nothing of it acts.
func TestHostileCells(t *testing.T) {
	s := hostileScene(t)
	for _, size := range [][2]int{{80, 24}, {120, 40}} {
		st := open(t, s.store, size[0], size[1])
		st.golden(fmt.Sprintf("hostile-%dx%d", size[0], size[1]))
		st.press("g")
		for range hostile {
			st.press("Enter")
			for range 8 {
				st.press("Tab")
				for _, r := range st.dump() {
					if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r) && r != '\u200d') {
						t.Fatalf("%U is on the screen:\n%s", r, st.dump())
					}
				}
			}
			st.press("q j")
		}
	}
}

// tty is a terminal that keeps what is written to it.
type tty struct {
	mu   sync.Mutex
	out  bytes.Buffer
	stop chan struct{}
	w, h int
}

func (t *tty) Start() error        { return nil }
func (t *tty) Stop() error         { return nil }
func (t *tty) Drain() error        { close(t.stop); return nil }
func (t *tty) NotifyResize(func()) {}
func (t *tty) Close() error        { return nil }
func (t *tty) WindowSize() (tcell.WindowSize, error) {
	return tcell.WindowSize{Width: t.w, Height: t.h}, nil
}

// Read gives nothing until the end.
func (t *tty) Read([]byte) (int, error) {
	<-t.stop
	return 0, nil
}

func (t *tty) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.out.Write(b)
}

// take is what was written since it was called last.
func (t *tty) take() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.out.String()
	t.out.Reset()
	return s
}

// openTTY shows a capture on a terminal of bytes.
func openTTY(t testing.TB, s *scene, w, h int) (*stage, *tty) {
	t.Helper()
	t.Setenv("TERM", "xterm-256color")
	t.Setenv("LC_ALL", "C.UTF-8")
	tt := &tty{stop: make(chan struct{}), w: w, h: h}
	sc, err := tcell.NewTerminfoScreenFromTty(tt)
	if err != nil {
		t.Fatal(err)
	}
	return open(t, s.store, w, h, func(c *Config) { c.Screen = sc }), tt
}

// escapes are the sequences that tcell writes for pictures.
var escapes = regexp.MustCompile("\x1b\\[[0-9;?<>=]*[A-Za-z]|\x1b[()][AB0]|\x1b[=>78]|\x1b\\[\\d+ q|\x1b\\]112\x07|\x1b\\]104\x07|\x0f")

// No byte of hostile text reaches the terminal as a command, on any screen.
func TestHostileBytes(t *testing.T) {
	s := hostileScene(t)
	st, tt := openTTY(t, s, 80, 24)
	st.press("g")
	for range hostile {
		st.press("Enter Tab Tab Tab Tab Tab Tab Tab v Esc : Esc c Esc q j")
	}
	st.do(func(*app) {})
	out := tt.take()
	for _, evil := range []string{"\x1b]8", "\x1b]52", "\u202e", "\u009b", "\x1b[31mred", "\x1b[2J\x1b]"} {
		if strings.Contains(out, evil) {
			t.Errorf("%q reached the terminal", evil)
		}
	}
	rest := escapes.ReplaceAllString(out, "")
	for i, r := range rest {
		// tcell steps back with \b over wide letters.
		if r < 0x20 && r != '\r' && r != '\n' && r != '\b' || r >= 0x7f && r < 0xa0 {
			t.Fatalf("%U reached the terminal outside of tcell's own sequences: %q", r, rest[i:min(len(rest), i+40)])
		}
	}
}

// A picture in which nothing changed costs next to nothing; a cursor that goes
// on by one row little.
func TestBytesOfAPicture(t *testing.T) {
	s := newScene(t)
	many(s, 100)
	st, tt := openTTY(t, s, 80, 24)
	st.do(func(*app) {})
	tt.take()
	st.do(func(a *app) { a.tv.ForceDraw() })
	if n := len(tt.take()); n > 64 {
		t.Errorf("a picture like the one before takes %d bytes", n)
	}
	st.press("k")
	st.do(func(*app) {})
	if n := len(tt.take()); n > 900 {
		t.Errorf("a step of the cursor takes %d bytes", n)
	}
}

// The frame ends up with the same cells as tcell alone, whatever is drawn.
func TestFrameIsTransparent(t *testing.T) {
	through, direct := tcell.NewSimulationScreen("UTF-8"), tcell.NewSimulationScreen("UTF-8")
	for _, s := range []tcell.SimulationScreen{through, direct} {
		if err := s.Init(); err != nil {
			t.Fatal(err)
		}
		s.SetSize(40, 10)
	}
	f := newFrame(through)
	texts := append([]string{"plain", "", "ä→€", "e\u0301", "界界界界界界界界界界界界界界界界界界界界"}, "👩‍👩‍👧‍👦 and 🇩🇪")
	for i := range 200 {
		for _, sc := range []tcell.Screen{f, direct} {
			sc.Clear()
			for y := range 10 {
				put(sc, (i*7+y)%20, y, 20, texts[(i+y*3)%len(texts)], tcell.StyleDefault.Bold(i%3 == 0))
			}
			sc.Show()
		}
		a, _, _ := through.GetContents()
		b, _, _ := direct.GetContents()
		for j := range a {
			if !cmp.Equal(a[j].Runes, b[j].Runes) || a[j].Style != b[j].Style {
				t.Fatalf("picture %d: cell %d,%d is %q, without the frame %q", i, j%40, j/40, string(a[j].Runes), string(b[j].Runes))
			}
		}
	}
	if err := f.Resume(); err != nil {
		t.Fatal(err)
	}
	f.Fini()
	f.Fini() // twice is once
	direct.Fini()
}

// FuzzPut: what is put fills its cells exactly and touches no others.
func FuzzPut(f *testing.F) {
	for _, h := range hostile {
		f.Add(h, 7)
	}
	f.Fuzz(func(t *testing.T, s string, n int) {
		n = min(max(n, 0), 30)
		sc := &recorder{w: 40}
		put(sc, 5, 0, n, view.Clean(s, false), tcell.StyleDefault)
		at := 5
		for _, p := range sc.puts {
			if p.x != at {
				t.Fatalf("%q: cell %d was left out", s, at)
			}
			at += uniseg.StringWidth(p.text)
		}
		if at != 5+n {
			t.Fatalf("%q fills %d cells, not %d", s, at-5, n)
		}
	})
}

// recorder remembers what is put.
type recorder struct {
	tcell.Screen
	w    int
	puts []struct {
		x    int
		text string
	}
}

func (r *recorder) Put(x, _ int, s string, _ tcell.Style) (string, int) {
	r.puts = append(r.puts, struct {
		x    int
		text string
	}{x, s})
	return "", 1
}

// FuzzText: whatever is shown, moved through, folded and searched, nothing
// panics, and the cursor stays inside.
func FuzzText(f *testing.F) {
	for _, h := range hostile {
		f.Add("<a><b x=\""+h+"\">"+h+"</b></a>", "jzZw/nNG", uint8(20))
	}
	f.Add("<<>\"'=</", "zzZZGgww", uint8(3))
	f.Fuzz(func(t *testing.T, s, keys string, w uint8) {
		for _, x := range []*text{xmlText(s, view.Format{}), plainText(s, view.Format{ASCII: true}), hexText([]byte(s))} {
			x.lay(int(w), 5)
			for _, k := range keys[:min(len(keys), 50)] {
				switch k {
				case 'j':
					x.move(1)
				case 'k':
					x.move(-1)
				case 'z':
					x.fold()
				case 'Z':
					x.foldAll()
				case 'w':
					x.toggleWrap()
				case '/':
					x.find("a")
				case 'n':
					x.hit(1)
				case 'N':
					x.hit(-1)
				case 'G':
					x.last()
				case 'g':
					x.first()
				case 'e':
					x.openValue()
				}
				if x.cursor < 0 || len(x.rows) > 0 && x.cursor >= len(x.rows) || x.top < 0 {
					t.Fatalf("after %c the cursor is at %d of %d rows", k, x.cursor, len(x.rows))
				}
			}
			var all strings.Builder
			for i := range x.lines {
				all.WriteString(x.lines[i].full())
				if x.lines[i].last < i || x.lines[i].last >= len(x.lines) {
					t.Fatalf("line %d of %d has a block to line %d", i, len(x.lines), x.lines[i].last)
				}
			}
			sc := &recorder{}
			x.draw(canvas{sc, 0, 0, int(w), 5, &monoTheme, &unicodeSymbols}, true)
			for _, p := range sc.puts {
				if p.x < 0 || p.x >= int(w) {
					t.Fatalf("something was drawn in column %d of %d", p.x, w)
				}
			}
		}
	})
}

func BenchmarkDraw(b *testing.B) {
	s := newScene(b)
	many(s, 200)
	st := open(b, s.store, 120, 40)
	b.ReportAllocs()
	start := time.Now()
	n := 0
	for b.Loop() {
		st.do(func(a *app) { a.tv.ForceDraw() })
		n++
	}
	b.ReportMetric(float64(time.Since(start).Microseconds())/float64(n), "µs/picture")
}
