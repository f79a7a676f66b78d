package decode

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
)

// Envelope is an encrypted payload, CMS EnvelopedData (RFC 5652, 6): what can
// be told of it without the key.
type Envelope struct {
	// Recipients are those who can open it.
	Recipients []Recipient
	// Content is the algorithm of the content, Size the encrypted bytes.
	Content string
	Size    int64
	// Partial is true when not all of it was seen.
	Partial bool
}

// Recipient is who can open an envelope.
type Recipient struct {
	// Issuer and Serial name the certificate; Issuer is as the certificate
	// writes it, Serial in hex.
	Issuer, Serial string
	// Algorithm is how the content's key is encrypted.
	Algorithm string
}

// algorithms are the names of the object identifiers that are seen.
var algorithms = map[string]string{
	"1.2.840.113549.1.1.1":    "RSA PKCS #1 v1.5",
	"1.2.840.113549.1.1.7":    "RSA OAEP",
	"1.2.840.113549.3.7":      "3DES-CBC",
	"2.16.840.1.101.3.4.1.2":  "AES-128-CBC",
	"2.16.840.1.101.3.4.1.22": "AES-192-CBC",
	"2.16.840.1.101.3.4.1.42": "AES-256-CBC",
}

const oidEnvelopedData = "1.2.840.113549.1.7.3"

func algorithmName(oid string) string {
	if name := algorithms[oid]; name != "" {
		return name
	}
	return oid
}

// parseEnvelope reads the outer structure; nil when it is no EnvelopedData.
// The encoding is BER: lengths may be indefinite, strings in pieces.
func parseEnvelope(b []byte) *Envelope {
	outer := ber{rest: b}
	content, ok := outer.next()
	if !ok || content.tag != 0x30 {
		return nil
	}
	in := content.children()
	kind, ok := in.next()
	if !ok || kind.oid() != oidEnvelopedData {
		return nil
	}
	e := &Envelope{Partial: content.cut}
	wrapped, ok := in.next()
	if !ok {
		return e
	}
	data, _ := wrapped.only()
	fields := data.children()
	for {
		f, ok := fields.next()
		if !ok {
			return e
		}
		switch f.tag {
		case 0x31:
			if e.Recipients == nil {
				e.recipients(f)
			}
		case 0x30:
			e.content(f)
		}
	}
}

// maxRecipients bounds what is read of an envelope; agents get one.
const maxRecipients = 16

func (e *Envelope) recipients(set element) {
	in := set.children()
	for len(e.Recipients) < maxRecipients {
		info, ok := in.next()
		if !ok {
			return
		}
		var r Recipient
		fields := info.children()
		fields.next() // version
		id, _ := fields.next()
		algorithm, _ := fields.next()
		first, _ := algorithm.only()
		r.Algorithm = algorithmName(first.oid())
		names := id.children()
		issuer, _ := names.next()
		serial, _ := names.next()
		r.Issuer = issuerName(issuer.raw)
		if serial.tag == 0x02 {
			r.Serial = fmt.Sprintf("%X", new(big.Int).SetBytes(serial.body))
		}
		e.Recipients = append(e.Recipients, r)
	}
}

func issuerName(der []byte) string {
	var name pkix.RDNSequence
	if _, err := asn1.Unmarshal(der, &name); err != nil {
		return ""
	}
	return clipName(name.String())
}

func (e *Envelope) content(info element) {
	in := info.children()
	in.next() // type of the content
	algorithm, _ := in.next()
	first, _ := algorithm.only()
	e.Content = algorithmName(first.oid())
	data, ok := in.next()
	if !ok {
		return
	}
	if data.tag&0x20 == 0 {
		e.Size = int64(len(data.body))
		return
	}
	for pieces := data.children(); ; {
		p, ok := pieces.next()
		if !ok {
			return
		}
		e.Size += int64(len(p.body))
	}
}

// ber reads elements of BER one after the other.
type ber struct{ rest []byte }

// element is one element: its tag byte, its content, and both with the length
// as they stood.
type element struct {
	tag       byte
	body, raw []byte
	// cut is true when the content ends before its length says so.
	cut bool
}

// next reads the next element; false at the end, or where there is none.
func (r *ber) next() (element, bool) {
	b := r.rest
	if len(b) < 2 || b[0] == 0 && b[1] == 0 || b[0]&0x1F == 0x1F {
		return element{}, false
	}
	if b[1] == 0x80 {
		n := indefiniteEnd(b[2:], 0)
		e := element{tag: b[0], body: b[2 : 2+n], raw: b[:2+n]}
		r.rest = bytes.TrimPrefix(b[2+n:], []byte{0, 0})
		return e, true
	}
	size, used := berLength(b[1:])
	if used == 0 {
		return element{}, false
	}
	head := 1 + used
	e := element{tag: b[0]}
	end := len(b)
	if size <= len(b)-head {
		end = head + size
	} else {
		e.cut = true
	}
	e.body, e.raw = b[head:end], b[:end]
	r.rest = b[end:]
	return e, true
}

// berLength reads a definite length, and how many bytes it took; 0 bytes mean
// that it is none.
func berLength(b []byte) (size, used int) {
	if b[0] < 0x80 {
		return int(b[0]), 1
	}
	n := int(b[0] & 0x7F)
	if n == 0 || n > 4 || len(b) < 1+n {
		return 0, 0
	}
	for _, c := range b[1 : 1+n] {
		size = size<<8 | int(c)
	}
	return size, 1 + n
}

// indefiniteEnd is the length of a content that ends with two zero bytes.
func indefiniteEnd(b []byte, depth int) int {
	r := ber{rest: b}
	for depth < 8 {
		before := r.rest
		if len(before) < 2 || before[0] == 0 && before[1] == 0 {
			return len(b) - len(before)
		}
		if before[1] == 0x80 {
			n := indefiniteEnd(before[2:], depth+1)
			r.rest = bytes.TrimPrefix(before[2+n:], []byte{0, 0})
			continue
		}
		if _, ok := r.next(); !ok {
			break
		}
	}
	return len(b)
}

// children reads what is inside.
func (e element) children() *ber { return &ber{rest: e.body} }

// only is the first of what is inside.
func (e element) only() (element, bool) { return e.children().next() }

// oid is an object identifier in dots, or "".
func (e element) oid() string {
	var id asn1.ObjectIdentifier
	if e.tag != 0x06 {
		return ""
	}
	if _, err := asn1.Unmarshal(e.raw, &id); err != nil {
		return ""
	}
	return id.String()
}
