package doctor

import (
	"net/http"
	"strings"

	"mpproxy/diagnose"
	"mpproxy/traffic"
)

// answered is true when some question was answered with something that an agent
// can use.
func (p *probe) answered() bool {
	for _, r := range p.requests {
		if s := r.status(); s > 0 && s < http.StatusBadRequest {
			return true
		}
	}
	return false
}

// sentence says what an agent would meet, from the findings and the answers.
func (p *probe) sentence(groups []diagnose.Group) string {
	for i := range groups {
		g := &groups[i]
		if g.MootBy != "" || g.Example.Kind.Severity != traffic.Error {
			continue
		}
		switch g.Example.Kind.Code {
		case "upstream-untrusted":
			return "An agent would get in only where its computer trusts the root of this certificate, which is not known here; with --upstream-ca the rest can be judged."
		case "upstream-no-certificate":
			return "An agent without a client certificate would be refused; with --client-cert it is seen what one with a certificate meets."
		}
		return "An agent would " + p.stop() + ": " + lowerFirst(g.Example.Kind.Title) + "."
	}
	but := ""
	for i := range groups {
		if g := &groups[i]; but == "" && g.MootBy == "" && g.Example.Kind.Severity == traffic.Warning {
			but = lowerFirst(g.Example.Kind.Title)
		}
	}
	switch {
	case !p.stopped && p.answered():
	case but != "":
		return "An agent would not get in: " + but + "."
	default:
		return "An agent would not get in."
	}
	text := "An agent would get in over plain HTTP"
	if p.secure {
		text = "An agent whose computer trusts the certificate's root would get in"
		switch asked := p.asked(); {
		case asked != "" && p.Certificate == nil:
			text += " without a certificate, though one is " + asked
		case asked != "":
			text += " with a client certificate as the given one, which is " + asked
		default:
			text += "; it is never asked for a certificate"
		}
	}
	if len(p.mpList) > 0 {
		var names []string
		for _, m := range p.mpList[:min(len(p.mpList), 3)] {
			names = append(names, m.name)
		}
		text += ", and be sent to " + strings.Join(names, ", ")
	}
	if but != "" {
		text += "; but: " + but
	}
	return text + "."
}

// stop says how far an agent would come.
func (p *probe) stop() string {
	switch {
	case p.address == "":
		return "not even connect"
	case p.stopped:
		return "fail in the TLS handshake"
	}
	for _, r := range p.requests {
		if r.status() == http.StatusForbidden {
			return "be answered 403"
		}
	}
	return "meet this"
}

// asked says when a certificate is asked for, "" when it never is.
func (p *probe) asked() string {
	out := ""
	for _, r := range p.requests {
		switch a := r.attempt; {
		case a == nil:
		case a.later > 0:
			return "asked for by renegotiation"
		case a.asked > 0:
			out = "asked for in the handshake"
		}
	}
	return out
}

// lowerFirst is a title within a sentence. Names in capitals stay.
func lowerFirst(s string) string {
	if len(s) > 1 && s[1] >= 'a' && s[1] <= 'z' {
		return strings.ToLower(s[:1]) + s[1:]
	}
	return s
}
