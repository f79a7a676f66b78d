package doctor

import (
	"context"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"mpproxy/internal/tlsrecord"
	"mpproxy/traffic"
)

// tap keeps the first bytes of a connection, as evidence.
type tap struct {
	net.Conn
	mu      sync.Mutex
	in, out []byte
}

func (t *tap) Read(b []byte) (int, error) {
	n, err := t.Conn.Read(b)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.in = append(t.in, b[:min(n, traffic.HandshakeLimit-len(t.in))]...)
	return n, err
}

func (t *tap) Write(b []byte) (int, error) {
	n, err := t.Conn.Write(b)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.out = append(t.out, b[:min(n, traffic.HandshakeLimit-len(t.out))]...)
	return n, err
}

// taken is what was kept so far.
func (t *tap) taken() (in, out []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]byte(nil), t.in...), append([]byte(nil), t.out...)
}

// dial opens a connection that ends by itself when its time is over.
func (p *probe) dial(ctx context.Context, address string) (*tap, error) {
	d := net.Dialer{Timeout: p.Timeout}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(p.Timeout)); err != nil {
		conn.Close()
		return nil, fmt.Errorf("set a time limit: %w", err)
	}
	return &tap{Conn: conn}, nil
}

// attempt is one TLS connection to the management point.
type attempt struct {
	tap   *tap
	tls   *tls.Conn
	hs    *traffic.Handshake
	begun time.Time
	// asked counts requests for a client certificate; later how many of them
	// came after the first handshake. hints are the authorities named.
	asked, later int
	hints        [][]byte
	shown        [][]byte
	over         bool  // the first handshake
	err          error // of the first handshake
}

// shake connects and makes a handshake. The error is only for no connection.
func (p *probe) shake(ctx context.Context, cfg *tls.Config, cert *tls.Certificate) (*attempt, error) {
	conn, err := p.dial(ctx, p.address)
	if err != nil {
		return nil, err
	}
	a := &attempt{tap: conn, begun: p.Now()}
	cfg.ServerName, cfg.NextProtos, cfg.Renegotiation = p.host, []string{"http/1.1"}, tls.RenegotiateOnceAsClient
	cfg.GetClientCertificate = func(r *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		a.asked++
		if a.over {
			a.later++
		}
		a.hints = r.AcceptableCAs
		if cert == nil {
			return &tls.Certificate{}, nil
		}
		a.shown = cert.Certificate
		return cert, nil
	}
	var secrets tlsrecord.Secrets
	cfg.KeyLogWriter = &secrets
	a.tls = tls.Client(conn, cfg)
	a.hs = &traffic.Handshake{Side: traffic.UpstreamSide, Began: a.begun}
	if a.err = a.tls.HandshakeContext(ctx); a.err != nil {
		a.hs.Err = a.err.Error()
	} else {
		a.over = true
		state := a.tls.ConnectionState()
		a.hs.TLS = tlsInfo(state)
		for _, x := range state.PeerCertificates {
			a.hs.PeerCertificates = append(a.hs.PeerCertificates, x.Raw)
		}
	}
	a.hs.Ended = p.Now()
	a.settle()
	if a.err != nil {
		a.hs.OpenedOut, a.hs.OpenedIn = secrets.Open(a.hs.Out, a.hs.In)
	}
	return a, nil
}

// settle brings the handshake's record up to date with what came since.
func (a *attempt) settle() {
	a.hs.In, a.hs.Out = a.tap.taken()
	a.hs.ClientCertAsked, a.hs.OwnCertificates = a.asked > 0, a.shown
}

// conn is the attempt as evidence.
func (a *attempt) conn(p *probe) *traffic.Conn {
	a.settle()
	c := p.newConn()
	c.Opened = a.begun
	c.UpstreamLeg = traffic.Leg{Address: p.address, Handshake: a.hs, End: traffic.EndProxy, EndedAt: p.Now(), BytesIn: int64(len(a.hs.In)), BytesOut: int64(len(a.hs.Out))}
	return c
}

func tlsInfo(s tls.ConnectionState) *traffic.TLSInfo {
	return &traffic.TLSInfo{
		Version: s.Version, Suite: s.CipherSuite, VersionName: tls.VersionName(s.Version), SuiteName: tls.CipherSuiteName(s.CipherSuite),
		ServerName: s.ServerName, ALPN: s.NegotiatedProtocol,
	}
}

// lenient takes what anybody speaks, to look at it.
func lenient(from, to uint16) *tls.Config {
	cfg := &tls.Config{MinVersion: from, MaxVersion: to, InsecureSkipVerify: true} //nolint:gosec // a probe looks at what others would refuse, and sends no secret
	for _, list := range [][]*tls.CipherSuite{tls.CipherSuites(), tls.InsecureCipherSuites()} {
		for _, suite := range list {
			cfg.CipherSuites = append(cfg.CipherSuites, suite.ID)
		}
	}
	return cfg
}

// versions tries each version of TLS.
func (p *probe) versions(ctx context.Context) {
	var taken, refused []string
	modern := false
	for _, v := range []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13} {
		a, err := p.shake(ctx, lenient(v, v), p.Certificate)
		if err != nil {
			refused = append(refused, fmt.Sprintf("%s (%v)", tls.VersionName(v), err))
			continue
		}
		a.tap.Close()
		if len(a.hs.In) == 0 && errors.Is(a.err, os.ErrDeadlineExceeded) {
			p.add(Bad, "TLS", "no answer to a ClientHello within %s", p.Timeout)
			return // nor to the next one
		}
		hello := tlsrecord.Parse(a.hs.Out, a.hs.In).ServerHello()
		if a.hs.TLS == nil && hello == nil {
			refused = append(refused, fmt.Sprintf("%s (%s)", tls.VersionName(v), a.hs.Err))
			continue
		}
		taken = append(taken, tls.VersionName(v))
		modern = modern || v >= tls.VersionTLS12
		if p.min == 0 {
			p.min = v
		}
		if p.max = v; v == tls.VersionTLS13 && p.min < tls.VersionTLS13 {
			p.max = tls.VersionTLS12 // as IIS wants it, to ask for a certificate later
		}
	}
	if len(taken) > 0 {
		p.add(goodIf(modern), "TLS", "takes %s", strings.Join(taken, ", "))
	}
	if len(refused) > 0 {
		p.add(Note, "TLS", "refuses %s", strings.Join(refused, ", "))
	}
}

// handshake makes the handshake that mpproxy would make, and one that looks at
// the certificate when that one fails.
func (p *probe) handshake(ctx context.Context) {
	limit := uint16(tls.VersionTLS12)
	if p.min == tls.VersionTLS13 {
		limit = tls.VersionTLS13
	}
	p.max = limit
	a, err := p.shake(ctx, &tls.Config{RootCAs: p.Roots, MaxVersion: limit, MinVersion: tls.VersionTLS12}, p.Certificate)
	if err != nil {
		p.main = &attempt{tap: &tap{}, hs: &traffic.Handshake{Side: traffic.UpstreamSide, Began: p.Now(), Err: err.Error()}}
		p.add(Bad, "handshake", "%v", err)
		return
	}
	defer a.tap.Close()
	p.main = a
	info := a.hs.TLS
	if info == nil {
		p.add(Bad, "handshake", "%s", a.hs.Err)
		if len(a.hs.In) == 0 {
			return
		}
		var second [][]byte
		if again, err := p.shake(ctx, lenient(tls.VersionTLS10, limit), p.Certificate); err == nil {
			again.tap.Close()
			info, second = again.hs.TLS, again.hs.PeerCertificates
		}
		if info != nil {
			p.add(Note, "handshake", "with any version, and without looking at the certificate, it works: %s, %s", info.VersionName, info.SuiteName)
			p.chain = second
		}
		return
	}
	p.add(Good, "handshake", "%s, %s, in %s", info.VersionName, info.SuiteName, ms(a.hs.Ended.Sub(a.hs.Began)))
	p.chain = a.hs.PeerCertificates
}

// judgeChain says what the chain is.
func (p *probe) judgeChain() {
	now := p.Now()
	var all []*x509.Certificate
	for i, der := range p.chain {
		x, err := x509.ParseCertificate(der)
		if err != nil {
			p.add(Bad, "certificate", "%d: cannot be read: %v", i+1, err)
			continue
		}
		all = append(all, x)
		inForce := !now.Before(x.NotBefore) && !now.After(x.NotAfter)
		p.add(goodIf(inForce), "certificate", "%d: %s, by %s, %s to %s", i+1, x.Subject, x.Issuer, day(x.NotBefore), day(x.NotAfter))
	}
	if len(all) == 0 {
		return
	}
	leaf := all[0]
	name := p.host
	if net.ParseIP(name) != nil {
		name = "[" + name + "]"
	}
	p.add(goodIf(leaf.VerifyHostname(name) == nil), "names", "%s was asked for; the certificate has %s", p.host, strings.Join(names(leaf), ", "))
	pool := x509.NewCertPool()
	for _, x := range all[1:] {
		pool.AddCert(x)
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: p.Roots, Intermediates: pool, CurrentTime: now})
	if err != nil {
		p.add(Bad, "chain", "%v", err)
		return
	}
	p.add(Good, "chain", "leads to a root that is trusted here")
}

// clientLine says whether the given client certificate is as agents' have to be.
func (p *probe) clientLine() {
	if p.Certificate == nil {
		return
	}
	x, err := x509.ParseCertificate(p.Certificate.Certificate[0])
	if err != nil {
		p.add(Bad, "own cert", "cannot be read: %v", err)
		return
	}
	var faults []string
	fault := func(is bool, what string) {
		if is {
			faults = append(faults, what)
		}
	}
	now := p.Now()
	fault(now.Before(x.NotBefore) || now.After(x.NotAfter), "it is not in force")
	fault(len(x.ExtKeyUsage)+len(x.UnknownExtKeyUsage) > 0 && !slices.Contains(x.ExtKeyUsage, x509.ExtKeyUsageClientAuth) && !slices.Contains(x.ExtKeyUsage, x509.ExtKeyUsageAny), "it is not for Client Authentication")
	fault(x.KeyUsage != 0 && x.KeyUsage&x509.KeyUsageDigitalSignature == 0, "it may not sign")
	key, isRSA := x.PublicKey.(*rsa.PublicKey)
	fault(!isRSA, "its key is not RSA, which is all that ConfigMgr takes")
	fault(isRSA && key.N.BitLen() < 2048, "its key is shorter than 2048 bits")
	text := fmt.Sprintf("%s, by %s, %s to %s, with %d of its issuers", x.Subject, x.Issuer, day(x.NotBefore), day(x.NotAfter), len(p.Certificate.Certificate)-1)
	if len(faults) > 0 {
		text += ": " + strings.Join(faults, ", ")
	}
	p.add(goodIf(len(faults) == 0), "own cert", "%s", text)
}

// names are those that a certificate is good for.
func names(x *x509.Certificate) []string {
	out := append([]string(nil), x.DNSNames...)
	for _, ip := range x.IPAddresses {
		out = append(out, ip.String())
	}
	if len(out) == 0 {
		out = append(out, "no names")
	}
	return out
}
