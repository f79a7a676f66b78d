package decode

import (
	"bytes"
	"crypto/md5" // old senders sign with it; we only compare
	"crypto/rsa"
	"crypto/sha1" // as above
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"math/big"
	"slices"
	"strings"
)

// Key is a public key that somebody is known to sign with.
type Key struct {
	// Origin says where the key came from: "registration", "file client.cer".
	Origin string
	Public *rsa.PublicKey
}

// State is what became of checking a signature.
type State uint8

// The states of a signature.
const (
	// Unchecked means that there was no key to check with.
	Unchecked State = iota
	// Unfit means that no key and no known way of signing gives it.
	Unfit
	// Consistent means that it fits the key that the message itself carries,
	// which proves that the sender has that key and no more.
	Consistent
	// Verified means that it fits a key that was known before.
	Verified
)

// String is the state in words.
func (s State) String() string {
	return [...]string{"not checked", "does not fit", "fits its own key", "fits"}[s]
}

// Signature is one signature of a message and what became of checking it.
type Signature struct {
	// What says what is signed: "payload", "client id", "registration",
	// "registration hint", "token", "client id header", "timestamp".
	What  string
	State State
	// Key is the origin of the key that fits, "message itself" for the one
	// that came with the message; empty when none fits.
	Key string
	// Form says how the sender signs, which is a fingerprint of it: hash,
	// whether the hash stands in a DigestInfo, byte order, what was signed.
	Form string
}

// Words says what became of checking the signature.
func (s Signature) Words() string { return s.State.String() }

// messageItself is the origin of keys that came with what they verify.
const messageItself = "message itself"

// signed is a signature as it stands in the message.
type signed struct {
	what, hex string
	inputs    []input
	// own are the keys that the message itself has for it.
	own []Key
}

// input is one guess at the bytes that were signed.
type input struct {
	name string
	data []byte
}

// verify checks every signature of the message.
func (d *decoder) verify() {
	m := d.m
	m.Signatures = m.VerifyWith(d.Keys)
	var words []string
	for _, s := range m.Signatures {
		words = append(words, s.What+" "+s.Words())
	}
	if len(words) > 0 {
		m.Signature = strings.Join(words, ", ")
	}
}

// VerifyWith checks the message's signatures with keys from elsewhere and, for
// those that fit none of them, with the keys that the message brings along. It
// changes nothing. A message decoded at depth Summary has nothing to check.
func (m *Message) VerifyWith(keys []Key) []Signature {
	var all []Signature
	for _, s := range m.signed() {
		all = append(all, s.check(keys))
	}
	return all
}

// signed lists the signatures that the message has.
func (m *Message) signed() []signed {
	var all []signed
	if m.Header != nil {
		all = m.hookSigned(m.Header.Hook(hookAuth))
	}
	if s, ok := m.registrationSigned(); ok {
		all = append(all, s)
	}
	all = append(all, m.hintSigned()...)
	return append(all, m.headSigned()...)
}

func (m *Message) hookSigned(hook *Hook) []signed {
	var all []signed
	own := blobKeys(hook.Get("PublicKey"))
	if sig := hook.Get("PayloadSignature"); sig != "" && m.wire.payload != nil {
		all = append(all, signed{"payload", sig, []input{{"payload as sent", m.wire.payload}}, own})
	}
	if sig := hook.Get("ClientIDSignature"); sig != "" {
		all = append(all, signed{"client id", sig, idInputs(m.Header.SourceID), own})
	}
	if value, sig, ok := tokenLines(hook.Get("Token")); ok {
		all = append(all, signed{"token", sig, textInputs("value", value), own})
	}
	return all
}

// idInputs are the texts that senders sign as their client id.
func idInputs(id string) []input {
	all := textInputs("SourceID", id)
	if upper := strings.ToUpper(id); upper != id {
		all = append(all, textInputs("SourceID in capitals", upper)...)
	}
	return append(all, textInputs("SourceID with braces", "GUID:{"+bareID(id)+"}")...)
}

// textInputs are a text in UTF-16, with and without its terminator.
func textInputs(name, text string) []input {
	b := Text{String: text}.Bytes()
	return []input{
		{name + " and terminator", append(bytes.Clone(b), 0, 0)},
		{name + " without terminator", b},
	}
}

// tokenLines reads the lines of a boot media's token.
func tokenLines(text string) (value, sig string, ok bool) {
	for line := range strings.Lines(text) {
		key, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch {
		case strings.EqualFold(key, "ClientToken"):
			value = strings.TrimSpace(rest)
		case strings.EqualFold(key, "ClientTokenSignature"):
			sig = strings.TrimSpace(rest)
		}
	}
	return value, sig, value != "" && sig != ""
}

// registrationSigned is the signature inside of a registration. It covers the
// text of <Data> as it stands there, so it must not be written anew.
func (m *Message) registrationSigned() (signed, bool) {
	data := dataElement(m.Text.String)
	if data == "" {
		return signed{}, false
	}
	s := scanner{src: m.Text.String}
	sig, certificate := "", ""
	for s.next() {
		switch s.name {
		case "SignatureValue":
			sig = strings.TrimSpace(s.value())
		case "Signing":
			certificate = s.value()
		}
	}
	in := input{"<Data> as written", Text{String: data, Coding: m.Text.Coding}.Bytes()}
	return signed{"registration", sig, []input{in}, certificateKeys(certificate)}, sig != ""
}

// HintSignature is what [Signature] calls one that stands in a
// RegistrationHint: by it a client that is known already says who it was. It is
// meant to be made with the key that the site knows, so the message itself has
// no key for it.
const HintSignature = "registration hint"

func (m *Message) hintSigned() []signed {
	lines := m.hintLines()
	var all []signed
	for _, f := range headSignatures {
		value, sig := lines[strings.ToLower(f.value)], lines[strings.ToLower(f.signature)]
		if value != "" && sig != "" {
			all = append(all, signed{HintSignature, sig, textInputs("value", value), nil})
		}
	}
	return all
}

// HintClient is the client id that a registration's hint names, "" without a
// hint.
func (m *Message) HintClient() string { return m.hintLines()["ccmclientid"] }

// maxHintLines is how many lines of a hint are read.
const maxHintLines = 32

// hintLines are the lines NAME: VALUE of a registration's hint, names in lower
// case.
func (m *Message) hintLines() map[string]string {
	if !strings.Contains(m.Text.String, "<RegistrationHint") {
		return nil
	}
	s := scanner{src: m.Text.String}
	for s.next() {
		if s.name != "RegistrationHint" {
			continue
		}
		lines := map[string]string{}
		for line := range strings.Lines(s.value()) {
			if key, value, found := strings.Cut(line, ":"); found && len(lines) < maxHintLines {
				lines[strings.ToLower(strings.TrimSpace(key))] = strings.TrimSpace(value)
			}
		}
		return lines
	}
	return nil
}

// headSignatures are pairs of HTTP fields. One page of the product's own
// documentation spells the last with another s.
var headSignatures = []struct{ what, value, signature string }{
	{"token", "ClientToken", "ClientTokenSignature"},
	{"client id header", "CCMClientID", "CCMClientIDSignature"},
	{"timestamp", "CCMClientTimestamp", "CCMClientTimestampSignature"},
	{"timestamp", "CCMClientTimestamp", "CCMClientTimestampsSignature"},
}

func (m *Message) headSigned() []signed {
	var all []signed
	for _, f := range headSignatures {
		value, sig := m.wire.head.Get(f.value), m.wire.head.Get(f.signature)
		if value != "" && sig != "" {
			all = append(all, signed{f.what, sig, textInputs("value", value), nil})
		}
	}
	return all
}

// check tries the keys until one fits.
func (s signed) check(keys []Key) Signature {
	result := Signature{What: s.what}
	sig, err := hex.DecodeString(s.hex)
	if err != nil || len(sig) == 0 {
		result.State = Unfit
		return result
	}
	for i, list := range [...][]Key{keys, s.own} {
		for _, k := range list {
			result.State = Unfit
			form := fits(k.Public, sig, s.inputs)
			if form == "" {
				continue
			}
			result.Key, result.Form = k.Origin, form
			result.State = [...]State{Verified, Consistent}[i]
			if s.what == "registration" && i == 1 {
				// Its certificate is what it registers: nothing more is to be
				// had.
				result.State = Verified
			}
			return result
		}
	}
	return result
}

// hashes are what senders sign with, and how each begins in a DigestInfo,
// RFC 8017, 9.2.
var hashes = []struct {
	name   string
	sum    func([]byte) []byte
	prefix string
}{
	{"SHA-256", func(b []byte) []byte { h := sha256.Sum256(b); return h[:] }, "3031300d060960864801650304020105000420"},
	{"SHA-1", func(b []byte) []byte { h := sha1.Sum(b); return h[:] }, "3021300906052b0e03021a05000414"},
	{"SHA-384", func(b []byte) []byte { h := sha512.Sum384(b); return h[:] }, "3041300d060960864801650304020205000430"},
	{"SHA-512", func(b []byte) []byte { h := sha512.Sum512(b); return h[:] }, "3051300d060960864801650304020305000440"},
	{"MD5", func(b []byte) []byte { h := md5.Sum(b); return h[:] }, "3020300c06082a864886f70d020505000410"},
}

// fits says in which form a signature fits one of the inputs, or "".
// CryptoAPI writes signatures with the last byte first; the other order is
// tried too. One RSA operation shows what was signed, whatever the form.
func fits(pub *rsa.PublicKey, sig []byte, inputs []input) string {
	for _, reversed := range [...]bool{true, false} {
		s := slices.Clone(sig)
		order := "bytes in order"
		if reversed {
			slices.Reverse(s)
			order = "bytes reversed"
		}
		block := openBlock(pub, s)
		if block == nil {
			continue
		}
		for _, in := range inputs {
			if form := blockForm(block, in.data); form != "" {
				return joined(", ", form, order, in.name)
			}
		}
	}
	return ""
}

// blockForm says how an opened block holds the hash of data, or "".
func blockForm(block, data []byte) string {
	for _, h := range hashes {
		sum := h.sum(data)
		switch {
		case bytes.Equal(block, sum):
			return h.name + " bare"
		case hex.EncodeToString(block) == h.prefix+hex.EncodeToString(sum):
			return h.name + " with DigestInfo"
		}
	}
	return ""
}

// openBlock is what a PKCS #1 v1.5 signature holds behind its padding, or nil.
func openBlock(pub *rsa.PublicKey, sig []byte) []byte {
	size := (pub.N.BitLen() + 7) / 8
	if pub.N.BitLen() < 512 || pub.N.BitLen() > 16384 || pub.E < 2 || len(sig) != size {
		return nil
	}
	s := new(big.Int).SetBytes(sig)
	if s.Cmp(pub.N) >= 0 {
		return nil
	}
	block := s.Exp(s, big.NewInt(int64(pub.E)), pub.N).FillBytes(make([]byte, size))
	if block[0] != 0 || block[1] != 1 {
		return nil
	}
	i := 2
	for i < size && block[i] == 0xFF {
		i++
	}
	if i < 10 || i == size || block[i] != 0 {
		return nil
	}
	return block[i+1:]
}

// PublicKeyBlob reads a key in the form of CryptoAPI, a PUBLICKEYBLOB in hex;
// nil when it is none.
func PublicKeyBlob(text string) *rsa.PublicKey {
	keys := blobKeys(text)
	if len(keys) == 0 {
		return nil
	}
	return keys[0].Public
}

// blobKeys reads a PUBLICKEYBLOB. The modulus is little-endian; a tool that
// writes it the other way round is known, so both keys are returned.
func blobKeys(text string) []Key {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) < 20+64 || b[0] != 6 || string(b[8:12]) != "RSA1" {
		return nil
	}
	bits, e := binary.LittleEndian.Uint32(b[12:]), binary.LittleEndian.Uint32(b[16:])
	size := int(bits / 8)
	if bits%8 != 0 || size > len(b)-20 || size == 0 || e > 1<<31-1 {
		return nil
	}
	wrong := new(big.Int).SetBytes(b[20 : 20+size])
	modulus := slices.Clone(b[20 : 20+size])
	slices.Reverse(modulus)
	right := new(big.Int).SetBytes(modulus)
	return []Key{
		{messageItself, &rsa.PublicKey{N: right, E: int(e)}},
		{messageItself + ", modulus big-endian", &rsa.PublicKey{N: wrong, E: int(e)}},
	}
}

// certificateKeys reads the key of a certificate in hex.
func certificateKeys(text string) []Key {
	der, err := hex.DecodeString(strings.TrimSpace(text))
	if err != nil {
		return nil
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil
	}
	pub, ok := c.PublicKey.(*rsa.PublicKey)
	if !ok {
		return nil
	}
	return []Key{{messageItself, pub}}
}

// SigningKey is the key that a registration registers, nil in other messages.
// What the same client sends later is verified with it.
func (m *Message) SigningKey() *Key {
	s, ok := m.registrationSigned()
	if !ok || len(s.own) == 0 {
		return nil
	}
	return &Key{"registration", s.own[0].Public}
}

// signedWhat says what a header claims to be signed.
func (d *decoder) signedWhat() string {
	hook := d.m.Header.Hook(hookAuth)
	if hook == nil {
		return ""
	}
	id, payload, token := "", "", ""
	if hook.Get("PayloadSignature") != "" {
		payload = "payload"
	}
	if hook.Get("ClientIDSignature") != "" {
		id = "client id"
	}
	if hook.Get("Token") != "" {
		token = "token"
	}
	return joined(", ", payload, id, token)
}
