package view

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"mpproxy/capture"
	"mpproxy/traffic"
)

// Connection is all that is shown of one connection.
type Connection struct {
	Conn *traffic.Conn
	// Handshakes are all of them in the order in which they were over.
	Handshakes []*traffic.Handshake
	// Rows are its first and last exchanges, Exchanges how many there are.
	Rows      []capture.Row
	Exchanges int
}

// endRows is how many exchanges of each end of a connection are shown.
const endRows = 10

// LoadConnection reads a connection.
func LoadConnection(ctx context.Context, s *capture.Store, id traffic.ConnID) (*Connection, error) {
	c := &Connection{}
	var err error
	if c.Conn, err = s.Conn(ctx, id); err != nil {
		return nil, fmt.Errorf("read connection %d: %w", id, err)
	}
	if c.Handshakes, err = s.Handshakes(ctx, id); err != nil {
		return nil, err
	}
	ids, err := s.ExchangesOf(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("read the exchanges of connection %d: %w", id, err)
	}
	c.Exchanges = len(ids)
	if len(ids) > 2*endRows {
		ids = append(ids[:endRows:endRows], ids[len(ids)-endRows:]...)
	}
	if c.Rows, err = s.Rows(ctx, ids); err != nil {
		return nil, fmt.Errorf("read the exchanges of connection %d: %w", id, err)
	}
	return c, nil
}

// Title says who spoke with whom, how long, and how it went.
func (c *Connection) Title(f Format) (who, how string) {
	arrow := " → "
	if f.ASCII {
		arrow = " -> "
	}
	who = c.Conn.Agent + arrow + "mpproxy" + arrow + cmp.Or(c.Conn.Upstream, "(nobody)")
	if a := c.Conn.UpstreamLeg.Address; a != "" && a != c.Conn.Upstream {
		who += " (" + a + ")"
	}
	took := "open"
	if !c.Conn.Closed.IsZero() {
		took = cmp.Or(Duration(c.Conn.Closed.Sub(c.Conn.Opened)), "0ms")
	}
	how = fmt.Sprintf("%s, %s, %s", took, Plural(int64(c.Exchanges), "exchange"), c.Conn.Mode)
	return Clean(who, f.ASCII), how
}

// Sealed is true when TLS was passed through unopened.
func (c *Connection) Sealed() bool {
	hs := c.Conn.AgentLeg.Handshake
	return hs != nil && hs.PassedThrough
}

// Leg is the ladder of one leg: its handshakes, its exchanges, its end.
func (c *Connection) Leg(side traffic.Side, f Format) []Step {
	var steps []Step
	leg := c.Conn.AgentLeg
	if side == traffic.UpstreamSide {
		leg = c.Conn.UpstreamLeg
		if c.Sealed() {
			return []Step{{Name: "passed through", Text: "both sides' handshake is on the agent leg"}}
		}
		if leg.Address == "" {
			return []Step{{Name: "none", Text: "no connection was made to a management point"}}
		}
		steps = append(steps, c.dialed(leg, f))
	}
	secure := false
	for _, hs := range c.Handshakes {
		if hs.Side == side {
			secure = true
			steps = append(steps, Ladder(hs, c.Conn.Opened, f)...)
			steps = append(steps, agreed(hs, c.Conn.Opened, f)...)
		}
	}
	if !secure && leg.End != traffic.EndRefused {
		steps = append(steps, Step{Name: "no TLS", Text: "plain HTTP"})
	}
	if leg.End != traffic.EndRefused {
		steps = append(steps, c.exchanges(f)...)
	}
	return append(steps, c.ended(leg, side, f)...)
}

func (c *Connection) dialed(leg traffic.Leg, f Format) Step {
	return Step{Arrow: ">", Name: "connect", Text: Clean(leg.Address, f.ASCII)}
}

// agreed is what a good handshake came to.
func agreed(hs *traffic.Handshake, opened time.Time, f Format) []Step {
	if hs.TLS == nil {
		return nil
	}
	words := joinWords(", ", hs.TLS.VersionName, hs.TLS.SuiteName, hs.TLS.ALPN)
	if hs.TLS.Resumed {
		words += ", resumed"
	}
	out := []Step{{At: hs.Ended.Sub(opened), Timed: true, Name: "agreed", Text: Clean(words, f.ASCII)}}
	if hs.ClientCertAsked {
		who, chain := "the agent", hs.PeerCertificates
		if hs.Side == traffic.UpstreamSide {
			who, chain = "mpproxy", hs.OwnCertificates
		}
		out = append(out, Step{Name: "client cert", Text: Clean(who+" showed "+shownText(chain), f.ASCII)})
	}
	return out
}

func shownText(chain [][]byte) string {
	if len(chain) == 0 {
		return "none"
	}
	return subjectAndIssuer(chain[0])
}

// exchanges are the connection's, with a gap where there are too many.
func (c *Connection) exchanges(f Format) []Step {
	var steps []Step
	for i, r := range c.Rows {
		if r.Kind == "tls" || r.Method == "" {
			continue
		}
		if i == endRows && c.Exchanges > len(c.Rows) {
			steps = append(steps, Step{Name: "…", Text: fmt.Sprintf("%d exchanges more", c.Exchanges-len(c.Rows))})
		}
		steps = append(steps,
			Step{At: r.Begun.Sub(c.Conn.Opened), Timed: true, Arrow: ">", Name: Clean(r.Method, f.ASCII), Text: Clean(fmt.Sprintf("%s  (%d)", r.Target, r.ID), f.ASCII), Sev: r.Sev})
		if r.Status != 0 {
			steps = append(steps, Step{At: r.Ended.Sub(c.Conn.Opened), Timed: !r.Ended.IsZero(), Arrow: "<", Name: fmt.Sprint(r.Status), Text: Clean(KindName(r.Kind), f.ASCII)})
		}
	}
	return steps
}

// ended says who closed a leg, and how.
func (c *Connection) ended(leg traffic.Leg, side traffic.Side, f Format) []Step {
	peer := "the agent"
	if side == traffic.UpstreamSide {
		peer = "the management point"
	}
	words := map[traffic.End]string{
		traffic.EndFIN: peer + " closes (FIN)", traffic.EndReset: peer + " resets", traffic.EndTimeout: "nothing came for too long",
		traffic.EndAlert: peer + " ends it by an alert", traffic.EndProxy: "mpproxy closes", traffic.EndRefused: "never came up",
	}[leg.End]
	if words == "" {
		return nil
	}
	if leg.Err != "" {
		words += ": " + leg.Err
	}
	step := Step{Name: "end", Text: Clean(words, f.ASCII)}
	if !leg.EndedAt.IsZero() {
		step.At, step.Timed = leg.EndedAt.Sub(c.Conn.Opened), true
	}
	if leg.End == traffic.EndRefused || leg.End == traffic.EndReset {
		step.Sev = traffic.Error
	}
	return []Step{step}
}

// Line is a step as text.
func (s Step) Line(f Format) string {
	at := ""
	if s.Timed {
		at = "+" + sinceText(s.At)
	}
	arrow := s.Arrow
	if !f.ASCII {
		arrow = strings.NewReplacer(">", "→", "<", "←").Replace(arrow)
	}
	return Fit(at, 8, true, f.ASCII) + " " + Fit(arrow, 1, false, f.ASCII) + " " + Fit(s.Name, nameCells, false, f.ASCII) + " " + s.Text
}

// nameCells is how wide the names of a ladder are.
const nameCells = 18

// sinceText is a time since the connection was opened.
func sinceText(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Second:
		return fmt.Sprintf("%.1fms", float64(d.Microseconds())/1e3)
	case d < 100*time.Second:
		return fmt.Sprintf("%.2fs", d.Seconds())
	}
	return fmt.Sprintf("%.0fs", d.Seconds())
}
