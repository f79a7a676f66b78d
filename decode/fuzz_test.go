package decode

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"mpproxy/traffic"
)

// seeds adds every sample.
func seeds(f *testing.F, add func(raw []byte)) {
	for _, file := range sampleFiles(f) {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		add(raw)
	}
}

// checkMessage tests what holds for every message whatever came.
func checkMessage(t *testing.T, m *Message) {
	t.Helper()
	for _, s := range []string{m.Short, m.Long} {
		if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7F || r >= 0x80 && r < 0xA0 }) {
			t.Errorf("summary cannot be shown: %q", s)
		}
		if n := utf8.RuneCountInString(s); n > 1000 {
			t.Errorf("summary has %d characters", n)
		}
	}
	if m.Kind == "" || m.Form == "" {
		t.Errorf("message has no kind or form: %+v", m)
	}
	for _, s := range []string{m.Endpoint, m.Agent, m.Client, m.MsgID, m.Corr, m.Root} {
		if len(s) > maxName {
			t.Errorf("name of %d bytes", len(s))
		}
	}
	if m.Depth == Full {
		for _, f := range m.Findings {
			checkFinding(t, m, f)
		}
	}
}

func FuzzDecode(f *testing.F) {
	seeds(f, func(raw []byte) {
		f.Add(raw, false, false)
		f.Add(raw, true, true)
	})
	ask := Decode(source([]byte("GET /SMS_MP/.sms_pol?{A}.1_00 HTTP/1.1\r\n\r\n")), Full)
	f.Fuzz(func(t *testing.T, raw []byte, chunked, reply bool) {
		if len(raw) > 1<<20 {
			return
		}
		s := source(append(raw, '\n'))
		s.Size--
		if s.Size < 0 {
			s.Size = 0
		}
		if chunked {
			s.Framing = traffic.Chunked
		}
		if reply {
			s.Dir, s.Request = traffic.Reply, ask
		}
		checkMessage(t, Decode(s, Summary))
		m := Decode(s, Full)
		checkMessage(t, m)
		if got, err := m.Encode(); err != nil || !bytes.Equal(got, m.wire.body) {
			t.Errorf("encoded body differs: %v", err)
		}
		if c := Decode(s, Content); c.Long != m.Long || c.Text.String != m.Text.String || len(c.Findings) > 0 {
			t.Errorf("content is %q, and %q at depth Full", c.Long, m.Long)
		}
		Join(ask, m)
		m.Views(nil)
	})
}

// FuzzMessage gets behind the wrapping, which FuzzDecode rarely does.
func FuzzMessage(f *testing.F) {
	for _, row := range manifest(f) {
		s := sampleSource(f, row)
		m := Decode(s, Full)
		f.Add(m.HeaderText.String, m.wire.inflated, m.Dir == traffic.Reply)
	}
	f.Fuzz(func(t *testing.T, header string, payload []byte, reply bool) {
		if len(header)+len(payload) > 1<<20 || !utf8.ValidString(header) {
			return
		}
		s := ccmSource(t, header, payload)
		if reply {
			s.Dir, s.Head = traffic.Reply, traffic.ParseHead([]byte("HTTP/1.1 200 OK\r\nContent-Type: multipart/mixed; boundary=aAbBcCdDv1234567890VxXyYzZ\r\n\r\n"))
		}
		checkMessage(t, Decode(s, Summary))
		m := Decode(s, Full)
		checkMessage(t, m)
		checkInverse(t, s, m)
	})
}

func FuzzText(f *testing.F) {
	seeds(f, func(raw []byte) {
		f.Add(raw, "<a/>")
		f.Add(Text{String: string(raw), BOM: true}.Bytes(), "x")
	})
	f.Fuzz(func(t *testing.T, b []byte, edit string) {
		for _, c := range []Coding{UTF16LE, UTF16BE, UTF8} {
			text := decodeAs(b, c, 0)
			if got := text.Bytes(); !bytes.Equal(got, b) {
				t.Errorf("%v: %q became %q", c, b, got)
			}
			checkText(t, text)
		}
		text := DecodeText(b)
		if got := text.Bytes(); !bytes.Equal(got, b) {
			t.Errorf("%q became %q", b, got)
		}
		if !utf8.ValidString(edit) || strings.Contains(edit, "\x00") {
			return
		}
		changed := text.With(edit)
		checkText(t, changed)
		if got := decodeAs(changed.Bytes(), text.Coding, len(changed.Bytes())-len(changed.withoutBOM())); got.String != edit && len(changed.Broken) == 0 {
			t.Errorf("%q was written as %q", edit, got.String)
		}
		if back := changed.With(text.String); back.String != text.String {
			t.Errorf("edit and back gives %q", back.String)
		}
	})
}

func (t Text) withoutBOM() []byte {
	t.BOM = false
	return t.Bytes()
}

func checkText(t *testing.T, text Text) {
	t.Helper()
	if !utf8.ValidString(text.String) || strings.Contains(text.String, "\x00") {
		t.Errorf("string is not valid: %q", text.String)
	}
	for _, u := range text.Broken {
		if u.At < 0 || !strings.HasPrefix(text.String[min(u.At, len(text.String)):], "\uFFFD") {
			t.Errorf("broken unit at %d of %q", u.At, text.String)
		}
	}
}

func FuzzHeader(f *testing.F) {
	seeds(f, func(raw []byte) {
		if text := Decode(source(raw), Full).HeaderText.String; text != "" {
			f.Add(text)
		}
	})
	f.Fuzz(func(t *testing.T, text string) {
		h := ParseHeader(text)
		if h == nil {
			return
		}
		for _, r := range append([]Range{h.Body}, h.Attachments...) {
			for _, s := range []span{r.offsetAt, r.lengthAt} {
				if s.from < 0 || s.to < s.from || s.to > len(text) {
					t.Errorf("number stands at %+v of %d bytes", s, len(text))
				}
			}
			if r.Known && (r.Offset < 0 || r.Length < 0 || r.End() < 0) {
				t.Errorf("range %+v", r)
			}
		}
		wellFormed(text)
		buildTree(text)
	})
}

func FuzzMultipart(f *testing.F) {
	seeds(f, func(raw []byte) { f.Add(raw, "aAbBcCdDv1234567890VxXyYzZ") })
	f.Add([]byte("--B\r\n--B\r\n\r\n--B--"), "B")
	f.Fuzz(func(t *testing.T, body []byte, boundary string) {
		m := splitMultipart(body, boundary)
		if got := m.bytes(); !bytes.Equal(got, body) {
			t.Errorf("%q became %q", body, got)
		}
		for _, p := range m.parts {
			if p.Offset < 0 || p.Offset > int64(len(body)) || !bytes.HasPrefix(body[p.Offset:], p.Body) {
				t.Errorf("part is not at %d", p.Offset)
			}
			p.Get("content-type")
		}
	})
}

func FuzzChunked(f *testing.F) {
	f.Add([]byte("5\r\nhello\r\n3;x=y\r\n, w\r\n0\r\n\r\n"))
	f.Add([]byte("5\nhello3\nabc\n0\nA: b\n\n"))
	f.Add([]byte("ffffffffffffffff\r\nx"))
	f.Add([]byte("5\r\nhel"))
	f.Fuzz(func(t *testing.T, wire []byte) {
		c := dechunk(wire)
		if len(c.data) > len(wire) {
			t.Errorf("%d bytes became %d", len(wire), len(c.data))
		}
		for i := range c.data {
			at := c.wireOffset(int64(i))
			if at < 0 || at >= int64(len(wire)) || wire[at] != c.data[i] {
				t.Fatalf("byte %d is not at %d of the wire", i, at)
			}
			if i > 4096 {
				break
			}
		}
	})
}

func FuzzBITS(f *testing.F) {
	seeds(f, func(raw []byte) { f.Add(raw, int64(0), int64(10), []byte("0123"), []byte("456789")) })
	f.Fuzz(func(t *testing.T, head []byte, offset, total int64, a, b []byte) {
		s := Source{Head: traffic.ParseHead(append([]byte("BITS_POST /CCM_Incoming/x HTTP/1.1\r\n"), head...)), Whole: true}
		m := Decode(s, Full)
		checkMessage(t, m)
		if p := m.Upload; p == nil || p.To < -1 || p.From < -1 || p.Next < -1 {
			t.Errorf("packet %+v", p)
		}
		u := JoinUpload([]Fragment{{offset, total, a}, {offset + int64(len(a)), total, b}})
		if len(u.Bytes) > len(a)+len(b) {
			t.Errorf("%d and %d bytes became %d", len(a), len(b), len(u.Bytes))
		}
		if u.Whole && int64(len(u.Bytes)) != u.Total {
			t.Errorf("whole upload has %d of %d bytes", len(u.Bytes), u.Total)
		}
	})
}

func FuzzEncode(f *testing.F) {
	seeds(f, func(raw []byte) { f.Add(raw, "<Changed/>", "", []byte("attachment")) })
	f.Fuzz(func(t *testing.T, raw []byte, text, header string, attachment []byte) {
		if len(raw) > 1<<20 || !utf8.ValidString(text) || strings.Contains(text, "\x00") {
			return
		}
		m := Decode(source(append(raw, '\n')), Full)
		e := Edit{Text: &text, Attachments: map[int][]byte{0: attachment}}
		if len(m.Attachments) == 0 {
			e.Attachments = nil
		}
		if header != "" && utf8.ValidString(header) {
			e.Header = &header
		}
		body, cs, err := m.Edit(e)
		if err != nil {
			return
		}
		for _, c := range cs {
			if c.What == "" {
				t.Errorf("consequence of nothing: %+v", c)
			}
		}
		if len(body) > len(raw)*4+len(text)*8+len(header)*4+len(attachment)*2+1<<16 {
			t.Errorf("%d bytes became %d", len(raw), len(body))
		}
		if again, err := m.Encode(); err != nil || !bytes.Equal(again, m.wire.body) {
			t.Errorf("an edit changed the message: %v", err)
		}
	})
}

func FuzzPretty(f *testing.F) {
	seeds(f, func(raw []byte) { f.Add(string(raw)) })
	f.Fuzz(func(t *testing.T, text string) {
		got := Pretty(text)
		squeeze := func(s string) string { return strings.Join(strings.Fields(s), "") }
		if squeeze(got) != squeeze(text) {
			t.Errorf("%q became %q", text, got)
		}
	})
}

func FuzzEnvelope(f *testing.F) {
	f.Add([]byte{0x30, 0x80, 0x06, 0x01, 0x01, 0, 0})
	seeds(f, func(raw []byte) { f.Add(raw) })
	f.Fuzz(func(t *testing.T, b []byte) {
		if e := parseEnvelope(b); e != nil && (e.Size > int64(len(b)) || len(e.Recipients) > maxRecipients) {
			t.Errorf("envelope of %d bytes: %+v", len(b), e)
		}
	})
}
