package tui

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"mpproxy/capture"
	"mpproxy/compare"
	"mpproxy/internal/diff"
	"mpproxy/internal/view"
	"mpproxy/traffic"
)

// difference is the screen that compares two exchanges, what was received with
// what went on, or a captured reply with the one that a replay got.
type difference struct {
	app  *app
	name string
	load lane
	// compare finds the outcome; it runs beside the screen.
	compare func(context.Context) (diff.Outcome, []string, error)
	out     *diff.Outcome // nil while it is under way
	// notes are what else is to be said, such as what a replay made fresh.
	notes []string
	// varied also shows what may differ, whole the messages in place of the
	// places.
	varied, whole bool
	body          *text
	// width is what the body was made for; stops are its lines at which
	// differences begin.
	width int
	stops []int
}

func (a *app) openDifference(name string, compare func(context.Context) (diff.Outcome, []string, error)) {
	d := &difference{app: a, name: name, compare: compare}
	d.load.app = a
	a.enter(d)
	d.load.read(func(ctx context.Context) func() {
		out, notes, err := d.compare(ctx)
		return func() {
			if err != nil {
				if !errors.Is(err, context.Canceled) {
					a.say("%v", err)
				}
				return
			}
			d.out, d.notes = &out, notes
			d.make()
		}
	})
}

// compareExchange compares the exchange that is shown or chosen: with the
// marked one, or with what went on in its place.
func (a *app) compareExchange() {
	id, has := a.exchange()
	if !has {
		return
	}
	store := a.cfg.Store
	a.openDifference(fmt.Sprintf("Difference %d", id), func(ctx context.Context) (diff.Outcome, []string, error) {
		marks, err := store.Marks(ctx)
		if err != nil {
			return diff.Outcome{}, nil, err
		}
		other := traffic.ExchangeID(0)
		for _, m := range marks {
			if m.Exchange != id && !m.Off {
				other = m.Exchange
			}
		}
		if other == 0 {
			out, err := diff.Forwarded(ctx, store, id, compare.Standard())
			if err == nil && out.Request == nil && out.Reply == nil {
				err = errors.New("it went on as it came; mark another exchange with m to compare the two")
			}
			return out, nil, err
		}
		x, err := diff.Load(ctx, store, other, false)
		if err != nil {
			return diff.Outcome{}, nil, err
		}
		y, err := diff.Load(ctx, store, id, false)
		if err != nil {
			return diff.Outcome{}, nil, err
		}
		return diff.Exchanges(x, y, compare.Standard()), nil, nil
	})
}

// canReplay says why nothing can be sent from here.
func canReplay(a *app) error {
	if a.cfg.Replay == nil {
		return errors.New("this screen cannot send; use mpproxy replay")
	}
	return nil
}

// askReplay asks for a management point to send the exchange to.
func (a *app) askReplay() {
	id, has := a.exchange()
	if !has {
		return
	}
	p := &prompt{label: fmt.Sprintf("send %d to (https://mp02.contoso.com): ", id), where: inPrompt}
	p.keep = func(url string) error {
		if url == "" {
			return errors.New("a URL is needed; Esc sends nothing")
		}
		a.closePrompt()
		a.openDifference(fmt.Sprintf("Replay %d", id), func(ctx context.Context) (diff.Outcome, []string, error) {
			return a.cfg.Replay(ctx, id, url)
		})
		return nil
	}
	a.ask(p)
}

func (d *difference) crumb() string { return d.name }

func (d *difference) flags() []string {
	if d.load.busy() {
		return []string{"under way" + d.app.sym.dots}
	}
	return nil
}

func (d *difference) scopes() []scope { return []scope{inDifference, inText, inMoving} }

func (d *difference) close()                     { d.load.stop() }
func (d *difference) notice(capture.Notice) bool { return false }
func (d *difference) seen() *text                { return d.body }
func (d *difference) move(by int)                { d.withText(func(t *text) { t.move(by) }) }
func (d *difference) first()                     { d.withText((*text).first) }
func (d *difference) last()                      { d.withText((*text).last) }

func (d *difference) page() int {
	if d.body != nil {
		return d.body.page()
	}
	return 1
}

func (d *difference) withText(f func(*text)) {
	if d.body != nil {
		f(d.body)
	}
}

// toggleVaried shows or hides what differs and may.
func (d *difference) toggleVaried() {
	d.varied = !d.varied
	d.make()
}

// toggleWhole shows the whole messages, or the places that differ.
func (d *difference) toggleWhole() {
	d.whole = !d.whole
	d.make()
}

// next goes to the next difference, or to the next hit of what is sought.
func (d *difference) next(by int) {
	d.withText(func(t *text) {
		if t.sought != "" {
			t.hit(by)
			return
		}
		i, found := slices.BinarySearch(d.stops, t.line())
		switch {
		case len(d.stops) == 0:
			return
		case by > 0 && found:
			i++
		case by < 0:
			i--
		}
		t.reveal(d.stops[(i+len(d.stops))%len(d.stops)])
	})
}

func (d *difference) info() piece {
	if d.out == nil {
		return piece{}
	}
	counting, varied := d.counts()
	if counting == 0 {
		return piece{"the meaning is the same; " + mayDiffer(varied), roleAdd}
	}
	return piece{count(counting, "difference") + "; " + mayDiffer(varied), roleError}
}

func mayDiffer(places int) string {
	if places == 1 {
		return "1 place differs and may"
	}
	return count(places, "place") + " differ and may"
}

func (d *difference) counts() (counting, varied int) {
	for _, r := range []*compare.Result{d.out.Request, d.out.Reply} {
		if r != nil {
			counting += r.Counting()
			varied += len(r.Differences) + r.More - r.Counting()
		}
	}
	return counting, varied
}

func (d *difference) draw(c canvas) {
	if d.body == nil {
		if d.load.busy() {
			c.text(2, 1, c.w-2, "comparing"+c.sym.dots, roleDim)
		}
		return
	}
	if d.width != c.w {
		d.width = c.w
		d.make()
	}
	d.body.draw(c, true)
}

// make makes the text of the outcome. The cursor stays where it can.
func (d *difference) make() {
	if d.out == nil {
		return
	}
	var lines []line
	d.stops = nil
	for _, n := range d.notes {
		lines = append(lines, line{hang: 2, pieces: []piece{{view.Clean(n, d.app.sym.ascii), roleDim}}})
	}
	for _, side := range []struct {
		name string
		r    *compare.Result
	}{{"Request", d.out.Request}, {"Reply", d.out.Reply}} {
		if side.r == nil {
			continue
		}
		lines = append(lines, line{pieces: []piece{{side.name, roleTitle}}})
		if d.whole {
			lines = d.messages(lines, side.r)
		} else {
			lines = d.result(lines, side.r)
		}
		lines = append(lines, line{})
	}
	if len(lines) == 0 {
		lines = append(lines, line{pieces: []piece{{"there is nothing to compare", roleDim}}})
	}
	d.body = newText(sealed(lines))
}

// result adds the places that differ.
func (d *difference) result(lines []line, r *compare.Result) []line {
	folded, from := 0, len(lines)
	for _, x := range r.Differences {
		if x.Vary != nil && !d.varied {
			folded++
			continue
		}
		sign, role := map[compare.How]string{compare.Added: "+", compare.Removed: "-", compare.Moved: "%"}[x.How], roleText
		if sign == "" {
			sign = "!"
		}
		why := ""
		if x.Vary != nil {
			sign, role, why = "~", roleDim, "   "+x.Vary.Why
		}
		d.stops = append(d.stops, len(lines))
		lines = append(lines, line{hang: 4, pieces: []piece{{sign + " ", role}, {view.Clean(string(x.Place), d.app.sym.ascii), roleName}, {why, roleDim}}})
		lines = append(lines, d.values(x)...)
	}
	if folded > 0 {
		lines = append(lines, line{pieces: []piece{{"~ " + mayDiffer(folded) + " (~ shows them)", roleDim}}})
	}
	if len(lines) == from {
		lines = append(lines, line{pieces: []piece{{"the same", roleDim}}})
	}
	return lines
}

// values are the two values of a place.
func (d *difference) values(x compare.Difference) (lines []line) {
	a, b := view.Clean(x.A, d.app.sym.ascii), view.Clean(x.B, d.app.sym.ascii)
	if d.beside() {
		return d.columns("  ", a, b, roleDel, roleAdd)
	}
	if x.How != compare.Added {
		lines = append(lines, line{hang: 6, pieces: []piece{{"  < " + a, roleDel}}})
	}
	if x.How != compare.Removed {
		lines = append(lines, line{hang: 6, pieces: []piece{{"  > " + b, roleAdd}}})
	}
	return lines
}

// messages adds the two messages, line by line.
func (d *difference) messages(lines []line, r *compare.Result) []line {
	f := d.app.cfg.Format
	var gone []string // lines of A that wait for those of B in their place
	flush := func() {
		for _, s := range gone {
			lines = append(lines, d.columns("- ", s, "", roleDel, roleAdd)...)
		}
		gone = nil
	}
	before := " "
	walkWhole(messageLines(r.A, f), messageLines(r.B, f), func(sign, s string, role role) {
		if sign != " " && before == " " {
			d.stops = append(d.stops, len(lines))
		}
		before = sign
		switch {
		case !d.beside():
			lines = append(lines, line{hang: 4, pieces: []piece{{sign + " " + s, role}}})
		case sign == "-":
			gone = append(gone, s)
		case sign == "+" && len(gone) > 0:
			lines = append(lines, d.columns("! ", gone[0], s, roleDel, roleAdd)...)
			gone = gone[1:]
		case sign == "+":
			lines = append(lines, d.columns("+ ", "", s, roleDel, roleAdd)...)
		default:
			flush()
			lines = append(lines, d.columns("  ", s, s, role, role)...)
		}
	})
	flush()
	return lines
}

// messageLines is a message as it is read: its head, its header, its text.
func messageLines(m compare.Message, f view.Format) []string {
	lines := view.Head(m.Head, f)
	if m.Decoded == nil {
		return lines
	}
	for _, s := range []string{m.Decoded.HeaderText.String, m.Decoded.Text.String} {
		if s != "" {
			lines = append(append(lines, ""), view.Text(clip(s), f)...)
		}
	}
	return lines
}

// besideFrom is from how many columns on the two sides stand beside each other.
const besideFrom = 100

func (d *difference) beside() bool { return d.width >= besideFrom }

// columns puts two texts beside each other, in as many rows as the longer needs.
func (d *difference) columns(sign, a, b string, left, right role) (lines []line) {
	width := (d.width - 8) / 2
	as, bs := chunks(a, width), chunks(b, width)
	for i := range max(len(as), len(bs), 1) {
		var x, y string
		if i < len(as) {
			x = as[i]
		}
		if i < len(bs) {
			y = bs[i]
		}
		lines = append(lines, line{pieces: []piece{
			{sign, roleText}, {x + strings.Repeat(" ", width-cells(x)), left}, {" " + d.app.sym.vertical + " ", roleDim}, {y, right},
		}})
		sign = "  "
	}
	return lines
}

// chunks cuts a text into pieces of at most so many cells.
func chunks(s string, width int) (all []string) {
	for len(s) > 0 {
		at := 0
		for n := 0; at < len(s); {
			r, size := utf8.DecodeRuneInString(s[at:])
			if n += cells(string(r)); n > width && at > 0 {
				break
			}
			at += size
		}
		all, s = append(all, s[:at]), s[at:]
	}
	return all
}

func differenceDo(f func(*difference)) func(*app) {
	return func(a *app) {
		if d, here := a.top().(*difference); here {
			f(d)
		}
	}
}
