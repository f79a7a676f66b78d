package decode

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"mpproxy/traffic"
)

var state = Kind{
	Slug: "state", Name: "state messages", Dir: traffic.Request, Endpoint: "MP_RelayEndpoint", Root: "Report",
	is: isRelayed("SMX", "StateMessage"), sum: sumState,
}

// fsp is the same report, sent to a fallback status point by plain POST.
var fsp = Kind{
	Slug: "fsp", Name: "fallback status", Root: "Report",
	is: func(d *decoder) bool { return d.m.wire.target.kind == "fsp" }, sum: sumFSP,
}

// stateCount is how often a state occurs in one report.
type stateCount struct {
	topic, state string
	n            int
	// rank orders states, worst first.
	rank int
}

// readStates counts the states of a report and remembers what the last one is
// about.
func readStates(d *decoder) (counts []stateCount, total int, about string) {
	topic := ""
	s := d.scan()
	for s.next() {
		switch s.name {
		case "Topic":
			topic, about = s.attr("Type"), s.attr("ID")
		case "State":
			total++
			key := stateCount{topic: topic, state: s.attr("ID"), n: 1}
			i := slices.IndexFunc(counts, func(c stateCount) bool { return c.topic == key.topic && c.state == key.state })
			if i >= 0 {
				counts[i].n++
			} else if len(counts) < 64 {
				key.rank = rankOf(key.topic, key.state)
				counts = append(counts, key)
			}
		}
	}
	slices.SortStableFunc(counts, func(a, b stateCount) int { return cmp.Compare(b.rank, a.rank) })
	return counts, total, about
}

// rankOf is how bad a state is, by the words for it.
func rankOf(topic, state string) int {
	label := stateLabels()[stateKey{topic, state}]
	for rank, words := range [...][]string{
		{"wait", "pending", "scheduled", "retry", "unknown", "download", "required"},
		{"missing", "non-compliant", "not compliant", "conflict", "unsupported", "rejected", "revoked", "no "},
		{"fail", "error"},
	} {
		for _, w := range words {
			if strings.Contains(label, w) && !strings.HasPrefix(label, "not required") {
				return max(rank+1, laterRank(label))
			}
		}
	}
	return 0
}

// laterRank lets a word of a worse rank win over an earlier one.
func laterRank(label string) int {
	switch {
	case strings.Contains(label, "fail") || strings.Contains(label, "error"):
		return 3
	case strings.Contains(label, "missing"):
		return 2
	}
	return 0
}

// words writes a state: its numbers, and what they mean where that is known.
func (c stateCount) words() string {
	words := clip(c.topic) + "/" + clip(c.state)
	if label := stateLabels()[stateKey{c.topic, c.state}]; label != "" {
		words += " " + label
	} else if topic, ok := stateTopics()[c.topic]; ok {
		words += " (" + topic.Area + ")"
	}
	if c.n > 1 {
		return fmt.Sprintf("%d× %s", c.n, words)
	}
	return words
}

func stateWords(counts []stateCount) string {
	var words []string
	for _, c := range counts {
		words = append(words, c.words())
	}
	return strings.Join(firstOf(words, 3), ", ")
}

func sumState(d *decoder) (short, long string) {
	d.report()
	counts, total, about := readStates(d)
	short = stateWords(counts)
	switch {
	case total == 0:
		short = "no state"
		if !d.sees() {
			short = sizeWords(d.m.TextBytes)
		}
	case total > 1 || !d.sees():
		short = count(total, "message") + d.atLeast() + ": " + short
	case !strings.Contains(about, "{") && len(about) <= 16:
		short = joined(" ", short, clip(about))
	}
	return short, joined(" ", "state", d.agent()) + ": " + short
}

func sumFSP(d *decoder) (short, long string) {
	id := d.report().id
	counts, _, _ := readStates(d)
	short = joined(", ", stateWords(counts), clip(shortGUIDs(id)))
	if short == "" {
		short = sizeWords(d.m.wire.sent)
	}
	if d.m.Dir == traffic.Reply {
		return "", "FSP answer"
	}
	return short, "FSP state: " + short
}
