package diagnose

import (
	"strconv"

	"mpproxy/internal/tlsrecord"
	"mpproxy/traffic"
)

// mpAlertRules are about alerts of the management point for which there is no
// rule of their own.
var mpAlertRules = []rule{mpAlert}

var mpAlert = rule{
	kind: traffic.FindingKind{
		Code: "upstream-alert", Severity: traffic.Error,
		Title:  "The management point broke the handshake off with an alert",
		Why:    "The alert says why, as far as its sender tells.",
		Remedy: "Look up the alert (mpproxy explain \"alert 80\", with its number), and the management point's System log at this time.",
		Moot:   append([]string{"upstream-tls-failed"}, shakeFailed...),
	},
	check: "On the management point: System log, Schannel event 36888 with the same number, and those before it (36870: the private key).",
	last:  true,
	test: func(f *facts) (occurrence, bool) {
		return f.withMP(func(l *leg) (occurrence, bool) {
			o := occurrence{who: mpSide, sure: certain, proof: []string{l.alertLine(), l.alert.code.String() + ": " + l.alert.code.Meaning()}}
			if known := alert(strconv.Itoa(int(l.alert.code))); known[0].Known {
				o.do = []string{"Look at: " + known[0].LookAt + "; and at the management point's System log at this time."}
			}
			return o, l.says(tlsrecord.Server)
		})
	},
}
