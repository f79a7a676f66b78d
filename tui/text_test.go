package tui

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mpproxy/internal/view"
)

// Lines break at blanks where they can, and never lose a letter.
func TestWrapped(t *testing.T) {
	for _, x := range []struct {
		text  string
		width int
		want  []string
	}{
		{"", 10, []string{""}},
		{"short", 10, []string{"short"}},
		{"one two three four", 10, []string{"one two ", "three four"}},
		{"one/two/three/four", 10, []string{"one/two/th", "ree/four"}},
		{"界界界界", 5, []string{"界界", "界界"}},
	} {
		if diff := cmp.Diff(x.want, wrapped(x.text, x.width)); diff != "" {
			t.Errorf("%q at %d (-want +got):\n%s", x.text, x.width, diff)
		}
	}
}

func TestDiffLines(t *testing.T) {
	a := []string{"1", "2", "3", "4", "5", "6", "7", "8", "9"}
	b := []string{"1", "2", "3", "4", "five", "6", "7", "8", "9", "10"}
	var got []string
	for _, l := range diffLines(a, b) {
		got = append(got, joinPieces(l.pieces))
	}
	want := []string{"  1 line the same", "  2", "  3", "  4", "- 5", "+ five", "  6", "  7", "  8", "  9", "+ 10"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("difference (-want +got):\n%s", diff)
	}
}

func TestEdit(t *testing.T) {
	e := newEdit("agent:PC kind:ddr")
	for _, x := range []struct {
		press stroke
		want  string
		at    int
	}{
		{"Ctrl-W", "agent:PC ", 9},
		{"Left", "agent:PC ", 8},
		{"Backspace", "agent:P ", 7},
		{"Home", "agent:P ", 0},
		{"Delete", "gent:P ", 0},
		{"End", "gent:P ", 7},
		{"Ctrl-U", "", 0},
		{"Backspace", "", 0},
		{"Right", "", 0},
	} {
		if !e.strike(x.press) {
			t.Errorf("%s does nothing", x.press)
		}
		if got := e.String(); got != x.want || e.at != x.at {
			t.Errorf("after %s it is %q at %d, want %q at %d", x.press, got, e.at, x.want, x.at)
		}
	}
	e.insert("e\u0301界\n\x1b[31m👩‍👩‍👧‍👦")
	if got := e.String(); got != "e\u0301界 [31m👩‍👩‍👧‍👦" || e.at != 8 {
		t.Errorf("inserted is %q at %d", got, e.at)
	}
}

func TestGrouped(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1 000", 1204518: "1 204 518", -1234: "-1 234"} {
		if got := grouped(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}

// Long values of hex and base64 are told by what they are; digests, GUIDs and
// words stay.
func TestInBrief(t *testing.T) {
	for s, want := range map[string]string{
		"4f4f": "",
		"7f83b1657ff1fc53b92dc18148a1d65dfc2d4b1fa3d677284addd200126d9069":                 "",
		"{8F3C1A20-77B1-4C55-9E0D-2A6D1B90C0F4}{8F3C1A20-77B1-4C55-9E0D-2A6D1B90C0F4}":     "",
		"4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f": "40 bytes of hex",
		"T0JPT0JPT0JPT0JPT0JPT0JPT0JPT0JPT0JPT0JPT0JPT0JPT0JPT0JPT0JPT0JPT0JPT0JPT0JPT0JP": "60 bytes of base64",
	} {
		if got := inBrief(s, false); got != want {
			t.Errorf("%.20s is %q, want %q", s, got, want)
		}
	}
}

// A body that is larger than what is shown ends in a line that says so, as XML
// too, and a value of its whole length is in brief.
func TestLargeXML(t *testing.T) {
	x := xmlText("<a><b>"+strings.Repeat("4f", 100_000)+"</b>"+strings.Repeat("<c/>", 50_000)+"</a>", view.Format{})
	x.lay(80, 20)
	if got := joinPieces(x.lines[1].now()); got != "  <b>4f4f4f4f… 100 000 bytes of hex</b>" {
		t.Errorf("the value is %.100q", got)
	}
	n := len(x.lines) - 1
	if got := x.lines[n].full(); !strings.HasPrefix(got, "the first 262 144 of 400 014 bytes") || x.lines[n].last != n {
		t.Errorf("the last line is %q, its block ends in %d of %d", got, x.lines[n].last, n)
	}
}
