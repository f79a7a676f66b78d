package mpsim

import (
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"mpproxy/internal/pki"
)

// SiteConfig says what a site is. The zero value is a plain HTTP site.
type SiteConfig struct {
	// Code is the site code; empty is "LAB".
	Code string
	// Domain is the DNS domain of site and agents; empty is "lab.example".
	Domain string
	// MPName is the management point's full name; empty is "mp01." + Domain.
	// The distribution point is the same host.
	MPName string
	// Native makes an HTTPS-only site: client certificates are demanded, plain
	// HTTP is refused, secrets are left to TLS.
	Native bool
	// TwoStep answers a first registration with "pending": agents must confirm.
	TwoStep bool
	// Seed decides every invented value.
	Seed uint64
	// Now is the site's clock; nil is time.Now.
	Now func() time.Time
	// Fault is what goes wrong; nil is nothing.
	Fault *Fault
	// CA signs server and client certificates; nil makes a new one.
	CA *pki.CA
	// Build is the site's build number; zero is 9128.
	Build int
}

// Site is a management point with what stands behind it. Any goroutine may use
// it; several listeners may serve one site.
type Site struct {
	// CA signed the site's own certificate and its agents' client certificates.
	CA  *pki.CA
	cfg SiteConfig
	// signing is the site server's key: it signs policy assignments.
	signing    *tls.Certificate
	serverCert *tls.Certificate
	clientCAs  *x509.CertPool
	policies   []*policy
	bits       *bitsServer
	log        recorder

	mu        sync.Mutex
	clients   map[string]*client
	delivered map[string][]byte // complete uploads that no message has claimed
	waiting   int               // their bytes
}

// client is a registered agent. Once it is in Site.clients, approved and secrets
// are guarded by Site.mu, and the rest does not change.
type client struct {
	smsid, name string
	signing     *rsa.PublicKey
	encryption  *x509.Certificate
	approved    bool
	// secrets are the policies encrypted for it, by policy id: one envelope for
	// each, since the assignment names its hash.
	secrets map[string][]byte
}

// NewSite makes a site with its keys, which takes a moment.
func NewSite(cfg SiteConfig) (*Site, error) {
	cfg.setDefaults()
	s := &Site{CA: cfg.CA, cfg: cfg, clients: map[string]*client{}, delivered: map[string][]byte{}}
	if err := s.makeKeys(); err != nil {
		return nil, fmt.Errorf("make site %s: %w", cfg.Code, err)
	}
	s.clientCAs = s.CA.Pool()
	s.policies = s.makePolicies()
	s.bits = &bitsServer{
		now:      cfg.Now,
		newID:    func(url string, n int) string { return guid(cfg.Seed, "bits", url, fmt.Sprint(n)) },
		deliver:  s.deliver,
		sessions: map[string]*bitsSession{},
	}
	return s, nil
}

func (c *SiteConfig) setDefaults() {
	c.Code = or(c.Code, "LAB")
	c.Domain = or(c.Domain, "lab.example")
	c.MPName = or(c.MPName, "mp01."+c.Domain)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Build == 0 {
		c.Build = 9128
	}
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func (s *Site) makeKeys() (err error) {
	now := s.cfg.Now()
	if s.CA == nil {
		if s.CA, err = pki.NewCA(s.cfg.Code+" Test CA", now); err != nil {
			return err
		}
	}
	server := pki.IssueRequest{
		CommonName: s.cfg.MPName,
		DNSNames:   []string{s.cfg.MPName, "localhost"},
		IPs:        []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		Usage:      []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		NotBefore:  now.AddDate(0, 0, -1),
	}
	if f := s.cfg.Fault; f != nil && f.certificate != nil {
		f.certificate(&server)
	}
	if s.serverCert, err = s.CA.Issue(server); err != nil {
		return err
	}
	s.signing, err = pki.SelfSigned(pki.IssueRequest{
		CommonName: "Site Server",
		DNSNames:   []string{"site." + s.cfg.Domain},
		NotBefore:  now.AddDate(0, 0, -1),
		NotAfter:   now.AddDate(50, 0, 0),
	})
	return err
}

// ClientCert makes a client certificate as the site's PKI would, valid for a
// year. A nil key makes a new one.
func (s *Site) ClientCert(name string, key *rsa.PrivateKey) (*tls.Certificate, error) {
	r := pki.IssueRequest{
		CommonName: name,
		DNSNames:   []string{name},
		Usage:      []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		NotBefore:  s.cfg.Now().AddDate(0, 0, -1),
	}
	if key != nil {
		r.Key = key
	}
	return s.CA.Issue(r)
}

// MPName is the management point's name, which agents call and whose
// certificate the site shows.
func (s *Site) MPName() string { return s.cfg.MPName }

// Native says whether the site demands HTTPS and client certificates.
func (s *Site) Native() bool { return s.cfg.Native }

// host is the management point's name without its domain, in upper case.
func (s *Site) host() string {
	host, _, _ := strings.Cut(s.cfg.MPName, ".")
	return strings.ToUpper(host)
}

// url is where agents are sent: the name with the scheme that the site demands,
// or by which the agent came.
func (s *Site) url(x *exchange) string {
	if s.cfg.Native || x.secure() {
		return "https://" + s.cfg.MPName
	}
	return "http://" + s.cfg.MPName
}

// sslState is the capability that tells agents which scheme to use. Other bits
// than "none" are not documented; 63 is seen at HTTPS sites.
func (s *Site) sslState() string {
	if s.cfg.Native {
		return "63"
	}
	return "0"
}

// signingKey signs what the site server signs.
func (s *Site) signingKey() *rsa.PrivateKey { return s.signing.PrivateKey.(*rsa.PrivateKey) }

// clientOf finds a registered agent by a client id in any spelling. It is a
// copy; its secrets are for policyBytes alone.
func (s *Site) clientOf(id string) (client, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.clients[plainID(id)]
	if !ok {
		return client{}, false
	}
	return *c, true
}

// plainID is a client id without prefix and braces, in upper case.
func plainID(id string) string {
	id = strings.TrimPrefix(strings.ToUpper(strings.TrimSpace(id)), "GUID:")
	return strings.Trim(id, "{}")
}

// deliver keeps a complete upload for the message that will name it. When too
// much waits, whose message never came, all of it goes.
func (s *Site) deliver(name string, data []byte) {
	s.log.upload(Upload{name, len(data), sha256Hex(data)})
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting += len(data); s.waiting > bufferLimit || len(s.delivered) >= sessionLimit {
		clear(s.delivered)
		s.waiting = len(data)
	}
	s.delivered[plainID(name)] = data
}

// claim hands an upload over to the message that it belongs to.
func (s *Site) claim(name string) (data []byte, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data, ok = s.delivered[plainID(name)]
	delete(s.delivered, plainID(name))
	s.waiting -= len(data)
	return data, ok
}
