package diagnose

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"mpproxy/internal/tlsrecord"
	"mpproxy/traffic"
)

// Who has to act, as traffic.Finding.Who names it.
const (
	agentSide   = "agent"
	proxySide   = "proxy"
	mpSide      = "mp"
	networkSide = "network"
)

// How sure a finding is: certain only when the bytes prove it.
const (
	certain  = "certain"
	likely   = "likely"
	possible = "possible"
)

// Finding is what was found, and what to do about it.
type Finding struct {
	// Finding has the first line of Proof as its evidence.
	traffic.Finding
	// Proof are the lines of evidence, the decisive one first.
	Proof []string
	// Do are steps that remedy it, Check what proves it.
	Do, Check []string
	// NotIt are near explanations that were tried.
	NotIt []Ruled
	// Exchange is the one it was found in, 0 for the connection.
	Exchange traffic.ExchangeID
	// MootBy is the code of the finding on the same connection that explains
	// this one, "" when none does.
	MootBy string
}

// Ruled is an explanation that was ruled out, and why.
type Ruled struct{ What, Why string }

// Judge says what is wrong with a connection: causes first, the worst before
// the others, then what they explain. Nil means that no fault was found.
func Judge(e Evidence) []Finding {
	f := readFacts(e)
	var out []Finding
	for i := range catalogue {
		r := &catalogue[i]
		o, found := r.test(f)
		if found && !(r.last && slices.ContainsFunc(out, func(x Finding) bool { return x.Leg == o.leg && explains(&x) })) {
			out = append(out, o.finding(r, f))
		}
	}
	explain(out)
	f.tell(out)
	slices.SortStableFunc(out, func(a, b Finding) int {
		if (a.MootBy == "") != (b.MootBy == "") {
			if a.MootBy == "" {
				return -1
			}
			return 1
		}
		return int(b.Kind.Severity) - int(a.Kind.Severity)
	})
	return out
}

// explains is true for a finding that can be why something failed.
func explains(x *Finding) bool {
	return x.Kind.Severity > traffic.Info || len(x.Kind.Moot) > 0
}

// explain marks the findings that another one explains.
func explain(fs []Finding) {
	for i := range fs {
		for j := range fs {
			if i != j && fs[i].MootBy == "" && slices.Contains(fs[i].Kind.Moot, fs[j].Kind.Code) && fs[j].MootBy == "" {
				fs[j].MootBy = fs[i].Kind.Code
			}
		}
	}
}

// rule finds one kind of fault.
type rule struct {
	kind traffic.FindingKind
	// check is what proves the finding outside of the capture.
	check string
	test  func(*facts) (occurrence, bool)
	// last is true for what is said only when nothing else was found on the
	// same leg.
	last bool
}

// then is the rule with a change of what it finds.
func (r rule) then(change func(*facts, *occurrence)) rule {
	test := r.test
	r.test = func(f *facts) (occurrence, bool) {
		o, found := test(f)
		if found {
			change(f, &o)
		}
		return o, found
	}
	return r
}

// perRequest is a test that looks at one request of a connection after the
// other: the first of which something is found counts.
func perRequest(test func(*facts, *Exchange) (occurrence, bool)) func(*facts) (occurrence, bool) {
	return func(f *facts) (occurrence, bool) {
		for _, x := range f.requests {
			if o, found := test(f, x); found {
				o.exchange = x
				return o, true
			}
		}
		return occurrence{}, false
	}
}

// occurrence is what a rule found.
type occurrence struct {
	leg       traffic.Side
	who, sure string
	proof     []string
	// do replaces the kind's remedy when set.
	do       []string
	notIt    []Ruled
	exchange *Exchange
}

func (o occurrence) finding(r *rule, f *facts) Finding {
	out := Finding{
		Finding: traffic.Finding{Kind: &r.kind, Leg: o.leg, Offset: -1, Sure: o.sure, Who: o.who},
		Proof:   o.proof, Do: o.do, Check: []string{r.check}, NotIt: o.notIt,
	}
	if len(o.do) == 0 {
		out.Do = []string{r.kind.Remedy}
	}
	if o.exchange != nil {
		out.Exchange = o.exchange.ID
	}
	if f.agent != nil && f.agent.sealed && o.sure != certain {
		out.Do = append(out.Do, "TLS was passed through unopened: terminating it (--tls terminate) would also show what is encrypted here.")
	}
	if len(out.Proof) > 0 {
		out.Evidence = out.Proof[0]
	}
	return out
}

// facts are the evidence, read once for all rules.
type facts struct {
	Evidence
	// agent is the agent's leg, or the whole way when TLS is passed through;
	// upstream is mpproxy's own TLS to the management point. Nil without TLS.
	agent, upstream *leg
	// requests are the exchanges that are HTTP.
	requests []*Exchange
}

func readFacts(e Evidence) *facts {
	f := &facts{Evidence: e, agent: readLeg(traffic.AgentSide, e.Conn.AgentLeg), upstream: readLeg(traffic.UpstreamSide, e.Conn.UpstreamLeg)}
	for i := range f.Exchanges {
		if f.Exchanges[i].isRequest() {
			f.requests = append(f.requests, &f.Exchanges[i])
		}
	}
	return f
}

// legs are those with TLS.
func (f *facts) legs() []*leg {
	var out []*leg
	for _, l := range []*leg{f.agent, f.upstream} {
		if l != nil {
			out = append(out, l)
		}
	}
	return out
}

// agentFailed is true when the agent's handshake failed. Of one that is passed
// through nothing can be said when there was nobody to pass it to.
func (f *facts) agentFailed() bool {
	return f.agent != nil && f.agent.failed() && (!f.agent.sealed || f.Conn.UpstreamLeg.End != traffic.EndRefused)
}

// upstreamFailed is true when mpproxy's own handshake with the management
// point failed.
func (f *facts) upstreamFailed() bool { return f.upstream != nil && f.upstream.failed() }

// silent is true when the agent's handshake was good and nothing came of it.
func (f *facts) silent() bool {
	if f.agent == nil || f.agent.failed() || f.Conn.Closed.IsZero() {
		return false
	}
	if f.agent.sealed {
		return f.agent.stage == tlsrecord.StageFinished
	}
	return f.agent.hs.TLS != nil && len(f.Exchanges) == 0
}

// unhappy is true when the agent turned away: an alert, an end in the
// handshake, or an end right after it.
func (f *facts) unhappy() bool { return f.agentFailed() || f.silent() }

// last is the last request with an answer of the management point, nil
// without.
func (f *facts) last() *Exchange {
	for i := len(f.requests) - 1; i >= 0; i-- {
		if f.requests[i].Status > 0 {
			return f.requests[i]
		}
	}
	return nil
}

// answered finds the last request with one of these statuses. A 401 counts only
// as the last answer: before that it is a step of authentication.
func (f *facts) answered(statuses ...int) *Exchange {
	if x := f.last(); x != nil && slices.Contains(statuses, x.Status) {
		return x
	}
	for i := len(f.requests) - 1; i >= 0; i-- {
		if x := f.requests[i]; slices.Contains(statuses, x.Status) && x.Status != 401 {
			return x
		}
	}
	return nil
}

// quote is text from the wire in a sentence.
func quote(s string) string {
	if len(s) > 120 {
		s = s[:120] + "…"
	}
	return strconv.Quote(s)
}

func alertText(c tlsrecord.AlertCode) string { return fmt.Sprintf("%d %s", uint8(c), c) }

// now is the present, or the connection's own time.
func (f *facts) now() time.Time {
	if !f.Now.IsZero() {
		return f.Now
	}
	return f.Conn.Opened
}

// line is one request and its answer as evidence.
func (x *Exchange) line() string {
	answer := "no answer"
	if x.Status > 0 {
		answer = fmt.Sprintf("answered %d %s", x.Status, quote(x.Reason))
	}
	return fmt.Sprintf("%s %s (%d bytes): %s", quote(x.Method), quote(x.path()), x.RequestSize, answer)
}
