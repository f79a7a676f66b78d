package doctor

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"mpproxy/diagnose"
	"mpproxy/internal/revocation"
	"mpproxy/traffic"
)

// Options say what to probe, and how.
type Options struct {
	// URL is the management point's; a path counts for nothing.
	URL string
	// Host is the name to use in place of the URL's, which is then only where
	// to connect to.
	Host string
	// Certificate is shown when the management point asks for one; nil shows
	// none.
	Certificate *tls.Certificate
	// Roots are trusted in place of the system's; nil takes the system's.
	// Issuers are authorities that may have signed revocation lists.
	Roots   *x509.CertPool
	Issuers []*x509.Certificate
	// Lists fetches revocation lists; Private allows private addresses for
	// that even when the management point has a public one.
	Lists, Private bool
	// Timeout bounds each connection; zero is 10 s.
	Timeout time.Duration
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Saw takes each line as soon as it is known; nil leaves that out.
	Saw func(Line)
}

// probe is one Probe under way.
type probe struct {
	Options
	lines
	secure     bool
	host, port string // as an agent would name it
	dialHost   string
	address    string // what is connected to, once known
	max, min   uint16 // TLS versions to use
	folding    diagnose.Folding
	conns      traffic.ConnID
	revoked    diagnose.Revocations
	chain      [][]byte
	mpList     []listed
	stopped    bool // no connection, or no TLS
	main       *attempt
	requests   []*request
}

// Probe looks at a management point. The error is about the URL; what does not
// work is in the report.
func Probe(ctx context.Context, o Options) (*Report, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%q is no URL of a management point: write https://mp01.contoso.com or http://mp01.contoso.com:80", o.URL)
	}
	p := &probe{Options: o, secure: u.Scheme == "https", dialHost: u.Hostname(), port: u.Port()}
	p.host = cmp.Or(o.Host, p.dialHost)
	p.port = cmp.Or(p.port, map[bool]string{true: "443", false: "80"}[p.secure])
	if n, err := strconv.ParseUint(p.port, 10, 16); err != nil || n == 0 {
		return nil, fmt.Errorf("%q has no port between 1 and 65535", o.URL)
	}
	p.Timeout = cmp.Or(p.Timeout, 10*time.Second)
	if p.Now == nil {
		p.Now = time.Now
	}
	p.run(ctx)
	r := &Report{Lines: p.lines, Findings: p.folding.Groups(), Reached: !p.stopped}
	r.Agent = p.sentence(r.Findings)
	return r, ctx.Err()
}

// add says a line.
func (p *probe) add(s State, what, format string, args ...any) {
	p.lines.add(s, what, format, args...)
	if p.Saw != nil {
		p.Saw(p.lines[len(p.lines)-1])
	}
}

func (p *probe) run(ctx context.Context) {
	if p.stopped = !p.reach(ctx); p.stopped {
		return
	}
	if p.secure {
		p.clientLine()
		p.versions(ctx)
		p.handshake(ctx)
		if len(p.chain) > 0 {
			p.judgeChain()
			p.fetchLists(ctx)
		}
		if p.main.hs.Err != "" {
			p.stopped = true
			p.judge(p.main.conn(p), nil)
			if len(p.chain) == 0 {
				return
			}
		}
	}
	p.ask(ctx)
}

// reach resolves the name and connects to each address.
func (p *probe) reach(ctx context.Context) bool {
	begun := p.Now()
	addresses, err := p.resolve(ctx)
	if err != nil {
		p.add(Bad, "name", "%s: %v", p.dialHost, err)
		p.refused(net.JoinHostPort(p.dialHost, p.port), err)
		return false
	}
	var all []string
	for _, a := range addresses {
		all = append(all, a.String())
	}
	p.add(Good, "name", "%s is %s (%s)", p.dialHost, strings.Join(all, ", "), ms(p.Now().Sub(begun)))
	var last error
	for _, a := range addresses {
		address := net.JoinHostPort(a.String(), p.port)
		begun := p.Now()
		conn, err := p.dial(ctx, address)
		if err != nil {
			p.add(Bad, "connect", "%s: %v", address, err)
			last = err
			continue
		}
		conn.Close()
		p.add(Good, "connect", "%s in %s", address, ms(p.Now().Sub(begun)))
		p.address = cmp.Or(p.address, address)
	}
	if p.address == "" {
		p.refused(net.JoinHostPort(addresses[0].String(), p.port), last)
	}
	return p.address != ""
}

func (p *probe) resolve(ctx context.Context) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(p.dialHost); err == nil {
		return []netip.Addr{a}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	all, err := net.DefaultResolver.LookupNetIP(ctx, "ip", p.dialHost)
	if err == nil && len(all) == 0 {
		err = errors.New("lookup gave no address")
	}
	var once []netip.Addr // a hosts file and DNS may both have it
	for _, a := range all {
		if a = a.Unmap(); !slices.Contains(once, a) {
			once = append(once, a)
		}
	}
	return once, err
}

// refused judges that there is no connection.
func (p *probe) refused(address string, err error) {
	c := p.newConn()
	c.UpstreamLeg = traffic.Leg{Address: address, End: traffic.EndRefused, EndedAt: p.Now(), Err: err.Error()}
	p.judge(c, nil)
}

func (p *probe) newConn() *traffic.Conn {
	p.conns++
	now := p.Now()
	return &traffic.Conn{
		ID: p.conns, Listener: "mpproxy doctor", Mode: "reverse", Agent: "", Upstream: net.JoinHostPort(p.host, p.port), Opened: now, Closed: now,
		// The probe is its own agent, and it was there.
		AgentLeg: traffic.Leg{BytesIn: 1, End: traffic.EndProxy, EndedAt: now},
	}
}

func (p *probe) judge(c *traffic.Conn, xs []diagnose.Exchange) {
	p.folding.Add(diagnose.ConnDiagnosis{
		Conn: c.ID, Agent: "this machine", Listener: c.Listener, At: c.Opened,
		Findings: diagnose.Judge(diagnose.Evidence{Conn: c, Exchanges: xs, Revocations: p.revoked, Probe: true, Now: p.Now()}),
	})
}

// fetchLists fetches the revocation lists of the chain, and of the client
// certificate's.
func (p *probe) fetchLists(ctx context.Context) {
	if !p.Lists {
		return
	}
	at, err := netip.ParseAddrPort(p.address)
	private := p.Private || err == nil && !revocation.Public(at.Addr())
	f := revocation.New(revocation.Options{Private: private, Timeout: p.Timeout, Now: p.Now})
	all := f.Chain(ctx, p.chain, p.Issuers)
	if p.Certificate != nil {
		all = append(all, f.Chain(ctx, p.Certificate.Certificate, p.Issuers)...)
	}
	p.revoked = diagnose.NewRevocations(all)
	if x, err := x509.ParseCertificate(p.chain[0]); err == nil && len(x.CRLDistributionPoints) == 0 {
		p.add(Note, "revocation", "the certificate names no revocation list: agents that insist on one refuse it")
	}
	for i := range all {
		p.listLine(&all[i])
	}
}

func (p *probe) listLine(r *traffic.Revocation) {
	what := "revocation"
	if r.Kind == traffic.RevocationIssuer {
		what = "issuer"
	}
	switch {
	case r.Result == traffic.RevocationSkipped && strings.HasPrefix(strings.ToLower(r.URL), "ldap:"):
		p.add(Note, what, "%s: not fetched; agents outside of the domain cannot read a directory", r.URL)
	case r.Result == traffic.RevocationSkipped:
		p.add(Note, what, "%s: not fetched: %s", r.URL, r.Err)
	case r.Result != traffic.RevocationGood:
		p.add(Bad, what, "%s: %s", r.URL, r.Err)
	case r.Kind == traffic.RevocationIssuer:
		p.add(goodIf(r.Signature == "good"), what, "%s: the issuer's certificate, signature %s", r.URL, r.Signature)
	case r.Revoked:
		p.add(Bad, what, "%s: REVOKED since %s, %s", r.URL, day(r.RevokedAt), cmp.Or(r.Reason, "without a reason"))
	case !r.NextUpdate.IsZero() && r.NextUpdate.Before(r.Fetched):
		p.add(Bad, what, "%s: expired on %s", r.URL, day(r.NextUpdate))
	default:
		p.add(goodIf(r.Signature != "bad"), what, "%s: %d entries, not this certificate; from %s; signature %s", r.URL, r.Entries, day(r.ThisUpdate), cmp.Or(r.Signature, "not checked, the issuer is not at hand"))
	}
}
