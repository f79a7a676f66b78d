package tui

import (
	"strings"

	"mpproxy/internal/view"
	"mpproxy/traffic"
)

// rung is a step of a ladder, and the line that it stands on.
type rung struct {
	side traffic.Side
	step view.Step
	line int
}

// toStep goes from a line of a diagnosis to the step of the ladder that it is
// about.
func (c *connection) toStep() {
	t := c.body
	if t == nil || !c.judged || len(c.findings) == 0 {
		c.app.say("no fault was found on this connection")
		return
	}
	if c.raw {
		c.toggleRaw()
		c.make(c.w)
	}
	at := t.line()
	k := -1
	for i := 0; i <= at && i < len(t.lines); i++ {
		if isTitle(t.lines[i]) {
			k++
		}
	}
	if k < 0 {
		c.app.say("from a line of a diagnosis this key goes to its step")
		return
	}
	x := &c.findings[min(k, len(c.findings)-1)]
	to := c.stepFor(x.Leg, t.lines[at].full())
	if to == nil {
		c.app.say("no step of the ladder shows this")
		return
	}
	c.goToRung(*to)
}

// isTitle is true for the first line of a diagnosis.
func isTitle(l line) bool {
	return len(l.pieces) > 0 && l.pieces[0].role == roleTitle && l.pieces[0].text == ""
}

// goToRung shows the leg of a step, with the cursor on it.
func (c *connection) goToRung(to rung) {
	if !c.wide && to.side != c.side {
		c.side = to.side
	}
	c.make(c.w)
	for _, r := range c.rungs {
		if r.side == to.side && r.step == to.step {
			c.body.lay(c.w, c.h)
			c.body.goToLine(r.line)
			c.body.settle()
			return
		}
	}
}

// stepFor is the step that words are about: the one whose name they mention
// first, else the first that went wrong, on the side of the diagnosis if it has
// one.
func (c *connection) stepFor(side traffic.Side, words string) *rung {
	words = strings.ToLower(words)
	var best, worst *rung
	first := len(words)
	for _, s := range []traffic.Side{traffic.AgentSide, traffic.UpstreamSide} {
		if (side == traffic.AgentSide || side == traffic.UpstreamSide) && s != side {
			continue
		}
		for _, step := range c.data.Leg(s, c.app.cfg.Format) {
			r := &rung{side: s, step: step}
			if at := strings.Index(words, strings.ToLower(step.Name)); at >= 0 && len(step.Name) > 2 && at < first {
				best, first = r, at
			}
			if worst == nil && step.Sev > traffic.None {
				worst = r
			}
		}
	}
	if best != nil {
		return best
	}
	return worst
}
