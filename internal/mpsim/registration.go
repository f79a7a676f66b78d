package mpsim

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// The states of a registration, as ClientRegistrationResponse/@Status says them.
const (
	registered = "0"
	pending    = "1"
	sendAgain  = "2"
	refused    = "3"
)

// clientLimit bounds the agents that a site knows.
const clientLimit = 50_000

type registrationRequest struct {
	Data struct {
		RequestType  string `xml:"RequestType,attr"`
		SMSID        string `xml:"SMSID,attr"`
		Certificates struct {
			Signing    string
			Encryption string
		}
		DiscoveryProperties struct {
			Property []msgProperty
		}
	}
	Signature struct {
		SignatureValue string
	}
}

func (r *registrationRequest) property(name string) string {
	for _, p := range r.Data.DiscoveryProperties.Property {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}

// register answers a registration and its confirmation.
func (s *Site) register(x *exchange) string {
	request, candidate, err := readRegistration(x.message.text)
	if request.Data.RequestType == "Confirmation" {
		x.record.Kind = "confirmation"
	}
	if err != nil {
		x.record.Signature = Invalid
		return s.registrationResponse(request.Data.RequestType, refused, "")
	}
	x.record.Signature = Valid
	status, smsid := s.admit(request, candidate)
	x.record.Client = smsid
	return s.registrationResponse(request.Data.RequestType, status, smsid)
}

// readRegistration reads a request and checks its own signature, over <Data> as
// written, with the certificate that it carries.
func readRegistration(text string) (request registrationRequest, c *client, err error) {
	if err := parse(text, &request); err != nil {
		return request, nil, fmt.Errorf("read registration: %w", err)
	}
	signing, err := hexCertificate(request.Data.Certificates.Signing)
	if err != nil {
		return request, nil, fmt.Errorf("signing certificate: %w", err)
	}
	key, ok := signing.PublicKey.(*rsa.PublicKey)
	if !ok {
		return request, nil, fmt.Errorf("signing certificate: the key is a %T", signing.PublicKey)
	}
	data, ok := element(text, "Data")
	if !ok || !verify(key, toUTF16(data), strings.TrimSpace(request.Signature.SignatureValue)) {
		return request, nil, errors.New("the signature does not fit <Data>")
	}
	c = &client{name: request.property("Netbios Name"), signing: key, secrets: map[string][]byte{}}
	if request.Data.Certificates.Encryption != "" {
		if c.encryption, err = hexCertificate(request.Data.Certificates.Encryption); err != nil {
			return request, nil, fmt.Errorf("encryption certificate: %w", err)
		}
	}
	return request, c, nil
}

// element is the text from <name to </name>, byte for byte.
func element(text, name string) (string, bool) {
	from := strings.Index(text, "<"+name+" ")
	end := "</" + name + ">"
	to := strings.Index(text, end)
	if from < 0 || to < from {
		return "", false
	}
	return text[from : to+len(end)], true
}

func hexCertificate(text string) (*x509.Certificate, error) {
	der, err := hex.DecodeString(strings.TrimSpace(text))
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// admit decides about an agent whose request is in order.
func (s *Site) admit(request registrationRequest, c *client) (status, smsid string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if request.Data.RequestType == "Confirmation" {
		known, ok := s.clients[plainID(request.Data.SMSID)]
		if !ok || !known.signing.Equal(c.signing) {
			return sendAgain, ""
		}
		known.approved = true
		return registered, known.smsid
	}
	c.smsid = "GUID:" + or(plainID(request.Data.SMSID), guid(s.cfg.Seed, "smsid", c.name))
	c.approved = !s.cfg.TwoStep
	if len(s.clients) >= clientLimit {
		return sendAgain, ""
	}
	s.clients[plainID(c.smsid)] = c
	if !c.approved {
		return pending, c.smsid
	}
	return registered, c.smsid
}

func (s *Site) registrationResponse(kind, status, smsid string) string {
	response := fill(`<ClientRegistrationResponse ResponseType="«type»" TimeStamp="«time»" Status="«status»"`,
		"type", or(kind, "Registration"), "time", isoTime(s.cfg.Now()), "status", status)
	switch status {
	case registered:
		response += ` SMSID="` + smsid + `" ApprovalStatus="1"`
	case pending:
		response += ` SMSID="` + smsid + `" ApprovalStatus="0"`
	}
	return response + "/>"
}
