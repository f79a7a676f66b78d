package pki

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"net"
	"time"
)

// AgentPurposes are the extended key usages of the certificates that agents
// without a PKI make for themselves, for signing and for encryption (seen in
// public tools; crypto/x509 has no names for them).
var AgentPurposes = []asn1.ObjectIdentifier{
	{1, 3, 6, 1, 4, 1, 311, 101, 2},
	{1, 3, 6, 1, 4, 1, 311, 101},
}

// IssueRequest says what a certificate shall be.
type IssueRequest struct {
	CommonName string
	DNSNames   []string
	IPs        []net.IP
	Usage      []x509.ExtKeyUsage
	// ExtraOIDs are purposes beside Usage.
	ExtraOIDs []asn1.ObjectIdentifier
	// CRL is where the issuer's revocation list is; empty names none.
	CRL string
	// Key is the subject's key; nil makes a new RSA-2048 key.
	Key crypto.Signer
	// NotBefore and NotAfter bound the validity, to the second. A zero
	// NotBefore is a day before the present, a zero NotAfter a year after
	// NotBefore.
	NotBefore, NotAfter time.Time
}

// Issue makes a certificate signed by the authority, with its key, ready for a
// handshake: the chain is the leaf and the authority. Validity is as asked for,
// even beyond the authority's own: bad certificates are made on purpose too.
func (ca *CA) Issue(r IssueRequest) (*tls.Certificate, error) {
	leaf, key, err := issue(r, ca)
	if err != nil {
		return nil, fmt.Errorf("issue certificate for %q: %w", r.CommonName, err)
	}
	return &tls.Certificate{Certificate: [][]byte{leaf.Raw, ca.Cert.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

// SelfSigned makes a certificate signed by its own key, as agents without a
// PKI make theirs.
func SelfSigned(r IssueRequest) (*tls.Certificate, error) {
	leaf, key, err := issue(r, nil)
	if err != nil {
		return nil, fmt.Errorf("make self-signed certificate for %q: %w", r.CommonName, err)
	}
	return &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

// issue signs with ca, or with the subject's key when ca is nil.
func issue(r IssueRequest, ca *CA) (*x509.Certificate, crypto.Signer, error) {
	key := r.Key
	if key == nil {
		made, err := rsa.GenerateKey(rand.Reader, rsaBits)
		if err != nil {
			return nil, nil, err
		}
		key = made
	}
	from, to := r.validity()
	template, err := newTemplate(r.CommonName, key.Public(), from, to)
	if err != nil {
		return nil, nil, err
	}
	template.DNSNames, template.IPAddresses = r.DNSNames, r.IPs
	template.ExtKeyUsage, template.UnknownExtKeyUsage = r.Usage, r.ExtraOIDs
	template.KeyUsage = leafUsage(key)
	if r.CRL != "" {
		template.CRLDistributionPoints = []string{r.CRL}
	}
	parent, signer := template, key
	if ca != nil {
		parent, signer = ca.Cert, ca.Key
	}
	leaf, err := sign(template, parent, key.Public(), signer)
	return leaf, key, err
}

func (r *IssueRequest) validity() (from, to time.Time) {
	from, to = r.NotBefore, r.NotAfter
	if from.IsZero() {
		from = time.Now().Add(-backdate)
	}
	if to.IsZero() {
		to = from.AddDate(1, 0, 0)
	}
	return from, to
}

// leafUsage adds key encipherment for RSA: the key exchange of old suites and
// the decryption of policies need it.
func leafUsage(key crypto.Signer) x509.KeyUsage {
	if _, isRSA := key.Public().(*rsa.PublicKey); isRSA {
		return x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment
	}
	return x509.KeyUsageDigitalSignature
}
