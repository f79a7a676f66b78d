package diagnose

import (
	"crypto/x509"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"mpproxy/internal/tlsrecord"
	"mpproxy/traffic"
)

// agentNameRules and agentTrustRules are about agents that refuse the
// certificate that they are shown.
var (
	agentNameRules  = []rule{nameNotInCertificate, nameHidden}
	agentTrustRules = []rule{agentDistrusts, agentClock, agentAlert, silentAfterRequest, agentLeft, agentLeftIdle}
)

// turnedAway are the ways in which agents show that they do not like a
// certificate.
var turnedAway = append([]string{"tls-agent-distrusts", "tls-agent-clock"}, shakeFailed...)

var nameNotInCertificate = rule{
	kind: traffic.FindingKind{
		Code: "tls-name-mismatch", Ref: "A04", Severity: traffic.Error,
		Title:  "The agent uses a name that is not in the certificate that it was shown",
		Why:    "A certificate counts only for the names in its subject alternative names; short names, aliases and addresses count as other names.",
		Remedy: "Let the agent use a name that is in the certificate, or issue one with every name as an entry of its own (in a request file: dns=a&dns=b, never \"a&b\" as one name).",
		Moot:   turnedAway,
	},
	check: "On the agent: CcmMessaging.log shows 12175 with flag 0x10 (CN_INVALID), or 12038; Schannel event 36884.",
	test: func(f *facts) (occurrence, bool) {
		l := f.agent
		if l == nil || !f.unhappy() || l.says(tlsrecord.Server) || l.says(tlsrecord.Client, 44, 45, 48) {
			return occurrence{}, false
		}
		name := f.nameAsked()
		why, good := l.server.name(name)
		if name == "" && l.says(tlsrecord.Client, refusals...) {
			why, good = l.byAddress()
		}
		if good {
			return occurrence{}, false
		}
		given, bySite := f.givenName(name)
		o := occurrence{leg: traffic.AgentSide, who: l.serverWho(), sure: likely, proof: append(append([]string{why}, given...), howItEnded(f)), notIt: f.serverFits("name")}
		if bySite {
			o.do = handedOut
		}
		if name != "" && l.says(tlsrecord.Client, refusals...) {
			o.sure = certain
		}
		return o, true
	},
}

// nameAsked is the name by which the agent calls the server, as far as it tells:
// in its hello, or to mpproxy as its proxy. "" when it does not.
func (f *facts) nameAsked() string {
	name := f.agent.hello().ServerName
	for i := range f.Exchanges {
		if x := &f.Exchanges[i]; name == "" && x.Method == "CONNECT" {
			name, _, _ = net.SplitHostPort(x.Target)
		}
	}
	return name
}

// byAddress judges the certificate for a client that names no server: those of
// today do so only when they call it by an address.
func (l *leg) byAddress() (why string, good bool) {
	h, x := l.hello(), l.server.leaf()
	if x == nil || len(x.IPAddresses) > 0 || h.Partial || h.SSL2 || h.MaxVersion() < tlsrecord.TLS12 || h.Has(tlsrecord.ExtServerName) {
		return "", true
	}
	return "the hello names no server, as when one is called by an address; the certificate has no address, but " + strings.Join(names(x), ", "), false
}

// handedOut is what to do about a name that the site itself gives to agents.
var handedOut = []string{
	"Issue the certificate with the name that the site hands out, each name as an entry of its own (in a request file: dns=a&dns=b, never \"a&b\" as one name); or correct the name where the site has it: the FQDN of the site system role, or the service name of the cloud management gateway. Agents take the new one with their next list.",
}

// nameHidden finds names that work only because mpproxy mints a certificate for
// them.
var nameHidden = rule{
	kind: traffic.FindingKind{
		Code: "tls-name-hidden", Ref: "A04", Severity: traffic.Warning,
		Title:  "The agent uses a name that is not in the management point's certificate: it gets in only because mpproxy's certificate has it",
		Why:    "mpproxy mints a certificate for each name that agents ask for. Without mpproxy the agent would refuse the management point (CN_INVALID).",
		Remedy: "Let the agent use a name that is in the certificate, or issue one with every name as an entry of its own.",
		Moot:   []string{"tls-name-not-in-mp-certificate"},
	},
	check: "mpproxy doctor --upstream https://NAME; on the agent without mpproxy: 12175 with flag 0x10 (CN_INVALID).",
	test: func(f *facts) (occurrence, bool) {
		l, u := f.agent, f.upstream
		if l == nil || l.sealed || l.failed() || u == nil || u.failed() || len(f.requests) == 0 {
			return occurrence{}, false
		}
		name := f.nameAsked()
		why, good := u.server.name(name)
		if ip := net.ParseIP(hostOf(name)); good || ip != nil || strings.EqualFold(name, "localhost") {
			return occurrence{}, false
		}
		given, bySite := f.givenName(name)
		o := occurrence{leg: traffic.AgentSide, who: mpSide, sure: certain, proof: append([]string{"the management point's certificate: " + why}, given...)}
		if bySite {
			o.do = handedOut
		}
		return o, true
	},
}

// refusals are the alerts by which a peer may refuse a certificate for its name.
var refusals = []tlsrecord.AlertCode{42, 43, 46, 112}

// howItEnded is how the agent turned away, as a line of evidence.
func howItEnded(f *facts) string {
	switch l := f.agent; {
	case l.alert.seen:
		return l.alertLine()
	case l.sealed && l.alertLike():
		return "the agent ended the connection " + l.stage.String() + " with what must be an alert by its size; TLS 1.3 hides which"
	case l.sealed && f.mpEnded():
		return "the management point ended the connection (" + string(f.Conn.UpstreamLeg.End) + ") " + l.stage.String() + ", without an alert that can be read"
	case l.failed():
		return "the agent ended the connection (" + string(f.Conn.AgentLeg.End) + ") " + l.stage.String() + ", without an alert"
	}
	return fmt.Sprintf("the agent finished the handshake and ended the connection (%s) after %s without a request", f.Conn.AgentLeg.End,
		f.Conn.AgentLeg.EndedAt.Sub(f.agent.hs.Ended).Round(1e6))
}

var agentDistrusts = rule{
	kind: traffic.FindingKind{
		Code: "tls-agent-distrusts", Ref: "A01", Severity: traffic.Error,
		Title:  "The agent does not trust the authority of the certificate that it was shown",
		Why:    "The authority's root is not in the Trusted Root store of the agent's computer; a root in a user's store does not count for the agent's service.",
		Remedy: "Import the authority's root into the computer's Trusted Root store of the agent: certutil -addstore Root FILE (mpproxy's own: mpproxy ca install-hint). Or give mpproxy a certificate of the site's PKI: --cert.",
		Moot:   shakeFailed,
	},
	check: "On the agent: CcmMessaging.log shows 12175 with flag 0x8 (INVALID_CA), or 12045; Schannel event 36882.",
	test: func(f *facts) (occurrence, bool) {
		l := f.agent
		if l == nil || !l.says(tlsrecord.Client, 42, 46, 48) {
			return occurrence{}, false
		}
		o := occurrence{leg: traffic.AgentSide, who: agentSide, sure: likely, proof: []string{l.alertLine(), f.shownBy()}, notIt: f.serverFits(""), do: f.trustRemedy()}
		switch {
		case l.server.alone() && !l.server.enhancedHTTP():
			o.who = l.serverWho()
			o.proof = append(o.proof, "it was sent without its issuer: if that is an intermediate, only agents that have it already can build the chain")
		case l.alert.code == 48 && l.maybeNoList():
			o.proof = append(o.proof, "OpenSSL says so too when it was told to check revocation and has no list")
		case l.alert.code == 48:
			o.sure = certain
		case len(l.server) == 0:
			o.sure = possible
			o.proof = append(o.proof, "the certificate was encrypted and the handshake failed, so its name and dates cannot be judged")
		}
		o.proof = append(append(o.proof, l.besides()...), f.others()...)
		return o, true
	},
}

// trustRemedy is what to do about an agent that does not trust what it was
// shown; nil for the rule's own words.
func (f *facts) trustRemedy() []string {
	c, issuer := f.agent.server, f.agent.server.top()
	switch {
	case c.enhancedHTTP():
		return []string{
			"Agents trust this certificate, which the site has made itself, by what the site told them: assign the agent to this site, and see that its trusted root key is the site's.",
			"For a browser or a tool of your own: export SMS Issuing from the site (Administration, Security, Certificates) and let it trust that.",
		}
	case c.alone():
		add := "Let the management point send the intermediate " + quote(issuer) + " with its certificate, if that is one: import it into its computer's Intermediate store."
		if f.agent.serverWho() == proxySide {
			add = "Put the intermediate " + quote(issuer) + ", if that is one, behind the certificate in the file of --cert."
		}
		return []string{add, "Import the root into the computer's Trusted Root store of the agent: certutil -addstore Root FILE."}
	case f.agent.sealed:
		return []string{"Import the root of the management point's authority into the computer's Trusted Root store of the agent, and let the management point send its intermediates."}
	case issuer != "":
		return []string{"Import " + quote(issuer) + " into the computer's Trusted Root store of the agent: certutil -addstore Root FILE (mpproxy's own: mpproxy ca install-hint). Or give mpproxy a certificate of the site's PKI: --cert."}
	}
	return nil
}

// maybeNoList is true for a client that says unknown_ca also for a revocation
// list that is missing: OpenSSL, where the chain names a list or cannot be seen.
func (l *leg) maybeNoList() bool {
	stacks := l.hello().Stacks()
	if len(stacks) == 0 || !strings.HasPrefix(stacks[0].Name, "OpenSSL") {
		return false
	}
	return len(l.server) == 0 || slices.ContainsFunc(l.server, func(c certificate) bool { return c.x != nil && len(c.x.CRLDistributionPoints) > 0 })
}

// shownBy is who issued what the agent was shown.
func (f *facts) shownBy() string {
	issuer, chain := f.agent.server.issuer(), f.agent.server
	if issuer == "" {
		issuer = f.OwnIssuer
	}
	switch {
	case f.agent.tr.Resumed():
		return "it was shown no certificate: the handshake resumed an earlier session"
	case issuer == "":
		return "it was shown " + f.agent.serverName() + "'s certificate"
	case len(chain) == 0 && !f.agent.sealed:
		return "mpproxy's certificates on this listener are issued by " + quote(issuer)
	}
	return fmt.Sprintf("%s showed a certificate of %s, issued by %s, in a chain of %d", f.agent.serverName(), quote(chain.subject()), quote(issuer), len(chain))
}

// oneAddress is said where agents are told apart by their addresses alone.
const oneAddress = " (agents behind one address are not told apart)"

// others compares with the rest of the listener's agents.
func (f *facts) others() []string {
	p := f.Peers
	var out []string
	if good := p.Agents - p.Failed; p.Agents > 1 && good > 0 {
		out = append(out, fmt.Sprintf("%d of %d agents on this listener get in: it is not the certificate alone", good, p.Agents))
	}
	if p.After.Good > 0 {
		out = append(out, "an agent of the same address got in later"+oneAddress)
	}
	return out
}

// serverFits lists what the server's certificate was tried for and passed,
// leaving out one test.
func (f *facts) serverFits(except string) []Ruled {
	l := f.agent
	if l.server.leaf() == nil {
		return nil
	}
	var out []Ruled
	add := func(key, what, why string, good bool) {
		if good && why != "" && key != except {
			out = append(out, Ruled{what, why})
		}
	}
	why, good := l.server.dates(l.at())
	add("dates", "expired", why, good)
	why, good = l.server.name(f.nameAsked())
	add("name", "wrong name", why, good)
	why, good = l.server.usage(x509.ExtKeyUsageServerAuth)
	add("usage", "wrong usage", why, good)
	why, bad := l.server.weak()
	add("weak", "weak signature or key", why, !bad)
	return append(out, f.revocationFits(l.server)...)
}

var agentClock = rule{
	kind: traffic.FindingKind{
		Code: "tls-agent-clock", Ref: "A31", Severity: traffic.Warning,
		Title:  "The agent says that a certificate is out of its time which is valid by mpproxy's clock",
		Why:    "The agent's clock is wrong, as on new computers, in WinPE, or with an empty battery.",
		Remedy: "Set the agent's clock (w32tm /resync), in WinPE before the task sequence.",
		Moot:   shakeFailed,
	},
	check: "On the agent: w32tm /query /status; CcmMessaging.log shows 12175 with flag 0x20 (DATE_INVALID), or 12037.",
	test: func(f *facts) (occurrence, bool) {
		l := f.agent
		if l == nil || !l.says(tlsrecord.Client, 45) || l.server.leaf() == nil {
			return f.clockByHello()
		}
		why, _ := l.server.dates(l.at())
		o := occurrence{leg: traffic.AgentSide, who: agentSide, sure: likely, proof: []string{l.alertLine(), "the certificate: " + why}, notIt: f.serverFits("dates")}
		if clock, off, told := l.clock(); told && off.Abs() < plausibleClock {
			o.proof = append(o.proof, "the agent's hello may carry its clock: "+day(clock)+", "+offWords(off))
		}
		return o, true
	},
}

// How far a clock in a hello may be off to be taken for one: random bytes are
// within ten years one time in seven, within a month one time in eight hundred.
const (
	plausibleClock = 10 * 365 * 24 * time.Hour
	likelyClock    = 30 * 24 * time.Hour
)

// isSchannel is true for a hello as Windows makes it.
func (l *leg) isSchannel() bool {
	stacks := l.hello().Stacks()
	return len(stacks) > 0 && strings.HasPrefix(stacks[0].Name, "Schannel")
}

// clock is what the agent's clock shows, if its hello carries that, and how far
// it is off. Only Schannel does that, and not for TLS 1.3; others send random
// bytes, which now and then look like a clock.
func (l *leg) clock() (clock time.Time, off time.Duration, told bool) {
	h := l.hello()
	clock, told = h.Clock()
	if !told || !l.isSchannel() || h.MaxVersion() > tlsrecord.TLS12 || h.Has(tlsrecord.ExtKeyShare) {
		return time.Time{}, 0, false
	}
	return clock, clock.Sub(l.hs.Began), true
}

func offWords(off time.Duration) string {
	if off < 0 {
		return hours(-off) + " behind"
	}
	return hours(off) + " ahead"
}

// clockByHello is an agent that left without a word, and by whose clock the
// certificate is out of its time.
func (f *facts) clockByHello() (occurrence, bool) {
	l := f.agent
	if !f.wordless() {
		return occurrence{}, false
	}
	clock, off, told := l.clock()
	why, good := l.server.dates(clock)
	_, goodNow := l.server.dates(l.at())
	if !told || off.Abs() > likelyClock || good || !goodNow {
		return occurrence{}, false
	}
	return occurrence{leg: traffic.AgentSide, who: agentSide, sure: possible, proof: []string{
		"by its hello the agent's clock is at " + day(clock) + ", " + offWords(off), "by that clock, of the certificate that it was shown: " + why, howItEnded(f),
	}, notIt: f.serverFits("dates")}, true
}

var agentAlert = rule{
	kind: traffic.FindingKind{
		Code: "tls-agent-alert", Ref: "A28", Severity: traffic.Warning,
		Title:  "The agent broke the handshake off with an alert",
		Why:    "The alert says why, as far as its sender tells.",
		Remedy: "Look up the alert (mpproxy explain \"alert 80\", with its number) and the agent's own log at this time.",
		Moot:   []string{"tls-agent-handshake-failed", "tls-agent-left", "tls-agent-left-idle", "tls-agent-silent"},
	},
	check: "On the agent: the System log has Schannel event 36888 with the same number.",
	test: func(f *facts) (occurrence, bool) {
		l := f.agent
		if l == nil || !l.says(tlsrecord.Client) {
			return occurrence{}, false
		}
		o := occurrence{leg: traffic.AgentSide, who: agentSide, sure: certain, proof: []string{
			l.alertLine(), l.alert.code.String() + ": " + l.alert.code.Meaning(),
		}, notIt: f.serverFits("")}
		if known := alert(strconv.Itoa(int(l.alert.code))); known[0].Known {
			o.do = []string{"Look at: " + known[0].LookAt + "; and at the agent's own log at this time."}
		}
		return o, true
	},
}

var silentAfterRequest = rule{
	kind: traffic.FindingKind{
		Code: "tls-agent-silent", Ref: "A22", Severity: traffic.Warning,
		Title:  "The agent broke off when it was asked for its certificate, though it takes the server's",
		Why:    "Its private key is missing or not readable for SYSTEM, lies in a provider that this agent cannot use (CNG), or in a TPM that cannot sign so.",
		Remedy: "On the agent: give SYSTEM access to the certificate's private key, or enrol a new certificate (RSA 2048, with key, by a template for computers).",
		Moot:   []string{"tls-agent-handshake-failed", "tls-agent-left", "tls-handshake-stalled"},
	},
	check: "On the agent: certutil -verifystore My; WinHTTP 12185 or 12186 in CcmMessaging.log.",
	test: func(f *facts) (occurrence, bool) {
		l := f.agent
		before := f.Peers.Before.Good + f.Peers.After.Good
		if l == nil || !f.agentFailed() || l.alert.seen || l.stage != tlsrecord.StageServerDone || l.sealed && !l.asked() || before == 0 {
			return occurrence{}, false
		}
		return occurrence{leg: traffic.AgentSide, who: agentSide, sure: possible, proof: []string{
			l.serverName() + " asked for a client certificate; no Certificate message came, then the end (" + string(f.Conn.AgentLeg.End) + ")",
			fmt.Sprintf("the same agent finished %d other handshakes with this server, so it trusts its certificate", before),
		}}, true
	},
}

var agentLeft = rule{
	kind: traffic.FindingKind{
		Code: "tls-agent-left", Ref: "A02", Severity: traffic.Warning,
		Title:  "The agent ended the connection right after it had seen the server's certificate, and gave no reason that can be read",
		Why:    "Most often it does not trust the certificate's authority; or it could not check whether the certificate is revoked.",
		Remedy: "As for an agent that does not trust: import the authority into the computer's Trusted Root store. Then look at revocation: the CRL must be in the agent's reach.",
		Moot:   []string{"tls-agent-handshake-failed"},
	},
	check: "On the agent: CcmMessaging.log shows 12175 with its flags: 0x8 is trust, 0x1 revocation, 0x10 the name.",
	test: func(f *facts) (occurrence, bool) {
		l := f.agent
		if l == nil || !f.agentFailed() || l.alert.seen || l.stage < tlsrecord.StageServerHello || l.tr.Client.Looks != tlsrecord.TLS || l.sealed && f.mpEnded() && !l.alertLike() {
			return occurrence{}, false
		}
		o := occurrence{leg: traffic.AgentSide, who: agentSide, sure: possible, proof: []string{howItEnded(f), f.shownBy()}, notIt: f.serverFits("")}
		if again := f.Peers.Before.Failed + f.Peers.After.Failed; again > 0 && f.Peers.Before.Good+f.Peers.After.Good == 0 {
			o.sure = likely
			o.proof = append(o.proof, fmt.Sprintf("%d more connections of this agent's address failed, none got in", again))
		}
		o.proof = append(append(o.proof, f.suspects()...), f.others()...)
		return o, true
	},
}

// suspects are what may have made an agent leave without saying why, and does
// not show in the certificate as a fault.
func (f *facts) suspects() []string {
	x := f.agent.server.leaf()
	if x == nil {
		return nil
	}
	var out []string
	switch urls := x.CRLDistributionPoints; {
	case len(urls) == 0:
		out = append(out, "the certificate names no revocation list: an agent that insists on one refuses it (mpproxy run --crl)")
	case len(f.revocations(&f.agent.server[0], traffic.RevocationList)) == 0:
		out = append(out, "its revocation list, "+quote(strings.Join(urls, ", "))+", was not looked for: mpproxy diagnose --fetch-crl does")
	}
	for _, r := range f.revocations(&f.agent.server[0], traffic.RevocationList) {
		if r.Result == traffic.RevocationSkipped || r.Result == traffic.RevocationTooLarge {
			out = append(out, "its revocation list, "+quote(r.URL)+", was not judged: "+r.Err)
		}
	}
	if f.nameAsked() == "" {
		if why, good := f.agent.byAddress(); !good {
			out = append(out, why)
		}
	}
	return out
}

var agentLeftIdle = rule{
	kind: traffic.FindingKind{
		Code: "tls-agent-left-idle", Ref: "A03", Severity: traffic.Warning,
		Title:  "The agent finished the handshake and left without a request",
		Why:    "Programs that check certificates themselves, as WinHTTP does, end so when they do not like one. It may also be a probe that knows TLS.",
		Remedy: "Read the flags of 12175 in the agent's log: 0x8 trust, 0x1 revocation, 0x10 name, 0x20 dates.",
		Moot:   []string{"tls-agent-handshake-failed"},
	},
	check: "On the agent: CcmMessaging.log at this time; a gap of 15 s or more points to a CRL that cannot be fetched.",
	test: func(f *facts) (occurrence, bool) {
		if !f.silent() || f.Peers.After.Good > 0 {
			return occurrence{}, false
		}
		return occurrence{leg: traffic.AgentSide, who: agentSide, sure: possible, proof: append(append([]string{howItEnded(f), f.shownBy()}, f.suspects()...), f.others()...), notIt: f.serverFits("")}, true
	},
}
