package diagnose

import (
	"fmt"
	"strings"

	"mpproxy/traffic"
)

// policyRules are about policy that does not arrive, or arrives so that the
// agent throws it away.
var policyRules = []rule{policyForeign, policyUnsigned, policyChanged, policyWithheld, replyBroken, policyNone}

var policyForeign = messageRule(traffic.FindingKind{
	Code: "msg-policy-foreign", Severity: traffic.Error,
	Title:  "The agent gets the policy of another agent in answer to its own question",
	Why:    "The answer is for another client id. A device on the way that keeps answers, or gives them to the wrong connection, does that; secrets then go to the wrong computer.",
	Remedy: "Find what stands between agent and management point and keeps or shares answers (cache, load balancer with shared connections), and let it pass these paths unchanged.",
}, "On the management point: MP_Policy.log: for which client id did it answer; a capture there.", networkSide, certain,
	func(x *Exchange) ([]string, bool) {
		m := x.Message
		same := m.Subject == "" || m.ReplySubject == "" || strings.EqualFold(m.Subject, m.ReplySubject)
		return append([]string{fmt.Sprintf("exchange %d: asked for %s, answered for %s", x.ID, quote(m.Subject), quote(m.ReplySubject))}, x.kept()...), !same
	})

var policyChanged = messageRule(traffic.FindingKind{
	Code: "msg-policy-changed", Severity: traffic.Error,
	Title:  "The policy that the agent fetched from the management point is not the one that was announced: its hash is another",
	Why:    "The agent compares the hash and drops the policy (status message 10805, 0x87D00227): the deployment does not arrive. What came was changed on the way, packed anew, kept from before, or the management point's database is out of step.",
	Remedy: "Compare with what the management point itself gives (mpproxy doctor from its subnet). If that fits: take web filter, antivirus or cache off the way for SMS_MP; else let the site make the policy anew, by a change to the deployment.",
	Moot:   []string{"msg-policy-hash"},
}, "On the agent: PolicyAgent.log, hash mismatch; on the management point: MP_GetPolicy.log.", networkSide, likely,
	func(x *Exchange) ([]string, bool) {
		l := x.Message.lint("msg-policy-hash")
		if l == nil || x.Message.ReplyForm == "page" {
			return nil, false
		}
		return append([]string{fmt.Sprintf("exchange %d: %s", x.ID, l.Evidence)}, x.kept()...), true
	})

var policyUnsigned = messageRule(traffic.FindingKind{
	Code: "msg-policy-not-signed", Severity: traffic.Error,
	Title:  "The policy assignments from the management point lack the site's signature: the agent refuses them",
	Why:    "A site signs every assignment. Those without come from something else than the site, or were rewritten on the way; the agent says 0x87D00294.",
	Remedy: "Stop what rewrites answers between agent and management point (a rule of mpproxy among them); on the site server see whether the site signing certificate is there and good.",
	Moot:   []string{"msg-policy-unsigned"},
}, "On the agent: PolicyAgent.log, failed to verify; on the site server: policypv.log, the site signing certificate.", mpSide, certain,
	func(x *Exchange) ([]string, bool) {
		l := x.Message.lint("msg-policy-unsigned")
		if l == nil || !x.ReplyWhole {
			return nil, false
		}
		return append([]string{fmt.Sprintf("exchange %d: %s", x.ID, l.Evidence)}, x.kept()...), true
	})

// brokenTexts are the lints of messages that no parser takes.
var brokenTexts = []string{"msg-boundary", "msg-header-broken", "msg-not-zlib", "msg-not-well-formed", "msg-bad-character", "msg-lone-surrogate"}

var replyBroken = messageRule(traffic.FindingKind{
	Code: "msg-reply-broken", Severity: traffic.Error,
	Title:  "The answer from the management point cannot be read: it is damaged, or was rewritten on the way",
	Why:    "It came whole by its length, and is no message all the same. The agent drops it and asks again. Management points write what they can read themselves; scanners and devices that change bodies do not know these messages.",
	Remedy: "Let web filter, antivirus and load balancer pass these paths unchanged; compare with an answer that is taken at the management point itself.",
	Moot:   append([]string{"msg-policy-changed", "msg-no-reply"}, brokenTexts...),
}, "mpproxy show N: the place in the answer; the same question from the management point's own subnet (mpproxy doctor).", networkSide, likely,
	func(x *Exchange) ([]string, bool) {
		if !x.ReplyWhole || !x.good() || x.Message.ReplyForm == "page" {
			return nil, false
		}
		for _, code := range brokenTexts {
			if l := x.Message.lint(code); l != nil && l.Dir == traffic.Reply {
				return append([]string{fmt.Sprintf("exchange %d: %s", x.ID, l.Evidence), l.Kind.Title}, x.kept()...), true
			}
		}
		return nil, false
	})

var policyWithheld = messageRule(traffic.FindingKind{
	Code: "msg-policy-withheld", Severity: traffic.Error,
	Title:  "The management point withholds a policy from the agent: a page comes in its place, although HTTP says 200",
	Why:    "Policy with secrets is given only to agents that are approved and prove who they are (ClientToken, or their certificate). Without task sequences, network access account and collection variables the deployments that need them wait.",
	Remedy: "In the console: approve the device, or let it register over Windows authentication or with a certificate. If it is approved: see that nothing on the way takes the fields ClientToken and ClientTokenSignature away, and that the agent's clock is right.",
	Moot:   []string{"msg-policy-refused", "msg-no-reply", "msg-policy-changed"},
}, "On the management point: MP_GetPolicy.log, MP_GetAuth.log. On the agent: PolicyAgent.log.", mpSide, certain,
	func(x *Exchange) ([]string, bool) {
		m := x.Message
		if m.Kind != "policy-body" || m.ReplyForm != "page" || !x.good() {
			return nil, false
		}
		proof := []string{fmt.Sprintf("exchange %d: a page called %s in place of policy", x.ID, quote(m.Heading)), x.line()}
		if x.Question.Get("ClientToken") == "" && x.Question.Get("CCMClientID") == "" && !x.TLS {
			proof = append(proof, "the request has neither ClientToken nor CCMClientID: nothing in it says who asks")
		}
		return proof, true
	})

var policyNone = messageRule(traffic.FindingKind{
	Code: "msg-policy-none", Severity: traffic.Warning,
	Title:  "The management point has no policy at all for the agent, though the agent asked for all of it",
	Why:    "Every client of a site has client settings at least. None means that the site does not know this client id (not approved, deleted, another site's), or that the management point's database has not got it yet.",
	Remedy: "In the console: whether the device is there with this client id, approved, client Yes; for boot media: whether a task sequence is deployed to unknown computers; then MP_Policy.log, and replication where the management point uses a replica.",
	Moot:   []string{"msg-no-policy"},
}, "On the management point: MP_Policy.log. On the agent: PolicyAgent.log, ClientIDManagerStartup.log: its client id and site.", mpSide, likely,
	func(x *Exchange) ([]string, bool) {
		l := x.Message.lint("msg-no-policy")
		if l == nil || !x.ReplyWhole {
			return nil, false
		}
		return []string{fmt.Sprintf("exchange %d: %s, for %s", x.ID, l.Evidence, x.Message.who())}, true
	})

// kept are the signs that an answer was kept or handled on the way.
func (x *Exchange) kept() []string {
	var out []string
	for _, name := range []string{"X-Cache", "Age", "Via", "Content-Encoding"} {
		if v := x.Answer.Get(name); v != "" {
			out = append(out, "the answer has the field "+quote(name+": "+v)+", which management points do not write")
		}
	}
	return out
}
