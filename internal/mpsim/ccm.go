package mpsim

import (
	"crypto/rsa"
	"strconv"
	"strings"
	"time"
)

// endpoint is one kind of message that the site takes.
type endpoint struct {
	name, root string
	// fileType tells the kinds of the relay endpoint apart.
	fileType string
	kind     string
	// signed takes messages only from approved agents who signed them.
	signed bool
	// answer is the text of the reply. nil takes the message and replies with
	// an empty 200, which is also what an empty text says.
	answer func(*Site, *exchange) string
}

// endpoints lists the messages of the management point. The names of the
// upload endpoint and of MP_StatusManager are inferred.
var endpoints = []endpoint{
	{name: "MP_ClientRegistration", root: "ClientRegistrationRequest", kind: "registration", answer: (*Site).register},
	{name: "MP_LocationManager", root: "SiteInformationRequest", kind: "site-information", answer: (*Site).siteInformation},
	{name: "MP_LocationManager", root: "AssignedSiteRequest", kind: "assigned-site", answer: (*Site).assignedSite},
	{name: "MP_LocationManager", root: "EnumerateMPLocationRequest", kind: "enumerate-mp", answer: (*Site).enumerateMPs},
	{name: "MP_LocationManager", root: "LocalMPLocationRequest", kind: "local-mp", answer: (*Site).localMPs},
	{name: "MP_LocationManager", root: "ContentLocationRequest", kind: "content-location", answer: (*Site).contentLocation},
	{name: "MP_LocationManager", root: "WSUSLocationRequest", kind: "wsus-location", answer: (*Site).wsusLocation},
	{name: "MP_PolicyManager", root: "RequestAssignments", kind: "policy", signed: true, answer: (*Site).assignments},
	{name: "MP_DdrEndpoint", root: "Report", kind: "ddr"},
	{name: "MP_HinvEndpoint", root: "Report", kind: "hinv"},
	{name: "MP_SinvEndpoint", root: "Report", kind: "sinv"},
	{name: "MP_SinvCollFileEndpoint", root: "Report", kind: "filecoll"},
	{name: "MP_RelayEndpoint", root: "Report", fileType: "SMX", kind: "state"},
	{name: "MP_RelayEndpoint", root: "Report", fileType: "SWM", kind: "metering"},
	{name: "MP_RelayEndpoint", root: "Report", fileType: "IDMIF", kind: "idmif"},
	{name: "MP_RelayEndpoint", root: "PeerDPDownloadStatus", fileType: "STA", kind: "peer-dp"},
	{name: "StatusReceiver", root: "Status", kind: "status"},
	{name: "MP_StatusManager", root: "Status", kind: "status"},
	{name: "MP_AppStateManager", root: "AppStateServicesRequest", kind: "app-state", answer: (*Site).appState},
	{name: "MP_DriverManager", root: "DriverCatalogRequest", kind: "drivers", answer: (*Site).drivers},
	{name: "MP_ClientIdManager", root: "ClientIDRequest", kind: "client-id", answer: (*Site).clientID},
	{name: "UploadManager", root: "UploadRequest", kind: "upload", answer: (*Site).uploadReply},
}

func endpointOf(m *message, root string) *endpoint {
	for i, e := range endpoints {
		if strings.EqualFold(e.name, m.TargetEndpoint) && e.root == root && (e.fileType == "" || e.fileType == m.fileType()) {
			return &endpoints[i]
		}
	}
	return nil
}

// ccm takes a message. What the site does not understand gets an empty 200, as
// management points answer.
func (s *Site) ccm(x *exchange) {
	m, err := parseMessage(x.http.Header.Get("Content-Type"), x.body)
	if err != nil {
		x.record.Text = err.Error()
		return
	}
	x.message = m
	r := &x.record
	r.Endpoint, r.MsgID, r.Client, r.Host = m.TargetEndpoint, m.ID, m.SourceID, m.SourceHost
	r.Text, r.Root = m.text, rootName(m.text)
	e := endpointOf(m, r.Root)
	if e == nil {
		return
	}
	r.Kind = e.kind
	r.Signature = s.check(m)
	r.Attachments = s.attachments(m)
	if e.answer != nil && (!e.signed || s.trusts(x)) {
		x.answer = e.answer(s, x)
	}
}

// check verifies a message's signatures with the key that its sender
// registered.
func (s *Site) check(m *message) Signature {
	signature := m.auth("PayloadSignature")
	if signature == "" {
		return Unsigned
	}
	c, ok := s.clientOf(m.SourceID)
	if !ok {
		return UnknownKey
	}
	if !verify(c.signing, m.sent, signature) || !goodID(c.signing, m) {
		return Invalid
	}
	return Valid
}

// goodID checks the signature of the sender's id, which some senders leave out.
func goodID(key *rsa.PublicKey, m *message) bool {
	signature := m.auth("ClientIDSignature")
	return signature == "" || verify(key, withNUL(m.SourceID), signature)
}

// trusts says whether the sender is approved and proved who it is. At a native
// site TLS is proof enough for an unsigned message.
func (s *Site) trusts(x *exchange) bool {
	c, ok := s.clientOf(x.message.SourceID)
	if !ok || !c.approved {
		return false
	}
	return x.record.Signature == Valid || s.cfg.Native && x.record.Signature == Unsigned
}

// attachments are a message's, wherever they came.
func (s *Site) attachments(m *message) []Upload {
	var list []Upload
	for _, a := range m.attachments {
		list = append(list, Upload{a.name, len(a.data), sha256Hex(a.data)})
	}
	if m.inline() || len(m.Attachments) == 0 {
		return list
	}
	// The payload was uploaded under the message's id (inferred).
	if data, ok := s.claim(m.ID); ok {
		list = append(list, Upload{m.Attachments[0].Name, len(data), sha256Hex(data)})
	}
	return list
}

const replyHeader = `
<Msg SchemaVersion="1.1"><ID>{«id»}</ID><SourceHost>«source»</SourceHost>
<TargetAddress>direct:«target»:«endpoint»</TargetAddress><ReplyTo>direct:«source»:reply</ReplyTo>
<CorrelationID>«correlation»</CorrelationID><Priority>3</Priority><Timeout>600</Timeout>
<TargetHost>«target»</TargetHost><TargetEndpoint>«endpoint»</TargetEndpoint>
<ReplyMode>Sync</ReplyMode><Protocol>http</Protocol><SentTime>«time»</SentTime>
<Body Type="ByteRange" Offset="0" Length="«length»"/><Hooks><slot name="hooks"/></Hooks><Payload Type="inline"/></Msg>`

// seal makes the reply message from its text. No reply header of a management
// point is published; this one mirrors a request's (inferred).
func (x *exchange) seal() {
	s, m := x.site, x.message
	p := pack(x.answer, nil)
	compressed := !strings.EqualFold(m.ReplyCompression, "none")
	sent, hooks := p.bytes, ""
	if compressed {
		sent, hooks = deflate(p.bytes), `<Hook3 Name="zlib-compress"/>`
	}
	target, endpoint := replyAddress(m)
	header := raw(fill(replyHeader,
		"id", guid(s.cfg.Seed, "reply", m.ID),
		"source", s.host(),
		"target", target,
		"endpoint", endpoint,
		"correlation", m.ID,
		"time", isoTime(s.cfg.Now()),
		"length", strconv.Itoa(p.body),
	), "hooks", hooks)
	x.record.Reply, x.record.ReplyText = rootName(x.answer), x.answer
	x.reply.kind = contentTypeCCM
	x.reply.body = multipart(header, sent, compressed)
}

// replyAddress is where the sender wants its reply: direct:host:endpoint.
func replyAddress(m *message) (host, endpoint string) {
	parts := strings.SplitN(m.ReplyTo, ":", 3)
	if len(parts) < 3 {
		return m.SourceHost, "SccmMessaging"
	}
	return parts[1], parts[2]
}

func isoTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// cimTime is WMI's form, the offset in minutes.
func cimTime(t time.Time) string { return t.UTC().Format("20060102150405.000000") + "+000" }
