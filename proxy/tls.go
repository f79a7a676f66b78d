package proxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"slices"
	"time"

	"mpproxy/traffic"
)

// recordHandshake is the first byte of every TLS connection (RFC 8446, 5.1).
const recordHandshake = 0x16

// isHello says whether a connection that begins with this byte is one of TLS,
// or of SSL 2, whose first byte has the length's top bit set.
func isHello(first byte) bool { return first == recordHandshake || first&0x80 != 0 }

// handshakeError says that TLS with the management point failed.
type handshakeError struct{ err error }

func (e *handshakeError) Error() string { return "TLS handshake: " + e.err.Error() }
func (e *handshakeError) Unwrap() error { return e.err }

// secureAgent is the server side of TLS with the agent, over conn.
func (c *connection) secureAgent(ctx context.Context, t Target, conn net.Conn) error {
	evidence, ok := conn.(*tap)
	if !ok {
		evidence = newTap(conn, c.s.Now)
	}
	c.keepRecords(evidence, traffic.AgentSide)
	evidence.keep()
	var own *tls.Certificate
	var peer [][]byte
	known := &secrets{log: c.keyLog(traffic.AgentSide)}
	cfg := &tls.Config{
		NextProtos:             []string{"http/1.1"},
		ClientAuth:             tls.RequestClientCert,
		SessionTicketsDisabled: !c.s.Resume,
		KeyLogWriter:           known,
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			cert, err := c.certificateFor(hello, c.routed(t, hello.ServerName))
			own = cert
			return cert, err
		},
		VerifyPeerCertificate: keepChain(&peer), //nolint:gosec // keeps what was shown, and checks nothing
	}
	c.l.Profile.apply(cfg)
	if c.s.Resume {
		cfg.SetSessionTicketKeys([][32]byte{c.s.tickets})
	}
	secure := tls.Server(evidence, cfg)
	hs := c.shake(ctx, secure, traffic.AgentSide, evidence)
	if hs.PeerCertificates == nil {
		hs.PeerCertificates = peer
	}
	if hs.Err != "" {
		known.explain(hs)
	}
	c.findOld(hs)
	if own != nil && answered(hs) {
		hs.OwnCertificates, hs.ClientCertAsked = own.Certificate, true
	}
	c.facts.AgentLeg.Handshake = c.tell(hs)
	if hs.Err != "" {
		c.failed(hs)
		return fmt.Errorf("TLS with agent %s: %s", c.facts.Agent, hs.Err)
	}
	c.agent = newTLSLink(secure, c.agent.tap, evidence)
	return nil
}

// answered is true once the server's hello has gone out, and with it all that
// the server has to show.
func answered(hs *traffic.Handshake) bool { return len(hs.Out) > 0 && hs.Out[0] == recordHandshake }

// keepChain keeps the chain of a peer whose handshake may still fail.
func keepChain(to *[][]byte) func([][]byte, [][]*x509.Certificate) error {
	return func(raw [][]byte, _ [][]*x509.Certificate) error {
		*to = raw
		return nil
	}
}

// tell gives a handshake to the Sink and returns what the connection keeps of
// it: without the raw bytes and the chains, of which thousands of idle
// connections would hold megabytes.
func (c *connection) tell(hs *traffic.Handshake) *traffic.Handshake {
	c.s.Sink.Take(traffic.HandshakeOver{Conn: c.facts.ID, Handshake: hs})
	kept := *hs
	kept.In, kept.Out, kept.InMarks, kept.OutMarks = nil, nil, nil, nil
	kept.OwnCertificates, kept.Asked, kept.OpenedIn, kept.OpenedOut = nil, nil, nil, nil
	kept.PeerCertificates = nil
	if len(hs.PeerCertificates) > 0 { // on its own, not within the bytes of its message
		kept.PeerCertificates = [][]byte{bytes.Clone(hs.PeerCertificates[0])}
	}
	return &kept
}

// failed makes an exchange of a handshake that an agent did not finish: the
// list has to show that somebody was here and could not get in.
func (c *connection) failed(hs *traffic.Handshake) {
	f := c.newFlight(traffic.Head{})
	f.Begun = hs.Began
	f.received(traffic.Request, hs.In)
	f.Request.Framing = traffic.NoFraming
	f.sent(traffic.Reply, hs.Out)
	c.s.refusals.add(c.facts.Agent)
	f.Returned.Framing = traffic.NoFraming
	words := whyNotIn(hs)
	why := found(&agentTLS, traffic.Both, words)
	why.Leg = traffic.AgentSide
	c.overAs(f, traffic.Broken, why, words)
}

// findOld notes that a leg speaks what a modern peer would refuse.
func (c *connection) findOld(hs *traffic.Handshake) {
	if hs.TLS == nil {
		return
	}
	if what := old(hs.TLS); what != "" {
		f := found(&oldTLS, traffic.Both, what)
		f.Leg = hs.Side
		c.facts.Findings = append(c.facts.Findings, f)
	}
}

// shake makes a handshake within the time allowed and keeps its evidence.
func (c *connection) shake(ctx context.Context, conn *tls.Conn, side traffic.Side, evidence *tap) *traffic.Handshake {
	hs := &traffic.Handshake{Side: side}
	ctx, cancel := context.WithTimeout(ctx, c.s.HandshakeTimeout)
	defer cancel()
	err := conn.HandshakeContext(ctx)
	hs.Ended = c.s.Now()
	if err != nil {
		hs.Err, hs.PeerCertificates = err.Error(), refusedChain(err)
		drainAlert(evidence)
	} else {
		state := conn.ConnectionState()
		hs.TLS, hs.PeerCertificates = tlsInfo(state), rawChain(state.PeerCertificates)
	}
	evidence.taken(hs)
	return hs
}

// drainAlert reads on for a moment after a failed handshake, since the peer's
// alert may still be on its way.
func drainAlert(t *tap) {
	_ = t.CloseWrite()
	_ = t.SetReadDeadline(time.Now().Add(lingerTime))
	var b [512]byte
	for {
		if _, err := t.Read(b[:]); err != nil {
			return
		}
	}
}

func tlsInfo(s tls.ConnectionState) *traffic.TLSInfo {
	return &traffic.TLSInfo{
		Version: s.Version, Suite: s.CipherSuite,
		VersionName: tls.VersionName(s.Version), SuiteName: tls.CipherSuiteName(s.CipherSuite),
		ServerName: s.ServerName, ALPN: s.NegotiatedProtocol, Resumed: s.DidResume,
	}
}

func rawChain(chain []*x509.Certificate) [][]byte {
	var out [][]byte
	for _, c := range chain {
		out = append(out, c.Raw)
	}
	return out
}

// certificateFor is what the agent is shown: the given certificate, or one
// minted for the name it asked for and those the management point is known by.
func (c *connection) certificateFor(hello *tls.ClientHelloInfo, t Target) (*tls.Certificate, error) {
	if c.l.Certificate != nil {
		return c.l.Certificate, nil
	}
	names := append([]string{hello.ServerName}, c.l.Names...)
	names = append(names, c.s.namesOf(t)...)
	if hello.ServerName == "" {
		host, _, _ := net.SplitHostPort(c.agent.tap.LocalAddr().String())
		names = append(names, t.Host, host)
	}
	names = slices.DeleteFunc(names, func(n string) bool { return n == "" })
	cert, err := c.s.Mint.Leaf(names, true)
	if err == nil && hello.SupportsCertificate(cert) == nil {
		return cert, nil
	}
	return c.s.Mint.Leaf(names, false)
}

// dial opens the leg to the management point, with TLS if the target wants it.
func (c *connection) dial(ctx context.Context, t Target) (*link, error) {
	c.facts.Upstream = net.JoinHostPort(t.Host, t.Port)
	c.facts.UpstreamLeg = traffic.Leg{Address: t.Dialed()}
	socket, err := c.s.Dial(ctx, "tcp", t.Dialed())
	if err != nil {
		c.facts.UpstreamLeg.End, c.facts.UpstreamLeg.EndedAt = traffic.EndRefused, c.s.Now()
		c.facts.UpstreamLeg.Err = err.Error()
		return nil, err
	}
	up := newTap(socket, c.s.Now)
	if !t.TLS {
		return newLink(up, up), nil
	}
	c.keepRecords(up, traffic.UpstreamSide)
	up.keep()
	secure, hs := c.secureUpstream(ctx, t, up)
	c.findOld(hs)
	c.checkName(hs)
	c.facts.UpstreamLeg.Handshake = c.tell(hs)
	if hs.Err != "" {
		c.up = newLink(up, up)
		return nil, &handshakeError{err: fmt.Errorf("%s", hs.Err)}
	}
	return newTLSLink(secure, up, up), nil
}

// secureUpstream is the client side of TLS with the management point.
func (c *connection) secureUpstream(ctx context.Context, t Target, up *tap) (*tls.Conn, *traffic.Handshake) {
	q := &certificateQuestion{c: c, up: up}
	var peer [][]byte
	known := &secrets{log: c.keyLog(traffic.UpstreamSide)}
	cfg := &tls.Config{
		ServerName:            t.Host,
		NextProtos:            []string{"http/1.1"},
		RootCAs:               c.s.Upstream.Roots,
		InsecureSkipVerify:    c.s.Upstream.Insecure, //nolint:gosec // asked for, and said on every connection
		MaxVersion:            c.s.Upstream.MaxVersion,
		Renegotiation:         tls.RenegotiateOnceAsClient,
		KeyLogWriter:          known,
		GetClientCertificate:  q.answer,
		VerifyPeerCertificate: keepChain(&peer), //nolint:gosec // keeps what was shown, and checks nothing
	}
	c.s.Upstream.Profile.apply(cfg)
	if c.s.Resume {
		cert, _ := c.identity()
		cfg.ClientSessionCache = c.s.sessions.of(t, cert)
	}
	secure := tls.Client(up, cfg)
	hs := c.shake(ctx, secure, traffic.UpstreamSide, up)
	q.over = true
	hs.ClientCertAsked, hs.Asked, hs.OwnCertificates = q.asked != nil, q.asked, q.shown
	if hs.TLS == nil {
		if hs.PeerCertificates == nil {
			hs.PeerCertificates = peer
		}
		known.explain(hs)
		return secure, hs
	}
	if leaf := leafOf(hs); leaf != nil {
		c.s.sawNames(t, namesIn(leaf))
	}
	if c.s.Upstream.Insecure {
		f := found(&upstreamUnverified, traffic.Both, t.String())
		f.Leg = traffic.UpstreamSide
		c.facts.Findings = append(c.facts.Findings, f)
	}
	return secure, hs
}

func (c *connection) agentHasCertificate() bool {
	hs := c.facts.AgentLeg.Handshake
	return hs != nil && hs.TLS != nil && len(hs.PeerCertificates) > 0
}

// apply lets a handshake reach down to old peers.
func (p Profile) apply(cfg *tls.Config) {
	if p != Legacy {
		return
	}
	cfg.MinVersion = tls.VersionTLS10
	for _, list := range [][]*tls.CipherSuite{tls.CipherSuites(), tls.InsecureCipherSuites()} {
		for _, suite := range list {
			cfg.CipherSuites = append(cfg.CipherSuites, suite.ID)
		}
	}
}

// old says what of a handshake no modern peer would agree on; "" for nothing.
func old(info *traffic.TLSInfo) string {
	if info.Version < tls.VersionTLS12 {
		return info.VersionName
	}
	for _, suite := range tls.InsecureCipherSuites() {
		if suite.ID == info.Suite {
			return info.SuiteName
		}
	}
	return ""
}

func leafOf(hs *traffic.Handshake) *x509.Certificate {
	if len(hs.PeerCertificates) == 0 {
		return nil
	}
	leaf, err := x509.ParseCertificate(hs.PeerCertificates[0])
	if err != nil {
		return nil
	}
	return leaf
}

// namesIn are the names a certificate is valid for.
func namesIn(c *x509.Certificate) []string {
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}
