package diagnose

import (
	"slices"

	"mpproxy/traffic"
)

// catalogue lists every fault that mpproxy can name, the most specific first:
// of two findings on one connection the one that is further up explains the
// other, if it lists it as moot.
var catalogue = slices.Concat(
	agentBytesRules,
	agentVersionRules,
	serverNameRules,
	authoritiesRules,
	serverCertRules,
	agentNameRules,
	revocationRules,
	agentTrustRules,
	noListRules,
	clientCertRules,
	hintRules,
	upstreamReachRules,
	upstreamCertRules,
	renegotiationRules,
	upstreamRefusalRules,
	identityRules,
	registrationRules,
	downloadRules,
	policyRules,
	inventoryRules,
	locationRules,
	tokenRules,
	bitsRules,
	contentPathRules,
	cutRules,
	betweenRules,
	bridgeRules,
	bindingRules,
	ownCheckRules,
	missingRules,
	statusRules,
	clockRules,
	expiryRules,
	sideRules,
	mpAlertRules,
	unexplainedRules,
	refusedRules,
)

// judged are the lints of single messages that rules here say more of: with the
// side, and whether a later message has made it good.
var judged = map[string]bool{
	"msg-registration-pending": true, "msg-registration-again": true, "msg-registration-refused": true, "msg-not-approved": true,
	"msg-certificate-reset": true, "msg-no-policy": true, "msg-policy-hash": true, "msg-policy-refused": true, "msg-policy-unsigned": true,
	"msg-no-dp": true, "msg-no-wsus": true, "http-empty-answer": true, "http-no-message": true, "http-framing-lost": true,
}

// Judges is true for a finding in one message that a diagnosis replaces.
func Judges(code string) bool { return judged[code] }

// FindingKinds are the kinds that a diagnosis can find, in the catalogue's
// order.
func FindingKinds() []*traffic.FindingKind {
	var out []*traffic.FindingKind
	for i := range catalogue {
		out = append(out, &catalogue[i].kind)
	}
	return out
}
