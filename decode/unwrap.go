package decode

import (
	"bytes"
	"strings"

	"mpproxy/traffic"
)

// isMultipart tells whether the body is a message of CCM_POST. Ranges of a
// download are multipart, too, and are none.
func (d *decoder) isMultipart() bool {
	kind := d.Head.Get("Content-Type")
	if hasPrefixFold(kind, "multipart/") {
		return !hasPrefixFold(kind, "multipart/byteranges")
	}
	return (d.Head.Start == "" || d.m.wire.target.form == formCCM) && sniffBoundary(d.body) != ""
}

// ccm reads the two parts of a CCM_POST.
func (d *decoder) ccm(b *buffers) {
	m := d.m
	mp := splitMultipart(d.body, boundaryOf(d.Head.Get("Content-Type")))
	if len(mp.parts) == 0 {
		d.facts.noBoundary = d.Head.Start != ""
		mp = splitMultipart(d.body, sniffBoundary(d.body))
	}
	m.wire.multipart = mp
	if len(mp.parts) == 0 {
		d.bare(b)
		return
	}
	d.facts.noClosing = mp.closing == nil && !d.closesLater(mp.boundary)
	d.header(mp.parts[0].Body)
	if len(mp.parts) > 1 {
		d.payload(mp.parts[1].Body, b)
	}
}

// closesLater looks for the closing boundary of a body of which only the
// beginning was read.
func (d *decoder) closesLater(boundary string) bool {
	return !d.whole && bytes.Contains(d.tail, []byte("--"+boundary+"--"))
}

// header reads the header part.
func (d *decoder) header(part []byte) {
	m := d.m
	m.HeaderText = DecodeText(part)
	h := ParseHeader(m.HeaderText.String)
	if h == nil {
		return
	}
	m.Header = h
	m.Endpoint = clipName(h.TargetEndpoint)
	m.MsgID, m.Corr = clipName(h.ID), clipName(h.CorrelationID)
	if m.Dir != traffic.Reply {
		m.Agent = hostLabel(h.SourceHost)
		if h.SourceID != "" {
			m.Client = clipName(h.SourceID)
		}
	}
	m.Signature = d.signedWhat()
}

// hostLabel is the name by which an agent is known: its host without domain.
func hostLabel(host string) string {
	name, _, _ := strings.Cut(host, ".")
	if strings.Trim(host, "0123456789.") == "" || strings.Contains(host, ":") {
		name = host
	}
	return clipName(strings.TrimSpace(name))
}

// payload unpacks the second part and cuts text and attachments out of it.
func (d *decoder) payload(part []byte, b *buffers) {
	m := d.m
	m.wire.payload, m.wire.sent = part, int64(len(part))
	if !d.whole {
		m.wire.sent += d.Size - int64(len(m.wire.raw))
	}
	in, whole := part, d.whole
	switch {
	case d.isPacked(part):
		in, whole = d.inflatePayload(part, b)
	case m.Header != nil && len(part) > 1 && part[0] == 0x30:
		m.Envelope = parseEnvelope(part)
	}
	d.inflated = in
	m.wire.inflated = in
	d.cutText(in, whole)
	d.cutAttachments(in)
}

// isPacked tells whether a payload is compressed: where the header says so,
// and where it does not but the bytes do.
func (d *decoder) isPacked(part []byte) bool {
	return isZlib(part) || isGzip(part) && d.m.Header != nil && d.m.Header.Hook(hookZlib) != nil
}

const (
	hookZlib = "zlib-compress"
	hookAuth = "clientauth"
)

func (d *decoder) inflatePayload(part []byte, b *buffers) (in []byte, whole bool) {
	if b == nil {
		in, d.m.Inflated = inflate(nil, part, inflateLimit(int64(len(part))), true)
		return in, d.m.Inflated.Whole
	}
	limit := int64(summaryWhole)
	if d.declared() > summaryWhole {
		limit = summaryStart
	}
	b.inflated, d.m.Inflated = inflate(b.inflated[:0], part, limit, false)
	info := &d.m.Inflated
	if !d.whole && info.Err != nil {
		info.Err = nil // it is only cut because no more was read
	}
	return b.inflated, info.Whole
}

// declared is the size of the payload as the header has it, 0 without one.
func (d *decoder) declared() int64 {
	h := d.m.Header
	if h == nil {
		return 0
	}
	end := h.Body.End()
	for _, a := range h.Attachments {
		end = max(end, a.End())
	}
	return end
}

// cutText takes the message's text out of the payload: by Offset and Length,
// and when that gives no whole text, up to the first U+0000.
func (d *decoder) cutText(in []byte, whole bool) {
	m := d.m
	at := span{0, len(in)}
	if h := m.Header; h != nil && h.Body.Known {
		at = span{int(min(h.Body.Offset, int64(len(in)))), int(min(h.Body.End(), int64(len(in))))}
		m.Partial = !whole && h.Body.End() > int64(len(in))
	} else {
		m.Partial = !whole
	}
	m.Text = DecodeText(in[at.from:at.to])
	if m.Header != nil && m.Header.Body.Known && !m.Partial {
		at = d.longerText(in, at)
	}
	m.wire.text = at
	m.TextBytes = int64(at.to - at.from)
	if m.Partial && m.Header != nil {
		m.TextBytes = m.Header.Body.Length
	}
}

// longerText looks for the rest of a text that Length cuts short. Boot media
// send a constant Length, and nobody minds.
func (d *decoder) longerText(in []byte, at span) span {
	m := d.m
	if m.Text.Terminators() > 0 && closed(m.Text.String) {
		return at
	}
	end := len(in)
	for _, a := range m.Header.Attachments {
		if a.Known && a.Offset >= int64(at.to) {
			end = int(min(a.Offset, int64(end)))
		}
	}
	if end == at.to {
		return at
	}
	longer := DecodeText(in[at.from:end])
	more := len(longer.String) > len(m.Text.String)
	if !more || longer.Terminators() == 0 {
		return at
	}
	extra := longer.String[min(len(m.Text.String), len(longer.String)):]
	if closed(m.Text.String) && strings.TrimSpace(extra) != "" {
		return at
	}
	unit := longer.Coding.unit()
	to := end - len(longer.Tail) + unit
	m.Text = DecodeText(in[at.from:to])
	m.wire.fallback = true
	return span{at.from, to}
}

// closed tells, without reading all of it, whether a text ends with the end of
// its root element.
func closed(text string) bool {
	s := scanner{src: text}
	if !s.next() {
		return false
	}
	text = strings.TrimRight(text, " \t\r\n")
	end := strings.LastIndex(text, "</")
	if end < 0 || !strings.HasSuffix(text, ">") {
		return s.empty && !strings.Contains(text[s.at:], "<")
	}
	return localName(strings.TrimSpace(text[end+2:len(text)-1])) == s.name
}

// cutAttachments takes the attachments out of the payload as far as it has
// them. Their ranges may lie anywhere.
func (d *decoder) cutAttachments(in []byte) {
	m := d.m
	if m.Header == nil {
		return
	}
	for _, r := range m.Header.Attachments {
		a := Attachment{Name: clipName(r.Name), Offset: r.Offset, Size: r.Length}
		if r.Known && r.Offset <= int64(len(in)) {
			a.Bytes = in[r.Offset:min(r.End(), int64(len(in)))]
		}
		m.Attachments = append(m.Attachments, a)
	}
	for _, a := range m.Attachments {
		if !looksLikeXML(a.Bytes) {
			continue
		}
		// Collected files are attachments too, and may begin like XML.
		if text := DecodeText(a.Bytes).String; beginsReport(text) {
			d.attachment = text
			d.attachmentWhole = int64(len(a.Bytes)) == a.Size
			return
		}
	}
}

// beginsReport tells text whose root element is a report's, in any case.
func beginsReport(text string) bool {
	s := scanner{src: text}
	for i := 0; i < 4 && s.next(); i++ {
		if s.name != "" {
			return strings.EqualFold(s.name, "Report")
		}
	}
	return false
}

// looksLikeXML tells text that begins with a tag, in any coding.
func looksLikeXML(b []byte) bool {
	b = bytes.TrimPrefix(b, []byte("\xFF\xFE"))
	b = bytes.TrimPrefix(b, []byte("\xFE\xFF"))
	b = bytes.TrimPrefix(b, []byte("\xEF\xBB\xBF"))
	b = bytes.TrimLeft(b[:min(len(b), 64)], " \t\r\n\x00")
	return len(b) > 0 && b[0] == '<'
}

// bare reads a body that is no multipart: what came by GET, a file, a page.
func (d *decoder) bare(b *buffers) {
	m := d.m
	if f := m.wire.target.form; f != "" && f != formCCM && f != formBITS {
		m.Form = f
	}
	in, whole := d.body, d.whole
	if isGzip(in) && d.Head.Get("Content-Encoding") != "" || isZlib(in) {
		in, whole = d.inflatePayload(in, b)
	}
	if b != nil && len(in) > summaryWhole {
		in, whole = in[:summaryStart], false
	}
	d.inflated = in
	m.wire.payload, m.wire.inflated, m.wire.sent = d.body, in, d.Size
	switch {
	case len(in) > 1 && in[0] == 0x30:
		m.Envelope = parseEnvelope(in)
		return
	case !looksLikeXML(in):
		return
	}
	m.wire.text = span{0, len(in)}
	m.Text, m.Partial, m.TextBytes = DecodeText(in), !whole, int64(len(in))
	d.namedByText()
}

// BodyText is at most the first n bytes of the body as text, for bodies that
// are no message: error pages, and errors in plain words. It is empty where the
// body has not been kept, at depth Summary.
func (m *Message) BodyText(n int) string {
	b := m.wire.inflated
	return DecodeText(b[:min(len(b), n)]).String
}

// namedByText says what form a bare text has.
func (d *decoder) namedByText() {
	m := d.m
	text := strings.TrimLeft(m.Text.String[:min(len(m.Text.String), 256)], " \t\r\n\uFEFF")
	switch {
	case hasPrefixFold(text, "<html") || hasPrefixFold(text, "<!doctype html"):
		m.Form = formPage
	case m.Form == formOther:
		m.Form = formXML
	}
	if h := ParseHeader(m.Text.String); h != nil {
		m.Form = formCCM
		d.header(d.inflated)
		m.Text, m.TextBytes, m.Partial = Text{}, 0, false
		m.wire.text, m.wire.payload = span{}, nil
	}
}
