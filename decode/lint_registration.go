package decode

import (
	"crypto/x509"
	"encoding/hex"
	"strings"

	"mpproxy/traffic"
)

// registrationStatus makes the test for an answer's Status.
func registrationStatus(code, meaning string) func(*checking) {
	return func(c *checking) {
		if c.m.Root != registrationReply.Root {
			return
		}
		s := c.scan()
		if s.next() && s.attr("Status") == code {
			c.found("text", int64(s.start), "Status is %s: %s", code, meaning)
		}
	}
}

var registrationPending = lint{
	kind: traffic.FindingKind{
		Code: "msg-registration-pending", Ref: "L501", Severity: traffic.Error,
		Title:  "The registration is pending",
		Why:    "No policy and no inventory until it is confirmed.",
		Remedy: "Wait and send a Confirmation; look at replication in the site's hierarchy.",
	},
	check: registrationStatus("1", "pending"),
}

var registrationFailed = lint{
	kind: traffic.FindingKind{
		Code: "msg-registration-again", Ref: "L502", Severity: traffic.Error,
		Title:  "The management point wants the registration again",
		Why:    "It could not process it; the client has no identity.",
		Remedy: "Send the registration again; see MP_RegistrationManager.log.",
	},
	check: registrationStatus("2", "not processed, send again"),
}

var registrationRefused = lint{
	kind: traffic.FindingKind{
		Code: "msg-registration-refused", Ref: "L503", Severity: traffic.Error,
		Title:  "The registration is refused",
		Why:    "HTTP says 200 all the same; the client has no identity.",
		Remedy: "Check certificate and site mode; see MP_RegistrationManager.log.",
	},
	check: registrationStatus("3", "refused"),
}

var notApproved = lint{
	kind: traffic.FindingKind{
		Code: "msg-not-approved", Ref: "L504", Severity: traffic.Warning,
		Title:  "The client is registered and not approved",
		Why:    "It gets no secrets at an HTTP site.",
		Remedy: "Approve the client, or let it register through /ccm_system_windowsauth.",
	},
	check: func(c *checking) {
		if c.m.Root != registrationReply.Root {
			return
		}
		s := c.scan()
		if !s.next() || s.attr("Status") != "0" {
			return
		}
		if a := s.attr("ApprovalStatus"); a == "0" || a == "-1" {
			c.found("text", int64(s.start), "ApprovalStatus is %s; expected 1, 2 or 3", a)
		}
	},
}

var certificateReset = lint{
	kind: traffic.FindingKind{
		Code: "msg-certificate-reset", Ref: "L505", Severity: traffic.Warning,
		Title:  "The management point asks for a new certificate",
		Why:    "The agent makes new keys and registers again.",
		Remedy: "Expect another registration; if they repeat, see ClientIDManagerStartup.log.",
	},
	check: registrationStatus("4", "certificate reset"),
}

// registrationDoc is the text of a registration request, or nil.
func (c *checking) registrationDoc() *document {
	if len(c.docs) == 0 || c.docs[0].root == nil || c.docs[0].root.name != registration.Root {
		return nil
	}
	return c.docs[0]
}

var noSigningCertificate = lint{
	kind: traffic.FindingKind{
		Code: "msg-signing-certificate", Ref: "L506", Severity: traffic.Error,
		Title:  "The registration has no usable signing certificate",
		Why:    "The management point refuses it.",
		Remedy: "Send a new certificate.",
	},
	depth: Full,
	check: func(c *checking) {
		d := c.registrationDoc()
		if d == nil {
			return
		}
		signing := d.root.find("Data", "Certificates", "Signing")
		if signing == nil {
			c.inText(d, d.root.find("Data", "Certificates"), "no Signing")
			return
		}
		der, err := hex.DecodeString(signing.text)
		if err != nil || !beginsDER(der) {
			c.inText(d, signing, "found %s; expected the hex of a certificate, 3082…", quoted(signing.text[:min(len(signing.text), 16)]))
			return
		}
		if cert, err := x509.ParseCertificate(der); err == nil && !c.Arrived.IsZero() {
			if c.Arrived.Before(cert.NotBefore) || c.Arrived.After(cert.NotAfter) {
				c.inText(d, signing, "valid from %s to %s", cert.NotBefore.Format("2006-01-02"), cert.NotAfter.Format("2006-01-02"))
			}
		}
	},
}

// beginsDER tells whether bytes begin as a certificate does: a SEQUENCE of
// some hundred bytes that begins with another. What is inside is judged by
// those who can verify it.
func beginsDER(der []byte) bool {
	return len(der) > 64 && der[0] == 0x30 && der[1] == 0x82 && der[4] == 0x30
}

var confirmationWithoutID = lint{
	kind: traffic.FindingKind{
		Code: "msg-registration-id", Ref: "L507", Severity: traffic.Warning,
		Title:  "SMSID does not fit the kind of registration",
		Why:    "A Confirmation is about an id that was given; a first Registration has none, or one to keep.",
		Remedy: "Send no id at Registration, and the GUID of the response at Confirmation.",
	},
	depth: Full,
	check: func(c *checking) {
		d := c.registrationDoc()
		if d == nil {
			return
		}
		data := d.root.child("Data")
		if data == nil {
			return
		}
		id := data.get("SMSID")
		switch confirm := strings.HasPrefix(data.get("RequestType"), "Confirmation"); {
		case confirm && id == "":
			c.inText(d, data, "Confirmation with an empty SMSID")
		case id != "" && !isGUID(bareID(id)):
			c.inText(d, data, "SMSID is %s; expected GUID: and a GUID", quoted(id))
		}
	},
}

var proxyUnnamed = lint{
	kind: traffic.FindingKind{
		Code: "msg-registration-proxy", Ref: "L508", Severity: traffic.Warning,
		Title:  "A proxy registers a client and does not name itself",
		Why:    "The management point cannot tell who signs.",
		Remedy: "Set SMSID at Signature to the proxy's id.",
	},
	depth: Full,
	check: func(c *checking) {
		d := c.registrationDoc()
		if d == nil {
			return
		}
		agent, signature := d.root.find("Data", "AgentInformation"), d.root.child("Signature")
		if agent != nil && agent.get("AgentType") == "8" && (signature == nil || signature.get("SMSID") == "") {
			c.inText(d, signature, "AgentType 8 without SMSID at Signature")
		}
	},
}

var nameless = lint{
	kind: traffic.FindingKind{
		Code: "msg-registration-name", Ref: "L509", Severity: traffic.Warning,
		Title:  "The registration does not say what the machine is called",
		Why:    "The site gets a record without a name.",
		Remedy: "Add the discovery properties Netbios Name and FQ Name.",
	},
	depth: Full,
	check: func(c *checking) {
		d := c.registrationDoc()
		if d == nil {
			return
		}
		properties := d.root.find("Data", "DiscoveryProperties")
		for _, name := range [...]string{"Netbios Name", "FQ Name"} {
			found := false
			properties.all("Property", func(n *node) { found = found || n.get("Name") == name && n.get("Value") != "" })
			if !found {
				c.inText(d, properties, "no property %s", name)
			}
		}
	},
}

var negotiating = lint{
	kind: traffic.FindingKind{
		Code: "http-negotiate", Ref: "L510", Severity: traffic.Info,
		Title:  "Windows authentication is under way",
		Why:    "A 401 comes first; the request is sent again on the same connection. Normal.",
		Remedy: "Nothing has to be done, unless no 200 follows.",
	},
	check: func(c *checking) {
		if c.isReply() && c.m.Status == 401 && c.m.wire.target.auth == "windows" {
			c.found("head", fieldAt(c.Head, "WWW-Authenticate"), "401 with %s", quoted(strings.Join(c.Head.Values("WWW-Authenticate"), ", ")))
		}
	},
}

// NotInCapture is the reason that mpproxy replay --serve gives with 404.
const NotInCapture = "Not in the capture"

var notInCapture = lint{
	kind: traffic.FindingKind{
		Code: "http-not-in-capture", Severity: traffic.Warning,
		Title:  "The capture that plays the management point has no answer to this request",
		Why:    "No captured exchange has its kind, endpoint, method and target.",
		Remedy: "Capture an agent that asks for it too, or look why this one does: mpproxy replay names the captured request that is nearest.",
	},
	check: func(c *checking) {
		if c.isReply() && c.m.Status == 404 && c.Head.Reason() == NotInCapture {
			c.found("head", 0, "answered by mpproxy replay --serve")
		}
	},
}

var toolAgent = lint{
	kind: traffic.FindingKind{
		Code: "msg-tool-agent", Ref: "L512", Severity: traffic.Info,
		Title:  "The registration names program and version that public tools send",
		Why:    "Tools that ask for policy without being an agent have this pair built in.",
		Remedy: "Look who that machine is.",
	},
	depth: Full,
	check: func(c *checking) {
		d := c.registrationDoc()
		if d == nil {
			return
		}
		agent := d.root.find("Data", "AgentInformation")
		if agent != nil && agent.get("AgentIdentity") == "CCMSetup.exe" && agent.get("AgentVersion") == "5.00.8325.0000" {
			c.inText(d, agent, "CCMSetup.exe 5.00.8325.0000")
		}
	},
}
