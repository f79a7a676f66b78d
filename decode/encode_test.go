package decode

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sampleFiles are all samples that hold bytes of the wire or text.
func sampleFiles(t testing.TB) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"*.xml", "*.bin", "faulty/*", "wire/*.http"} {
		files, err := filepath.Glob(samples + pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("no samples for %s: %v", pattern, err)
		}
		all = append(all, files...)
	}
	return all
}

func sampleName(file string) string { return strings.TrimPrefix(filepath.ToSlash(file), samples) }

// A message that was not changed is forwarded as the same bytes, or signatures
// break.
func TestEncodeIsInverse(t *testing.T) {
	for _, file := range sampleFiles(t) {
		t.Run(sampleName(file), func(t *testing.T) {
			s := source(mustRead(t, file))
			m := Decode(s, Full)
			checkInverse(t, s, m)
			for name, e := range map[string]Edit{"nothing": {}, "same text": {Text: &m.Text.String}, "same header": sameHeader(m)} {
				if m.TextBytes == 0 && e.Text != nil {
					continue
				}
				body, _, err := m.Edit(e)
				if err != nil {
					t.Fatalf("edit of %s: %v", name, err)
				}
				if !bytes.Equal(body, m.wire.body) {
					t.Errorf("edit of %s changed bytes: %s", name, cmp.Diff(m.wire.body, body))
				}
			}
		})
	}
}

func sameHeader(m *Message) Edit {
	if m.Header == nil {
		return Edit{}
	}
	return Edit{Header: &m.HeaderText.String}
}

// checkInverse tests that each layer of a message encodes to what it was.
func checkInverse(t *testing.T, s Source, m *Message) {
	t.Helper()
	body := make([]byte, s.Size)
	if s.Size > 0 {
		if _, err := s.Body.ReadAt(body, 0); err != nil {
			t.Fatal(err)
		}
	}
	got, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, m.wire.body) {
		t.Errorf("encoded body differs: %s", cmp.Diff(m.wire.body, got))
	}
	if m.wire.chunks.pieces == nil && !bytes.Equal(got, body) {
		t.Errorf("encoded body differs from the wire: %s", cmp.Diff(body, got))
	}
	if at := m.wire.text; at.to > 0 {
		if want := m.wire.inflated[at.from:at.to]; !bytes.Equal(m.Text.Bytes(), want) {
			t.Errorf("text differs: %s", cmp.Diff(want, m.Text.Bytes()))
		}
	}
}

func TestEditText(t *testing.T) {
	tests := []struct {
		file, from, to string
		// length and offset are the header's numbers after the edit.
		length, attachment int64
		tail               string
	}{
		{"wire-policy-request.bin", "SMS:LAB", "SMS:LAB2", 902, 0, "\x00\x00"},
		{"wire-policy-request.bin", "WS-0042", "W", 888, 0, "\x00\x00"},
		{"wire-wsus-uncompressed.bin", "38", "𝄞", 876, 0, "\x00\x00"},
		{"wire-hinv-attachment.bin", "<ClientType>1<", "<ClientType>12<", 2002, 2002, "\x00\x00"},
		{"faulty/wire-no-terminator.bin", "SMS:LAB", "SMS:LABOR", 902, 0, ""},
		{"faulty/wire-bom-in-body.bin", "SMS:LAB", "SMS:LABO", 904, 0, "\x00\x00"},
		{"faulty/wire-odd-length.bin", "SMS:LAB", "SMS:LABO", 903, 0, "\x00\x00\x00"},
		{"faulty/wire-utf8-body.bin", "SMS:LAB", "SMS:LABO", 451, 0, "\x00"},
		{"faulty/wire-utf16be.bin", "SMS:LAB", "SMS:LABO", 902, 0, "\x00\x00"},
		{"faulty/wire-lone-surrogate.bin", "SMS:LAB", "SMS:LABO", 904, 0, "\x00\x00"},
		{"faulty/wire-zlib-without-hook.bin", "SMS:LAB", "SMS:LABO", 902, 0, "\x00\x00"},
		{"faulty/wire-length-mismatch.bin", "SMS:LAB", "SMS:LABO", 862, 0, "\x00\x00"},
		{"wire/09-osd-policy-request.http", "SMS:LB1", "SMS:LB12", 730, 0, "\x00\x00"},
	}
	for _, test := range tests {
		t.Run(test.file+" "+test.to, func(t *testing.T) {
			m := Decode(source(mustRead(t, samples+test.file)), Full)
			text := strings.ReplaceAll(m.Text.String, test.from, test.to)
			if text == m.Text.String {
				t.Fatalf("sample has no %q", test.from)
			}
			body, cs, err := m.Edit(Edit{Text: &text})
			if err != nil {
				t.Fatal(err)
			}
			s := source(mustRead(t, samples+test.file))
			s.Body, s.Size = bytes.NewReader(body), int64(len(body))
			got := Decode(s, Full)
			if got.Text.String != text {
				t.Errorf("text after the edit: %s", cmp.Diff(text, got.Text.String))
			}
			if string(got.Text.Tail) != test.tail {
				t.Errorf("tail after the edit is %q, want %q", got.Text.Tail, test.tail)
			}
			want := m.Text
			if got.Text.BOM != want.BOM || got.Text.Coding != want.Coding || len(got.Text.Broken) != len(want.Broken) {
				t.Errorf("text is written in another way: %+v", got.Text)
			}
			if got.Header.Body.Length != test.length {
				t.Errorf("Body Length is %d, want %d", got.Header.Body.Length, test.length)
			}
			for i, a := range got.Attachments {
				if a.Offset != test.attachment || !bytes.Equal(a.Bytes, m.Attachments[i].Bytes) {
					t.Errorf("attachment is %d+%d, want offset %d and the same bytes", a.Offset, a.Size, test.attachment)
				}
			}
			if len(cs) == 0 || cs[0].What != "text" {
				t.Errorf("consequences begin with %+v, want the text", cs)
			}
		})
	}
}

// Nothing of a header but the digits may change, and what somebody else wrote
// oddly has to stay odd.
func TestEditKeepsHeaderText(t *testing.T) {
	m := Decode(source(mustRead(t, samples+"wire-hinv-attachment.bin")), Full)
	text := strings.Replace(m.Text.String, "Delta", "Full", 1) + " "
	body, _, err := m.Edit(Edit{Text: &text})
	if err != nil {
		t.Fatal(err)
	}
	got := Decode(source(body), Full)
	want := strings.NewReplacer(`Length="2000"`, `Length="2002"`, `Offset="2000"`, `Offset="2002"`).Replace(m.HeaderText.String)
	if got.HeaderText.String != want {
		t.Error(cmp.Diff(want, got.HeaderText.String))
	}
}

// The header is not signed, so an edit of it must not touch the payload.
func TestEditHeaderKeepsPayload(t *testing.T) {
	m := Decode(source(mustRead(t, samples+"wire/03-policy-request.http")), Full)
	header := strings.Replace(m.HeaderText.String, "mp01.lab.example", "mp02.lab.example", 1)
	body, cs, err := m.Edit(Edit{Header: &header})
	if err != nil {
		t.Fatal(err)
	}
	got := Decode(source(body), Full)
	if !bytes.Equal(got.wire.payload, m.wire.payload) {
		t.Error("payload changed")
	}
	if got.Header.TargetHost != "mp02.lab.example" {
		t.Errorf("TargetHost is %q", got.Header.TargetHost)
	}
	for _, c := range cs {
		if c.What == "signature" {
			t.Errorf("edit of an unsigned element breaks a signature: %+v", c)
		}
	}
}

func TestEditAttachment(t *testing.T) {
	m := Decode(source(mustRead(t, samples+"wire/05-metering-request.http")), Full)
	data := []byte("something quite different")
	body, cs, err := m.Edit(Edit{Attachments: map[int][]byte{0: data}})
	if err != nil {
		t.Fatal(err)
	}
	s := source(mustRead(t, samples+"wire/05-metering-request.http"))
	s.Body, s.Size = bytes.NewReader(body), int64(len(body))
	got := Decode(s, Full)
	if !bytes.Equal(got.Attachments[0].Bytes, data) || got.Attachments[0].Offset != 1124 {
		t.Errorf("attachment is %q at %d", got.Attachments[0].Bytes, got.Attachments[0].Offset)
	}
	if got.Text.String != m.Text.String {
		t.Error("text changed")
	}
	found := false
	for _, c := range cs {
		found = found || c.What == "signature" && c.After == "does not fit"
	}
	if !found {
		t.Errorf("no word of the signature that no longer fits: %+v", cs)
	}
}

func TestEditErrors(t *testing.T) {
	text := "x"
	raw := mustRead(t, samples+"wire/03-policy-request.http")
	if _, _, err := Decode(source(raw), Summary).Edit(Edit{Text: &text}); err == nil {
		t.Error("a summary can be edited, though it does not hold the message")
	}
	if _, err := Decode(source(raw), Summary).Encode(); err == nil {
		t.Error("a summary can be encoded, though it does not hold the message")
	}
	m := Decode(source(raw), Full)
	if _, _, err := m.Edit(Edit{Attachments: map[int][]byte{0: nil}}); err == nil {
		t.Error("an attachment that is not there can be replaced")
	}
	ack := Decode(source(mustRead(t, samples+"wire/06-async-ack.http")), Full)
	if _, _, err := ack.Edit(Edit{Header: &text}); err == nil {
		t.Error("an empty answer has a header to edit")
	}
}
