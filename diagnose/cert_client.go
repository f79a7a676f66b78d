package diagnose

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/x509"
	"fmt"
	"net"
	"slices"
	"strings"

	"mpproxy/internal/tlsrecord"
	"mpproxy/traffic"
)

// clientCertRules are about the certificate of the agent.
var clientCertRules = []rule{
	clientCertUnreadable, clientCertKey, clientCertExpired, clientCertUsage, clientCertNoSign, clientCertSHA1,
	clientCertLater, noClientCert, clientCertUnknown, clientSignature,
}

// clientRefused are the findings that a bad client certificate explains.
var clientRefused = []string{
	"upstream-forbidden", "upstream-refuses-certificate", "upstream-no-certificate", "upstream-tls-failed", "upstream-left-request",
	"tls-agent-handshake-failed", "native-client-cert-unknown", "tls-agent-left",
}

// agentChain visits the agent's chain.
func (f *facts) agentChain(test func(*leg) (occurrence, bool)) (occurrence, bool) {
	l := f.agent
	if l == nil || len(l.client) == 0 {
		return occurrence{}, false
	}
	o, found := test(l)
	o.leg, o.who = traffic.AgentSide, cmp.Or(o.who, agentSide)
	if found {
		o.proof = append(o.proof, "the agent showed "+l.client.words())
		if l.alert.seen {
			o.proof = append(o.proof, l.alertLine())
		}
	}
	return o, found
}

var clientCertUnreadable = rule{
	kind: traffic.FindingKind{
		Code: "native-client-cert-unreadable", Ref: "A19", Severity: traffic.Error,
		Title:  "The agent's certificate cannot be read",
		Why:    "It breaks the rules of its format in a way that Windows may bear, but programs in Go and Java do not: mpproxy cannot terminate TLS for this agent.",
		Remedy: "Issue it anew by an authority that keeps to RFC 5280 (a positive serial number), or pass this agent through: --tls passthrough.",
		Moot:   append([]string{"tls-agent-alert"}, clientRefused...),
	},
	check: "mpproxy show FILE --conn NUMBER --pem writes the certificate; certutil -dump or openssl asn1parse reads it.",
	test: func(f *facts) (occurrence, bool) {
		if f.agent != nil && len(f.agent.client) == 0 && strings.Contains(f.agent.hs.Err, "failed to parse client certificate") {
			return occurrence{leg: traffic.AgentSide, who: agentSide, sure: certain, proof: []string{"crypto/tls could not read it: " + quote(f.agent.hs.Err)}}, true
		}
		return f.agentChain(func(l *leg) (occurrence, bool) { return unreadable(l.client, agentSide) })
	},
}

// documentedBits is the longest RSA key of client certificates by the
// documentation of ConfigMgr (PKI certificate requirements).
const documentedBits = 2048

var clientCertKey = rule{
	kind: traffic.FindingKind{
		Code: "native-client-cert-key", Ref: "A20", Severity: traffic.Error,
		Title:  "The agent's certificate has a key that is not taken",
		Why:    "RSA below 1024 and above 8192 bits is refused; ConfigMgr takes no ECDSA client certificates (its CNG support is for RSA).",
		Remedy: "Enrol a certificate with RSA 2048.",
		Moot:   append([]string{"native-client-cert-sha1", "native-client-signature"}, clientRefused...),
	},
	check: "certutil -dump on the certificate: Public Key Algorithm and Length.",
	test: func(f *facts) (occurrence, bool) {
		return f.agentChain(func(l *leg) (occurrence, bool) {
			x := l.client.leaf()
			if x == nil {
				return occurrence{}, false
			}
			bad := false
			switch x.PublicKey.(type) {
			case *ecdsa.PublicKey, ed25519.PublicKey:
				bad = true
			default:
				bits := rsaBits(x)
				bad = bits < 1024 || bits > 8192
				if !bad && bits > documentedBits && f.clientWasRefused() {
					return occurrence{sure: possible, proof: []string{fmt.Sprintf("its key is %s; the documented maximum for client certificates is %d bits", keyName(x), documentedBits)}}, true
				}
			}
			return occurrence{sure: certain, proof: []string{"its key is " + keyName(x)}}, bad
		})
	},
}

var clientCertExpired = rule{
	kind: traffic.FindingKind{
		Code: "native-client-cert-dates", Ref: "A14", Severity: traffic.Error,
		Title:  "The agent's certificate has expired or is not yet valid",
		Why:    "IIS answers 403.17 or 403.16, whatever the request is.",
		Remedy: "Renew the agent's certificate (certutil -pulse, gpupdate), and look at the agent's clock.",
		Moot:   clientRefused,
	},
	check: "On the agent: ClientIDManagerStartup.log; the certificates of the computer's Personal store.",
	test: func(f *facts) (occurrence, bool) {
		return f.agentChain(func(l *leg) (occurrence, bool) {
			why, good := l.client.dates(l.at())
			return occurrence{sure: certain, proof: []string{why}}, !good
		})
	},
}

var clientCertUsage = rule{
	kind: traffic.FindingKind{
		Code: "native-client-cert-usage", Ref: "A15", Severity: traffic.Error,
		Title:  "The agent's certificate is not meant for clients",
		Why:    "Its extended key usage lacks Client Authentication; IIS answers 403.7 or 403.16.",
		Remedy: "Enrol one by a template with Client Authentication, such as Workstation Authentication.",
		Moot:   clientRefused,
	},
	check: "certutil -dump on the certificate: Enhanced Key Usage.",
	test: func(f *facts) (occurrence, bool) {
		return f.agentChain(func(l *leg) (occurrence, bool) {
			why, good := l.client.usage(x509.ExtKeyUsageClientAuth)
			return occurrence{sure: certain, proof: []string{why}}, !good
		})
	},
}

var clientCertNoSign = rule{
	kind: traffic.FindingKind{
		Code: "native-client-cert-no-signature", Ref: "A16", Severity: traffic.Error,
		Title:  "The agent's certificate may not sign",
		Why:    "Its key usage lacks Digital Signature, by which a client proves in TLS that the key is its own. Windows refuses it; Go does not look.",
		Remedy: "Enrol one by a template whose purpose is signature and encryption.",
		Moot:   clientRefused,
	},
	check: "certutil -dump on the certificate: Key Usage.",
	test: func(f *facts) (occurrence, bool) {
		return f.agentChain(func(l *leg) (occurrence, bool) {
			x := l.client.leaf()
			bad := x != nil && x.KeyUsage != 0 && x.KeyUsage&x509.KeyUsageDigitalSignature == 0
			return occurrence{sure: certain, proof: []string{"its key usage is there and has no Digital Signature"}}, bad
		})
	},
}

var clientCertSHA1 = rule{
	kind: traffic.FindingKind{
		Code: "native-client-cert-sha1", Ref: "A18", Severity: traffic.Warning,
		Title:  "The agent's certificate is signed with SHA-1 or MD5",
		Why:    "IIS may still take it; Go, OpenSSL and newer Windows do not, and call its authority unknown.",
		Remedy: "Renew it by an authority that signs with SHA-256.",
		Moot:   clientRefused,
	},
	check: "certutil -dump on the certificate: Signature Algorithm.",
	test: func(f *facts) (occurrence, bool) {
		return f.agentChain(func(l *leg) (occurrence, bool) {
			for _, c := range l.client {
				if c.x != nil && !selfIssued(c.x) && oldHash(c.x) != "" {
					return occurrence{sure: certain, proof: []string{"the certificate of " + quote(c.outline.Subject) + " is signed with " + oldHash(c.x)}}, true
				}
			}
			return occurrence{}, false
		})
	},
}

var clientCertLater = rule{
	kind: traffic.FindingKind{
		Code: "native-client-cert-retry", Ref: "A12", Severity: traffic.Info,
		Title:  "The agent came without its certificate, and at once again with it",
		Why:    "WinHTTP does so: it shows a certificate only after it was refused without one (12044). Nothing is wrong.",
		Remedy: "Nothing.",
		Moot:   []string{"upstream-forbidden", "upstream-no-certificate", "upstream-tls-failed", "upstream-left-request", "upstream-tls-unexplained"},
	},
	check: "The agent's next connection carries its requests.",
	test: func(f *facts) (occurrence, bool) {
		if f.agent == nil || !f.agent.showedNone() || !f.Peers.ShowedLater {
			return occurrence{}, false
		}
		wanted, _ := f.certificateWanted()
		if wanted == "" {
			return occurrence{}, false
		}
		return occurrence{leg: traffic.AgentSide, who: "", sure: likely, proof: []string{
			emptyCertificate(f.agent), wanted, "an agent of the same address, with the same hello, showed a certificate within " + RetryTime.String() + oneAddress,
		}}, true
	},
}

var noClientCert = rule{
	kind: traffic.FindingKind{
		Code: "native-no-client-cert", Ref: "A12", Severity: traffic.Error,
		Title:  "The agent was asked for its certificate and shows none, and the management point wants one",
		Why:    "The computer's Personal store has no certificate that the agent would choose: with private key, Client Authentication, and of an issuer that the site names.",
		Remedy: "Enrol a Workstation Authentication certificate for the agent, private key readable for SYSTEM; from 5.00.9049 on install with /UsePKICert.",
		Moot:   []string{"upstream-forbidden", "upstream-no-certificate", "upstream-tls-failed", "upstream-left-request", "tls-agent-handshake-failed", "http-answered-between", "upstream-refuses-request"},
	},
	check: "On the agent: ClientIDManagerStartup.log says which certificates it found; on the management point: IIS log, sc-status 403 sc-substatus 7.",
	test: func(f *facts) (occurrence, bool) {
		l := f.agent
		if l == nil || !l.showedNone() || f.Peers.ShowedLater {
			return occurrence{}, false
		}
		o := occurrence{leg: traffic.AgentSide, who: agentSide, sure: certain, proof: []string{emptyCertificate(l)}}
		wanted, sure := f.certificateWanted()
		if wanted == "" {
			return occurrence{}, false
		}
		o.sure = sure
		o.proof = append(o.proof, wanted)
		if n := f.Peers.WithCertificate; n > 0 {
			o.proof = append(o.proof, fmt.Sprintf("%d of %d agents on this listener have shown one", n, f.Peers.Agents))
		}
		if _, names := l.authorities(); l.sealed && len(names) > 0 && len(f.Peers.AgentIssuers) == 0 {
			o.sure = lower(o.sure)
			o.proof = append(o.proof, "the management point named "+authoritiesLine(names)+": if the agent has a certificate of another authority, it held that back")
		}
		f.switchNeeded(&o)
		if own := f.ownCheck(); own != nil {
			o.who, o.proof = mpSide, append(o.proof, own...)
			o.do = []string{
				"Give the management point's own computer a client certificate (Workstation Authentication, private key readable for SYSTEM).",
				"Restart it if a restart is pending after the role was installed anew.",
			}
		}
		if !l.sealed {
			o.notIt = append(o.notIt, Ruled{"filtered by the authorities named", "mpproxy named none when it asked, so any certificate would have done"},
				Ruled{"private key not readable", "the agent would have broken off; it went on"})
		}
		return o, true
	},
}

// switchBuild is the first build whose setup offers its PKI certificate only
// when it is told to (5.00.9049, version 2103).
const switchBuild = 9049

// switchNeeded adds what the agent's version says about an empty Certificate.
func (f *facts) switchNeeded(o *occurrence) {
	program, build, where := f.version()
	switch {
	case build >= switchBuild:
		o.proof = append(o.proof, fmt.Sprintf("the agent is %s (%s): from 5.00.%d on its setup offers a PKI certificate on the internet only with /UsePKICert", program, where, switchBuild))
		o.do = []string{
			"Install the agent again with /UsePKICert (in client push and in the task sequence too: their installation properties).",
			"If it was installed so: enrol a Workstation Authentication certificate for it, private key readable for SYSTEM.",
		}
	case build > 0:
		o.notIt = append(o.notIt, Ruled{"/UsePKICert missing", fmt.Sprintf("the agent is %s (%s); the switch is needed from 5.00.%d on", program, where, switchBuild)})
		o.do = []string{"Enrol a Workstation Authentication certificate for the agent, private key readable for SYSTEM."}
	}
}

func emptyCertificate(l *leg) string {
	if _, m := tlsrecord.First[*tlsrecord.Certificate](&l.tr.Client); m != nil && !m.Opened {
		return "the agent's Certificate message has length 3: no certificate"
	}
	return "the agent answered the request for a certificate with none (as crypto/tls decrypted it)"
}

// certificateWanted says how the management point showed that it wants a
// client certificate, and how sure that is.
func (f *facts) certificateWanted() (line, sure string) {
	if l := f.agent; l.sealed {
		if l.says(tlsrecord.Server, 40, 42, 46, 48, 116) {
			return l.alertLine(), certain
		}
		return "", ""
	}
	if line, sure := f.wantedUpstream(); line != "" {
		return line, sure
	}
	x := f.turnedBack()
	switch {
	case x == nil:
		return "", ""
	case x.wantsCertificate():
		return x.line() + x.called(), certain
	case f.upstream == nil, len(f.upstream.client) > 0: // 403.4 rather; or it is about mpproxy's certificate
		return "", ""
	case f.neverAsked() && f.upstream.tr.Version() >= tlsrecord.TLS13: // nor can it ask later
		return "", ""
	case f.neverAsked():
		return x.line() + "; it never asked mpproxy for a certificate, so 403 may have another reason", possible
	}
	return x.line(), likely
}

// neverAsked is true when the management point has not asked mpproxy for a
// client certificate, in the first handshake or later.
func (f *facts) neverAsked() bool {
	u, after := f.upstream, f.Conn.UpstreamLeg.After
	if u == nil || u.asked() {
		return false
	}
	_, again := handshakeAfter(after)
	return !again && f.again() == nil
}

// howAsked begins a sentence with how the management point asked mpproxy for a
// certificate; "" when it did not.
func (f *facts) howAsked() string {
	switch {
	case f.again() != nil:
		return "the management point asked for a certificate by renegotiation; "
	case f.upstream.asked():
		return "the management point asked for a certificate in the handshake; "
	}
	return ""
}

// Pages by which nginx, and gateways made of it, say what is wrong with TLS; the
// status is 400.
const (
	pageNoCertificate  = "no required ssl certificate was sent"
	pageBadCertificate = "the ssl certificate error"
	pageWantsTLS       = "the plain http request was sent to https port"
)

// wantsCertificate knows the reason phrases and pages that ask for a
// certificate: IIS with detailed errors, cloud gateways, and nginx.
func (x *Exchange) wantsCertificate() bool {
	r := strings.ToLower(strings.ReplaceAll(x.Reason, " ", ""))
	return strings.Contains(r, "clientcertificaterequired") || x.isCalled(pageNoCertificate)
}

// turnedBack is the answer by which somebody was turned back who may have lacked
// a certificate; nil for none.
func (f *facts) turnedBack() *Exchange {
	if x := f.answered(403); x != nil {
		return x
	}
	if x := f.answered(400); x != nil && x.isCalled(pageNoCertificate) {
		return x
	}
	return nil
}

// wantedUpstream says how the management point refused mpproxy without a
// certificate, and how sure that is; "" when it did not.
func (f *facts) wantedUpstream() (line, sure string) {
	u := f.upstream
	if u == nil || len(u.client) > 0 {
		return "", ""
	}
	if u.says(tlsrecord.Server, 116) || u.says(tlsrecord.Server, 40, 42) && u.showedNone() {
		return u.alertLine() + ", after an empty Certificate", certain
	}
	if u.says(tlsrecord.Server) && u.showedNone() && u.asked() { // GnuTLS says decode_error
		return u.alertLine() + ", after an empty Certificate", likely
	}
	code, said := f.refusedAfterwards()
	switch {
	case said && code == 116:
		return "the management point said alert " + alertText(code) + " after the handshake", certain
	case said && f.again() == nil && u.showedNone(): // in TLS 1.3; Java says bad_certificate
		return "the management point said alert " + alertText(code) + " after the handshake, in which mpproxy showed no certificate", missedBy(code)
	case said && f.again() != nil:
		return "the management point asked for a certificate by renegotiation, got none, and said alert " + alertText(code), missedBy(code)
	}
	return "", ""
}

// missedBy is how sure it is that an alert, said after an empty Certificate,
// says that one is missed.
func missedBy(code tlsrecord.AlertCode) string {
	if code == 40 || code == 42 {
		return certain
	}
	return likely
}

var clientCertUnknown = rule{
	kind: traffic.FindingKind{
		Code: "native-client-cert-unknown", Ref: "A17", Severity: traffic.Error,
		Title:  "The agent's certificate is of an authority that the management point does not know",
		Why:    "Trust is decided by the Windows stores of the management point's computer; the list of issuers in the site's settings does not help.",
		Remedy: "Import the root into the Trusted Root store, and the intermediates into the Intermediate store, of the management point's computer (LocalMachine, not a user's).",
		Moot:   []string{"upstream-forbidden", "upstream-refuses-certificate", "upstream-tls-failed", "tls-agent-handshake-failed"},
	},
	check: "On the management point: certutil -verify FILE on the agent's certificate; IIS log 403 16 2148204809.",
	test: func(f *facts) (occurrence, bool) {
		return f.agentChain(func(l *leg) (occurrence, bool) {
			o := occurrence{sure: likely, notIt: f.clientFits(l.client)}
			refused := l.sealed && l.says(tlsrecord.Server, 48)
			x := f.answered(403)
			switch {
			case refused:
				o.sure = certain
			case x == nil || len(f.Peers.Issuers) == 0 || slices.Contains(f.Peers.Issuers, l.client.issuer()):
				return o, false
			default:
				o.exchange = x
				o.proof = append(o.proof, x.line(), "agents that are served have certificates of "+quote(strings.Join(f.Peers.Issuers, "; ")))
			}
			o.proof = append([]string{f.missing(l.client)}, append(o.proof, f.nonRoots()...)...)
			o.who = mpSide
			if slices.Contains(f.Peers.Intermediates, l.client.issuer()) && l.client.alone() {
				o.who = agentSide
				o.do = []string{
					"On the agent: import the intermediate " + quote(l.client.issuer()) + " into the computer's Intermediate store, so that the agent sends it.",
					"Or on the management point: import it into the computer's Intermediate store.",
				}
			}
			return o, true
		})
	},
}

var clientSignature = rule{
	kind: traffic.FindingKind{
		Code: "native-client-signature", Ref: "A21", Severity: traffic.Error,
		Title:  "The agent's signature does not fit its certificate",
		Why:    "The private key belongs to another certificate, or a TPM signs with another salt than TLS wants (TPM 2.0 revision 1.16 with RSA-PSS).",
		Remedy: "Enrol a new certificate; with a TPM update its firmware, or take RSA-PSS out of the agent's signature algorithms.",
		Moot:   []string{"tls-agent-handshake-failed", "upstream-refuses-certificate"},
	},
	check: "On the agent: certutil -verifystore My; certutil -v -store My shows the key's provider.",
	test: func(f *facts) (occurrence, bool) {
		return f.agentChain(func(l *leg) (occurrence, bool) {
			o := occurrence{sure: likely, proof: []string{l.serverName() + " could not verify the agent's CertificateVerify"}}
			if v, _ := tlsrecord.First[*tlsrecord.CertificateVerify](&l.tr.Client); v != nil && v.Scheme != 0 {
				o.proof = append(o.proof, "it was signed with "+v.Scheme.String())
			}
			if strings.Contains(l.hs.Err, "invalid signature by the client certificate") {
				o.sure = certain
			}
			return o, l.says(tlsrecord.Server, 51)
		})
	},
}

// missing tells a missing intermediate from an unknown root.
func (f *facts) missing(c chain) string {
	switch {
	case c.complete():
		return "the chain is complete as sent: its root, " + quote(c[len(c)-1].outline.Subject) + ", is what the management point's Windows does not trust; importing it into the site's settings is not enough"
	case slices.Contains(f.Peers.Intermediates, c.issuer()):
		return "the agent sent no intermediate; " + quote(c.issuer()) + " is one, which other agents send along"
	case len(c) == 1:
		return "the agent sent its certificate alone: either the intermediate " + quote(c.issuer()) + " is missing, or that is a root which is not known"
	}
	return "the chain ends at " + quote(c[len(c)-1].outline.Issuer) + ", which was not sent"
}

// ownCheck knows a management point that asks itself, through mpproxy.
func (f *facts) ownCheck() []string {
	agent, _, _ := net.SplitHostPort(f.Conn.Agent)
	mp, _, _ := net.SplitHostPort(f.Conn.UpstreamLeg.Address)
	if agent != mp || !tellsComputers(agent) {
		return nil
	}
	return []string{"the request comes from the management point's own address: this is its health check, not an agent; the site system needs a client certificate too"}
}

// tellsComputers is true for an address that belongs to one computer. Programs
// on one computer reach each other by 127.0.0.1, whoever they are.
func tellsComputers(address string) bool {
	ip := net.ParseIP(address)
	return ip != nil && !ip.Equal(net.IPv4(127, 0, 0, 1)) && !ip.Equal(net.IPv6loopback)
}

// clientFits lists what a client's certificate was tried for and passed.
func (f *facts) clientFits(c chain) []Ruled {
	if len(c) == 0 {
		return nil
	}
	var out []Ruled
	if why, good := c.dates(f.Conn.Opened); good && why != "" {
		out = append(out, Ruled{"expired", why})
	}
	if why, good := c.usage(x509.ExtKeyUsageClientAuth); good {
		out = append(out, Ruled{"wrong usage", why})
	}
	return append(out, f.revocationFits(c)...)
}
