package proxy

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"path"
	"strings"
	"time"

	"mpproxy/decode"
	"mpproxy/traffic"
)

// ClientCertificate says which agents a management point is to see with which
// certificate. Fields that are empty fit every agent.
type ClientCertificate struct {
	// Agent has the agent's address.
	Agent netip.Prefix
	// Subject is a pattern with * and ? for the subject of the certificate
	// that the agent has shown, as in "CN=PC-0412,*", or for its common name
	// alone. Case does not count.
	Subject string
	// Client is a pattern for the client id of the connection's first message,
	// as in "GUID:8F3C1A20-*".
	Client string
	// Certificate is shown; nil shows none.
	Certificate *tls.Certificate
}

// identity is the certificate to show to the management point for this agent,
// nil for none, and in words why this one.
func (c *connection) identity() (cert *tls.Certificate, why string) {
	u := c.s.Upstream
	for i := range u.Certificates {
		if row := &u.Certificates[i]; c.fits(row) {
			if row.Certificate == nil {
				return nil, "none, by the table of client certificates"
			}
			return row.Certificate, subjectOf(row.Certificate) + ", by the table of client certificates"
		}
	}
	switch {
	case u.Certificate == nil:
		return nil, "none, since mpproxy was given none"
	case u.OnlyForAgents && !c.agentHasCertificate():
		return nil, "none, since the agent has shown none"
	}
	return u.Certificate, subjectOf(u.Certificate)
}

func (c *connection) fits(row *ClientCertificate) bool {
	if row.Agent.IsValid() {
		at, err := netip.ParseAddrPort(c.facts.Agent)
		if err != nil || !row.Agent.Contains(at.Addr().Unmap()) {
			return false
		}
	}
	if row.Subject != "" && !c.agentIs(row.Subject) {
		return false
	}
	return row.Client == "" || like(row.Client, c.clientID)
}

// agentIs compares a pattern with the certificate that the agent has shown.
func (c *connection) agentIs(pattern string) bool {
	hs := c.facts.AgentLeg.Handshake
	if hs == nil {
		return false
	}
	leaf := leafOf(hs)
	return leaf != nil && (like(pattern, leaf.Subject.String()) || like(pattern, leaf.Subject.CommonName))
}

// like is true when a text fits a pattern with * and ?.
func like(pattern, text string) bool {
	// A slash is a letter like any other here, but not to package path.
	plain := strings.NewReplacer("/", "\x00", "[", `\[`, `\`, `\\`)
	ok, err := path.Match(plain.Replace(strings.ToLower(pattern)), strings.ReplaceAll(strings.ToLower(text), "/", "\x00"))
	return err == nil && ok
}

// subjectOf is who a certificate is of, in words.
func subjectOf(cert *tls.Certificate) string {
	leaf := cert.Leaf
	if leaf == nil && len(cert.Certificate) > 0 {
		leaf, _ = x509.ParseCertificate(cert.Certificate[0])
	}
	if leaf == nil {
		return "a certificate that cannot be read"
	}
	return leaf.Subject.String()
}

// clientWait is how long the first message's header is waited for when the
// table of client certificates asks for client ids.
const clientWait = 2 * time.Second

// learnClient finds out whose first message is at the front of the inbox, if
// the table of client certificates asks for that.
func (c *connection) learnClient() {
	asked := false
	for i := range c.s.Upstream.Certificates {
		asked = asked || c.s.Upstream.Certificates[i].Client != ""
	}
	if !asked {
		return
	}
	defer c.agent.tap.patience(clientWait)()
	in := &c.agent.in
	n, err := readHead(in, maybeRequest)
	if err != nil || n <= 0 {
		return
	}
	head := traffic.ParseHead(bytes.Clone(in.bytes()[:n]))
	fr, err := requestFraming(head)
	if err != nil {
		return
	}
	for {
		body := in.bytes()[n:]
		m := decode.Decode(decode.Source{
			Dir: traffic.Request, Head: head, Framing: fr.kind,
			Body: bytes.NewReader(body), Size: int64(len(body)),
		}, decode.Summary)
		rest := fr
		_, done, err := rest.take(body)
		if c.clientID = m.Client; c.clientID != "" || done || err != nil || len(body) >= maxHeaderPart {
			return
		}
		if in.more() != nil {
			return
		}
	}
}
