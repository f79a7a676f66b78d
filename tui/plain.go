package tui

import (
	"fmt"
	"strconv"
	"strings"

	"mpproxy/internal/view"
)

// maxShown is how many bytes of a body are shown at once.
const maxShown = 256 << 10

// clip is the part of a text that is shown.
func clip(s string) string {
	if len(s) <= maxShown {
		return s
	}
	return strings.ToValidUTF8(s[:maxShown], "")
}

func tooLong(shown, of int) line {
	words := fmt.Sprintf("the first %s of %s bytes; mpproxy show prints all of them", grouped(int64(shown)), grouped(int64(of)))
	return line{pieces: []piece{{words, roleNote}}}
}

// plainText is text that is no XML: line by line.
func plainText(s string, f view.Format) *text {
	shown := clip(s)
	var lines []line
	for l := range strings.SplitSeq(strings.TrimSuffix(shown, "\n"), "\n") {
		lines = append(lines, line{pieces: []piece{{view.Clean(strings.TrimSuffix(l, "\r"), f.ASCII), roleText}}, last: len(lines)})
	}
	if len(shown) < len(s) {
		lines = append(lines, tooLong(len(shown), len(s)))
	}
	return newText(sealed(lines))
}

// sealed are lines without blocks.
func sealed(lines []line) []line {
	for i := range lines {
		lines[i].last = i
	}
	return lines
}

// hexText is a dump of bytes.
func hexText(b []byte) *text {
	shown := b[:min(len(b), maxShown)]
	var lines []line
	for at := 0; at < len(shown); at += 16 {
		lines = append(lines, hexLine(at, shown[at:min(at+16, len(shown))]))
	}
	if len(shown) < len(b) {
		lines = append(lines, tooLong(len(shown), len(b)))
	}
	if len(b) == 0 {
		lines = append(lines, line{pieces: []piece{{"no bytes", roleDim}}})
	}
	t := newText(sealed(lines))
	t.wrap = false
	return t
}

// hexLine is up to sixteen bytes. Zeros are dim, so that UTF-16 can be read.
func hexLine(at int, b []byte) line {
	l := line{pieces: []piece{{fmt.Sprintf("%08x  ", at), roleDim}}}
	for i := range 16 {
		text, r := "   ", roleText
		if i < len(b) {
			text = fmt.Sprintf("%02x ", b[i])
			if b[i] == 0 {
				r = roleZero
			}
		}
		if i == 7 {
			text += " "
		}
		l.pieces = append(l.pieces, piece{text, r})
	}
	ascii := []byte(" ")
	for _, c := range b {
		if c < 0x20 || c > 0x7e {
			c = '.'
		}
		ascii = append(ascii, c)
	}
	l.pieces = append(l.pieces, piece{string(ascii), roleValue})
	return l
}

func itoa(n int) string { return strconv.Itoa(n) }

// count is a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return grouped(int64(n)) + " " + noun + "s"
}
