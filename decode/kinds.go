package decode

import (
	"strings"

	"mpproxy/traffic"
)

// Kind is a type of message.
type Kind struct {
	// Slug names the kind in filters and files, Name in words.
	Slug, Name string
	// Dir is Both for kinds that are told by the URL alone.
	Dir traffic.Dir
	// Endpoint is where it usually goes; Root its root element. Empty when
	// neither tells the kind.
	Endpoint, Root string

	// is tells apart kinds that share a root; nil means that the root does.
	is func(*decoder) bool
	// sum makes the two summaries; it never fails.
	sum func(*decoder) (short, long string)
}

const kindOther = "other"

// kinds lists every kind of message, those first that are told by more than
// their root.
var kinds = []*Kind{
	&registrationConfirm, &registration, &registrationReply,
	&policyRequest, &policyReply, &policyBody, &policyXML,
	&contentLocation, &contentLocationReply, &wsusLocation, &wsusLocationReply,
	&localMP, &localMPReply, &enumerateMP, &enumerateMPReply,
	&siteInfo, &siteInfoReply, &siteInfoShort, &assignedSite, &assignedSiteReply,
	&updateSF, &tokenServices, &location, &locationReply,
	&heartbeat, &hinv, &sinv, &filecoll, &idmif, &fsp, &state, &metering, &peerDP, &relay, &report,
	&status,
	&appState, &appStateReply, &drivers, &driversReply, &clientID, &clientIDReply,
	&token, &uploadRequest, &uploadReply,
	&mpList, &mpCert, &mpCertOne, &mpKey, &trustedKey, &siteCert, &siteCertShort, &mpLocate, &affinity, &mpTrace, &mpQuery,
	&ciDocument, &dpContent, &dpSignature, &davList, &clientFile,
	&bgb, &tokenService, &userService, &cmgInfo, &multicast,
	&bitsPing, &bitsCreate, &bitsFragment, &bitsClose, &bitsCancel, &bitsAck, &bitsError,
	&encrypted, &accepted, &noAnswer, &pageReply, &httpError, &tlsBytes, &unknownMessage, &other,
}

// Kinds returns every kind of message, each slug once.
func Kinds() []Kind {
	var all []Kind
	seen := make(map[string]bool)
	for _, k := range kinds {
		if !seen[k.Slug] {
			seen[k.Slug] = true
			all = append(all, *k)
		}
	}
	return all
}

// name finds out what kind of message it is.
func (d *decoder) name() {
	m := d.m
	m.Root = d.root()
	d.kind = d.findKind()
	m.Kind = d.kind.Slug
}

// root is the local name of the root element of what the message is about.
func (d *decoder) root() string {
	s := scanner{src: d.m.Text.String}
	if !s.next() {
		return ""
	}
	for i := 0; s.name == "" && i < 4 && s.next(); i++ {
	}
	return clipName(s.name)
}

// findKind looks for the first kind that fits: by what the HTTP heads say
// where the text says nothing, then by root, then by endpoint.
func (d *decoder) findKind() *Kind {
	if k := d.kindOfHead(); k != nil {
		return k
	}
	m := d.m
	for _, k := range kinds {
		if k.Root == "" || k.Root != m.Root || k.Dir != traffic.Both && m.Dir != traffic.Both && k.Dir != m.Dir {
			continue
		}
		if k.is == nil || k.is(d) {
			return k
		}
	}
	switch {
	case strings.HasPrefix(m.Root, "Bgb"):
		return &bgb
	case m.Dir == traffic.Reply && d.Request != nil && d.Request.Kind == "client-id":
		return &clientIDReply
	}
	if k := d.kindOfURL(); k != nil {
		return k
	}
	return d.kindOfEndpoint()
}

// kindOfHead is the kind of what has no text of its own.
func (d *decoder) kindOfHead() *Kind {
	m := d.m
	switch {
	case d.isTLS():
		return &tlsBytes
	case m.Form == formBITS:
		return d.kindOfPacket()
	case m.Form == formPage:
		return d.kindOfPage()
	case m.Dir == traffic.Reply && m.Status >= 300:
		return &httpError
	case m.Form == formEmpty && m.Dir == traffic.Reply:
		return d.kindOfEmpty()
	case m.Dir == traffic.Reply && len(m.wire.multipart.parts) == 1:
		return &accepted // the answer NoReply: a header without a payload
	case m.Envelope != nil && m.wire.target.form != formGet:
		return &encrypted
	case m.wire.target.form == formGet || m.wire.target.kind != "" && m.Dir == traffic.Request:
		return d.kindOfURL()
	}
	return nil
}

// kindOfPage is what an HTML page means: refused policy keeps its kind.
func (d *decoder) kindOfPage() *Kind {
	if d.m.Status < 300 {
		if k := d.kindOfURL(); k == &policyBody {
			return k
		}
	}
	return &pageReply
}

// kindOfEmpty tells an empty answer that says yes from one that says nothing.
func (d *decoder) kindOfEmpty() *Kind {
	q := d.Request
	switch {
	case q == nil || q.Form != formCCM:
		if k := d.kindOfURL(); k != nil {
			return k
		}
		return &accepted
	case q.wantsReply():
		return &noAnswer
	}
	return &accepted
}

// wantsReply tells whether a message's sender waits for an answer: an empty
// one then means that something was wrong.
func (m *Message) wantsReply() bool {
	return m.Header != nil && strings.EqualFold(m.Header.ReplyMode, "Sync")
}

// kindOfURL is the kind that the URL tells, or nil.
func (d *decoder) kindOfURL() *Kind {
	t := d.m.wire.target
	slug := t.kind
	if t.form == formGet {
		slug = kindOfQuery(t)
	}
	if slug == "" {
		return nil
	}
	for _, k := range kinds {
		if k.Slug == slug {
			return k
		}
	}
	return nil
}

// kindOfEndpoint is the last resort for a message of an unknown root.
func (d *decoder) kindOfEndpoint() *Kind {
	m := d.m
	e := endpointOf(m.Endpoint)
	switch {
	case m.Form != formCCM:
		return &other
	case e == nil:
		return &unknownMessage
	}
	switch e.Family {
	case "location":
		return &location
	case "location reply":
		return &locationReply
	case "relay":
		return &relay
	case "token":
		return &token
	}
	if k := kindOfFamily[e.Family]; k != nil && m.Text.String == "" {
		return k
	}
	return &unknownMessage
}

// kindOfFamily are the kinds of endpoints that take one kind only: it names a
// message whose text cannot be read.
var kindOfFamily = map[string]*Kind{
	"policy": &policyRequest, "registration": &registration, "discovery": &heartbeat,
	"hardware inventory": &hinv, "software inventory": &sinv, "file collection": &filecoll,
	"status": &status, "application state": &appState, "driver catalogue": &drivers,
	"client lookup": &clientID, "upload": &uploadRequest,
	"policy reply": &policyReply, "registration reply": &registrationReply,
}

// summarize writes the two lines.
func (d *decoder) summarize() {
	m := d.m
	if m.Header != nil && m.wire.payload == nil && d.kind != &accepted {
		m.Short, m.Long = sumHeader(m.Header)
		return
	}
	m.Short, m.Long = d.kind.sum(d)
	if m.Long == "" {
		m.Long = joined(" ", m.Kind, d.agent(), m.Short)
	}
}

// sumHeader sums up a message of which there is only the header.
func sumHeader(h *Header) (short, long string) {
	signed := "unsigned"
	if h.Hook(hookAuth) != nil {
		signed = "signed"
	}
	fileType, attached := h.Property("FileType"), ""
	if fileType != "" {
		fileType = "FileType " + clip(fileType)
	}
	var size int64
	for _, a := range h.Attachments {
		size += min(a.Length, 1<<50)
	}
	if n := len(h.Attachments); n > 0 {
		attached = count(n, "attachment") + " " + sizeWords(size)
	}
	short = joined(", ", signed, strings.ToLower(clip(h.ReplyMode)), fileType, attached)
	return short, joined(", ", short, "to "+clip(h.TargetEndpoint))
}

// scan begins to read the text that the message is about: the attachment's
// where the text is a report's header only.
func (d *decoder) scan() scanner {
	if d.attachment != "" && d.m.Root == "Report" {
		return scanner{src: d.attachment}
	}
	return scanner{src: d.m.Text.String}
}

// sees tells whether scan goes over the whole text.
func (d *decoder) sees() bool {
	if d.attachment != "" && d.m.Root == "Report" {
		return d.attachmentWhole
	}
	return !d.m.Partial
}

// atLeast marks a number as a lower bound when not all was seen.
func (d *decoder) atLeast() string {
	if d.sees() {
		return ""
	}
	return "+"
}

// sender keeps a name and an id found in the text where the header had none.
func (d *decoder) sender(name, id string) {
	m := d.m
	if m.Dir == traffic.Reply {
		return
	}
	if m.Agent == "" {
		m.Agent = hostLabel(name)
	}
	if m.Client == "" {
		m.Client = clipName(id)
	}
}

// agent is the sender's name as a summary may show it.
func (d *decoder) agent() string { return clip(d.m.Agent) }
