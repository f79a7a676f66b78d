package rules

import (
	"mpproxy/filter"
	"mpproxy/traffic"
)

// Rule is one rule: when it acts, and what it does.
type Rule struct {
	Name string
	When *filter.Filter
	Do   []Action
	// Off is true for a rule that is kept but not asked.
	Off bool
	// Line is where it stands in its file.
	Line int

	// asks is how much of a message When has to see, acts what Do does.
	asks, acts Need
}

// Action is one thing a rule does. What it may be is in the actions table.
type Action interface {
	// needs says how much of the message has to be there.
	needs() Need
	// apply does it.
	apply(*edit, *Rule)
}

// dir is the direction at which the rule is asked: a filter that names what
// only a reply has is asked at the reply.
func (r *Rule) dir() traffic.Dir {
	if r.When.Phase() == filter.AtReply {
		return traffic.Reply
	}
	return traffic.Request
}

// Phase names the direction for people.
func (r *Rule) Phase() string { return r.dir().String() }

// settle computes what the rule needs, once.
func (r *Rule) settle() {
	r.When.Walk(func(t *filter.Term) { r.asks = max(r.asks, fieldNeed(t)) })
	for _, a := range r.Do {
		r.acts = max(r.acts, a.needs())
	}
}

// need is how much the rule wants to see of a message of which only the head
// is known.
func (r *Rule) need(head *subject) Need {
	if r.Off {
		return Nothing
	}
	here := r.dir() == head.q.Dir
	if !here && (head.q.Dir == traffic.Reply || r.asks <= HeadOnly) {
		return Nothing
	}
	switch evaluate(r.When.Root, head) {
	case no:
		return Nothing
	case yes:
		if !here {
			return Nothing
		}
		return max(HeadOnly, r.acts)
	}
	if !here {
		return r.asks
	}
	return max(HeadOnly, r.asks, r.acts)
}

// answer is what a filter says when not all is known.
type answer uint8

const (
	no answer = iota
	maybe
	yes
)

// evaluate answers a filter's tree with what the subject knows so far.
func evaluate(n filter.Node, s *subject) answer {
	switch n := n.(type) {
	case nil:
		return yes
	case filter.All:
		worst := yes
		for _, part := range n {
			worst = min(worst, evaluate(part, s))
		}
		return worst
	case filter.Any:
		best := no
		for _, part := range n {
			best = max(best, evaluate(part, s))
		}
		return best
	case filter.Not:
		return yes - evaluate(n.Node, s)
	case *filter.Term:
		if fieldNeed(n) > s.level || onlyAtReply(n) && s.q.Dir == traffic.Request {
			return maybe
		}
		if (&filter.Filter{Root: n}).Match(s) {
			return yes
		}
	}
	return no
}

// onlyAtReply is true for a term about what only a reply has.
func onlyAtReply(t *filter.Term) bool {
	return (&filter.Filter{Root: t}).Phase() == filter.AtReply
}
