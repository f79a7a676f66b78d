package capture

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"mpproxy/traffic"
)

func fragment(session string, first int, body string, total int) []byte {
	return message("BITS_POST /CCM_Incoming/{A}.bin HTTP/1.1", body,
		"Host: mp01.lab.example", "BITS-Packet-Type: Fragment", "BITS-Session-Id: "+session,
		fmt.Sprintf("Content-Range: bytes %d-%d/%d", first, first+len(body)-1, total), "Content-Name: inventory.bin")
}

func ack(status string, next int) []byte {
	return message("HTTP/1.1 "+status, "", "BITS-Packet-Type: Ack", fmt.Sprintf("BITS-Received-Content-Range: %d", next))
}

// TestUpload ties the fragments of a session together over two connections,
// with a retry that overlaps, one that the server refused, and another session
// in between.
func TestUpload(t *testing.T) {
	r := record(t, steady())
	p := newPlay(r.Take)
	content := strings.Repeat("0123456789", 30)
	total := len(content)
	c := p.open("192.0.2.12:50001")
	p.exchange(c, message("BITS_POST /CCM_Incoming/{A}.bin HTTP/1.1", "", "Host: MP01.lab.example", "BITS-Packet-Type: Create-Session"),
		message("HTTP/1.1 201 Created", "", "BITS-Packet-Type: Ack", "BITS-Session-Id: {S1}"))
	p.exchange(c, fragment("{s1}", 0, content[:100], total), ack("200 OK", 100))
	p.exchange(c, fragment("{S2}", 0, "other", 5), ack("200 OK", 5))
	p.exchange(c, fragment("{S1}", 150, content[150:200], total), ack("416 Range", 100))
	p.close(c)
	d := p.open("192.0.2.12:50002")
	p.exchange(d, fragment("{S1}", 80, content[80:220], total), ack("200 OK", 220))
	p.exchange(d, fragment("{S1}", 220, content[220:], total), ack("200 OK", total))
	p.close(d)
	closeRecorder(t, r)

	s := openTest(t, r.Path())
	u, err := s.UploadOf(bg, 5)
	if err != nil || u == nil {
		t.Fatalf("%v, %v", u, err)
	}
	var ids []traffic.ExchangeID
	for _, packet := range u.Packets {
		ids = append(ids, packet.Exchange)
	}
	if fmt.Sprint(ids) != "[1 2 4 5 6]" || u.Host != "mp01.lab.example" || u.Name != "inventory.bin" || u.Size() != int64(total) {
		t.Errorf("packets %v of %+v", ids, u)
	}
	body, err := s.Uploaded(bg, u)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(body.Reader())
	if err != nil || string(got) != content {
		t.Errorf("joined content %q (%v)", got, err)
	}
	part := make([]byte, 50)
	if n, err := body.ReadAt(part, 90); n != 50 || err != nil || !bytes.Equal(part, []byte(content[90:140])) {
		t.Errorf("over a seam: %q, %v", part[:n], err)
	}
	all, err := s.Uploads(bg, 0, 0)
	if err != nil || len(all) != 2 {
		t.Errorf("%d uploads (%v), want 2", len(all), err)
	}
	if none, err := s.UploadOf(bg, 99); none != nil || err != nil {
		t.Errorf("upload of an unknown exchange: %v, %v", none, err)
	}
}
