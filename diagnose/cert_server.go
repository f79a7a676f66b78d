package diagnose

import (
	"crypto/x509"
	"fmt"
	"strings"
	"time"

	"mpproxy/internal/tlsrecord"
	"mpproxy/traffic"
)

// serverCertRules are about the certificate that a server shows, on either
// leg.
var serverCertRules = []rule{serverCertUnreadable, serverCertExpired, serverCertUsage, serverCertWeak, serverChainBroken, revocationOutOfReach}

// expiryRules look ahead.
var expiryRules = []rule{expiresSoon}

// untrusted are the findings that a bad server certificate explains, whoever
// refused it.
var untrusted = append([]string{"upstream-untrusted", "upstream-tls-failed", "tls-agent-clock"}, turnedAway...)

// serverChains visits the server's chain of each leg, the agent's first.
func (f *facts) serverChains(test func(*leg) (occurrence, bool)) (occurrence, bool) {
	for _, l := range f.legs() {
		if len(l.server) == 0 || distrusted(l) {
			continue
		}
		if o, found := test(l); found {
			o.leg = l.side
			o.proof = append(o.proof, fmt.Sprintf("%s showed the certificate of %s, issued by %s", l.serverName(), quote(l.server.subject()), quote(l.server.issuer())))
			if l.alert.seen {
				o.proof = append(o.proof, l.alertLine())
			}
			return o, true
		}
	}
	return occurrence{}, false
}

// hiddenFrom is an agent that says by its alert what is wrong with a certificate
// that cannot be seen.
func (f *facts) hiddenFrom(code tlsrecord.AlertCode) (occurrence, bool) {
	l := f.agent
	if l == nil || len(l.server) > 0 || !l.says(tlsrecord.Client, code) {
		return occurrence{}, false
	}
	return occurrence{leg: traffic.AgentSide, who: l.serverWho(), sure: likely, proof: []string{
		l.alertLine(), code.String() + ": " + code.Meaning(), "the certificate was encrypted, so only the agent has seen it",
	}}, true
}

// distrusted is true when the agent has said that it is the authority that it
// does not know: what else is wrong with the certificate is then beside it.
func distrusted(l *leg) bool {
	return l.side == traffic.AgentSide && l.says(tlsrecord.Client, 48)
}

// besides lists what is wrong with a certificate that was refused for its
// authority.
func (l *leg) besides() []string {
	var out []string
	if why, good := l.server.dates(l.at()); !good {
		out = append(out, "besides, "+why)
	}
	if why, good := l.server.name(l.hello().ServerName); !good {
		out = append(out, "besides, "+why)
	}
	if why, good := l.server.usage(x509.ExtKeyUsageServerAuth); !good {
		out = append(out, "besides, "+why)
	}
	if why, bad := l.server.weak(); bad {
		out = append(out, "besides, "+why)
	}
	if fault := l.server.fault(l.at()); fault != nil {
		out = append(out, "besides, "+fault.why)
	}
	return out
}

var serverCertUnreadable = rule{
	kind: traffic.FindingKind{
		Code: "tls-server-cert-unreadable", Ref: "A19", Severity: traffic.Error,
		Title:  "The server's certificate cannot be read",
		Why:    "It breaks the rules of its format in a way that Windows may bear, but programs in Go and Java do not.",
		Remedy: "Issue it anew by an authority that keeps to RFC 5280: a positive serial number, no extension twice.",
		Moot:   untrusted,
	},
	check: "mpproxy show FILE --conn NUMBER --pem writes the certificate; certutil -dump or openssl asn1parse reads it.",
	test: func(f *facts) (occurrence, bool) {
		return f.serverChains(func(l *leg) (occurrence, bool) {
			return unreadable(l.server, l.serverWho())
		})
	},
}

// unreadable judges a chain with a certificate that cannot be parsed.
func unreadable(c chain, who string) (occurrence, bool) {
	bad := c.unreadable()
	if bad == nil {
		return occurrence{}, false
	}
	o := occurrence{who: who, sure: certain, proof: []string{
		fmt.Sprintf("%s in the certificate of %s (%d bytes)", bad.unread, quote(bad.outline.Subject), len(bad.der)),
	}}
	if bad.outline.Negative {
		o.proof = append(o.proof, fmt.Sprintf("its serial number is negative: %x", bad.outline.Serial))
	}
	o.proof = append(o.proof, fmt.Sprintf("its bytes begin %x", bad.der[:min(len(bad.der), 32)]))
	return o, true
}

const renewRemedy = "Renew the certificate and bind the new one in IIS (or give it to mpproxy); a renewal alone does not change the binding."

var serverCertExpired = rule{
	kind: traffic.FindingKind{
		Code: "tls-server-cert-dates", Ref: "A05", Severity: traffic.Error,
		Title:  "The server's certificate has expired or is not yet valid",
		Why:    "Nobody who checks dates takes it.",
		Remedy: renewRemedy,
		Moot:   untrusted,
	},
	check: "On the management point: netsh http show sslcert, and the dates of that certificate. On the agent: 12175 with flag 0x20, or 12037.",
	test: func(f *facts) (occurrence, bool) {
		if o, found := f.hiddenFrom(45); found {
			o.do = []string{renewRemedy, "If its dates are good, set the agent's clock (w32tm /resync)."}
			return o, true
		}
		return f.serverChains(func(l *leg) (occurrence, bool) {
			why, good := l.server.dates(l.at())
			return occurrence{who: l.serverWho(), sure: certain, proof: []string{why}}, !good
		})
	},
}

var serverCertUsage = rule{
	kind: traffic.FindingKind{
		Code: "tls-server-cert-usage", Ref: "A07", Severity: traffic.Error,
		Title:  "The server's certificate is not meant for servers",
		Why:    "Its extended key usage lacks Server Authentication, as that of workstation certificates does.",
		Remedy: "Issue one by the Web Server template and bind it in place of this one.",
		Moot:   untrusted,
	},
	check: "certutil -dump on the certificate: Enhanced Key Usage. On the agent: 12175 with flag 0x40, or 12179.",
	test: func(f *facts) (occurrence, bool) {
		if o, found := f.hiddenFrom(43); found {
			return o, true
		}
		return f.serverChains(func(l *leg) (occurrence, bool) {
			why, good := l.server.usage(x509.ExtKeyUsageServerAuth)
			return occurrence{who: l.serverWho(), sure: certain, proof: []string{why}}, !good
		})
	},
}

var serverCertWeak = rule{
	kind: traffic.FindingKind{
		Code: "tls-server-cert-weak", Ref: "A08", Severity: traffic.Warning,
		Title:  "The server's chain has an old signature or a short key",
		Why:    "SHA-1 and MD5 signatures are refused by Windows 10 from 1703 on, by Go and by OpenSSL; keys below 2048 bits more and more.",
		Remedy: "Issue the certificate that the evidence names anew with SHA-256 and at least 2048 bits.",
		Moot:   untrusted,
	},
	check: "certutil -dump on the certificate: Signature Algorithm, Public Key Length.",
	test: func(f *facts) (occurrence, bool) {
		return f.serverChains(func(l *leg) (occurrence, bool) {
			why, found := l.server.weak()
			return occurrence{who: l.serverWho(), sure: certain, proof: []string{why}}, found
		})
	},
}

var revocationOutOfReach = rule{
	kind: traffic.FindingKind{
		Code: "tls-revocation-ldap-only", Ref: "A06", Severity: traffic.Warning,
		Title:  "The agent left without a word, and the certificate's revocation list is only in a directory that agents outside of the domain cannot read",
		Why:    "Agents check revocation of the site's certificates by default; workgroup and internet clients cannot read ldap: addresses.",
		Remedy: "Publish the CRL over HTTP and name that in the certificates; or switch the check off (site setting, /NoCRLCheck).",
		Moot:   []string{"tls-agent-left", "tls-agent-left-idle", "tls-agent-handshake-failed"},
	},
	check: "On the agent, as SYSTEM: certutil -verify -urlfetch FILE; CcmMessaging.log shows 12175 with flag 0x1, or 12057.",
	test: func(f *facts) (occurrence, bool) {
		l := f.agent
		if l == nil || !f.unhappy() || l.alert.seen || l.stage < tlsrecord.StageServerDone {
			return occurrence{}, false
		}
		x := l.server.leaf()
		if x == nil || len(x.CRLDistributionPoints) == 0 {
			return occurrence{}, false
		}
		for _, url := range x.CRLDistributionPoints {
			if !strings.HasPrefix(strings.ToLower(url), "ldap:") {
				return occurrence{}, false
			}
		}
		return occurrence{leg: traffic.AgentSide, who: l.serverWho(), sure: likely, proof: []string{
			"the certificate names only " + quote(strings.Join(x.CRLDistributionPoints, ", ")), howItEnded(f),
		}, notIt: f.serverFits("")}, true
	},
}

var expiresSoon = rule{
	kind: traffic.FindingKind{
		Code: "tls-cert-expires-soon", Ref: "X01", Severity: traffic.Warning,
		Title:  "A certificate expires within 30 days",
		Why:    "It works now. The day after it will not.",
		Remedy: "Renew it in time; for a management point also bind the new one.",
	},
	check: "certutil -dump on the certificate: NotAfter.",
	test: func(f *facts) (occurrence, bool) {
		for _, l := range f.legs() {
			for s, c := range []chain{tlsrecord.Client: l.client, tlsrecord.Server: l.server} {
				x := c.leaf()
				if x == nil {
					continue
				}
				left := x.NotAfter.Sub(f.now())
				if left <= 0 || left > 30*24*time.Hour {
					continue
				}
				side, who := tlsrecord.Side(s), l.serverWho()
				if side == tlsrecord.Client {
					who = l.clientWho()
				}
				return occurrence{leg: l.side, who: who, sure: certain, proof: []string{
					fmt.Sprintf("the certificate of %s, shown by %s, is valid until %s: %d days", quote(strings.TrimSpace(c.subject())), l.nameOf(side), day(x.NotAfter), int(left.Hours()/24)),
				}}, true
			}
		}
		return occurrence{}, false
	},
}
