package capture

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"mpproxy/decode"
	"mpproxy/traffic"
)

// meaning is what the decoder makes of an exchange, as far as the capture
// keeps it. The zero value is an exchange that was not decoded.
type meaning struct {
	// request and reply are nil when they were not decoded.
	request, reply *gist
	row            decode.Row
	findings       []traffic.Finding
}

// gist is what the capture keeps of a decoded message. Its strings are its
// own: messages in the queue would else hold their texts.
type gist struct {
	form, endpoint, kind, root, signature, hooks, client string
	msgID, corr                                          string
	textBytes                                            int64
	attachments                                          int
	depth                                                decode.Depth
	compressed                                           bool
	// upload is set for the packets of a BITS upload.
	upload *decode.Packet
}

// understand decodes both messages of an exchange. open gives the wire bytes
// of a direction.
func understand(x *traffic.Exchange, open func(traffic.Dir) io.ReaderAt, depth decode.Depth) (m meaning) {
	defer func() {
		// The recorder must survive a fault in a decoder: the evidence of it
		// is what it is there to keep.
		if p := recover(); p != nil {
			failed := traffic.Finding{Kind: &undecoded, Offset: -1, Evidence: fmt.Sprint(p), Who: "proxy"}
			m = meaning{findings: []traffic.Finding{failed}}
		}
	}()
	request := decode.Decode(sourceOf(x, traffic.Request, &x.Request, open(traffic.Request), nil), depth)
	if x.Fate == traffic.Tunneled || x.Request.Framing == traffic.NoFraming {
		return tunneled(request)
	}
	m.request, m.findings = gistOf(request), request.Findings
	var reply *decode.Message
	if x.Reply.Size > 0 {
		reply = decode.Decode(sourceOf(x, traffic.Reply, &x.Reply, open(traffic.Reply), request), depth)
		m.reply, m.findings = gistOf(reply), slices.Concat(m.findings, reply.Findings)
	}
	m.row = ownRow(decode.Join(request, reply))
	return m
}

// tunneled is all that is said of bytes that are no HTTP: a name for those
// that are known. They are not judged as messages.
func tunneled(m *decode.Message) meaning {
	if m.Kind != "tls" {
		return meaning{}
	}
	return meaning{request: gistOf(m), row: ownRow(decode.Join(m, nil))}
}

// sourceOf is a message of an exchange, for the decoder.
func sourceOf(x *traffic.Exchange, d traffic.Dir, v *traffic.Wire, wire io.ReaderAt, request *decode.Message) decode.Source {
	arrived := x.Begun
	if d == traffic.Reply {
		arrived = x.Replied
	}
	from := v.Interim + int64(len(v.Head.Raw))
	size := max(0, v.Size-from)
	return decode.Source{
		Dir: d, Head: v.Head, Body: io.NewSectionReader(wire, from, size), Size: size,
		Framing: v.Framing, Whole: v.Whole, Request: request, TLS: x.TLS, Arrived: arrived,
	}
}

func gistOf(m *decode.Message) *gist {
	return &gist{
		form: own(m.Form), endpoint: own(m.Endpoint), kind: own(m.Kind), root: own(m.Root),
		signature: own(m.Signature), hooks: hookNames(m), client: own(m.Client),
		msgID: own(m.MsgID), corr: own(m.Corr),
		textBytes: m.TextBytes, attachments: len(m.Attachments), depth: m.Depth,
		compressed: m.Inflated.Method != "", upload: m.Upload,
	}
}

func ownRow(r decode.Row) decode.Row {
	return decode.Row{
		Kind: own(r.Kind), Endpoint: own(r.Endpoint), Agent: own(r.Agent), Client: own(r.Client),
		Short: own(r.Short), Long: own(r.Long),
	}
}

// own is a text fit for a column, in memory of its own.
func own(s string) string { return strings.Clone(plain(s)) }

// hookNames are the names of a message's hooks as a JSON array, or "".
func hookNames(m *decode.Message) string {
	if m.Header == nil || len(m.Header.Hooks) == 0 {
		return ""
	}
	var names []string
	for _, h := range m.Header.Hooks {
		names = append(names, plain(h.Name))
	}
	b, err := json.Marshal(names)
	if err != nil || len(b) > textLimit {
		return ""
	}
	return string(b)
}

// flags are the bits of list.flags that the messages decide.
func (m *meaning) flags() int {
	flags := 0
	for _, v := range []*gist{m.request, m.reply} {
		if v == nil {
			continue
		}
		if v.signature != "" {
			flags |= flagSigned
		}
		if v.attachments > 0 {
			flags |= flagAttachment
		}
		if v.compressed {
			flags |= flagCompressed
		}
	}
	return flags
}

// code is the error code that the reply names, or "".
func (m *meaning) code() string {
	if m.reply == nil || m.reply.upload == nil {
		return ""
	}
	return m.reply.upload.Error
}
