package compare

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"mpproxy/decode"
	"mpproxy/traffic"
)

// Message is one side of a comparison.
type Message struct {
	// Head is the HTTP head.
	Head traffic.Head
	// Decoded is the message, at depth Full or Content. Nil when it could not
	// be read: then only heads and digests are compared.
	Decoded *decode.Message
	// Digest is of the body without its chunk framing, in hex, for bodies that
	// have no text; "" when it is not known.
	Digest string
}

// Messages compares two messages of the same direction.
func Messages(a, b Message, vary Table) *Result {
	c := &comparison{a: a, b: b, vary: vary, out: &Result{A: a, B: b}}
	if a.Decoded != nil {
		c.kind = a.Decoded.Kind
	}
	c.start()
	c.head()
	if a.Decoded == nil || b.Decoded == nil {
		c.digest()
		return c.out
	}
	c.form()
	c.text("header", a.Decoded.HeaderText.String, b.Decoded.HeaderText.String)
	c.text("text", a.Decoded.Text.String, b.Decoded.Text.String)
	c.attachments()
	if a.Decoded.Envelope != nil && b.Decoded.Envelope != nil {
		c.differ("envelope", a.Digest, b.Digest)
		return c.out
	}
	if plain(a.Decoded) && plain(b.Decoded) {
		c.digest()
	}
	return c.out
}

// plain is true for a message that has nothing but bytes.
func plain(m *decode.Message) bool {
	return m.Text.String == "" && m.HeaderText.String == "" && len(m.Attachments) == 0
}

type comparison struct {
	a, b Message
	kind string
	vary Table
	out  *Result
}

func (c *comparison) add(d Difference) { c.out.add(d, c.kind, c.vary) }

func (c *comparison) differ(p Place, a, b string) {
	if a != b {
		c.add(Difference{Place: p, How: how(a, b), A: a, B: b})
	}
}

// start compares the first lines.
func (c *comparison) start() {
	if method, target, _ := c.a.Head.Request(); method != "" && c.a.Head.Status() == 0 {
		otherMethod, other, _ := c.b.Head.Request()
		c.differ("method", method, otherMethod)
		c.differ("target", target, other)
		return
	}
	c.differ("status", strconv.Itoa(c.a.Head.Status()), strconv.Itoa(c.b.Head.Status()))
	c.differ("reason", c.a.Head.Reason(), c.b.Head.Reason())
}

// head compares the fields by name; order and case of names mean nothing.
func (c *comparison) head() {
	var names []string
	for _, h := range []traffic.Head{c.a.Head, c.b.Head} {
		for _, f := range h.Fields {
			if !slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, f.Name) }) {
				names = append(names, f.Name)
			}
		}
	}
	for _, n := range names {
		a, b := strings.Join(c.a.Head.Values(n), ", "), strings.Join(c.b.Head.Values(n), ", ")
		c.differ(Place("head "+n), a, b)
	}
}

// form compares how the messages are wrapped.
func (c *comparison) form() {
	c.differ("form", c.a.Decoded.Form, c.b.Decoded.Form)
	c.differ("kind", c.a.Decoded.Kind, c.b.Decoded.Kind)
}

// text compares two texts: as XML where both are, else as they stand.
func (c *comparison) text(part, a, b string) {
	if a == b {
		return
	}
	x, errA := parse(a)
	y, errB := parse(b)
	if errA != nil || errB != nil {
		at := common(a, b)
		c.add(Difference{
			Place: Place(part), How: how(a, b), A: a[at:], B: b[at:],
			SpanA: Span{at, len(a)}, SpanB: Span{at, len(b)},
		})
		return
	}
	w := &walker{part: part, add: c.add, steps: maxSteps}
	w.children(x, y, "")
	if w.steps <= 0 {
		c.add(Difference{Place: Place(part), How: Changed, A: "more than can be compared", B: "more than can be compared"})
	}
}

// common is how many bytes two texts begin with together, whole characters.
func common(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	for n > 0 && n < len(a) && a[n]&0xc0 == 0x80 {
		n--
	}
	return n
}

// attachments compares what is attached: XML by its structure, all else by
// its digest.
func (c *comparison) attachments() {
	a, b := c.a.Decoded.Attachments, c.b.Decoded.Attachments
	for i := range max(len(a), len(b)) {
		part := fmt.Sprintf("attachment%d", i+1)
		if len(a) <= i {
			c.differ(Place(part), "", summary(b[i]))
			continue
		}
		if len(b) <= i {
			c.differ(Place(part), summary(a[i]), "")
			continue
		}
		x, y := decode.DecodeText(a[i].Bytes).String, decode.DecodeText(b[i].Bytes).String
		if !bytes.Equal(a[i].Bytes, b[i].Bytes) && isXML(x) && isXML(y) {
			c.text(part, x, y)
			continue
		}
		c.differ(Place(part), summary(a[i]), summary(b[i]))
	}
}

func isXML(s string) bool {
	_, err := parse(s)
	return err == nil
}

func summary(a decode.Attachment) string {
	sum := sha256.Sum256(a.Bytes)
	return fmt.Sprintf("%d bytes, SHA-256 %s", len(a.Bytes), hex.EncodeToString(sum[:8]))
}

func (c *comparison) digest() { c.differ("body", c.a.Digest, c.b.Digest) }
