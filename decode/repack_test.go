package decode

import (
	"bytes"
	"strings"
	"testing"

	"mpproxy/traffic"
)

// A reply can be given to an agent that wants it packed otherwise: header, head
// of the part and bytes say the same, and the way back leads to the same text.
func TestEditRepacks(t *testing.T) {
	s := source(mustRead(t, samples+"wire/04-policy-reply.http"))
	m := Decode(s, Full)
	if m.Inflated.Method != "zlib" {
		t.Fatalf("the sample is packed by %q", m.Inflated.Method)
	}
	repacked := func(m *Message, packed bool) *Message {
		t.Helper()
		body, _, err := m.Edit(Edit{Compress: &packed})
		if err != nil {
			t.Fatal(err)
		}
		s.Body, s.Size, s.Framing, s.Whole = bytes.NewReader(body), int64(len(body)), traffic.ByLength, true
		return Decode(s, Full)
	}
	same := repacked(m, true)
	if !bytes.Equal(same.wire.body, m.wire.body) {
		t.Error("a reply that is packed already was changed")
	}
	plain := repacked(m, false)
	if plain.Inflated.Method != "" || strings.Contains(plain.HeaderText.String, hookZlib) || plain.Text.String != m.Text.String {
		t.Errorf("not unpacked: %q, header %s", plain.Inflated.Method, plain.HeaderText.String)
	}
	if got := plain.wire.multipart.parts[1].Get("content-type"); !strings.HasPrefix(got, "text/plain") {
		t.Errorf("the plain part has the type %q", got)
	}
	back := repacked(plain, true)
	if back.Inflated.Method != "zlib" || back.Header.Hook(hookZlib) == nil || back.Text.String != m.Text.String {
		t.Errorf("not packed again: %q, header %s", back.Inflated.Method, back.HeaderText.String)
	}
	if got := back.wire.multipart.parts[1].Get("content-type"); got != "application/octet-stream" {
		t.Errorf("the packed part has the type %q", got)
	}
}
