package diagnose

import (
	"crypto/x509"
	"fmt"
	"slices"

	"mpproxy/internal/tlsrecord"
	"mpproxy/traffic"
)

// upstreamRefusalRules are about the management point refusing a client
// certificate, or asking for it in ways that fail.
var upstreamRefusalRules = []rule{mpNoCertificate, mpRefusesCertificate, mpRefusesHidden, mpRenegotiates, mpAlertAtEnd, mpAuthoritiesHuge, mpRootStore}

var mpNoCertificate = rule{
	kind: traffic.FindingKind{
		Code: "upstream-no-certificate", Ref: "M13", Severity: traffic.Error,
		Title:  "The management point wants a client certificate, and mpproxy has none to show",
		Why:    "mpproxy ends the agent's TLS, so it needs a certificate of its own for the way to the management point.",
		Remedy: "Give mpproxy a client certificate of the site's PKI: --client-cert FILE.pfx.",
		Moot:   []string{"upstream-tls-failed", "upstream-no-reply", "upstream-left-request", "upstream-forbidden", "upstream-refuses-certificate", "http-answered-between", "upstream-refuses-request"},
	},
	check: "On the management point: IIS log, sc-status 403 sc-substatus 7.",
	test: func(f *facts) (occurrence, bool) {
		o := occurrence{leg: traffic.UpstreamSide, who: proxySide, sure: certain}
		if line, sure := f.wantedUpstream(); line != "" {
			o.sure, o.proof = sure, []string{line}
			return o, true
		}
		x := f.turnedBack()
		if u := f.upstream; x == nil || u == nil || len(u.client) > 0 || f.neverAsked() && !x.wantsCertificate() || f.gateway(x) {
			return occurrence{}, false
		}
		o.sure, o.exchange = likely, x
		o.proof = []string{x.line() + x.called(), f.howAsked() + "mpproxy showed no certificate to the management point"}
		if !f.neverAsked() && x.wantsCertificate() {
			o.sure = certain
		}
		return o, true
	},
}

// refusedAfterwards finds an alert that came after a good handshake, as TLS 1.3
// has it: in the error of the first exchange.
func (f *facts) refusedAfterwards() (tlsrecord.AlertCode, bool) {
	for _, x := range f.Exchanges {
		if code, said := alertIn(x.Err, "remote error: "); said {
			return code, true
		}
	}
	return alertIn(f.Conn.UpstreamLeg.Err, "remote error: ")
}

var mpRefusesCertificate = rule{
	kind: traffic.FindingKind{
		Code: "upstream-refuses-certificate", Ref: "M12", Severity: traffic.Error,
		Title:  "The management point refuses the client certificate that it was shown",
		Why:    "Its Windows decides this from the computer's own stores; the list of issuers in the site's settings does not help.",
		Remedy: "See the certificate's dates, usage, key and authority below, and the management point's own log for the reason.",
		Moot:   []string{"upstream-tls-failed", "upstream-no-reply", "upstream-left-request", "upstream-forbidden", "http-answered-between", "upstream-refuses-request"},
	},
	check: "On the management point: Schannel events 36876 and 36888; certutil -verify FILE on the certificate.",
	test: func(f *facts) (occurrence, bool) {
		l := f.upstream
		if f.agent != nil && f.agent.sealed {
			l = f.agent
		}
		if l == nil {
			return occurrence{}, false
		}
		said, line, code := l.says(tlsrecord.Server, 42, 43, 44, 45, 46, 48, 49, 51), l.alertLine(), l.alert.code
		if late, after := f.refusedAfterwards(); !said && after {
			code = late
			line = "alert " + alertText(code) + " from the management point, after the handshake (decrypted by mpproxy)"
			if f.again() != nil {
				line = "alert " + alertText(code) + " from the management point, in the renegotiation by which it asked for the certificate (decrypted by mpproxy)"
			}
			said = code >= 42 && code <= 51
		}
		if x := f.answered(400); !said && x != nil && x.isCalled(pageBadCertificate) {
			said, line = true, x.line()+x.called()
		}
		if !said || len(l.client) == 0 && (!l.sealed || l.tr.Version() < tlsrecord.TLS13) {
			return occurrence{}, false
		}
		o := occurrence{leg: l.side, who: mpSide, sure: certain, proof: []string{line}, do: refusalRemedy(code, l), notIt: f.clientFits(l.client)}
		if len(l.client) > 0 {
			o.proof = append(o.proof, l.clientName()+" showed "+l.client.words())
		}
		if why, good := l.client.dates(l.at()); !good {
			o.who = l.clientWho()
			o.proof = append(o.proof, why)
		}
		if why, good := l.client.usage(x509.ExtKeyUsageClientAuth); !good {
			o.who = l.clientWho()
			o.proof = append(o.proof, why)
		}
		return o, true
	},
}

// refusalRemedy is what to do about an alert by which a client certificate is
// refused; nil leaves it to the rule's own.
func refusalRemedy(code tlsrecord.AlertCode, l *leg) []string {
	c := l.client
	switch code {
	case 48:
		do := []string{"On the management point: import the root of " + quote(c.top()) + " into LocalMachine\\Root, its intermediates into LocalMachine\\CA; importing them into the site's settings is not enough."}
		if c.alone() && !l.leafOnly {
			do = append(do, "The certificate was sent alone: if "+quote(c.issuer())+" is an intermediate, put it behind the certificate in the file (--client-cert), or import it into LocalMachine\\CA.")
		}
		return do
	case 45:
		return []string{"Renew the certificate; if its dates are good, set the management point's clock."}
	case 44:
		return []string{"Enrol another certificate: this one is on its authority's revocation list."}
	case 43:
		return []string{"Use a certificate with Client Authentication and an RSA key."}
	case 51:
		return []string{"See that the private key belongs to the certificate."}
	}
	return nil
}

var mpRenegotiates = rule{
	kind: traffic.FindingKind{
		Code: "upstream-renegotiates", Ref: "M10", Severity: traffic.Info,
		Title:  "The management point asks for the client certificate by renegotiation, in the middle of the connection",
		Why:    "IIS does so where only some paths want certificates. Clients in Go refuse it unless told otherwise, and large bodies get in its way.",
		Remedy: "Ask for the certificate in the first handshake: netsh http … clientcertnegotiation=enable. mpproxy itself renegotiates once.",
	},
	check: "On the management point: netsh http show sslcert, Negotiate Client Certificate.",
	test: func(f *facts) (occurrence, bool) {
		if l := f.agent; l != nil && l.sealed {
			r := l.tr.Renegotiation()
			if r == nil || r.By != tlsrecord.Server {
				return occurrence{}, false
			}
			o := occurrence{leg: l.side, who: mpSide, sure: certain, proof: []string{
				fmt.Sprintf("a HelloRequest at byte %d of what the management point sent", r.Offset),
			}}
			switch {
			case r.Completed:
				o.proof = append(o.proof, fmt.Sprintf("the agent renegotiated with %d bytes, to the end", r.ClientBytes))
			case r.Answered:
				o.proof = append(o.proof, fmt.Sprintf("the agent began to renegotiate with %d bytes, but not to the end", r.ClientBytes))
			default:
				o.proof = append(o.proof, "the agent did not renegotiate: it refused, as programs in Go do unless told otherwise")
				o.do = []string{"Let the client renegotiate (in Go: tls.Config.Renegotiation), or ask in the first handshake: netsh http … clientcertnegotiation=enable."}
			}
			return o, true
		}
		if o, found := f.askedAgain(); found {
			return o, true
		}
		return occurrence{}, false
	},
}

// nearCut is the size of a list of authorities, in bytes, from which on one that
// was cut has to be reckoned with: 12228 before Windows 2008, 16384 since.
const nearCut = 12_000

// nonRoots says which of the authorities that the management point names are no
// roots, by the certificates that were seen of them: http.sys names what stands
// in the Trusted Root store, where only roots belong.
func (f *facts) nonRoots() []string {
	named := map[string]bool{}
	for _, l := range f.legs() {
		if l.serverWho() == mpSide {
			_, names := l.authorities()
			for _, n := range names {
				named[n] = true
			}
		}
	}
	var out []string
	for _, l := range f.legs() {
		for _, c := range slices.Concat(l.server, l.client) {
			if name := c.outline.Subject; named[name] && c.outline.Issuer != name {
				named[name] = false
				out = append(out, "among the authorities that the management point names is "+quote(name)+", which is no root ("+quote(c.outline.Issuer)+" has issued it): a certificate that is no root stands in its Trusted Root store, which makes 403.16 and 403.7 of good certificates")
			}
		}
	}
	return out
}

var mpRootStore = rule{
	kind: traffic.FindingKind{
		Code: "upstream-root-store", Ref: "M15", Severity: traffic.Warning,
		Title:  "The management point names an authority that is no root, as when a certificate that is not self-signed stands in its Trusted Root store",
		Why:    "Windows then answers 403.16, or 403.7, to agents whose certificates are good. A list of trusted issuers that was made by hand may name intermediates and do no harm.",
		Remedy: "On the management point: Get-ChildItem Cert:\\LocalMachine\\Root | Where-Object { $_.Issuer -ne $_.Subject } must print nothing: move what it prints to the Intermediate store.",
	},
	check: "On the management point: netsh http show sslcert, CTL store name; Schannel event 36885; IIS log 403 16 2148204809.",
	test: func(f *facts) (occurrence, bool) {
		proof := f.nonRoots()
		leg := traffic.UpstreamSide
		if f.agent != nil && f.agent.sealed {
			leg = traffic.AgentSide
		}
		return occurrence{leg: leg, who: mpSide, sure: possible, proof: proof}, len(proof) > 0
	},
}

var mpAuthoritiesHuge = rule{
	kind: traffic.FindingKind{
		Code: "upstream-authorities-huge", Ref: "M20", Severity: traffic.Warning,
		Title:  "The management point names so many authorities that its list is cut or cannot be read",
		Why:    "Windows cuts the list at 16 KB (12 KB before 2008), and what is behind the cut does not count; Go refuses it above 64 KB.",
		Remedy: "Remove authorities from the Trusted Root store of the management point, or send no list: SendTrustedIssuerList=0.",
		Moot:   []string{"native-issuer-not-named"},
	},
	check: "On the management point: Schannel event 36885.",
	test: func(f *facts) (occurrence, bool) {
		for _, l := range f.legs() {
			if l.serverWho() != mpSide {
				continue
			}
			size, names := l.authorities()
			if size < nearCut {
				continue
			}
			o := occurrence{leg: l.side, who: mpSide, sure: likely, proof: []string{
				fmt.Sprintf("its CertificateRequest has %d bytes of names, %d of them; the cut is at 16384, before 2008 at 12228", size, len(names)),
			}}
			if issuers := f.agentIssuers(); len(issuers) > 0 {
				if _, lacks := lacking(names, issuers); lacks {
					o.proof = append(o.proof, "the issuer of the agent's certificate, "+quote(issuers[0])+", is not in it: such an agent shows none")
				}
			}
			o.proof = append(o.proof, f.nonRoots()...)
			return o, true
		}
		return occurrence{}, false
	},
}
