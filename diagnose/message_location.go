package diagnose

import (
	"fmt"
	"strings"

	"mpproxy/traffic"
)

// locationRules are about where a site sends its agents, and by which
// certificate and key they know it.
var locationRules = []rule{siteKeyChanged, mpCertChanged, siteCertChanged, noLocation, noSite, listNames, locationScheme, manyPoints, otherPoint}

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
	Moot:   []string{toldMPCert, toldSiteCert},
}, "On the agent: LocationServices.log, failed to verify; the TrustedRootKey in root\\ccm\\locationservices.", mpSide).then(andStopped)

var mpCertChanged = toldRule(traffic.FindingKind{
	Code: toldMPCert, Ref: "N14", Severity: traffic.Warning,
	Title:  "The management point's own certificate has changed: agents take the new one only if the site has signed it with the key that they know",
	Why:    "Agents encrypt and verify messages by this certificate, and it is signed with the site's key. After a restore, or behind a common name of several management points, it is another one.",
	Remedy: "If agents stop here: compare the site key (MPKEYINFORMATION) before and after, and install them with RESETKEYINFORMATION=TRUE where it has changed.",
}, "On the agent: LocationServices.log, MP certificate; mpproxy diagnose FILE --earlier OTHER.", mpSide).then(andStopped)

// andStopped adds to what is said of an exchange that its agent stopped there.
func andStopped(f *facts, o *occurrence) {
	if a := f.History.at(f.agentAddress()); a != nil && a.last == o.exchange.ID && !f.Conn.Closed.IsZero() {
		o.proof = append(o.proof, "the agent asked nothing after that: agents that stop here keep the old one")
	}
}

var noLocation = messageRule(traffic.FindingKind{
	Code: "msg-no-location", Ref: "N12", Severity: traffic.Warning,
	Title:  "The management point's location reply names no server for the agent",
	Why:    "The content is on no distribution point that the agent's boundary group may use, the group has no such server, or the boundaries do not hold the agent's address. Setup and downloads wait.",
	Remedy: "Distribute the content to a point of the agent's boundary group, or give the group a software update point; check the boundaries for the address in the request, and the fallback of the group.",
	Moot:   []string{"msg-no-dp", "msg-no-wsus"},
}, "mpproxy show N: the addresses that the agent gave; in the console: boundary groups.", mpSide, certain,
	func(x *Exchange) ([]string, bool) {
		m := x.Message
		what, asked := locationNouns[m.ReplyKind]
		none := m.Records == 0
		if m.ReplyKind == "mp-list" || m.ReplyKind == "mp-locate" {
			none = x.good() && m.ReplyRoot != "" && len(m.Places) == 0
		}
		return []string{fmt.Sprintf("exchange %d: the %s names 0 %s", x.ID, m.ReplyKind, what)}, asked && none && x.ReplyWhole
	}).then(locationRemedy)

// locationRemedy says what to do by what the reply should have named.
func locationRemedy(_ *facts, o *occurrence) {
	switch o.exchange.Message.ReplyKind {
	case "mp-list", "mp-locate", "mp-location-reply", "local-mp-reply":
		o.do = []string{
			"In the console: whether the site has management points that are published for this kind of agent (intranet or internet, HTTP or HTTPS), and whether boundary groups name them.",
			"On the management point: whether it reads the site's database (MP_Location.log, mpcontrol.log): an empty list comes from an empty answer of it.",
		}
	case "wsus-location-reply":
		o.do = []string{"Give the agent's boundary group a software update point, or allow fallback; see that the role is installed and synchronised (WCM.log, wsyncmgr.log)."}
	}
}

var noSite = messageRule(traffic.FindingKind{
	Code: "msg-no-site", Severity: traffic.Error,
	Title:  "The management point names no site for the agent: the agent cannot be assigned",
	Why:    "An agent that looks for its site gets none when no boundary group with site assignment holds its address; one that names its site gets none when there is no such site in this hierarchy.",
	Remedy: "Put the agent's subnet into a boundary of a boundary group that is used for site assignment; if the agent names a site: correct its site code (SMSSITECODE).",
	Moot:   []string{"msg-no-location"},
}, "mpproxy show N: the addresses and the site code of the request. On the agent: ClientLocation.log, LocationServices.log.", mpSide, certain,
	func(x *Exchange) ([]string, bool) {
		m := x.Message
		return []string{fmt.Sprintf("exchange %d: the %s names no site code", x.ID, m.ReplyKind), x.line()},
			(m.ReplyKind == "assigned-site-reply" || m.ReplyKind == "site-info-reply") && m.Sites == 0 && x.ReplyWhole
	})

// locationNouns are what the location replies name.
var locationNouns = map[string]string{
	"content-location-reply": "distribution points", "local-mp-reply": "management points", "mp-location-reply": "management points",
	"wsus-location-reply": "software update points", "mp-list": "management points", "mp-locate": "management points",
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
				proof = append(proof, p.words()+", "+f.inCertificate(p.Host))
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
	shown := f.mpLeaf().leaf()
	if shown == nil {
		return "no certificate of this management point was seen"
	}
	if shown.VerifyHostname(name) != nil {
		return "not in the certificate that this management point shows"
	}
	return "in the certificate that this management point shows"
}

var otherPoint = rule{
	kind: traffic.FindingKind{
		Code: "msg-other-point", Ref: "N12", Severity: traffic.Info,
		Title:  "The location reply sends the agent to a management point whose name is not in the certificate of the one that answered",
		Why:    "Another management point has a certificate of its own, which is seen only when the agent goes there. If the name is meant to be this one, agents will refuse its certificate (CN_INVALID).",
		Remedy: "Test that management point by its name. If it is this one: issue its certificate for that name, or correct the FQDN of the site system role.",
	},
	check: "mpproxy doctor https://NAME, for the names below.",
	test: func(f *facts) (occurrence, bool) {
		x, proof := f.message(func(x *Exchange) ([]string, bool) {
			if x.Message.Kind == "mp-list" || f.mpLeaf().leaf() == nil {
				return nil, false
			}
			var proof []string
			for _, p := range x.Message.Places {
				if _, good := f.mpLeaf().name(p.Host); p.MP && !good {
					proof = append(proof, fmt.Sprintf("exchange %d: %s, %s", x.ID, p.words(), f.inCertificate(p.Host)))
				}
			}
			return proof, len(proof) > 0
		})
		if x == nil {
			return occurrence{}, false
		}
		return occurrence{leg: traffic.UpstreamSide, sure: certain, exchange: x, proof: proof}, true
	},
}

// listNames finds lists in which the management point that gave them is not
// named as in its certificate: it is always one of those that it names.
var listNames = rule{
	kind: traffic.FindingKind{
		Code: "msg-list-names", Ref: "N12", Severity: traffic.Warning,
		Title:  "The management point's list names it as its certificate does not: agents that go by the list refuse the certificate",
		Why:    "A management point is on its own list. If no name there is in the certificate that it shows, agents come back with a name for which that certificate is not good.",
		Remedy: "Issue the certificate for the name in the list, or correct the FQDN of the site system role; the site hands out the new one within minutes.",
		Moot:   []string{"msg-many-points"},
	},
	check: "mpproxy doctor --upstream https://NAME, for the names below; on the agent: 12175 with flag 0x10.",
	test: func(f *facts) (occurrence, bool) {
		shown := f.mpLeaf()
		if shown.leaf() == nil {
			return occurrence{}, false
		}
		x, proof := f.message(func(x *Exchange) ([]string, bool) {
			m := x.Message
			if m.Kind != "mp-list" || len(m.Places) == 0 || !x.good() {
				return nil, false
			}
			proof := []string{fmt.Sprintf("exchange %d: the list has %d names, none of them in the certificate that this management point shows", x.ID, len(m.Places))}
			for _, p := range m.Places {
				why, good := shown.name(p.Host)
				if good {
					return nil, false
				}
				proof = append(proof, why)
			}
			return proof, true
		})
		if x == nil {
			return occurrence{}, false
		}
		return occurrence{leg: traffic.UpstreamSide, who: mpSide, sure: likely, exchange: x, proof: proof}, true
	},
}

var locationScheme = rule{
	kind: traffic.FindingKind{
		Code: "msg-location-scheme", Ref: "N12", Severity: traffic.Warning,
		Title:  "The management point sends the agent to servers by another scheme than the agent uses here",
		Why:    "In a site of HTTPS only an agent does not go to http:// addresses, or gets 403.4 there; without a certificate it cannot use https:// ones. Content and locations then fail, though each reply looks good.",
		Remedy: "Compare the communication settings of the site (HTTPS only, or HTTPS and HTTP) with those of the servers named below; set those roles to the same, and wait for the new locations.",
		Moot:   []string{"msg-location-url", "msg-ssl-state"},
	},
	check: "In the console: site properties, Communication Security; properties of each role; mpproxy show N: the reply.",
	test: func(f *facts) (occurrence, bool) {
		sure := possible
		x, proof := f.message(func(x *Exchange) ([]string, bool) {
			here, other := "http", "https"
			if x.TLS {
				here, other = other, here
			}
			var wrong []string
			for _, p := range x.Message.Places {
				switch {
				case p.Update || p.Scheme == "" || !locates(x.Message.Kind):
				case p.Scheme == here || p.MP && here == "http": // other SSLStates than 0 may mean both
					return nil, false
				case p.Scheme == other:
					wrong = append(wrong, p.words())
				}
			}
			if len(wrong) == 0 || !x.good() || x.TLS != (f.upstream != nil) || x.TLS && f.upstream.server.enhancedHTTP() {
				return nil, false // Enhanced HTTP has both schemes
			}
			proof := []string{fmt.Sprintf("exchange %d: the agent came by %s, and the reply names only servers by %s: %s", x.ID, here, other, strings.Join(wrong[:min(len(wrong), 5)], "; "))}
			if x.TLS && f.upstream.asked() {
				sure = likely
				proof = append(proof, "the management point asks for client certificates, as sites of HTTPS only do")
			}
			return proof, true
		})
		if x == nil {
			return occurrence{}, false
		}
		return occurrence{leg: traffic.UpstreamSide, who: mpSide, sure: sure, exchange: x, proof: proof}, true
	},
}

// locates is true for requests whose replies say where servers are; policy
// writes http: for addresses that agents then change.
func locates(kind string) bool {
	return naming[kind] && kind != "policy-request" && kind != "policy-body" && kind != "wsus-location"
}
