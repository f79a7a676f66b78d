package tlsrecord

import (
	"encoding/asn1"
	"encoding/hex"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Name writes a distinguished name as RFC 4514 does, the most specific part
// first: "CN=Issuing CA 1,DC=contoso,DC=example". What cannot be printed is
// escaped. What is no name in DER is given as '#' and its bytes in hex, not
// more than 64 of them.
func Name(der []byte) string {
	in := cryptobyte.String(der)
	var name cryptobyte.String
	if !in.ReadASN1(&name, cbasn1.SEQUENCE) || !in.Empty() {
		return hexBytes(der)
	}
	var parts []string
	for !name.Empty() {
		part, ok := readRDN(&name)
		if !ok {
			return hexBytes(der)
		}
		parts = append(parts, part)
	}
	slices.Reverse(parts)
	return strings.Join(parts, ",")
}

func hexBytes(b []byte) string {
	const most = 64
	if len(b) > most {
		return "#" + hex.EncodeToString(b[:most]) + "…"
	}
	return "#" + hex.EncodeToString(b)
}

// readRDN reads a set of attributes, usually one.
func readRDN(name *cryptobyte.String) (string, bool) {
	var set cryptobyte.String
	if !name.ReadASN1(&set, cbasn1.SET) {
		return "", false
	}
	var attributes []string
	for !set.Empty() {
		var attribute, value cryptobyte.String
		var oid asn1.ObjectIdentifier
		var tag cbasn1.Tag
		if !set.ReadASN1(&attribute, cbasn1.SEQUENCE) || !attribute.ReadASN1ObjectIdentifier(&oid) ||
			!attribute.ReadAnyASN1(&value, &tag) {
			return "", false
		}
		attributes = append(attributes, attributeName(oid)+"="+attributeValue(value, tag))
	}
	return strings.Join(attributes, "+"), true
}

// attributeNames are those of RFC 4514 and those that Windows shows.
var attributeNames = map[string]string{
	"2.5.4.3":                    "CN",
	"2.5.4.4":                    "SN",
	"2.5.4.5":                    "SERIALNUMBER",
	"2.5.4.6":                    "C",
	"2.5.4.7":                    "L",
	"2.5.4.8":                    "ST",
	"2.5.4.9":                    "STREET",
	"2.5.4.10":                   "O",
	"2.5.4.11":                   "OU",
	"2.5.4.12":                   "T",
	"2.5.4.17":                   "POSTALCODE",
	"2.5.4.42":                   "G",
	"0.9.2342.19200300.100.1.1":  "UID",
	"0.9.2342.19200300.100.1.25": "DC",
	"1.2.840.113549.1.9.1":       "E",
}

func attributeName(oid asn1.ObjectIdentifier) string {
	if name, ok := attributeNames[oid.String()]; ok {
		return name
	}
	return oid.String()
}

// attributeValue reads the kinds of strings that names are made of.
func attributeValue(b []byte, tag cbasn1.Tag) string {
	const numericString, bmpString, universalString = 18, 30, 28
	switch tag {
	case cbasn1.UTF8String, cbasn1.PrintableString, cbasn1.IA5String, cbasn1.Tag(numericString):
		if utf8.Valid(b) {
			return escapeValue(string(b))
		}
	case cbasn1.T61String:
		return escapeValue(latin1(b))
	case cbasn1.Tag(bmpString):
		if len(b)%2 == 0 {
			units := make([]uint16, len(b)/2)
			for i := range units {
				units[i] = uint16(be16(b[2*i:]))
			}
			return escapeValue(string(utf16.Decode(units)))
		}
	case cbasn1.Tag(universalString):
		if len(b)%4 == 0 {
			runes := make([]rune, len(b)/4)
			for i := range runes {
				runes[i] = rune(be16(b[4*i:])<<16 | be16(b[4*i+2:]))
			}
			return escapeValue(string(runes))
		}
	}
	return hexBytes(b)
}

// latin1 is how T61String is used, whatever its standard says.
func latin1(b []byte) string {
	runes := make([]rune, len(b))
	for i, c := range b {
		runes[i] = rune(c)
	}
	return string(runes)
}

// escapeValue escapes as RFC 4514, 2.4 asks, and all that cannot be printed.
func escapeValue(s string) string {
	const digits = "0123456789ABCDEF"
	var out strings.Builder
	for i, r := range s {
		size := utf8.RuneLen(r)
		last := i+size >= len(s)
		switch {
		case !unicode.IsPrint(r):
			for _, b := range utf8.AppendRune(nil, r) {
				out.Write([]byte{'\\', digits[b>>4], digits[b&15]})
			}
		case strings.ContainsRune(`,+"\<>;`, r), i == 0 && (r == ' ' || r == '#'), last && r == ' ':
			out.WriteByte('\\')
			out.WriteRune(r)
		default:
			out.WriteRune(r)
		}
	}
	return out.String()
}
