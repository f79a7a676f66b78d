package decode

import (
	"fmt"
	"strings"
)

// View is one layer of a message: the same content at one step between the
// wire and the reader.
type View struct {
	// Name is the layer's: "wire", "head", "header", "part", "inflated",
	// "text", "pretty", "policy", "attachment".
	Name string
	// Bytes are the layer's bytes. For the layers that are text they are its
	// UTF-8 form.
	Bytes []byte
	// What says what happened between the layer before and this one.
	What string
	// Text is true for layers that are to be read rather than dumped.
	Text bool
}

// Views are the layers that a message has, from the wire up. A message decoded
// at depth Summary has hardly any; head is the HTTP head that came with it.
func (m *Message) Views(head []byte) []View {
	views := []View{{"wire", m.wire.raw, m.wireWords(), false}}
	if len(head) > 0 {
		views = append(views, View{"head", head, "HTTP head as received", true})
	}
	if m.Header != nil || m.HeaderText.String != "" {
		views = append(views, View{"header", []byte(m.HeaderText.String), "part 1, " + textWords(m.HeaderText), true})
	}
	if len(m.wire.multipart.parts) > 1 {
		p := m.wire.multipart.parts[1]
		views = append(views, View{"part", p.Body, joined(", ", "part 2", clip(p.Get("Content-Type"))), false})
	}
	if m.Inflated.Method != "" {
		views = append(views, View{"inflated", m.wire.inflated, inflatedWords(m.Inflated), false})
	}
	if m.TextBytes > 0 {
		views = append(views,
			View{"text", []byte(m.Text.String), textWords(m.Text), true},
			View{"pretty", []byte(Pretty(m.Text.String)), "XML indented; not the bytes", true})
	}
	if t, ok := m.innerPolicy(); ok {
		views = append(views, View{"policy", []byte(t.String), "packed into PolicyXML as hex of zlib, " + textWords(t), true})
	}
	for i, a := range m.Attachments {
		what := fmt.Sprintf("attachment %d, %d+%d of the payload", i+1, a.Offset, a.Size)
		views = append(views, View{"attachment", a.Bytes, joined(", ", what, clip(a.Name)), false})
	}
	return views
}

func (m *Message) wireWords() string {
	what := "HTTP body as received"
	if m.wire.chunks.pieces != nil {
		what += fmt.Sprintf(", %s", count(len(m.wire.chunks.pieces), "chunk"))
	}
	if n := len(m.wire.multipart.parts); n > 0 {
		what += ", multipart, " + count(n, "part")
	}
	return what
}

func inflatedWords(i Inflated) string {
	switch {
	case i.Err != nil:
		return i.Method + ", broken: " + i.Err.Error()
	case i.Rest > 0:
		return fmt.Sprintf("%s, whole stream, checksum right, %s after it", i.Method, count(int(i.Rest), "byte"))
	}
	return i.Method + ", whole stream, checksum right"
}

// textWords says how a text was written.
func textWords(t Text) string {
	words := []string{t.Coding.String()}
	if t.BOM {
		words = append(words, "byte order mark")
	}
	switch n := t.Terminators(); n {
	case 0:
		words = append(words, "no terminator")
	default:
		words = append(words, count(n, "terminator"))
	}
	if n := len(t.Stray()); n > 0 {
		words = append(words, count(n, "byte")+" after it")
	}
	if n := len(t.Broken); n > 0 {
		words = append(words, count(n, "broken character"))
	}
	return strings.Join(words, ", ")
}
