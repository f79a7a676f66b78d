package view

import (
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/rivo/uniseg"

	"mpproxy/capture"
	"mpproxy/traffic"
)

// Every width has to be filled exactly, or columns jump and lines wrap.
func TestLineWidths(t *testing.T) {
	r := capture.Row{
		ID: 1203902, Agent: "PC-0419", Kind: "policy-request", Endpoint: "MP_PolicyManager", Short: "machine, full → 3 policies",
		Status: 200, Sev: traffic.Warning, Fate: traffic.Modified, ReqBytes: 3800, RespBytes: 1_600_000,
		Begun: time.Date(2026, 3, 2, 8, 15, 30, 0, time.UTC), Ended: time.Date(2026, 3, 2, 8, 15, 32, 310e6, time.UTC),
	}
	for cells := 59; cells <= 200; cells++ {
		l := Exchanges.For(cells)
		for _, line := range []string{l.Line(r, Format{Zone: time.UTC}), l.Heading(Format{})} {
			if w := uniseg.StringWidth(line); w != cells {
				t.Fatalf("at %d columns the line has %d: %q", cells, w, line)
			}
		}
		parts := []rune(strings.Repeat(" ", cells))
		for i, text := range l.Texts(r, Format{Zone: time.UTC}) {
			copy(parts[l.Starts()[i]:], []rune(text))
		}
		if got, want := string(parts), l.Line(r, Format{Zone: time.UTC}); got != want {
			t.Fatalf("at %d columns the parts make another line\ngot  %q\nwant %q", cells, got, want)
		}
	}
	want := "WM 08:15:30 PC-0419     policy request     machine, full → 3 policies 200  2.31s"
	if got := Exchanges.For(80).Line(r, Format{Zone: time.UTC}); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestLayoutOf(t *testing.T) {
	if _, err := Exchanges.Of([]string{"id", "nope"}, 80); err == nil || !strings.Contains(err.Error(), "known: sev, fate, id") {
		t.Errorf("error %v does not name the known columns", err)
	}
	l, err := Exchanges.Of([]string{"target", "method"}, 80)
	if err != nil || l.Line(capture.Row{Method: "GET", Target: "/x"}, Format{}) != "/x"+strings.Repeat(" ", 29)+"GET      " {
		t.Errorf("line %q, %v", l.Line(capture.Row{Method: "GET", Target: "/x"}, Format{}), err)
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"plain": "plain", "ä→€": "ä→€", "\x1b[31m": "␛[31m", "a\x00b\r\n": "a␀b␍␊", "\x7f": "␡", "\u009b31m": "‹U+009B›31m",
		"\u202eevil": "‹U+202E›evil", "a\u200bb": "a‹U+200B›b", "\ufeff": "‹U+FEFF›", "\xff": "‹ff›", "\ue000": "‹U+E000›",
		"e" + strings.Repeat("\u0301", 50): "e" + strings.Repeat("\u0301", maxMarks), "\u2028": "‹U+2028›",
	} {
		if got := Clean(in, false); got != want {
			t.Errorf("Clean(%q) = %q, want %q", in, got, want)
		}
	}
	if got := Clean("ä→\x1b\u202e\xff", true); got != `\u00e4->\x1b\u202e\xff` {
		t.Errorf("ASCII: %q", got)
	}
}

// FuzzClean: whatever comes, nothing that a terminal obeys comes out, and Fit
// fills its cells exactly.
func FuzzClean(f *testing.F) {
	f.Add("\x1b]8;;x\x07[red]", 7)
	f.Add("e\u0301\u0301 世界", 3)
	f.Fuzz(func(t *testing.T, s string, n int) {
		for _, ascii := range []bool{false, true} {
			c := Clean(s, ascii)
			for _, r := range c {
				if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || ascii && r > 0x7e {
					t.Fatalf("%q keeps %U", c, r)
				}
			}
			n = min(max(n, 0), 500)
			if got := uniseg.StringWidth(Fit(c, n, false, ascii)); got != n {
				t.Fatalf("Fit(%q, %d) fills %d cells", c, n, got)
			}
		}
	})
}

func TestSizeAndDuration(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1.0k", 9949: "9.9k", 9950: "10k", 999_499: "999k", 999_500: "1.0M", 48_000_000: "48M", 2_000_000_000: "2.0G"} {
		if got := Size(n); got != want {
			t.Errorf("Size(%d) = %s, want %s", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{0: "", 412 * time.Microsecond: "0.4ms", 9990 * time.Microsecond: "10ms", 999_900 * time.Microsecond: "1.00s", 31 * time.Millisecond: "31ms", 2310 * time.Millisecond: "2.31s", 12 * time.Second: "12s", 3 * time.Minute: "3m"} {
		if got := Duration(d); got != want {
			t.Errorf("Duration(%s) = %s, want %s", d, got, want)
		}
	}
}
