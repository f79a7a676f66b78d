package decode

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"mpproxy/traffic"
)

// Signer makes the signatures of an agent.
type Signer struct {
	Key *rsa.PrivateKey
	// Certificate is the agent's, in DER. A registration is given it in place of
	// the one that it has, when its key is another one; nil leaves it.
	Certificate []byte
}

// Sign makes the signatures of a message again, for which it has to be decoded
// at depth Full. was are those of the message that it was made from, as
// VerifyWith found them: each signature is made in the same form (hash,
// DigestInfo, order of bytes, what is signed), and in hex of the same case. A
// signature whose form is not known is made as agents make it today.
//
// It returns the head and the body (without chunk framing; what the head says
// about its length is up to the caller), and what it has signed.
func (m *Message) Sign(s Signer, was []Signature) (head traffic.Head, body []byte, signed []string, err error) {
	w := &signing{m: m, Signer: s, was: was, head: m.wire.head}
	if body, err = m.Encode(); err != nil {
		return head, nil, nil, fmt.Errorf("sign: %w", err)
	}
	w.body = body
	for _, step := range []func() error{w.registration, w.hook, w.fields} {
		if err := step(); err != nil {
			return head, nil, nil, fmt.Errorf("sign: %w", err)
		}
	}
	return w.head, w.body, w.signed, nil
}

// signing is one Sign while it is under way.
type signing struct {
	m *Message
	Signer
	was    []Signature
	head   traffic.Head
	body   []byte
	signed []string
}

// again decodes what has been made so far.
func (w *signing) again() {
	w.m = Decode(Source{
		Dir: w.m.Dir, Head: w.head, Body: bytes.NewReader(w.body), Size: int64(len(w.body)), Framing: traffic.ByLength, Whole: true,
	}, Content)
}

// form is how a kind of signature was made before; the zero value is today's.
func (w *signing) form(what string) string {
	for _, s := range w.was {
		if s.What == what && s.Form != "" {
			return s.Form
		}
	}
	return ""
}

// make signs one of the inputs and gives the hex, in the case of old.
func (w *signing) make(what string, inputs []input, old string) (string, error) {
	form := w.form(what)
	data := inputs[0].data
	for _, in := range inputs {
		if strings.HasSuffix(form, ", "+in.name) {
			data = in.data
		}
	}
	sig, err := signAs(w.Key, form, data)
	if err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	w.signed = append(w.signed, what)
	text := strings.ToUpper(hex.EncodeToString(sig))
	if old != "" && old == strings.ToLower(old) {
		text = strings.ToLower(text)
	}
	return text, nil
}

// signAs signs in a form as Signature.Form writes it.
func signAs(key *rsa.PrivateKey, form string, data []byte) ([]byte, error) {
	h := hashes[0]
	for _, other := range hashes {
		if strings.HasPrefix(form, other.name+" ") {
			h = other
		}
	}
	block := h.sum(data)
	if !strings.Contains(form, " bare") {
		prefix, err := hex.DecodeString(h.prefix)
		if err != nil {
			return nil, err
		}
		block = append(prefix, block...)
	}
	// Hash 0 takes the block as it is: padding and no more.
	sig, err := rsa.SignPKCS1v15(nil, key, crypto.Hash(0), block)
	if err != nil {
		return nil, err
	}
	if !strings.Contains(form, "bytes in order") {
		slices.Reverse(sig)
	}
	return sig, nil
}

var (
	signatureValue = regexp.MustCompile(`(<(?:\w+:)?SignatureValue[^>]*>)([^<]*)(</)`)
	certificateIn  = map[string]*regexp.Regexp{
		"Signing":    regexp.MustCompile(`(<(?:\w+:)?Signing(?:\s[^>]*)?>)([^<]*)(</)`),
		"Encryption": regexp.MustCompile(`(<(?:\w+:)?Encryption(?:\s[^>]*)?>)([^<]*)(</)`),
	}
)

// registration signs <Data> of a registration, with its certificate changed to
// the signer's where that has another key.
func (w *signing) registration() error {
	s, ok := w.m.registrationSigned()
	if !ok {
		return nil
	}
	text := w.m.Text.String
	if len(w.Certificate) > 0 && (len(s.own) == 0 || !s.own[0].Public.Equal(&w.Key.PublicKey)) {
		cert := strings.ToUpper(hex.EncodeToString(w.Certificate))
		old := submatch(certificateIn["Signing"], text)
		if submatch(certificateIn["Encryption"], text) == old { // one certificate for both
			text = replaceIn(certificateIn["Encryption"], text, cert)
		}
		text = replaceIn(certificateIn["Signing"], text, cert)
	}
	data := dataElement(text)
	sig, err := w.make("registration", []input{{"<Data> as written", Text{String: data, Coding: w.m.Text.Coding}.Bytes()}}, s.hex)
	if err != nil {
		return err
	}
	text = replaceIn(signatureValue, text, sig)
	w.body, _, err = w.m.Edit(Edit{Text: &text})
	if err != nil {
		return err
	}
	w.again()
	return nil
}

func submatch(re *regexp.Regexp, text string) string {
	if found := re.FindStringSubmatch(text); found != nil {
		return found[2]
	}
	return ""
}

// replaceIn puts a value in place of an element's text, in the first place.
func replaceIn(re *regexp.Regexp, text, value string) string {
	at := re.FindStringSubmatchIndex(text)
	if at == nil {
		return text
	}
	return text[:at[4]] + value + text[at[5]:]
}

// hook signs what stands in the message's own header.
func (w *signing) hook() error {
	if w.m.Header == nil {
		return nil
	}
	hook := w.m.Header.Hook(hookAuth)
	header := w.m.HeaderText.String
	for _, s := range w.m.hookSigned(hook) {
		property := map[string]string{"payload": "PayloadSignature", "client id": "ClientIDSignature"}[s.what]
		if property == "" {
			continue // a boot media's token: its key is the media's, not the agent's
		}
		sig, err := w.make(s.what, s.inputs, s.hex)
		if err != nil {
			return err
		}
		header = setProperty(header, property, sig)
	}
	if key := hook.Get("PublicKey"); key != "" && !ownKey(key, &w.Key.PublicKey) {
		header = setProperty(header, "PublicKey", strings.ToUpper(hex.EncodeToString(blobOf(&w.Key.PublicKey))))
	}
	if header == w.m.HeaderText.String {
		return nil
	}
	var err error
	if w.body, _, err = w.m.Edit(Edit{Header: &header}); err != nil {
		return err
	}
	w.again()
	return nil
}

// setProperty changes a hook's property in the header's text.
func setProperty(header, name, value string) string {
	re := regexp.MustCompile(`(<(?:\w+:)?Property\s[^>]*Name\s*=\s*["']` + regexp.QuoteMeta(name) + `["'][^>]*>)((?:[^<]|<!\[CDATA\[[^\]]*\]\]>)*)(</)`)
	return replaceIn(re, header, value)
}

func ownKey(text string, pub *rsa.PublicKey) bool {
	return slices.ContainsFunc(blobKeys(text), func(k Key) bool { return k.Public.Equal(pub) })
}

// blobOf is a key as a PUBLICKEYBLOB of CryptoAPI.
func blobOf(pub *rsa.PublicKey) []byte {
	b := []byte{6, 2, 0, 0, 0, 0xA4, 0, 0, 'R', 'S', 'A', '1'}
	bits := uint32(pub.N.BitLen())
	for _, n := range []uint32{bits, uint32(pub.E)} {
		b = append(b, byte(n), byte(n>>8), byte(n>>16), byte(n>>24))
	}
	modulus := pub.N.FillBytes(make([]byte, (bits+7)/8))
	slices.Reverse(modulus)
	return append(b, modulus...)
}

// fields signs what stands in the HTTP head.
func (w *signing) fields() error {
	raw := w.head.Raw
	for _, f := range headSignatures {
		value, sig := w.head.Get(f.value), w.head.Get(f.signature)
		if value == "" || sig == "" {
			continue
		}
		fresh, err := w.make(f.what, textInputs("value", value), sig)
		if err != nil {
			return err
		}
		raw = SetField(raw, f.signature, fresh)
	}
	w.head = traffic.ParseHead(raw)
	return nil
}

// SetField puts another value in a head's field, the first of that name, and
// leaves all other bytes. A head without the field is returned as it is.
func SetField(raw []byte, name, value string) []byte {
	for _, f := range traffic.ParseHead(raw).Fields {
		if !strings.EqualFold(f.Name, name) {
			continue
		}
		line := raw[f.Offset:f.End]
		end := len(bytes.TrimRight(line, "\r\n"))
		colon := bytes.IndexByte(line, ':') + 1
		blank := len(line[colon:]) - len(bytes.TrimLeft(line[colon:end], " \t")) - (len(line) - end)
		out := append(bytes.Clone(raw[:f.Offset+colon+max(blank, 0)]), value...)
		return append(append(out, line[end:]...), raw[f.End:]...)
	}
	return raw
}
