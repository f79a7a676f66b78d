package capture

import (
	"fmt"
	"net"
	"strings"

	"mpproxy/decode"
	"mpproxy/traffic"
)

// openConn is a connection that is not closed, and what its messages said
// about the agent.
type openConn struct {
	traffic.Conn
	closed bool
	// told is true when a batch before had it.
	told bool
	// touched is true while it is in the batch.
	touched bool
	// name and client are the last that a message of it gave: downloads do not
	// say who asks.
	name, client string
	// certified is true when the agent has shown a client certificate.
	certified bool
	// agentTLS and upstreamTLS are the versions of the last handshakes.
	agentTLS, upstreamTLS string
}

// handshake learns from a handshake and lets go of its bytes: connections stay
// open for hours.
func (c *openConn) handshake(h *traffic.Handshake) {
	if h.Side == traffic.UpstreamSide {
		c.upstreamTLS = tlsVersion(h)
		return
	}
	c.agentTLS = tlsVersion(h)
	c.certified = c.certified || h.TLS != nil && len(h.PeerCertificates) > 0
}

// tlsVersion is a handshake's version as filters write it, "1.2"; empty when
// there is no TLS, or none was agreed on.
func tlsVersion(h *traffic.Handshake) string {
	if h == nil || h.TLS == nil {
		return ""
	}
	switch h.TLS.Version {
	case 0x0300:
		return "3.0"
	case 0x0301, 0x0302, 0x0303, 0x0304:
		return fmt.Sprintf("1.%d", h.TLS.Version-0x0301)
	}
	return strings.TrimPrefix(h.TLS.VersionName, "TLS ")
}

func (c *openConn) tlsOf(x *traffic.Exchange) string {
	switch {
	case !x.TLS:
		return ""
	case c.agentTLS == "":
		return "unknown"
	}
	return c.agentTLS
}

// auth is what the agent has proved with this exchange.
func (c *openConn) auth(x *traffic.Exchange, m *meaning) string {
	head := &x.Request.Head
	scheme, _, _ := strings.Cut(head.Get("Authorization"), " ")
	_, target, _ := head.Request()
	switch {
	case c.certified:
		return "cert"
	case strings.EqualFold(scheme, "Negotiate"), strings.EqualFold(scheme, "NTLM"), strings.EqualFold(scheme, "Kerberos"):
		return "windows"
	case scheme != "", strings.Contains(strings.ToLower(target), "_tokenauth"):
		return "token"
	case m.request != nil && m.request.signature != "", head.Get("ClientToken") != "", head.Get("CCMClientIDSignature") != "":
		return "self"
	}
	return "none"
}

// identify is the agent's name and client id as a message gives them, filled
// up with what the connection knows of the same agent.
func (c *openConn) identify(r decode.Row) (name, client string) {
	name, client = plain(r.Agent), clientID(plain(r.Client))
	switch {
	case name == "" && (client == "" || client == c.client):
		return c.name, c.client
	case client == "" && strings.EqualFold(name, c.name):
		return c.name, c.client
	}
	return name, client
}

// learn remembers whom the connection belongs to.
func (c *openConn) learn(r decode.Row) { c.name, c.client = c.identify(r) }

// clientID writes a client id in one way: messages have it with "GUID:", in
// braces, and bare.
func clientID(s string) string {
	bare := strings.Trim(s, "{}")
	if len(bare) > 5 && strings.EqualFold(bare[:5], "GUID:") {
		bare = bare[5:]
	}
	if len(bare) != 36 || strings.Count(bare, "-") != 4 {
		return s
	}
	return "GUID:" + strings.ToUpper(bare)
}

// key is the agent as far as the connection knows it.
func (c *openConn) key() agentKey {
	host, _, err := net.SplitHostPort(c.Agent)
	if err != nil {
		host = c.Agent
	}
	return agentKey{c.name, c.client, plain(host)}
}

// answered is the reply that the agent got: the management point's, or ours
// where it sent none.
func answered(x *traffic.Exchange) *traffic.Wire {
	if x.Reply.Size == 0 && x.Returned != nil {
		return x.Returned
	}
	return &x.Reply
}
