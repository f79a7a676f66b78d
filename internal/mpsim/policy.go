package mpsim

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The bits of PolicyFlags that the site uses (seen in public tools).
const (
	requiresAuth = 2
	secret       = 4
	compressed   = 64
)

// policy is one policy, its assignment included.
type policy struct {
	id, assignment, version, category string
	flags                             int
	text                              string
	// byHash makes the URL name the content instead of the version.
	byHash bool
	// changed decides whether a delta has it.
	changed time.Time
}

// tail is what follows the policy's id in its URL.
func (p *policy) tail(body []byte) string {
	if p.byHash {
		return "SHA256:" + sha256Hex(body)
	}
	return strings.ReplaceAll(p.version, ".", "_")
}

const instancePolicy = `
<?xml version="1.0"?>
<Policy PolicyID="{«id»}" PolicyVersion="«version»" PolicyType="Machine" PolicySource="SMS:«code»" SchemaVersion="1.00">
  <PolicyRule PolicyRuleID="{«rule»}"><PolicyAction PolicyActionType="WMI-XML"><slot name="instance"/></PolicyAction></PolicyRule>
</Policy>`

const (
	inventoryInstance = `<instance class="InventoryAction">
<property name="InventoryActionID" type="8"><value><![CDATA[{00000000-0000-0000-0000-000000000001}]]></value></property>
<property name="Enabled" type="11"><value><![CDATA[TRUE]]></value></property></instance>`
	updateInstance = `<instance class="CCM_UpdateSource">
<property name="ContentVersion" type="19"><value><![CDATA[38]]></value></property>
<property name="UniqueId" type="8"><value><![CDATA[{E1C7A5B2-0D94-4F38-8A6C-92B3F5D7E014}]]></value></property></instance>`
	accountInstance = `<instance class="CCM_NetworkAccessAccount">
<property name="SiteSettingsKey" type="19"><value><![CDATA[1]]></value></property>
<property name="NetworkAccessUsername" type="8" secret="1"><value><![CDATA[«user»]]></value></property>
<property name="NetworkAccessPassword" type="8" secret="1"><value><![CDATA[«password»]]></value></property></instance>`
	collectionText = `<?xml version="1.0"?><PolicyXML Compression="zlib" Version="1">«hex»</PolicyXML>`
)

// makePolicies invents the site's policies: one of each way in which a body can
// travel.
func (s *Site) makePolicies() []*policy {
	list := []*policy{
		{category: "InventoryAction", version: "12.00", text: inventoryInstance},
		{category: "UpdateSource", version: "1.00", text: updateInstance, byHash: true},
		{category: "NAAConfig", version: "3.00", flags: requiresAuth | secret, text: fill(accountInstance,
			"user", s.blob("user"), "password", s.blob("password"))},
		{category: "CollectionSettings", version: "7.00", flags: requiresAuth | compressed},
	}
	for _, p := range list {
		p.id = guid(s.cfg.Seed, "policy", p.category)
		p.assignment = guid(s.cfg.Seed, "assignment", p.category)
		p.changed = s.cfg.Now().Truncate(time.Millisecond)
		p.text = raw(fill(instancePolicy, s.names("id", p.id, "version", p.version,
			"rule", guid(s.cfg.Seed, "rule", p.category))...), "instance", compact(p.text))
		if p.flags&compressed != 0 {
			settings := `<CollectionSettings><CollectionID>` + s.cfg.Code + `00014</CollectionID></CollectionSettings>`
			p.text = fill(collectionText, "hex", upperHex(deflate(withBOM(settings))))
		}
	}
	return list
}

// blob looks like an obfuscated secret and holds none.
func (s *Site) blob(name string) string { return "89130000" + upperHex(noise(80, s.cfg.Seed, name)) }

// policyBytes is a policy's body as this client gets it. Native sites leave
// secrets to TLS.
func (s *Site) policyBytes(p *policy, id string) ([]byte, error) {
	if p.flags&secret == 0 || s.cfg.Native {
		return withBOM(p.text), nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.clients[plainID(id)]
	if !ok || c.encryption == nil {
		return nil, fmt.Errorf("client %s has no encryption certificate", id)
	}
	if body, ok := c.secrets[p.id]; ok {
		return body, nil
	}
	body, err := envelope(withNUL(p.text), c.encryption)
	if err == nil {
		c.secrets[p.id] = body
	}
	return body, err
}

type assignmentsRequest struct {
	RequestType    string `xml:"RequestType,attr"`
	Identification struct {
		Machine struct {
			ClientID, FQDN, NetBIOSName string
		}
	}
	PolicySource string
	ServerCookie string
}

const replyAssignments = `
<ReplyAssignments SchemaVersion="1.00" ReplyType="«type»">
  <Identification><Machine><ClientID>«client»</ClientID><FQDN>«fqdn»</FQDN><NetBIOSName>«name»</NetBIOSName><SID/></Machine></Identification>
  <PolicySource>«source»</PolicySource><Resource ResourceType="Machine"/><ServerCookie>«cookie»</ServerCookie>
  <slot name="signature"/><slot name="assignments"/>
</ReplyAssignments>`

const policyAssignment = `
<PolicyAssignment PolicyAssignmentID="{«assignment»}"><Condition/>
  <Policy PolicyID="{«id»}" PolicyVersion="«version»" PolicyType="Machine" PolicyCategory="«category»" PolicyFlags="«flags»">
    <PolicyLocation PolicyHash="SHA256:«hash»" PolicyHashEx="SHA256:«hash»"><![CDATA[http://<mp>/SMS_MP/.sms_pol?{«id»}.«tail»]]></PolicyLocation>
  </Policy>
</PolicyAssignment>`

const reference = `
<Reference PolicyAssignmentID="{«assignment»}">
  <SignatureAlgorithm AlgID="32780">` + sha256WithRSA + `</SignatureAlgorithm><SignatureValue>«value»</SignatureValue>
</Reference>`

const cookieLayout = "2006-01-02 15:04:05.000"

// assignments answers what changed since the cookie, or everything.
func (s *Site) assignments(x *exchange) string {
	var request assignmentsRequest
	if err := parse(x.message.text, &request); err != nil {
		return ""
	}
	since, err := time.Parse(cookieLayout, strings.TrimSpace(request.ServerCookie))
	kind := "Delta"
	if err != nil || !strings.EqualFold(request.RequestType, "OnUpdate") {
		kind, since = "Full", time.Time{}
	}
	var assignments, references strings.Builder
	for _, p := range s.policies {
		if !p.changed.After(since) {
			continue
		}
		text, signed, err := s.assignment(p, x.message.SourceID)
		if err != nil {
			return "" // no certificate to encrypt for: no policy
		}
		assignments.WriteString(text)
		references.WriteString(signed)
	}
	machine := request.Identification.Machine
	reply := fill(replyAssignments, "type", kind, "client", machine.ClientID, "fqdn", machine.FQDN,
		"name", machine.NetBIOSName, "source", request.PolicySource,
		"cookie", s.cfg.Now().UTC().Format(cookieLayout))
	if references.Len() > 0 {
		reply = raw(reply, "signature", "<Signature>"+references.String()+"</Signature>")
	}
	return raw(raw(reply, "signature", ""), "assignments", assignments.String())
}

// assignment is a policy's assignment for a client, and the reference that
// signs it. What exactly a real site signs is not published: here it is the
// element as written, in UTF-16LE.
func (s *Site) assignment(p *policy, id string) (text, signed string, err error) {
	body, err := s.policyBytes(p, id)
	if err != nil {
		return "", "", err
	}
	text = fill(policyAssignment, "assignment", p.assignment, "id", p.id, "version", p.version,
		"category", p.category, "flags", strconv.Itoa(p.flags), "hash", sha256Hex(body), "tail", p.tail(body))
	value, err := sign(s.signingKey(), toUTF16(text))
	if err != nil {
		return "", "", err
	}
	return text, fill(reference, "assignment", p.assignment, "value", value), nil
}

const errorPage = `<HTML><HEAD><TITLE>ERROR</TITLE></HEAD><BODY></BODY></HTML>`

// sendPolicy answers GET .sms_pol?{id}.version. Without the identity that a
// policy needs the answer is a page, with status 200.
func (s *Site) sendPolicy(x *exchange) {
	x.record.Kind = "policy-body"
	p := s.policyOf(x.query)
	if p == nil {
		x.reply = page(http.StatusNotFound, "", "File or directory not found.")
		return
	}
	id := ""
	if p.flags&(requiresAuth|secret) != 0 && !s.cfg.Native {
		var ok bool
		if id, ok = s.identify(x); !ok {
			x.reply = reply{kind: "text/html", body: []byte(errorPage)}
			return
		}
	}
	body, err := s.policyBytes(p, id)
	if err != nil {
		x.reply = reply{kind: "text/html", body: []byte(errorPage)}
		return
	}
	x.reply = reply{kind: "text/xml", body: body} // also for CMS: so do real sites
}

func (s *Site) policyOf(query string) *policy {
	query = strings.NewReplacer("%7B", "{", "%7b", "{", "%7D", "}", "%7d", "}").Replace(query)
	id, _, _ := strings.Cut(query, ".")
	for _, p := range s.policies {
		if strings.EqualFold(strings.Trim(id, "{}"), p.id) {
			return p
		}
	}
	return nil
}

// identify checks a request's signed token, of an agent or of the boot media
// kind.
func (s *Site) identify(x *exchange) (id string, ok bool) {
	h := x.http.Header
	token, signature := h.Get("ClientToken"), h.Get("ClientTokenSignature")
	if token == "" {
		token, signature = h.Get("CCMClientID"), h.Get("CCMClientIDSignature")
	}
	if token == "" || signature == "" {
		return "", false
	}
	id, _, _ = strings.Cut(token, ";")
	x.record.Client = id
	c, known := s.clientOf(id)
	switch {
	case !known:
		x.record.Signature = UnknownKey
	case verify(c.signing, withNUL(token), signature) || verify(c.signing, toUTF16(token), signature):
		x.record.Signature = Valid
	default:
		x.record.Signature = Invalid
	}
	return id, x.record.Signature == Valid && c.approved
}

const itemDocument = `
<ConfigurationItem Id="«id»" Version="200" Type="SoftwareUpdate" xmlns="http://schemas.lab.example/ci">
  <SdmTypeReference><ModelName>«id»</ModelName><PackageName>sdmpkg_«code»_0031</PackageName>
    <PackageVersion>200</PackageVersion><PackageHash>«hash»</PackageHash><PackageHashAlgorithm>32780</PackageHashAlgorithm>
  </SdmTypeReference>
  <IsBundle>false</IsBundle><IsEnabled>true</IsEnabled><IsExpired>false</IsExpired>
  <UpdateId>b7e03c5d-1a92-4f68-8c0e-6d4f92a3b715</UpdateId>
  <CISource><Id>{E1C7A5B2-0D94-4F38-8A6C-92B3F5D7E014}</Id><Version>38</Version></CISource>
  <Categories><Category Id="Product:7F53AB90-3D1C-4E08-B6A2-0C59D4E8F217" TypeName="Product">
    <Property Name="LocalizedName"><Value>Lab OS</Value></Property></Category></Categories>
  <Properties/>
</ConfigurationItem>`

// itemID is the configuration item that agents ask for.
const itemID = "Site_2A9F0C74-6B1D-4E35-9C80-D7E4F1B2A653/SUM_B7E03C5D-1A92-4F68-8C0E-6D4F92A3B715"

// sendDocument answers GET .sms_dcm?Id&DocumentId=…&Compression=zlib.
func (s *Site) sendDocument(x *exchange) {
	query := strings.ReplaceAll(x.query, "&amp;", "&")
	var document, compression string
	for _, argument := range strings.Split(query, "&") {
		name, value, _ := strings.Cut(argument, "=")
		switch strings.ToLower(name) {
		case "documentid":
			document = value
		case "compression":
			compression = value
		}
	}
	if !strings.HasPrefix(document, itemID) {
		x.reply = page(http.StatusNotFound, "", "File or directory not found.")
		return
	}
	x.record.Kind = "ci"
	body := withBOM(fill(itemDocument, s.names("id", itemID, "hash", sha256Hex([]byte(itemID)))...))
	if strings.EqualFold(compression, "zlib") {
		body = deflate(body)
	}
	x.reply = reply{kind: "application/octet-stream", body: bytes.Clone(body)}
}
