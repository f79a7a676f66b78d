package diagnose

import (
	"fmt"
	"slices"
	"time"

	"mpproxy/traffic"
)

// endings are the findings that only say that a side left: what made it leave
// may have been on the other leg.
var endings = map[string]bool{
	"tls-agent-left": true, "tls-agent-left-idle": true,
	"upstream-left-request": true, "upstream-no-reply": true, "upstream-reset": true,
}

// tell makes one story of a connection: an error on the leg that ended first
// explains that the other one ended, and has that as evidence.
func (f *facts) tell(fs []Finding) {
	if !f.broken() {
		return
	}
	for i := range fs {
		cause := &fs[i]
		if cause.MootBy != "" || cause.Kind.Severity < traffic.Warning || endings[cause.Kind.Code] || cause.Leg == traffic.NoLeg || f.agent != nil && f.agent.sealed {
			continue
		}
		after, ended := f.endedAfter(cause.Leg)
		if !ended {
			continue
		}
		for j := range fs {
			if fs[j].Leg != cause.Leg && fs[j].MootBy == "" && endings[fs[j].Kind.Code] {
				fs[j].MootBy = cause.Kind.Code
			}
		}
		cause.Proof = append(cause.Proof, after)
		return
	}
}

// broken is true when something on the connection came to no good end.
func (f *facts) broken() bool {
	return f.agentFailed() || f.upstreamFailed() || f.silent() || slices.ContainsFunc(f.requests, func(x *Exchange) bool {
		return x.Status == 0 || x.Fate == traffic.Broken
	})
}

// endedAfter says how the other leg ended, if that was after this one.
func (f *facts) endedAfter(side traffic.Side) (line string, ended bool) {
	this, other, name := f.Conn.AgentLeg, f.Conn.UpstreamLeg, "the management point's leg"
	if side == traffic.UpstreamSide {
		this, other, name = other, this, "the agent's leg"
	}
	if other.Address == "" || this.EndedAt.IsZero() || other.EndedAt.Before(this.EndedAt) || this.End == traffic.EndProxy {
		return "", false
	}
	how := map[traffic.End]string{
		traffic.EndProxy: "mpproxy closed it", traffic.EndFIN: "its peer closed it", traffic.EndReset: "its peer reset it",
		traffic.EndAlert: "its peer said an alert", traffic.EndTimeout: "nothing more came",
	}[other.End]
	if how == "" {
		return "", false
	}
	when := "at once"
	if d := other.EndedAt.Sub(this.EndedAt).Round(time.Millisecond); d > 0 {
		when = d.String() + " later"
	}
	return fmt.Sprintf("%s ended because of that, %s: %s", name, when, how), true
}
