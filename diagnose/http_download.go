package diagnose

import (
	"fmt"
	"strings"

	"mpproxy/traffic"
)

// downloadRules are about downloads by BITS, and about bodies that are packed
// on the way.
var downloadRules = []rule{rangeIgnored, packedAnew}

var rangeIgnored = rule{
	kind: traffic.FindingKind{
		Code: "http-range-ignored", Severity: traffic.Error,
		Title:  "The server, or something before it, does not give the agent the part of a file that it asks for, but another",
		Why:    "BITS fetches files in ranges and gives up without them (0x80200013). A proxy or web filter that fetches whole files to scan them takes the ranges away; IIS itself serves them.",
		Remedy: "Let content go past that proxy, or let it pass Range and Content-Range (for Squid: range_offset_limit none).",
	},
	check: "On the agent: DataTransferService.log, 0x80200013; bitsadmin /list /verbose.",
	test: perRequest(func(_ *facts, x *Exchange) (occurrence, bool) {
		want := x.Question.Get("Range")
		first, isRange := strings.CutPrefix(strings.ToLower(want), "bytes=")
		if x.Method != "GET" || !isRange || strings.Contains(want, ",") {
			return occurrence{}, false
		}
		from, _, _ := strings.Cut(first, "-")
		got := x.Answer.Get("Content-Range")
		whole := x.Status == 200 && from != "0"
		other := x.Status == 206 && !strings.HasPrefix(strings.ToLower(got), "bytes "+from+"-") && from != ""
		if !whole && !other {
			return occurrence{}, false
		}
		return occurrence{leg: traffic.UpstreamSide, who: networkSide, sure: likely, proof: append([]string{
			fmt.Sprintf("exchange %d: asked for %s, answered %d with Content-Range %s", x.ID, quote(want), x.Status, quote(got)), x.line(),
		}, x.kept()...)}, true
	}),
}

var packedAnew = rule{
	kind: traffic.FindingKind{
		Code: "http-packed-anew", Severity: traffic.Error,
		Title:  "The answer of the management point comes packed in a way that the agent did not ask for",
		Why:    "Agents unpack what the message itself says, not what HTTP says: they take the packed bytes for the message and drop it. Compression of IIS for all types, or a device that saves bytes, does that.",
		Remedy: "Switch dynamic compression off for the management point's directories in IIS, or compression in the device before it.",
		Moot:   []string{"msg-no-reply", "msg-policy-changed", "msg-reply-broken", "msg-boundary"},
	},
	check: "mpproxy show N: Content-Encoding of the reply; IIS Manager, Compression, of ccm_system and SMS_MP.",
	test: perRequest(func(_ *facts, x *Exchange) (occurrence, bool) {
		packed := strings.TrimSpace(x.Answer.Get("Content-Encoding"))
		if packed == "" || strings.EqualFold(packed, "identity") || !x.good() || !x.wantsData() ||
			strings.Contains(strings.ToLower(x.Question.Get("Accept-Encoding")), strings.ToLower(packed)) {
			return occurrence{}, false
		}
		return occurrence{leg: traffic.UpstreamSide, who: mpSide, sure: certain, proof: []string{
			fmt.Sprintf("exchange %d: the answer has Content-Encoding %s, the request Accept-Encoding %s", x.ID, quote(packed), quote(x.Question.Get("Accept-Encoding"))), x.line(),
		}}, true
	}),
}
