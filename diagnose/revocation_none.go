package diagnose

import (
	"fmt"

	"mpproxy/traffic"
)

// noListRules are about certificates of mpproxy's that name no revocation list.
// It is said after what agents that leave do more often: distrust.
var noListRules = []rule{noListNamed}

var noListNamed = rule{
	kind: traffic.FindingKind{
		Code: "tls-proxy-no-revocation-list", Ref: "P01", Severity: traffic.Warning,
		Title:  "A Windows agent leaves without a word every time, and the certificate that mpproxy shows names no revocation list",
		Why:    "Agents check revocation of the site's certificates by default, and Windows counts a certificate without a list as one that cannot be checked.",
		Remedy: "For certificates that mpproxy makes: mpproxy run --crl http://HOST:PORT/mpproxy.crl, with a host that agents reach. For one given with --cert: issue it with a list. Or switch the check off (site setting, /NoCRLCheck).",
	},
	check: "On the agent: CcmMessaging.log shows 12175 with flag 0x1 (CERT_REV_FAILED), or 12057; flag 0x8 would be distrust.",
	test: func(f *facts) (occurrence, bool) {
		l, p := f.agent, f.Peers
		failed := p.Before.Failed + p.After.Failed
		if !f.wordless() || l.sealed || failed == 0 || p.Before.Good+p.After.Good > 0 {
			return occurrence{}, false
		}
		x := l.server.leaf()
		if x == nil || len(x.CRLDistributionPoints) > 0 || !l.isSchannel() {
			return occurrence{}, false
		}
		return occurrence{leg: traffic.AgentSide, who: proxySide, sure: possible, proof: []string{
			"the certificate of " + quote(l.server.subject()) + ", issued by " + quote(l.server.issuer()) + ", names no revocation list" + stackGuess(l.hello()),
			howItEnded(f), fmt.Sprintf("%d more connections of this agent's address failed, none got in", failed),
		}, notIt: f.serverFits("")}, true
	},
}
