package replay

import (
	"fmt"
	"strings"
	"testing"

	"mpproxy/traffic"
)

// The rules of uploads: an agent that is told otherwise begins anew, or gives
// up.
func TestUploads(t *testing.T) {
	var u uploads
	send := func(kind, session, more string, n int) string {
		raw := "BITS_POST /CCM_Incoming/{x} HTTP/1.1\r\nBITS-Packet-Type: " + kind + "\r\n"
		if session != "" {
			raw += "BITS-Session-Id: " + session + "\r\n"
		}
		reply := string(u.packet(traffic.ParseHead([]byte(raw+more+"\r\n")), make([]byte, n)))
		h := traffic.ParseHead([]byte(reply))
		return fmt.Sprint(h.Status(), " ", h.Get("BITS-Received-Content-Range"), " ", h.Get("BITS-Error-Code"))
	}
	const offer = "BITS-Supported-Protocols: {7DF0354D-249B-430F-820D-3D2A9BEF4931}\r\n"
	const id = "{00000000-0000-4000-8000-000000000001}"
	for _, c := range []struct {
		kind, session, more string
		n                   int
		want                string
	}{
		{"Ping", "", "", 0, "200  "},
		{"Create-Session", "", "BITS-Supported-Protocols: {other}\r\n", 0, "400  0x80070057"},
		{"Fragment", id, "Content-Range: bytes 0-9/30\r\n", 10, "500  0x8020001F"},
		{"CREATE-SESSION", "", offer, 0, "201  "},
		{"Fragment", id, "Content-Range: bytes 0-9/30\r\n", 10, "200 10 "},
		{"Fragment", id, "Content-Range: bytes 20-29/30\r\n", 10, "416 10 "},
		{"Fragment", id, "Content-Range: bytes 5-14/30\r\n", 10, "200 15 "},
		{"Fragment", id, "Content-Range: bytes 0-9/30\r\n", 10, "200 15 "},
		{"Fragment", id, "Content-Range: bytes 15-29/31\r\n", 15, "400  0x80070057"},
		{"Fragment", id, "Content-Range: bytes 15-29/30\r\n", 9, "400  0x80070057"},
		{"Fragment", id, "Content-Range: Bytes 15-29/30\r\n", 15, "200 30 "},
		{"Close-Session", id, "", 0, "200  "},
		{"Close-Session", id, "", 0, "500  0x8020001F"},
		{"Dance", "", "", 0, "400  0x80070057"},
	} {
		if got := send(c.kind, c.session, c.more, c.n); got != c.want {
			t.Errorf("%s %s: %q, want %q", c.kind, strings.TrimSpace(c.more), got, c.want)
		}
	}
}
