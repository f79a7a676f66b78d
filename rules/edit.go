package rules

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"mpproxy/decode"
	"mpproxy/traffic"
)

// edit is one message while actions work on it.
type edit struct {
	q       Question
	verdict *Verdict
	// head is the head with what actions have changed so far.
	head traffic.Head
	// header and text are the message's with what actions have changed; nil
	// as long as none has.
	header, text *string
	// by is the rule that changed the message last.
	by *Rule

	message *decode.Message
}

// depths orders decode's depths by how much they tell.
var depths = map[decode.Depth]int{decode.Summary: 0, decode.Content: 1, decode.Full: 2}

// decoded is the message that the wire carries, at least at this depth.
func (e *edit) decoded(depth decode.Depth) *decode.Message {
	if e.message == nil || depths[e.message.Depth] < depths[depth] {
		e.message = decode.Decode(decode.Source{
			Dir: e.q.Dir, Head: e.q.Head,
			Body: bytes.NewReader(e.q.Body), Size: int64(len(e.q.Body)),
			Framing: e.q.Framing, Whole: e.q.Complete, Request: e.q.Request,
			TLS: e.q.Exchange.TLS, Arrived: e.q.Exchange.Begun,
		}, depth)
	}
	return e.message
}

// find notes what came of a rule.
func (e *edit) find(k *traffic.FindingKind, r *Rule, evidence string) {
	e.verdict.Findings = append(e.verdict.Findings, traffic.Finding{
		Kind: k, Dir: e.q.Dir, Offset: -1, Evidence: fmt.Sprintf("rule %q: %s", r.Name, evidence),
	})
}

// replaceHead splices bytes into the head and reads it anew.
func (e *edit) replaceHead(from, to int, with string) {
	raw := make([]byte, 0, len(e.head.Raw)+len(with))
	raw = append(append(append(raw, e.head.Raw[:from]...), with...), e.head.Raw[to:]...)
	e.head = traffic.ParseHead(raw)
}

// content is the text that an action works on: the message's, or its header's.
func (e *edit) content(inHeader bool) (*string, bool) {
	m := e.decoded(decode.Full)
	if inHeader {
		if e.header == nil {
			s := m.HeaderText.String
			e.header = &s
		}
		return e.header, m.Header != nil
	}
	if e.text == nil {
		s := m.Text.String
		e.text = &s
	}
	return e.text, m.Text.String != ""
}

// finish makes bytes of what was changed: coding, compression, lengths and
// framing as they were found.
func (e *edit) finish() {
	v := e.verdict
	if e.changed() {
		body, consequences, err := e.message.Edit(decode.Edit{Header: e.header, Text: e.text})
		if err != nil {
			e.find(&cannotEncode, e.by, err.Error()+"; passed unchanged")
			return
		}
		e.judge(consequences)
		v.Body, v.BodyChanged = e.frame(body), true
	}
	if !bytes.Equal(e.head.Raw, e.q.Head.Raw) || v.BodyChanged {
		v.Head = e.head.Raw
	}
}

func (e *edit) changed() bool {
	return e.header != nil && *e.header != e.message.HeaderText.String ||
		e.text != nil && *e.text != e.message.Text.String
}

// judge turns what an edit breaks into findings.
func (e *edit) judge(cs []decode.Consequence) {
	for _, c := range cs {
		switch {
		case c.Severity < traffic.Warning:
		case c.What == "signature":
			e.find(&breaksSignature, e.by, c.Text)
		case c.What == "hash":
			e.find(&breaksHash, e.by, c.Text)
		default:
			e.find(&oddEdit, e.by, c.What+": "+c.Text)
		}
	}
}

// frame makes the body's length known again in the way it was: a chunked body
// is one chunk now, a measured one has another Content-Length.
func (e *edit) frame(body []byte) []byte {
	switch e.q.Framing {
	case traffic.Chunked:
		framed := fmt.Appendf(nil, "%x\r\n", len(body))
		framed = append(framed, body...)
		return append(framed, "\r\n0\r\n\r\n"...)
	case traffic.ByLength:
		for i, f := range e.head.Fields {
			if strings.EqualFold(f.Name, "Content-Length") { // repeated ones have to agree
				e.setValue(i, strconv.Itoa(len(body)))
			}
		}
	}
	return body
}
