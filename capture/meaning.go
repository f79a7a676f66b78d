package capture

import (
	"context"
	"fmt"
	"io"

	"mpproxy/decode"
	"mpproxy/traffic"
)

// meaning is what the decoder makes of an exchange. The zero value is an
// exchange that was not decoded.
type meaning struct {
	request, reply *decode.Message
	row            decode.Row
	// failed says that the decoder broke down, in words.
	failed string
}

// understand decodes both messages of an exchange. open gives the wire bytes
// of a direction.
func understand(x *traffic.Exchange, open func(traffic.Dir) io.ReaderAt, depth decode.Depth) (m meaning) {
	defer func() {
		// The recorder must survive a fault in a decoder: the evidence of it
		// is what it is there to keep.
		if p := recover(); p != nil {
			m = meaning{failed: fmt.Sprint(p)}
		}
	}()
	m.request = decode.Decode(sourceOf(x, traffic.Request, &x.Request, open(traffic.Request), nil), depth)
	if x.Fate == traffic.Tunneled || x.Request.Framing == traffic.NoFraming {
		return meaning{row: tunneled(m.request)}
	}
	if x.Reply.Size > 0 {
		m.reply = decode.Decode(sourceOf(x, traffic.Reply, &x.Reply, open(traffic.Reply), m.request), depth)
	}
	m.row = decode.Join(m.request, m.reply)
	return m
}

// tunneled is all that is said of bytes that are no HTTP: a name for those
// that are known. They are not judged as messages.
func tunneled(m *decode.Message) decode.Row {
	if m.Kind != "tls" {
		return decode.Row{}
	}
	return decode.Join(m, nil)
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

// decode makes the meaning of an exchange at its end, from the bytes that are
// still in memory and, behind them, from the file.
func (w *writer) decode(o over, depth decode.Depth) meaning {
	return understand(o.x, func(d traffic.Dir) io.ReaderAt {
		return prefixed{o.stream(d, false).prefix, &blobs{
			ctx: context.Background(), q: w.conn, exchange: o.x.ID, dir: d,
		}}
	}, depth)
}

// findings are those of both messages.
func (m meaning) findings() []traffic.Finding {
	var fs []traffic.Finding
	for _, v := range []*decode.Message{m.request, m.reply} {
		if v != nil {
			fs = append(fs, v.Findings...)
		}
	}
	if m.failed != "" {
		fs = append(fs, traffic.Finding{Kind: &undecoded, Offset: -1, Evidence: m.failed, Who: "proxy"})
	}
	return fs
}

// flags are the bits of list.flags that the messages decide.
func (m meaning) flags() int {
	flags := 0
	for _, v := range []*decode.Message{m.request, m.reply} {
		if v == nil {
			continue
		}
		if v.Signature != "" {
			flags |= flagSigned
		}
		if len(v.Attachments) > 0 {
			flags |= flagAttachment
		}
		if v.Inflated.Method != "" {
			flags |= flagCompressed
		}
	}
	return flags
}

// code is the error code that the reply names, or "".
func (m meaning) code() string {
	if m.reply == nil || m.reply.Upload == nil {
		return ""
	}
	return m.reply.Upload.Error
}
