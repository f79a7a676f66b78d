package decode

import (
	"bytes"
	"errors"
	"strconv"
	"strings"

	"mpproxy/traffic"
)

var noTerminator = lint{
	kind: traffic.FindingKind{
		Code: "msg-no-terminator", Ref: "L101", Severity: traffic.Error,
		Title:  "The body has no terminator",
		Why:    "Endpoints take a null-terminated UTF-16 string; one without an end is read past it, or refused.",
		Remedy: "Append one U+0000 before compressing, and count it in Length.",
	},
	check: func(c *checking) {
		if c.hasBody() && c.m.Text.Terminators() == 0 {
			c.found("payload", int64(c.m.wire.text.to), "the body ends with %s; expected 00 00", hexTail(c.textRegion()))
		}
	},
}

// textRegion are the bytes of the body in the inflated payload.
func (c *checking) textRegion() []byte {
	return c.inflated[c.m.wire.text.from:c.m.wire.text.to]
}

func hexTail(b []byte) string {
	return hexWords(b[max(0, len(b)-4):])
}

// hexWords writes a few bytes as people read them.
func hexWords(b []byte) string {
	const digits = "0123456789abcdef"
	var out []byte
	for i, c := range b[:min(len(b), 16)] {
		if i > 0 {
			out = append(out, ' ')
		}
		out = append(out, digits[c>>4], digits[c&15])
	}
	return string(out)
}

var bomInBody = lint{
	kind: traffic.FindingKind{
		Code: "msg-bom-in-body", Ref: "L102", Severity: traffic.Warning,
		Title:  "The body begins with a byte order mark",
		Why:    "The header part has one, the body must have none; parsers take it for a character.",
		Remedy: "Strip the mark before sending.",
	},
	check: func(c *checking) {
		if c.hasBody() && c.m.Text.BOM && !c.isReply() {
			c.found("payload", int64(c.m.wire.text.from), "found %s; expected 3c 00", hexWords(c.textRegion()[:2]))
		}
	},
}

var oddLength = lint{
	kind: traffic.FindingKind{
		Code: "msg-odd-length", Ref: "L103", Severity: traffic.Warning,
		Title:  "The body has an odd number of bytes",
		Why:    "That is no whole UTF-16: cut, or a stray byte. Management points are seen to take one stray byte; stricter parsers do not.",
		Remedy: "Send whole code units; look for a stray newline.",
	},
	check: func(c *checking) {
		if !c.hasBody() || c.m.Text.Coding == UTF8 {
			return
		}
		region, all := len(c.textRegion()), len(c.inflated)
		whole := c.m.Inflated.Method == "" || c.m.Inflated.Whole
		switch {
		case region%2 != 0:
			c.found("payload", int64(c.m.wire.text.to-1), "the body has %d bytes; expected an even number", region)
		case all%2 != 0 && whole && len(c.m.Attachments) == 0:
			c.found("payload", int64(all-1), "the payload has %d bytes; expected an even number", all)
		}
	},
}

var utf8Body = lint{
	kind: traffic.FindingKind{
		Code: "msg-utf8-body", Ref: "L104", Severity: traffic.Error,
		Title:  "The body is not UTF-16LE",
		Why:    "Endpoints read wide characters only.",
		Remedy: "Encode the body as UTF-16LE.",
		Moot:   []string{"msg-no-terminator", "msg-length"},
	},
	check: func(c *checking) {
		if c.hasBody() && c.m.Text.Coding == UTF8 {
			c.found("payload", int64(c.m.wire.text.from), "found %s; expected 3c 00", hexWords(c.textRegion()[:min(2, len(c.textRegion()))]))
		}
	},
}

var bigEndian = lint{
	kind: traffic.FindingKind{
		Code: "msg-big-endian", Ref: "L105", Severity: traffic.Error, Inferred: true,
		Title:  "The body is UTF-16BE",
		Why:    "Endpoints expect the low byte first.",
		Remedy: "Swap the bytes.",
	},
	check: func(c *checking) {
		if c.hasBody() && c.m.Text.Coding == UTF16BE {
			c.found("payload", int64(c.m.wire.text.from), "found %s; expected 3c 00", hexWords(c.textRegion()[:2]))
		}
	},
}

var textAfterNul = lint{
	kind: traffic.FindingKind{
		Code: "msg-after-terminator", Ref: "L106", Severity: traffic.Warning, Inferred: true,
		Title:  "There is something after the terminator",
		Why:    "Hidden data, or a wrong length: the management point reads up to the terminator.",
		Remedy: "Cut the body at its terminator.",
	},
	check: func(c *checking) {
		if !c.hasBody() || c.m.Text.Terminators() == 0 {
			return
		}
		stray := c.m.Text.Stray()
		at := c.m.wire.text.to - len(stray)
		if len(c.m.Attachments) == 0 && isNothing(stray) {
			at, stray = c.m.wire.text.to, c.inflated[c.m.wire.text.to:]
		}
		if !isNothing(stray) {
			c.found("payload", int64(at), "%d bytes from %s; expected nothing", len(stray), hexWords(stray))
		}
	},
}

// isNothing tells what public tools leave behind the terminator: a line end in
// ASCII or UTF-16, and zeros.
func isNothing(b []byte) bool {
	b = bytes.Trim(b, "\x00")
	return len(b) == 0 || string(b) == "\r\n" || string(b) == "\r\x00\n"
}

var loneSurrogate = lint{
	kind: traffic.FindingKind{
		Code: "msg-lone-surrogate", Ref: "L107", Severity: traffic.Error,
		Title:  "The text has half a character",
		Why:    "An unpaired surrogate is no character of XML; the parser of the management point refuses the whole text.",
		Remedy: "Fix the encoder.",
	},
	check: func(c *checking) {
		if c.m.Partial {
			return // the cut may have gone through a pair
		}
		for _, u := range c.m.Text.Broken {
			c.found("text", int64(u.At), "code unit %04X without its other half", u.Unit)
		}
		for _, d := range c.docs {
			for _, u := range d.text.Broken {
				if d.layer == "payload" {
					c.inDoc(d, u.At, "code unit %04X without its other half", u.Unit)
				}
			}
		}
	},
}

var boundaryMissing = lint{
	kind: traffic.FindingKind{
		Code: "msg-boundary", Ref: "L108", Severity: traffic.Error,
		Title:  "The body does not keep to its boundary",
		Why:    "The message cannot be split.",
		Remedy: "Keep the boundary of Content-Type when rewriting; usual is aAbBcCdDv1234567890VxXyYzZ, case matters.",
	},
	check: func(c *checking) {
		if c.m.Form != formCCM || !c.Whole {
			return
		}
		b := boundaryOf(c.Head.Get("Content-Type"))
		switch {
		case c.facts.noBoundary:
			c.found("wire", 0, "the body begins with %s; expected --%s", quoted(firstLine(c.body)), clip(b))
		case c.facts.noClosing:
			c.found("wire", c.Size, "the body ends without --%s--", clip(c.m.wire.multipart.boundary))
		}
	},
}

func firstLine(b []byte) string {
	line, _, _ := bytes.Cut(b[:min(len(b), maxWords)], []byte("\r\n"))
	return strings.ToValidUTF8(string(line), "�")
}

var partTypes = lint{
	kind: traffic.FindingKind{
		Code: "msg-part-type", Ref: "L109", Severity: traffic.Warning,
		Title:  "A part has an unusual content type",
		Why:    "An odd client; management points take it.",
		Remedy: "Header part text/plain; charset=UTF-16, payload application/octet-stream, or text/plain when it is not compressed.",
	},
	check: func(c *checking) {
		parts := c.m.wire.multipart.parts
		if len(parts) == 0 {
			return
		}
		if t := parts[0].Get("Content-Type"); !isTextPart(t) {
			c.found("wire", parts[0].Offset, "part 1 is %s; expected text/plain; charset=UTF-16", quoted(t))
		}
		if len(parts) == 1 {
			return
		}
		t := parts[1].Get("Content-Type")
		plain := c.m.Inflated.Method == "" && isTextPart(t)
		if !plain && !hasPrefixFold(t, "application/octet-stream") {
			c.found("wire", parts[1].Offset, "part 2 is %s; expected application/octet-stream", quoted(t))
		}
	},
}

func isTextPart(contentType string) bool {
	charset, _ := paramOf(contentType, "charset")
	return hasPrefixFold(contentType, "text/plain") && hasPrefixFold(strings.Trim(charset, `"`), "utf-16")
}

var surplusParts = lint{
	kind: traffic.FindingKind{
		Code: "msg-surplus-parts", Severity: traffic.Warning, Inferred: true,
		Title:  "The body has more than two parts",
		Why:    "A message is a header and a payload; what the rest is for is not known.",
		Remedy: "Look at the parts; the first two were taken as the message.",
	},
	check: func(c *checking) {
		if parts := c.m.wire.multipart.parts; len(parts) > 2 {
			c.found("wire", parts[2].Offset, "%d parts; expected 2", len(parts))
		}
	},
}

var headerWithoutBOM = lint{
	kind: traffic.FindingKind{
		Code: "msg-header-no-bom", Ref: "L110", Severity: traffic.Warning,
		Title:  "The header part has no byte order mark",
		Why:    "Known clients send one before <Msg.",
		Remedy: "Nothing has to be done: management points are seen to take it.",
	},
	check: func(c *checking) {
		if parts := c.m.wire.multipart.parts; len(parts) > 0 && c.header() != nil && !c.m.HeaderText.BOM {
			c.found("wire", parts[0].Offset, "part 1 begins with %s; expected ff fe", hexWords(parts[0].Body[:min(2, len(parts[0].Body))]))
		}
	},
}

var notZlib = lint{
	kind: traffic.FindingKind{
		Code: "msg-not-zlib", Ref: "L111", Severity: traffic.Error,
		Title:  "The payload is announced as zlib and is none",
		Why:    "The management point cannot inflate it: E_FAIL, or no reply.",
		Remedy: "Compress the UTF-16 bytes with zlib (RFC 1950), not gzip or raw deflate, and send all of it.",
		Moot:   []string{"msg-no-terminator", "msg-utf8-body", "msg-length", "msg-range"},
	},
	check: func(c *checking) {
		if c.header() == nil || !c.hasPayload() || c.header().Hook(hookZlib) == nil || !c.Whole {
			return
		}
		part, info := c.m.wire.multipart.parts[1], c.m.Inflated
		switch {
		case info.Method != "zlib":
			c.found("wire", part.Offset, "the payload begins with %s; expected 78 9c or another zlib header", hexWords(part.Body[:min(4, len(part.Body))]))
		case info.Err != nil && !errors.Is(info.Err, errTooLarge):
			c.found("wire", part.Offset, "%v after %d inflated bytes; expected a whole stream", info.Err, info.Size)
		}
	},
}

var zlibWithoutHook = lint{
	kind: traffic.FindingKind{
		Code: "msg-zlib-without-hook", Ref: "L112", Severity: traffic.Error, Inferred: true,
		Title:  "The payload is compressed and the header does not say so",
		Why:    "The management point takes the compressed bytes for text.",
		Remedy: `Add <Hook3 Name="zlib-compress"/> to Hooks.`,
	},
	check: func(c *checking) {
		if c.header() != nil && c.hasPayload() && c.header().Hook(hookZlib) == nil && c.m.Inflated.Method == "zlib" {
			part := c.m.wire.multipart.parts[1]
			c.found("wire", part.Offset, "the payload begins with %s; expected text, or the hook zlib-compress", hexWords(part.Body[:2]))
		}
	},
}

const (
	// suspiciousRatio and suspiciousSize are far beyond what reports need.
	suspiciousRatio = 200
	suspiciousSize  = 64 << 20
)

var bomb = lint{
	kind: traffic.FindingKind{
		Code: "msg-inflates-much", Ref: "L113", Severity: traffic.Warning, Inferred: true,
		Title:  "The payload inflates to very much",
		Why:    "A bomb, or a report that ran away.",
		Remedy: "Look at what repeats; limit what is inflated.",
	},
	check: func(c *checking) {
		i, sent := c.m.Inflated, c.m.wire.sent
		if i.Method == "" || sent == 0 {
			return
		}
		if errors.Is(i.Err, errTooLarge) || i.Size > suspiciousSize || i.Size > suspiciousRatio*sent && i.Size > 1<<20 {
			c.found("payload", i.Size, "%d bytes became at least %d", sent, i.Size)
		}
	},
}

var postForMessage = lint{
	kind: traffic.FindingKind{
		Code: "http-verb", Ref: "L114", Severity: traffic.Info,
		Title:  "A message is sent with POST",
		Why:    "An old or foreign client, or something on the way changed the verb; IIS may say 405.",
		Remedy: "Use CCM_POST.",
	},
	check: func(c *checking) {
		if c.isReply() || c.m.wire.target.form != formCCM {
			return
		}
		if method, _, _ := c.Head.Request(); strings.EqualFold(method, "POST") {
			c.found("head", 0, "method is %s; expected CCM_POST", quoted(method))
		}
	},
}

var contentLength = lint{
	kind: traffic.FindingKind{
		Code: "http-length", Ref: "L115", Severity: traffic.Error,
		Title:  "The request's length is not as a management point wants it",
		Why:    "IIS answers 411 or 400 to a message without a right Content-Length.",
		Remedy: "Send Content-Length, and no chunks.",
	},
	check: func(c *checking) {
		if c.isReply() || c.m.wire.target.form != formCCM || !c.Whole {
			return
		}
		if c.isChunked() {
			c.found("head", fieldAt(c.Head, "Transfer-Encoding"), "the body is chunked; expected Content-Length")
			return
		}
		value, found := c.Head.Lookup("Content-Length")
		if n, err := strconv.ParseInt(value, 10, 64); found && (err != nil || n != c.Size) {
			c.found("head", fieldAt(c.Head, "Content-Length"), "Content-Length is %s; %d bytes came", quoted(value), c.Size)
		}
	},
}

// fieldAt is where a field begins in the head, or -1.
func fieldAt(h traffic.Head, name string) int64 {
	for _, f := range h.Fields {
		if strings.EqualFold(strings.TrimSpace(f.Name), name) {
			return int64(f.Offset)
		}
	}
	return -1
}

var pageInsteadOfReply = lint{
	kind: traffic.FindingKind{
		Code: "http-no-message", Ref: "L116", Severity: traffic.Warning, Inferred: true,
		Title:  "The answer is a page and no message",
		Why:    "A page of something on the way, the default page of IIS, or a wrong virtual directory.",
		Remedy: "Look at the upstream and the URL.",
	},
	check: func(c *checking) {
		if c.isReply() && c.Request != nil && c.Request.Form == formCCM && c.m.Status == 200 &&
			c.m.Form != formCCM && c.m.Form != formEmpty {
			c.found("head", fieldAt(c.Head, "Content-Type"), "the answer is %s; expected multipart/mixed", quoted(c.Head.Get("Content-Type")))
		}
	},
}

var emptyAnswer = lint{
	kind: traffic.FindingKind{
		Code: "http-empty-answer", Ref: "L117", Severity: traffic.Warning,
		Title:  "The management point answers a question with nothing",
		Why:    "It dropped the request: not signed, not approved, unknown endpoint, or its database is away. HTTP says 200 all the same.",
		Remedy: "See the management point's log of the endpoint.",
	},
	check: func(c *checking) {
		if c.m.Kind == noAnswerSlug {
			c.found("head", fieldAt(c.Head, "Content-Length"), "200 without a body to a Sync message for %s; expected a reply", quoted(c.Request.Endpoint))
		}
	},
}

// noAnswerSlug is the kind of an empty answer where one was wanted.
const noAnswerSlug = "no-answer"
