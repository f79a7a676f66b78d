package mpsim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

const registrationData = `
<Data HashAlgorithm="` + sha256WithRSA + `" SMSID="«id»" RequestType="«type»" TimeStamp="«isoTime»">
<AgentInformation AgentIdentity="CcmExec.exe" AgentVersion="5.00.9128.1007" AgentType="0"/>
<Certificates><slot name="certificates"/></Certificates>
<DiscoveryProperties>
<Property Name="Netbios Name" Value="«name»"/><Property Name="FQ Name" Value="«fqdn»"/>
<Property Name="Locale ID" Value="1033"/><Property Name="InternetFlag" Value="0"/>
</DiscoveryProperties></Data>`

// certificate says in what encoding a certificate of the registration is;
// KeyType 1 is self-signed, 2 of a PKI.
const certificate = `<«which» Encoding="HexBinary" KeyType="«type»">«hex»</«which»>`

// registrationText is a request of a type, signed over <Data> as written.
func (a *Agent) registrationText(kind string) (string, error) {
	certificates, keyType := "", "2"
	if a.encryption != nil {
		keyType = "1"
		certificates = fill(certificate, "which", "Encryption", "type", keyType, "hex", upperHex(a.encryption.Raw))
	}
	certificates += fill(certificate, "which", "Signing", "type", keyType, "hex", upperHex(a.signing.Raw))
	data := raw(fill(registrationData, a.names("type", kind)...), "certificates", certificates)
	signature, err := sign(a.key, toUTF16(data))
	if err != nil {
		return "", err
	}
	return "<ClientRegistrationRequest>" + data + "<Signature><SignatureValue>" + signature +
		"</SignatureValue></Signature></ClientRegistrationRequest>", nil
}

type registrationResponse struct {
	Status string `xml:"Status,attr"`
	SMSID  string `xml:"SMSID,attr"`
}

// register asks for a client id, and confirms while the site says "pending".
// Without a certificate of a PKI the path is the one with Windows
// authentication, as of domain machines that want to be approved.
func (a *Agent) register(ctx context.Context) error {
	path := windowsAuth
	if a.encryption == nil {
		path = system
	}
	response, err := a.sendRegistration(ctx, "registration", path, "Registration")
	if err != nil {
		return err
	}
	a.smsid = response.SMSID
	if response.Status == pending {
		if response, err = a.sendRegistration(ctx, "confirmation", path, "Confirmation"); err != nil {
			return err
		}
	}
	if response.Status != registered {
		a.smsid = ""
		return fmt.Errorf("the site answers status %s (1 pending, 2 send again, 3 refused)", response.Status)
	}
	return nil
}

func (a *Agent) sendRegistration(ctx context.Context, kind, path, requestType string) (registrationResponse, error) {
	var response registrationResponse
	text, err := a.registrationText(requestType)
	if err != nil {
		return response, err
	}
	answer, err := a.ask(ctx, kind, path, "ClientRegistrationResponse", outgoing{
		endpoint: "MP_ClientRegistration", queue: "ClientRegistration", sync: true, unsigned: true, text: text,
	})
	if err != nil {
		return response, err
	}
	return response, parse(answer, &response)
}

const requestAssignments = `
<RequestAssignments SchemaVersion="1.00" ACK="false" RequestType="«type»">
<Identification><Machine><ClientID>«id»</ClientID><FQDN>«fqdn»</FQDN><NetBIOSName>«name»</NetBIOSName><SID/></Machine><User/></Identification>
<PolicySource>SMS:«code»</PolicySource><Resource ResourceType="Machine"/><ServerCookie>«cookie»</ServerCookie>
</RequestAssignments>`

type assignmentList struct {
	ServerCookie string
	Signature    struct {
		Reference []struct {
			ID    string `xml:"PolicyAssignmentID,attr"`
			Value string `xml:"SignatureValue"`
		}
	}
	PolicyAssignment []struct {
		ID     string `xml:"PolicyAssignmentID,attr"`
		Policy struct {
			Flags    int `xml:"PolicyFlags,attr"`
			Location struct {
				Hash string `xml:"PolicyHash,attr"`
				URL  string `xml:",chardata"`
			} `xml:"PolicyLocation"`
		}
	}
}

// requestPolicy asks for what changed since the last time, at first for
// everything, checks the site's signatures and fetches each policy.
func (a *Agent) requestPolicy(ctx context.Context) error {
	kind := "Always"
	if a.cookie != "" {
		kind = "OnUpdate"
	}
	text, err := a.ask(ctx, "policy", system, "ReplyAssignments", outgoing{
		endpoint: "MP_PolicyManager", queue: "PolicyAgent_ReplyAssignments", sync: true,
		text: fill(requestAssignments, a.names("type", kind, "cookie", a.cookie)...),
	})
	if err != nil {
		return err
	}
	var list assignmentList
	if err := parse(text, &list); err != nil {
		return fmt.Errorf("policy assignments: %w", err)
	}
	if err := a.checkAssignments(text, list); err != nil {
		return err
	}
	for _, assignment := range list.PolicyAssignment {
		location := assignment.Policy.Location
		if err := a.fetchPolicy(ctx, location.URL, location.Hash, assignment.Policy.Flags); err != nil {
			return err
		}
	}
	a.cookie = list.ServerCookie
	return nil
}

var assignmentElement = regexp.MustCompile(`(?s)<PolicyAssignment PolicyAssignmentID="([^"]*)".*?</PolicyAssignment>`)

// checkAssignments verifies the site's signature of each assignment, as
// [Site.assignment] makes it.
func (a *Agent) checkAssignments(text string, list assignmentList) error {
	if a.siteKey == nil {
		return errors.New("policy cannot be checked: the site signing certificate is not known")
	}
	values := map[string]string{}
	for _, r := range list.Signature.Reference {
		values[r.ID] = r.Value
	}
	for _, match := range assignmentElement.FindAllStringSubmatch(text, -1) {
		if element, id := match[0], match[1]; !verify(a.siteKey, toUTF16(element), values[id]) {
			return fmt.Errorf("assignment %s is not signed by the site: refused", id)
		}
	}
	return nil
}

// fetchPolicy fetches a policy, with a signed token when its flags say so,
// checks its hash and looks into it.
func (a *Agent) fetchPolicy(ctx context.Context, location, hash string, flags int) error {
	target, err := pathOf(strings.Replace(location, "<mp>", a.link.host, 1))
	if err != nil {
		return err
	}
	var identity []field
	if flags&(requiresAuth|secret) != 0 {
		token := a.smsid + ";" + isoTime(a.cfg.Now()) + ";2"
		signature, err := sign(a.key, withNUL(token))
		if err != nil {
			return err
		}
		identity = []field{{"ClientToken", token}, {"ClientTokenSignature", signature}}
	}
	reply, err := a.get(ctx, "policy-body", target, bitsAgent, identity...)
	if err != nil {
		return err
	}
	body := reply.body
	if bytes.HasPrefix(body, []byte("<HTML")) {
		return fmt.Errorf("policy %s is refused with a page", target)
	}
	if got := "SHA256:" + sha256Hex(body); got != hash {
		return fmt.Errorf("policy %s has hash %s, the assignment says %s", target, got, hash)
	}
	if len(body) > 0 && body[0] == 0x30 {
		if body, err = openEnvelope(body, a.key); err != nil {
			return err
		}
	}
	if root := rootName(fromUTF16(body)); root != "Policy" && root != "PolicyXML" {
		return fmt.Errorf("policy %s has root <%s>", target, root)
	}
	return nil
}

// fetchItem fetches a configuration item, which comes as a zlib stream.
func (a *Agent) fetchItem(ctx context.Context) error {
	target := "/SMS_MP/.sms_dcm?Id&DocumentId=" + itemID + "/200/PROPERTIES&Hash=" + sha256Hex([]byte(itemID)) + "&Compression=zlib"
	reply, err := a.get(ctx, "ci", target, bitsAgent)
	if err != nil {
		return err
	}
	document, err := inflate(reply.body)
	if err != nil {
		return fmt.Errorf("configuration item: %w", err)
	}
	if root := rootName(fromUTF16(document)); root != "ConfigurationItem" {
		return fmt.Errorf("configuration item has root <%s>", root)
	}
	return nil
}
