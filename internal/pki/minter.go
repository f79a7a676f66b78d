package pki

import (
	"container/list"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// leafLifetime is the longest that browsers accept, backdating included.
	leafLifetime = 397 * 24 * time.Hour
	// leafLimit is how many leaves a Minter remembers.
	leafLimit = 1024
	// leafRenewal is how long before its end a remembered leaf is replaced.
	leafRenewal = 24 * time.Hour
	// commonNameLimit is X.520's upper bound.
	commonNameLimit = 64
)

// Minter makes leaf certificates for servers while they are asked for, and
// remembers the ones used last. All share one RSA and one ECDSA key, since
// making a key takes longer than a handshake. Any goroutine may use it.
type Minter struct {
	// CRL is where leaves say that the authority's revocation list is; empty
	// leaves it out. Set it before the first Leaf.
	CRL string

	ca      *CA
	now     func() time.Time
	rsaKey  func() (crypto.Signer, error)
	ecKey   func() (crypto.Signer, error)
	mu      sync.Mutex
	byNames map[string]*list.Element // of *minted
	recent  *list.List               // the front was used last
}

type minted struct {
	key  string
	cert *tls.Certificate
}

// Minter makes certificates signed by the authority. A nil now is time.Now.
func (ca *CA) Minter(now func() time.Time) *Minter {
	if now == nil {
		now = time.Now
	}
	return &Minter{
		ca:      ca,
		now:     now,
		rsaKey:  sync.OnceValues(func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, rsaBits) }),
		ecKey:   sync.OnceValues(func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }),
		byNames: map[string]*list.Element{},
		recent:  list.New(),
	}
}

// Leaf is a server certificate for names, which are DNS names or IP addresses;
// case, repetition and a final dot do not count, and the first one is the common
// name. The key is ECDSA P-256 when the client can take it, RSA-2048 otherwise.
// It is valid from a day ago for 397 days, never longer than the authority.
// The error says so when there is no name, or when the authority has expired.
func (m *Minter) Leaf(names []string, ecdsaOK bool) (*tls.Certificate, error) {
	names = cleanNames(names)
	if len(names) == 0 {
		return nil, errors.New("mint certificate: no name to make it for")
	}
	key := cacheKey(names, ecdsaOK)
	m.mu.Lock()
	defer m.mu.Unlock()
	if cert := m.remembered(key); cert != nil {
		return cert, nil
	}
	cert, err := m.mint(names, ecdsaOK)
	if err != nil {
		return nil, fmt.Errorf("mint certificate for %s: %w", names[0], err)
	}
	m.remember(key, cert)
	return cert, nil
}

// cleanNames keeps the order, as the first name becomes the common name.
func cleanNames(names []string) []string {
	var out []string
	for _, name := range names {
		name = strings.ToLower(strings.TrimSuffix(name, "."))
		if name != "" && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

func cacheKey(names []string, ecdsaOK bool) string {
	kind := "rsa"
	if ecdsaOK {
		kind = "ecdsa"
	}
	return kind + "\x00" + strings.Join(names, "\x00")
}

func (m *Minter) remembered(key string) *tls.Certificate {
	e, ok := m.byNames[key]
	if !ok {
		return nil
	}
	cert := e.Value.(*minted).cert
	if m.now().Add(leafRenewal).After(cert.Leaf.NotAfter) && cert.Leaf.NotAfter.Before(m.ca.Cert.NotAfter) {
		return nil
	}
	m.recent.MoveToFront(e)
	return cert
}

func (m *Minter) remember(key string, cert *tls.Certificate) {
	if old, ok := m.byNames[key]; ok {
		m.recent.Remove(old)
	}
	m.byNames[key] = m.recent.PushFront(&minted{key, cert})
	if m.recent.Len() > leafLimit {
		oldest := m.recent.Remove(m.recent.Back()).(*minted)
		delete(m.byNames, oldest.key)
	}
}

func (m *Minter) mint(names []string, ecdsaOK bool) (*tls.Certificate, error) {
	now := m.now()
	if now.After(m.ca.Cert.NotAfter) {
		return nil, fmt.Errorf("the CA %q expired on %s: make a new one", m.ca.Cert.Subject.CommonName, m.ca.Cert.NotAfter.Format(time.DateOnly))
	}
	makeKey := m.rsaKey
	if ecdsaOK {
		makeKey = m.ecKey
	}
	key, err := makeKey()
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	r := IssueRequest{
		Usage:     []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		CRL:       m.CRL,
		Key:       key,
		NotBefore: later(now.Add(-backdate), m.ca.Cert.NotBefore),
		NotAfter:  earlier(now.Add(leafLifetime-backdate), m.ca.Cert.NotAfter),
	}
	if len(names[0]) <= commonNameLimit {
		r.CommonName = names[0]
	}
	for _, name := range names {
		if ip := net.ParseIP(strings.Trim(name, "[]")); ip != nil {
			r.IPs = append(r.IPs, ip)
		} else {
			r.DNSNames = append(r.DNSNames, name)
		}
	}
	return m.ca.Issue(r)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
