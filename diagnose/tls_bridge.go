package diagnose

import (
	"fmt"

	"mpproxy/traffic"
)

// bridgeRules are about mpproxy itself as it was started.
var bridgeRules = []rule{schemesBridged}

var schemesBridged = rule{
	kind: traffic.FindingKind{
		Code: "tls-schemes-bridged", Ref: "P02", Severity: traffic.Warning,
		Title:  "mpproxy has HTTP on one side and HTTPS on the other: the agent and the management point believe in different site modes",
		Why:    "The product does not support bridges between HTTP and HTTPS: it wants TLS on both sides or on none. An agent over HTTP shows no certificate and signs in another way, and gets addresses of a scheme that it did not come by.",
		Remedy: "Listen with the scheme of the management point: --listen https://… for an https:// upstream, http://… for an http:// one.",
		Moot:   []string{"msg-location-scheme", "tls-bridged"},
	},
	check: "The first lines that mpproxy run prints: listener and upstream; mpproxy conns FILE.",
	test: func(f *facts) (occurrence, bool) {
		x := f.last()
		if f.Probe || x == nil || x.Fate == traffic.Answered || f.agent != nil && f.agent.sealed || (f.agent == nil) == (f.upstream == nil) {
			return occurrence{}, false
		}
		agent, mp := "HTTP", "HTTPS"
		if f.agent != nil {
			agent, mp = mp, agent
		}
		return occurrence{leg: traffic.UpstreamSide, who: proxySide, sure: certain, exchange: x, proof: []string{
			fmt.Sprintf("the agent came by %s to %s, mpproxy went on by %s to %s: unsupported by the product", agent, quote(f.Conn.Listener), mp, quote(f.Conn.Upstream)),
			x.line(),
		}}, true
	},
}
