package diagnose

import (
	"fmt"
	"strings"
	"time"

	"mpproxy/traffic"
)

// longWait is from when on an answer that did not come is the management point's
// fault rather than the agent's haste.
const longWait = 10 * time.Second

// slowAnswer is from when on an answer took long, and briefSize what a message may
// have that no line makes so slow, in bytes.
const (
	slowAnswer = 4 * time.Second
	briefSize  = 64 << 10
)

var slow = rule{
	kind: traffic.FindingKind{
		Code: "upstream-slow", Severity: traffic.Warning,
		Title:  "The management point takes long to answer the agent",
		Why:    "Small answers come within a second from a management point that is well. Agents wait thirty seconds, then ask again, which makes the load larger; what fails then is each time something else.",
		Remedy: "Look at the database first (replica, locks, statistics, maintenance), then at application pool, processor and disk of the management point, and at scanners on it.",
	},
	check: "On the management point: IIS log, time-taken; performance counters of the application pool and of the database; MP_*.log: the time between request and reply.",
	last:  true,
	test: func(f *facts) (occurrence, bool) {
		var worst *Exchange
		count := 0
		for _, x := range f.requests {
			waits := strings.Contains(strings.ToLower(x.path()), "/bgb/") // notifications are held back on purpose
			took := x.Ended.Sub(x.Begun)
			if waits || x.Status == 0 || x.Fate == traffic.Broken || took < slowAnswer || x.RequestSize+x.ReplySize > briefSize {
				continue
			}
			if count++; worst == nil || took > worst.Ended.Sub(worst.Begun) {
				worst = x
			}
		}
		if worst == nil {
			return occurrence{}, false
		}
		return occurrence{leg: traffic.UpstreamSide, who: mpSide, sure: likely, exchange: worst, proof: []string{
			fmt.Sprintf("exchange %d took %s; %d of %d small requests on this connection took longer than %s", worst.ID,
				worst.Ended.Sub(worst.Begun).Round(time.Millisecond), count, len(f.requests), slowAnswer), worst.line(),
		}}, true
	},
}

// gaveUp is an agent that went while its request waited. The management point's
// own end is upstream-left-request.
var gaveUp = rule{
	kind: traffic.FindingKind{
		Code: "http-agent-gave-up", Severity: traffic.Warning,
		Title:  "The agent ended the connection while its request waited for the management point's answer",
		Why:    "Its time was over (WinHTTP 12002), or it was ended. The management point may have done the work all the same, and the agent will ask again.",
		Remedy: "After a long wait: see what makes the management point slow (database, application pool, disk). After a short one: see on the agent whether its service was stopped.",
		Moot:   []string{"http-not-awaited", "upstream-no-reply"},
	},
	check: "On the management point: IIS log, time-taken of this request, sc-win32-status 64 or 1236. On the agent: CcmMessaging.log, 12002.",
	test: func(f *facts) (occurrence, bool) {
		if !f.agentEndedFirst() {
			return occurrence{}, false
		}
		for _, x := range f.requests {
			if x.Fate != traffic.Broken || x.Status != 0 || !x.RequestWhole {
				continue
			}
			waited := f.Conn.AgentLeg.EndedAt.Sub(x.Begun)
			o := occurrence{leg: traffic.AgentSide, who: agentSide, sure: certain, exchange: x, proof: []string{
				x.line(), fmt.Sprintf("the agent ended first (%s), after %s", f.Conn.AgentLeg.End, waited.Round(time.Millisecond)),
			}}
			if waited >= longWait {
				o.who = mpSide
			}
			return o, true
		}
		return occurrence{}, false
	},
}

// agentEndedFirst is true when the agent's leg ended by its peer, and the
// management point's only after that.
func (f *facts) agentEndedFirst() bool {
	a, u := f.Conn.AgentLeg, f.Conn.UpstreamLeg
	if a.End != traffic.EndFIN && a.End != traffic.EndReset || u.Address == "" || brokeOff(u.Err) {
		return false
	}
	switch u.End {
	case traffic.EndFIN, traffic.EndReset, traffic.EndAlert:
		return a.EndedAt.Before(u.EndedAt)
	}
	return u.End != traffic.EndRefused && u.End != traffic.EndTimeout
}
