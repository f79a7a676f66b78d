package decode

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"mpproxy/traffic"
)

// Edit says what to change of a message. What is nil stays as it is, byte for
// byte.
type Edit struct {
	// Header and Text replace the text of the message's header and its body.
	Header, Text *string
	// Attachments replace attachments, by their index in Message.Attachments.
	Attachments map[int][]byte
	// Compress packs the payload, or unpacks it, where it is the other way; nil
	// leaves it as it is.
	Compress *bool
}

// Consequence is one thing that an edit brings about.
type Consequence struct {
	// What is one word: "text", "encoding", "inflated", "zlib",
	// "body-length", "content-length", "boundary", "signature", "hash", "xml".
	What          string
	Before, After string
	// Text says what that means.
	Text     string
	Severity traffic.Severity
}

// The reasons for which a message cannot be written.
var (
	errSummary  = errors.New("message was decoded at depth Summary")
	errNotWhole = errors.New("body was not read to its end")
	errPacked   = errors.New("payload was not inflated to its end")
	errNoHeader = errors.New("message has no header")
	errNoText   = errors.New("message has no text")
	errOverlap  = errors.New("text and attachment overlap")
)

// Encode gives the message's body without chunk framing: the same bytes that
// it was decoded from. It fails when the message was decoded at depth Summary,
// or not read to its end.
func (m *Message) Encode() ([]byte, error) {
	if err := m.writable(); err != nil {
		return nil, err
	}
	if m.Header == nil || len(m.wire.multipart.parts) == 0 {
		return bytes.Clone(m.wire.body), nil
	}
	return m.assemble(m.HeaderText, m.wire.payload, nil), nil
}

func (m *Message) writable() error {
	switch {
	case m.Depth == Summary:
		return errSummary
	case !m.wire.complete:
		return errNotWhole
	}
	return nil
}

// assemble puts a header and a payload into the body that was received. partHead
// changes the head of the payload's part; nil leaves it.
func (m *Message) assemble(header Text, payload []byte, partHead func([]byte) []byte) []byte {
	mp := m.wire.multipart
	mp.parts = slices.Clone(mp.parts)
	if len(mp.parts) == 0 {
		if m.Header != nil {
			return header.Bytes()
		}
		return payload
	}
	if m.Header != nil {
		mp.parts[0].Body = header.Bytes()
	}
	if len(mp.parts) > 1 {
		mp.parts[1].Body = payload
		if partHead != nil {
			mp.parts[1].Head = partHead(mp.parts[1].Head)
		}
	}
	return mp.bytes()
}

// Edit writes the message with changes, in the way in which it was written:
// coding, byte order mark, terminator, stray bytes, compression and boundary
// stay. Offsets and lengths in the header follow, as nothing but their digits
// changes. The body that it returns has no chunk framing; what the head says
// about its length is up to the caller. The consequences are in the order in
// which bytes are made.
func (m *Message) Edit(e Edit) (body []byte, cs []Consequence, err error) {
	if err := m.writable(); err != nil {
		return nil, nil, fmt.Errorf("edit message: %w", err)
	}
	w := writer{m: m, edit: e, header: m.HeaderText, payload: m.wire.payload}
	for _, step := range []func() error{w.content, w.headerText, w.pack} {
		if err := step(); err != nil {
			return nil, nil, fmt.Errorf("edit message: %w", err)
		}
	}
	body = m.assemble(w.header, w.payload, w.partHead)
	w.judge(body)
	return body, w.consequences, nil
}

// writer is one Edit while it is under way.
type writer struct {
	m    *Message
	edit Edit
	// splices are the changes of the inflated payload, in order of place.
	splices      []splice
	header       Text
	inflated     []byte
	payload      []byte
	consequences []Consequence
}

// splice replaces a range of the inflated payload.
type splice struct {
	at   span
	with []byte
	// text marks the one that is the message's text.
	text bool
}

func (s splice) delta() int64 { return int64(len(s.with) - (s.at.to - s.at.from)) }

func (w *writer) add(what, before, after, text string, severity traffic.Severity) {
	w.consequences = append(w.consequences, Consequence{what, before, after, text, severity})
}

// content collects what changes in the inflated payload.
func (w *writer) content() error {
	m := w.m
	if s := w.edit.Text; s != nil && *s != m.Text.String {
		if m.wire.text.to == 0 {
			return errNoText
		}
		changed := m.Text.With(*s)
		w.splices = append(w.splices, splice{m.wire.text, changed.Bytes(), true})
		w.textRows(changed)
	}
	for i, b := range w.edit.Attachments {
		if i < 0 || i >= len(m.Attachments) || m.Attachments[i].Bytes == nil && m.Attachments[i].Size > 0 {
			return fmt.Errorf("no attachment %d", i+1)
		}
		a := m.Attachments[i]
		if bytes.Equal(a.Bytes, b) {
			continue
		}
		from := int(a.Offset)
		w.splices = append(w.splices, splice{span{from, from + len(a.Bytes)}, b, false})
		w.add("attachment", strconv.Itoa(len(a.Bytes)), strconv.Itoa(len(b)), a.Name, traffic.None)
	}
	slices.SortFunc(w.splices, func(a, b splice) int { return a.at.from - b.at.from })
	for i := 1; i < len(w.splices); i++ {
		if w.splices[i].at.from < w.splices[i-1].at.to {
			return errOverlap
		}
	}
	if (len(w.splices) > 0 || w.repacks()) && m.Inflated.Method != "" && !m.Inflated.Whole {
		return errPacked
	}
	w.inflated = w.spliced()
	return nil
}

func (w *writer) textRows(changed Text) {
	before := w.m.Text
	w.add("text", chars(before.String), chars(changed.String), changedLines(before.String, changed.String), traffic.None)
	how := before.Coding.String() + ", " + count(before.Terminators(), "terminator")
	kept := "kept"
	if n := len(before.Stray()); n > 0 {
		kept = "kept, with " + count(n, "stray byte")
	}
	if before.BOM {
		how += ", byte order mark"
	}
	w.add("encoding", how, "same", kept, traffic.None)
	if f := wellFormed(changed.String); f != nil {
		w.add("xml", "", "not well-formed", fmt.Sprintf("line %d: %s", f.line, f.what), traffic.Warning)
	}
}

func chars(s string) string { return strconv.Itoa(len([]rune(s))) + " c" }

// changedLines counts the lines between what two texts begin and end with
// alike.
func changedLines(before, after string) string {
	same := commonPrefix(before, after)
	rest := commonPrefixBackwards(before[same:], after[same:])
	n := 1 + max(strings.Count(before[same:len(before)-rest], "\n"), strings.Count(after[same:len(after)-rest], "\n"))
	return count(n, "line") + " changed"
}

// spliced is the inflated payload with the changes.
func (w *writer) spliced() []byte {
	in, at := w.m.wire.inflated, 0
	if len(w.splices) == 0 {
		return in
	}
	var out []byte
	for _, s := range w.splices {
		out = append(append(out, in[at:s.at.from]...), s.with...)
		at = s.at.to
	}
	return append(out, in[at:]...)
}

// moved is where an offset of the inflated payload is after the changes. One
// inside of a change stays at its distance from the beginning.
func (w *writer) moved(offset int64) int64 {
	to := offset
	for _, s := range w.splices {
		if offset >= int64(s.at.to) {
			to += s.delta()
		}
	}
	return to
}

// headerText changes the header's text, and in it the digits of the ranges
// that moved.
func (w *writer) headerText() error {
	m := w.m
	if w.edit.Header == nil && !w.repacks() && (len(w.splices) == 0 || m.Header == nil) {
		return nil
	}
	if m.Header == nil {
		return errNoHeader
	}
	text := m.HeaderText.String
	if w.edit.Header != nil {
		text = *w.edit.Header
		if f := wellFormed(text); f != nil {
			w.add("xml", "", "header is not well-formed", fmt.Sprintf("line %d: %s", f.line, f.what), traffic.Warning)
		}
	}
	w.header = m.HeaderText.With(w.hooked(w.adjusted(text)))
	return nil
}

// digits is a number in the header's text that has to change.
type digits struct {
	at   span
	what string
	from int64
	to   int64
}

// adjusted is a header's text with the numbers of the ranges that moved. A
// number that the edit itself changed is left alone.
func (w *writer) adjusted(text string) string {
	now := ParseHeader(text)
	if now == nil {
		return text
	}
	old := w.m.Header
	changes := w.bodyDigits(old.Body, now.Body)
	for i, r := range old.Attachments {
		if i < len(now.Attachments) {
			changes = append(changes, w.rangeDigits("attachment", r, now.Attachments[i])...)
		}
	}
	slices.SortFunc(changes, func(a, b digits) int { return b.at.from - a.at.from })
	for _, c := range changes {
		text = text[:c.at.from] + strconv.FormatInt(c.to, 10) + text[c.at.to:]
	}
	slices.Reverse(changes)
	for _, c := range changes {
		w.add(c.what, strconv.FormatInt(c.from, 10), strconv.FormatInt(c.to, 10), "updated in the header", traffic.None)
	}
	return text
}

// bodyDigits are the changes of the body's range. Its length grows as the text
// does, so that one that was wrong stays as wrong as it was.
func (w *writer) bodyDigits(old, now Range) []digits {
	changes := w.rangeDigits("body", old, now)
	for _, s := range w.splices {
		if !s.text {
			continue
		}
		changes = slices.DeleteFunc(changes, func(d digits) bool { return d.what == "body-length" })
		if old.Known && now.Length == old.Length && s.delta() != 0 {
			changes = append(changes, digits{now.lengthAt, "body-length", old.Length, max(old.Length+s.delta(), 0)})
		}
	}
	return changes
}

func (w *writer) rangeDigits(what string, old, now Range) []digits {
	var changes []digits
	if !old.Known || !now.Known {
		return nil
	}
	offset := w.moved(old.Offset)
	if offset != old.Offset && now.Offset == old.Offset {
		changes = append(changes, digits{now.offsetAt, what + "-offset", old.Offset, offset})
	}
	if length := w.moved(old.End()) - offset; length != old.Length && now.Length == old.Length {
		changes = append(changes, digits{now.lengthAt, what + "-length", old.Length, length})
	}
	return changes
}

// pack compresses a changed payload as it was compressed, or as the edit wants.
func (w *writer) pack() error {
	if len(w.splices) == 0 && !w.repacks() {
		return nil
	}
	m := w.m
	method := w.method()
	w.payload = w.inflated
	if method == "" {
		return nil
	}
	w.add("inflated", sizeWords(int64(len(m.wire.inflated))), sizeWords(int64(len(w.inflated))), "", traffic.None)
	packed, err := deflate(w.inflated, method, w.level())
	if err != nil {
		return fmt.Errorf("compress payload: %w", err)
	}
	rest := m.wire.payload[int64(len(m.wire.payload))-m.Inflated.Rest:]
	w.payload = append(packed, rest...)
	w.add(method, sizeWords(int64(len(m.wire.payload))), sizeWords(int64(len(w.payload))),
		fmt.Sprintf("compressed again, level as found: %d", w.level()), traffic.None)
	return nil
}

// judge says what the change means to those who check the message.
func (w *writer) judge(body []byte) {
	m := w.m
	if before, after := len(m.wire.body), len(body); before != after {
		w.add("content-length", strconv.Itoa(before), strconv.Itoa(after), "the head has to say so", traffic.None)
	}
	if b := m.wire.multipart.boundary; b != "" && bytes.Count(body, []byte("\r\n--"+b)) != bytes.Count(m.wire.body, []byte("\r\n--"+b)) {
		w.add("boundary", b, b, "the new content contains the boundary: the message will be cut there", traffic.Error)
	}
	w.judgeSignatures()
	if len(w.splices) > 0 && m.Kind == policyBody.Slug {
		w.add("hash", "", "", "the policy's hash in its assignment no longer fits: the agent drops the body", traffic.Warning)
	}
}

func (w *writer) judgeSignatures() {
	m := w.m
	if m.Header != nil {
		w.judgeHook(m.Header.Hook(hookAuth))
	}
	text := w.edit.Text
	if text == nil {
		return
	}
	if before := dataElement(m.Text.String); before != "" && before != dataElement(*text) {
		w.add("signature", w.state("registration"), "does not fit",
			"the registration's signature covers <Data>: the management point refuses it", traffic.Error)
	}
	if m.Root == policyReply.Root && strings.Contains(m.Text.String, "<SignatureValue") && *text != m.Text.String {
		w.add("signature", "site's", "may not fit",
			"assignments are signed by the site: an agent refuses those that were changed (0x87D00294)", traffic.Error)
	}
}

func (w *writer) judgeHook(hook *Hook) {
	if hook.Get("PayloadSignature") != "" && len(w.splices) > 0 {
		w.add("signature", w.state("payload"), "does not fit",
			"the payload's signature covers the bytes as sent: the management point refuses them", traffic.Error)
	}
	if hook.Get("ClientIDSignature") == "" || w.edit.Header == nil {
		return
	}
	if now := ParseHeader(*w.edit.Header); now == nil || now.SourceID != w.m.Header.SourceID {
		w.add("signature", w.state("client id"), "does not fit",
			"the client id's signature covers SourceID", traffic.Warning)
	}
}

// state says what is known of a signature before the edit.
func (w *writer) state(what string) string {
	for _, s := range w.m.Signatures {
		if s.What == what {
			return s.Words()
		}
	}
	return "not checked"
}

// dataElement is the <Data> of a registration with its tags, which is what is
// signed, or "".
func dataElement(text string) string {
	if !strings.Contains(text, "<ClientRegistrationRequest") {
		return ""
	}
	from := strings.Index(text, "<Data")
	to := strings.Index(text, "</Data>")
	if from < 0 || to < from {
		return ""
	}
	return text[from : to+len("</Data>")]
}
