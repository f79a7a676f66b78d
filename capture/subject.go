package capture

import (
	"context"
	"errors"
	"fmt"
	"io"

	"mpproxy/decode"
	"mpproxy/traffic"
)

// subject is an exchange of the store as a filter asks it. It reads what it is
// asked for, when it is asked; err is the first read that failed.
type subject struct {
	ctx   context.Context
	store *Store
	id    traffic.ExchangeID
	err   error

	row *Row
	// sources are the messages as received, the request first; nil while not
	// asked for.
	sources []decode.Source
}

// load reads the row once.
func (x *subject) load() *Row {
	if x.row == nil {
		row, err := x.store.Row(x.ctx, x.id)
		x.fail(err)
		x.row = &row
	}
	return x.row
}

func (x *subject) fail(err error) {
	if x.err == nil && err != nil && !errors.Is(err, ErrNone) {
		x.err = err
	}
}

// Number is the value of a numeric field.
func (x *subject) Number(field string) (int64, bool) {
	r := x.load()
	switch field {
	case "id":
		return int64(r.ID), true
	case "conn":
		return int64(r.Conn), true
	case "time":
		return r.Begun.UnixMicro(), true
	case "sev":
		return int64(r.Sev), true
	case "status":
		return int64(r.Status), r.Status != 0
	case "took":
		return r.Took().Microseconds(), !r.Ended.IsZero()
	case "size":
		return r.ReqBytes + r.RespBytes, true
	case "req":
		return r.ReqBytes, true
	case "resp":
		return r.RespBytes, r.RespBytes != 0
	}
	x.fail(fmt.Errorf("a capture has no number %q", field))
	return 0, false
}

// Texts are the values of any other field.
func (x *subject) Texts(field string) []string {
	switch field {
	case "header", "text":
		return x.words(field)
	case "hex", "wire":
		return x.bytes(field)
	case "code":
		return x.code()
	case "kind", "endpoint", "hook", "msgid", "corr":
		return x.columns(field)
	case "finding", "leg":
		return x.findings(field)
	case "note":
		return x.notes()
	}
	return x.listed(field)
}

// listed are the values that the row in the list has.
func (x *subject) listed(field string) []string {
	r := x.load()
	switch field {
	case "agent":
		return []string{r.Agent, r.Client, r.Address}
	case "auth":
		return []string{r.Auth}
	case "tls":
		return []string{r.TLS}
	case "method":
		return []string{r.Method}
	case "path":
		return []string{r.Target}
	case "rule":
		return r.Rules
	case "tag":
		return r.Tags
	case "dir":
		return chosen(holds{"request", r.ReqBytes > 0}, holds{"reply", r.RespBytes > 0})
	case "is":
		return x.is()
	case "mode", "mp":
		return x.conn(field)
	case "":
		texts := append([]string{r.Short, r.Agent, r.Client, r.Address}, x.notes()...)
		return append(texts, append(x.columns("msgid"), x.columns("corr")...)...)
	}
	x.fail(fmt.Errorf("a capture has no field %q", field))
	return nil
}

// holds is a word and whether it holds.
type holds struct {
	word string
	yes  bool
}

func chosen(all ...holds) []string {
	var words []string
	for _, h := range all {
		if h.yes {
			words = append(words, h.word)
		}
	}
	return words
}

// is lists the flags that hold.
func (x *subject) is() []string {
	r := x.load()
	flags, err := x.store.number(x.ctx, `SELECT flags FROM list WHERE id = ?`, x.id)
	x.fail(err)
	fate := func(f traffic.Fate) bool { return r.Fate == f }
	has := func(flag traffic.ExchangeID) bool { return flags&flag != 0 }
	return chosen(
		holds{"open", fate(traffic.InFlight) || fate(fateHeld)}, holds{"held", fate(fateHeld)},
		holds{"passed", fate(traffic.Passed)}, holds{"modified", fate(traffic.Modified)},
		holds{"answered", fate(traffic.Answered)}, holds{"dropped", fate(traffic.Dropped)},
		holds{"broken", fate(traffic.Broken)}, holds{"tunnel", fate(traffic.Tunneled)},
		holds{"replayed", r.Origin == "replay"}, holds{"marked", r.Marked}, holds{"tls", r.TLS != ""},
		holds{"signed", has(flagSigned)}, holds{"attachment", has(flagAttachment)},
		holds{"compressed", has(flagCompressed)}, holds{"new", has(flagNew)},
		holds{"reply-missing", !r.Ended.IsZero() && r.RespBytes == 0},
	)
}

func (x *subject) conn(field string) []string {
	c, err := x.store.Conn(x.ctx, x.load().Conn)
	x.fail(err)
	switch {
	case c == nil:
		return nil
	case field == "mode":
		return []string{c.Mode}
	}
	return []string{c.Upstream}
}

func (x *subject) findings(field string) []string {
	fs, err := x.store.Findings(x.ctx, x.id)
	x.fail(err)
	var texts []string
	for _, f := range fs {
		if field == "leg" {
			texts = append(texts, f.Leg.String())
		} else {
			texts = append(texts, f.Kind.Code, f.Kind.Ref)
		}
	}
	return texts
}

func (x *subject) notes() []string {
	notes, err := x.store.Notes(x.ctx, x.id)
	x.fail(err)
	var texts []string
	for _, n := range notes {
		texts = append(texts, n.Text)
	}
	return texts
}

// columns are what the recorder kept of both messages.
func (x *subject) columns(field string) []string {
	infos, err := x.store.Infos(x.ctx, x.id)
	x.fail(err)
	var texts []string
	for _, i := range infos {
		switch field {
		case "kind":
			texts = append(texts, i.Kind)
		case "endpoint":
			texts = append(texts, i.Endpoint)
		case "msgid":
			texts = append(texts, i.MsgID)
		case "corr":
			texts = append(texts, i.Corr)
		case "hook":
			texts = append(texts, i.Hooks...)
		}
	}
	return texts
}

// messages reads the messages once. Replies do not know their requests.
func (x *subject) messages() []decode.Source {
	if x.sources != nil {
		return x.sources
	}
	x.sources = []decode.Source{}
	e, err := x.store.Exchange(x.ctx, x.id)
	if err != nil {
		x.fail(err)
		return nil
	}
	for _, d := range []traffic.Dir{traffic.Request, traffic.Reply} {
		if v, r := wireOf(x.ctx, x.store.db, e, d, false); v.Size > 0 {
			x.sources = append(x.sources, sourceOf(e, d, v, r, nil))
		}
	}
	return x.sources
}

func (x *subject) code() []string {
	var codes []string
	for _, src := range x.messages() {
		if src.Dir == traffic.Reply {
			codes = append(codes, src.Head.Get("BITS-Error"), src.Head.Get("BITS-Error-Code"))
		}
	}
	return codes
}

// words are the messages' headers, or their texts with those of attachments.
// Most messages are whole in their summary, which costs much less.
func (x *subject) words(field string) []string {
	var texts []string
	var request *decode.Message
	for _, src := range x.messages() {
		src.Request = request
		m := decode.Decode(src, decode.Summary)
		request = m
		if field == "header" {
			texts = append(texts, m.HeaderText.String)
			continue
		}
		if m.Partial || len(m.Attachments) > 0 {
			m = decode.Decode(src, decode.Full)
		}
		texts = append(texts, m.Text.String)
		for _, a := range m.Attachments {
			texts = append(texts, decode.DecodeText(a.Bytes).String)
		}
	}
	return texts
}

// searchLimit is how much of each message's bytes is searched.
const searchLimit = 64 << 20

// bytes are the wire bytes of all messages, and for "hex" what came out of
// their payloads.
func (x *subject) bytes(field string) []string {
	var texts []string
	for _, d := range []traffic.Dir{traffic.Request, traffic.Reply} {
		for _, forwarded := range []bool{false, true} {
			texts = append(texts, x.wire(d, forwarded))
		}
	}
	if field == "wire" {
		return texts
	}
	for _, src := range x.messages() {
		for _, v := range decode.Decode(src, decode.Full).Views(nil) {
			if v.Name == "inflated" {
				texts = append(texts, string(v.Bytes))
			}
		}
	}
	return texts
}

func (x *subject) wire(d traffic.Dir, forwarded bool) string {
	body, err := x.store.Wire(x.ctx, x.id, d, forwarded)
	if err != nil {
		x.fail(err)
		return ""
	}
	b := make([]byte, min(body.Size(), searchLimit))
	n, err := body.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, errHole) {
		x.fail(err)
	}
	return string(b[:n])
}
