package mpsim

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"mpproxy/internal/pki"
)

// AgentConfig says what an agent is. Site, Name and BaseURL are needed.
type AgentConfig struct {
	// Site gives names and certificates; nothing goes to it but through BaseURL.
	Site *Site
	// Name is the NetBIOS name, at most 15 characters.
	Name string
	// BaseURL is where to connect: the proxy's or management point's address,
	// such as http://127.0.0.1:8090.
	BaseURL string
	// Host is what the agent calls the management point, in the Host field and
	// in SNI; empty is the site's name for it.
	Host string
	// ProxyURL is a forward proxy, with user and password if it wants them;
	// empty goes straight to BaseURL.
	ProxyURL string
	// RootCAs are trusted for TLS; nil trusts the site's CA.
	RootCAs *x509.CertPool
	// ClientCert is shown in TLS when asked for. nil is none, at a native site
	// a certificate of the site's CA.
	ClientCert *tls.Certificate
	// Certificate is what it registers; nil makes one of Key.
	Certificate *x509.Certificate
	// Key signs messages and decrypts policies; nil makes a new RSA-2048 key.
	// Agents that share a key look like clones of one disk.
	Key *rsa.PrivateKey
	// Seed decides the agent's habits, addresses and content.
	Seed uint64
	// Now is the agent's clock; nil is time.Now.
	Now func() time.Time
	// Timeout bounds each exchange; zero is a minute.
	Timeout time.Duration
	// Pause is waited before each exchange; zero is none.
	Pause time.Duration
}

// Agent is a simulated ConfigMgr client. One goroutine at a time may use it,
// except for Account.
type Agent struct {
	cfg  AgentConfig
	link *link
	key  *rsa.PrivateKey
	// signing and encryption go with the registration; encryption is nil at a
	// native site.
	signing, encryption *x509.Certificate

	fqdn, ip, subnet, mac string
	// sdk is the habit of programs that use the vendor's library; otherwise
	// headers are as the Windows agent writes them.
	sdk bool

	smsid       string // empty until registered
	idSignature string
	cookie      string // of the last policy reply
	siteKey     *rsa.PublicKey
	messages    int // counts the messages sent, for their ids
	serial      int // of state messages
	lives       int

	mu      sync.Mutex
	account Account
}

// Account is what agents did: exchanges and failures by kind, bytes on the
// wire.
type Account struct {
	Exchanges map[string]int
	// Failures count steps of a life that went wrong, by the step's name.
	Failures       map[string]int
	Lives          int
	Sent, Received int64
}

func newAccount() Account {
	return Account{Exchanges: map[string]int{}, Failures: map[string]int{}}
}

// add sums up two accounts.
func (a *Account) add(b Account) {
	for kind, n := range b.Exchanges {
		a.Exchanges[kind] += n
	}
	for step, n := range b.Failures {
		a.Failures[step] += n
	}
	a.Lives += b.Lives
	a.Sent += b.Sent
	a.Received += b.Received
}

// NewAgent makes an agent with its keys. It does not connect.
func NewAgent(cfg AgentConfig) (*Agent, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = time.Minute
	}
	a := &Agent{cfg: cfg, key: cfg.Key, account: newAccount()}
	if err := a.init(); err != nil {
		return nil, fmt.Errorf("make agent %s: %w", cfg.Name, err)
	}
	return a, nil
}

func (a *Agent) init() error {
	site, seed, name := a.cfg.Site, a.cfg.Seed, a.cfg.Name
	if site == nil || name == "" || len(name) > 15 {
		return errors.New("a site and a name of up to 15 characters are needed")
	}
	a.fqdn = strings.ToLower(name) + "." + site.cfg.Domain
	third, fourth := 30+pick(20, seed, name, "subnet"), 10+pick(240, seed, name, "host")
	a.subnet, a.ip = fmt.Sprintf("10.20.%d.0", third), fmt.Sprintf("10.20.%d.%d", third, fourth)
	mac := derive(seed, name, "mac")
	a.mac = fmt.Sprintf("02:42:%02X:%02X:%02X:%02X", mac[0], mac[1], mac[2], mac[3])
	a.sdk = pick(3, seed, name, "habit") == 0
	a.serial = 1000 + pick(5000, seed, name, "serial")
	if err := a.makeKeys(); err != nil {
		return err
	}
	return a.makeLink()
}

// makeKeys gives the agent one key for everything: of its own making, or in a
// certificate of the site's PKI.
func (a *Agent) makeKeys() (err error) {
	if a.key == nil {
		if a.key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			return err
		}
	}
	if a.cfg.Site.cfg.Native {
		if a.cfg.ClientCert == nil {
			if a.cfg.ClientCert, err = a.cfg.Site.ClientCert(a.fqdn, a.key); err != nil {
				return err
			}
		}
		own, ok := a.cfg.ClientCert.PrivateKey.(*rsa.PrivateKey)
		if !ok {
			return errors.New("the client certificate's key is not RSA")
		}
		a.key, a.signing = own, a.cfg.ClientCert.Leaf
		return nil
	}
	if a.cfg.Certificate != nil {
		a.signing, a.encryption = a.cfg.Certificate, a.cfg.Certificate
		return nil
	}
	self, err := pki.SelfSigned(pki.IssueRequest{
		CommonName: a.fqdn,
		ExtraOIDs:  pki.AgentPurposes,
		Key:        a.key,
		NotBefore:  a.cfg.Now().AddDate(0, 0, -1),
		NotAfter:   a.cfg.Now().AddDate(100, 0, 0),
	})
	if err != nil {
		return err
	}
	a.signing, a.encryption = self.Leaf, self.Leaf
	return nil
}

// own takes an agent's certificate and key from before.
func (c *AgentConfig) own(cert *tls.Certificate) {
	if cert == nil {
		return
	}
	if key, ok := cert.PrivateKey.(*rsa.PrivateKey); ok {
		c.Key = key
	}
	if c.Site.cfg.Native {
		c.ClientCert = cert
	} else {
		c.Certificate = cert.Leaf
	}
}

// Credentials are the certificate that the agent registers, and its key: what
// signs its messages and, at a native site, what it shows in TLS.
func (a *Agent) Credentials() *tls.Certificate {
	return &tls.Certificate{Certificate: [][]byte{a.signing.Raw}, PrivateKey: a.key, Leaf: a.signing}
}

func (a *Agent) makeLink() error {
	base, err := parseURL(a.cfg.BaseURL)
	if err != nil {
		return err
	}
	l := &link{base: base, host: or(a.cfg.Host, a.cfg.Site.cfg.MPName), timeout: a.cfg.Timeout, count: a.countBytes}
	if a.cfg.ProxyURL != "" {
		if l.proxy, err = parseURL(a.cfg.ProxyURL); err != nil {
			return err
		}
	}
	l.config = &tls.Config{ServerName: l.host, RootCAs: a.cfg.RootCAs, Time: a.cfg.Now}
	if l.config.RootCAs == nil {
		l.config.RootCAs = a.cfg.Site.CA.Pool()
	}
	if a.cfg.ClientCert != nil {
		cert := a.cfg.ClientCert
		// Always the same one, as WinHTTP does, whatever the server's list says.
		l.config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	}
	a.link = l
	return nil
}

func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return nil, fmt.Errorf("%q is not http://HOST[:PORT] or https://HOST[:PORT]", text)
	}
	if u.Scheme == "https" && net.ParseIP(u.Hostname()) == nil && u.Port() == "" {
		u.Host = net.JoinHostPort(u.Hostname(), "443")
	}
	return u, nil
}

// secure says whether the agent speaks TLS.
func (a *Agent) secure() bool { return a.link.base.Scheme == "https" }

// Account is a snapshot; any goroutine may take it.
func (a *Agent) Account() Account {
	a.mu.Lock()
	defer a.mu.Unlock()
	account := a.account
	account.Exchanges = maps.Clone(account.Exchanges)
	account.Failures = maps.Clone(account.Failures)
	return account
}

func (a *Agent) countBytes(sent, received int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.account.Sent += sent
	a.account.Received += received
}

// id is the agent's next message id.
func (a *Agent) id() string {
	a.messages++
	return "{" + guid(a.cfg.Seed, a.cfg.Name, "message", fmt.Sprint(a.messages)) + "}"
}

// Close ends the agent's connection.
func (a *Agent) Close() { a.link.close() }
