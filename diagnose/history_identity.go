package diagnose

import (
	"fmt"
	"strings"
	"time"

	"mpproxy/traffic"
)

// The codes of what history tells of who is who.
const (
	toldShared  = "msg-client-id-shared"
	toldChanges = "msg-client-id-changes"
	toldMixed   = "msg-several-points"
)

// identityRules are about agents and management points that are taken for each
// other.
var identityRules = []rule{clientShared, clientChanges, pointsMixed}

// clockRules are about clocks; what they explain is told better by others.
var clockRules = []rule{clocksApart}

var clientShared = toldRule(traffic.FindingKind{
	Code: toldShared, Severity: traffic.Error,
	Title:  "Two computers use the same agent identity (client id): the site takes them for one",
	Why:    "Computers that were cloned with a running client share its id and its certificate. Their inventories overwrite each other, deltas miss their full report, and what is deployed to one goes to both, or to none.",
	Remedy: "On the clone: stop the agent, delete SMSCFG.ini and the certificates in the computer's store SMS, start the agent; take the client out of the image, or prepare it before it is cloned.",
	Moot:   []string{toldGap, toldDelta, toldHint, toldHash, "msg-site-resets-certificate"},
}, "In the console: the device changes its name again and again; duplicate hardware ids in the hierarchy settings. On the agents: ClientIDManagerStartup.log.", agentSide)

var clientChanges = toldRule(traffic.FindingKind{
	Code: toldChanges, Severity: traffic.Warning,
	Title:  "The agent takes a new client id again and again",
	Why:    "An agent makes a new id when it finds its certificate or hardware id changed: a computer that is reset at each start, a store that is cleaned, a virtual machine that moves. The console fills with obsolete devices, and each new one waits for approval, policy and a full inventory.",
	Remedy: "See why the agent finds itself on another computer: ClientIDManagerStartup.log names what changed. Keep SMSCFG.ini and the store SMS, or leave the client out of machines that are thrown away.",
	Moot:   []string{toldHint},
}, "On the agent: ClientIDManagerStartup.log; in the console: obsolete records of this name.", agentSide)

var pointsMixed = alsoMixed(toldRule(traffic.FindingKind{
	Code: toldMixed, Severity: traffic.Warning,
	Title:  "More than one management point answers by the one name that the agent uses",
	Why:    "Behind a DNS alias or a load balancer each has its own certificate, uploads and sessions. An agent that learnt the certificate of one cannot read the other, and its upload is not known there.",
	Remedy: "Let agents use each management point by its own name, as the site's list gives them (boundary groups choose); take the common name away, or keep each agent on one server.",
	Moot:   []string{toldMPCert},
}, "nslookup of the name; mpproxy show N: MACHINENAME and certificate in the answers.", mpSide))

// alsoMixed finds it too where the certificate changed for the first time: only
// what came later tells that it changes to and fro.
func alsoMixed(r rule) rule {
	test := r.test
	r.test = func(f *facts) (occurrence, bool) {
		o, found := test(f)
		t, changed := f.told(toldMPCert)
		if found || !changed || f.History == nil || f.History.mixing == "" {
			return o, found
		}
		return occurrence{leg: traffic.UpstreamSide, who: mpSide, sure: certain, proof: append(t.Proof[:len(t.Proof):len(t.Proof)], f.History.mixing), exchange: &Exchange{ID: t.Exchange}}, true
	}
	return r
}

// identity compares who sends a report with who has sent such before.
func (h *History) identity(x *Exchange, a *remembered, tell teller) {
	m := x.Message
	counts := isReport(m.Kind) || isRegistration(m.Kind) && m.Registration == "0"
	if m.Agent == "" || m.Client == "" || !counts {
		return
	}
	if by := h.at(x.Agent); by != nil {
		switch sameName := strings.EqualFold(by.machine, m.Agent); {
		case !sameName:
			by.machine, by.identity, by.changes = m.Agent, m.Client, 0
		case clientKey(by.identity) != clientKey(m.Client):
			by.identity = m.Client
			if by.changes++; by.changes >= 2 {
				tell(toldChanges, likely, fmt.Sprintf("exchange %d: %s at %s now has the client id %s, its change number %d in this capture", x.ID, quote(m.Agent), x.Agent, quote(m.Client), by.changes))
			}
		}
	}
	if a == nil || !isReport(m.Kind) { // boot media of all computers use one id, and send no reports
		return
	}
	now := machine{m.Agent, x.Agent, h.where(x)}
	switch {
	case a.machine.name == "" || strings.EqualFold(a.machine.name, now.name):
	case strings.EqualFold(a.before.name, now.name):
		tell(toldShared, likely, fmt.Sprintf("exchange %d: %s sends a report as %s, after %s (%s) did, and itself before that (%s)", x.ID, now, quote(m.Client), a.machine, a.machine.where, a.before.where))
		a.before = a.machine
	default:
		if a.machine.address != now.address {
			tell(toldShared, possible, fmt.Sprintf("exchange %d: %s sends a report as %s, as %s did before (%s); a computer that was renamed and has moved does so too", x.ID, now, quote(m.Client), a.machine, a.machine.where))
		}
		a.before = a.machine
	}
	a.machine = now
}

// machine is a computer as its reports name it.
type machine struct {
	name, address string
	where         where
}

func (m machine) String() string { return quote(m.name) + " at " + m.address }

// maxApart is how far clocks may be from each other: Windows authentication and
// signed times bear five minutes.
const maxApart = 5 * time.Minute

// oldMessage is from when on a message is more likely an old one that is sent
// again, as a replay does, than one by a clock that is behind.
const oldMessage = 7 * 24 * time.Hour

var clocksApart = rule{
	kind: traffic.FindingKind{
		Code: "msg-clocks-apart", Severity: traffic.Warning,
		Title:  "The clocks of agent and management point are more than five minutes apart",
		Why:    "Windows authentication, signed times, tokens and the dates of certificates are refused; reports carry wrong dates, and scheduled deployments run at the wrong time.",
		Remedy: "Set the clock that is wrong, and see where its computer has the time from (w32tm /query /status).",
		Moot:   []string{"msg-clock"},
	},
	check: "w32tm /stripchart /computer:NAME on both; mpproxy show N: SentTime of the message, Date of the answer.",
	test: func(f *facts) (occurrence, bool) {
		o := occurrence{leg: traffic.AgentSide, who: agentSide, sure: likely}
		x, proof := f.message(func(x *Exchange) ([]string, bool) {
			sent := x.Message.Sent
			date, err := time.Parse(time.RFC1123, x.Answer.Get("Date"))
			if err != nil {
				date, o.sure = x.Begun, possible // then only mpproxy's clock can tell
			}
			if sent.IsZero() || date.Sub(sent).Abs() <= maxApart {
				return nil, false
			}
			if sent.Before(date) && !x.Message.Waits {
				return nil, false // a message that waited in the agent's queue is older than its answer
			}
			whose := "the management point's"
			if err != nil {
				whose = "mpproxy's"
			}
			proof := []string{
				fmt.Sprintf("exchange %d: sent %s by the agent's clock, answered %s by %s: %s apart", x.ID,
					sent.UTC().Format(time.RFC3339), date.UTC().Format(time.RFC3339), whose, date.Sub(sent).Abs().Round(time.Second)),
				"mpproxy's clock says " + x.Begun.UTC().Format(time.RFC3339),
			}
			if date.Sub(sent) > oldMessage {
				o.sure = possible
				proof = append(proof, "a message as old as that may also be one that is sent again, from a record")
			}
			switch {
			case err != nil:
				proof = append(proof[:1], proof[2:]...)
			case x.Begun.Sub(date).Abs() <= maxApart:
				proof[1] += ", as the management point's does"
			case x.Begun.Sub(sent).Abs() <= maxApart:
				proof[1] += ", as the agent's does"
				o.leg, o.who = traffic.UpstreamSide, mpSide
			default:
				o.sure = possible
			}
			return proof, true
		})
		o.exchange, o.proof = x, proof
		return o, x != nil
	},
}
