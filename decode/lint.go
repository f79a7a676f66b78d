package decode

import (
	"fmt"
	"strings"

	"mpproxy/traffic"
)

// lint is one rule of the protocol: what is found when it is broken, and the
// test.
type lint struct {
	kind traffic.FindingKind
	// depth is the least depth at which the test can tell.
	depth Depth
	check func(*checking)
}

// FindingKinds are the kinds of everything that a message can be found to be
// odd about.
func FindingKinds() []*traffic.FindingKind {
	var all []*traffic.FindingKind
	for _, l := range lints {
		all = append(all, &l.kind)
	}
	return append(all, uploadKinds...)
}

// maxSame is how often one lint is reported in one message.
const maxSame = 8

// checking is one message under the lints.
type checking struct {
	*decoder
	lint  *lint
	count int
	// docs are the texts of the message as trees, at depth Full: its own
	// first, then those of attachments that are XML.
	docs []*document
}

// document is a text of a message.
type document struct {
	text Text
	root *node
	// layer and base say where the text is: an attachment's offsets are given
	// in the payload.
	layer string
	base  int64
}

// lint runs every test that the depth allows.
func (d *decoder) lint() {
	c := &checking{decoder: d}
	if d.depth == Full {
		c.docs = d.documents()
	}
	for _, l := range lints {
		if l.depth <= d.depth {
			c.lint, c.count = l, 0
			l.check(c)
		}
	}
}

// maxTree is the longest text that becomes a tree.
const maxTree = 16 << 20

func (d *decoder) documents() []*document {
	m := d.m
	var docs []*document
	if m.Text.String != "" && len(m.Text.String) <= maxTree && m.Form != formPage {
		docs = append(docs, &document{text: m.Text, root: buildTree(m.Text.String), layer: "text"})
	}
	for _, a := range m.Attachments {
		if len(a.Bytes) <= 2*maxTree && looksLikeXML(a.Bytes) {
			t := DecodeText(a.Bytes)
			if (m.Kind == filecoll.Slug || m.Kind == idmif.Slug) && !beginsReport(t.String) {
				continue // a file as it was found
			}
			docs = append(docs, &document{t, buildTree(t.String), "payload", a.Offset})
		}
	}
	return docs
}

// found reports the lint at an offset of a layer, -1 for no place. The
// evidence says what was found and, after a semicolon, what was expected.
func (c *checking) found(layer string, offset int64, evidence string, args ...any) {
	if c.full() {
		return
	}
	c.count++
	c.m.Findings = append(c.m.Findings, traffic.Finding{
		Kind: &c.lint.kind, Dir: c.m.Dir, Layer: layer, Offset: offset,
		Evidence: fmt.Sprintf(evidence, args...), Who: c.who(),
	})
}

// who has to act: who wrote the message.
func (c *checking) who() string {
	if c.m.Dir == traffic.Reply {
		return "mp"
	}
	return "agent"
}

// inHeader reports at the place of an element in the header's text.
func (c *checking) inHeader(element, evidence string, args ...any) {
	text := c.m.HeaderText.String
	at := strings.Index(text, "<"+element)
	c.found("header", int64(at), evidence, args...)
}

// inText reports at an element of a document.
func (c *checking) inText(d *document, n *node, evidence string, args ...any) {
	at := 0
	if n != nil {
		at = n.at
	}
	c.inDoc(d, at, evidence, args...)
}

// inDoc reports at a byte of a document's string.
func (c *checking) inDoc(d *document, at int, evidence string, args ...any) {
	if !c.full() {
		c.found(d.layer, d.offset(at), evidence, args...)
	}
}

// full tells whether the lint has been reported often enough.
func (c *checking) full() bool { return c.count >= maxSame }

// offset is where a byte of the text's string is in the document's layer.
func (d *document) offset(at int) int64 {
	if d.layer == "text" {
		return int64(at)
	}
	before := Text{String: d.text.String[:at], Coding: d.text.Coding, BOM: d.text.BOM}
	return d.base + int64(len(before.Bytes()))
}

// header is the message's header, or nil; request tells the direction.
func (c *checking) header() *Header { return c.m.Header }

func (c *checking) isReply() bool { return c.m.Dir == traffic.Reply }

// hasPayload tells whether there is a second part whose bytes can be judged.
func (c *checking) hasPayload() bool {
	return len(c.m.wire.multipart.parts) > 1
}

// hasBody tells whether the text stands in a payload that could be read to
// the text's end.
func (c *checking) hasBody() bool {
	return c.hasPayload() && !c.m.Partial && c.m.TextBytes > 0 && c.m.Envelope == nil &&
		looksLikeXML(c.inflated[c.m.wire.text.from:c.m.wire.text.to])
}

// quoted shows a value of the wire in evidence.
func quoted(s string) string {
	if s == "" {
		return "nothing"
	}
	return `"` + clip(s) + `"`
}
