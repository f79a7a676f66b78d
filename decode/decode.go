// Package decode turns HTTP bytes into ConfigMgr messages, and messages back
// into bytes.
//
// In goes one HTTP message as a [Source]: its head and a way to read its body
// as it stood on the wire. Out comes a [Message]: what kind of message it is,
// who sent it, its header, text and attachments, one line that sums it up, and
// what is odd about it. [Message.Encode] and [Message.Edit] give bytes back,
// the same ones where nothing was changed.
//
// The package does no I/O but reading the body, keeps no state between
// messages, and never fails on what came from the wire: it returns what it
// understood, and findings that say what it did not.
package decode

import (
	"io"
	"strings"
	"sync"
	"time"

	"mpproxy/traffic"
)

// Version numbers the decoder. A capture keeps it with each message, so that a
// better decoder knows what to look at again.
const Version = 1

// Depth says how much work a decode may do.
type Depth uint8

// The depths.
const (
	// Summary is for the recording path: bounded time and memory whatever the
	// message's size. It inflates whole up to 64 KiB, beyond that the first
	// 8 KiB, and never builds a tree.
	Summary Depth = iota
	// Full inflates everything, checks signatures and structure, and cuts out
	// every attachment.
	Full
	// Content is Full without checking anything: text and attachments for a
	// search or a rule, in about a tenth of the time. There are no Findings.
	Content
)

// Source is one HTTP message to decode. The zero value of each field means
// that it is not known.
type Source struct {
	Dir traffic.Dir
	// Head is empty for a bare body, such as a file from another tool.
	Head traffic.Head
	// Body has the body's bytes as they stood on the wire, chunk framing
	// included; Size says how many there are to read.
	Body io.ReaderAt
	Size int64
	// Framing says whether Body has chunk framing.
	Framing traffic.Framing
	// Whole is true when the body's end was seen.
	Whole bool
	// Request is what a reply answers; nil for requests and when unknown.
	Request *Message
	TLS     bool
	// Arrived is when the first byte came; some lints compare clocks.
	Arrived time.Time
	// Keys verify signatures at depth Full; nil means those in the message.
	Keys []Key
}

// The forms that a message has.
const (
	formCCM   = "ccm"
	formGet   = "get"
	formBITS  = "bits"
	formPage  = "page"
	formEmpty = "empty"
	formXML   = "xml"
	formOther = "other"
)

// Message is what an HTTP message means.
type Message struct {
	Dir traffic.Dir
	// Form is how the message is wrapped: "ccm" (CCM_POST multipart), "get"
	// (.sms_aut, .sms_pol, .sms_dcm), "bits", "page" (an HTML page of IIS),
	// "empty", "xml", "other".
	Form string
	// Endpoint is TargetEndpoint; Kind a slug of the kinds table; Root the
	// local name of the text's root element.
	Endpoint, Kind, Root string
	// MsgID and Corr are the message's and its conversation's id as written.
	MsgID, Corr string
	// Client is the sender's client id (SMSID) as written; Agent its name.
	Client, Agent string
	// Signature says what was signed and, at depth Full, whether it fits.
	Signature string
	// TextBytes is the length of the text in bytes as written (UTF-16).
	TextBytes   int64
	Attachments []Attachment
	// Short is the list's summary, without agent and kind; Long the sentence
	// that stands alone.
	Short, Long string
	Findings    []traffic.Finding

	// Depth is how deep it was decoded.
	Depth Depth
	// Status is a reply's status code, 0 in requests.
	Status int
	// Target is a request's URL as received, and of a reply the URL that it
	// answers.
	Target string
	// Header is the message's own header; nil when it has none. HeaderText is
	// the same as text.
	Header     *Header
	HeaderText Text
	// Text is the message's text. Partial is true when it is only the
	// beginning, which happens at depth Summary.
	Text    Text
	Partial bool
	// Inflated says how the payload came out, when it was compressed.
	Inflated Inflated
	// Signatures are what was checked at depth Full.
	Signatures []Signature
	// Upload is set for the packets of a BITS upload.
	Upload *Packet
	// Envelope is set when the text is encrypted.
	Envelope *Envelope

	wire wireForm
}

// Attachment is a byte range of the inflated payload beside the text.
type Attachment struct {
	Name         string
	Offset, Size int64
	// Bytes is nil at depth Summary; it is shorter than Size says where the
	// range leaves the payload.
	Bytes []byte
}

// wireForm is what a message was made of: enough to write it again.
type wireForm struct {
	target target
	// head is the HTTP head, kept for the signatures in it; not at Summary.
	head traffic.Head
	// raw is the body as it stood on the wire, body the same without chunk
	// framing; neither at depth Summary.
	raw, body []byte
	chunks    chunks
	multipart multipart
	// payload is the second part as sent, inflated what came out of it; the
	// same bytes when it was not compressed.
	payload, inflated []byte
	// text is where the text is in inflated.
	text span
	// sent is the payload's length, also where payload is not kept.
	sent int64
	// complete is true when the body was read to its end.
	complete bool
	// fallback is true when text is not what the header's Length cuts.
	fallback bool
}

// Row is what the list shows of an exchange.
type Row struct {
	Kind, Endpoint, Agent, Client, Short, Long string
}

// Join sums up both directions of an exchange in one row. reply may be nil.
func Join(request, reply *Message) Row {
	r := Row{request.Kind, request.Endpoint, request.Agent, request.Client, request.Short, request.Long}
	if reply == nil {
		return r
	}
	if r.Kind == kindOther && reply.Kind != kindOther {
		r.Kind = reply.Kind
	}
	if r.Client == "" {
		r.Client = reply.Client
	}
	r.Short = joined(" → ", request.Short, reply.Short)
	r.Long = joined(" → ", request.Long, reply.Long)
	return r
}

// The most of a body that is read: on the recording path, and at all.
const (
	summaryRead = 96 << 10
	maxRead     = 64 << 20
)

// decoder is one Decode while it is under way.
type decoder struct {
	Source
	depth Depth
	m     *Message
	// body is the body without chunk framing, or its beginning; whole tells
	// which.
	body  []byte
	whole bool
	// tail are the last bytes on the wire where body is only the beginning.
	tail []byte
	// attachment is the text of the first attachment that is XML, or its
	// beginning.
	attachment      string
	attachmentWhole bool
	// inflated is the payload as far as it was inflated.
	inflated []byte
	kind     *Kind
	head     *reportHead
	// facts are what the steps noticed and lints report.
	facts facts
}

// facts are oddities met on the way.
type facts struct {
	noBoundary, noClosing bool
	readErr               error
}

// buffers are what a summary needs and does not keep.
type buffers struct{ wire, inflated []byte }

var pool = sync.Pool{New: func() any {
	return &buffers{make([]byte, 0, summaryRead), make([]byte, 0, summaryStart)}
}}

// Decode reads one message. It never fails: what it cannot understand it
// leaves out, and says why in Findings.
func Decode(s Source, d Depth) *Message {
	m := &Message{Dir: s.Dir, Form: formOther, Kind: kindOther, Depth: d}
	dec := &decoder{Source: s, depth: d, m: m}
	dec.heads()
	var b *buffers
	if d == Summary {
		b = pool.Get().(*buffers)
		defer pool.Put(b)
	}
	dec.read(b)
	dec.unwrap(b)
	dec.name()
	dec.summarize()
	if d == Full {
		dec.verify()
	}
	if d != Content {
		dec.lint()
	}
	if d == Summary {
		m.drop()
	}
	return m
}

// drop lets go of the bytes that belong to the pool.
func (m *Message) drop() {
	target, sent, text := m.wire.target, m.wire.sent, m.wire.text
	m.wire = wireForm{target: target, sent: sent, text: text}
	m.Text.Tail, m.HeaderText.Tail = nil, nil
	for i := range m.Attachments {
		m.Attachments[i].Bytes = nil
	}
}

// heads takes what the HTTP heads say.
func (d *decoder) heads() {
	m := d.m
	if d.depth != Summary {
		m.wire.head = d.Head
	}
	if m.Dir == traffic.Both {
		m.Dir = dirOf(d.Head)
	}
	if m.Dir == traffic.Reply {
		m.Status = d.Head.Status()
		if d.Request != nil {
			m.Target, m.wire.target = d.Request.Target, d.Request.wire.target
		}
		return
	}
	if d.Head.Start == "" {
		return
	}
	_, url, _ := d.Head.Request()
	m.Target = url
	m.wire.target = targetOf(url)
	id, _, _ := strings.Cut(d.Head.Get("ClientToken"), ";")
	if id == "" {
		id = d.Head.Get("CCMClientID")
	}
	m.Client = clipName(id)
}

func dirOf(h traffic.Head) traffic.Dir {
	switch {
	case strings.HasPrefix(h.Start, "HTTP/"):
		return traffic.Reply
	case h.Start != "":
		return traffic.Request
	}
	return traffic.Both
}

// read gets the body, or its beginning into b, and takes the chunk framing
// off.
func (d *decoder) read(b *buffers) {
	limit := min(d.Size, maxRead)
	var wire []byte
	if b != nil {
		limit = min(d.Size, summaryRead)
		wire = b.wire[:limit]
	} else {
		wire = make([]byte, limit)
	}
	d.whole = limit == d.Size
	if d.Body == nil || d.Size <= 0 {
		d.whole, d.m.wire.complete = true, true
		return
	}
	n, err := d.Body.ReadAt(wire, 0)
	if int64(n) < limit {
		d.facts.readErr, d.whole = err, false
	}
	wire = wire[:n]
	d.body = wire
	d.m.wire.raw = wire
	if d.isChunked() {
		d.m.wire.chunks = dechunk(wire)
		d.body = d.m.wire.chunks.data
	}
	d.m.wire.body = d.body
	d.m.wire.complete = d.whole
	if !d.whole {
		d.readTail()
	}
}

// isChunked tells chunk framing, for a file that nobody framed by its head.
func (d *decoder) isChunked() bool {
	return d.Framing == traffic.Chunked ||
		d.Framing == traffic.NoBody && hasSuffixFold(d.Head.Get("Transfer-Encoding"), "chunked")
}

// tailSize is more than a closing boundary, the end of chunk framing and a
// short trailer.
const tailSize = 512

func (d *decoder) readTail() {
	at := max(d.Size-tailSize, 0)
	tail := make([]byte, d.Size-at)
	n, _ := d.Body.ReadAt(tail, at)
	d.tail = tail[:n]
}

// unwrap finds out how the message is wrapped and gets at its text.
func (d *decoder) unwrap(b *buffers) {
	t := d.m.wire.target
	switch {
	case d.Dir != traffic.Reply && isMethod(d.Head, "BITS_POST") || d.Head.Get("BITS-Packet-Type") != "":
		d.m.Form = formBITS
		d.bits()
	case len(d.body) == 0:
		d.m.Form = formEmpty
		if d.m.Dir != traffic.Reply && t.form != "" && t.form != formBITS {
			d.m.Form = t.form
		}
	case d.isMultipart():
		d.m.Form = formCCM
		d.ccm(b)
	default:
		d.bare(b)
	}
}

func isMethod(h traffic.Head, method string) bool {
	m, _, _ := h.Request()
	return strings.EqualFold(m, method)
}
