package diagnose

import (
	"mpproxy/internal/tlsrecord"
	"mpproxy/traffic"
)

// serverNameRules are about servers that have nothing for the name that they
// are asked for.
var serverNameRules = []rule{serverNameUnknown}

var serverNameUnknown = rule{
	kind: traffic.FindingKind{
		Code: "tls-server-name-unknown", Ref: "A25", Severity: traffic.Error,
		Title:  "The management point knows no certificate for the name that it is asked for",
		Why:    "It chooses its certificate by the name in the hello, and refuses names that no binding has.",
		Remedy: "Use a name that the management point has a binding for (for mpproxy: --upstream https://NAME), or add a binding with this host name in IIS.",
		Moot:   append([]string{"upstream-tls-failed"}, shakeFailed...),
	},
	check: "On the management point: netsh http show sslcert, hostname:port against ip:port.",
	test: func(f *facts) (occurrence, bool) {
		return f.withMP(func(l *leg) (occurrence, bool) {
			name := "the hello names " + quote(l.hello().ServerName)
			if l.hello().ServerName == "" {
				name = "the hello names no server"
			}
			who := mpSide
			if l.side == traffic.UpstreamSide {
				who = proxySide
			}
			return occurrence{who: who, sure: certain, proof: []string{l.alertLine(), name}}, l.says(tlsrecord.Server, 112)
		})
	},
}
