package diagnose

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	"mpproxy/internal/tlsrecord"
	"mpproxy/traffic"
)

// statusRules are about what the management point answers.
var statusRules = []rule{
	gatewayReason, needsHTTPS, tooLargeToAsk, postHandshake, windowsAuthFails, windowsAuthChallenge,
	poolStopped, verbBlocked, forbidden, noChallenge, unauthorized, serverError, leftWaiting, gaveUp,
}

// readAhead is how much of a body IIS reads before it asks for a certificate
// (uploadReadAheadSize).
const readAhead = 49_152

// gateway knows the reason phrases of cloud management gateways.
func (f *facts) gateway(x *Exchange) bool {
	return strings.HasPrefix(x.Reason, "CMGConnector_") || strings.HasPrefix(x.Reason, "CMGService_")
}

var gatewayReason = rule{
	kind: traffic.FindingKind{
		Code: "http-gateway-refuses", Ref: "N15", Severity: traffic.Error,
		Title:  "The cloud management gateway refuses, on the way to the management point; its reason phrase says what failed there",
		Why:    "CMGConnector_… is about the hop from the connection point to the management point, CMGService_… about the gateway itself: the agent's own way to the gateway is good.",
		Remedy: "Clientcertificaterequired: give the connection point a client certificate that the management point takes. Forbidden: the management point's HTTPS binding. Invalid_Token: renew the agent's token.",
		Moot:   []string{"upstream-forbidden", "upstream-no-certificate", "native-no-client-cert", "upstream-unauthorized"},
	},
	check: "On the connection point: SMS_CLOUD_PROXYCONNECTOR.log.",
	test: perRequest(func(f *facts, x *Exchange) (occurrence, bool) {
		if !f.gateway(x) {
			return occurrence{}, false
		}
		o := occurrence{leg: traffic.UpstreamSide, who: mpSide, sure: certain, proof: []string{x.line()}}
		for _, r := range gatewayReasons {
			if strings.Contains(strings.ToLower(x.Reason), r.part) {
				o.proof, o.do = append(o.proof, r.says), []string{r.do}
				if r.agent {
					o.leg, o.who = traffic.AgentSide, agentSide
				}
				break
			}
		}
		if t := x.Token; t != nil {
			o.proof = append(o.proof, "the token: "+t.String())
		}
		return o, true
	}),
}

// gatewayReasons are what the reason phrases of gateways mean, by a part of them
// in lower case; agent is true where the agent has to act.
var gatewayReasons = []struct {
	part, says, do string
	agent          bool
}{
	{"clientcertificaterequired", "the management point wants a certificate of the connection point, and got none that it takes", "Give the connection point's computer a client certificate that the management point trusts, with its lists of revocation in reach; then restart SMS_CLOUD_PROXYCONNECTOR.", false},
	{"invalid_token", "the gateway refuses the agent's token: it has run out, or is of another site", "Let the agent get a new token: on the intranet, or with a new registration token (/regtoken); see its clock.", true},
	{"unauthorized", "the agent's token is refused behind the gateway", "See CCM_STS.log on the management point: issuer and audience of the token, and whether this user or device may use it; let the agent get a new token.", true},
	{"forbidden", "the management point, or a filter on the way to it, refuses what the connection point asks", "See which certificate the management point's port 443 shows and whether it fits the site's mode (HTTPS or Enhanced HTTP); the URL filters of the connection point.", false},
	{"no_connector", "no connection point is connected to the gateway", "See on the connection point whether its service runs and reaches the gateway outward: SMS_CLOUD_PROXYCONNECTOR.log, ports 443 and 10124.", false},
	{"serviceunavailable", "the connection point does not get through to the management point", "See whether the management point answers on the connection point's own computer (mpproxy doctor there), and its application pools.", false},
	{"internalservererror", "the management point answered the connection point with an error of its own", "Look into the management point's logs at this time, as for agents in the intranet.", false},
}

var needsHTTPS = rule{
	kind: traffic.FindingKind{
		Code: "http-needs-https", Ref: "N10", Severity: traffic.Error,
		Title:  "The agent uses http:// where the management point wants https://",
		Why:    "IIS answers 403.4 where Require SSL is set.",
		Remedy: "Give the agent the site's HTTPS address (CCMHTTPSPORT, /UsePKICert), and mpproxy --upstream https://….",
		Moot:   []string{"upstream-forbidden", "tls-schemes-bridged", "tls-bridged"},
	},
	check: "On the management point: IIS log, sc-status 403 sc-substatus 4.",
	test: func(f *facts) (occurrence, bool) {
		o := occurrence{leg: traffic.UpstreamSide, who: agentSide, sure: likely}
		if f.upstream != nil || f.agent != nil && f.agent.sealed {
			return o, false
		}
		if f.agent != nil {
			o.who = proxySide
			o.do = []string{"Tell mpproxy to use TLS as well: --upstream https://…."}
		}
		if x := f.answered(301, 302, 307, 308); x != nil && x.sameInTLS() {
			o.sure, o.exchange, o.proof = certain, x, []string{x.line(), "it sends the agent on to " + quote(x.Location)}
			return o, true
		}
		x := f.answered(403)
		if x == nil || x.wantsCertificate() {
			return o, false
		}
		o.exchange, o.proof = x, []string{x.line(), "the way to the management point has no TLS: 403.4 is likely"}
		if x.substatus() == "403.4" {
			o.sure, o.proof = certain, append(slices.Clone(x.page()), x.line())
		}
		return o, true
	},
}

var tooLargeToAsk = rule{
	kind: traffic.FindingKind{
		Code: "upstream-too-large", Ref: "M16", Severity: traffic.Error,
		Title:  "The management point refuses a body as too large, as IIS does when it still wants to ask for a certificate",
		Why:    "To ask by renegotiation IIS has to read the body first, and reads 48 KB at most (uploadReadAheadSize). Small messages pass, inventories do not.",
		Remedy: "Ask for the certificate in the first handshake (clientcertnegotiation=enable), or raise uploadReadAheadSize; mpproxy --prime asks once before a large upload.",
		Moot:   []string{"upstream-no-reply", "upstream-post-handshake", "upstream-left-request", "http-cut-short"},
	},
	check: "On the management point: IIS log, sc-status 413; appcmd list config /section:serverRuntime.",
	test: func(f *facts) (occurrence, bool) {
		x := f.answered(413)
		switch {
		case x == nil:
			return f.resetWhileSending()
		case f.upstream == nil:
			return occurrence{}, false
		}
		o := occurrence{leg: traffic.UpstreamSide, who: mpSide, sure: possible, exchange: x, proof: []string{x.line()}}
		switch {
		case f.upstream.asked():
			o.proof = append(o.proof, fmt.Sprintf("the body has %d bytes; it asked for the certificate in the first handshake, so it is another limit of size than the read-ahead of 48 KB", x.BodySize))
			o.do = otherLimits
		case x.BodySize > readAhead:
			o.sure = likely
			f.besideTooLarge(&o)
		}
		return o, true
	},
}

// otherLimits are limits of size that have nothing to do with certificates.
var otherLimits = []string{"See the other limits of size: maxAllowedContentLength of request filtering, MaxRequestEntityAllowed, and devices on the way."}

// besideTooLarge compares a large body with the limit, with what else the agent
// has sent, and says whether mpproxy primed.
func (f *facts) besideTooLarge(o *occurrence) {
	o.proof = append(o.proof, fmt.Sprintf("the body has %d bytes; without asking before it, IIS reads %d at most (48 KB, uploadReadAheadSize)", o.exchange.BodySize, readAhead))
	if a := f.History.at(f.agentAddress()); a != nil && a.small > 0 {
		o.proof = append(o.proof, fmt.Sprintf("bodies below 48 KB from the same agent passed: %d requests on all its connections, the largest with %d bytes", a.small, a.largest))
	}
	for i := range f.Exchanges {
		if x := &f.Exchanges[i]; x.Own {
			o.proof = append(o.proof, "mpproxy primed this connection (--prime): "+x.line())
			o.do = append([]string{"Ask for the certificate in the first handshake (clientcertnegotiation=enable), or raise uploadReadAheadSize."}, otherLimits...)
			return
		}
	}
	o.proof = append(o.proof, "mpproxy did not prime this connection: with --prime it asks once before a large body opens a connection, so that the certificate is asked for before the body is in the way")
}

// resetWhileSending is a large body that the management point cut off.
func (f *facts) resetWhileSending() (occurrence, bool) {
	for _, x := range f.requests {
		if x.Status == 0 && x.Fate == traffic.Broken && x.BodySize > readAhead && f.upstream != nil && !f.upstream.asked() && f.mpEnded() {
			o := occurrence{leg: traffic.UpstreamSide, who: mpSide, sure: possible, exchange: x, proof: []string{
				x.line(), f.mpEnd() + ", while the body was sent",
			}}
			f.besideTooLarge(&o)
			return o, true
		}
	}
	return occurrence{}, false
}

// mpEnded is true when the management point ended the connection, and not
// because the agent had.
func (f *facts) mpEnded() bool {
	u, a := f.Conn.UpstreamLeg, f.Conn.AgentLeg
	if u.End != traffic.EndFIN && u.End != traffic.EndReset && u.End != traffic.EndAlert {
		return false
	}
	return a.End != traffic.EndFIN && a.End != traffic.EndReset || !a.EndedAt.Before(u.EndedAt)
}

// mpEnd is how the management point ended, as a line of evidence.
func (f *facts) mpEnd() string {
	u := f.Conn.UpstreamLeg
	return fmt.Sprintf("the management point ended first (%s), after %d bytes to it and %d from it", u.End, u.BytesOut, u.BytesIn)
}

var postHandshake = rule{
	kind: traffic.FindingKind{
		Code: "upstream-post-handshake", Ref: "M11", Severity: traffic.Error,
		Title:  "The management point wants the client certificate after a TLS 1.3 handshake, where it is not given",
		Why:    "TLS 1.3 has no renegotiation; IIS then resets the connection (Server 2022) or answers 500 with 0x80070032 (2025).",
		Remedy: "Offer TLS 1.2 at most (--upstream-tls-max 1.2, the default), or set clientcertnegotiation=enable on the binding.",
		Moot:   []string{"upstream-no-reply", "http-cut-short", "upstream-left-request"},
	},
	check: "On the management point: netsh http show sslcert; HTTPERR log at this time.",
	test: func(f *facts) (occurrence, bool) {
		if f.agent != nil && f.agent.sealed {
			return f.resetAtFirst()
		}
		u := f.upstream
		if u == nil || u.failed() || u.asked() || u.tr.Version() != tlsrecord.TLS13 || len(f.requests) == 0 {
			return occurrence{}, false
		}
		if _, refused := f.refusedAfterwards(); refused {
			return occurrence{}, false
		}
		x := f.requests[0]
		switch {
		case x.Status == 403 && f.neverAsked():
			return occurrence{leg: traffic.UpstreamSide, who: mpSide, sure: possible, exchange: x, proof: []string{"TLS 1.3, and it asked for no certificate in the handshake", x.line()}}, true
		case x.Status == 500:
			return occurrence{leg: traffic.UpstreamSide, who: mpSide, sure: possible, exchange: x, proof: []string{"TLS 1.3", x.line()}}, true
		case x.Status == 0 && x.Fate == traffic.Broken && (f.Conn.UpstreamLeg.End == traffic.EndReset || strings.Contains(x.Err, "reset")):
			return occurrence{leg: traffic.UpstreamSide, who: mpSide, sure: likely, exchange: x, proof: append([]string{"TLS 1.3, reset right after the first request", x.line()}, f.lastFromMP()...)}, true
		}
		return occurrence{}, false
	},
}

// resetAtFirst is TLS 1.3 passed through that the management point reset when the
// agent had sent its first data, and without a word to it.
func (f *facts) resetAtFirst() (occurrence, bool) {
	l, u := f.agent, f.Conn.UpstreamLeg
	if l.tr.Version() != tlsrecord.TLS13 || l.stage != tlsrecord.StageData || u.End != traffic.EndReset || !f.mpEnded() || len(l.hs.OutMarks) == 0 {
		return occurrence{}, false
	}
	h, read := l.hidden()
	if !read || h.answered {
		return occurrence{}, false
	}
	return occurrence{leg: traffic.AgentSide, who: mpSide, sure: possible, proof: []string{
		"TLS 1.3, passed through: the agent sent data after its handshake, and nothing came back to that", f.mpEnd(),
	}}, true
}

// challenged are the answers 401 to requests for Windows authentication.
func (f *facts) challenged() []*Exchange {
	var out []*Exchange
	for _, x := range f.requests {
		if x.Status == 401 && slices.ContainsFunc(x.Challenges, isWindowsAuth) {
			out = append(out, x)
		}
	}
	return out
}

func isWindowsAuth(challenge string) bool {
	scheme, _, _ := strings.Cut(challenge, " ")
	return strings.EqualFold(scheme, "Negotiate") || strings.EqualFold(scheme, "NTLM")
}

var windowsAuthFails = rule{
	kind: traffic.FindingKind{
		Code: "upstream-windows-auth", Ref: "M17", Severity: traffic.Warning,
		Title:  "The management point refuses the agent's Windows authentication again and again",
		Why:    "The first 401 is meant to be; three of them, or one at the end, are not. Extended Protection ties authentication to the certificate that the agent saw, which is mpproxy's.",
		Remedy: "Switch Extended Protection off for ccm_system_windowsauth, give mpproxy the management point's own certificate, or pass this listener through.",
		Moot:   []string{"upstream-auth-challenge"},
	},
	check: "On the management point: Security log, event 4625; IIS log 401 1.",
	test: func(f *facts) (occurrence, bool) {
		xs := f.challenged()
		if len(xs) == 0 {
			return occurrence{}, false
		}
		last := f.last()
		if len(xs) < 3 && (last.Status != 401 || len(xs) < 2) {
			return occurrence{}, false
		}
		return occurrence{leg: traffic.UpstreamSide, who: mpSide, sure: likely, exchange: xs[len(xs)-1], proof: []string{
			fmt.Sprintf("%d answers 401 on one connection; the last answer is %d", len(xs), last.Status), xs[len(xs)-1].line(),
		}}, true
	},
}

var windowsAuthChallenge = rule{
	kind: traffic.FindingKind{
		Code: "upstream-auth-challenge", Ref: "N16", Severity: traffic.Info,
		Title:  "The management point challenged the agent once and then let it in, as it should",
		Why:    "Windows authentication begins with a 401; nothing is wrong.",
		Remedy: "Nothing.",
	},
	check: "The IIS log has 401 2 2148074254, then 200.",
	test: func(f *facts) (occurrence, bool) {
		xs := f.challenged()
		if len(xs) == 0 {
			return occurrence{}, false
		}
		if last := f.last(); last.Status >= 400 {
			return occurrence{}, false
		}
		return occurrence{leg: traffic.UpstreamSide, who: "", sure: certain, exchange: xs[0], proof: []string{xs[0].line()}}, true
	},
}

var poolStopped = rule{
	kind: traffic.FindingKind{
		Code: "upstream-pool-stopped", Ref: "M18", Severity: traffic.Error,
		Title:  "The management point's web server is up, but the application behind it is not",
		Why:    "http.sys itself answers 503 when the application pool is stopped or keeps crashing.",
		Remedy: "Start the application pool (CCM Server Framework Pool, SMS Management Point Pool) and look why it stopped.",
	},
	check: "On the management point: HTTPERR log (AppOffline, QueueFull); System log, WAS events 5002 and 5059.",
	test: func(f *facts) (occurrence, bool) {
		x := f.answered(503)
		if x == nil {
			return occurrence{}, false
		}
		o := occurrence{leg: traffic.UpstreamSide, who: mpSide, sure: likely, exchange: x, proof: []string{x.line()}}
		if strings.HasPrefix(x.Server, "Microsoft-HTTPAPI") {
			o.sure = certain
			o.proof = append(o.proof, "Server: "+quote(x.Server)+", which is http.sys, not IIS")
		} else if strings.HasPrefix(x.Server, "Microsoft-IIS") {
			o.sure = possible
			o.proof = append(o.proof, "Server: "+quote(x.Server)+": IIS itself answered, or the application, as when it has too many requests")
		}
		return o, true
	},
}

var verbBlocked = rule{
	kind: traffic.FindingKind{
		Code: "upstream-verb-blocked", Ref: "M19", Severity: traffic.Error,
		Title:  "The management point, or a filter before it, does not let the agent's method through",
		Why:    "Request filtering, URLScan and web application firewalls know neither CCM_POST nor BITS_POST; PROPFIND needs WebDAV on distribution points.",
		Remedy: "Allow the verbs HEAD, GET, CCM_POST, BITS_POST and PROPFIND.",
	},
	check: "On the management point: IIS log, sc-substatus 6 (verb denied); Request Filtering, HTTP Verbs.",
	test: func(f *facts) (occurrence, bool) {
		x := f.answered(404, 405, 501)
		if x == nil || !slices.Contains([]string{"CCM_POST", "BITS_POST", "PROPFIND", "HEAD"}, x.Method) || x.Method == "HEAD" && x.Status == 404 {
			return occurrence{}, false
		}
		o := occurrence{leg: traffic.UpstreamSide, who: mpSide, sure: certain, exchange: x, proof: append([]string{x.line()}, x.page()...)}
		told := x.substatus() == "404.6"
		if x.Status == 404 && !told {
			o.sure = likely
			if f.History.passed(x.Method).count > 0 || isContent(x) {
				return occurrence{}, false // it passes elsewhere, or the content is missing
			}
		}
		if x.isUpload() {
			o.do = []string{
				"On the management point: see that the BITS Server Extension is installed and that CCM_Incoming takes uploads (BITSUploadEnabled); without it IIS knows no BITS_POST.",
				"Allow the verbs BITS_POST and CCM_POST in Request Filtering, and in web application firewalls before it.",
			}
		}
		return o, true
	},
}

var forbidden = rule{
	kind: traffic.FindingKind{
		Code: "upstream-forbidden", Ref: "M15", Severity: traffic.Error,
		Title:  "The management point answers 403: it does not like the client certificate, or its absence",
		Why:    "IIS tells which one only in its own log (sc-substatus). Trust is decided by the Windows stores of its computer, not by the site's settings.",
		Remedy: "See the substatus in the IIS log: 16 root not trusted, 13 revoked or CRL out of reach, 17 expired, 7 none, 12 mapping denied.",
	},
	check: "On the management point: IIS log, sc-substatus and sc-win32-status (mpproxy explain \"403 16 2148204809\").",
	test: func(f *facts) (occurrence, bool) {
		x := f.answered(403)
		if x == nil || f.upstream == nil {
			return occurrence{}, false
		}
		substatus, who, why, do := f.likelySubstatus()
		o := occurrence{
			leg: traffic.UpstreamSide, who: who, sure: likely, exchange: x, do: do,
			proof: append([]string{x.line(), substatus + " is likely: " + why}, f.nonRoots()...), notIt: f.clientFits(f.upstream.client),
		}
		if f.neverAsked() {
			o.who, o.sure = mpSide, possible
			o.proof[1] = "it never asked mpproxy for a certificate, so this may be another 403 than those about certificates"
			o.do = []string{
				"See the substatus in the IIS log: 4 wants TLS, 6 and 8 refuse the address or name, 14 lists no directory, 7 wants a certificate that IIS then asks for.",
			}
		}
		return o, true
	},
}

// likelySubstatus guesses the IIS substatus from the certificate that mpproxy
// showed to the management point.
func (f *facts) likelySubstatus() (substatus, who, why string, do []string) {
	c := f.upstream.client
	if len(c) == 0 {
		return "403.7", proxySide, "no certificate was shown to the management point", []string{"Give mpproxy a client certificate: --client-cert FILE.pfx."}
	}
	if why, good := c.dates(f.upstream.at()); !good {
		return "403.17", proxySide, why, []string{"Renew the certificate that mpproxy shows."}
	}
	if why, good := c.usage(x509.ExtKeyUsageClientAuth); !good {
		return "403.16", proxySide, why, []string{"Give mpproxy a certificate with Client Authentication."}
	}
	why = "the chain is complete and valid as sent"
	if !c.complete() {
		why = "the certificate is valid as sent, and came without its root or intermediates"
	}
	why += ", issuer " + quote(c.issuer()) + ": so the store on the management point is the suspect, LocalMachine, not CurrentUser; 403.13 if its CRL is out of the management point's reach"
	return "403.16", mpSide, why, []string{
		"On the management point: import the root of " + c.issuer() + " into LocalMachine\\Root (not CurrentUser); importing it into the site's settings is not enough.",
		"On the management point: Get-ChildItem Cert:\\LocalMachine\\Root | Where-Object { $_.Issuer -ne $_.Subject } must print nothing: a certificate that is no root in that store makes 403.16 too.",
	}
}

var noChallenge = rule{
	kind: traffic.FindingKind{
		Code: "upstream-no-challenge", Ref: "N16", Severity: traffic.Error,
		Title:  "The management point answers 401 and names no way to authenticate, so no agent can get in",
		Why:    "A challenge is the first half of authentication. A 401 without one comes from IIS when every authentication of the folder is off, or from a module behind it: there is nothing that an agent could answer.",
		Remedy: "On the management point: enable Anonymous Authentication for ccm_system, CCM_Incoming and SMS_MP, and Windows Authentication for ccm_system_windowsauth; where they are enabled, see that the identity of anonymous users has rights to the files.",
		Moot:   []string{"upstream-unauthorized"},
	},
	check: "On the management point: IIS log, sc-status 401 with its substatus (2 configuration, 3 rights, 5 module); Get-WebConfiguration system.webServer/security/authentication/* for that folder.",
	test: func(f *facts) (occurrence, bool) {
		x := f.last()
		if x == nil || x.Status != 401 || len(x.Challenges) > 0 || len(f.challenged()) > 0 {
			return occurrence{}, false
		}
		return occurrence{leg: traffic.UpstreamSide, who: mpSide, sure: certain, exchange: x, proof: append([]string{
			x.line(), "the answer has no WWW-Authenticate field",
		}, x.page()...)}, true
	},
}

// page is what the page of the answer says, as lines of evidence.
func (x *Exchange) page() []string {
	if x.Message == nil {
		return nil
	}
	return x.Message.Page
}

var unauthorized = rule{
	kind: traffic.FindingKind{
		Code: "upstream-unauthorized", Severity: traffic.Warning,
		Title:  "The management point answers 401, and the agent leaves it at that",
		Why:    "The path wants an authentication that this agent cannot give: Windows authentication outside of the domain, or a token that has run out.",
		Remedy: "See which authentication the path is meant to have (ccm_system has none, ccm_system_windowsauth has Windows'), and whether the agent's token is still good.",
	},
	check: "On the management point: IIS log, sc-status 401 with its substatus; the authentication of that virtual directory.",
	test: func(f *facts) (occurrence, bool) {
		x := f.last()
		if x == nil || x.Status != 401 || len(f.challenged()) > 1 {
			return occurrence{}, false
		}
		if len(x.Challenges) == 0 {
			return occurrence{}, false
		}
		o := occurrence{leg: traffic.UpstreamSide, who: agentSide, sure: possible, exchange: x, proof: append([]string{
			x.line(), "it asks for " + quote(strings.Join(x.Challenges, ", ")),
		}, x.page()...)}
		switch path := strings.ToLower(x.path()); {
		case isContent(x):
			o.do = []string{"If the distribution point does not allow anonymous access: give the site a network access account (Enhanced HTTP and PKI need none), or see why it does not take the computer's account or the agent's token."}
		case x.isUpload(), strings.HasSuffix(path, "/ccm_system/request"):
			o.who, o.sure = mpSide, likely
			o.proof = append(o.proof, "agents come to this path without Windows authentication: it is meant to be anonymous")
			o.do = []string{"On the management point: enable Anonymous Authentication for this directory in IIS, with an account that may read it, and switch Windows Authentication off there."}
		}
		return o, true
	},
}

var serverError = rule{
	kind: traffic.FindingKind{
		Code: "upstream-server-error", Ref: "M18", Severity: traffic.Error,
		Title:  "The management point answers with an error of its own",
		Why:    "The request got through; what failed is behind IIS: an ISAPI module, the site's database, a full disk.",
		Remedy: "Look into the management point's logs at this time: MP_*.log, mpcontrol.log, the failed request trace of IIS.",
	},
	check: "On the management point: IIS log, sc-status, sc-substatus and sc-win32-status; mpcontrol.log. No line in the MP_*.log at this time means that IIS failed before the management point's own code ran.",
	test: func(f *facts) (occurrence, bool) {
		x := f.answered(500, 502, 504, 505, 506, 507, 508, 510)
		if x == nil {
			return occurrence{}, false
		}
		return occurrence{leg: traffic.UpstreamSide, who: mpSide, sure: certain, exchange: x, proof: append([]string{x.line()}, x.page()...)}, true
	},
}

const leftWaitingRemedy = "Look at the management point's logs at this time; at devices on the way if they know nothing of it."

var leftWaiting = rule{
	kind: traffic.FindingKind{
		Code: "upstream-left-request", Severity: traffic.Error,
		Title:  "The management point, or something before it, ended the connection while a request waited for its answer",
		Why:    "A worker process that died, a limit on size or time, or a device on the way.",
		Remedy: leftWaitingRemedy,
		Moot:   []string{"upstream-no-reply", "http-cut-short"},
	},
	check: "On the management point: HTTPERR log (Connection_Dropped, Timer_*), System log.",
	test: func(f *facts) (occurrence, bool) {
		for i := range f.requests {
			x := f.requests[i]
			if x.Status == 0 && x.Fate == traffic.Broken && f.mpEnded() {
				o := occurrence{leg: traffic.UpstreamSide, who: mpSide, sure: likely, exchange: x, proof: []string{x.line(), f.mpEnd()}}
				if f.upstream == nil && f.Conn.UpstreamLeg.BytesIn < 20 {
					o.proof = append(o.proof, "mpproxy spoke plain HTTP: a port that wants TLS ends so")
					o.do = []string{"If that port wants TLS: --upstream https://….", leftWaitingRemedy}
				}
				return o, true
			}
		}
		return occurrence{}, false
	},
}
