package decode

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"

	"mpproxy/traffic"
)

// doc is the message's text when it has this root, or nil.
func (c *checking) doc(root string) *document {
	if len(c.docs) == 0 || c.docs[0].root == nil || c.docs[0].root.name != root {
		return nil
	}
	return c.docs[0]
}

var noPolicy = lint{
	kind: traffic.FindingKind{
		Code: "msg-no-policy", Ref: "L601", Severity: traffic.Warning, Inferred: true,
		Title:  "There is no policy for this client",
		Why:    "Not approved, wrong site, boundary, or the database is at fault.",
		Remedy: "See MP_PolicyManager.log; check approval and assignment of the client.",
	},
	check: func(c *checking) {
		if c.m.Root != policyReply.Root || c.m.Partial {
			return
		}
		s := c.scan()
		s.next()
		if strings.EqualFold(s.attr("ReplyType"), "Full") && !strings.Contains(c.m.Text.String, "<PolicyAssignment") {
			c.found("text", int64(s.start), "a full reply without PolicyAssignment")
		}
	},
}

// isSiteCode takes three letters or digits.
func isSiteCode(s string) bool {
	if len(s) != 3 {
		return false
	}
	for i := range 3 {
		if c := s[i] | 0x20; (c < 'a' || c > 'z') && (s[i] < '0' || s[i] > '9') {
			return false
		}
	}
	return true
}

var badPolicySource = lint{
	kind: traffic.FindingKind{
		Code: "msg-policy-source", Ref: "L602", Severity: traffic.Warning,
		Title:  "PolicySource names no site",
		Why:    "There is no policy from it.",
		Remedy: "Write SMS: and the site code of three letters or digits.",
	},
	depth: Full,
	check: func(c *checking) {
		d := c.doc(policyRequest.Root)
		if d == nil {
			return
		}
		source := d.root.child("PolicySource")
		if source == nil {
			return
		}
		if site, found := strings.CutPrefix(source.text, "SMS:"); !found || !isSiteCode(site) {
			c.inText(d, source, "found %s; expected SMS: and a site code", quoted(source.text))
		}
	},
}

var userWithoutName = lint{
	kind: traffic.FindingKind{
		Code: "msg-policy-user", Ref: "L603", Severity: traffic.Warning,
		Title:  "User policy is asked for without naming a user",
		Why:    "The reply is empty.",
		Remedy: "Add NT4UserName and SID.",
	},
	depth: Full,
	check: func(c *checking) {
		d := c.doc(policyRequest.Root)
		if d == nil {
			return
		}
		resource := d.root.child("Resource")
		if resource == nil || resource.get("ResourceType") != "User" {
			return
		}
		if name := d.root.find("Identification", "User", "NT4UserName"); name == nil || name.text == "" {
			c.inText(d, d.root.find("Identification", "User"), "ResourceType is User; no NT4UserName")
		}
	},
}

var policyUnsigned = lint{
	kind: traffic.FindingKind{
		Code: "msg-policy-unsigned", Ref: "L604", Severity: traffic.Error,
		Title:  "The assignments are not signed by the site",
		Why:    "Agents refuse such policy with 0x87D00294.",
		Remedy: "Do not rewrite signed replies.",
	},
	depth: Full,
	check: func(c *checking) {
		d := c.doc(policyReply.Root)
		if d != nil && d.root.child("PolicyAssignment") != nil && d.root.child("Signature") == nil {
			c.inText(d, d.root, "assignments, no Signature")
		}
	},
}

var hashMismatch = lint{
	kind: traffic.FindingKind{
		Code: "msg-policy-hash", Ref: "L605", Severity: traffic.Error, Inferred: true,
		Title:  "The policy body does not have the hash that its URL names",
		Why:    "The agent drops it: hash mismatch, status message 10805.",
		Remedy: "The body was changed on the way, or its encoding was.",
	},
	depth: Full,
	check: func(c *checking) {
		if c.m.Kind != policyBody.Slug || !c.isReply() || c.m.Status != 200 || !c.Whole || !c.whole {
			return
		}
		_, version := cutPolicyID(c.m.wire.target.query)
		want, found := strings.CutPrefix(version, "SHA256:")
		if !found {
			return
		}
		// What exactly is hashed is not published: the body as downloaded, or
		// what it unpacks to.
		for _, b := range [...][]byte{c.m.wire.body, c.m.wire.inflated} {
			if sum := sha256.Sum256(b); strings.EqualFold(hex.EncodeToString(sum[:]), want) {
				return
			}
		}
		sum := sha256.Sum256(c.m.wire.body)
		c.found("wire", 0, "SHA-256 is %X…; expected %s…", sum[:8], want[:16])
	},
}

var secretsOverHTTP = lint{
	kind: traffic.FindingKind{
		Code: "msg-secrets-http", Ref: "L606", Severity: traffic.Info,
		Title:  "Secrets are assigned over plain HTTP",
		Why:    "They travel encrypted to the client's key, if the site does that; else readable.",
		Remedy: "Use HTTPS.",
	},
	depth: Full,
	check: func(c *checking) {
		d := c.doc(policyReply.Root)
		if d == nil || c.TLS {
			return
		}
		d.root.all("Policy", func(n *node) {
			if flags, err := strconv.Atoi(n.get("PolicyFlags")); err == nil && flags&flagSecret != 0 {
				c.inText(d, n, "PolicyFlags %d of %s", flags, quoted(shortGUIDs(n.get("PolicyID"))))
			}
		})
	},
}

var policyRefused = lint{
	kind: traffic.FindingKind{
		Code: "msg-policy-refused", Ref: "L607", Severity: traffic.Warning,
		Title:  "The management point refuses the policy body with an HTML page",
		Why:    "The client is not approved, or its token is missing or wrong. HTTP says 200 all the same.",
		Remedy: "Approve the client; check the fields ClientToken or CCMClientID.",
	},
	check: func(c *checking) {
		if c.m.Form != formPage || !c.isReply() {
			return
		}
		title := readPage(c.m.Text.String).title
		if c.m.Kind == policyBody.Slug || c.Head.Start == "" && strings.EqualFold(title, "ERROR") {
			c.found("text", 0, "a page with the title %s; expected policy", quoted(title))
		}
	},
}

var foreignPolicyHost = lint{
	kind: traffic.FindingKind{
		Code: "msg-policy-host", Ref: "L608", Severity: traffic.Warning,
		Title:  "A policy is to be fetched from a fixed host",
		Why:    "Usually the URL has <mp> for the host; the agent goes elsewhere, and past the proxy.",
		Remedy: "Look for a rewriting rule or a load balancer.",
	},
	depth: Full,
	check: func(c *checking) {
		d := c.doc(policyReply.Root)
		if d == nil {
			return
		}
		d.root.all("PolicyLocation", func(n *node) {
			if n.text != "" && !strings.Contains(n.text, "<mp>") {
				c.inText(d, n, "found %s; expected http://<mp>/", quoted(shortGUIDs(n.text)))
			}
		})
	},
}

// secretCategories are the policies that hold secrets by their nature.
var secretCategories = map[string]bool{"NAAConfig": true, "TaskSequence": true}

var secrets = lint{
	kind: traffic.FindingKind{
		Code: "msg-secrets", Ref: "L001", Severity: traffic.Info,
		Title:  "The message has secrets, or says where they are",
		Why:    "Obfuscated values of policy are as good as clear text.",
		Remedy: "Redact before giving the capture away.",
	},
	depth: Full,
	check: eachDoc(func(c *checking, d *document) {
		d.root.walk(func(_, n *node) {
			switch {
			case n.name == "property" && n.get("secret") == "1":
				c.inText(d, n, "property %s", quoted(n.get("name")))
			case n.name == "PolicySecret":
				c.inText(d, n, "PolicySecret")
			case n.name == "Policy" && d.root.name == policyReply.Root:
				flags, _ := strconv.Atoi(n.get("PolicyFlags"))
				if category := n.get("PolicyCategory"); secretCategories[category] || flags&flagSecret != 0 {
					c.inText(d, n, "policy %s of category %s", quoted(shortGUIDs(n.get("PolicyID"))), quoted(category))
				}
			}
		})
	}),
}
