package decode

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"mpproxy/traffic"
)

// The samples have an upload with a fragment that was refused; what the server
// took together is a payload like any other.
func TestUploadOfSamples(t *testing.T) {
	var fragments []Fragment
	var refused bool
	for _, x := range wireSamples(t, Full) {
		p := x.m.Upload
		if p == nil {
			continue
		}
		refused = refused || x.m.Kind == "bits-error" && p.Next == 354
		if p.Type == "fragment" {
			fragments = append(fragments, Fragment{p.From, p.Total, x.m.wire.body})
		}
	}
	if !refused {
		t.Error("the refusal is not understood")
	}
	all := JoinUpload(fragments)
	if !all.Whole || all.Total != 709 {
		t.Errorf("%d of %d bytes, whole %v", len(all.Bytes), all.Total, all.Whole)
	}
	s := Source{Body: bytes.NewReader(all.Bytes), Size: int64(len(all.Bytes)), Whole: true}
	m := Decode(s, Full)
	if m.Inflated.Method != "zlib" || !m.Inflated.Whole || m.Root != "Report" {
		t.Errorf("payload is %+v, root %q", m.Inflated, m.Root)
	}
}

func TestJoinUpload(t *testing.T) {
	f := func(offset, total int64, text string) Fragment { return Fragment{offset, total, []byte(text)} }
	tests := []struct {
		name      string
		fragments []Fragment
		want      string
		whole     bool
		codes     string
	}{
		{"nothing", nil, "", false, ""},
		{"in order", []Fragment{f(0, 6, "abc"), f(3, 6, "def")}, "abcdef", true, ""},
		{"out of order", []Fragment{f(3, 6, "def"), f(0, 6, "abc")}, "abcdef", true, ""},
		{"gap", []Fragment{f(0, 9, "abc"), f(4, 9, "efghi")}, "abc", false, "bits-gap"},
		{"end missing", []Fragment{f(0, 9, "abc")}, "abc", false, "bits-gap"},
		{"overlap", []Fragment{f(0, 6, "abcd"), f(2, 6, "cdef")}, "abcdef", true, "bits-overlap"},
		{"again", []Fragment{f(0, 3, "abc"), f(0, 3, "abc")}, "abc", true, "bits-overlap"},
		{"other bytes", []Fragment{f(0, 6, "abcd"), f(2, 6, "XXef")}, "abcdef", true, "bits-overlap-differs"},
		{"totals differ", []Fragment{f(0, 6, "abc"), f(3, 7, "def")}, "abcdef", true, "bits-total"},
		{"total unknown", []Fragment{f(0, -1, "abc")}, "abc", false, ""},
		{"offset of nobody", []Fragment{f(-5, 3, "zz"), f(0, 3, "abc")}, "abc", true, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			u := JoinUpload(test.fragments)
			var codes []string
			for _, f := range u.Findings {
				codes = append(codes, f.Kind.Code)
			}
			if string(u.Bytes) != test.want || u.Whole != test.whole || strings.Join(codes, " ") != test.codes {
				t.Errorf("got %q, whole %v, %v", u.Bytes, u.Whole, codes)
			}
		})
	}
}

func TestPackets(t *testing.T) {
	tests := []struct {
		name, head string
		kind, long string
		codes      string
	}{
		{"ping", "BITS_POST /CCM_Incoming/x HTTP/1.1\r\nBITS-Packet-Type: PING", "bits-ping", "upload ping", ""},
		{"range in capitals", "BITS_POST /x HTTP/1.1\r\nBITS-Packet-Type: FRAGMENT\r\nContent-Range: Bytes 0-0/1", "bits-fragment", "upload fragment 0-0 of 1", ""},
		{"no range", "BITS_POST /x HTTP/1.1\r\nBITS-Packet-Type: Fragment", "bits-fragment", "upload fragment", "bits-fragment"},
		{"range too long", "BITS_POST /x HTTP/1.1\r\nBITS-Packet-Type: Fragment\r\nContent-Range: bytes 0-9/10", "bits-fragment", "upload fragment 0-9 of 10", "bits-fragment"},
		{"error, newer name", "HTTP/1.1 500 Error\r\nBITS-Packet-Type: Ack\r\nBITS-Error-Code: 0x8020001F\r\nBITS-Error-Context: 0x5", "bits-error", "upload error 500, error 0x8020001F", "bits-refused"},
		{"error, older name", "HTTP/1.1 500 Error\r\nBITS-Packet-Type: Ack\r\nBITS-Error: 0x8020002B", "bits-error", "upload error 500, error 0x8020002B", "bits-refused"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := Source{Head: traffic.ParseHead([]byte(test.head + "\r\n\r\n")), Whole: true, Body: strings.NewReader("x"), Size: 1}
			m := Decode(s, Full)
			var codes []string
			for _, f := range m.Findings {
				codes = append(codes, f.Kind.Code)
			}
			if m.Form != "bits" || m.Kind != test.kind || m.Long != test.long || strings.Join(codes, " ") != test.codes {
				t.Errorf("got %s %s %q %v", m.Form, m.Kind, m.Long, codes)
			}
		})
	}
}

// failing is a body that cannot be read.
type failing struct{}

func (failing) ReadAt([]byte, int64) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestUnreadableBody(t *testing.T) {
	s := source(mustRead(t, samples+"wire/03-policy-request.http"))
	s.Body = failing{}
	for _, d := range []Depth{Summary, Full} {
		m := Decode(s, d)
		if m.Kind == "" {
			t.Errorf("depth %d: no kind", d)
		}
		if _, err := m.Encode(); err == nil {
			t.Errorf("depth %d: a message that was not read can be written", d)
		}
	}
}
