package tui

import (
	"slices"
	"strings"

	"mpproxy/capture"
	"mpproxy/filter"
	"mpproxy/internal/view"
	"mpproxy/traffic"
)

// help is the screen that explains the one below it.
type help struct {
	app  *app
	body *text
}

// openHelp explains the visible screen.
func (a *app) openHelp() {
	if _, here := a.top().(*help); here {
		return
	}
	a.enter(&help{a, newText(a.helpLines())})
}

func (h *help) crumb() string              { return "Help" }
func (h *help) flags() []string            { return nil }
func (h *help) scopes() []scope            { return []scope{inText, inMoving} }
func (h *help) draw(c canvas)              { h.body.draw(c, true) }
func (h *help) info() piece                { return piece{"/ finds, q goes back", roleDim} }
func (h *help) notice(capture.Notice) bool { return false }
func (h *help) seen() *text                { return h.body }
func (h *help) move(by int)                { h.body.move(by) }
func (h *help) page() int                  { return h.body.page() }
func (h *help) first()                     { h.body.first() }
func (h *help) last()                      { h.body.last() }

// helpLines are the keys of the visible screen, those that work everywhere,
// the letters of the list, and the fields of filters.
func (a *app) helpLines() (lines []line) {
	add := func(ps ...piece) { lines = append(lines, line{pieces: ps, hang: 22}) }
	title := func(s string) {
		if len(lines) > 0 {
			add()
		}
		add(piece{s, roleTitle})
	}
	pair := func(left, right string, r role) {
		add(piece{"  ", roleText}, piece{view.Fit(left, 18, false, a.sym.ascii) + "  ", r}, piece{right, roleText})
	}
	scopes := a.scopes()
	if slices.Contains(scopes, inMessages) {
		scopes = append(scopes, inFilter)
	}
	for _, s := range scopes {
		title("Keys " + string(s))
		for _, k := range keysOf([]scope{s}) {
			var press []string
			for _, p := range k.press {
				press = append(press, a.sym.shown(p))
			}
			pair(strings.Join(press, " "), k.help, roleFooterKey)
		}
	}
	title("Severity, the first letter")
	for _, s := range []traffic.Severity{traffic.Error, traffic.Warning, traffic.Info} {
		pair(s.Letter(), s.String()+severityWords[s], severity(s))
	}
	title("Fate, the second letter")
	for _, f := range fates {
		pair(view.Fate(f.row), f.words, roleFooterKey)
	}
	title("Filter: conditions with blanks between; OR, NOT, ( ); -field:value leaves out")
	for _, f := range filter.Fields() {
		pair(f.Name+":", f.Help, roleName)
	}
	for _, f := range filter.Fields() {
		for _, w := range f.Words {
			pair(f.Name+":"+w.Name, w.Help, roleName)
		}
	}
	title("Commands behind :")
	for _, c := range commands() {
		pair(strings.TrimSpace(c.name+" "+c.args), c.help, roleFooterKey)
	}
	return sealed(lines)
}

var severityWords = map[traffic.Severity]string{
	traffic.Error: ": this does not work", traffic.Warning: ": this may become a fault", traffic.Info: ": worth knowing",
}

// fates are the letters of the second column.
var fates = []struct {
	row   capture.Row
	words string
}{
	{capture.Row{Fate: traffic.InFlight}, "under way: no reply yet"},
	{capture.Row{Fate: traffic.Modified}, "changed by a rule"},
	{capture.Row{Fate: traffic.Answered}, "answered by mpproxy itself"},
	{capture.Row{Fate: traffic.Dropped}, "dropped by a rule, or broken off"},
	{capture.Row{Fate: traffic.Tunneled}, "passed as raw bytes"},
	{capture.Row{Origin: "replay"}, "sent by a replay"},
	{capture.Row{Fate: traffic.Passed, Marked: true}, "marked by hand"},
}
