package mpsim

import (
	"bytes"
	"net/http"
	"time"

	"mpproxy/internal/pki"
)

// Fault is something that goes wrong at a site.
type Fault struct {
	Name, Text string
	// apply changes an exchange before its reply is made, and says whether it
	// did: x.answer is the reply message's text, x.reply what is around it.
	// nil changes none.
	apply func(x *exchange) bool
	// certificate changes the site's server certificate before it is made; nil
	// leaves it as it is.
	certificate func(r *pki.IssueRequest)
}

// Faults lists what a site can be made to do wrong.
var Faults = []Fault{
	{Name: "status-500", Text: "every message and list query fails with status 500, as with a database that is down", apply: func(x *exchange) bool {
		if x.message == nil && x.record.Kind != "mplist" {
			return false
		}
		x.replace(page(http.StatusInternalServerError, "", "There is a problem with the resource you are looking for, and it cannot be displayed."))
		return true
	}},
	{Name: "empty-reply", Text: "messages that expect a reply get status 200 without a body, as if refused", apply: func(x *exchange) bool {
		if x.answer == "" {
			return false
		}
		x.replace(reply{})
		return true
	}},
	{Name: "reject-registration", Text: "registrations are refused (Status 3)", apply: func(x *exchange) bool {
		if x.answer == "" || x.record.Root != "ClientRegistrationRequest" {
			return false
		}
		x.answer = x.site.registrationResponse("", refused, "")
		return true
	}},
	{Name: "no-dp", Text: "content has no location: no distribution point for these boundaries", apply: func(x *exchange) bool {
		if x.record.Kind != "content-location" || x.answer == "" {
			return false
		}
		x.answer = x.site.contentLocations("")
		return true
	}},
	{Name: "html-policy", Text: "policy bodies are refused with an HTML page and status 200", apply: func(x *exchange) bool {
		if x.record.Kind != "policy-body" {
			return false
		}
		x.replace(reply{kind: "text/html", body: []byte(errorPage)})
		return true
	}},
	{Name: "changed-policy", Text: "policy bodies are not those whose hash the assignment names", apply: func(x *exchange) bool {
		if x.record.Kind != "policy-body" || len(x.reply.body) == 0 {
			return false
		}
		x.reply.body = bytes.Clone(x.reply.body)
		x.reply.body[len(x.reply.body)/2] ^= 1
		return true
	}},
	{Name: "unsigned-policy", Text: "policy assignments come without their signatures", apply: func(x *exchange) bool {
		if x.record.Kind != "policy" || x.answer == "" {
			return false
		}
		signature, _ := elementNamed(x.answer, "Signature")
		x.answer = without(x.answer, signature)
		return signature != ""
	}},
	{Name: "close-mid-reply", Text: "the connection closes in the middle of every reply message", apply: func(x *exchange) bool {
		x.reply.cut = x.answer != ""
		return x.reply.cut
	}},
	{Name: "slow", Text: "every answer waits five seconds", apply: func(x *exchange) bool {
		x.reply.delay = 5 * time.Second
		return true
	}},
	{Name: "expired-certificate", Text: "the server certificate ended yesterday (HTTPS)", certificate: func(r *pki.IssueRequest) {
		r.NotBefore, r.NotAfter = r.NotBefore.AddDate(-1, 0, 0), r.NotBefore
	}},
	{Name: "wrong-name", Text: "the server certificate is for another host (HTTPS)", certificate: func(r *pki.IssueRequest) {
		r.CommonName, r.DNSNames, r.IPs = "other.invalid", []string{"other.invalid"}, nil
	}},
}

// replace puts another reply in place of what the site would have said.
func (x *exchange) replace(r reply) { x.answer, x.reply = "", r }
