package decode

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"mpproxy/traffic"
)

// eachDoc runs a test over every text of the message.
func eachDoc(test func(*checking, *document)) func(*checking) {
	return func(c *checking) {
		for _, d := range c.docs {
			if d.root != nil {
				test(c, d)
			}
		}
	}
}

var notWellFormed = lint{
	kind: traffic.FindingKind{
		Code: "msg-not-well-formed", Ref: "L401", Severity: traffic.Error,
		Title:  "The text is not well-formed XML",
		Why:    "The endpoint drops it.",
		Remedy: "Fix the text at the place shown.",
	},
	depth: Full,
	check: eachDoc(func(c *checking, d *document) {
		if hasDoctype(d.text.String) {
			return // told by itself; entities make every reader stumble
		}
		if f := wellFormed(d.text.String); f != nil {
			c.inDoc(d, f.at, "line %d: %s", f.line, clip(f.what))
		}
	}),
}

var badCharacter = lint{
	kind: traffic.FindingKind{
		Code: "msg-bad-character", Ref: "L402", Severity: traffic.Error,
		Title:  "The text has a character that XML does not allow",
		Why:    "The whole report is lost. Common in inventory of damaged registry values.",
		Remedy: "Filter at the source.",
		Moot:   []string{"msg-not-well-formed"},
	},
	depth: Full,
	check: eachDoc(func(c *checking, d *document) {
		text := d.text.String
		for at, r := range text {
			if c.full() {
				return
			}
			switch {
			case r == '&' && strings.HasPrefix(text[at:], "&#"):
				if end := strings.IndexByte(text[at:min(len(text), at+12)], ';'); end > 0 {
					if s, ok := reference(text[at:], end); ok && !isXMLChar([]rune(s)[0]) {
						c.inDoc(d, at, "reference %s", quoted(text[at:at+end+1]))
					}
				}
			case !isXMLChar(r):
				c.inDoc(d, at, "character U+%04X", r)
			}
		}
	}),
}

// isXMLChar is the production Char of XML 1.0.
func isXMLChar(r rune) bool {
	return r == '\t' || r == '\n' || r == '\r' || r >= ' ' && r <= 0xD7FF ||
		r >= 0xE000 && r <= 0xFFFD || r >= 0x10000 && r <= 0x10FFFF
}

// declaration is the encoding that an XML declaration names, and whether there
// is a declaration.
func declaration(text string) (encoding string, found bool) {
	text = strings.TrimLeft(text[:min(len(text), 256)], " \t\r\n\uFEFF")
	if !strings.HasPrefix(text, "<?xml") {
		return "", false
	}
	text, _, _ = strings.Cut(text, "?>")
	s := scanner{src: text, attrs: text[len("<?xml"):], attrsAt: len("<?xml")}
	return s.attr("encoding"), true
}

var wrongDeclaration = lint{
	kind: traffic.FindingKind{
		Code: "msg-declaration", Ref: "L403", Severity: traffic.Warning,
		Title:  "The XML declaration names another encoding than that of the text",
		Why:    "Some parsers obey the declaration.",
		Remedy: "Declare UTF-16, or leave the declaration away.",
	},
	depth: Full,
	check: eachDoc(func(c *checking, d *document) {
		encoding, _ := declaration(d.text.String)
		if encoding != "" && d.text.Coding != UTF8 && !hasPrefixFold(encoding, "utf-16") {
			c.inDoc(d, 0, "declared %s, written in %s", quoted(encoding), d.text.Coding)
		}
	}),
}

var stateWithoutDeclaration = lint{
	kind: traffic.FindingKind{
		Code: "msg-state-declaration", Ref: "L404", Severity: traffic.Info,
		Title:  "A state message has no XML declaration",
		Why:    "Agents write it, site servers and pull distribution points do not; the SDK marks it as needed.",
		Remedy: `Begin with <?xml version="1.0" encoding="UTF-16"?>.`,
	},
	depth: Full,
	check: func(c *checking) {
		if c.m.Kind != state.Slug || len(c.docs) == 0 {
			return
		}
		if _, found := declaration(c.docs[0].text.String); !found {
			c.inText(c.docs[0], nil, "the text begins with %s", quoted(firstOfText(c.docs[0].text.String)))
		}
	},
}

var missingRequired = lint{
	kind: traffic.FindingKind{
		Code: "msg-missing", Ref: "L405", Severity: traffic.Error,
		Title:  "A required element or attribute is missing",
		Why:    "The endpoint refuses the message, or files garbage.",
		Remedy: "Add it.",
	},
	depth: Full,
	check: eachDoc(func(c *checking, d *document) {
		d.root.walk(func(_, n *node) {
			s := shapeOf(d.root.name, n.name)
			if s == nil {
				return
			}
			for _, a := range s.attrs {
				if _, found := n.attr(a); !found {
					c.inText(d, n, "<%s> has no %s", clip(n.name), a)
				}
			}
			for _, e := range s.children {
				if n.child(e) == nil {
					c.inText(d, n, "<%s> has no <%s>", clip(n.name), e)
				}
			}
		})
	}),
}

var unknownElement = lint{
	kind: traffic.FindingKind{
		Code: "msg-unknown-element", Ref: "L406", Severity: traffic.Warning, Inferred: true,
		Title:  "The text has an element that is not in the schema",
		Why:    "A newer client, or a typing fault.",
		Remedy: "Compare with what agents send; nothing is dropped.",
	},
	depth: Full,
	check: eachDoc(func(c *checking, d *document) {
		eachKnown(d, func(n *node, s *shape) {
			if s.spelled(n.name) == "" {
				c.inText(d, n, "<%s> in <%s>; expected %s", clip(n.name), s.element, strings.Join(append(slices.Clone(s.children), s.known...), ", "))
			}
		})
	}),
}

var wrongCase = lint{
	kind: traffic.FindingKind{
		Code: "msg-case", Ref: "L407", Severity: traffic.Warning,
		Title:  "An element's name is written in another case",
		Why:    "XML tells capitals from small letters.",
		Remedy: "Write the name as shown.",
	},
	depth: Full,
	check: eachDoc(func(c *checking, d *document) {
		eachKnown(d, func(n *node, s *shape) {
			if right := s.spelled(n.name); right != "" {
				c.inText(d, n, "<%s>; expected <%s>", clip(n.name), right)
			}
		})
	}),
}

// eachKnown calls f for the children of elements of known content that are not
// among it.
func eachKnown(d *document, f func(*node, *shape)) {
	d.root.walk(func(parent, n *node) {
		if parent == nil {
			return
		}
		s := shapeOf(d.root.name, parent.name)
		if s == nil || s.known == nil || slices.Contains(s.children, n.name) || slices.Contains(s.known, n.name) {
			return
		}
		f(n, s)
	})
}

// spelled is the known name that differs in case only, or "".
func (s *shape) spelled(name string) string {
	for _, list := range [...][]string{s.children, s.known} {
		for _, k := range list {
			if strings.EqualFold(k, name) {
				return k
			}
		}
	}
	return ""
}

var doctype = lint{
	kind: traffic.FindingKind{
		Code: "msg-doctype", Ref: "L408", Severity: traffic.Warning, Inferred: true,
		Title:  "The text has a DOCTYPE",
		Why:    "Agents never send one; with entities it is an attack on the parser.",
		Remedy: "Do not expand it; look who sent it.",
	},
	check: func(c *checking) {
		if c.m.Form != formPage && c.m.Text.String != "" && hasDoctype(c.m.Text.String) {
			c.found("text", int64(strings.Index(c.m.Text.String, "<!")), "found %s", quoted(firstOfText(strings.TrimLeft(c.m.Text.String, " \r\n\t"))))
		}
	},
}

// namespaced are roots that their readers expect in a namespace.
var namespaced = []string{"ConfigurationItem", "multistatus"}

var namespace = lint{
	kind: traffic.FindingKind{
		Code: "msg-namespace", Ref: "L409", Severity: traffic.Info, Inferred: true,
		Title:  "The root element's namespace is not the usual one",
		Why:    "Comparing local names hides it; other readers do compare namespaces.",
		Remedy: "Compare with what others send.",
	},
	depth: Full,
	check: eachDoc(func(c *checking, d *document) {
		text := d.text.String[d.root.at:]
		tag := strings.TrimPrefix(text[:max(tagEnd(text, 1), 0)], "<")
		name, _, _ := strings.Cut(tag, " ")
		has := strings.Contains(name, ":") || strings.Contains(d.root.attrs, "xmlns=")
		switch wants := slices.Contains(namespaced, d.root.name); {
		case wants && !has:
			c.inText(d, d.root, "<%s> without a namespace", d.root.name)
		case !wants && has && shapeOf(d.root.name, d.root.name) != nil:
			c.inText(d, d.root, "<%s> in a namespace", clip(name))
		}
	}),
}

var noSchemaVersion = lint{
	kind: traffic.FindingKind{
		Code: "msg-schema-version", Ref: "L410", Severity: traffic.Warning,
		Title:  "SchemaVersion is missing or unusual",
		Why:    "The management point may refuse the message.",
		Remedy: "Write SchemaVersion 1.00.",
	},
	depth: Full,
	check: eachDoc(func(c *checking, d *document) {
		if !slices.Contains(versioned, d.root.name) {
			return
		}
		if v := d.root.get("SchemaVersion"); v != "1.00" && v != "1.0" {
			c.inText(d, d.root, "SchemaVersion is %s; expected 1.00", quoted(v))
		}
	}),
}

var mojibake = lint{
	kind: traffic.FindingKind{
		Code: "msg-mojibake", Ref: "L411", Severity: traffic.Warning, Inferred: true,
		Title:  "Text was damaged before it was sent",
		Why:    "UTF-8 was read as an 8-bit code page, or characters were replaced.",
		Remedy: "Check the locale of the provider.",
	},
	depth: Full,
	check: eachDoc(func(c *checking, d *document) {
		text := d.text.String
		for at, r := range text {
			if c.full() {
				return
			}
			next, _ := utf8.DecodeRuneInString(text[at+utf8.RuneLen(r):])
			switch {
			case r == utf8.RuneError && !brokenAt(d.text, at):
				c.inDoc(d, at, "replacement character U+FFFD in %s", quoted(around(text, at)))
			case (r == 'Ã' || r == 'Â') && isContinuation(next), r == 'â' && next == '€':
				c.inDoc(d, at, "%s looks like UTF-8 read as code page 1252", quoted(around(text, at)))
			}
		}
	}),
}

func brokenAt(t Text, at int) bool {
	return slices.ContainsFunc(t.Broken, func(u BrokenUnit) bool { return u.At == at })
}

// isContinuation tells what the bytes 80 to BF become in code page 1252.
func isContinuation(r rune) bool {
	return r >= 0x80 && r <= 0xBF || strings.ContainsRune("€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ", r)
}

// around is the word at an offset.
func around(text string, at int) string {
	from := strings.LastIndexAny(text[:at], "<>\"") + 1
	to := strings.IndexAny(text[at:], "<>\"")
	if to < 0 {
		to = len(text) - at
	}
	return text[from : at+to]
}

// eastAsian are the code pages that belong to one language, by the primary
// language of the locale number.
var eastAsian = map[string][]int{"932": {0x11}, "936": {0x04}, "949": {0x12}, "950": {0x04}}

var codePage = lint{
	kind: traffic.FindingKind{
		Code: "msg-code-page", Ref: "L412", Severity: traffic.Warning,
		Title:  "CodePage or SystemDefaultLCID is not what a system has",
		Why:    "The site converts text with the wrong table.",
		Remedy: "Set both from the system.",
	},
	depth: Full,
	check: eachDoc(func(c *checking, d *document) {
		machine := d.root.find("ReportHeader", "Identification", "Machine")
		page, lcid := machine.find("CodePage"), machine.find("SystemDefaultLCID")
		if page == nil || lcid == nil {
			return
		}
		if !isDigits(page.text) {
			c.inText(d, page, "CodePage is %s; expected a number such as 437", quoted(page.text))
			return
		}
		if !isDigits(lcid.text) {
			c.inText(d, lcid, "SystemDefaultLCID is %s; expected a number such as 1033", quoted(lcid.text))
			return
		}
		number, _ := strconv.Atoi(lcid.text)
		if languages := eastAsian[page.text]; languages != nil && !slices.Contains(languages, number&0x3FF) {
			c.inText(d, page, "CodePage %s with SystemDefaultLCID %s", page.text, lcid.text)
		}
	}),
}

// dated are elements and attributes that hold a date.
var dated = map[string][]string{
	"StateMessage": {"MessageTime"}, "HistoricalMeterData": {"StartTime", "EndTime"}, "Data": {"TimeStamp"},
}

// datedElements are elements whose text is a date.
var datedElements = []string{"Date", "InventoryActionLastUpdateTime", "LastWriteDate"}

var badDate = lint{
	kind: traffic.FindingKind{
		Code: "msg-date", Ref: "L413", Severity: traffic.Warning,
		Title:  "A date is written in no known form",
		Why:    "The record cannot be filed.",
		Remedy: "Write a CIM date: yyyyMMddHHmmss.ffffff+mmm, the offset in minutes.",
	},
	depth: Full,
	check: eachDoc(func(c *checking, d *document) {
		d.root.walk(func(parent, n *node) {
			for _, a := range dated[n.name] {
				if v := n.get(a); v != "" && !isDate(v) {
					c.inText(d, n, "%s is %s", a, quoted(v))
				}
			}
			inSchema := parent != nil && shapeOf(d.root.name, parent.name) != nil
			if inSchema && slices.Contains(datedElements, n.name) && n.text != "" && !isDate(n.text) {
				c.inText(d, n, "%s is %s", n.name, quoted(n.text))
			}
		})
	}),
}

// isDate takes the three forms that are seen. CIM writes stars for what it
// does not know.
func isDate(s string) bool {
	if _, ok := parseCIM(strings.NewReplacer(".******", ".000000", "***", "000").Replace(s)); ok {
		return true
	}
	if _, ok := parseISO(s); ok {
		return true
	}
	_, ok := parseUS(s)
	return ok
}

// machineOf is the Machine of a document's Identification, or nil.
func machineOf(root *node) *node {
	if m := root.find("ReportHeader", "Identification", "Machine"); m != nil {
		return m
	}
	return root.find("Identification", "Machine")
}

var otherClient = lint{
	kind: traffic.FindingKind{
		Code: "msg-other-client", Ref: "L414", Severity: traffic.Warning, Inferred: true,
		Title:  "The body is about another client than the header",
		Why:    "It is sent in the name of another. Proxies for other clients may do so.",
		Remedy: "Compare ClientID with SourceID.",
	},
	depth: Full,
	check: func(c *checking) {
		h := c.header()
		if h == nil || c.isReply() || h.SourceID == "" || len(c.docs) == 0 || c.docs[0].root == nil {
			return
		}
		d := c.docs[0]
		machine := machineOf(d.root)
		id := machine.find("ClientID")
		if v := machine.find("ClientVersion"); v != nil && v.text == serverVersion {
			return
		}
		if id == nil || id.text == "" || !isGUID(bareID(id.text)) || strings.EqualFold(bareID(id.text), bareID(h.SourceID)) {
			return
		}
		c.inText(d, id, "ClientID is %s; SourceID is %s", quoted(id.text), quoted(h.SourceID))
	},
}

// serverVersion is what site servers send as their client's version.
const serverVersion = "5.00.0000.0000"

var badNetBIOS = lint{
	kind: traffic.FindingKind{
		Code: "msg-netbios-name", Ref: "L415", Severity: traffic.Warning,
		Title:  "NetBIOSName is not the sender's name without domain",
		Why:    "The record is filed under another name.",
		Remedy: "Send the NetBIOS name, at most 15 characters.",
	},
	depth: Full,
	check: eachDoc(func(c *checking, d *document) {
		machine := machineOf(d.root)
		name := machine.find("NetBIOSName")
		if name == nil || name.text == "" {
			return
		}
		if v := machine.find("ClientVersion"); v != nil && v.text == serverVersion {
			return
		}
		host := ""
		if c.header() != nil && !c.isReply() {
			host = firstLabel(c.header().SourceHost)
		}
		switch {
		case len(name.text) > 15 || strings.Contains(name.text, "."):
			c.inText(d, name, "NetBIOSName is %s; expected at most 15 characters and no dot", quoted(name.text))
		case host != "" && !isAddress(c.header().SourceHost) && !strings.EqualFold(host[:min(len(host), 15)], name.text):
			c.inText(d, name, "NetBIOSName is %s; SourceHost is %s", quoted(name.text), quoted(c.header().SourceHost))
		}
	}),
}

var noClientID = lint{
	kind: traffic.FindingKind{
		Code: "msg-no-client-id", Ref: "L416", Severity: traffic.Error,
		Title:  "The report names no client",
		Why:    "The site cannot file it.",
		Remedy: "Register first, and send the id of the response.",
	},
	depth: Full,
	check: eachDoc(func(c *checking, d *document) {
		id := machineOf(d.root).find("ClientID")
		if id != nil && !c.isReply() && (id.text == "" || bareID(id.text) == zeroGUID) {
			c.inText(d, id, "ClientID is %s", quoted(id.text))
		}
	}),
}

// The longest values that a site keeps.
const (
	maxAttr = 4000
	maxText = 1 << 20
)

var longValue = lint{
	kind: traffic.FindingKind{
		Code: "msg-long-value", Ref: "L417", Severity: traffic.Warning, Inferred: true,
		Title:  "A value is longer than the site's columns",
		Why:    "It is cut.",
		Remedy: "Shorten it.",
	},
	depth: Full,
	check: eachDoc(func(c *checking, d *document) {
		d.root.walk(func(_, n *node) {
			if len(n.text) > maxText {
				c.inText(d, n, "<%s> has %d characters", clip(n.name), len(n.text))
			}
			for rest := n.attrs; len(rest) > maxAttr; {
				key, used, from, to := nextAttr(rest)
				if used == 0 {
					break
				}
				if to-from > maxAttr {
					c.inText(d, n, "%s of <%s> has %d characters", clip(key), clip(n.name), to-from)
				}
				rest = rest[used:]
			}
		})
	}),
}
