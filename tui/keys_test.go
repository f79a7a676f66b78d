package tui

import (
	"slices"
	"strings"
	"testing"

	"github.com/gdamore/tcell/v2"
)

// together are the scopes that are active at the same time.
var together = map[string][]scope{
	"messages": append((&messages{}).scopes(), everywhere),
	"detail":   append((&detail{}).scopes(), everywhere),
	"help":     append((&help{}).scopes(), everywhere),
	"filter":   {inFilter},
	"prompt":   {inPrompt},
}

// A stroke has one meaning at a time, and every key says what it does.
func TestKeyTable(t *testing.T) {
	for name, scopes := range together {
		press, names := map[stroke]string{}, map[string]bool{}
		for _, k := range keysOf(scopes) {
			for _, s := range k.press {
				if other, taken := press[s]; taken {
					t.Errorf("in %s %s does %s and %s", name, s, other, k.name)
				}
				press[s] = k.name
			}
			if names[k.name] {
				t.Errorf("in %s two keys are named %s", name, k.name)
			}
			names[k.name] = true
		}
	}
	for _, k := range keys() {
		switch {
		case len(k.press) == 0 || k.name == "" || k.help == "" || k.do == nil:
			t.Errorf("key %q %v has an empty field", k.name, k.press)
		case strings.ToLower(k.name) != k.name || strings.Contains(k.name, " "):
			t.Errorf("%q is no name for a palette", k.name)
		case len(k.help) > 80:
			t.Errorf("the help of %q is too long", k.name)
		}
		if !slices.ContainsFunc(keys(), func(other key) bool { return other.on == k.on && other.footer == 1 }) &&
			k.on != everywhere && k.on != inMoving && k.on != inText && k.on != inExchange && k.on != inFindings {
			t.Errorf("scope %q has nothing in the footer", k.on)
		}
	}
}

// Every stroke of the table can be pressed: it is a letter, or a key that
// strokeOf knows.
func TestStrokesArePossible(t *testing.T) {
	for _, k := range keys() {
		for _, s := range k.press {
			r := []rune(string(s))
			e := tcell.NewEventKey(keyCodes[s], 0, tcell.ModNone)
			switch {
			case s == "Space":
				e = tcell.NewEventKey(tcell.KeyRune, ' ', tcell.ModNone)
			case keyCodes[s] == 0 && len(r) == 1:
				e = tcell.NewEventKey(tcell.KeyRune, r[0], tcell.ModNone)
			}
			if got := strokeOf(e); got != s {
				t.Errorf("%s of %s comes as %q", s, k.name, got)
			}
		}
	}
}

// Every footer has the help at its end and fits into 80 columns.
func TestFooters(t *testing.T) {
	s := newScene(t)
	mixed(s)
	st := open(t, s.store, 80, 24, func(c *Config) { c.Live = &Live{} })
	footer := func(want ...string) {
		t.Helper()
		lines := st.lines()
		last := lines[len(lines)-1]
		for _, w := range want {
			if !strings.Contains(last, w) {
				t.Errorf("the footer has no %q: %q", w, last)
			}
		}
		if cells(last) > 80 {
			t.Errorf("the footer is too wide: %q", last)
		}
	}
	footer("⏎ open", "/ filter", "F follow", "? help")
	st.press("/")
	footer("⏎ keep", "Tab complete", "Esc back")
	st.press("Esc Enter")
	footer("Tab tab", "> reply", "v view", "? help")
	st.press(">")
	footer("? help")
	st.press("?")
	footer("/ find", "? help")
}

// Menus of letters have each letter once.
func TestMenus(t *testing.T) {
	s := newScene(t)
	mixed(s)
	st := open(t, s.store, 80, 24, func(c *Config) { c.Live = &Live{} })
	for _, keys := range []string{"c", "Esc Enter c", "Esc v", "Esc Q"} {
		st.press(keys)
		st.do(func(a *app) {
			if a.menu == nil {
				t.Fatalf("%s opens no menu", keys)
			}
			seen := map[stroke]bool{"Esc": true, "q": true, "j": true, "k": true, "Enter": true}
			for _, c := range a.menu.choices {
				if seen[c.press] {
					t.Errorf("%s: %s means two things", a.menu.title, c.press)
				}
				seen[c.press] = true
				if c.name == "" || c.do == nil {
					t.Errorf("%s: %s has an empty field", a.menu.title, c.press)
				}
			}
		})
	}
}

// Every command says what it does, and none is named like a key.
func TestCommands(t *testing.T) {
	for _, c := range commands() {
		if c.name == "" || c.help == "" || c.do == nil {
			t.Errorf("command %q has an empty field", c.name)
		}
		for _, k := range keys() {
			if k.name == c.name && k.on == everywhere {
				t.Errorf("%q is a command and a key", c.name)
			}
		}
	}
}
