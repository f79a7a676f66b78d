package diagnose

import (
	"fmt"

	"mpproxy/traffic"
)

// locationRules are about where a site sends its agents, and by which
// certificate and key they know it.
var locationRules = []rule{siteCertChanged, siteKeyChanged, noLocation, manyPoints}

var siteCertChanged = toldRule(traffic.FindingKind{
	Code: toldSiteCert, Ref: "N13", Severity: traffic.Warning,
	Title:  "The site's signing certificate has changed: agents that hold the old one reject its policy",
	Why:    "Agents verify policy with their copy of the site signing certificate. After a renewal they fetch the new one only if it is of the root that they know.",
	Remedy: "Wait for the agents to fetch the new certificate; where its root is another one, install the agent again with SMSSIGNCERT or RESETKEYINFORMATION=TRUE.",
}, "On the agent: PolicyAgent.log and CertificateMaintenance.log.", mpSide)

var siteKeyChanged = toldRule(traffic.FindingKind{
	Code: toldSiteKey, Ref: "N14", Severity: traffic.Error,
	Title:  "The site's trusted root key has changed: agents that keep the old one refuse this management point",
	Why:    "A site that was restored or installed again has a new key. An agent outside of the directory trusts only the key that it was given first.",
	Remedy: "Install the agent with RESETKEYINFORMATION=TRUE, or give it the new key with SMSROOTKEYPATH.",
}, "On the agent: LocationServices.log, failed to verify; the TrustedRootKey in root\\ccm\\locationservices.", mpSide)

var noLocation = messageRule(traffic.FindingKind{
	Code: "msg-no-location", Ref: "N12", Severity: traffic.Warning,
	Title:  "The management point's location reply names no server for the agent",
	Why:    "The content is on no distribution point that the agent's boundary group may use, or the boundaries do not hold the agent's address. Setup and downloads wait.",
	Remedy: "Distribute the content to a point of the agent's boundary group; check the boundaries for the address in the request, and the fallback of the group.",
}, "mpproxy show N: the addresses that the agent gave; in the console: boundary groups.", mpSide, certain,
	func(x *Exchange) ([]string, bool) {
		what, asked := locationNouns[x.Message.ReplyKind]
		return []string{fmt.Sprintf("exchange %d: the %s names 0 %s", x.ID, x.Message.ReplyKind, what)}, asked && x.Message.Records == 0
	})

// locationNouns are what the location replies name.
var locationNouns = map[string]string{
	"content-location-reply": "distribution points", "local-mp-reply": "management points", "mp-location-reply": "management points",
}

// manyPoints says which of the management points of a list is the one that was
// asked.
var manyPoints = rule{
	kind: traffic.FindingKind{
		Code: "msg-many-points", Ref: "N12", Severity: traffic.Info,
		Title:  "The list names several management points; any of them answers it, so it proves little about the others",
		Why:    "MPLIST is the site's list, not a test of each management point in it.",
		Remedy: "Test each management point by its own name.",
	},
	check: "mpproxy doctor --upstream URL, for each name.",
	test: func(f *facts) (occurrence, bool) {
		x, proof := f.message(func(x *Exchange) ([]string, bool) {
			m := x.Message
			if m.Kind != "mp-list" || len(m.Places) < 2 {
				return nil, false
			}
			proof := []string{fmt.Sprintf("exchange %d: the list names %d management points", x.ID, len(m.Places))}
			for _, p := range m.Places {
				proof = append(proof, quote(p.Host)+", "+f.inCertificate(p.Host))
			}
			return proof, true
		})
		if x == nil {
			return occurrence{}, false
		}
		return occurrence{leg: traffic.UpstreamSide, sure: certain, exchange: x, proof: proof}, true
	},
}

// inCertificate says whether a name is in the certificate of this management
// point.
func (f *facts) inCertificate(name string) string {
	if f.upstream == nil || f.upstream.server.leaf() == nil {
		return "no certificate of this management point was seen"
	}
	if f.upstream.server.leaf().VerifyHostname(name) != nil {
		return "not in the certificate that this management point shows"
	}
	return "in the certificate that this management point shows"
}
