package diagnose

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"mpproxy/internal/tlsrecord"
	"mpproxy/traffic"
)

// revocationRules are about what fetches of revocation lists came to, and about
// the client certificate that mpproxy itself shows.
var revocationRules = []rule{
	serverRevoked, listOfMpproxy, listNotAList, listExpired, listUnreachable, listTooNew,
	agentRevoked, clientListUnreachable, ownClientCert,
}

// Revocations is revocation evidence by certificate.
type Revocations map[CertificateID][]traffic.Revocation

// CertificateID names a certificate as traffic.Revocation does.
type CertificateID struct{ Issuer, Serial string }

// NewRevocations sorts evidence by certificate.
func NewRevocations(rs []traffic.Revocation) Revocations {
	out := Revocations{}
	for _, r := range rs {
		id := CertificateID{r.Issuer, r.Serial}
		out[id] = append(out[id], r)
	}
	return out
}

// revocations is the evidence of one kind about a certificate.
func (f *facts) revocations(c *certificate, kind traffic.RevocationKind) []traffic.Revocation {
	serial := c.outline.Serial
	for len(serial) > 0 && serial[0] == 0 {
		serial = serial[1:]
	}
	var out []traffic.Revocation
	for _, r := range f.Revocations[CertificateID{c.outline.Issuer, fmt.Sprintf("%x", serial)}] {
		if r.Kind == kind {
			out = append(out, r)
		}
	}
	return out
}

// usable is true for a list that a peer could work with when it was fetched.
func usable(r *traffic.Revocation) bool {
	return r.Result == traffic.RevocationGood && r.Signature != "bad" && !outdated(r) && !early(r)
}

// outdated is true for a list whose successor was due when it was fetched.
func outdated(r *traffic.Revocation) bool {
	return r.Result == traffic.RevocationGood && !r.NextUpdate.IsZero() && r.NextUpdate.Before(r.Fetched)
}

// early is true for a list that was not yet in force when it was fetched.
func early(r *traffic.Revocation) bool {
	return r.Result == traffic.RevocationGood && r.ThisUpdate.After(r.Fetched)
}

// lists sorts what is known of the lists of a chain: good ones, and bad ones of
// which a certificate has no good one beside them. What was not fetched whole
// says nothing.
func (f *facts) lists(c chain) (good, bad []traffic.Revocation) {
	for i := range c {
		for _, kind := range []traffic.RevocationKind{traffic.RevocationList, traffic.RevocationDelta} {
			var fine, poor []traffic.Revocation
			for _, r := range f.revocations(&c[i], kind) {
				switch {
				case usable(&r):
					fine = append(fine, r)
				case r.Result != traffic.RevocationSkipped && r.Result != traffic.RevocationTooLarge:
					poor = append(poor, r)
				}
			}
			good = append(good, fine...)
			if len(fine) == 0 {
				bad = append(bad, poor...)
			}
		}
	}
	return good, bad
}

// revoked finds a certificate of a chain that its list has.
func (f *facts) revoked(c chain) (which *certificate, by *traffic.Revocation) {
	for i := range c {
		for _, kind := range []traffic.RevocationKind{traffic.RevocationDelta, traffic.RevocationList} {
			for _, r := range f.revocations(&c[i], kind) {
				if r.Revoked && r.Signature != "bad" && !r.RevokedAt.After(f.Conn.Opened) {
					return &c[i], &r
				}
			}
		}
	}
	return nil, nil
}

// revokedLine is a list that has a certificate, as a line of evidence.
func revokedLine(which *certificate, r *traffic.Revocation) (line, sure string) {
	line = fmt.Sprintf("the list at %s has the certificate of %s, serial number %s, as revoked on %s", quote(r.URL), quote(which.outline.Subject), r.Serial, day(r.RevokedAt))
	if r.Reason != "" {
		line += " (" + r.Reason + ")"
	}
	if r.Signature == "good" {
		return line, certain
	}
	return line + "; who signed the list could not be checked", likely
}

// listLine is what came of a fetch, as a line of evidence.
func listLine(r *traffic.Revocation) string {
	what := "the revocation list"
	if r.Kind == traffic.RevocationDelta {
		what = "the delta list"
	}
	line := fmt.Sprintf("%s %s of the certificate with the serial number %s, fetched by mpproxy on %s: ", what, quote(r.URL), r.Serial, day(r.Fetched))
	switch {
	case outdated(r):
		return line + fmt.Sprintf("issued on %s, the next one was due on %s", day(r.ThisUpdate), day(r.NextUpdate))
	case early(r):
		return line + fmt.Sprintf("issued on %s, which is still to come by mpproxy's clock", day(r.ThisUpdate))
	case r.Signature == "bad":
		return line + "its signature is not by the certificate's issuer"
	case r.Result == traffic.RevocationGood:
		return line + fmt.Sprintf("issued on %s, good until %s, %d entries", day(r.ThisUpdate), until(r.NextUpdate), r.Entries)
	}
	return line + r.Err
}

func until(t time.Time) string {
	if t.IsZero() {
		return "any time"
	}
	return day(t)
}

// revocationFits says that the lists were looked at and are no reason.
func (f *facts) revocationFits(c chain) []Ruled {
	good, bad := f.lists(c)
	if which, _ := f.revoked(c); which != nil || len(bad) > 0 || len(good) == 0 {
		return nil
	}
	r := good[0]
	return []Ruled{{"revocation", fmt.Sprintf("the list at %s is reachable from mpproxy, good until %s, and does not list the certificate", quote(r.URL), until(r.NextUpdate))}}
}

// wordless is true when the agent saw a certificate and left without an alert:
// so it ends when it cannot check revocation.
func (f *facts) wordless() bool {
	l := f.agent
	return l != nil && f.unhappy() && !l.alert.seen && l.stage >= tlsrecord.StageServerHello && l.tr.Client.Looks == tlsrecord.TLS
}

// badLists finds lists of a kind of badness that may be why an agent left, or
// that a probe met: of certificates of mpproxy's (own) or of the management
// point's.
func (f *facts) badLists(own bool, is func(*traffic.Revocation) bool) (occurrence, bool) {
	l, o := f.upstream, occurrence{sure: certain}
	switch {
	case f.wordless() && own != f.agent.sealed:
		l, o.sure = f.agent, likely
	case !f.Probe || own || l == nil:
		return o, false
	}
	_, bad := f.lists(l.server)
	for i := range bad {
		if r := &bad[i]; is(r) {
			o.proof = append(o.proof, listLine(r))
			if r.Result == traffic.RevocationUnreachable || f.late(r) {
				o.sure = lower(o.sure)
			}
		}
	}
	if len(o.proof) == 0 {
		return o, false
	}
	o.leg, o.who = l.side, l.serverWho()
	if !f.Probe {
		o.proof = append(o.proof, howItEnded(f))
		o.proof = append(o.proof, f.others()...)
		o.notIt = f.serverFits("")
	}
	return o, true
}

// lower is one step less sure: what cannot be reached from here may be from
// elsewhere.
func lower(sure string) string {
	if sure == certain {
		return likely
	}
	return possible
}

// late is true for a fetch so long after the connection that it may have been
// otherwise then.
func (f *facts) late(r *traffic.Revocation) bool {
	return r.Fetched.Sub(f.Conn.Opened).Abs() > 24*time.Hour
}

// noWay and notList tell the ways in which a list can be bad from each other.
func noWay(r *traffic.Revocation) bool {
	return r.Result == traffic.RevocationUnreachable || r.Result == traffic.RevocationStatus && !wantsLogon(r)
}

func notList(r *traffic.Revocation) bool {
	switch r.Result {
	case traffic.RevocationPage, traffic.RevocationUnreadable:
		return true
	case traffic.RevocationStatus:
		return wantsLogon(r)
	}
	return r.Signature == "bad"
}

// wantsLogon knows the statuses of proxies and filters that want to know who
// asks.
func wantsLogon(r *traffic.Revocation) bool {
	return slices.Contains([]int{401, 407, 511}, r.Status)
}

// leftFor are the findings on agents that leave, which a bad list explains.
var leftFor = []string{"tls-agent-left", "tls-agent-left-idle", "tls-agent-handshake-failed"}

const revocationCheck = "On the agent, as SYSTEM: certutil -verify -urlfetch FILE; CcmMessaging.log shows 12175 with flag 0x1, or 12057."

var serverRevoked = rule{
	kind: traffic.FindingKind{
		Code: "tls-server-cert-revoked", Ref: "A06", Severity: traffic.Error,
		Title:  "The server's certificate, or its issuer's, is revoked",
		Why:    "Agents check revocation of the site's certificates by default, and refuse what is on the list (12170, Schannel event 36883).",
		Remedy: "Enrol a new certificate and bind it; a certificate on hold may be taken off the list by its authority.",
		Moot:   append([]string{"tls-agent-alert"}, turnedAway...),
	},
	check: "certutil -verify -urlfetch FILE on the server's certificate says that it is revoked.",
	test: func(f *facts) (occurrence, bool) {
		if o, found := f.hiddenFrom(44); found {
			return o, true
		}
		return f.serverChains(func(l *leg) (occurrence, bool) {
			which, by := f.revoked(l.server)
			switch {
			case which != nil:
				line, sure := revokedLine(which, by)
				return occurrence{who: l.serverWho(), sure: sure, proof: []string{line}}, true
			case l.side == traffic.AgentSide && l.says(tlsrecord.Client, 44):
				return occurrence{who: l.serverWho(), sure: likely, proof: []string{"the agent says so: " + l.alert.code.String()}, notIt: f.serverFits("")}, true
			}
			return occurrence{}, false
		})
	},
}

var listUnreachable = rule{
	kind: traffic.FindingKind{
		Code: "tls-revocation-unreachable", Ref: "A06", Severity: traffic.Warning,
		Title:  "The revocation list of the management point's certificate is not to be had",
		Why:    "Agents check revocation of the site's certificates by default; without a list they leave, most often without a word.",
		Remedy: "Publish the list where the certificate says it is, for agents of every network; or switch the check off (site setting, /NoCRLCheck).",
		Moot:   leftFor,
	},
	check: revocationCheck,
	test:  func(f *facts) (occurrence, bool) { return f.badLists(false, noWay) },
}

var listNotAList = rule{
	kind: traffic.FindingKind{
		Code: "tls-revocation-not-a-list", Ref: "A06", Severity: traffic.Warning,
		Title:  "In place of the revocation list of the management point's certificate something else comes",
		Why:    "A web filter or portal wants to know who asks, and agents ask as SYSTEM, whom it does not know; a browser, which a person uses, gets the list.",
		Remedy: "Let the list's address through without logging on, for every computer; or publish it elsewhere.",
		Moot:   leftFor,
	},
	check: revocationCheck,
	test:  func(f *facts) (occurrence, bool) { return f.badLists(false, notList) },
}

var listExpired = rule{
	kind: traffic.FindingKind{
		Code: "tls-revocation-expired", Ref: "A06", Severity: traffic.Warning,
		Title:  "The revocation list of the management point's certificate has expired",
		Why:    "A list whose successor is overdue counts as none: the authority is off, or its lists are not copied to where agents fetch them.",
		Remedy: "On the authority: certutil -crl; then see that the new list gets to the address in the certificate.",
		Moot:   leftFor,
	},
	check: revocationCheck,
	test:  func(f *facts) (occurrence, bool) { return f.badLists(false, outdated) },
}

var listOfMpproxy = rule{
	kind: traffic.FindingKind{
		Code: "tls-proxy-revocation-list", Ref: "P01", Severity: traffic.Warning,
		Title:  "The revocation list of the certificate that mpproxy shows to agents is of no use",
		Why:    "The certificate names a list, and an agent that looks for it does not find a good one; agents refuse certificates that they cannot check.",
		Remedy: "For certificates that mpproxy makes: mpproxy run --crl http://HOST:PORT/mpproxy.crl, with a host that agents reach. For one given with --cert: publish its authority's list where it says.",
		Moot:   leftFor,
	},
	check: "From an agent's computer: a browser gets a file from the list's address.",
	test: func(f *facts) (occurrence, bool) {
		return f.badLists(true, func(*traffic.Revocation) bool { return true })
	},
}

// newList is how old a list is at most that may be from the future for an agent
// whose clock is behind.
const newList = 48 * time.Hour

var listTooNew = rule{
	kind: traffic.FindingKind{
		Code: "tls-revocation-too-new", Ref: "A06", Severity: traffic.Warning,
		Title:  "The revocation list of the server's certificate is not yet valid: a clock is wrong",
		Why:    "The list was issued hours ago, and the agent's clock is behind that; or it is not in force for anybody, since its authority's clock is ahead. Windows reports this as a failure of revocation (CERT_REV_FAILED), not of dates.",
		Remedy: "Set the agent's clock (w32tm /resync); in WinPE and on new computers before the task sequence.",
		Moot:   leftFor,
	},
	check: "On the agent: w32tm /query /status; CcmMessaging.log shows 12175 with flag 0x1.",
	test: func(f *facts) (occurrence, bool) {
		if o, found := f.badLists(false, early); found {
			o.sure = lower(o.sure)
			o.do = []string{"Set the clock of the authority's computer and publish the list anew (certutil -crl); see that this machine's clock is right."}
			return o, true
		}
		if !f.wordless() {
			return occurrence{}, false
		}
		l := f.agent
		clock, _, known := l.clock()
		if behind := l.at().Sub(clock); !known || behind <= 0 || behind > 30*24*time.Hour {
			return occurrence{}, false
		}
		good, _ := f.lists(l.server)
		for i := range good {
			r := &good[i]
			age := l.at().Sub(r.ThisUpdate)
			if age < 0 || age > newList || !clock.Before(r.ThisUpdate) {
				continue
			}
			return occurrence{leg: traffic.AgentSide, who: agentSide, sure: likely, proof: append([]string{
				fmt.Sprintf("the list at %s was issued on %s, %s before; by the agent's hello its clock was at %s, %s behind", quote(r.URL), day(r.ThisUpdate), hours(age), day(clock), hours(l.at().Sub(clock))),
				howItEnded(f),
			}, f.others()...), notIt: f.serverFits("")}, true
		}
		return occurrence{}, false
	},
}

func hours(d time.Duration) string { return fmt.Sprintf("%.0f h", d.Hours()) }

var agentRevoked = rule{
	kind: traffic.FindingKind{
		Code: "native-client-cert-revoked", Ref: "M15", Severity: traffic.Error,
		Title:  "The agent's certificate is revoked",
		Why:    "IIS checks client certificates against their list and answers 403.13, whatever the request is.",
		Remedy: "Enrol a new certificate for the agent, and remove the revoked one; one on hold may be taken off the list by its authority.",
		Moot:   clientRefused,
	},
	check: "certutil -verify -urlfetch FILE on the agent's certificate; on the management point: IIS log, sc-status 403 sc-substatus 13.",
	test: func(f *facts) (occurrence, bool) {
		return f.agentChain(func(l *leg) (occurrence, bool) {
			which, by := f.revoked(l.client)
			if which == nil {
				return occurrence{}, false
			}
			line, sure := revokedLine(which, by)
			return occurrence{sure: sure, proof: []string{line}}, true
		})
	},
}

var clientListUnreachable = rule{
	kind: traffic.FindingKind{
		Code: "native-client-list-unreachable", Ref: "M15", Severity: traffic.Error,
		Title:  "The management point answers 403, and the revocation list of the client certificate is not to be had",
		Why:    "IIS always checks client certificates, and answers 403.13 where it cannot. It is the management point that needs the list, not the agent.",
		Remedy: "Let the management point's computer fetch the list: firewall, proxy for services (netsh winhttp show proxy), name resolution; and see that the authority publishes it.",
		Moot:   []string{"upstream-forbidden", "native-client-cert-unknown"},
	},
	check: "On the management point, as SYSTEM: certutil -verify -urlfetch FILE on the client certificate; IIS log 403 13 2148081683.",
	test: func(f *facts) (occurrence, bool) {
		x := f.answered(403)
		if x == nil {
			return occurrence{}, false
		}
		for _, l := range []*leg{f.upstream, f.agent} {
			if l == nil || len(l.client) == 0 {
				continue
			}
			o := occurrence{leg: traffic.UpstreamSide, who: networkSide, sure: likely, exchange: x, notIt: f.clientFits(l.client)}
			_, bad := f.lists(l.client)
			for i := range bad {
				o.proof = append(o.proof, listLine(&bad[i]))
				if f.late(&bad[i]) {
					o.sure = possible
				}
			}
			o.proof = append(o.proof, "403.13 is likely: "+x.line(), "seen from mpproxy's network; the management point's may differ")
			return o, len(bad) > 0
		}
		return occurrence{}, false
	},
}

var ownClientCert = rule{
	kind: traffic.FindingKind{
		Code: "upstream-client-cert-unsuitable", Ref: "M14", Severity: traffic.Error,
		Title:  "The certificate that mpproxy shows to the management point is not fit for that",
		Why:    "Toward the management point mpproxy stands in for agents, and needs a certificate as theirs: in force, for Client Authentication, allowed to sign, of an authority that the management point knows.",
		Remedy: "Give mpproxy another certificate: --client-cert FILE.pfx, by a template such as Workstation Authentication.",
		Moot:   []string{"upstream-forbidden", "upstream-refuses-certificate", "upstream-tls-failed", "upstream-no-reply", "upstream-left-request"},
	},
	check: "certutil -dump FILE.pfx: dates, Enhanced Key Usage, Key Usage; on the management point: certutil -verify on the certificate.",
	test: func(f *facts) (occurrence, bool) {
		u := f.upstream
		if u == nil || u.client.leaf() == nil || !f.Probe && !f.clientWasRefused() {
			return occurrence{}, false
		}
		o := occurrence{leg: traffic.UpstreamSide, who: proxySide, sure: certain, proof: f.unfit(u)}
		if len(o.proof) == 0 {
			line := unlisted(u)
			if line == "" || f.answered(403) == nil { // an alert says more
				return o, false
			}
			o.sure, o.proof = likely, []string{line}
		}
		o.proof = append(o.proof, "mpproxy showed "+u.client.words())
		if x := f.answered(403); x != nil {
			o.exchange, o.proof = x, append(o.proof, x.line())
		} else if code, after := f.refusedAfterwards(); after {
			o.proof = append(o.proof, "alert "+alertText(code)+" from the management point, after the handshake (decrypted by mpproxy)")
		} else if u.alert.seen {
			o.proof = append(o.proof, u.alertLine())
		}
		return o, true
	},
}

// clientWasRefused is true when the management point did not like the
// certificate that it was shown.
func (f *facts) clientWasRefused() bool {
	l := f.upstream
	if f.agent != nil && f.agent.sealed {
		l = f.agent
	}
	_, after := f.refusedAfterwards()
	if x := f.answered(400); x != nil && x.isCalled(pageBadCertificate) {
		return true
	}
	return after || f.answered(403) != nil || l != nil && l.says(tlsrecord.Server, 42, 43, 44, 45, 46, 48, 49, 51)
}

// unfit lists what is wrong with the client certificate of a leg by itself.
func (f *facts) unfit(l *leg) []string {
	x := l.client.leaf()
	var out []string
	if why, good := l.client.dates(l.at()); !good {
		out = append(out, why)
	}
	if why, good := l.client.usage(x509.ExtKeyUsageClientAuth); !good {
		out = append(out, why)
	}
	if x.KeyUsage != 0 && x.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		out = append(out, "its key usage is there and has no Digital Signature")
	}
	switch x.PublicKey.(type) {
	case *ecdsa.PublicKey, ed25519.PublicKey:
		out = append(out, "its key is "+keyName(x)+"; ConfigMgr takes RSA alone")
	}
	if which, by := f.revoked(l.client); which != nil {
		line, _ := revokedLine(which, by)
		out = append(out, line)
	}
	return out
}

// unlisted says that the authorities that the server named lack those of the
// client's chain; "" when they do not.
func unlisted(l *leg) string {
	if l.leafOnly {
		if a := l.end.After.Again; a != nil && strings.Contains(a.Unsuited, "acceptable CA") {
			return "it does not suit what the management point asked for by renegotiation: " + a.Unsuited
		}
		return ""
	}
	_, named := l.authorities()
	if _, lacks := lacking(named, l.client.issuers()); !lacks {
		return ""
	}
	return "its issuer is not among those that the management point names: " + authoritiesLine(named)
}
