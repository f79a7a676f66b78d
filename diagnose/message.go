package diagnose

import (
	"crypto/sha256"
	"encoding/xml"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"mpproxy/decode"
	"mpproxy/traffic"
)

// Message is what the messages of one exchange say, as far as diagnoses need it.
type Message struct {
	// Kind is the kind of the request, ReplyKind that of its reply.
	Kind, ReplyKind string
	// Client is the agent's client id as written, Agent its name, Version the
	// version of its program, "" when the message does not say.
	Client, Agent, Version string
	// Sent is when the request was sent by its sender's clock, zero when it does
	// not say; Waits is true when the sender waits for the reply, and so sends
	// at once.
	Sent  time.Time
	Waits bool
	// Lints are what decode found in both messages.
	Lints []traffic.Finding
	// Registration is the Status of a registration's reply ("0" registered,
	// "1" pending, "2" send again, "3" refused), "" without.
	Registration string
	// Approval is the ApprovalStatus beside it.
	Approval string
	// Subject is the client id that a question for policy is about, ReplySubject
	// the one that its answer is about, "" where they do not say.
	Subject, ReplySubject string
	// Sites is how many sites a reply names by their codes.
	Sites int
	// ReportType and ReportVersion are a report's, ReportType in lower case.
	ReportType, ReportVersion string
	// Certificates are the certificate fields of a registration as written.
	Certificates []CertificateField
	// Signatures are the request's, checked at depth Full.
	Signatures []decode.Signature
	// Key is the key that a registration registers, nil without. HintClient is
	// the client id that its hint names, "" without a hint.
	Key        *decode.Key
	HintClient string
	// Recipients are those who can open the reply, nil when it is not
	// encrypted.
	Recipients []decode.Recipient
	// Packet is the request's packet of an upload, Ack the reply's.
	Packet, Ack *decode.Packet
	// Records is how many servers a location reply has records of, Places
	// those that a reply names: of lists of management points, locations and
	// policy.
	Records int
	Places  []Place
	// SiteCert and SiteKey are SHA-256 digests of the site's signing
	// certificate and of its key as the reply writes them, "" without. MPCert
	// is the same of the certificate of the management point MPName.
	SiteCert, SiteKey, MPCert, MPName string
	// ReplyRoot is the root element of the reply's text, ReplyForm is how the reply is wrapped, as decode says it: "page", "empty".
	ReplyRoot, ReplyForm string
	// Page is what an error page of the server says, its codes explained;
	// Substatus is the one of IIS that it names ("404.13"), Heading what it is
	// called. All are empty without.
	Page               []string
	Substatus, Heading string
	// verify checks the request's signatures with keys from elsewhere.
	verify func([]decode.Key) []decode.Signature
}

// CertificateField is a certificate in hex, in an element of a message.
type CertificateField struct{ Element, Hex string }

// MessageOf reads what the messages of an exchange say. The reply is nil when
// there was none.
func MessageOf(request, reply *decode.Message) *Message {
	if request == nil {
		return nil
	}
	m := &Message{
		Kind: request.Kind, Client: request.Client, Agent: request.Agent, Lints: request.Findings,
		Signatures: request.Signatures, Packet: request.Upload,
		Key: request.SigningKey(), HintClient: request.HintClient(), verify: request.VerifyWith,
	}
	if h := request.Header; h != nil {
		m.Sent, _ = time.Parse(time.RFC3339, h.SentTime)
		m.Waits = strings.EqualFold(h.ReplyMode, "Sync")
	}
	m.readRequest(request)
	if reply == nil {
		return m
	}
	m.ReplyKind, m.ReplyRoot, m.ReplyForm, m.Ack = reply.Kind, reply.Root, reply.Form, reply.Upload
	m.Lints = append(m.Lints[:len(m.Lints):len(m.Lints)], reply.Findings...)
	if reply.Envelope != nil {
		m.Recipients = reply.Envelope.Recipients
	}
	m.readReply(reply)
	return m
}

func (m *Message) readRequest(request *decode.Message) {
	text := request.Text.String
	if len(request.Attachments) > 0 && request.Root != "Report" && isReport(m.Kind) {
		text = decode.DecodeText(request.Attachments[0].Bytes).String
	}
	switch {
	case isRegistration(m.Kind):
		for e := range elements(text) {
			switch {
			case e.name == "AgentInformation":
				m.Version = e.attr("AgentVersion")
			case (e.name == "Signing" || e.name == "Encryption") && strings.TrimSpace(e.text) != "":
				m.Certificates = append(m.Certificates, CertificateField{e.name, strings.TrimSpace(e.text)})
			}
		}
	case m.Kind == "policy-request":
		for e := range elements(text) {
			if e.name == "ClientID" {
				m.Subject = strings.TrimSpace(e.text)
				return
			}
		}
	case isReport(m.Kind):
		in := false
		for e := range elements(text) {
			switch {
			case e.name == "ClientVersion":
				m.Version = strings.TrimSpace(e.text)
			case e.name == "ReportType":
				m.ReportType, in = strings.ToLower(strings.TrimSpace(e.text)), true
			case e.name == "Version" && in:
				m.ReportVersion = strings.TrimSpace(e.text)
			case e.name == "ReportHeader" || e.name == "Instance":
				return
			}
		}
	}
}

func (m *Message) readReply(reply *decode.Message) {
	m.readPage(reply)
	m.Places = placesOf(reply)
	for e := range elements(reply.Text.String) {
		switch {
		case e.name == "ClientRegistrationResponse":
			m.Registration, m.Approval = e.attr("Status"), e.attr("ApprovalStatus")
			if m.Client == "" {
				m.Client = e.attr("SMSID")
			}
		case e.name == "LocationRecord":
			m.Records++
		case e.name == "SiteCode" && strings.TrimSpace(e.text) != "":
			m.Sites++
		case e.name == "ClientID" && m.ReplyKind == "policy-reply" && m.ReplySubject == "":
			m.ReplySubject = strings.TrimSpace(e.text)
		case m.Kind == "site-cert" && strings.TrimSpace(e.text) != "" && m.SiteCert == "":
			m.SiteCert = digest(e.text)
		case m.Kind == "trusted-key" && strings.TrimSpace(e.text) != "" && m.SiteKey == "",
			m.Kind == "mp-key" && strings.EqualFold(e.name, "TrustedRootKey") && m.SiteKey == "":
			m.SiteKey = digest(e.text)
		case m.Kind == "mp-key" && strings.EqualFold(e.name, "MachineName"):
			m.MPName = strings.TrimSpace(e.text)
		case m.MPCert == "" && strings.TrimSpace(e.text) != "" && (m.Kind == "mp-key" && strings.EqualFold(e.name, "MPCertificate") ||
			m.Kind == "mp-cert" && (e.name == "Certificate" || e.name == "Certificate1")):
			m.MPCert = digest(e.text)
		}
	}
}

// digest is the SHA-256 of a value in hex, its case and spaces left out.
func digest(s string) string {
	d := sha256.Sum256([]byte(strings.ToUpper(strings.Join(strings.Fields(s), ""))))
	return fmt.Sprintf("%x", d)
}

func isRegistration(kind string) bool {
	return kind == "registration" || kind == "registration-confirm"
}

// isReport is true for the kinds whose reports are counted.
func isReport(kind string) bool { return kind == "hinv" || kind == "sinv" }

// lint is the first lint with this code, nil without.
func (m *Message) lint(code string) *traffic.Finding {
	for i := range m.Lints {
		if m.Lints[i].Kind.Code == code {
			return &m.Lints[i]
		}
	}
	return nil
}

// element is an XML element with its own text.
type element struct {
	name  string
	attrs []xml.Attr
	text  string
	raw   []byte // what text is made from
}

func (e *element) attr(name string) string {
	for _, a := range e.attrs {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// maxDepth is how deep elements are read.
const maxDepth = 200

// elements are a text's elements in the order of their ends, as far as it can
// be read.
func elements(text string) iter.Seq[element] {
	return func(yield func(element) bool) {
		d := xml.NewDecoder(strings.NewReader(text))
		d.Strict = false
		d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
		var open []element
		for {
			t, err := d.RawToken()
			if err != nil {
				return
			}
			switch t := t.(type) {
			case xml.StartElement:
				if len(open) == maxDepth {
					return
				}
				open = append(open, element{name: t.Name.Local, attrs: t.Attr})
			case xml.CharData:
				if n := len(open); n > 0 {
					open[n-1].raw = append(open[n-1].raw, t...)
				}
			case xml.EndElement:
				n := len(open)
				if n == 0 {
					return
				}
				e := open[n-1]
				e.text = string(e.raw)
				if !yield(e) {
					return
				}
				open = open[:n-1]
			}
		}
	}
}
