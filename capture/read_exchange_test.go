package capture

import (
	"testing"
)

// TestSplitHead finds the final head of messages that nobody has told the end
// of.
func TestSplitHead(t *testing.T) {
	for _, c := range []struct {
		wire    string
		interim int64
		start   string
	}{
		{"", 0, ""},
		{"POST / HTTP/1.1\r\nA: b\r\n", 0, ""},
		{"POST / HTTP/1.1\r\nA: b\r\n\r\nbody\r\n\r\n", 0, "POST / HTTP/1.1"},
		{"POST / HTTP/1.1\nA: b\n\nbody", 0, "POST / HTTP/1.1"},
		{"\r\nPOST / HTTP/1.1\r\n\r\n", 0, "POST / HTTP/1.1"},
		{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", 25, "HTTP/1.1 200 OK"},
		{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 2", 25, ""},
		{"HTTP/1.1 101 Switching\r\n\r\nraw", 0, "HTTP/1.1 101 Switching"},
	} {
		interim, head := splitHead([]byte(c.wire))
		if interim != c.interim || head.Start != c.start {
			t.Errorf("%q: %d, %q, want %d, %q", c.wire, interim, head.Start, c.interim, c.start)
		}
	}
}

func FuzzSplitHead(f *testing.F) {
	f.Add([]byte("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\n\r\nbody"))
	f.Add([]byte("\n\nGET / HTTP/1.1\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		interim, head := splitHead(b)
		if interim < 0 || interim+int64(len(head.Raw)) > int64(len(b)) {
			t.Errorf("a head of %d bytes at %d in %d", len(head.Raw), interim, len(b))
		}
	})
}
