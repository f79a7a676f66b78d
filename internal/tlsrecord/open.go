package tlsrecord

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"hash"

	"golang.org/x/crypto/chacha20poly1305"
)

// Secrets are those by which TLS 1.3 encrypts its handshake: what each side says
// from the ServerHello to its Finished. They do not open application data. The
// zero value has none.
type Secrets struct {
	// Client and Server are the handshake traffic secrets (RFC 8446, 7.1).
	Client, Server []byte
}

// maxSecret is more than the secret of any hash has.
const maxSecret = 64

// Write takes lines of a key log in NSS format, as tls.Config.KeyLogWriter gives
// them, and keeps the secrets that it is for. It never fails.
func (s *Secrets) Write(lines []byte) (int, error) {
	for line := range bytes.Lines(lines) {
		words := bytes.Fields(line)
		if len(words) != 3 || len(words[2]) > 2*maxSecret {
			continue
		}
		secret, err := hex.DecodeString(string(words[2]))
		if err != nil {
			continue
		}
		switch string(words[0]) {
		case "CLIENT_HANDSHAKE_TRAFFIC_SECRET":
			s.Client = secret
		case "SERVER_HANDSHAKE_TRAFFIC_SECRET":
			s.Server = secret
		}
	}
	return len(lines), nil
}

// Open decrypts the handshake of a TLS 1.3 connection of which the TLS client
// and the TLS server sent these bytes, for [ParseOpened]. Nil means that there
// was nothing to open. The result is no longer than what it was made of.
func (s *Secrets) Open(client, server []byte) (openedClient, openedServer []byte) {
	t := Parse(client, server)
	suite, _ := t.Suite()
	if t.Version() != TLS13 {
		return nil, nil
	}
	return openStream(&t.Client, client, suite, s.Client), openStream(&t.Server, server, suite, s.Server)
}

// openStream writes a record in clear for each encrypted one of a stream, with
// what is in it. One that does not open, since it has another key, is written
// as application data without content. Nothing stands for records behind the
// last one that opens.
func openStream(s *Stream, data []byte, suite Suite, secret []byte) []byte {
	k := newRecordKey(suite, secret)
	if k == nil {
		return nil
	}
	var out []byte
	last := 0
	for i := range s.Records {
		r := &s.Records[i]
		if !r.sealed13() {
			continue
		}
		at := r.Offset
		kind, content := k.open(data[at:at+headerSize], data[at+headerSize:at+headerSize+r.Have])
		out = append(out, byte(kind), 3, 3, byte(len(content)>>8), byte(len(content)))
		out = append(out, content...)
		if kind != ContentApplicationData {
			last = len(out)
		}
	}
	return out[:last:last]
}

// sealed13 is true for a record of a kind that is encrypted in TLS 1.3.
func (r *Record) sealed13() bool { return r.Type == ContentApplicationData && r.Encrypted }

// recordKey opens the records of one side in their order.
type recordKey struct {
	aead cipher.AEAD
	iv   []byte
	// opened is how many records were, which is the number of the next one.
	opened uint64
}

// newRecordKey makes the key of a secret (RFC 8446, 7.3); nil for a suite that
// is not one of TLS 1.3, or a secret of another suite.
func newRecordKey(suite Suite, secret []byte) *recordKey {
	var (
		hashed  func() hash.Hash
		size    int
		newAEAD func([]byte) (cipher.AEAD, error)
	)
	switch suite {
	case 0x1301: // TLS_AES_128_GCM_SHA256
		hashed, size, newAEAD = sha256.New, 16, newGCM
	case 0x1302: // TLS_AES_256_GCM_SHA384
		hashed, size, newAEAD = sha512.New384, 32, newGCM
	case 0x1303: // TLS_CHACHA20_POLY1305_SHA256
		hashed, size, newAEAD = sha256.New, chacha20poly1305.KeySize, chacha20poly1305.New
	default:
		return nil
	}
	if len(secret) != hashed().Size() {
		return nil
	}
	key := expandLabel(hashed, secret, "key", size)
	aead, err := newAEAD(key)
	if err != nil {
		return nil
	}
	return &recordKey{aead: aead, iv: expandLabel(hashed, secret, "iv", aead.NonceSize())}
}

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// expandLabel is HKDF-Expand-Label without context (RFC 8446, 7.1).
func expandLabel(hashed func() hash.Hash, secret []byte, label string, size int) []byte {
	label = "tls13 " + label
	info := binary.BigEndian.AppendUint16(nil, uint16(size))
	info = append(info, byte(len(label)))
	info = append(append(info, label...), 0)
	out, err := hkdf.Expand(hashed, secret, string(info), size)
	if err != nil { // only for more than 255 hashes
		return make([]byte, size)
	}
	return out
}

// open reads a record: its content, and the type that it has inside (RFC 8446,
// 5.2). It gives application data without content for one that does not open.
func (k *recordKey) open(header, fragment []byte) (ContentType, []byte) {
	nonce := bytes.Clone(k.iv)
	for i := range 8 {
		nonce[len(nonce)-1-i] ^= byte(k.opened >> (8 * i))
	}
	inner, err := k.aead.Open(nil, nonce, fragment, header)
	if err != nil {
		return ContentApplicationData, nil
	}
	k.opened++
	inner = bytes.TrimRight(inner, "\x00") // padding, with the type before it
	if len(inner) == 0 {
		return ContentApplicationData, nil
	}
	kind, content := ContentType(inner[len(inner)-1]), inner[:len(inner)-1]
	if kind != ContentHandshake && kind != ContentAlert {
		return ContentApplicationData, nil
	}
	return kind, content
}

// openedRecords gives what [Secrets.Open] wrote, record by record.
type openedRecords []byte

// next is the next record of them; application data without content when there
// is none that fits a record of that length.
func (o *openedRecords) next(length int) (ContentType, []byte) {
	b := *o
	if len(b) < headerSize {
		return ContentApplicationData, nil
	}
	n := be16(b[3:])
	if n > len(b)-headerSize || n > length {
		*o = nil
		return ContentApplicationData, nil
	}
	*o = b[headerSize+n:]
	return ContentType(b[0]), b[headerSize : headerSize+n]
}
