package mpsim

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// sha256WithRSA is the HashAlgorithm that agents name today.
const sha256WithRSA = "1.2.840.113549.1.1.11"

// sign signs as agents do: PKCS #1 v1.5 over SHA-256, the bytes reversed as
// CryptoAPI has them, in upper-case hex.
func sign(key *rsa.PrivateKey, data []byte) (string, error) {
	digest := sha256.Sum256(data)
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	slices.Reverse(signature)
	return upperHex(signature), nil
}

// verify takes what management points take: SHA-256 or SHA-1, with DigestInfo
// or as a bare hash.
func verify(key *rsa.PublicKey, data []byte, text string) bool {
	signature, err := hex.DecodeString(text)
	if err != nil {
		return false
	}
	slices.Reverse(signature)
	long, short := sha256.Sum256(data), sha1.Sum(data)
	for _, trial := range []struct {
		hash   crypto.Hash
		digest []byte
	}{{crypto.SHA256, long[:]}, {0, long[:]}, {crypto.SHA1, short[:]}, {0, short[:]}} {
		if rsa.VerifyPKCS1v15(key, trial.hash, trial.digest, signature) == nil {
			return true
		}
	}
	return false
}

// publicKeyBlob is CryptoAPI's PUBLICKEYBLOB of a key: everything little-endian.
func publicKeyBlob(key *rsa.PublicKey) []byte {
	b := []byte{6, 2, 0, 0, 0x00, 0xA4, 0, 0, 'R', 'S', 'A', '1'}
	b = binary.LittleEndian.AppendUint32(b, uint32(8*key.Size()))
	b = binary.LittleEndian.AppendUint32(b, uint32(key.E))
	modulus := key.N.FillBytes(make([]byte, key.Size()))
	slices.Reverse(modulus)
	return append(b, modulus...)
}

func upperHex(b []byte) string { return strings.ToUpper(hex.EncodeToString(b)) }

func sha256Hex(b []byte) string {
	sum := sha256.Sum256(b)
	return upperHex(sum[:])
}
