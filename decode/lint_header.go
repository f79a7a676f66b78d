package decode

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"mpproxy/traffic"
)

var headerBroken = lint{
	kind: traffic.FindingKind{
		Code: "msg-header-broken", Ref: "L201", Severity: traffic.Error,
		Title:  "The header part is not well-formed XML with root Msg",
		Why:    "Without a header nothing can be routed.",
		Remedy: "Fix the header at the place shown.",
	},
	check: func(c *checking) {
		if len(c.m.wire.multipart.parts) > 0 && c.header() == nil {
			c.found("header", 0, "part 1 begins with %s; expected <Msg", quoted(firstOfText(c.m.HeaderText.String)))
			return
		}
		if c.header() == nil || c.depth != Full {
			return
		}
		if f := wellFormed(c.m.HeaderText.String); f != nil {
			c.found("header", int64(f.at), "%s", clip(f.what))
		}
	},
}

func firstOfText(s string) string { return s[:min(len(s), 20)] }

var headerIncomplete = lint{
	kind: traffic.FindingKind{
		Code: "msg-header-incomplete", Ref: "L202", Severity: traffic.Error,
		Title:  "The header lacks a required element",
		Why:    "The management point calls the message invalid (0x87D00224).",
		Remedy: "Add the element.",
	},
	check: func(c *checking) {
		h := c.header()
		if h == nil || c.isReply() || isMedia(h) {
			return
		}
		for _, element := range [...]string{"ID", "TargetEndpoint", "TargetAddress", "ReplyMode", "Protocol", "Body"} {
			if !h.Has(element) {
				c.found("header", -1, "no %s", element)
			}
		}
	},
}

// isMedia tells the header of a task sequence from boot media, which leaves
// much away and is answered all the same.
func isMedia(h *Header) bool { return strings.EqualFold(h.ReplyTo, "direct:OSD") }

var wrongLength = lint{
	kind: traffic.FindingKind{
		Code: "msg-length", Ref: "L203", Severity: traffic.Error,
		Title:  "Body Length is not the length of the body",
		Why:    "The management point reads too little or too much.",
		Remedy: "Set Length after encoding and before compressing: bytes of UTF-16 with the terminator.",
		Moot:   []string{"msg-no-terminator"},
	},
	check: func(c *checking) {
		h := c.header()
		if h == nil || !h.Body.Known || !c.hasBody() {
			return
		}
		text, stray := c.m.Text, c.m.Text.Stray()
		size := int64(c.m.wire.text.to-c.m.wire.text.from) - int64(len(stray))
		switch whole := c.m.Inflated.Method == "" || c.m.Inflated.Whole; {
		case c.m.wire.fallback:
			size = int64(c.m.wire.text.to - c.m.wire.text.from)
		case text.Terminators() > 0 && string(stray) == "\r\n":
		case h.Body.End() > int64(len(c.inflated)) && whole:
		default:
			return
		}
		c.found("header", int64(h.Body.lengthAt.from), "Length is %d; expected %d", h.Body.Length, size)
	},
}

var rangesOverlap = lint{
	kind: traffic.FindingKind{
		Code: "msg-range", Ref: "L204", Severity: traffic.Warning,
		Title:  "Body and attachments do not lie side by side in the payload",
		Why:    "What leaves the payload cannot be cut out. Overlap alone is seen from one public tool that works.",
		Remedy: "Compute the offsets again.",
	},
	check: func(c *checking) {
		h := c.header()
		if h == nil {
			return
		}
		all := append([]Range{h.Body}, h.Attachments...)
		for i, r := range all[1:] {
			c.checkRange(r, all[:i+1])
		}
	},
}

// checkRange looks whether an attachment leaves the payload or overlaps what
// is before it in the header.
func (c *checking) checkRange(r Range, before []Range) {
	if !r.Known {
		c.found("header", int64(r.offsetAt.from), "attachment %s has no Offset and Length that are numbers", quoted(r.Name))
		return
	}
	whole := c.header().isInline() && c.hasPayload() && (c.m.Inflated.Method == "" && c.whole || c.m.Inflated.Whole)
	if whole && r.End() > int64(len(c.inflated)) {
		c.found("header", int64(r.offsetAt.from), "attachment %s ends at %d; the payload has %d bytes", quoted(r.Name), r.End(), len(c.inflated))
	}
	for _, b := range before {
		if b.Known && r.Length > 0 && b.Length > 0 && r.Offset < b.End() && b.Offset < r.End() {
			c.found("header", int64(r.offsetAt.from), "attachment %s is %d-%d; %d-%d is taken", quoted(r.Name), r.Offset, r.End()-1, b.Offset, b.End()-1)
			return
		}
	}
}

var unknownEndpoint = lint{
	kind: traffic.FindingKind{
		Code: "msg-endpoint-unknown", Ref: "L205", Severity: traffic.Error,
		Title:  "No management point has this endpoint",
		Why:    "It answers 0x87D00228: a typing fault, or a role that is not there.",
		Remedy: "Correct TargetEndpoint.",
	},
	check: func(c *checking) {
		if h := c.header(); h != nil && !c.isReply() && h.TargetEndpoint != "" && endpointOf(h.TargetEndpoint) == nil {
			c.inHeader("TargetEndpoint", "found %s; expected one of the known endpoints", quoted(h.TargetEndpoint))
		}
	},
}

var addressMismatch = lint{
	kind: traffic.FindingKind{
		Code: "msg-address", Ref: "L206", Severity: traffic.Warning,
		Title:  "TargetAddress names another endpoint than TargetEndpoint",
		Why:    "The message may be routed elsewhere.",
		Remedy: "Make both equal.",
	},
	check: func(c *checking) {
		h := c.header()
		if h == nil || h.TargetAddress == "" || h.TargetEndpoint == "" {
			return
		}
		name := h.TargetAddress[strings.LastIndexByte(h.TargetAddress, ':')+1:]
		if i := strings.LastIndexByte(name, ']'); i >= 0 {
			name = name[i+1:]
		}
		if !strings.EqualFold(name, h.TargetEndpoint) {
			c.inHeader("TargetAddress", "found %s; expected the endpoint %s", quoted(h.TargetAddress), quoted(h.TargetEndpoint))
		}
	},
}

var wrongRoot = lint{
	kind: traffic.FindingKind{
		Code: "msg-root", Ref: "L207", Severity: traffic.Error,
		Title:  "The body does not belong to this endpoint",
		Why:    "The endpoint cannot parse it.",
		Remedy: "Send it to the endpoint of its kind.",
	},
	check: func(c *checking) {
		e := endpointOf(c.m.Endpoint)
		if e != nil && !c.isReply() && !e.Local && c.m.Root != "" && !e.takes(c.m.Root) {
			c.found("text", 0, "root is %s; %s takes %s", quoted(c.m.Root), e.Name, strings.Join(e.Roots, ", "))
		}
	},
}

var syncToPost = lint{
	kind: traffic.FindingKind{
		Code: "msg-sync-post", Ref: "L208", Severity: traffic.Warning,
		Title:  "The sender waits for a reply that never has a body",
		Why:    "Messages to this endpoint are posted; the answer is an empty 200.",
		Remedy: "Set ReplyMode to Async.",
	},
	check: func(c *checking) {
		h := c.header()
		if h == nil || c.isReply() || !strings.EqualFold(h.ReplyMode, "Sync") {
			return
		}
		if e := endpointOf(h.TargetEndpoint); e != nil && e.Call == Post {
			c.inHeader("ReplyMode", "found Sync to %s; expected Async", e.Name)
		}
	},
}

var asyncToInvoke = lint{
	kind: traffic.FindingKind{
		Code: "msg-async-invoke", Ref: "L209", Severity: traffic.Warning,
		Title:  "The reply has nowhere to go",
		Why:    "A sender that is no Windows agent has no queue that an asynchronous reply could be put into.",
		Remedy: "Set ReplyMode to Sync.",
	},
	check: func(c *checking) {
		h := c.header()
		if h == nil || c.isReply() || !strings.EqualFold(h.ReplyMode, "Async") || c.Head.Get("User-Agent") == "ccmhttp" {
			return
		}
		e := endpointOf(h.TargetEndpoint)
		if e == nil || e.Call != Invoke || hasSuffixFold(h.ReplyTo, ":LS_ReplyLocations") {
			return
		}
		c.inHeader("ReplyMode", "found Async to %s; expected Sync", e.Name)
	},
}

var badTimeout = lint{
	kind: traffic.FindingKind{
		Code: "msg-timeout", Ref: "L210", Severity: traffic.Warning,
		Title:  "Timeout is not a number of seconds above 0",
		Why:    "It is documented as the time in the queue: 0 is over at once. 600 (agents) and 60000 (SDK) are usual.",
		Remedy: "Set 600.",
	},
	check: func(c *checking) {
		h := c.header()
		if h == nil || !h.Has("Timeout") {
			return
		}
		if n, err := strconv.ParseInt(h.Timeout, 10, 64); err != nil || n <= 0 {
			c.inHeader("Timeout", "found %s; expected seconds", quoted(h.Timeout))
		}
	},
}

var badGUID = lint{
	kind: traffic.FindingKind{
		Code: "msg-guid", Ref: "L211", Severity: traffic.Error,
		Title:  "An id is no GUID",
		Why:    "Parsers differ in what they take.",
		Remedy: "Write {XXXXXXXX-XXXX-XXXX-XXXX-XXXXXXXXXXXX}.",
	},
	check: func(c *checking) {
		if h := c.header(); h != nil {
			for _, f := range [...]Property{{"ID", h.ID}, {"CorrelationID", h.CorrelationID}} {
				if f.Value != "" && !isBracedGUID(f.Value) {
					c.inHeader(f.Name, "%s is %s", f.Name, quoted(f.Value))
				}
			}
		}
		for _, d := range c.docs {
			d.root.all("ClientID", func(n *node) {
				if id := n.text; (hasPrefixFold(id, "GUID:") || strings.HasPrefix(id, "{")) && !isGUID(bareID(id)) {
					c.inText(d, n, "ClientID is %s", quoted(id))
				}
			})
		}
	},
}

// isBracedGUID tells a GUID with both braces or with none.
func isBracedGUID(s string) bool {
	return isGUID(s) || len(s) == guidLen+2 && s[0] == '{' && s[guidLen+1] == '}' && isGUID(s[1:guidLen+1])
}

// zeroGUID stands for "no id".
const zeroGUID = "00000000-0000-0000-0000-000000000000"

// toolGUIDs are message ids that are built into public tools.
var toolGUIDs = []string{zeroGUID, "5DD100CD-DF1D-45F5-BA17-A327F43465F8", "041A35B4-DCEE-4F64-A978-D4D489F47D28"}

var toolGUID = lint{
	kind: traffic.FindingKind{
		Code: "msg-tool-id", Ref: "L212", Severity: traffic.Warning,
		Title:  "The message's id is a constant of a tool",
		Why:    "That is no Windows agent, and the message cannot be told from others in logs.",
		Remedy: "Make a fresh GUID for each message; look who this sender is.",
	},
	check: func(c *checking) {
		h := c.header()
		if h == nil || c.isReply() {
			return
		}
		id := bareID(h.ID)
		for _, known := range toolGUIDs {
			if strings.EqualFold(id, known) {
				c.inHeader("ID", "found %s", quoted(h.ID))
			}
		}
	},
}

var badSourceID = lint{
	kind: traffic.FindingKind{
		Code: "msg-source-id", Ref: "L213", Severity: traffic.Error,
		Title:  "SourceID is not GUID: and a GUID",
		Why:    "A broken client, or an attempt to inject: CVE-2024-43468 used this field.",
		Remedy: "Refuse the message, or look at it; never put the value into SQL or on a terminal as it is.",
	},
	check: func(c *checking) {
		h := c.header()
		if h == nil || c.isReply() || h.SourceID == "" {
			return
		}
		if hasPrefixFold(h.SourceID, "GUID:") && isGUID(h.SourceID[len("GUID:"):]) {
			return
		}
		if isMedia(h) && isBracedGUID(h.SourceID) {
			return
		}
		c.inHeader("SourceID", "found %s; expected GUID: and a GUID", quoted(h.SourceID))
	},
}

// maxSkew is how far clocks may be apart.
const maxSkew = 5 * time.Minute

var clockSkew = lint{
	kind: traffic.FindingKind{
		Code: "msg-clock", Ref: "L214", Severity: traffic.Warning, Inferred: true,
		Title:  "The sender's clock is wrong, or the message is old",
		Why:    "Signatures with times and tokens are refused, and dates in the site are wrong.",
		Remedy: "Set the clock of the sender, or of this machine.",
	},
	check: func(c *checking) {
		h := c.header()
		if h == nil || c.Arrived.IsZero() {
			return
		}
		sent, ok := parseISO(h.SentTime)
		if !ok {
			return
		}
		if skew := c.Arrived.Sub(sent); skew.Abs() > maxSkew {
			c.inHeader("SentTime", "sent %s, came %s: %s apart; expected at most %s", h.SentTime,
				c.Arrived.UTC().Format(time.RFC3339), skew.Abs().Round(time.Second), maxSkew)
		}
	},
}

var foreignTime = lint{
	kind: traffic.FindingKind{
		Code: "msg-sent-time", Ref: "L215", Severity: traffic.Info,
		Title:  "SentTime is written in an unusual form",
		Why:    "Management points take other forms; it shows a foreign sender.",
		Remedy: "Write UTC with Z.",
	},
	check: func(c *checking) {
		if h := c.header(); h != nil && h.SentTime != "" {
			if _, ok := parseISO(h.SentTime); !ok {
				c.inHeader("SentTime", "found %s; expected yyyy-MM-ddTHH:mm:ssZ", quoted(h.SentTime))
			}
		}
	},
}

var hardcodedHost = lint{
	kind: traffic.FindingKind{
		Code: "msg-host-address", Ref: "L218", Severity: traffic.Warning, Inferred: true,
		Title:  "A host is named by its address, as localhost, or as a URL",
		Why:    "Hard-coded or wrong; certificates do not match addresses.",
		Remedy: "Use the FQDN.",
	},
	check: func(c *checking) {
		h := c.header()
		if h == nil {
			return
		}
		for _, f := range [...]struct{ element, host string }{{"SourceHost", h.SourceHost}, {"TargetHost", h.TargetHost}} {
			if isAddress(f.host) || strings.Contains(f.host, "://") {
				c.inHeader(f.element, "%s is %s; expected a name", f.element, quoted(f.host))
			}
		}
	},
}

// isAddress tells an address or localhost from a name.
func isAddress(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	host = strings.Trim(host, "[]")
	if host == "" || !strings.Contains(host, ":") && !isDigits(host[len(host)-1:]) {
		return false
	}
	_, err := netip.ParseAddr(host)
	return err == nil
}

var otherHost = lint{
	kind: traffic.FindingKind{
		Code: "msg-target-host", Ref: "L219", Severity: traffic.Warning, Inferred: true,
		Title:  "The message is for another host than the HTTP request",
		Why:    "It was meant for another management point, or rewritten on the way.",
		Remedy: "Check rules, DNS alias and load balancer.",
	},
	check: func(c *checking) {
		h := c.header()
		if h == nil || c.isReply() || h.TargetHost == "" {
			return
		}
		host := withoutPort(c.Head.Get("Host"))
		target := h.TargetHost
		if _, rest, found := strings.Cut(target, "://"); found {
			target, _, _ = strings.Cut(rest, "/")
		}
		// An agent that was pointed at the proxy by address says so here.
		if host == "" || isAddress(host) || isAddress(target) || sameHost(host, withoutPort(target)) {
			return
		}
		c.inHeader("TargetHost", "TargetHost is %s; Host is %s", quoted(h.TargetHost), quoted(host))
	},
}

func withoutPort(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && isDigits(host[i+1:]) {
		return host[:i]
	}
	return host
}

// sameHost compares two names; one without domain is compared without.
func sameHost(a, b string) bool {
	if strings.EqualFold(a, b) {
		return true
	}
	if !strings.Contains(a, ".") || !strings.Contains(b, ".") {
		return strings.EqualFold(firstLabel(a), firstLabel(b))
	}
	return false
}

func firstLabel(host string) string {
	label, _, _ := strings.Cut(host, ".")
	return label
}

var badReplyTo = lint{
	kind: traffic.FindingKind{
		Code: "msg-reply-to", Ref: "L220", Severity: traffic.Warning,
		Title:  "ReplyTo does not lead back to the sender",
		Why:    "The reply cannot be delivered.",
		Remedy: "Write direct:HOST:ENDPOINT.",
	},
	check: func(c *checking) {
		h := c.header()
		if h == nil || h.ReplyTo == "" || isMedia(h) {
			return
		}
		scheme, rest, _ := strings.Cut(h.ReplyTo, ":")
		host, endpoint, _ := strings.Cut(rest, ":")
		if !strings.EqualFold(scheme, "direct") || host == "" || endpoint == "" {
			c.inHeader("ReplyTo", "found %s; expected direct:HOST:ENDPOINT", quoted(h.ReplyTo))
			return
		}
		if h.SourceHost != "" && !strings.EqualFold(firstLabel(host), firstLabel(h.SourceHost)) {
			c.inHeader("ReplyTo", "found %s; SourceHost is %s", quoted(h.ReplyTo), quoted(h.SourceHost))
		}
	},
}

var badPriority = lint{
	kind: traffic.FindingKind{
		Code: "msg-priority", Ref: "L221", Severity: traffic.Info, Inferred: true,
		Title:  "Priority is no number from 0 up",
		Why:    "It orders the queue; 0 (SDK) and 3 (agents) are usual.",
		Remedy: "Set 0 to 5.",
	},
	check: func(c *checking) {
		if h := c.header(); h != nil && h.Has("Priority") && !isDigits(h.Priority) {
			c.inHeader("Priority", "found %s; expected 0 to 5", quoted(h.Priority))
		}
	},
}

var protocolMismatch = lint{
	kind: traffic.FindingKind{
		Code: "msg-protocol", Ref: "L222", Severity: traffic.Warning, Inferred: true,
		Title:  "Protocol says https and the connection is plain",
		Why:    "The client does not know the mode of its site. (Known clients write http always.)",
		Remedy: "Check the site's mode.",
	},
	check: func(c *checking) {
		if h := c.header(); h != nil && c.Head.Start != "" && !c.TLS && strings.EqualFold(h.Protocol, "https") {
			c.inHeader("Protocol", "found %s over TCP without TLS", quoted(h.Protocol))
		}
	},
}

var oldSchema = lint{
	kind: traffic.FindingKind{
		Code: "msg-schema", Ref: "L223", Severity: traffic.Warning,
		Title:  "The header has an unknown schema version",
		Why:    "An old or unknown client.",
		Remedy: "Write SchemaVersion 1.1.",
	},
	check: func(c *checking) {
		h := c.header()
		if h != nil && h.SchemaVersion != "" && h.SchemaVersion != "1.1" && h.SchemaVersion != "1.0" {
			c.inHeader("Msg", "SchemaVersion is %s; expected 1.1", quoted(h.SchemaVersion))
		}
	},
}

var unknownChild = lint{
	kind: traffic.FindingKind{
		Code: "msg-header-unknown", Ref: "L224", Severity: traffic.Info, Inferred: true,
		Title:  "The header has an element that we do not know",
		Why:    "A newer client.",
		Remedy: "Nothing has to be done; it is kept.",
	},
	check: func(c *checking) {
		if h := c.header(); h != nil {
			for _, p := range h.Unknown {
				c.inHeader(p.Name, "found <%s> with %s", clip(p.Name), quoted(p.Value))
			}
		}
	},
}

var badCompression = lint{
	kind: traffic.FindingKind{
		Code: "msg-reply-compression", Ref: "L225", Severity: traffic.Warning,
		Title:  "ReplyCompression asks for something that is not known",
		Why:    "Management points ignore it.",
		Remedy: "Write zlib or none.",
	},
	check: func(c *checking) {
		h := c.header()
		if h == nil || h.ReplyCompression == "" || h.ReplyCompression == "zlib" || h.ReplyCompression == "none" {
			return
		}
		c.inHeader("Msg", "ReplyCompression is %s; expected zlib or none", quoted(h.ReplyCompression))
	},
}
