package diagnose

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"mpproxy/traffic"
)

// ConnDiagnosis is what was found on one connection.
type ConnDiagnosis struct {
	Conn traffic.ConnID
	// Agent is the agent's address without its port.
	Agent, Listener string
	At              time.Time
	// Sealed is true for TLS that was passed through unopened.
	Sealed   bool
	Findings []Finding
}

// Group is all that was found of one kind on one side.
type Group struct {
	// Example is the surest occurrence, the first of those.
	Example Finding
	// Conn is where the example was found.
	Conn  traffic.ConnID
	Count int
	// First and Last are when it was found.
	First, Last time.Time
	// Conns are where it was found, not more than the first 20.
	Conns []traffic.ConnID
	// Agents are the agents concerned in the order of their coming, not more
	// than 20 of AgentCount.
	Agents     []string
	AgentCount int
	// Moot is how many occurrences another finding explains; MootBy is its
	// code when that is true of all.
	Moot   int
	MootBy string
	agents map[string]bool
	key    groupKey
}

// maxAgents is how many agents a group names, maxCounted how many it tells
// apart.
const (
	maxAgents  = 20
	maxCounted = 100_000
)

// groupKey is what the findings of a group have in common. TLS that is passed
// through is another matter than TLS that mpproxy terminates: the server is.
type groupKey struct {
	code   string
	leg    traffic.Side
	who    string
	sealed bool
}

// Folding folds diagnoses while they come. The zero value is ready.
type Folding struct {
	// Conns is how many connections were added, Sealed how many of them were
	// passed through unopened.
	Conns, Sealed int
	groups        map[groupKey]*Group
	order         []*Group
}

// Add folds one connection's findings in.
func (d *Folding) Add(c ConnDiagnosis) {
	d.Conns++
	if c.Sealed {
		d.Sealed++
	}
	if d.groups == nil {
		d.groups = map[groupKey]*Group{}
	}
	for _, f := range c.Findings {
		key := groupKey{f.Kind.Code, f.Leg, f.Who, c.Sealed}
		g := d.groups[key]
		if g == nil {
			g = &Group{Example: f, Conn: c.Conn, First: c.At, Last: c.At, MootBy: f.MootBy, agents: map[string]bool{}, key: key}
			d.groups[key] = g
			d.order = append(d.order, g)
		}
		g.add(c, f)
	}
}

func (g *Group) add(c ConnDiagnosis, f Finding) {
	g.Count++
	if n := len(g.Conns); n < maxAgents && (n == 0 || g.Conns[n-1] != c.Conn) {
		g.Conns = append(g.Conns, c.Conn)
	}
	if f.MootBy != "" {
		g.Moot++
	} else {
		g.MootBy = ""
	}
	better := g.Example.MootBy != "" && f.MootBy == ""
	if better || f.MootBy == g.Example.MootBy && sureness(f.Sure) > sureness(g.Example.Sure) {
		g.Example, g.Conn = f, c.Conn
	}
	if c.At.Before(g.First) {
		g.First = c.At
	}
	if c.At.After(g.Last) {
		g.Last = c.At
	}
	if g.agents[c.Agent] || len(g.agents) >= maxCounted {
		return
	}
	g.agents[c.Agent] = true
	g.AgentCount++
	if len(g.Agents) < maxAgents {
		g.Agents = append(g.Agents, c.Agent)
	}
}

// With is a copy of what was folded, with more folded in.
func (d *Folding) With(more []ConnDiagnosis) *Folding {
	out := &Folding{Conns: d.Conns, Sealed: d.Sealed, groups: map[groupKey]*Group{}}
	for _, g := range d.order {
		one := *g
		one.Agents, one.Conns, one.agents = slices.Clone(g.Agents), slices.Clone(g.Conns), maps.Clone(g.agents)
		out.groups[g.key] = &one
		out.order = append(out.order, &one)
	}
	for _, c := range more {
		out.Add(c)
	}
	return out
}

// Groups are the groups so far: causes before what they explain, the worst
// first, then the surest, then the most frequent.
func (d *Folding) Groups() []Group {
	var out []Group
	for _, g := range d.order {
		out = append(out, *g)
	}
	slices.SortStableFunc(out, func(a, b Group) int {
		return cmp.Or(
			compareBool(a.MootBy != "", b.MootBy != ""),
			cmp.Compare(b.Example.Kind.Severity, a.Example.Kind.Severity),
			cmp.Compare(sureness(b.Example.Sure), sureness(a.Example.Sure)),
			cmp.Compare(b.Count, a.Count),
		)
	})
	return out
}

// Fold folds diagnoses into groups, in the order of [Folding.Groups].
func Fold(cs []ConnDiagnosis) []Group {
	var d Folding
	for _, c := range cs {
		d.Add(c)
	}
	return d.Groups()
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

func sureness(s string) int {
	switch s {
	case certain, "":
		return 3
	case likely:
		return 2
	case possible:
		return 1
	}
	return 0
}
