package decode

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"mpproxy/traffic"
)

var policyRequest = Kind{
	Slug: "policy-request", Name: "policy request", Dir: traffic.Request,
	Endpoint: "MP_PolicyManager", Root: "RequestAssignments", sum: sumPolicyRequest,
}

func sumPolicyRequest(d *decoder) (short, long string) {
	var name, fqdn, id, user, site, resource, cookie string
	s := d.scan()
	for s.next() {
		switch s.name {
		case "ClientID":
			id = s.value()
		case "NetBIOSName":
			name = s.value()
		case "FQDN":
			fqdn = s.value()
		case "NT4UserName":
			user = s.value()
		case "PolicySource":
			site = s.value()
		case "Resource":
			resource = strings.ToLower(s.attr("ResourceType"))
		case "ServerCookie":
			cookie = s.value()
		}
	}
	if name == "" {
		name = fqdn
	}
	d.sender(name, id)
	since := "full"
	if cookie != "" {
		since = "changes since " + minutes(cookie)
	}
	site = siteOf(site)
	who, about := clip(resource), joined(" ", clip(resource), d.agent())
	if user != "" {
		who = "user " + clip(user)
		about = joined(" on ", who, d.agent())
	}
	return joined(", ", who, site, since), joined(" ", "policy?", about, site, since)
}

// siteOf names the site of a policy source such as SMS:LAB.
func siteOf(source string) string {
	if source == "" {
		return ""
	}
	return "site " + clip(strings.TrimPrefix(source, "SMS:"))
}

// minutes cuts a time such as 2026-03-02 08:15:44.217 to its minutes.
func minutes(t string) string {
	if len(t) >= 16 && t[4] == '-' && t[13] == ':' {
		t = t[:16]
	}
	return clip(t)
}

var policyReply = Kind{
	Slug: "policy-reply", Name: "policy reply", Dir: traffic.Reply,
	Endpoint: "PolicyAgent_ReplyAssignments", Root: "ReplyAssignments", sum: sumPolicyReply,
}

// flagSecret is the bit of PolicyFlags that announces secrets.
const flagSecret = 4

func sumPolicyReply(d *decoder) (short, long string) {
	policies, secret, kind := 0, 0, ""
	s := d.scan()
	for s.next() {
		switch s.name {
		case "ReplyAssignments":
			kind = strings.ToLower(s.attr("ReplyType"))
		case "PolicyAssignment":
			policies++
		case "Policy":
			if flags, err := strconv.Atoi(s.attr("PolicyFlags")); err == nil && flags&flagSecret != 0 {
				secret++
			}
		}
	}
	short = "no policy"
	if policies > 0 || !d.sees() {
		short = fmt.Sprintf("%d%s %s", policies, d.atLeast(), plural(policies, "policy"))
	}
	if kind != "" {
		short += " (" + clip(kind) + ")"
	}
	if secret > 0 {
		short += fmt.Sprintf(", %d%s secret", secret, d.atLeast())
	}
	return short, short
}

var policyBody = Kind{
	Slug: "policy-body", Name: "policy body", Root: "Policy", sum: sumPolicyBody,
}

var policyXML = Kind{
	Slug: "policy-body", Name: "policy body", Root: "PolicyXML", sum: sumPolicyBody,
}

func sumPolicyBody(d *decoder) (short, long string) {
	m := d.m
	if m.Dir == traffic.Request {
		short = policyName(m.wire.target.query)
		return short, "policy body " + short
	}
	switch {
	case m.Envelope != nil:
		short = "encrypted, " + sizeWords(m.wire.sent)
	case m.Form == formPage:
		short = "REFUSED (HTML)"
	case m.Text.String == "":
		short = "empty"
		if m.wire.sent > 0 {
			short = sizeWords(m.wire.sent)
		}
	default:
		short = policyContent(d)
	}
	return short, "policy body " + short
}

// policyContent says what a readable policy body is about.
func policyContent(d *decoder) string {
	version, packed, secrets := "", "", false
	var classes []string
	s := d.scan()
	for s.next() {
		switch s.name {
		case "Policy":
			version = "v" + clip(s.attr("PolicyVersion"))
		case "PolicyXML":
			packed = d.packedWords(s.attr("Compression"), s.value())
		case "instance":
			if class := clip(s.attr("class")); !slices.Contains(classes, class) {
				classes = append(classes, class)
			}
		case "property":
			secrets = secrets || s.attr("secret") == "1"
		}
	}
	what := strings.Join(firstOf(classes, 3), ", ")
	if secrets {
		what += ", SECRETS"
	}
	return joined(", ", version, what, packed, sizeWords(d.m.TextBytes))
}

// packedWords says what is packed into a PolicyXML.
func (d *decoder) packedWords(method, text string) string {
	if method == "" {
		return ""
	}
	if b, ok := UnpackHex(text, summaryWhole); ok && d.sees() {
		return clip(method) + ", " + sizeWords(int64(len(b))) + " unpacked"
	}
	return clip(method) + " inside"
}

// UnpackHex undoes what PolicyXML does to its text: zlib, then hex. Of a text
// that is cut, broken, or larger than a limit in bytes, it gives what came out
// before, and whole is false.
func UnpackHex(text string, limit int64) (b []byte, whole bool) {
	packed, err := hex.DecodeString(strings.TrimSpace(text))
	if err != nil || !isZlib(packed) {
		return nil, false
	}
	b, info := inflate(nil, packed, limit, true)
	return b, info.Whole
}

// innerPolicy is the text that a policy body holds packed, or false.
func (m *Message) innerPolicy() (Text, bool) {
	if m.Root != policyXML.Root {
		return Text{}, false
	}
	s := scanner{src: m.Text.String}
	for s.next() {
		if s.name == policyXML.Root && s.attr("Compression") == "zlib" {
			b, ok := UnpackHex(s.value(), maxInflated)
			return DecodeText(b), ok
		}
	}
	return Text{}, false
}

// policyName writes the query of .sms_pol: an id, a dot, and a version or a
// hash.
func policyName(query string) string {
	id, version := cutPolicyID(query)
	switch {
	case version == "":
		return clip(shortGUIDs(query))
	case strings.HasPrefix(version, "SHA256:"):
		return clip(shortGUIDs(id)) + " by hash"
	}
	return clip(shortGUIDs(id)) + " v" + strings.Replace(version, "_", ".", 1)
}

// cutPolicyID splits a policy's id from its version; the version is empty
// where the query has another form.
func cutPolicyID(query string) (id, version string) {
	id = strings.NewReplacer("%7B", "{", "%7b", "{", "%7D", "}", "%7d", "}", "%3A", ":", "%3a", ":").Replace(query)
	dot := strings.LastIndexByte(id, '.')
	if dot < 0 {
		return id, ""
	}
	id, version = id[:dot], id[dot+1:]
	if hash, ok := strings.CutPrefix(version, "SHA256:"); ok && len(hash) == 64 && isHex(hash) {
		return id, version
	}
	major, minor, found := strings.Cut(version, "_")
	if !found || !isDigits(major) || !isDigits(minor) {
		return id, ""
	}
	return id, version
}
