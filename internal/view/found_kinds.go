package view

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"mpproxy/capture"
	"mpproxy/diagnose"
)

// FoundKind is all that was found of one kind: stored with exchanges and
// connections, or judged of connections.
type FoundKind struct {
	capture.FindingGroup
	// Diagnosis is what was judged; nil for what is stored.
	Diagnosis *diagnose.Group
	// MootBy is the code of the kind that explains all of it, "" when none does.
	MootBy string
}

// FoundKinds joins both: causes, the worst first, and below each what it
// explains.
func FoundKinds(stored []capture.FindingGroup, judged []diagnose.Group) []FoundKind {
	var all []FoundKind
	for i := range judged {
		g := &judged[i]
		all = append(all, FoundKind{capture.FindingGroup{
			Kind: g.Example.Kind, Count: int64(g.Count), Agents: int64(g.AgentCount), Moot: int64(g.Moot),
			First: g.First, Last: g.Last, Who: g.Example.Who,
		}, g, g.MootBy})
	}
	for _, g := range stored {
		all = append(all, FoundKind{FindingGroup: g, MootBy: explainedBy(g, judged)})
	}
	slices.SortStableFunc(all, func(a, b FoundKind) int {
		return cmp.Or(cmp.Compare(b.Kind.Severity, a.Kind.Severity), cmp.Compare(b.Count, a.Count))
	})
	return underCauses(all)
}

// explainedBy is the diagnosis that explains what is stored, where diagnoses
// explain all of it: that a handshake failed says no more than why it did.
func explainedBy(g capture.FindingGroup, judged []diagnose.Group) string {
	by, explained := "", int64(0)
	for i := range judged {
		x := &judged[i]
		if x.MootBy == "" && slices.Contains(x.Example.Kind.Moot, g.Kind.Code) {
			by, explained = cmp.Or(by, x.Example.Kind.Code), explained+int64(x.Count)
		}
	}
	if explained < g.Count {
		return ""
	}
	return by
}

// underCauses puts what is explained below what explains it.
func underCauses(all []FoundKind) []FoundKind {
	var out, left []FoundKind
	below := map[string][]FoundKind{}
	for _, k := range all {
		if k.MootBy != "" {
			below[k.MootBy] = append(below[k.MootBy], k)
		}
	}
	for _, k := range all {
		if k.MootBy != "" {
			continue
		}
		out = append(out, k)
		out = append(out, below[k.Kind.Code]...)
		delete(below, k.Kind.Code)
	}
	for _, k := range all { // their cause is itself explained
		if _, lost := below[k.MootBy]; lost && k.MootBy != "" {
			left = append(left, k)
		}
	}
	return append(out, left...)
}

// title is what the list says of the kind.
func (k FoundKind) title() string {
	if k.MootBy != "" {
		return "  " + k.Kind.Title
	}
	return k.Kind.Title
}

func (k FoundKind) sure() string {
	if k.Diagnosis == nil {
		return ""
	}
	return k.Diagnosis.Example.Sure
}

// Same is true for the same kind on the same side.
func (k FoundKind) Same(other FoundKind) bool {
	if k.Kind.Code != other.Kind.Code || (k.Diagnosis == nil) != (other.Diagnosis == nil) {
		return false
	}
	return k.Diagnosis == nil || k.Diagnosis.Example.Leg == other.Diagnosis.Example.Leg && k.Who == other.Who
}

// Line is a kind in one line: its code, how many agents, what to do.
func (k FoundKind) Line(f Format) string {
	line := k.Kind.Severity.Letter() + " " + k.Kind.Code + ": "
	switch d := k.Diagnosis; {
	case d != nil && d.AgentCount == 1:
		line += "agent " + d.Agents[0] + ". "
	case k.Agents == 1:
		line += "1 agent. "
	default:
		line += fmt.Sprintf("%d agents. ", k.Agents)
	}
	do := k.Kind.Remedy
	if k.Diagnosis != nil {
		do = strings.Join(k.Diagnosis.Example.Do, " ")
	}
	switch {
	case k.MootBy != "":
		line += "Explained by " + k.MootBy
	case do != "":
		line += "Do: " + do
	}
	return Clean(line, f.ASCII)
}

// Filter leaves the exchanges in which it was found; for a diagnosis those of
// the first connections.
func (k FoundKind) Filter() string {
	if k.Diagnosis == nil {
		return "finding:" + k.Kind.Code
	}
	var ids []string
	for _, id := range k.Diagnosis.Conns {
		ids = append(ids, fmt.Sprint(id))
	}
	return "conn:" + strings.Join(ids, ",")
}
