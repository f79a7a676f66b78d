package view

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"mpproxy/diagnose"
	"mpproxy/traffic"
)

// Section is a part of what is said of a diagnosis: a label, and lines that
// belong to it. The lines are not cleaned.
type Section struct {
	Label string
	Lines []string
}

// DiagnosisTitle is a diagnosis in one line: how bad, what, which side, who has
// to act, how sure.
func DiagnosisTitle(x *diagnose.Finding) string {
	return fmt.Sprintf("%s %s  %s  (side: %s, to act: %s, %s)",
		x.Kind.Severity.Letter(), x.Kind.Ref, x.Kind.Title, SideName(x.Leg), cmp.Or(x.Who, "nobody"), x.Sure)
}

// Diagnosis is the rest of what is said: evidence, reason, remedy, where to
// check, and what was ruled out.
func Diagnosis(x *diagnose.Finding) []Section {
	var ruled []string
	for _, r := range x.NotIt {
		ruled = append(ruled, r.What+": "+r.Why)
	}
	return []Section{
		{"Evidence", x.Proof},
		{"Why", []string{x.Kind.Why}},
		{"Do", x.Do},
		{"Check", x.Check},
		{"Not it", ruled},
	}
}

// SideName is a side of a connection in words.
func SideName(s traffic.Side) string {
	switch s {
	case traffic.AgentSide:
		return "agent leg"
	case traffic.UpstreamSide:
		return "MP leg"
	}
	return "connection"
}

// GroupWhen is how often and when a fault was found.
func GroupWhen(g *diagnose.Group, f Format) string {
	when := f.Time(g.First, time.DateTime)
	if g.Count > 1 {
		when = fmt.Sprintf("%d times, %s to %s", g.Count, when, f.Time(g.Last, time.DateTime))
	}
	return when
}

// Concerned says how many agents a fault is about, of all that were seen, and
// how the others fare; good of all got in.
func Concerned(g *diagnose.Group, all, good int) string {
	text := fmt.Sprintf("%d agents", g.AgentCount)
	if g.AgentCount == 1 {
		text = "agent " + g.Agents[0]
	}
	if all > 1 && all >= g.AgentCount && g.AgentCount > 0 {
		text = fmt.Sprintf("%d of %d agents (%s)", g.AgentCount, all, strings.Join(g.Agents[:min(len(g.Agents), 5)], ", "))
		if good > 0 && g.AgentCount < all {
			text += "; others succeed"
		}
	}
	return text
}

// Explained are the faults that are a consequence of one.
func Explained(g *diagnose.Group, all []diagnose.Group) Section {
	s := Section{Label: "Explains"}
	for i := range all {
		if all[i].MootBy == g.Example.Kind.Code {
			s.Lines = append(s.Lines, fmt.Sprintf("%s %s (%d)", all[i].Example.Kind.Ref, all[i].Example.Kind.Title, all[i].Count))
		}
	}
	return s
}
