package view

import (
	"strings"
	"testing"

	"mpproxy/capture"
	"mpproxy/diagnose"
	"mpproxy/traffic"
)

// TestFoundKinds: what diagnoses explain stands below them, but only where they
// explain all of it.
func TestFoundKinds(t *testing.T) {
	cause := &traffic.FindingKind{Code: "tls-cause", Severity: traffic.Error, Title: "cause", Moot: []string{"tls-failed", "tls-left"}}
	left := &traffic.FindingKind{Code: "tls-left", Severity: traffic.Warning, Title: "left", Moot: []string{"tls-deeper"}}
	deeper := &traffic.FindingKind{Code: "tls-deeper", Severity: traffic.Info, Title: "deeper"}
	group := func(k *traffic.FindingKind, count int, mootBy string) diagnose.Group {
		return diagnose.Group{
			Example: diagnose.Finding{Finding: traffic.Finding{Kind: k}, Do: []string{"\x1b[31m", "this"}, MootBy: mootBy},
			Count:   count, MootBy: mootBy, AgentCount: 1, Agents: []string{"192.0.2.7"}, Conns: []traffic.ConnID{3, 5},
		}
	}
	stored := func(count int64) []capture.FindingGroup {
		return []capture.FindingGroup{
			{Kind: &traffic.FindingKind{Code: "tls-failed", Severity: traffic.Error, Title: "failed"}, Count: count},
			{Kind: &traffic.FindingKind{Code: "msg-odd", Severity: traffic.Warning, Title: "odd", Remedy: "look"}, Count: 9, Agents: 1},
		}
	}
	judged := []diagnose.Group{group(left, 2, "tls-cause"), group(cause, 2, ""), group(deeper, 1, "tls-left")}
	titles := func(ks []FoundKind) string {
		var out []string
		for _, k := range ks {
			out = append(out, k.title())
		}
		return strings.Join(out, "|")
	}
	if got := titles(FoundKinds(stored(2), judged)); got != "cause|  failed|  left|odd|  deeper" {
		t.Errorf("order %q", got)
	}
	ks := FoundKinds(stored(3), judged)
	if got := titles(ks); got != "failed|cause|  left|odd|  deeper" {
		t.Errorf("order %q when one failure is left without a cause", got)
	}
	for i, want := range map[int][2]string{
		0: {"E tls-failed: 0 agents. ", "finding:tls-failed"},
		1: {`E tls-cause: agent 192.0.2.7. Do: ␛[31m this`, "conn:3,5"},
		2: {"W tls-left: agent 192.0.2.7. Explained by tls-cause", "conn:3,5"},
		3: {"W msg-odd: 1 agent. Do: look", "finding:msg-odd"},
	} {
		if got := ks[i].Line(Format{}); got != want[0] || ks[i].Filter() != want[1] {
			t.Errorf("%q, %q; want %q", got, ks[i].Filter(), want)
		}
	}
	if !ks[1].Same(FoundKinds(nil, judged)[0]) || ks[0].Same(ks[1]) || ks[1].Same(ks[2]) {
		t.Error("a kind is not told from another one")
	}
}
