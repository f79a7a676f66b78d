package rules

import (
	"crypto/x509"
	"strings"

	"mpproxy/decode"
	"mpproxy/filter"
	"mpproxy/traffic"
)

// fieldNeeds says for each field of the filter language how much of a message
// must be there to answer it. Fields that are not listed need the whole body.
var fieldNeeds = map[string]Need{
	"id": HeadOnly, "conn": HeadOnly, "time": HeadOnly, "age": HeadOnly,
	"method": HeadOnly, "path": HeadOnly, "status": HeadOnly, "mode": HeadOnly,
	"tls": HeadOnly, "mp": HeadOnly, "dir": HeadOnly, "took": HeadOnly,
	"rule": HeadOnly, "tag": HeadOnly, "note": HeadOnly, "leg": HeadOnly, "code": HeadOnly,
	"agent": Header, "endpoint": Header, "msgid": Header, "corr": Header,
	"header": Header, "auth": Header, "is": Header,
}

// fieldDepths are the fields that a summary does not answer.
var fieldDepths = map[string]decode.Depth{"text": decode.Content, "header": decode.Content, "finding": decode.Full}

func fieldNeed(t *filter.Term) Need {
	if t.Field.Name == "is" && len(t.Values) == 1 && t.Values[0].Text == "tls" {
		return HeadOnly
	}
	if n, ok := fieldNeeds[t.Field.Name]; ok {
		return n
	}
	return Whole
}

// subject answers a filter about a message on its way.
type subject struct {
	q Question
	// level is how much is known; message decodes, as deep as asked.
	level   Need
	message func(decode.Depth) *decode.Message
	ruled   []string
	tags    []string
}

// messages are what is decoded: the message itself, and the request that a
// reply answers.
func (s *subject) messages(depth decode.Depth) []*decode.Message {
	var ms []*decode.Message
	if s.q.Request != nil {
		ms = append(ms, s.q.Request)
	}
	if s.message != nil {
		if m := s.message(depth); m != nil {
			ms = append(ms, m)
		}
	}
	return ms
}

// Number answers fields with numbers.
func (s *subject) Number(field string) (int64, bool) {
	x := s.q.Exchange
	switch field {
	case "id":
		return int64(x.ID), true
	case "conn":
		return int64(x.Conn), true
	case "time":
		return x.Begun.UnixMicro(), true
	case "status":
		if s.q.Dir == traffic.Reply {
			return int64(s.q.Head.Status()), true
		}
	case "took":
		if !x.Replied.IsZero() {
			return x.Replied.Sub(x.Begun).Microseconds(), true
		}
	case "req":
		return s.size(traffic.Request), true
	case "resp":
		return s.size(traffic.Reply), s.q.Dir == traffic.Reply
	case "size":
		return s.size(traffic.Request) + s.size(traffic.Reply), true
	case "sev":
		worst := traffic.None
		for _, m := range s.messages(decode.Full) {
			worst = max(worst, traffic.Worst(m.Findings))
		}
		return int64(worst), true
	}
	return 0, false
}

// size is a message's bytes on the wire, as far as they have come.
func (s *subject) size(d traffic.Dir) int64 {
	switch d {
	case s.q.Dir:
		return int64(len(s.q.Head.Raw) + len(s.q.Body))
	case traffic.Request:
		return s.q.Exchange.Request.Size
	}
	return 0
}

// Texts answers fields with texts.
func (s *subject) Texts(field string) []string {
	switch field {
	case "method":
		method, _, _ := s.request().Request()
		return []string{method}
	case "path":
		_, target, _ := s.request().Request()
		return []string{target}
	case "mode":
		return []string{s.q.Conn.Mode}
	case "mp":
		return []string{s.q.Conn.Upstream}
	case "tls":
		if h := s.q.Conn.AgentLeg.Handshake; h != nil && h.TLS != nil {
			return []string{strings.TrimPrefix(h.TLS.VersionName, "TLS ")}
		}
	case "dir":
		if s.q.Dir == traffic.Reply {
			return []string{"request", "reply"}
		}
		return []string{"request"}
	case "rule":
		return append(append([]string(nil), s.q.Exchange.Rules...), s.ruled...)
	case "tag":
		return s.tags
	case "code":
		return []string{s.q.Head.Get("BITS-Error"), s.q.Head.Get("BITS-Error-Code")}
	case "auth":
		return []string{s.proof()}
	}
	return s.meaning(field)
}

// request is the head of the request, in both directions.
func (s *subject) request() traffic.Head {
	if s.q.Dir == traffic.Request {
		return s.q.Head
	}
	return s.q.Exchange.Request.Head
}

// meaning answers what only a decoded message knows.
func (s *subject) meaning(field string) []string {
	var out []string
	if field == "agent" {
		out = append(out, s.q.Conn.Agent, host(s.q.Conn.Agent))
	}
	if field == "hex" || field == "wire" {
		return append(out, string(s.q.Head.Raw)+string(s.q.Body))
	}
	for _, m := range s.messages(fieldDepths[field]) {
		switch field {
		case "agent":
			out = append(out, m.Agent, m.Client)
		case "kind":
			out = append(out, m.Kind)
		case "endpoint":
			out = append(out, m.Endpoint)
		case "msgid":
			out = append(out, m.MsgID)
		case "corr":
			out = append(out, m.Corr)
		case "header":
			out = append(out, m.HeaderText.String)
		case "text":
			out = append(out, m.Text.String)
		case "finding":
			for _, f := range m.Findings {
				out = append(out, f.Kind.Code, f.Kind.Ref)
			}
		case "is":
			out = append(out, s.flags(m)...)
		case "":
			out = append(out, m.Short, m.Agent, m.Client, m.MsgID, m.Corr)
		}
	}
	return out
}

func (s *subject) flags(m *decode.Message) []string {
	var out []string
	if s.q.Exchange.TLS {
		out = append(out, "tls")
	}
	if m.Header != nil && m.Signature != "" && m.Signature != "none" {
		out = append(out, "signed")
	}
	if len(m.Attachments) > 0 {
		out = append(out, "attachment")
	}
	return out
}

// proof is what the agent has proved of itself, by the strongest means.
func (s *subject) proof() string {
	h := s.request()
	authorization := strings.ToLower(h.Get("Authorization"))
	_, target, _ := h.Request()
	switch {
	case hasClientCertificate(s.q.Conn):
		return "cert"
	case strings.HasPrefix(authorization, "negotiate"), strings.HasPrefix(authorization, "ntlm"):
		return "windows"
	case strings.Contains(strings.ToLower(target), "_tokenauth/"):
		return "token"
	}
	for _, m := range s.messages(decode.Summary) {
		if m.Dir == traffic.Request && m.Signature != "" && m.Signature != "none" {
			return "self"
		}
	}
	return "none"
}

func hasClientCertificate(c *traffic.Conn) bool {
	hs := c.AgentLeg.Handshake
	if hs == nil || hs.TLS == nil || len(hs.PeerCertificates) == 0 {
		return false
	}
	_, err := x509.ParseCertificate(hs.PeerCertificates[0])
	return err == nil
}

func host(address string) string {
	if i := strings.LastIndexByte(address, ':'); i >= 0 {
		return strings.Trim(address[:i], "[]")
	}
	return address
}
