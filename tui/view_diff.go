package tui

import (
	"context"
	"errors"
	"fmt"

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
	// varied also shows what may differ.
	varied bool
	body   *text
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

func (d *difference) info() piece {
	if d.out == nil {
		return piece{}
	}
	counting, varied := d.counts()
	if counting == 0 {
		return piece{fmt.Sprintf("the meaning is the same; %d places differ and may", varied), roleAdd}
	}
	return piece{fmt.Sprintf("%d differences; %d places differ and may", counting, varied), roleError}
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
	d.body.draw(c, true)
}

// make makes the text of the outcome.
func (d *difference) make() {
	if d.out == nil {
		return
	}
	var lines []line
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
		lines = append(lines, d.result(side.r)...)
		lines = append(lines, line{})
	}
	if len(lines) == 0 {
		lines = append(lines, line{pieces: []piece{{"there is nothing to compare", roleDim}}})
	}
	d.body = newText(sealed(lines))
}

func (d *difference) result(r *compare.Result) (lines []line) {
	folded := 0
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
		lines = append(lines, line{hang: 4, pieces: []piece{{sign + " ", role}, {view.Clean(string(x.Place), d.app.sym.ascii), roleName}, {why, roleDim}}})
		if x.How != compare.Added {
			lines = append(lines, line{hang: 6, pieces: []piece{{"  < " + view.Clean(x.A, d.app.sym.ascii), roleDel}}})
		}
		if x.How != compare.Removed {
			lines = append(lines, line{hang: 6, pieces: []piece{{"  > " + view.Clean(x.B, d.app.sym.ascii), roleAdd}}})
		}
	}
	if folded > 0 {
		lines = append(lines, line{pieces: []piece{{fmt.Sprintf("~ %d places differ and may (~ shows them)", folded), roleDim}}})
	}
	if len(lines) == 0 {
		lines = append(lines, line{pieces: []piece{{"the same", roleDim}}})
	}
	return lines
}

func differenceDo(f func(*difference)) func(*app) {
	return func(a *app) {
		if d, here := a.top().(*difference); here {
			f(d)
		}
	}
}
