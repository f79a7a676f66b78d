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
	registrationRules,
	inventoryRules,
	locationRules,
	tokenRules,
	bitsRules,
	contentPathRules,
	bridgeRules,
	bindingRules,
	ownCheckRules,
	statusRules,
	expiryRules,
	sideRules,
	mpAlertRules,
	unexplainedRules,
	refusedRules,
)

// FindingKinds are the kinds that a diagnosis can find, in the catalogue's
// order.
func FindingKinds() []*traffic.FindingKind {
	var out []*traffic.FindingKind
	for i := range catalogue {
		out = append(out, &catalogue[i].kind)
	}
	return out
}
