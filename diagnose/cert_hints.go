package diagnose

import (
	"fmt"
	"slices"
	"strings"

	"mpproxy/internal/tlsrecord"
	"mpproxy/traffic"
)

// hintRules are about the list of authorities that a management point sends
// when it asks for a client certificate: clients show only certificates of
// authorities that are on it, or are below one of them.
var hintRules = []rule{clientCertFiltered, issuerNotNamed}

// authorities are the size and the names of the list that a management point
// sent with its request for a certificate, in the first handshake or later.
func (l *leg) authorities() (size int, names []string) {
	if r := l.tr.CertificateRequest(); r != nil {
		for _, a := range r.Authorities {
			names = append(names, a.Name)
		}
		return r.AuthoritiesSize, names
	}
	a := l.hs.Asked
	if a == nil && l.end.After != nil {
		a = l.end.After.Again
	}
	if a == nil {
		return 0, nil
	}
	for _, der := range a.Authorities {
		names = append(names, tlsrecord.Name(der))
	}
	return a.Size, names
}

// issuers are who issued each certificate of a chain, the leaf's first.
func (c chain) issuers() []string {
	var out []string
	for i := range c {
		out = append(out, c[i].outline.Issuer)
	}
	return out
}

// agentIssuers are those of the chain that the agent shows here or has shown
// elsewhere, the leaf's first; nil when it has shown none.
func (f *facts) agentIssuers() []string {
	if f.agent != nil && len(f.agent.client) > 0 {
		return f.agent.client.issuers()
	}
	return f.Peers.AgentIssuers
}

// lacking is true when a list of authorities has none of a chain's issuers. A
// certificate that was sent alone may be below one of them all the same, which
// only its owner knows: then it is possible, else likely.
func lacking(names, issuers []string) (sure string, lacks bool) {
	if len(names) == 0 || len(issuers) == 0 || slices.ContainsFunc(issuers, func(i string) bool { return slices.Contains(names, i) }) {
		return "", false
	}
	if len(issuers) == 1 {
		return possible, true
	}
	return likely, true
}

// authoritiesLine is how many authorities were named, and the first of them.
func authoritiesLine(names []string) string {
	line := fmt.Sprintf("%d authorities (%s", len(names), quote(strings.Join(names[:min(len(names), 3)], "; ")))
	if len(names) > 3 {
		line += " and more"
	}
	return line + ")"
}

// hintLine is a list that lacks a chain's issuers, as evidence.
func hintLine(size int, names, issuers []string) string {
	line := fmt.Sprintf("the management point named %s, %d bytes", authoritiesLine(names), size)
	line += "; the agent's certificate is by " + quote(strings.Join(slices.Compact(slices.Clone(issuers)), ", which is by "))
	if len(issuers) == 1 {
		line += ", which may be below one of them"
	}
	return line
}

const (
	hintRemedy = "On the management point: put the root into the Trusted Root store of the computer, and switch the list off (SendTrustedIssuerList=0) or complete it."
	hintCheck  = "On the management point: netsh http show sslcert (CTL store), Schannel event 36885 for a list that was cut. On the agent: Schannel event 36875."
)

var clientCertFiltered = rule{
	kind: traffic.FindingKind{
		Code: "native-client-cert-filtered", Ref: "A13", Severity: traffic.Error,
		Title:  "The agent held its certificate back: the management point's list of authorities lacks the issuer",
		Why:    "A client shows only certificates of the authorities that the server names.",
		Remedy: hintRemedy,
		Moot:   append([]string{"native-no-client-cert"}, clientRefused...),
	},
	check: hintCheck,
	test: func(f *facts) (occurrence, bool) {
		l := f.agent
		if l == nil || !l.sealed || !l.showedNone() {
			return occurrence{}, false
		}
		size, names := l.authorities()
		if wanted, _ := f.certificateWanted(); len(f.Peers.AgentIssuers) == 0 && size >= nearCut && wanted != "" {
			return occurrence{leg: traffic.AgentSide, who: mpSide, sure: possible, proof: append([]string{
				fmt.Sprintf("the agent's Certificate message is empty, and the management point named %s, %d bytes: near the cut at 16384 (12228 before 2008), behind which an issuer does not count", authoritiesLine(names), size),
				wanted, "which certificate the agent has was not seen here",
			}, f.nonRoots()...)}, true
		}
		sure, lacks := lacking(names, f.Peers.AgentIssuers)
		if !lacks {
			return occurrence{}, false
		}
		return occurrence{leg: traffic.AgentSide, who: mpSide, sure: sure, proof: append([]string{
			fmt.Sprintf("the agent's Certificate message is empty; elsewhere it has shown one of %s", quote(f.Peers.AgentIssuers[0])),
			hintLine(size, names, f.Peers.AgentIssuers),
		}, f.nonRoots()...)}, true
	},
}

var issuerNotNamed = rule{
	kind: traffic.FindingKind{
		Code: "native-issuer-not-named", Ref: "A13", Severity: traffic.Warning,
		Title:  "The management point's list of authorities lacks the issuer of the agent's certificate: asked by it directly, the agent would show none",
		Why:    "mpproxy names no authorities when it asks, so agents show it certificates that they hold back from the management point (403.7 without mpproxy).",
		Remedy: hintRemedy,
	},
	check: hintCheck,
	test: func(f *facts) (occurrence, bool) {
		l, u := f.agent, f.upstream
		if l == nil || u == nil || l.sealed {
			return occurrence{}, false
		}
		size, names := u.authorities()
		issuers := f.agentIssuers()
		sure, lacks := lacking(names, issuers)
		wanted, _ := f.certificateWanted()
		if !lacks || sure == possible && wanted == "" {
			return occurrence{}, false
		}
		o := occurrence{leg: traffic.UpstreamSide, who: mpSide, sure: sure, proof: []string{hintLine(size, names, issuers)}}
		if len(l.client) == 0 {
			o.proof = append(o.proof, "here the agent showed none to mpproxy either, which named no authorities: the list is not why; elsewhere it has shown one")
		}
		return o, true
	},
}
