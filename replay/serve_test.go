package replay

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"mpproxy/decode"
	"mpproxy/traffic"
)

// sample is a message of the samples, cut in head and body.
func sample(t *testing.T, name string) (traffic.Head, []byte) {
	t.Helper()
	raw, err := os.ReadFile("../testdata/samples/wire/" + name)
	if err != nil {
		t.Fatal(err)
	}
	head, body, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
	return traffic.ParseHead(append(head, "\r\n\r\n"...)), body
}

func decoded(dir traffic.Dir, head traffic.Head, body []byte) *decode.Message {
	return decode.Decode(decode.Source{
		Dir: dir, Head: head, Body: bytes.NewReader(body), Size: int64(len(body)), Framing: traffic.ByLength, Whole: true,
	}, decode.Content)
}

// An agent that cannot inflate is not given a reply that was packed for
// another one.
func TestServeFitsCompression(t *testing.T) {
	s := &Server{ServerOptions: ServerOptions{Now: time.Now}}
	head, body := sample(t, "03-policy-request.http")
	was := decoded(traffic.Request, head, body)
	text := was.HeaderText.String
	for _, wants := range []string{"zlib", "none"} {
		live := text[strings.Index(text, "SchemaVersion"):]
		live = `<Msg ReplyCompression="` + wants + `" ` + live
		asked, _, err := was.Edit(decode.Edit{Header: &live})
		if err != nil {
			t.Fatal(err)
		}
		replyHead, replyBody := sample(t, "04-policy-reply.http")
		fitted, ok := s.message(replyHead, replyBody, was, decoded(traffic.Request, head, asked), "")
		reply := decoded(traffic.Reply, replyHead, fitted)
		packed := strings.Contains(reply.HeaderText.String, "zlib-compress")
		if !ok || packed != (wants == "zlib") || (reply.Inflated.Method != "") != packed || !strings.Contains(reply.Text.String, "<ReplyAssignments") {
			t.Errorf("the agent wants %s, header says packed %v, the payload is packed by %q", wants, packed, reply.Inflated.Method)
		}
	}
}

// A content coding that was agreed on in the capture is not forced on others.
func TestAccepts(t *testing.T) {
	for field, want := range map[string]bool{
		"": false, "gzip, deflate": true, "GZIP": true, "deflate;q=1, *": true, "gzip;q=0": false, "gzip; q=0.5": true, "br": false,
	} {
		h := traffic.ParseHead([]byte("GET / HTTP/1.1\r\nAccept-Encoding: " + field + "\r\n\r\n"))
		if got := accepts(h, "gzip"); got != want {
			t.Errorf("%q: %v", field, got)
		}
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte("text"))
	_ = w.Close()
	if got, err := gunzip("gzip", b.Bytes()); err != nil || string(got) != "text" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := gunzip("br", b.Bytes()); err == nil {
		t.Error("a coding that is not known was taken off")
	}
}

// Who sends too much is told so, and not left waiting.
func TestServeTooLarge(t *testing.T) {
	s := &Server{ServerOptions: ServerOptions{Now: time.Now, Timeout: time.Minute}}
	client, server := net.Pipe()
	defer client.Close()
	go s.connection(t.Context(), server)
	if _, err := client.Write([]byte("POST / HTTP/1.1\r\nContent-Length: 999999999999\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(client).ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 413 ") {
		t.Errorf("%q, %v", line, err)
	}
}
