package decode

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// clientKey is the key that signed the samples of the wire.
func clientKey(t testing.TB) Key {
	t.Helper()
	c, err := x509.ParseCertificate(mustRead(t, samples+"wire/client.cer"))
	if err != nil {
		t.Fatal(err)
	}
	return Key{"file client.cer", c.PublicKey.(*rsa.PublicKey)}
}

func TestSamplesVerify(t *testing.T) {
	tests := []struct {
		file string
		want string
		// alone is the result without a key from elsewhere.
		alone string
	}{
		{"01-registration-request.http", "registration fits", "registration fits"},
		{"03-policy-request.http", "payload fits, client id fits", "payload fits its own key, client id fits its own key"},
		{"05-metering-request.http", "payload fits, client id fits", "payload fits its own key, client id fits its own key"},
		{"07-policy-body-request.http", "token fits", "token not checked"},
		{"09-osd-policy-request.http", "token fits", "token not checked"},
		{"11-state-request.http", "payload fits, client id fits", "payload fits its own key, client id fits its own key"},
	}
	for _, test := range tests {
		t.Run(test.file, func(t *testing.T) {
			s := source(mustRead(t, samples+"wire/"+test.file))
			if m := Decode(s, Full); m.Signature != test.alone {
				t.Errorf("without a key: %q, want %q", m.Signature, test.alone)
			}
			s.Keys = []Key{clientKey(t)}
			m := Decode(s, Full)
			if m.Signature != test.want {
				t.Errorf("with the key: %q, want %q", m.Signature, test.want)
			}
			for _, sig := range m.Signatures {
				if !strings.HasPrefix(sig.Form, "SHA-256 with DigestInfo, bytes reversed, ") {
					t.Errorf("%s was signed as %q", sig.What, sig.Form)
				}
			}
		})
	}
}

// The signature covers the payload as sent: over the inflated bytes it must
// not fit, or a wrong reading of the protocol would pass.
func TestSignatureCoversTheBytesAsSent(t *testing.T) {
	m := Decode(source(mustRead(t, samples+"wire/03-policy-request.http")), Full)
	m.wire.payload = m.wire.inflated
	if got := m.VerifyWith([]Key{clientKey(t)})[0]; got.State != Unfit {
		t.Errorf("signature over the inflated payload %v", got.State)
	}
}

func TestStrangersKeyDoesNotVerify(t *testing.T) {
	m := Decode(source(mustRead(t, samples+"wire/03-policy-request.http")), Full)
	stranger := testKey(t)
	for _, got := range m.VerifyWith([]Key{{"somebody", &stranger.PublicKey}}) {
		if got.State != Consistent || got.Key != messageItself {
			t.Errorf("%s %v by key of %q, want it to fit nothing but its own key", got.What, got.State, got.Key)
		}
	}
}

func testKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// blob writes a key as CryptoAPI does; with big the modulus is in the wrong
// order, as one tool writes it.
func blob(pub *rsa.PublicKey, big bool) string {
	modulus := pub.N.FillBytes(make([]byte, pub.Size()))
	if !big {
		slices.Reverse(modulus)
	}
	head := []byte{6, 2, 0, 0, 0, 0xA4, 0, 0, 'R', 'S', 'A', '1', 0, byte(pub.N.BitLen() >> 8), 0, 0, 1, 0, 1, 0}
	head[12] = byte(pub.N.BitLen())
	return fmt.Sprintf("%X", append(head, modulus...))
}

func TestForms(t *testing.T) {
	key := testKey(t)
	id := "GUID:5b1c7e40-9a3d-4f62-8e15-0d2a6c4b9f77"
	sum256 := func(b []byte) []byte { h := sha256.Sum256(b); return h[:] }
	sum1 := func(b []byte) []byte { h := sha1.Sum(b); return h[:] }
	tests := []struct {
		name, text string
		nul        bool
		sum        func([]byte) []byte
		hash       crypto.Hash
		straight   bool
		bigModulus bool
		want       string
	}{
		{"usual", id, true, sum256, crypto.SHA256, false, false, "SHA-256 with DigestInfo, bytes reversed, SourceID and terminator"},
		{"bare hash", id, true, sum256, 0, false, false, "SHA-256 bare, bytes reversed, SourceID and terminator"},
		{"old", id, true, sum1, crypto.SHA1, false, false, "SHA-1 with DigestInfo, bytes reversed, SourceID and terminator"},
		{"old, bare hash", id, true, sum1, 0, false, false, "SHA-1 bare, bytes reversed, SourceID and terminator"},
		{"no terminator", id, false, sum256, crypto.SHA256, false, false, "SHA-256 with DigestInfo, bytes reversed, SourceID without terminator"},
		{"capitals", strings.ToUpper(id), true, sum256, crypto.SHA256, false, false, "SHA-256 with DigestInfo, bytes reversed, SourceID in capitals and terminator"},
		{"braces", "GUID:{5b1c7e40-9a3d-4f62-8e15-0d2a6c4b9f77}", true, sum256, crypto.SHA256, false, true, "SHA-256 with DigestInfo, bytes reversed, SourceID with braces and terminator"},
		{"not reversed", id, true, sum256, crypto.SHA256, true, false, "SHA-256 with DigestInfo, bytes in order, SourceID and terminator"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			data := Text{String: test.text}.Bytes()
			if test.nul {
				data = append(data, 0, 0)
			}
			sig, err := rsa.SignPKCS1v15(nil, key, test.hash, test.sum(data))
			if err != nil {
				t.Fatal(err)
			}
			if !test.straight {
				slices.Reverse(sig)
			}
			m := &Message{Header: &Header{SourceID: id, Hooks: []Hook{{Name: hookAuth, Properties: []Property{
				{"PublicKey", blob(&key.PublicKey, test.bigModulus)},
				{"ClientIDSignature", hex.EncodeToString(sig)},
			}}}}}
			got := m.VerifyWith(nil)
			if len(got) != 1 || got[0].State != Consistent || got[0].Form != test.want {
				t.Errorf("got %+v, want form %q", got, test.want)
			}
		})
	}
}

// What a client registers is what verifies it later.
func TestSigningKey(t *testing.T) {
	m := Decode(source(mustRead(t, samples+"wire/01-registration-request.http")), Full)
	key, want := m.SigningKey(), clientKey(t)
	if key == nil || !key.Public.Equal(want.Public) {
		t.Fatalf("key of the registration is %+v", key)
	}
	later := Decode(source(mustRead(t, samples+"wire/03-policy-request.http")), Full)
	if got := later.VerifyWith([]Key{*key}); got[0].State != Verified || got[0].Key != "registration" {
		t.Errorf("later message %v by key of %q", got[0].State, got[0].Key)
	}
	if pub := PublicKeyBlob(later.Header.Hook(hookAuth).Get("PublicKey")); pub == nil || !pub.Equal(want.Public) {
		t.Error("PublicKey of the header is another one")
	}
	if later.SigningKey() != nil || PublicKeyBlob("0602") != nil {
		t.Error("a key was made of nothing")
	}
}

func TestEnvelope(t *testing.T) {
	request := Decode(source(mustRead(t, samples+"wire/07-policy-body-request.http")), Full)
	s := source(mustRead(t, samples+"wire/08-policy-body-reply.http"))
	s.Request = request
	m := Decode(s, Full)
	e := m.Envelope
	if e == nil {
		t.Fatal("not recognised")
	}
	want := Recipient{Issuer: "CN=SMS Signing Certificate (sample)", Algorithm: "RSA OAEP"}
	if len(e.Recipients) != 1 || e.Recipients[0].Issuer != want.Issuer || e.Recipients[0].Algorithm != want.Algorithm || e.Recipients[0].Serial == "" {
		t.Errorf("recipients are %+v", e.Recipients)
	}
	if e.Content != "AES-256-CBC" || e.Size != 848 || e.Partial {
		t.Errorf("content is %s, %d bytes, partial %v", e.Content, e.Size, e.Partial)
	}
	if m.Short != "encrypted, 1.3 kB" {
		t.Errorf("summary is %q", m.Short)
	}
}

// Indefinite lengths and strings in pieces are legal in CMS.
func TestEnvelopeBER(t *testing.T) {
	oid := func(hexadecimal string) []byte {
		b, _ := hex.DecodeString(hexadecimal)
		return b
	}
	seq := func(tag byte, parts ...[]byte) []byte {
		return append(append([]byte{tag, 0x80}, bytes.Join(parts, nil)...), 0, 0)
	}
	content := seq(0x30, oid("06092a864886f70d010701"),
		seq(0x30, oid("06082a864886f70d0307"), []byte{4, 2, 9, 9}),
		seq(0xA0, []byte{4, 3, 1, 2, 3}, []byte{4, 2, 4, 5}))
	whole := seq(0x30, oid("06092a864886f70d010703"), seq(0xA0, seq(0x30, []byte{2, 1, 0}, []byte{0x31, 0}, content)))
	e := parseEnvelope(whole)
	if e == nil || e.Size != 5 || e.Content != "3DES-CBC" {
		t.Errorf("got %+v", e)
	}
}
