package diagnose

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"mpproxy/traffic"
)

// betweenRules are about what stands between agent and management point and
// answers in its place.
var betweenRules = []rule{answeredBetween, sentElsewhere}

// unwritten are what an answer explains that the management point has not
// written: all that would blame it.
var unwritten = []string{
	"upstream-forbidden", "http-needs-https", "upstream-verb-blocked", "upstream-server-error", "upstream-pool-stopped", "upstream-no-challenge",
	"upstream-unauthorized", "upstream-windows-auth", "upstream-too-large", "upstream-body-limit", "upstream-page-tells", "upstream-role-missing",
	"http-content-missing", "msg-policy-missing", "msg-no-reply", "bits-upload-refused", "bits-no-protocol", "http-token-refused",
	"http-token-missing", "native-no-client-cert", "upstream-post-handshake",
}

var answeredBetween = rule{
	kind: traffic.FindingKind{
		Code: "http-answered-between", Severity: traffic.Error,
		Title:  "Something between mpproxy and the management point answers in its place: a proxy, a web filter, a load balancer, a login page",
		Why:    "The agent's request did not reach the management point, whose logs know nothing of it. Agents run as SYSTEM: they show no browser, and know no user's proxy or password.",
		Remedy: "Let these paths go to the management point directly: except its name from proxy and filter, without authentication, for computers too; at a load balancer see whether it has a healthy server behind it.",
		Moot:   unwritten,
	},
	check: "On the management point: its IIS log has no line of this request; compare with a request from its own subnet (mpproxy doctor).",
	test: func(f *facts) (occurrence, bool) {
		for i := len(f.requests) - 1; i >= 0; i-- {
			x := f.requests[i]
			sign, sure := x.stranger()
			if x.Status == 407 && x != f.last() {
				continue // the proxy's question was answered
			}
			if sign == "" && x.pageForFile() {
				sign, sure = "a page came in place of a file "+quote(fileOf(x.Target)), likely
			}
			if sign == "" || f.gateway(x) || x.Message != nil && x.Message.Ack != nil {
				continue
			}
			if !x.fails() {
				continue
			}
			proof := []string{sign, x.line()}
			if heading := x.heading(); heading != "" {
				proof = append(proof, "its page is called "+quote(heading))
			}
			return occurrence{leg: traffic.UpstreamSide, who: networkSide, sure: sure, exchange: x, proof: proof}, true
		}
		return occurrence{}, false
	},
}

// fails is true for an answer that is of no use to the agent: an error, or a
// page where its question wants data.
func (x *Exchange) fails() bool {
	return x.Status >= 400 || x.pageForFile() || x.good() && x.Message != nil && x.Message.ReplyForm == "page" && x.wantsData()
}

// pageForFile is true for a page of HTML in answer to a request for a file of
// another kind from a distribution point.
func (x *Exchange) pageForFile() bool {
	if !x.good() || x.Message == nil || x.Message.ReplyForm != "page" || !isContent(x) {
		return false
	}
	file := strings.ToLower(fileOf(x.Target))
	return strings.Contains(file, ".") && !strings.Contains(file[strings.LastIndexByte(file, '.'):], "htm")
}

// fileOf is the last name in a target.
func fileOf(target string) string { return target[strings.LastIndexByte(target, '/')+1:] }

// wantsData is true for requests that a management point answers with a message
// or a document, never with a page for people.
func (x *Exchange) wantsData() bool {
	path := strings.ToLower(x.path())
	for _, own := range ownPaths {
		if strings.Contains(path, own) {
			return true
		}
	}
	return false
}

// ownPaths are paths that management points have, behind a gateway's prefix too.
var ownPaths = []string{"/ccm_system", "/sms_mp/.sms_", "/sms_mp_altauth/.sms_", "/sms_mp_tokenauth/.sms_", "/sms_mp_windowsauth/.sms_", "/ccm_incoming/", "/bgb/handler.ashx", "/ccm_sts"}

// onTheWay are the names of programs and devices that stand before servers.
var onTheWay = regexp.MustCompile(`(?i)\b(squid|nginx|haproxy|big-?ip|f5|fortigate|fortiweb|zscaler|cloudflare|akamaighost|varnish|envoy|traefik|netscaler|barracuda|sophos|bluecoat|mcafee|awselb|mikrotik|checkpoint)\b`)

// stranger says what shows that IIS did not write an answer, "" when nothing
// does. IIS names itself unless it was told not to.
func (x *Exchange) stranger() (sign, sure string) {
	head := x.Answer
	server := head.Get("Server")
	switch {
	case x.Status == 407 || x.Status == 511:
		return fmt.Sprintf("%d is said by what stands on the way, never by a management point", x.Status), certain
	case head.Get("X-Squid-Error") != "":
		return "the answer has the field X-Squid-Error: a proxy wrote it", certain
	case onTheWay.MatchString(server):
		return "the answer names its server " + quote(server) + "; a management point's is Microsoft-IIS or Microsoft-HTTPAPI", likely
	case strings.HasPrefix(server, "Microsoft-"):
		return "", ""
	case x.Status == 503 && strings.HasPrefix(head.Start, "HTTP/1.0 "):
		return "the answer is in HTTP/1.0, as load balancers write it; http.sys answers in HTTP/1.1", likely
	case head.Get("Via") != "":
		return "the answer came through " + quote(head.Get("Via")) + ", and names no server of Microsoft", likely
	case x.Status == 502 || x.Status == 504:
		return fmt.Sprintf("%d is said by what stands before a server, of the server behind it", x.Status), likely
	}
	return "", ""
}

var sentElsewhere = rule{
	kind: traffic.FindingKind{
		Code: "http-sent-elsewhere", Severity: traffic.Error,
		Title:  "The answer in the management point's place sends the agent elsewhere, which no management point does",
		Why:    "Login pages of guest networks and web filters, rules of URL rewriting and load balancers answer so. Agents need the answer here and now.",
		Remedy: "Take the rule away for the management point's paths (IIS: HTTP Redirect and URL Rewrite of the site; load balancer; web filter), or let the computer out of the guest network.",
		Moot:   append([]string{"http-answered-between"}, unwritten...),
	},
	check: "Fetch the same path with a browser: whose page comes? On the management point: whether its IIS log has the request, with 301 or 302.",
	test: func(f *facts) (occurrence, bool) {
		for i := len(f.requests) - 1; i >= 0; i-- {
			x := f.requests[i]
			if x.Status < 300 || x.Status >= 400 || x.Location == "" || !x.wantsData() || x.sameInTLS() {
				continue
			}
			o := occurrence{leg: traffic.UpstreamSide, who: mpSide, sure: likely, exchange: x, proof: []string{
				"it sends the agent on to " + quote(x.Location), x.line(),
			}}
			if sign, _ := x.stranger(); sign != "" {
				o.who = networkSide
				o.proof = append(o.proof, sign)
			} else if host := locationHost(x.Location); host != "" && host != lowerHost(x.Asked) {
				o.who = networkSide
				o.proof = append(o.proof, "that is another server than "+quote(x.Asked)+", which was asked")
			}
			return o, true
		}
		return occurrence{}, false
	},
}

// sameInTLS is true for an answer that sends the agent to the same server by
// https: a site that has no plain HTTP.
func (x *Exchange) sameInTLS() bool {
	if !strings.HasPrefix(strings.ToLower(x.Location), "https://") || x.TLS {
		return false
	}
	host := locationHost(x.Location)
	return host == lowerHost(x.Asked) || x.Asked == ""
}

// locationHost is the host of a redirection, "" when it is the same server.
func locationHost(location string) string {
	u, err := url.Parse(location)
	if err != nil {
		return ""
	}
	return lowerHost(u.Host)
}
