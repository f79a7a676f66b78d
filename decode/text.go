package decode

import (
	"bytes"
	"encoding/binary"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Coding is how a text's characters became bytes.
type Coding uint8

// The codings. UTF16LE is what agents and management points write.
const (
	UTF16LE Coding = iota
	UTF16BE
	UTF8
)

// String is the coding's name.
func (c Coding) String() string {
	return [...]string{"UTF-16LE", "UTF-16BE", "UTF-8"}[c]
}

// unit is how many bytes a code unit has.
func (c Coding) unit() int {
	if c == UTF8 {
		return 1
	}
	return 2
}

// Text is a string and how it was written: Bytes gives back exactly the bytes
// that DecodeText was given, whatever was wrong with them.
type Text struct {
	// String is the text up to the first U+0000, in valid UTF-8. Code units
	// that are no character are U+FFFD here and stand in Broken.
	String string
	Coding Coding
	// BOM is true when a byte order mark came first. It is not in String.
	BOM bool
	// Tail are the bytes from the first U+0000 on, as they stood: terminators,
	// stray bytes, whatever somebody hid behind them.
	Tail []byte
	// Broken are unpaired surrogates, or bytes that are no UTF-8.
	Broken []BrokenUnit
}

// BrokenUnit is a code unit that is no character.
type BrokenUnit struct {
	// At is the offset in Text.String of the U+FFFD that stands for it.
	At   int
	Unit uint16
}

// Terminators counts the U+0000 that begin the tail.
func (t Text) Terminators() int {
	n, unit := 0, t.Coding.unit()
	for b := t.Tail; len(b) >= unit && allZero(b[:unit]); b = b[unit:] {
		n++
	}
	return n
}

// Stray are the bytes after the terminators.
func (t Text) Stray() []byte {
	return t.Tail[min(t.Terminators()*t.Coding.unit(), len(t.Tail)):]
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// DecodeText reads bytes as text. The coding is told by the byte order mark,
// else by where the zero bytes are.
func DecodeText(b []byte) Text {
	coding, bom := sniffCoding(b)
	return decodeAs(b, coding, bom)
}

// sniffCoding tells the coding, and how long the byte order mark is.
func sniffCoding(b []byte) (Coding, int) {
	switch {
	case bytes.HasPrefix(b, []byte{0xFF, 0xFE}):
		return UTF16LE, 2
	case bytes.HasPrefix(b, []byte{0xFE, 0xFF}):
		return UTF16BE, 2
	case bytes.HasPrefix(b, []byte{0xEF, 0xBB, 0xBF}):
		return UTF8, 3
	}
	var even, odd, both int
	head := b[:min(len(b), 64)&^1]
	for i := 0; i < len(head); i += 2 {
		switch first, second := head[i] != 0, head[i+1] != 0; {
		case first && second:
			both++
		case first:
			odd++
		case second:
			even++
		}
	}
	switch {
	case bytes.HasPrefix(b, []byte{'<', 0}):
		return UTF16LE, 0
	case both > max(odd, even):
		return UTF8, 0
	case even > odd:
		return UTF16BE, 0
	}
	return UTF16LE, 0
}

// decodeAs reads bytes in a known coding, whose first bom bytes are a mark.
func decodeAs(b []byte, coding Coding, bom int) Text {
	t := Text{Coding: coding, BOM: bom > 0}
	var used int
	switch coding {
	case UTF8:
		used = t.fromUTF8(b[bom:])
	case UTF16BE:
		used = t.fromUTF16(b[bom:], binary.BigEndian)
	default:
		used = t.fromUTF16(b[bom:], binary.LittleEndian)
	}
	if rest := b[bom+used:]; len(rest) > 0 {
		t.Tail = rest
	}
	return t
}

// Four code units at once are plain ASCII and not zero when no bit of ascii
// is set and adding addend carries into every bit of carried.
const (
	ascii   = 0xFF80_FF80_FF80_FF80
	addend  = 0x007F_007F_007F_007F
	carried = 0x0080_0080_0080_0080
)

// fromUTF16 sets String and Broken, and returns how many bytes they stand for.
// It goes on by hand because x/text takes ten times as long for what is
// nearly always ASCII.
func (t *Text) fromUTF16(b []byte, order binary.ByteOrder) int {
	var (
		out   strings.Builder
		chunk [512]byte
		n     int
		i     int
	)
	little := order == binary.LittleEndian
	out.Grow(len(b)/2 + 8)
	for i+1 < len(b) {
		if n > len(chunk)-8 {
			out.Write(chunk[:n])
			n = 0
		}
		if little && i+8 <= len(b) {
			v := binary.LittleEndian.Uint64(b[i:])
			if v&ascii == 0 && (v+addend)&carried == carried {
				v |= v >> 8
				binary.LittleEndian.PutUint32(chunk[n:], uint32(v&0xFFFF|v>>16&0xFFFF_0000))
				n += 4
				i += 8
				continue
			}
		}
		u := order.Uint16(b[i:])
		switch {
		case u == 0:
			out.Write(chunk[:n])
			t.String = out.String()
			return i
		case u < utf8.RuneSelf:
			chunk[n] = byte(u)
			n++
		case !utf16.IsSurrogate(rune(u)):
			n += utf8.EncodeRune(chunk[n:], rune(u))
		default:
			r := rune(utf8.RuneError)
			if i+3 < len(b) {
				r = utf16.DecodeRune(rune(u), rune(order.Uint16(b[i+2:])))
			}
			if r == utf8.RuneError {
				t.Broken = append(t.Broken, BrokenUnit{out.Len() + n, u})
			} else {
				i += 2
			}
			n += utf8.EncodeRune(chunk[n:], r)
		}
		i += 2
	}
	out.Write(chunk[:n])
	t.String = out.String()
	return i
}

// fromUTF8 is fromUTF16 for text that should not have been sent.
func (t *Text) fromUTF8(b []byte) int {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	if utf8.Valid(b) {
		t.String = string(b)
		return len(b)
	}
	var out strings.Builder
	out.Grow(len(b) + 16)
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			t.Broken = append(t.Broken, BrokenUnit{out.Len(), uint16(b[i])})
		}
		out.WriteRune(r)
		i += n
	}
	t.String = out.String()
	return len(b)
}

// Bytes writes the text as it was written.
func (t Text) Bytes() []byte {
	out := make([]byte, 0, 3+len(t.String)*t.Coding.unit()+len(t.Tail))
	if t.BOM {
		out = append(out, [...]string{"\xFF\xFE", "\xFE\xFF", "\xEF\xBB\xBF"}[t.Coding]...)
	}
	broken := t.Broken
	for at, r := range t.String {
		if len(broken) > 0 && broken[0].At == at && r == utf8.RuneError {
			out = t.Coding.appendUnit(out, broken[0].Unit)
			broken = broken[1:]
			continue
		}
		out = t.Coding.appendRune(out, r)
	}
	return append(out, t.Tail...)
}

func (c Coding) appendUnit(out []byte, u uint16) []byte {
	switch c {
	case UTF8:
		return append(out, byte(u))
	case UTF16BE:
		return binary.BigEndian.AppendUint16(out, u)
	}
	return binary.LittleEndian.AppendUint16(out, u)
}

func (c Coding) appendRune(out []byte, r rune) []byte {
	switch {
	case c == UTF8:
		return utf8.AppendRune(out, r)
	case r < 0x10000:
		return c.appendUnit(out, uint16(r))
	}
	high, low := utf16.EncodeRune(r)
	return c.appendUnit(c.appendUnit(out, uint16(high)), uint16(low))
}

// With is the text with another string, written in the same way. Broken units
// outside of what changed stay.
func (t Text) With(s string) Text {
	same := commonPrefix(t.String, s)
	rest := commonPrefixBackwards(t.String[same:], s[same:])
	var kept []BrokenUnit
	for _, u := range t.Broken {
		switch {
		case u.At < same:
			kept = append(kept, u)
		case u.At >= len(t.String)-rest:
			kept = append(kept, BrokenUnit{u.At + len(s) - len(t.String), u.Unit})
		}
	}
	t.String, t.Broken = s, kept
	return t
}

// commonPrefix is how many bytes of whole characters two strings begin with
// alike.
func commonPrefix(a, b string) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	for n > 0 && (n < len(a) && !utf8.RuneStart(a[n]) || n < len(b) && !utf8.RuneStart(b[n])) {
		n--
	}
	return n
}

func commonPrefixBackwards(a, b string) int {
	n := 0
	for n < min(len(a), len(b)) && a[len(a)-1-n] == b[len(b)-1-n] {
		n++
	}
	for n > 0 && !utf8.RuneStart(a[len(a)-n]) {
		n--
	}
	return n
}
