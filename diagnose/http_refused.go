package diagnose

import (
	"fmt"
	"strings"

	"mpproxy/traffic"
)

// refusedRules are about requests that are refused for no reason that another
// rule knows, and about bytes that are no requests, or no answers.
var refusedRules = []rule{notHTTP, answersInTLS, hostUnbound, headTooLarge, requestRefused, notFound, slow}

var notHTTP = rule{
	kind: traffic.FindingKind{
		Code: "http-other-protocol", Ref: "A23", Severity: traffic.Error,
		Title:  "What comes from the agent's side is neither HTTP nor TLS",
		Why:    "It was passed on as it is, and a management point does not understand it either.",
		Remedy: "See which program uses this port; agents speak HTTP or TLS.",
		Moot:   []string{"http-agent-gave-up", "upstream-left-request", "upstream-no-reply"},
	},
	check: "The address belongs to an agent, or to a load balancer, a monitor or a scanner.",
	test: func(f *facts) (occurrence, bool) {
		for i := range f.Exchanges {
			x := &f.Exchanges[i]
			if x.Foreign == "" || x.ForeignReply {
				continue
			}
			o := occurrence{leg: traffic.AgentSide, who: agentSide, sure: certain, exchange: x, proof: []string{"the first bytes: " + x.Foreign}}
			if strings.HasPrefix(x.Foreign, `begins "PROXY TCP`) || strings.HasPrefix(x.Foreign, `begins "\r\n\r\n\x00\r\nQUIT`) {
				o.who = networkSide
				o.proof = append(o.proof, "that is the PROXY header of a load balancer, before what the agent sends")
				o.do = []string{"Switch the PROXY protocol off at the load balancer in front of mpproxy."}
			}
			return o, true
		}
		return occurrence{}, false
	},
}

// alertRecord is the length of a record with an alert in clear.
const alertRecord = 7

var answersInTLS = rule{
	kind: traffic.FindingKind{
		Code: "upstream-wants-tls", Ref: "M04", Severity: traffic.Error,
		Title:  "The management point answers in TLS on a port where mpproxy speaks plain HTTP",
		Why:    "mpproxy was told http://, and the port wants https://.",
		Remedy: "Use --upstream https://…, or the port that has the HTTP binding.",
		Moot:   []string{"upstream-left-request", "upstream-no-reply", "http-agent-gave-up", "http-answered-between", "upstream-refuses-request"},
	},
	check: "On the management point: the site's bindings in IIS.",
	test: func(f *facts) (occurrence, bool) {
		for i := range f.Exchanges {
			x := &f.Exchanges[i]
			if f.upstream == nil && x.isCalled(pageWantsTLS) {
				return occurrence{leg: traffic.UpstreamSide, who: proxySide, sure: certain, exchange: x, proof: []string{x.line() + x.called()}}, true
			}
			if f.upstream != nil || !x.ForeignReply || !strings.HasPrefix(x.Foreign, `begins "\x15`) {
				continue
			}
			o := occurrence{leg: traffic.UpstreamSide, who: proxySide, sure: likely, exchange: x, proof: []string{
				fmt.Sprintf("its answer to plain HTTP begins as an alert of TLS does: %s, %d bytes in all", x.Foreign, f.Conn.UpstreamLeg.BytesIn), x.line(),
			}}
			if f.Conn.UpstreamLeg.BytesIn == alertRecord {
				o.sure = certain
			}
			return o, true
		}
		return occurrence{}, false
	},
}

var hostUnbound = rule{
	kind: traffic.FindingKind{
		Code: "upstream-host-unbound", Severity: traffic.Error,
		Title:  "The management point's web server has no binding for the name that the agent uses",
		Why:    "http.sys looks for a site by the Host field, and answers 400 by itself when none fits: neither IIS nor the management point sees the request. So it is after a DNS alias, another FQDN of the role, or a binding that was given a host name.",
		Remedy: "Add a binding with this host name to the management point's site in IIS, or one without a host name; or let agents use the name that is bound.",
		Moot:   []string{"upstream-refuses-request"},
	},
	check: "On the management point: HTTPERR log, Hostname; netsh http show urlacl, bindings of the site.",
	test: func(f *facts) (occurrence, bool) {
		x := f.last()
		if x == nil || x.Status != 400 || !strings.Contains(x.heading(), "Invalid Hostname") {
			return occurrence{}, false
		}
		return occurrence{leg: traffic.UpstreamSide, who: mpSide, sure: certain, exchange: x, proof: []string{
			"http.sys has no binding for the name " + quote(x.Asked) + ": its page is called " + quote(x.heading()), x.line(),
		}}, true
	},
}

var headTooLarge = rule{
	kind: traffic.FindingKind{
		Code: "upstream-head-too-large", Severity: traffic.Error,
		Title:  "The head of the agent's request is too large for the management point's web server",
		Why:    "http.sys takes 16 KB. What grows is the field Authorization: a Kerberos ticket holds every group of the account, nested ones too.",
		Remedy: "Take the computer's or user's account out of groups, or raise MaxFieldLength and MaxRequestBytes of http.sys on the management point and restart it.",
		Moot:   []string{"upstream-refuses-request"},
	},
	check: "On the management point: HTTPERR log, RequestLength or FieldLength. On the agent: whoami /groups of the account, klist.",
	test: func(f *facts) (occurrence, bool) {
		x := f.last()
		if x == nil || x.Status != 431 && (x.Status != 400 || !strings.Contains(x.heading(), "Request Too Long")) {
			return occurrence{}, false
		}
		return occurrence{leg: traffic.AgentSide, who: agentSide, sure: certain, exchange: x, proof: []string{
			fmt.Sprintf("the head of the request has %d bytes, its field Authorization %d", len(x.Question.Raw), len(x.Question.Get("Authorization"))), x.line(),
		}}, true
	},
}

var requestRefused = rule{
	kind: traffic.FindingKind{
		Code: "upstream-refuses-request", Severity: traffic.Warning,
		Title:  "The management point, or something before it, refuses the agent's request",
		Why:    "Agents log any such answer as 0x87d0027e (bad HTTP status).",
		Remedy: "Look up the status (mpproxy explain 400) and the management point's IIS log at this time.",
	},
	check: "On the management point: IIS log, sc-status and sc-substatus; HTTPERR log for what http.sys refused by itself.",
	last:  true,
	test: func(f *facts) (occurrence, bool) {
		x := f.last()
		if x == nil || x.Status < 400 || x.Status >= 500 || x.Status == 401 || x.Status == 403 || x.Status == 404 {
			return occurrence{}, false
		}
		o := occurrence{leg: traffic.UpstreamSide, who: mpSide, sure: certain, exchange: x, proof: append([]string{x.line()}, x.page()...)}
		if heading := x.heading(); heading != "" {
			o.proof = append(o.proof, "its page is called "+quote(heading))
		}
		switch {
		case x.Status == 411 || x.Status == 400 && x.Question.Get("Transfer-Encoding") != "":
			o.who = agentSide
			o.proof = append(o.proof, "the request has no Content-Length: "+quote("Transfer-Encoding: "+x.Question.Get("Transfer-Encoding")))
			o.do = []string{"Send the length in Content-Length, and no chunks; if the agent does: a proxy before mpproxy has changed it."}
		case x.Method == "POST" && strings.Contains(strings.ToLower(x.path()), "/ccm_system"):
			o.who = agentSide
			o.proof = append(o.proof, "messages are sent with CCM_POST, and this one came with POST")
			o.do = []string{"Send messages with CCM_POST; if the agent does: a proxy before mpproxy has changed the method."}
		case x.Status == 417:
			o.who, o.sure = networkSide, likely
			o.proof = append(o.proof, "the request has "+quote("Expect: "+x.Question.Get("Expect"))+"; http.sys knows that, old proxies do not")
			o.do = []string{"Let agents reach the management point without the proxy that says 417."}
		case x.isUpload() && x.Status == 416:
			o.proof = append(o.proof, "the server wants another offset next: "+quote("BITS-Received-Content-Range: "+x.Answer.Get("BITS-Received-Content-Range")))
			o.do = []string{"Nothing, if the agent goes on at that offset. If it does not, or the server forgets what it has: several servers behind one name that do not share uploads, or a session that timed out."}
		case x.Status == 400 && strings.HasPrefix(x.Server, "Microsoft-HTTPAPI"):
			o.proof = append(o.proof, "Server: "+quote(x.Server)+": http.sys refused it before IIS, as it does with a Host that no binding has, and with heads that are too large")
			o.do = []string{"See the reason in the HTTPERR log (Hostname, RequestLength, FieldLength); add a binding with this host name, or none with a host name."}
		case x.Status == 429:
			o.do = []string{"Something before the management point limits how often agents may ask: a firewall, a load balancer."}
		}
		return o, true
	},
}

var notFound = rule{
	kind: traffic.FindingKind{
		Code: "upstream-not-found", Severity: traffic.Info,
		Title:  "The management point answers that there is nothing at this path",
		Why:    "Agents also ask for files that need not be there. Where it should be: the role is not installed on this server, or its virtual directory is gone.",
		Remedy: "If this path should be there: see the role's virtual directories in IIS (SMS_MP, ccm_system), and MPMSI.log of its installation.",
	},
	check: "On the management point: IIS log, sc-substatus (mpproxy explain 404.0).",
	last:  true,
	test: func(f *facts) (occurrence, bool) {
		x := f.last()
		if x == nil || x.Status != 404 {
			return occurrence{}, false
		}
		return occurrence{leg: traffic.UpstreamSide, who: mpSide, sure: certain, exchange: x, proof: []string{x.line()}}, true
	},
}
