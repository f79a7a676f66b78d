package pki

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"software.sslmate.com/src/go-pkcs12"
)

// LoadKeyPair reads a certificate with its chain and its private key. certFile
// is PEM, or PKCS#12 without a password, told apart by content; an empty
// keyFile means that the key is in certFile too. The leaf is the certificate
// that the key belongs to, wherever it stands in the file.
func LoadKeyPair(certFile, keyFile string) (*tls.Certificate, error) {
	content, err := os.ReadFile(certFile)
	if err != nil {
		return nil, fmt.Errorf("read certificate: %w", err)
	}
	if isPFX(content) {
		return parsePFX(certFile, content, "")
	}
	chain, err := certificates(content)
	if err != nil {
		return nil, fmt.Errorf("read certificate %s: %w", certFile, err)
	}
	if keyFile == "" {
		keyFile = certFile
	}
	key, err := loadKey(keyFile)
	if err != nil {
		return nil, err
	}
	pair, err := pairUp(chain, key)
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w", certFile, keyFile, err)
	}
	return pair, nil
}

// LoadPFX reads a certificate with chain and key from a PKCS#12 file.
func LoadPFX(file, password string) (*tls.Certificate, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read PKCS#12 file: %w", err)
	}
	if !isPFX(content) {
		return nil, fmt.Errorf("read PKCS#12 file %s: it is none, and a password is only for those: a PEM file has its key in clear, or in a file of its own", file)
	}
	return parsePFX(file, content, password)
}

// isPFX tells a PKCS#12 file by its beginning: a sequence with version 3.
func isPFX(content []byte) bool {
	var outer asn1.RawValue
	if _, err := asn1.Unmarshal(content, &outer); err != nil || !outer.IsCompound {
		return false
	}
	return bytes.HasPrefix(outer.Bytes, []byte{asn1.TagInteger, 1, 3})
}

func parsePFX(file string, content []byte, password string) (*tls.Certificate, error) {
	key, leaf, chain, err := pkcs12.DecodeChain(content, password)
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword) && password == "":
		return nil, fmt.Errorf("read PKCS#12 file %s: it has a password: give it, or make a PEM file without one (openssl pkcs12 -in PFX -nodes -out PEM)", file)
	case errors.Is(err, pkcs12.ErrIncorrectPassword):
		return nil, fmt.Errorf("read PKCS#12 file %s: the password is wrong", file)
	case err != nil:
		return nil, fmt.Errorf("read PKCS#12 file %s: %w", file, err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("read PKCS#12 file %s: a %T cannot sign", file, key)
	}
	pair, err := pairUp(append([]*x509.Certificate{leaf}, chain...), signer)
	if err != nil {
		return nil, fmt.Errorf("read PKCS#12 file %s: %w", file, err)
	}
	return pair, nil
}

// pairUp finds the key's certificate and puts it first.
func pairUp(chain []*x509.Certificate, key crypto.Signer) (*tls.Certificate, error) {
	pair := &tls.Certificate{PrivateKey: key}
	for _, cert := range chain {
		if pair.Leaf == nil && sameKey(cert.PublicKey, key.Public()) {
			pair.Leaf = cert
			pair.Certificate = append([][]byte{cert.Raw}, pair.Certificate...)
			continue
		}
		pair.Certificate = append(pair.Certificate, cert.Raw)
	}
	if pair.Leaf == nil {
		return nil, fmt.Errorf("the private key does not belong to the certificate of %q: name the key that it was made with", chain[0].Subject.CommonName)
	}
	return pair, nil
}

// LoadPool reads the certificates of a file, PEM or one in DER, as authorities
// to trust.
func LoadPool(file string) (*x509.CertPool, error) {
	list, err := LoadCertificates(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	for _, cert := range list {
		pool.AddCert(cert)
	}
	return pool, nil
}

// LoadCertificates reads the same as a list.
func LoadCertificates(file string) ([]*x509.Certificate, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read CA certificates: %w", err)
	}
	list, err := certificates(content)
	if err != nil {
		return nil, fmt.Errorf("read CA certificates %s: %w", file, err)
	}
	return list, nil
}

// certificates are those of a PEM file, or the one of a DER file; at least one.
func certificates(content []byte) ([]*x509.Certificate, error) {
	if cert, err := x509.ParseCertificate(content); err == nil {
		return []*x509.Certificate{cert}, nil
	}
	var list []*x509.Certificate
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(list)+1, err)
		}
		list = append(list, cert)
	}
	if len(list) == 0 {
		return nil, errors.New("no certificate in it: PEM (BEGIN CERTIFICATE) or DER is needed")
	}
	return list, nil
}

func loadKey(file string) (crypto.Signer, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read private key: %w", err)
	}
	key, err := keyOf(content)
	if err != nil {
		return nil, fmt.Errorf("read private key %s: %w", file, err)
	}
	return key, nil
}

// keyOf is the first private key of a PEM file, or the one of a DER file.
func keyOf(content []byte) (crypto.Signer, error) {
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY":
			if block.Headers["DEK-Info"] != "" {
				return nil, errEncryptedKey
			}
			return parseKey(block.Bytes)
		case "ENCRYPTED PRIVATE KEY":
			return nil, errEncryptedKey
		}
	}
	if key, err := parseKey(content); err == nil {
		return key, nil
	}
	return nil, errors.New("no private key in it: name the file that has it")
}

var errEncryptedKey = errors.New("the private key is encrypted: decrypt it first (openssl pkey -in KEY -out PLAIN), or give a PKCS#12 file with its password")

// WriteKeyPair writes a certificate with its chain to certFile and its key to
// keyFile, which only the owner may read. One name for both makes one such file
// with everything in it. Each file appears whole or not at all.
func WriteKeyPair(cert *tls.Certificate, certFile, keyFile string) error {
	key, err := keyPEM(cert.PrivateKey)
	if err != nil {
		return err
	}
	var chain bytes.Buffer
	for _, der := range cert.Certificate {
		if err := pem.Encode(&chain, &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
			return fmt.Errorf("encode certificate: %w", err)
		}
	}
	if certFile == keyFile {
		if err := writeFile(keyFile, append(chain.Bytes(), key...), 0o600); err != nil {
			return fmt.Errorf("write certificate and private key: %w", err)
		}
		return nil
	}
	if err := writeFile(keyFile, key, 0o600); err != nil {
		return fmt.Errorf("write private key: %w", err)
	}
	if err := writeFile(certFile, chain.Bytes(), 0o644); err != nil {
		return fmt.Errorf("write certificate: %w", err)
	}
	return nil
}

// ReadableByOthers says whether anybody but the owner may read a file, which is
// worth a warning for a private key. Always false on Windows, whose access
// lists the mode does not show, and for a file that is not there.
func ReadableByOthers(file string) bool {
	info, err := os.Stat(file)
	return err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0
}

// writeFile makes content appear under its name at once and whole, in place of
// what was there.
func writeFile(name string, content []byte, mode fs.FileMode) error {
	temp, err := writeTemp(name, content, mode)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temp) }() // fails once renamed, as it should
	return os.Rename(temp, name)
}

// createFile does the same unless the name is taken, which it reports as false.
func createFile(name string, content []byte, mode fs.FileMode) (created bool, err error) {
	temp, err := writeTemp(name, content, mode)
	if err != nil {
		return false, err
	}
	defer func() { _ = os.Remove(temp) }() // a leftover does no harm
	err = os.Link(temp, name)
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	return err == nil, err
}

func writeTemp(name string, content []byte, mode fs.FileMode) (temp string, err error) {
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*") // 0600
	if err != nil {
		return "", err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Chmod(f.Name(), mode)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // the error that counts is the first
	}
	return f.Name(), err
}
