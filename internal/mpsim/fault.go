package mpsim

import (
	"net/http"
	"time"
)

// Fault is something that goes wrong at a site.
type Fault struct {
	Name, Text string
	// apply changes an exchange before its reply is made, and says whether it
	// did: x.answer is the reply message's text, x.reply what is around it.
	apply func(x *exchange) bool
}

// Faults lists what a site can be made to do wrong.
var Faults = []Fault{
	{"status-500", "every message and list query fails with status 500, as with a database that is down", func(x *exchange) bool {
		if x.message == nil && x.record.Kind != "mplist" {
			return false
		}
		x.replace(page(http.StatusInternalServerError, "", "There is a problem with the resource you are looking for, and it cannot be displayed."))
		return true
	}},
	{"empty-reply", "messages that expect a reply get status 200 without a body, as if refused", func(x *exchange) bool {
		if x.answer == "" {
			return false
		}
		x.replace(reply{})
		return true
	}},
	{"reject-registration", "registrations are refused (Status 3)", func(x *exchange) bool {
		if x.answer == "" || x.record.Root != "ClientRegistrationRequest" {
			return false
		}
		x.answer = x.site.registrationResponse("", refused, "")
		return true
	}},
	{"no-dp", "content has no location: no distribution point for these boundaries", func(x *exchange) bool {
		if x.record.Kind != "content-location" || x.answer == "" {
			return false
		}
		x.answer = x.site.contentLocations("")
		return true
	}},
	{"html-policy", "policy bodies are refused with an HTML page and status 200", func(x *exchange) bool {
		if x.record.Kind != "policy-body" {
			return false
		}
		x.replace(reply{kind: "text/html", body: []byte(errorPage)})
		return true
	}},
	{"unsigned-policy", "policy assignments come without their signatures", func(x *exchange) bool {
		if x.record.Kind != "policy" || x.answer == "" {
			return false
		}
		signature, _ := elementNamed(x.answer, "Signature")
		x.answer = without(x.answer, signature)
		return signature != ""
	}},
	{"close-mid-reply", "the connection closes in the middle of every reply message", func(x *exchange) bool {
		x.reply.cut = x.answer != ""
		return x.reply.cut
	}},
	{"slow", "every answer waits five seconds", func(x *exchange) bool {
		x.reply.delay = 5 * time.Second
		return true
	}},
}

// replace puts another reply in place of what the site would have said.
func (x *exchange) replace(r reply) { x.answer, x.reply = "", r }
