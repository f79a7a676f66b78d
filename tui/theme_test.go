package tui

import (
	"math"
	"testing"

	"github.com/gdamore/tcell/v2"
)

// luminance is how bright a colour is, after WCAG 2.
func luminance(c tcell.Color) float64 {
	r, g, b := c.RGB()
	part := func(v int32) float64 {
		x := float64(v) / 255
		if x <= 0.04045 {
			return x / 12.92
		}
		return math.Pow((x+0.055)/1.055, 2.4)
	}
	return 0.2126*part(r) + 0.7152*part(g) + 0.0722*part(b)
}

func contrast(a, b tcell.Color) float64 {
	x, y := luminance(a), luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// In themes with a background of their own everything can be read, on the
// chosen row too.
func TestContrast(t *testing.T) {
	for _, th := range themes {
		if th.cursor == tcell.ColorDefault {
			continue
		}
		for r := range roles {
			want := 4.5
			if r == roleDim || r == roleZero {
				want = 3
			}
			fg, bg, _ := th.style(r).Decompose()
			if got := contrast(fg, bg); got < want {
				t.Errorf("theme %s, role %d: contrast %.1f, want %.1f", th.name, r, got, want)
			}
			if got := contrast(fg, th.cursor); got < want {
				t.Errorf("theme %s, role %d on the chosen row: contrast %.1f, want %.1f", th.name, r, got, want)
			}
		}
	}
}

// The themes of the terminal's own palette use nothing that is hard to read on
// light or on dark, and mono uses no colour at all.
func TestPalette16(t *testing.T) {
	for r := range roles {
		fg, bg, _ := defaultTheme.style(r).Decompose()
		for _, c := range []tcell.Color{fg, bg} {
			if c == tcell.ColorNavy || c == tcell.ColorBlue || c == tcell.ColorYellow || c.IsRGB() || c > tcell.ColorWhite {
				t.Errorf("the default theme uses %s for role %d", c, r)
			}
		}
		if fg, bg, _ = monoTheme.style(r).Decompose(); fg != tcell.ColorDefault || bg != tcell.ColorDefault {
			t.Errorf("mono has a colour for role %d", r)
		}
	}
}

func TestFitting(t *testing.T) {
	for _, x := range []struct {
		name   string
		colors int
		want   string
	}{
		{"", 256, "default"},
		{"dark", 256, "dark"},
		{"light", 1 << 24, "light"},
		{"dark", 16, "default"},
		{"dark", 0, "mono"},
		{"", 0, "mono"},
		{"mono", 256, "mono"},
		{"nonsense", 256, "default"},
	} {
		if got := fitting(x.name, x.colors); got.name != x.want {
			t.Errorf("%q on %d colours is %s, want %s", x.name, x.colors, got.name, x.want)
		}
	}
}

// The letters are there in every theme and in ASCII; colours only add.
func TestThemes(t *testing.T) {
	s := newScene(t)
	mixed(s)
	for _, th := range themes {
		st := open(t, s.store, 80, 24, func(c *Config) { c.Theme = th.name })
		st.press("g j j j")
		golden(t, "theme-"+th.name, st.dump()+"\n"+st.styles())
	}
	st := open(t, s.store, 80, 24, func(c *Config) { c.Format.ASCII = true })
	st.press("g Enter Tab Tab Tab")
	st.golden("ascii-80x24")
	for _, r := range st.dump() {
		if r > 0x7e {
			t.Errorf("in ASCII there is %q", r)
		}
	}
}

func TestNoColor(t *testing.T) {
	s := newScene(t)
	mixed(s)
	st := open(t, s.store, 80, 24, func(*Config) { t.Setenv("NO_COLOR", "1") })
	st.do(func(a *app) {
		if a.theme.name != "mono" {
			t.Errorf("with NO_COLOR the theme is %s", a.theme.name)
		}
	})
}
