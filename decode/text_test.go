package decode

import (
	"strings"
	"testing"
)

func TestText(t *testing.T) {
	tests := []struct {
		name, bytes, want string
		coding            Coding
		bom               bool
		terminators       int
		stray             string
		broken            []BrokenUnit
	}{
		{"empty", "", "", UTF16LE, false, 0, "", nil},
		{"agent's body", "<\x00a\x00/\x00>\x00\x00\x00", "<a/>", UTF16LE, false, 1, "", nil},
		{"mark", "\xFF\xFE<\x00a\x00", "<a", UTF16LE, true, 0, "", nil},
		{"line end after the terminator", "<\x00a\x00\x00\x00\r\n", "<a", UTF16LE, false, 1, "\r\n", nil},
		{"odd length", "<\x00a\x00\x00\x00\x00", "<a", UTF16LE, false, 1, "\x00", nil},
		{"two terminators", "<\x00a\x00\x00\x00\x00\x00", "<a", UTF16LE, false, 2, "", nil},
		{"text behind", "<\x00\x00\x00x\x00", "<", UTF16LE, false, 1, "x\x00", nil},
		{"big endian", "\x00<\x00a\x00\x00", "<a", UTF16BE, false, 1, "", nil},
		{"big endian with mark", "\xFE\xFF\x00<", "<", UTF16BE, true, 0, "", nil},
		{"UTF-8", "<abc/>", "<abc/>", UTF8, false, 0, "", nil},
		{"UTF-8 with mark", "\xEF\xBB\xBF<a/>\x00", "<a/>", UTF8, true, 1, "", nil},
		{"surrogate pair", "<\x00\x34\xD8\x1E\xDD", "<𝄞", UTF16LE, false, 0, "", nil},
		{"half a pair", "<\x00\x34\xD8x\x00", "<\uFFFDx", UTF16LE, false, 0, "", []BrokenUnit{{1, 0xD834}}},
		{"half a pair at the end", "<\x00\x1E\xDD", "<\uFFFD", UTF16LE, false, 0, "", []BrokenUnit{{1, 0xDD1E}}},
		{"no UTF-8", "<ab\xFFc/>", "<ab\uFFFDc/>", UTF8, false, 0, "", []BrokenUnit{{3, 0xFF}}},
		{"east", "<\x00\x0D\x54\x4D\x52", "<名前", UTF16LE, false, 0, "", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := DecodeText([]byte(test.bytes))
			if got.String != test.want || got.Coding != test.coding || got.BOM != test.bom ||
				got.Terminators() != test.terminators || string(got.Stray()) != test.stray || len(got.Broken) != len(test.broken) {
				t.Errorf("got %+v", got)
			}
			for i, u := range test.broken {
				if got.Broken[i] != u {
					t.Errorf("broken unit %+v, want %+v", got.Broken[i], u)
				}
			}
			if string(got.Bytes()) != test.bytes {
				t.Errorf("written as %q", got.Bytes())
			}
		})
	}
}

// An edit must not repair what it does not touch: the difference would not be
// the edit alone.
func TestEditKeepsBrokenUnits(t *testing.T) {
	text := DecodeText([]byte("<\x00\x34\xD8a\x00\x35\xD8>\x00"))
	changed := text.With(strings.Replace(text.String, "a", "bcd", 1))
	if got, want := string(changed.Bytes()), "<\x00\x34\xD8b\x00c\x00d\x00\x35\xD8>\x00"; got != want {
		t.Errorf("written as %q, want %q", got, want)
	}
	gone := text.With("<x>")
	if got, want := string(gone.Bytes()), "<\x00x\x00>\x00"; got != want {
		t.Errorf("written as %q, want %q", got, want)
	}
}

func TestWellFormed(t *testing.T) {
	tests := []struct {
		text string
		line int
	}{
		{"<a/>", 0},
		{"<?xml version='1.0' encoding='UTF-16'?>\n<a><b x='1'/></a>\n", 0},
		{"\uFEFF<a/>", 0},
		{"", 1},
		{"<a>\n<b>\n</a>", 3},
		{"<a/>\n<b/>", 2},
		{"<a/>\nx", 1},
		{"<a>\n", 2},
		{"<a>&x;</a>", 1},
		{"<a b=c/>", 1},
		{strings.Repeat("<a>", 1000), 1},
	}
	for _, test := range tests {
		f := wellFormed(test.text)
		switch {
		case f == nil && test.line > 0:
			t.Errorf("%.40q is taken for well-formed", test.text)
		case f != nil && f.line != test.line:
			t.Errorf("%.40q: line %d (%s), want %d", test.text, f.line, f.what, test.line)
		}
	}
}

func TestClip(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                  "plain",
		"\x1b]8;;x\x07":          "␛]8;;x␇",
		"a\u202eb":               "a\\u202eb",
		"\x7f\u0085":             "␡\\u0085",
		strings.Repeat("ä", 100): strings.Repeat("ä", 60) + "…",
	} {
		if got := clip(in); got != want {
			t.Errorf("clip(%q) is %q, want %q", in, got, want)
		}
	}
}
