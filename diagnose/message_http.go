package diagnose

import (
	"fmt"
	"strings"

	"mpproxy/traffic"
)

const toldPath = "http-content-path"

var contentPathRules = []rule{contentPath}

var contentPath = toldRule(traffic.FindingKind{
	Code: toldPath, Ref: "N11", Severity: traffic.Warning,
	Title:  "The management point's server refuses a file by its plain path, which it gives to another agent in the query form",
	Why:    "Windows agents ask for /SMS_DP_SMSPKG$/query?…, which request filtering does not look into; a plain path with a forbidden extension or segment gets 404.",
	Remedy: "Let the agent ask in the query form, or allow the extension and hidden segments in Request Filtering of the distribution point.",
	Moot:   []string{"upstream-forbidden"},
}, "On the distribution point: IIS log, sc-substatus 7 (extension) or 8 (hidden segment).", agentSide)

// contentFile is the file that a request for content names, in both forms of
// its path, and whether it is the query form; "" for other requests.
func contentFile(target string) (file string, query bool) {
	lower := strings.ToLower(target)
	if before, after, found := strings.Cut(lower, "/query?"); found {
		_, rest, inQuery := strings.Cut(after, "sms_dp_smspkg$/")
		if !inQuery {
			_, _, inPath := strings.Cut(before, "sms_dp_smspkg$")
			if !inPath {
				return "", false
			}
			rest = after
		}
		return strings.Trim(rest, "/"), true
	}
	_, rest, found := strings.Cut(lower, "/sms_dp_smspkg$/")
	if !found {
		return "", false
	}
	file, _, _ = strings.Cut(rest, "?")
	return strings.Trim(file, "/"), false
}

// twoForms is how a file was answered in both forms of its path.
type twoForms struct {
	plain, query     int
	plainAt, queryAt traffic.ExchangeID
}

// servedByQuery is true for a request by a plain path whose file was given in
// the query form: http-content-path says more of that.
func (h *History) servedByQuery(x *Exchange) bool {
	file, query := contentFile(x.Target)
	if h == nil || query {
		return false
	}
	f := h.files[file]
	return f.query >= 200 && f.query < 300
}

func (h *History) content(x *Exchange, tell teller) {
	file, query := contentFile(x.Target)
	if file == "" || x.Status == 0 {
		return
	}
	if h.files == nil {
		h.files = map[string]twoForms{}
	}
	f, known := h.files[file]
	if !known && len(h.files) >= maxHistory {
		return
	}
	if query {
		f.query, f.queryAt = x.Status, x.ID
	} else {
		f.plain, f.plainAt = x.Status, x.ID
	}
	h.files[file] = f
	if f.plain >= 403 && f.plain < 500 && f.query >= 200 && f.query < 300 {
		tell(toldPath, likely, fmt.Sprintf("exchange %d: %s got %d by its plain path; the same file works in the query form (exchange %d)", f.plainAt, quote(file), f.plain, f.queryAt))
	}
}

var ownCheckRules = []rule{ownHealthCheck}

var ownHealthCheck = rule{
	kind: traffic.FindingKind{
		Code: "http-own-health-check", Severity: traffic.Info,
		Title:  "These requests come from the management point's own address: its health check, not an agent",
		Why:    "The site's component asks its management point for MPLIST and MPCERT. When it is refused mpcontrol.log says so, although agents may be well.",
		Remedy: "If it is refused: give the management point's computer a client certificate of its own, and restart it when a restart is pending after the role's installation.",
	},
	check: "On the management point: mpcontrol.log, HttpSendRequestSync.",
	test: func(f *facts) (occurrence, bool) {
		x := f.answered(401, 403)
		own, agent := hostOf(f.Conn.UpstreamLeg.Address), hostOf(f.Conn.AgentLeg.Address)
		if x == nil || !tellsComputers(own) || own != agent || !strings.HasSuffix(strings.ToLower(x.path()), "/.sms_aut") {
			return occurrence{}, false
		}
		return occurrence{leg: traffic.AgentSide, who: mpSide, sure: certain, exchange: x, proof: []string{
			x.line(), "the request comes from " + own + ", the management point's own address: this is the management point's own health check, not an agent",
		}}, true
	},
}
