package mpsim

import (
	"fmt"
	"strconv"
	"strings"
)

// outgoing is a message that an agent is about to send.
type outgoing struct {
	endpoint string
	// queue is the agent's local endpoint for the reply.
	queue string
	// sync expects a reply; the Windows agent asks for locations without.
	sync        bool
	text        string
	attachments []attachment
	// elsewhere is an attachment that was uploaded; its range follows the body.
	elsewhere *byteRange
	fileType  string
	unsigned  bool
	// plain leaves compression out, in both directions.
	plain bool
	id    string
}

// sealed is a message with everything that its header says.
type sealed struct {
	outgoing
	payload
	sent      []byte
	signature string
}

// seal compresses and signs, in this order.
func (a *Agent) seal(m outgoing) (sealed, error) {
	s := sealed{outgoing: m, payload: pack(m.text, m.attachments)}
	if m.elsewhere != nil {
		r := *m.elsewhere
		r.Offset = len(s.bytes)
		s.ranges = append(s.ranges, r)
	}
	s.sent = s.bytes
	if !m.plain {
		s.sent = deflate(s.bytes)
	}
	if m.unsigned || a.smsid == "" {
		s.unsigned = true
		return s, nil
	}
	var err error
	if a.idSignature == "" {
		if a.idSignature, err = sign(a.key, withNUL(a.smsid)); err != nil {
			return s, err
		}
	}
	s.signature, err = sign(a.key, s.sent)
	return s, err
}

// property is one of the clientauth hook's.
type property struct{ name, value string }

// clientAuth are the hook's properties in the library's order; the Windows
// agent has the payload's signature last.
func (a *Agent) clientAuth(s sealed) []property {
	capability := "NonSSL"
	if a.secure() {
		capability = "SSL"
	}
	list := []property{
		{"AuthSenderMachine", a.cfg.Name},
		{"PublicKey", upperHex(publicKeyBlob(&a.key.PublicKey))},
		{"ClientIDSignature", a.idSignature},
	}
	payload := property{"PayloadSignature", s.signature}
	rest := []property{{"ClientCapabilities", capability}, {"HashAlgorithm", sha256WithRSA}}
	if a.sdk {
		return append(append(list, payload), rest...)
	}
	return append(append(list, rest...), payload)
}

// header is the message's <Msg>, in one of the two known orders.
func (a *Agent) header(s sealed) string {
	if a.sdk {
		return a.libraryHeader(s)
	}
	return a.agentHeader(s)
}

// agentHeader is the Windows agent's: its own order, no space before />.
func (a *Agent) agentHeader(s sealed) string {
	var b strings.Builder
	if s.plain {
		b.WriteString(`<Msg ReplyCompression="none" SchemaVersion="1.1">`)
	} else {
		b.WriteString(`<Msg SchemaVersion="1.1">`)
	}
	put := func(name, value string) { fmt.Fprintf(&b, "<%s>%s</%s>", name, escape(value), name) }
	put("ID", s.id)
	if a.smsid != "" {
		put("SourceID", a.smsid)
	}
	put("SourceHost", a.cfg.Name)
	put("TargetAddress", "mp:[http]"+s.endpoint)
	put("ReplyTo", "direct:"+a.cfg.Name+":"+s.queue)
	put("CorrelationID", "{00000000-0000-0000-0000-000000000000}")
	put("Priority", "3")
	put("Timeout", "600")
	put("ReqVersion", "5931")
	put("TargetHost", a.link.host)
	put("TargetEndpoint", s.endpoint)
	put("ReplyMode", s.mode())
	put("Protocol", "http")
	put("SentTime", isoTime(a.cfg.Now()))
	fmt.Fprintf(&b, `<Body Type="ByteRange" Offset="0" Length="%d"/>`, s.body)
	for _, r := range s.ranges {
		fmt.Fprintf(&b, `<Attachment Name="%s" Type="%s" Offset="%d" Length="%d"/>`, escape(r.Name), r.Type, r.Offset, r.Length)
	}
	if s.fileType != "" {
		fmt.Fprintf(&b, `<Property Name="FileType" Value="%s"/>`, s.fileType)
	}
	b.WriteString("<Hooks>")
	if !s.plain {
		b.WriteString(`<Hook3 Name="zlib-compress"/>`)
	}
	b.WriteString(a.hook2(s))
	fmt.Fprintf(&b, `</Hooks><Payload Type="%s"/></Msg>`, s.payloadType())
	return b.String()
}

// libraryHeader is the vendor library's: elements in alphabetical order, a
// space before />.
func (a *Agent) libraryHeader(s sealed) string {
	var b strings.Builder
	compression, hook3 := "zlib", `<Hook3 Name="zlib-compress" />`
	if s.plain {
		compression, hook3 = "none", ""
	}
	put := func(name, value string) { fmt.Fprintf(&b, "<%s>%s</%s>", name, escape(value), name) }
	fmt.Fprintf(&b, `<Msg ReplyCompression="%s" SchemaVersion="1.1"><Body Type="ByteRange" Length="%d" Offset="0" />`, compression, s.body)
	for _, r := range s.ranges {
		fmt.Fprintf(&b, `<Attachment Type="%s" Name="%s" Length="%d" Offset="%d" />`, r.Type, escape(r.Name), r.Length, r.Offset)
	}
	put("CorrelationID", "{00000000-0000-0000-0000-000000000000}")
	b.WriteString("<Hooks>" + a.hook2(s) + hook3 + "</Hooks>")
	put("ID", s.id)
	fmt.Fprintf(&b, `<Payload Type="%s" />`, s.payloadType())
	put("Priority", "0")
	if s.fileType != "" {
		fmt.Fprintf(&b, `<Property Name="FileType" Value="%s" />`, s.fileType)
	}
	put("Protocol", "http")
	put("ReplyMode", s.mode())
	put("ReplyTo", "direct:"+a.cfg.Name+":"+s.queue)
	put("SentTime", isoTime(a.cfg.Now()))
	if a.smsid != "" {
		put("SourceID", a.smsid)
	}
	put("SourceHost", a.cfg.Name)
	put("TargetAddress", "mp:"+s.endpoint)
	put("TargetEndpoint", s.endpoint)
	put("TargetHost", a.link.host)
	put("Timeout", strconv.Itoa(60000))
	b.WriteString("</Msg>")
	return b.String()
}

func (a *Agent) hook2(s sealed) string {
	if s.unsigned {
		return ""
	}
	var b strings.Builder
	b.WriteString(`<Hook2 Name="clientauth">`)
	for _, p := range a.clientAuth(s) {
		fmt.Fprintf(&b, `<Property Name="%s">%s</Property>`, p.name, p.value)
	}
	b.WriteString("</Hook2>")
	return b.String()
}

func (s *sealed) mode() string {
	if s.sync {
		return "Sync"
	}
	return "Async"
}

// payloadType says where the attachments are. Of the library's values "http"
// is taken for an upload (inferred).
func (s *sealed) payloadType() string {
	if s.elsewhere != nil {
		return "http"
	}
	return "inline"
}
