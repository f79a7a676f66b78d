package view

import (
	"cmp"
	"fmt"

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
