package mpsim

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
)

var (
	oidData          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidEnvelopedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 3}
	oidOAEP          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 7}
	oidAES256CBC     = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}
)

// The parts of RFC 5652 that a secret policy needs.
type (
	contentInfo struct {
		Type    asn1.ObjectIdentifier
		Content envelopedData `asn1:"explicit,tag:0"`
	}
	envelopedData struct {
		Version    int
		Recipients []recipientInfo `asn1:"set"`
		Content    encryptedContent
	}
	recipientInfo struct {
		Version   int
		Recipient issuerAndSerial
		Algorithm pkix.AlgorithmIdentifier
		Key       []byte
	}
	issuerAndSerial struct {
		Issuer asn1.RawValue
		Serial *big.Int
	}
	encryptedContent struct {
		Type      asn1.ObjectIdentifier
		Algorithm pkix.AlgorithmIdentifier
		Content   []byte `asn1:"tag:0"`
	}
)

// envelope encrypts to one recipient as current sites do: RSAES-OAEP with
// SHA-1 for the key, AES-256-CBC for the content.
func envelope(plain []byte, to *x509.Certificate) ([]byte, error) {
	public, ok := to.PublicKey.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("encrypt policy: the certificate's key is a %T", to.PublicKey)
	}
	secret := make([]byte, 32+aes.BlockSize)
	if _, err := rand.Read(secret); err != nil {
		return nil, fmt.Errorf("encrypt policy: %w", err)
	}
	key, iv := secret[:32], secret[32:]
	wrapped, err := rsa.EncryptOAEP(sha1.New(), rand.Reader, public, key, nil)
	if err != nil {
		return nil, fmt.Errorf("encrypt policy: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("encrypt policy: %w", err)
	}
	padded := pad(plain)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(padded, padded)
	ivDER, err := asn1.Marshal(iv)
	if err != nil {
		return nil, fmt.Errorf("encrypt policy: %w", err)
	}
	return asn1.Marshal(contentInfo{oidEnvelopedData, envelopedData{
		Recipients: []recipientInfo{{
			Recipient: issuerAndSerial{asn1.RawValue{FullBytes: to.RawIssuer}, to.SerialNumber},
			Algorithm: pkix.AlgorithmIdentifier{Algorithm: oidOAEP, Parameters: asn1.RawValue{FullBytes: []byte{0x30, 0}}},
			Key:       wrapped,
		}},
		Content: encryptedContent{oidData, pkix.AlgorithmIdentifier{Algorithm: oidAES256CBC, Parameters: asn1.RawValue{FullBytes: ivDER}}, padded},
	}})
}

// openEnvelope is the agent's side of envelope.
func openEnvelope(der []byte, key *rsa.PrivateKey) ([]byte, error) {
	var info contentInfo
	if rest, err := asn1.Unmarshal(der, &info); err != nil || len(rest) > 0 {
		return nil, fmt.Errorf("decrypt policy: not one CMS structure (%d bytes after it): %w", len(rest), err)
	}
	data := info.Content
	if len(data.Recipients) != 1 || !data.Content.Algorithm.Algorithm.Equal(oidAES256CBC) {
		return nil, errors.New("decrypt policy: not one recipient and AES-256-CBC")
	}
	secret, err := rsa.DecryptOAEP(sha1.New(), nil, key, data.Recipients[0].Key, nil)
	if err != nil {
		return nil, fmt.Errorf("decrypt policy: %w", err)
	}
	var iv []byte
	if _, err := asn1.Unmarshal(data.Content.Algorithm.Parameters.FullBytes, &iv); err != nil {
		return nil, fmt.Errorf("decrypt policy: %w", err)
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, fmt.Errorf("decrypt policy: %w", err)
	}
	content := data.Content.Content
	if len(iv) != aes.BlockSize || len(content) == 0 || len(content)%aes.BlockSize != 0 {
		return nil, errors.New("decrypt policy: not whole blocks")
	}
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(content, content)
	return unpad(content)
}

// pad is PKCS #7's, into fresh memory.
func pad(b []byte) []byte {
	n := aes.BlockSize - len(b)%aes.BlockSize
	return append(bytes.Clone(b), bytes.Repeat([]byte{byte(n)}, n)...)
}

func unpad(b []byte) ([]byte, error) {
	n := int(b[len(b)-1])
	if n == 0 || n > aes.BlockSize || n > len(b) {
		return nil, errors.New("decrypt policy: wrong padding")
	}
	return b[:len(b)-n], nil
}
