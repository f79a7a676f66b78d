package pki

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// The files of an authority inside its directory.
const (
	CAFile    = "ca.pem"
	CAKeyFile = "ca-key.pem"
)

const (
	rsaBits    = 2048
	caLifetime = 10 * 365 * 24 * time.Hour
	// backdate is how long before now a certificate begins to be valid, for
	// agents whose clock is behind.
	backdate = 24 * time.Hour
)

// CA is a certificate authority: its certificate and the key that signs.
// It does not change once made; any goroutine may use it.
type CA struct {
	Cert *x509.Certificate
	Key  crypto.Signer
}

// NewCA makes an authority with a new RSA-2048 key, valid for ten years from a
// day before now. The subject is name alone, as common name.
func NewCA(name string, now time.Time) (*CA, error) {
	key, err := rsa.GenerateKey(rand.Reader, rsaBits)
	if err != nil {
		return nil, fmt.Errorf("make CA key: %w", err)
	}
	return newCAFor(key, name, now)
}

func newCAFor(key crypto.Signer, name string, now time.Time) (*CA, error) {
	template, err := newTemplate(name, key.Public(), now.Add(-backdate), now.Add(caLifetime))
	if err != nil {
		return nil, err
	}
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.MaxPathLenZero = true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature
	cert, err := sign(template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make CA %q: %w", name, err)
	}
	return &CA{Cert: cert, Key: key}, nil
}

// PEM is the authority's certificate, without its key, as agents import it.
func (ca *CA) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Cert.Raw})
}

// Pool is a pool with the authority alone.
func (ca *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.Cert)
	return pool
}

// LoadCA reads an authority from a certificate and a key file. The errors say
// what is wrong with the pair: no key, another certificate's key, not a CA.
func LoadCA(certFile, keyFile string) (*CA, error) {
	pair, err := LoadKeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("load CA: %w", err)
	}
	if !pair.Leaf.IsCA {
		return nil, fmt.Errorf("load CA: %s is not a CA certificate (basic constraints say CA:FALSE, or are missing): name a certificate that may sign others", certFile)
	}
	return &CA{Cert: pair.Leaf, Key: pair.PrivateKey.(crypto.Signer)}, nil
}

// LoadOrCreateCA loads the authority of a directory, and makes one first when
// there is none; created says so. The directory becomes 0700, the key file
// 0600. When several processes come at once, one of them makes it and all load
// the same. name is the subject of a new authority.
func LoadOrCreateCA(dir, name string, now time.Time) (ca *CA, created bool, err error) {
	if ca, err := loadCADir(dir); !errors.Is(err, fs.ErrNotExist) {
		return ca, false, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, false, fmt.Errorf("make CA directory: %w", err)
	}
	created, err = createCADir(dir, name, now)
	if err != nil {
		return nil, false, fmt.Errorf("make CA in %s: %w", dir, err)
	}
	ca, err = loadCADir(dir)
	return ca, created && err == nil, err
}

func loadCADir(dir string) (*CA, error) {
	certFile, keyFile := filepath.Join(dir, CAFile), filepath.Join(dir, CAKeyFile)
	if _, err := os.Stat(certFile); err != nil {
		return nil, fmt.Errorf("load CA: %w", err)
	}
	ca, err := LoadCA(certFile, keyFile)
	if errors.Is(err, fs.ErrNotExist) {
		// Not %w: half a pair is not the same as none, and is not replaced.
		return nil, fmt.Errorf("load CA: %s has no key beside it (%v): put it back, or delete %s too to make a new authority", certFile, err, certFile) //nolint:errorlint // see above
	}
	return ca, err
}

// createCADir makes the key, then the certificate. Of several processes each
// step lets only the first one through, and the others go on with what it made;
// so a process killed in between leaves nothing that stops the next one.
func createCADir(dir, name string, now time.Time) (created bool, err error) {
	fresh, err := rsa.GenerateKey(rand.Reader, rsaBits)
	if err != nil {
		return false, fmt.Errorf("make CA key: %w", err)
	}
	content, err := keyPEM(fresh)
	if err != nil {
		return false, err
	}
	keyFile := filepath.Join(dir, CAKeyFile)
	if _, err := createFile(keyFile, content, 0o600); err != nil {
		return false, err
	}
	key, err := loadKey(keyFile)
	if err != nil {
		return false, err
	}
	ca, err := newCAFor(key, name, now)
	if err != nil {
		return false, err
	}
	return createFile(filepath.Join(dir, CAFile), ca.PEM(), 0o644)
}

// newTemplate is what every certificate here has: serial, subject, validity
// and the subject key's id.
func newTemplate(commonName string, public crypto.PublicKey, from, to time.Time) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("make serial number: %w", err)
	}
	id, err := keyID(public)
	if err != nil {
		return nil, err
	}
	return &x509.Certificate{
		SerialNumber: serial.Add(serial, big.NewInt(1)), // zero is not allowed
		Subject:      pkix.Name{CommonName: commonName},
		NotBefore:    from.UTC().Truncate(time.Second),
		NotAfter:     to.UTC().Truncate(time.Second),
		SubjectKeyId: id,
	}, nil
}

func sign(template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}
