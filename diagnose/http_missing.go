package diagnose

import (
	"fmt"
	"slices"
	"strings"

	"mpproxy/decode"
	"mpproxy/traffic"
)

// missingRules are about refusals whose reason the server's page or the path
// tells.
var missingRules = []rule{pageTells, bodyLimit, roleMissing, policyMissing, contentMissing}

// toldElsewhere are the substatuses about which other rules know more: of
// authentication, of TLS and client certificates, and of verbs and sizes.
var toldElsewhere = []string{
	"401.1", "401.2", "403.4", "403.7", "403.12", "403.13", "403.16", "403.17", "404.0", "404.6", "404.13",
}

var pageTells = rule{
	kind: traffic.FindingKind{
		Code: "upstream-page-tells", Severity: traffic.Error,
		Title:  "The management point's IIS refuses the request, and its page says why",
		Why:    "The page has the substatus that is else only in the IIS log: what refuses is IIS or its configuration, before the management point's own code.",
		Remedy: "Correct what the first line of evidence names, on the management point or distribution point, in IIS Manager.",
		Moot: []string{
			"upstream-forbidden", "http-needs-https", "upstream-verb-blocked", "upstream-unauthorized", "upstream-no-challenge",
			"upstream-role-missing", "http-content-missing", "http-content-path", "bits-upload-refused", "msg-policy-missing",
		},
	},
	check: "On the server: IIS log, sc-substatus and sc-win32-status of this request.",
	test: func(f *facts) (occurrence, bool) {
		x := f.last()
		if x == nil || x.Status >= 500 {
			return occurrence{}, false
		}
		if s := x.substatus(); s == "" || slices.Contains(toldElsewhere, s) {
			return occurrence{}, false
		}
		return occurrence{leg: traffic.UpstreamSide, who: mpSide, sure: certain, exchange: x, proof: append(slices.Clone(x.page()), x.line())}, true
	},
}

var bodyLimit = rule{
	kind: traffic.FindingKind{
		Code: "upstream-body-limit", Severity: traffic.Error,
		Title:  "The management point, or something before it, takes no request as large as the agent's",
		Why:    "Request filtering (30,000,000 bytes unless it is changed), ASP.NET and devices on the way have limits of size. Small messages pass; inventories and large reports do not.",
		Remedy: "On the management point: raise maxAllowedContentLength of Request Filtering for ccm_system and CCM_Incoming; look at limits of devices on the way; on the agent: see what makes the report so large.",
		Moot:   []string{"upstream-verb-blocked", "upstream-left-request", "upstream-no-reply", "http-cut-short", "upstream-role-missing", "bits-upload-refused", "http-needs-https"},
	},
	check: "On the management point: IIS log, 404 with substatus 13 or 413; HTTPERR log. No line at all: a device before it.",
	test: func(f *facts) (occurrence, bool) {
		x := f.answered(413, 404)
		if x == nil || x.Status == 413 && f.upstream != nil {
			return occurrence{}, false
		}
		o := occurrence{leg: traffic.UpstreamSide, who: mpSide, sure: certain, exchange: x, proof: []string{
			x.line(), fmt.Sprintf("the body has %d bytes", x.BodySize),
		}}
		passed := f.History.passed(x.Method)
		switch {
		case x.Status == 413 || x.substatus() == "404.13":
			o.proof = append(o.proof, x.page()...)
		case passed.count > 0 && x.BodySize > readAhead && x.RequestSize > 4*passed.largest:
			o.sure = possible
			o.proof = append(o.proof, fmt.Sprintf("smaller requests %s pass (%d, up to %d bytes): 404.13 is possible", x.Method, passed.count, passed.largest))
			return o, true
		default:
			return occurrence{}, false
		}
		if passed.count > 0 {
			o.proof = append(o.proof, fmt.Sprintf("smaller requests %s pass (%d, up to %d bytes)", x.Method, passed.count, passed.largest))
		}
		if p := x.packet(); p != nil && p.Total >= 0 {
			o.proof = append(o.proof, fmt.Sprintf("the agent announced %d bytes in all", p.Total))
		}
		return o, true
	},
}

// packet is the packet of an upload, nil when it is none.
func (x *Exchange) packet() *decode.Packet {
	if x.Message == nil {
		return nil
	}
	return x.Message.Packet
}

var roleMissing = rule{
	kind: traffic.FindingKind{
		Code: "upstream-role-missing", Severity: traffic.Error,
		Title:  "The server has nothing at a path that a management point has",
		Why:    "The role is not installed there, its installation failed, its virtual directory is gone, or the name leads to another server.",
		Remedy: "See whether the name leads to the management point (DNS, load balancer, --upstream); on it: SMS_MP and ccm_system in IIS, MPMSI.log and MPSetup.log, ISAPI and CGI restrictions (404.2), then install the role again.",
		Moot:   []string{"msg-policy-missing", "upstream-verb-blocked"},
	},
	check: "On the management point: IIS log, sc-substatus of this request (0 no such directory, 2 ISAPI restriction, 3 handler); mpcontrol.log.",
	test: func(f *facts) (occurrence, bool) {
		x := f.answered(404)
		if x == nil || !x.wantsData() || x.isUpload() || isDocument(x) {
			return occurrence{}, false
		}
		if x.Method == "CCM_POST" && f.History.passed(x.Method).count == 0 {
			return occurrence{}, false // the verb is the likelier cause
		}
		o := occurrence{leg: traffic.UpstreamSide, who: mpSide, sure: certain, exchange: x, proof: append([]string{x.line()}, x.page()...)}
		if path := strings.ToLower(x.path()); strings.Contains(path, "_altauth/") || strings.Contains(path, "_tokenauth/") {
			o.sure = likely
			o.proof = append(o.proof, "management points of older versions do not have this path")
			o.do = []string{"Compare the versions of agent and management point: update the site, or see in mpcontrol.log and MPSetup.log whether the update of this management point has failed."}
		}
		return o, true
	},
}

// isDocument is true for policy and configuration items, of which each is there
// or not.
func isDocument(x *Exchange) bool {
	path := strings.ToLower(x.path())
	return strings.HasSuffix(path, "/.sms_pol") || strings.HasSuffix(path, "/.sms_dcm")
}

var policyMissing = rule{
	kind: traffic.FindingKind{
		Code: "msg-policy-missing", Severity: traffic.Error,
		Title:  "The management point does not have the policy, or the configuration item, that the agent was told to fetch",
		Why:    "Its assignment is known, its body is not: the policy was deleted or changed since, the database behind the management point is behind (a replica, a secondary site), or it could not be read. The deployment does not arrive.",
		Remedy: "Look into MP_GetPolicy.log (MP_GetSdmPackage.log for configuration items) at this time; see replication of the database; change the deployment so that the site makes its policy anew.",
	},
	check: "On the management point: MP_GetPolicy.log; in the database: the policy's id in table Policy and PolicyAssignment. On the agent: PolicyAgent.log, 0x80070194 or status 404.",
	test: func(f *facts) (occurrence, bool) {
		x := f.answered(404, 410)
		if x == nil || !isDocument(x) {
			return occurrence{}, false
		}
		_, query, _ := strings.Cut(x.Target, "?")
		return occurrence{leg: traffic.UpstreamSide, who: mpSide, sure: certain, exchange: x, proof: append([]string{
			x.line(), "what was asked for: " + quote(query),
		}, x.page()...)}, true
	},
}

var contentMissing = rule{
	kind: traffic.FindingKind{
		Code: "http-content-missing", Severity: traffic.Warning,
		Title:  "The distribution point does not have the content that the agent asks it for, or does not serve it",
		Why:    "The management point names distribution points by what the site believes they have. Content that was not finished, was removed from the library, or is of another version gets 404, as do files that request filtering hides.",
		Remedy: "In the console: the content's status on this distribution point; validate it, and distribute it again. If it is there: Request Filtering (extension, hidden segment, double escaping) of that server.",
	},
	check: "On the distribution point: IIS log, sc-substatus (0 not there, 7 extension, 8 hidden segment, 11 double escaping); SMSDPProv.log. On the agent: DataTransferService.log.",
	test: func(f *facts) (occurrence, bool) {
		x := f.answered(404)
		if x == nil || x.Method != "GET" && x.Method != "HEAD" && x.Method != "PROPFIND" || !isContent(x) || f.History.servedByQuery(x) {
			return occurrence{}, false
		}
		return occurrence{leg: traffic.UpstreamSide, who: mpSide, sure: likely, exchange: x, proof: append([]string{
			x.line(), "what was asked for: " + quote(x.Target),
		}, x.page()...)}, true
	},
}

// isContent is true for requests for files of a distribution point.
func isContent(x *Exchange) bool {
	target := strings.ToLower(x.Target)
	return strings.Contains(target, "sms_dp_smspkg$") || strings.Contains(target, "sms_dp_smssig$")
}
