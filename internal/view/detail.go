package view

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"mpproxy/capture"
	"mpproxy/decode"
	"mpproxy/traffic"
)

// Fact is one labelled line of a detail: what is shown, and what it says.
type Fact struct{ Label, Value string }

// Detail is all that is shown of one exchange.
type Detail struct {
	Row      capture.Row
	Exchange *traffic.Exchange
	Conn     *traffic.Conn
	// Request and Reply are as received, decoded whole; nil when there is no
	// such message.
	Request, Reply *decode.Message
	Findings       []capture.Found
	// Upload is the BITS upload that the exchange is a packet of, nil for
	// others; Uploaded what its fragments are together, nil when too large.
	Upload   *capture.Upload
	Uploaded *decode.Message
}

// wholeLimit is how large a message may be to be decoded whole.
const wholeLimit = 16 << 20

// depth is how deep a message is decoded to be shown.
func depth(x *traffic.Exchange, dir traffic.Dir) decode.Depth {
	if dir == traffic.Request && x.Request.Size > wholeLimit || dir == traffic.Reply && x.Reply.Size > wholeLimit {
		return decode.Summary
	}
	return decode.Full
}

// Load reads the detail of an exchange. A connection that is not there is left
// nil; messages above 16 MiB are decoded as summary. Signatures are checked with
// the given keys, and those that the agent has registered in the capture.
func Load(ctx context.Context, s *capture.Store, id traffic.ExchangeID, keys ...decode.Key) (*Detail, error) {
	var d Detail
	var err error
	if d.Row, err = s.Row(ctx, id); err != nil {
		return nil, fmt.Errorf("read exchange %d: %w", id, err)
	}
	if d.Exchange, err = s.Exchange(ctx, id); err != nil {
		return nil, fmt.Errorf("read exchange %d: %w", id, err)
	}
	if d.Conn, err = s.Conn(ctx, d.Row.Conn); err != nil && !errors.Is(err, capture.ErrNone) {
		return nil, fmt.Errorf("read the connection of exchange %d: %w", id, err)
	}
	if d.Findings, err = s.Findings(ctx, id); err != nil {
		return nil, fmt.Errorf("read the findings of exchange %d: %w", id, err)
	}
	registered, err := registeredKeys(ctx, s, d.Row)
	if err != nil {
		return nil, fmt.Errorf("look for the registration of exchange %d: %w", id, err)
	}
	keys = append(keys, registered...)
	for dir, to := range map[traffic.Dir]**decode.Message{traffic.Request: &d.Request, traffic.Reply: &d.Reply} {
		src, err := s.Source(ctx, id, dir, false)
		if err != nil && !errors.Is(err, capture.ErrNone) {
			return nil, fmt.Errorf("decode the %s of exchange %d: %w", dir, id, err)
		}
		if err == nil {
			src.Keys = keys
			*to = decode.Decode(src, depth(d.Exchange, dir))
		}
	}
	if d.Upload, err = s.UploadOf(ctx, id); err != nil {
		return nil, fmt.Errorf("read the upload of exchange %d: %w", id, err)
	}
	if d.Upload != nil {
		if d.Uploaded, err = joined(ctx, s, d.Upload); err != nil {
			return nil, err
		}
	}
	return &d, nil
}

// Title is the line above a detail.
func (d *Detail) Title(f Format) string {
	what, how := d.TitleParts(f)
	return what + "  " + how
}

// TitleParts are who sent what, and how it went.
func (d *Detail) TitleParts(f Format) (what, how string) {
	who := d.Row.Who()
	if d.Conn != nil && d.Conn.Upstream != "" {
		arrow := " → "
		if f.ASCII {
			arrow = " -> "
		}
		who += arrow + d.Conn.Upstream
	}
	how = status(d.Row) + "  " + Size(d.Row.ReqBytes) + "/" + Size(d.Row.RespBytes) + "  " + Duration(d.Row.Took())
	return Clean(who+"  "+d.Row.Method+" "+d.Row.Target, f.ASCII), strings.TrimSpace(how)
}

// Summary are the facts that come first.
func (d *Detail) Summary(f Format) []Fact {
	facts := []Fact{
		{"Message", d.what()},
		{"Summary", d.Row.Long},
		{"Agent", d.who()},
	}
	if m := d.Request; m != nil {
		facts = append(facts, d.ids()...)
		facts = append(facts, Fact{"Body", bodyWords(m)}, Fact{"Signature", signatureWords(m)})
	}
	facts = append(facts, d.uploadFacts()...)
	facts = append(facts,
		Fact{"Begun", f.Time(d.Row.Begun, "2006-01-02 15:04:05.000 -07:00") + took(d.Row)},
		Fact{"Reply", d.replyWords()},
		Fact{"Fate", FateWords(d.Row.Fate) + because(d.Exchange.Err)},
		Fact{"Rules", ruleWords(d.Row.Rules, d.Row.Tags)},
		Fact{"Connection", d.connWords()},
	)
	return clean(facts, f)
}

func (d *Detail) what() string {
	name := KindName(d.Row.Kind)
	if d.Row.Endpoint != "" {
		name += ", to " + d.Row.Endpoint
	}
	if m := d.Request; m != nil && m.Header != nil && m.Header.SchemaVersion != "" {
		name += ", schema " + m.Header.SchemaVersion
	}
	return name
}

func (d *Detail) who() string {
	parts := []string{d.Row.Agent, d.Row.Address, d.Row.Client}
	parts = strings.Fields(strings.Join(parts, " "))
	if d.Row.Auth != "" {
		parts = append(parts, "(proved: "+d.Row.Auth+")")
	}
	return strings.Join(parts, "  ")
}

func (d *Detail) ids() []Fact {
	m := d.Request
	if m.Header == nil {
		return nil
	}
	h := m.Header
	facts := []Fact{{"Ids", "message " + none(m.MsgID) + "  correlation " + none(m.Corr)}}
	if h.ReplyTo != "" {
		facts = append(facts, Fact{"Reply to", h.ReplyTo + "  " + h.ReplyMode})
	}
	return append(facts, Fact{"Sent", none(h.SentTime) + " by the agent's clock"})
}

// bodyWords says how the text was written.
func bodyWords(m *decode.Message) string {
	if m.Text.String == "" && m.TextBytes == 0 {
		return "none"
	}
	parts := []string{fmt.Sprintf("%s %d bytes", m.Text.Coding, m.TextBytes)}
	if m.Text.BOM {
		parts = append(parts, "byte order mark")
	}
	if n := m.Text.Terminators(); n > 0 {
		parts = append(parts, "terminator")
	} else {
		parts = append(parts, "no terminator")
	}
	for _, a := range m.Attachments {
		parts = append(parts, fmt.Sprintf("attachment %s %s bytes", a.Name, Size(a.Size)))
	}
	return strings.Join(parts, ", ")
}

func signatureWords(m *decode.Message) string {
	if len(m.Signatures) == 0 {
		return none(m.Signature)
	}
	var parts []string
	for _, s := range m.Signatures {
		parts = append(parts, SignatureWords(s))
	}
	return strings.Join(parts, "; ")
}

func (d *Detail) replyWords() string {
	head := d.Exchange.Reply.Head
	if d.Exchange.Returned != nil && len(head.Raw) == 0 {
		head = d.Exchange.Returned.Head
	}
	if len(head.Raw) == 0 {
		return "none"
	}
	words := fmt.Sprintf("%d %s", head.Status(), head.Reason())
	if d.Reply != nil && d.Reply.Long != "" {
		words += ": " + d.Reply.Long
	}
	return words
}

func (d *Detail) connWords() string {
	if d.Conn == nil {
		return fmt.Sprint(d.Row.Conn)
	}
	return fmt.Sprintf("%d, %s %s, %s to %s", d.Conn.ID, d.Conn.Mode, d.Conn.Listener, d.Conn.Agent, none(d.Conn.Upstream))
}

// TLS are the facts of both legs.
func (d *Detail) TLS(f Format) []Fact {
	if d.Conn == nil {
		return nil
	}
	facts := append(legFacts("Agent leg", d.Conn.AgentLeg, f), legFacts("MP leg", d.Conn.UpstreamLeg, f)...)
	return clean(facts, f)
}

func legFacts(label string, l traffic.Leg, f Format) []Fact {
	facts := []Fact{{label, none(l.Address) + fmt.Sprintf("  in %s, out %s bytes", Size(l.BytesIn), Size(l.BytesOut))}}
	if l.End != traffic.EndOpen {
		facts = append(facts, Fact{"  ended", string(l.End) + " " + f.Time(l.EndedAt, "15:04:05.000") + because(l.Err)})
	}
	h := l.Handshake
	switch {
	case h == nil:
		return append(facts, Fact{"  TLS", "none: plain HTTP"})
	case h.PassedThrough:
		return append(facts, Fact{"  TLS", "passed through unopened"}, Fact{"  raw", fmt.Sprintf("%d bytes in, %d out kept", len(h.In), len(h.Out))})
	case h.TLS == nil:
		facts = append(facts, Fact{"  TLS", "handshake FAILED" + because(h.Err)},
			Fact{"  raw", fmt.Sprintf("%d bytes in, %d out kept", len(h.In), len(h.Out))})
		return append(facts, shownFacts(h, f)...)
	}
	t := h.TLS
	facts = append(facts,
		Fact{"  TLS", fmt.Sprintf("%s, %s, in %s", t.VersionName, t.SuiteName, Duration(h.Ended.Sub(h.Began)))},
		Fact{"  name", none(t.ServerName) + "  ALPN " + none(t.ALPN)})
	return append(append(facts, shownFacts(h, f)...), afterFacts(l.After, f)...)
}

// shownFacts are the certificates of both sides, as far as a handshake came.
func shownFacts(h *traffic.Handshake, f Format) []Fact {
	var facts []Fact
	for i, der := range h.PeerCertificates {
		facts = append(facts, Fact{fmt.Sprintf("  peer %d", i), certWords(der, f)})
	}
	if len(h.PeerCertificates) == 0 && h.ClientCertAsked && h.Side == traffic.AgentSide && h.TLS != nil {
		facts = append(facts, Fact{"  peer", "no client certificate, though asked for one"})
	}
	if h.Side == traffic.UpstreamSide {
		facts = append(facts, Fact{"  asked", askedWords(h)})
	}
	if len(h.OwnCertificates) > 0 {
		facts = append(facts, Fact{"  shown", certWords(h.OwnCertificates[0], f)})
	}
	return facts
}

// afterFacts are what TLS did after the handshake, where it did more than carry
// data and end.
func afterFacts(a *traffic.Afterwards, f Format) []Fact {
	if a == nil || a.Again == nil {
		return nil
	}
	return []Fact{{"  again", "asked for a client certificate by renegotiation at " + f.Time(time.UnixMicro(a.AskedAt), "15:04:05.000") + answeredWords(a.Again)}}
}

func askedWords(h *traffic.Handshake) string {
	if !h.ClientCertAsked {
		return "no client certificate asked for in the first handshake"
	}
	words := "for a client certificate"
	if h.Asked == nil {
		return words
	}
	if n := h.Asked.Count; n > 0 {
		words += fmt.Sprintf(" of %d authorities", n)
	}
	return words + answeredWords(h.Asked)
}

// answeredWords say whose certificate a management point was shown.
func answeredWords(a *traffic.CertificateAsked) string {
	words := "; shown: " + a.Identity
	if a.Unsuited != "" {
		words += ", which does not suit: " + a.Unsuited
	}
	return words
}

func certWords(der []byte, f Format) string {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Sprintf("%d bytes that Go cannot parse: %v", len(der), err)
	}
	return fmt.Sprintf("%s, by %s, to %s", c.Subject, c.Issuer, f.Time(c.NotAfter, "2006-01-02"))
}

// Head is a message's HTTP head, line by line.
func Head(h traffic.Head, f Format) []string {
	var lines []string
	for line := range strings.SplitSeq(strings.TrimRight(string(h.Raw), "\r\n"), "\n") {
		lines = append(lines, Clean(strings.TrimSuffix(line, "\r"), f.ASCII))
	}
	return lines
}

// Text is a message's text, pretty, cleaned, line by line.
func Text(text string, f Format) []string {
	var lines []string
	for line := range strings.SplitSeq(decode.Pretty(text), "\n") {
		lines = append(lines, Clean(strings.TrimSuffix(line, "\r"), f.ASCII))
	}
	return lines
}

// MessageFacts are the facts of a message that stands alone.
func MessageFacts(m *decode.Message, f Format) []Fact {
	facts := []Fact{
		{"Message", KindName(m.Kind) + " (" + m.Dir.String() + ")"},
		{"Summary", m.Long},
		{"Endpoint", none(m.Endpoint)},
		{"Sender", none(strings.TrimSpace(m.Agent + "  " + m.Client))},
		{"Ids", "message " + none(m.MsgID) + "  correlation " + none(m.Corr)},
		{"Body", bodyWords(m)},
		{"Signature", signatureWords(m)},
	}
	return clean(facts, f)
}

// MessageFinding is a message's finding in lines.
func MessageFinding(x traffic.Finding, f Format) []string {
	return Finding(capture.Found{Finding: x}, f)
}

// Finding is a finding in lines: what it is, its evidence, what to do. What
// another finding explains says so.
func Finding(x capture.Found, f Format) []string {
	k := x.Kind
	first := k.Severity.Letter() + " " + k.Code
	if k.Ref != "" {
		first += " (" + k.Ref + ")"
	}
	if d := x.Dir.String(); d != "" {
		first += "  " + d
	}
	if x.MootBy != "" {
		first += "  explained by " + x.MootBy
	}
	lines := []string{first, "  " + k.Title}
	if x.Evidence != "" {
		where := ""
		if x.Offset >= 0 && x.Layer != "" {
			where = fmt.Sprintf("  (%s 0x%04x)", x.Layer, x.Offset)
		}
		lines = append(lines, "  Found  "+x.Evidence+where)
	}
	if k.Why != "" {
		lines = append(lines, "  Why    "+k.Why)
	}
	if k.Remedy != "" {
		lines = append(lines, "  Do     "+k.Remedy)
	}
	for i := range lines {
		lines[i] = Clean(lines[i], f.ASCII)
	}
	return lines
}

func clean(facts []Fact, f Format) []Fact {
	for i := range facts {
		facts[i].Value = Clean(facts[i].Value, f.ASCII)
	}
	return facts
}

func none(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func because(err string) string {
	if err == "" {
		return ""
	}
	return ": " + err
}

func took(r capture.Row) string {
	if d := r.Took(); d > 0 {
		return ", took " + Duration(d)
	}
	return ""
}

func ruleWords(rules, tags []string) string {
	if len(rules) == 0 {
		return "none matched"
	}
	words := strings.Join(rules, ", ")
	if len(tags) > 0 {
		words += "  tags " + strings.Join(tags, ", ")
	}
	return words
}
