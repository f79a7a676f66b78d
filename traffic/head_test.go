package traffic

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseHead(t *testing.T) {
	raw := "\r\nCCM_POST /ccm_system/request?a b HTTP/1.1\r\nhOsT:  mp01 \r\nX-Fold: one\r\n two\r\n\tthree\r\nX-Fold: four\r\nEmpty:\nno colon\r\nBad Name: v\r\n\r\n"
	h := ParseHead([]byte(raw))
	if h.Start != "CCM_POST /ccm_system/request?a b HTTP/1.1" {
		t.Errorf("start line %q", h.Start)
	}
	method, target, version := h.Request()
	if method != "CCM_POST" || target != "/ccm_system/request?a b" || version != "HTTP/1.1" {
		t.Errorf("request %q %q %q", method, target, version)
	}
	if diff := cmp.Diff([]string{"one two three", "four"}, h.Values("x-fold")); diff != "" {
		t.Error(diff)
	}
	if h.Get("Host") != "mp01" || h.Get("nosuch") != "" {
		t.Errorf("Host %q", h.Get("Host"))
	}
	if v, ok := h.Lookup("Empty"); v != "" || !ok {
		t.Error("an empty field is taken for an absent one")
	}
	var odd []string
	for _, o := range h.Odd {
		odd = append(odd, o.What)
	}
	want := []string{"empty line before the start line", "folded line", "folded line", "line ends in a bare LF", "line without a colon", "white space in or before a field name"}
	if diff := cmp.Diff(want, odd); diff != "" {
		t.Error(diff)
	}
}

func TestStatusLine(t *testing.T) {
	for line, want := range map[string]struct {
		status int
		reason string
	}{
		"HTTP/1.1 403 Client certificate required": {403, "Client certificate required"},
		"HTTP/1.1 200":     {200, ""},
		"HTTP/1.1 2x0 OK":  {0, "OK"},
		"HTTP/1.1 99 x":    {0, "x"},
		"HTTP/1.1 1000 x":  {0, "x"},
		"":                 {0, ""},
		"HTTP/1.1  200 OK": {0, "200 OK"},
	} {
		h := ParseHead([]byte(line + "\r\n\r\n"))
		if h.Status() != want.status || h.Reason() != want.reason {
			t.Errorf("%q: %d %q, want %+v", line, h.Status(), h.Reason(), want)
		}
	}
}

func TestWords(t *testing.T) {
	if Worst(nil) != None || Worst([]Finding{{Kind: &FindingKind{Severity: Info}}, {Kind: &FindingKind{Severity: Error}}}) != Error {
		t.Error("worst severity")
	}
	for s, want := range map[Severity]string{Error: "E", Warning: "W", Info: "i", None: " "} {
		if s.Letter() != want {
			t.Errorf("severity %d is %q", s, s.Letter())
		}
	}
}

// FuzzParseHead: whatever comes, nothing panics, every place lies in the head,
// and the fields' bytes are where they are said to be.
func FuzzParseHead(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n"))
	f.Add([]byte("\n\r\x00:\r\r\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		h := ParseHead(raw)
		for _, x := range h.Fields {
			if x.Offset < 0 || x.End > len(raw) || x.Offset >= x.End || !strings.HasPrefix(string(raw[x.Offset:x.End]), x.Name) {
				t.Fatalf("field %+v is not at its place in %q", x, raw)
			}
		}
		for _, o := range h.Odd {
			if o.Offset < 0 || o.Offset > len(raw) {
				t.Fatalf("oddity %+v is outside of %q", o, raw)
			}
		}
		h.Request()
		h.Status()
		h.Reason()
	})
}
