package decode

import (
	"strings"

	"mpproxy/traffic"
)

var registration = Kind{
	Slug: "registration", Name: "registration", Dir: traffic.Request,
	Endpoint: "MP_ClientRegistration", Root: "ClientRegistrationRequest", sum: sumRegistration,
}

var registrationConfirm = Kind{
	Slug: "registration-confirm", Name: "registration confirmation", Dir: traffic.Request,
	Endpoint: "MP_ClientRegistration", Root: "ClientRegistrationRequest", is: isConfirmation,
	sum: sumRegistration,
}

func isConfirmation(d *decoder) bool {
	s := d.scan()
	for i := 0; i < 4 && s.next(); i++ {
		if s.name == "Data" {
			return strings.HasPrefix(s.attr("RequestType"), "Confirmation")
		}
	}
	return false
}

// registrationData is what a registration request says about its sender.
type registrationData struct {
	id, name, fqdn, program, version, agentType, keyType, proxy string

	signed bool
}

func readRegistration(d *decoder) registrationData {
	var r registrationData
	s := d.scan()
	for s.next() {
		switch s.name {
		case "Data":
			r.id = s.attr("SMSID")
		case "AgentInformation":
			r.program, r.version = s.attr("AgentIdentity"), s.attr("AgentVersion")
			r.agentType = s.attr("AgentType")
		case "Signing":
			r.keyType = s.attr("KeyType")
		case "Signature":
			r.proxy = s.attr("SMSID")
		case "SignatureValue":
			r.signed = true
		case "Property":
			switch s.attr("Name") {
			case "Netbios Name":
				r.name = s.attr("Value")
			case "FQ Name":
				r.fqdn = s.attr("Value")
			}
		}
	}
	return r
}

// keyWords are the values of KeyType.
var keyWords = map[string]string{"1": "self-signed key", "2": "PKI key"}

func sumRegistration(d *decoder) (short, long string) {
	r := readRegistration(d)
	name := r.name
	if name == "" {
		name = r.fqdn
	}
	d.sender(name, r.id)
	if d.m.Signature == "" && r.signed {
		d.m.Signature = "registration"
	}
	if name == "" {
		name = d.agent()
	}
	agent := joined(" ", clip(r.program), clip(r.version))
	who := clip(name)
	if r.fqdn != "" && !strings.EqualFold(r.fqdn, name) {
		who += " (" + clip(r.fqdn) + ")"
	}
	if r.proxy != "" {
		by := "by proxy " + shortID(r.proxy)
		return joined(", ", by, agent), joined(", ", joined(" ", "register", clip(name), by), agent)
	}
	if d.kind.Slug == "registration-confirm" {
		id := joined(" ", "GUID", shortID(r.id))
		return id, joined(" ", "confirm registration of", clip(name), id)
	}
	return joined(", ", agent, keyWords[r.keyType]), joined(", ", joined(" ", "register", who), agent, keyWords[r.keyType])
}

var registrationReply = Kind{
	Slug: "registration-reply", Name: "registration reply", Dir: traffic.Reply,
	Endpoint: "ClientRegistration", Root: "ClientRegistrationResponse", sum: sumRegistrationReply,
}

// approvalWords are the values of ApprovalStatus.
var approvalWords = map[string]string{
	"-1": "NOT APPROVED", "0": "NOT APPROVED", "1": "approved", "2": "no approval needed", "3": "approved by Entra ID",
}

// registrationWords are the values of Status other than 0.
var registrationWords = map[string]string{
	"1": "pending", "2": "FAILED: send again", "3": "REFUSED", "4": "CERTIFICATE RESET",
}

func sumRegistrationReply(d *decoder) (short, long string) {
	s := d.scan()
	if !s.next() {
		return "", ""
	}
	state, id := s.attr("Status"), s.attr("SMSID")
	approval := approvalWords[s.attr("ApprovalStatus")]
	if d.m.Client == "" {
		d.m.Client = clipName(id)
	}
	if id != "" {
		id = ": GUID " + shortID(id)
	}
	switch word := registrationWords[state]; {
	case state == "0":
		short = approval
		if short == "" {
			short = "registered"
		}
		return short, joined(", ", "registered", approval) + id
	case word != "":
		return word, "registration " + word + id
	}
	return "status " + clip(state), "registration status " + clip(state) + id
}
