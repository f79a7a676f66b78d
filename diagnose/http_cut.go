package diagnose

import (
	"fmt"
	"strings"
	"time"

	"mpproxy/traffic"
)

// cutRules are about messages that end before their end, and about those whose
// end nobody can tell.
var cutRules = []rule{lengthUnknown, replyCut, replyLeft, requestCut, idleCut, answersNoHTTP}

var lengthUnknown = rule{
	kind: traffic.FindingKind{
		Code: "http-length-unclear", Severity: traffic.Error,
		Title:  "The agent's request or the management point's answer contradicts itself about its length",
		Why:    "Two lengths, a length beside chunks, or chunks that are none: each reader takes another end for the true one, and what follows is read from the wrong place. Neither Windows agents nor http.sys write that; devices that rewrite messages do.",
		Remedy: "Find what rewrites messages between agent and management point (load balancer, web filter, antivirus), and let it pass these paths unchanged.",
		Moot:   []string{"upstream-left-request", "http-agent-gave-up", "upstream-no-reply", "http-cut-short", "http-framing-lost", "msg-no-reply"},
	},
	check: "mpproxy show N: the head as it came; a capture on the management point itself shows whether it left there so.",
	test: func(f *facts) (occurrence, bool) {
		for i := range f.Exchanges {
			x := &f.Exchanges[i]
			if x.Unframed == "" {
				continue
			}
			o := occurrence{leg: traffic.UpstreamSide, who: networkSide, sure: certain, exchange: x, proof: []string{
				fmt.Sprintf("exchange %d, reply: %s", x.ID, x.Unframed), x.line(),
			}}
			if !x.UnframedReply {
				o.leg, o.proof[0] = traffic.AgentSide, fmt.Sprintf("exchange %d, request: %s", x.ID, x.Unframed)
			}
			return o, true
		}
		return occurrence{}, false
	},
}

var replyCut = rule{
	kind: traffic.FindingKind{
		Code: "http-reply-cut", Severity: traffic.Error,
		Title:  "The management point's answer ends before its end",
		Why:    "The agent throws half an answer away (12030, 12152) and asks again. A worker process that died, a device that scans or limits answers, or a length that was not corrected when the answer was rewritten.",
		Remedy: "If answers end at the same place each time: look for a limit or a rewriting device on the way. Else look at the management point's System log for worker processes that end.",
		Moot:   []string{"upstream-left-request", "upstream-no-reply", "http-cut-short", "msg-no-reply"},
	},
	check: "On the management point: HTTPERR log (Connection_Abandoned_By_ReqQueue, Connection_Dropped), System log (WAS); IIS log, sc-win32-status of this request.",
	test: perRequest(func(f *facts, x *Exchange) (occurrence, bool) {
		if x.Status == 0 || x.ReplyWhole || x.Fate != traffic.Broken || !f.mpEnded() {
			return occurrence{}, false
		}
		came := max(x.ReplySize-int64(len(x.Answer.Raw)), 0)
		proof := fmt.Sprintf("exchange %d: %d bytes of the answer's body came", x.ID, came)
		switch n := x.Answer.Get("Content-Length"); {
		case n != "":
			proof += ", its Content-Length says " + quote(n)
		case x.Answer.Get("Transfer-Encoding") != "":
			proof += ", and the last chunk is missing"
		}
		return occurrence{leg: traffic.UpstreamSide, who: mpSide, sure: certain, proof: []string{proof, x.line(), f.mpEnd()}}, true
	}),
}

var replyLeft = rule{
	kind: traffic.FindingKind{
		Code: "http-agent-left-answer", Severity: traffic.Warning,
		Title:  "The agent ended the connection before the management point's answer had come whole",
		Why:    "A download that was cancelled or went on elsewhere ends so, and so does an agent that is stopped. It asks again.",
		Remedy: "Nothing for downloads that go on. If messages end so again and again: see on the agent whether its service stops, and what looks into its traffic.",
		Moot:   []string{"http-cut-short"},
	},
	check: "On the agent: CcmMessaging.log, or DataTransferService.log for downloads, at this time.",
	test: perRequest(func(f *facts, x *Exchange) (occurrence, bool) {
		if x.Status == 0 || x.ReplyWhole || x.Fate != traffic.Broken || !f.agentEndedFirst() {
			return occurrence{}, false
		}
		return occurrence{leg: traffic.AgentSide, who: agentSide, sure: certain, proof: []string{
			fmt.Sprintf("exchange %d: %d bytes of the answer had come, then the agent ended the connection (%s)", x.ID, x.ReplySize, f.Conn.AgentLeg.End), x.line(),
		}}, true
	}),
}

// idleTime is how long a connection rests before its end is that of an idle one;
// IIS ends such connections after two minutes.
const idleTime = time.Minute

var idleCut = rule{
	kind: traffic.FindingKind{
		Code: "upstream-idle-cut", Severity: traffic.Info,
		Title:  "The management point closed an idle connection just as the agent's next request came",
		Why:    "Both sides may close a connection that rests, and cannot know what the other does at that moment. The agent asks again on a new one.",
		Remedy: "Nothing, when the agent asks again. If it happens all the time: a device on the way forgets connections sooner than IIS (120 seconds) or the agent does.",
		Moot:   []string{"upstream-left-request", "upstream-no-reply", "http-agent-gave-up"},
	},
	check: "On the management point: HTTPERR log, Timer_ConnectionIdle.",
	test: func(f *facts) (occurrence, bool) {
		for i := 1; i < len(f.requests); i++ {
			x, before := f.requests[i], f.requests[i-1]
			rested := x.Begun.Sub(before.Ended)
			if x.Status != 0 || x.Fate != traffic.Broken || before.Status == 0 || before.Ended.IsZero() || rested < idleTime || !f.mpEnded() {
				continue
			}
			return occurrence{leg: traffic.UpstreamSide, sure: likely, exchange: x, proof: []string{
				fmt.Sprintf("exchange %d came after the connection had rested for %s", x.ID, rested.Round(time.Second)), x.line(), f.mpEnd(),
			}}, true
		}
		return occurrence{}, false
	},
}

var requestCut = rule{
	kind: traffic.FindingKind{
		Code: "http-request-cut", Severity: traffic.Warning,
		Title:  "The agent's request ends before its end, since the agent's side ended the connection",
		Why:    "The agent was stopped, its network went away, or something between it and mpproxy limits what may be sent. The management point keeps nothing of it.",
		Remedy: "See on the agent whether its service or its network stopped at this time; if requests end at the same size each time: look for a limit on the way to mpproxy.",
		Moot:   []string{"http-agent-gave-up", "upstream-left-request", "upstream-no-reply", "http-cut-short", "msg-no-reply"},
	},
	check: "On the agent: CcmMessaging.log at this time; System log for network and power events.",
	test: perRequest(func(f *facts, x *Exchange) (occurrence, bool) {
		if x.Status != 0 || x.RequestWhole || x.Fate != traffic.Broken || x.isUpload() || f.mpEnded() {
			return occurrence{}, false
		}
		o := occurrence{leg: traffic.AgentSide, who: agentSide, sure: certain, proof: []string{
			fmt.Sprintf("exchange %d: %d bytes of the body came, its Content-Length says %s; then the agent's side ended the connection (%s)",
				x.ID, x.BodySize, quote(x.Question.Get("Content-Length")), f.Conn.AgentLeg.End),
		}}
		if x.BodySize == 0 && strings.EqualFold(x.Question.Get("Expect"), "100-continue") {
			o.leg, o.who, o.sure = traffic.UpstreamSide, networkSide, likely
			o.proof = append(o.proof, "the agent waited for a 100 (Expect: 100-continue) that did not come; http.sys sends it by itself")
			o.do = []string{"See what stands before the management point and holds the 100 back, or the head until its body comes: a proxy or a load balancer."}
		}
		return o, true
	}),
}

var answersNoHTTP = rule{
	kind: traffic.FindingKind{
		Code: "upstream-other-protocol", Severity: traffic.Error,
		Title:  "What comes from the management point's side is not HTTP",
		Why:    "Another service has the port that mpproxy was told, or a device answers in the management point's place.",
		Remedy: "See which service listens there; correct --upstream, its port above all.",
		Moot:   []string{"upstream-left-request", "upstream-no-reply", "http-agent-gave-up", "http-not-http", "msg-no-reply"},
	},
	check: "On the management point: netstat -ano for the port; the site's bindings in IIS.",
	test: func(f *facts) (occurrence, bool) {
		for i := range f.Exchanges {
			x := &f.Exchanges[i]
			if f.upstream != nil || !x.ForeignReply || x.Foreign == "" || strings.HasPrefix(x.Foreign, `begins "\x15`) {
				continue
			}
			return occurrence{leg: traffic.UpstreamSide, who: mpSide, sure: certain, exchange: x, proof: []string{
				"the first bytes of the answer: " + x.Foreign, x.line(),
			}}, true
		}
		return occurrence{}, false
	},
}
