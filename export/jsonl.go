package export

import (
	"bufio"
	"encoding/json"
	"time"

	"mpproxy/traffic"
)

// jsonl writes one object an exchange. Its schema is in docs/formats.md.
type jsonl struct{ w *bufio.Writer }

func newJSONL(o *output) writer { return &jsonl{bufio.NewWriter(o.w)} }

type jsonlExchange struct {
	Schema   string             `json:"schema"`
	V        int                `json:"v"`
	ID       traffic.ExchangeID `json:"id"`
	Conn     traffic.ConnID     `json:"conn"`
	Begun    time.Time          `json:"begun"`
	Replied  time.Time          `json:"replied,omitzero"`
	Ended    time.Time          `json:"ended,omitzero"`
	Agent    string             `json:"agent"`
	Client   string             `json:"client"`
	Address  string             `json:"address"`
	URL      string             `json:"url"`
	TLS      bool               `json:"tls"`
	Kind     string             `json:"kind"`
	Endpoint string             `json:"endpoint"`
	Summary  string             `json:"summary"`
	Fate     traffic.Fate       `json:"fate"`
	Origin   string             `json:"origin"`
	Rules    []string           `json:"rules"`
	Err      string             `json:"err,omitempty"`
	Request  *jsonlMessage      `json:"request,omitempty"`
	Sent     *jsonlMessage      `json:"sent,omitempty"`
	Reply    *jsonlMessage      `json:"reply,omitempty"`
	Returned *jsonlMessage      `json:"returned,omitempty"`
	Findings []jsonlFinding     `json:"findings"`
}

type jsonlMessage struct {
	Start  string      `json:"start"`
	Fields [][2]string `json:"fields"`
	// Body is base64, without chunk framing.
	Body []byte `json:"body"`
	Size int64  `json:"size"`
	// Header and Text are decoded, as they stood in the message.
	Header      string            `json:"header,omitempty"`
	Text        string            `json:"text,omitempty"`
	Attachments []jsonlAttachment `json:"attachments,omitempty"`
}

type jsonlAttachment struct {
	Name string `json:"name"`
	Body []byte `json:"body"`
}

type jsonlFinding struct {
	Code     string `json:"code"`
	Ref      string `json:"ref"`
	Sev      string `json:"sev"`
	Who      string `json:"who"`
	Sure     string `json:"sure"`
	Evidence string `json:"evidence"`
}

func (j *jsonl) item(i *Item) error {
	r := i.Row
	out := jsonlExchange{
		Schema: "mpproxy.export", V: 1, ID: r.ID, Conn: r.Conn, Begun: i.Exchange.Begun.UTC(), Replied: utc(i.Exchange.Replied), Ended: utc(i.Exchange.Ended),
		Agent: r.Agent, Client: r.Client, Address: r.Address, TLS: i.Exchange.TLS, Kind: r.Kind, Endpoint: r.Endpoint, Summary: r.Long,
		Fate: r.Fate, Origin: r.Origin, Rules: append([]string{}, r.Rules...), Err: i.Exchange.Err, Findings: []jsonlFinding{},
		Request: jsonlOf(i.Request), Sent: jsonlOf(i.Sent), Reply: jsonlOf(i.Reply), Returned: jsonlOf(i.Returned),
	}
	if i.Request != nil && r.Method != "" {
		out.URL = URL(i)
	}
	for _, f := range i.Findings {
		out.Findings = append(out.Findings, jsonlFinding{f.Kind.Code, f.Kind.Ref, f.Kind.Severity.String(), f.Who, f.Sure, f.Evidence})
	}
	enc := json.NewEncoder(j.w)
	enc.SetEscapeHTML(false)
	return enc.Encode(out)
}

func utc(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC()
}

func jsonlOf(m *Message) *jsonlMessage {
	if m == nil {
		return nil
	}
	out := &jsonlMessage{Start: utf8Of(m.Head.Start), Fields: [][2]string{}, Body: append([]byte{}, m.Body...), Size: m.Size}
	for _, f := range m.Head.Fields {
		out.Fields = append(out.Fields, [2]string{utf8Of(f.Name), utf8Of(f.Value)})
	}
	if m.Decoded != nil {
		out.Header, out.Text = m.Decoded.HeaderText.String, m.Decoded.Text.String
		for _, a := range m.Decoded.Attachments {
			out.Attachments = append(out.Attachments, jsonlAttachment{utf8Of(a.Name), append([]byte{}, a.Bytes...)})
		}
	}
	return out
}

func (j *jsonl) end() error { return j.w.Flush() }
