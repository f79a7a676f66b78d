package diagnose

import (
	"cmp"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"mpproxy/decode"
)

// Place is a server that a reply names.
type Place struct {
	Host string
	// Scheme is that of the URL in which it stands, or of a management point's
	// SSLState; "" when the reply does not say.
	Scheme string
	// SSLState is the property of that name as written, "" without. Its bits
	// other than 0 are not published.
	SSLState string
	// MP is true for a management point, Update for an update server.
	MP, Update bool
}

// maxPlaces is how many servers of one reply are kept.
const maxPlaces = 100

// naming are the kinds of requests whose replies tell agents where to go.
var naming = map[string]bool{
	"mp-list": true, "mp-locate": true, "mp-key": true, "location": true, "content-location": true, "wsus-location": true,
	"local-mp": true, "mp-location": true, "site-info": true, "assigned-site": true, "policy-request": true, "policy-body": true,
	"upload-request": true,
}

// placeNames are the elements whose attribute, or whose text where they have
// not got it, names a server.
var placeNames = map[string]struct {
	attr       string
	mp, update bool
}{
	"MP":               {attr: "FQDN", mp: true},
	"MPLocation":       {attr: "MP", mp: true},
	"IntranetName":     {attr: "Value", mp: true},
	"InternetName":     {attr: "Value", mp: true},
	"DefaultMP":        {mp: true},
	"ServerRemoteName": {},
	"URL":              {attr: "Name"},
	"Host":             {},
	"LocationRecord":   {attr: "WSUSURL", update: true},
	"PolicyLocation":   {},
	"value":            {}, // a property's, in the body of a policy
}

// mpNamed are the roots in which the element FQDN names a management point.
var mpNamed = map[string]bool{"MPList": true, "MPKEYINFORMATION": true}

// placesOf are the servers that a reply names, each once with each scheme.
func placesOf(reply *decode.Message) []Place {
	if reply.Root == "" {
		return nil
	}
	var out []Place
	begun, state := 0, "" // of the server at hand: its children end before it
	for e := range elements(reply.Text.String) {
		switch {
		case e.name == "Property" && e.attr("Name") == "SSLState":
			state = e.attr("Value")
		case e.name == "Property" && e.attr("Name") == "SSL" && e.attr("Version") == "1": // a cloud gateway
			state = "SSL"
		}
		n, known := placeNames[e.name]
		if e.name == "FQDN" && mpNamed[reply.Root] { // elsewhere it is the agent's
			n.mp, known = true, true
		}
		if known && len(out) < maxPlaces {
			text := cmp.Or(e.attr(n.attr), e.text)
			if e.name == "MP" && begun == len(out) && e.attr(n.attr) == "" {
				text = e.attr("Name") // without FQDN, as attribute or as element
			}
			if p, ok := placeIn(text, e.name == "value"); ok {
				p.MP, p.Update = n.mp || reply.Root == "LocalMPLocationReply", n.update
				out = append(out, p)
			}
		}
		if e.name == "MP" || e.name == "LocationRecord" {
			for i := begun; i < len(out); i++ {
				out[i].state(state)
			}
			begun, state = len(out), ""
		}
	}
	return out
}

// state takes a server's SSLState: 0 is plain HTTP alone.
func (p *Place) state(s string) {
	p.SSLState = s
	switch {
	case !p.MP || p.Scheme != "" || s == "":
	case s == "0":
		p.Scheme = "http"
	default:
		p.Scheme = "https"
	}
}

// placeIn reads a URL or a name. strict is for text that may be anything: a
// name has to look like one.
func placeIn(text string, strict bool) (Place, bool) {
	text = strings.TrimSpace(text)
	if strings.Contains(text, "://") {
		u, err := url.Parse(text)
		if err != nil || !isHostName(u.Hostname()) {
			return Place{}, false // policy writes <mp> for the one that was asked
		}
		return Place{Host: u.Hostname(), Scheme: strings.ToLower(u.Scheme)}, true
	}
	if strict {
		text, _, _ = strings.Cut(text, "/") // a gateway's name and path
	}
	if !isHostName(text) || strict && (strings.Count(text, ".") < 2 || !strings.ContainsAny(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")) {
		return Place{}, false
	}
	return Place{Host: text}, true
}

func isHostName(s string) bool {
	if s == "" || len(s) > 253 || strings.HasPrefix(s, ".") || strings.HasSuffix(s, ".") {
		return false
	}
	for _, c := range s {
		if c != '-' && c != '.' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}

// words is a server as a line of evidence.
func (p *Place) words() string {
	s := quote(p.Host)
	switch n, err := strconv.ParseUint(p.SSLState, 10, 32); {
	case p.SSLState == "SSL":
		return s + ", https (a cloud gateway)"
	case !p.MP && p.Scheme != "":
		return s + ", " + p.Scheme
	case err == nil && n == 0:
		return s + ", http (SSLState 0)"
	case err == nil:
		return s + fmt.Sprintf(", https (SSLState %d, binary %b)", n, n)
	}
	return s + ", scheme not said"
}

// lowerHost is a server's name as it is compared: without port, in lower case.
func lowerHost(name string) string {
	if host, _, err := net.SplitHostPort(name); err == nil {
		name = host
	}
	return strings.ToLower(strings.TrimSuffix(name, "."))
}
