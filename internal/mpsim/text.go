package mpsim

import (
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"regexp"
	"strings"
	"unicode/utf16"
)

var bom = []byte{0xFF, 0xFE}

// toUTF16 is the text in UTF-16LE, without mark and terminator.
func toUTF16(s string) []byte {
	units := utf16.Encode([]rune(s))
	b := make([]byte, 0, 2*len(units))
	for _, u := range units {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

// withBOM is the form of header parts, attachments and policy bodies.
func withBOM(s string) []byte { return append(bytes.Clone(bom), toUTF16(s)...) }

// withNUL is the form of message bodies and of signed values.
func withNUL(s string) []byte { return append(toUTF16(s), 0, 0) }

// fromUTF16 undoes all three. An odd last byte is dropped, and so is what
// follows the first NUL.
func fromUTF16(b []byte) string {
	b = bytes.TrimPrefix(b, bom)
	units := make([]uint16, 0, len(b)/2)
	for ; len(b) >= 2; b = b[2:] {
		u := binary.LittleEndian.Uint16(b)
		if u == 0 {
			break
		}
		units = append(units, u)
	}
	return string(utf16.Decode(units))
}

var betweenTags = regexp.MustCompile(`>\s+<`)

// fill makes a document from a template: line breaks between tags go, and
// «name» becomes the value that follows name in pairs, escaped for XML.
func fill(template string, pairs ...string) string {
	values := make([]string, len(pairs))
	for i := 0; i < len(pairs); i += 2 {
		values[i], values[i+1] = "«"+pairs[i]+"»", escape(pairs[i+1])
	}
	return strings.NewReplacer(values...).Replace(compact(template))
}

func compact(template string) string {
	return strings.TrimSpace(betweenTags.ReplaceAllString(template, "><"))
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder takes everything
	return b.String()
}

// raw puts finished XML into a document that fill made: it replaces the
// element <slot name="…"/>.
func raw(document, slot, content string) string {
	return strings.Replace(document, `<slot name="`+slot+`"/>`, content, 1)
}

// rootName is the local name of a document's root element; empty when there is
// none.
func rootName(document string) string {
	d := xml.NewDecoder(strings.NewReader(withoutDeclaration(document)))
	for {
		token, err := d.Token()
		if err != nil {
			return ""
		}
		if start, ok := token.(xml.StartElement); ok {
			return start.Name.Local
		}
	}
}

var declaration = regexp.MustCompile(`^\s*<\?xml[^>]*\?>`)

// withoutDeclaration cuts <?xml …?> off, since the text is no longer in the
// encoding that it names.
func withoutDeclaration(document string) string {
	return declaration.ReplaceAllString(document, "")
}

// parse reads a document into a struct.
func parse(document string, into any) error {
	return xml.Unmarshal([]byte(withoutDeclaration(document)), into)
}

// elementNamed is the text from <name> to the last </name>, byte for byte; the
// element has no attributes.
func elementNamed(document, name string) (string, bool) {
	from := strings.Index(document, "<"+name+">")
	end := "</" + name + ">"
	to := strings.LastIndex(document, end)
	if from < 0 || to < from {
		return "", false
	}
	return document[from : to+len(end)], true
}

func without(document, part string) string { return strings.Replace(document, part, "", 1) }
