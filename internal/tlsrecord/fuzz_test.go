package tlsrecord

import (
	"crypto/tls"
	"reflect"
	"strings"
	"testing"
	"unicode"
)

// FuzzParse reads any bytes, and fails when an offset lies outside of them, a
// list is longer than they can fill, or the text would harm a terminal.
func FuzzParse(f *testing.F) {
	for _, file := range vectors(f) {
		client, server := readVector(f, file)
		f.Add(client, server)
	}
	f.Fuzz(func(t *testing.T, client, server []byte) {
		got := Parse(client, server)
		checkStream(t, &got.Client, client)
		checkStream(t, &got.Server, server)
		for _, r := range got.String() {
			if r != '\n' && !unicode.IsPrint(r) {
				t.Fatalf("the text has %U", r)
			}
		}
	})
}

func checkStream(t *testing.T, s *Stream, data []byte) {
	if s.Size != len(data) || s.Parsed < 0 || s.Parsed > s.Size || (s.Parsed < s.Size) != (s.Rest != Nothing) {
		t.Fatalf("parsed %d of %d, rest %q", s.Parsed, s.Size, s.Rest)
	}
	if len(s.Records) > maxRecords || len(s.Messages) > maxMessages || len(s.Flaws) > maxFlaws {
		t.Fatalf("%d records, %d messages, %d flaws", len(s.Records), len(s.Messages), len(s.Flaws))
	}
	end := 0
	for _, r := range s.Records {
		if r.Offset != end || r.Have < 0 || r.Have > r.Length {
			t.Fatalf("record %+v, after %d", r, end)
		}
		end = r.Offset + r.HeaderSize() + r.Have
	}
	if end > s.Parsed {
		t.Fatalf("records end at %d, %d are parsed", end, s.Parsed)
	}
	last := 0
	for i := range s.Messages {
		m := &s.Messages[i]
		if m.Offset < last || m.End < m.Offset || m.End > s.Size || len(m.Raw) > s.Size || m.From != s.From {
			t.Fatalf("message %+v, after %d", m, last)
		}
		last = m.Offset
		checkBody(t, s, m)
	}
	for _, flaw := range s.Flaws {
		inside(t, s, flaw.Offset, 0)
	}
}

// inside fails for bytes that are not in the stream.
func inside(t *testing.T, s *Stream, offset, size int) {
	if offset < 0 || size < 0 || offset > s.Size || size > s.Size {
		t.Fatalf("%d bytes at %d, of %d", size, offset, s.Size)
	}
}

func checkBody(t *testing.T, s *Stream, m *Message) {
	size := len(m.Raw)
	switch b := m.Body.(type) {
	case *ClientHello:
		checkExtensions(t, s, b.Extensions)
		if 2*(len(b.Suites)+len(b.Groups)+len(b.SignatureSchemes)+len(b.CertificateSchemes)+len(b.KeyShares))+4*len(b.Extensions) > size {
			t.Fatalf("a hello of %d bytes has more than they can hold", size)
		}
	case *ServerHello:
		checkExtensions(t, s, b.Extensions)
	case *Certificate:
		for _, der := range b.Chain {
			inside(t, s, der.Offset, len(der.Bytes))
			ReadOutline(der.Bytes)
		}
	case *CertificateRequest:
		for _, a := range b.Authorities {
			inside(t, s, a.Offset, len(a.Bytes))
			if len(a.Name) > 16*len(a.Bytes)+80 {
				t.Fatalf("a name of %d bytes grew to %d", len(a.Bytes), len(a.Name))
			}
		}
	}
}

func checkExtensions(t *testing.T, s *Stream, list []Extension) {
	for _, e := range list {
		inside(t, s, e.Offset, len(e.Data))
	}
}

// FuzzClientHello reads a ClientHello in one record as crypto/tls does, and cut
// anywhere says no more than whole.
func FuzzClientHello(f *testing.F) {
	for _, file := range vectors(f) {
		client, _ := readVector(f, file)
		t := Parse(client, nil)
		if h, m := First[*ClientHello](&t.Client); h != nil && !h.SSL2 {
			f.Add(m.Raw, 100)
		}
	}
	f.Add(helloOf(f, &tls.Config{ServerName: serverName})[9:], 500)
	f.Fuzz(func(t *testing.T, body []byte, cut int) {
		if len(body) > 1<<14-handshakeHeader {
			return
		}
		b := record(ContentHandshake, TLS10, handshake(TypeClientHello, body))
		whole := Parse(b, nil)
		h := whole.ClientHello()
		if h == nil || h.Partial {
			t.Fatal("a whole record with a ClientHello has none")
		}
		if len(whole.Client.Flaws) == 0 {
			checkAsGo(t, b)
		}
		text, sum := h.JA3()
		if strings.Count(text, ",") != 4 || len(sum) != 32 || strings.Count(h.JA4(), "_") != 2 || len(h.JA4()) != 36 {
			t.Fatalf("JA3 %q %q, JA4 %q", text, sum, h.JA4())
		}
		if cut < 0 || cut >= len(b) {
			return
		}
		if part := Parse(b[:cut], nil).ClientHello(); part != nil && !begins(part.Suites, h.Suites) {
			t.Fatalf("cut at %d has suites %v, whole %v", cut, part.Suites, h.Suites)
		}
	})
}

func begins[T comparable](part, whole []T) bool {
	return len(part) <= len(whole) && (len(part) == 0 || reflect.DeepEqual(part, whole[:len(part)]))
}

// FuzzOutline reads any bytes as a certificate and a name.
func FuzzOutline(f *testing.F) {
	f.Add(newAuthority(f, "Contoso Root CA").cert.Raw)
	f.Fuzz(func(t *testing.T, der []byte) {
		o := ReadOutline(der)
		if o.Size > len(der) {
			t.Fatalf("%d bytes of %d", o.Size, len(der))
		}
		for _, r := range o.Subject + o.Issuer + o.Stopped + Name(der) {
			if !unicode.IsPrint(r) {
				t.Fatalf("the text has %U", r)
			}
		}
	})
}
