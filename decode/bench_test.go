package decode

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"mpproxy/traffic"
)

// inventory is a hardware inventory whose text is about as large as asked, as
// an agent would send it.
func inventory(t testing.TB, size int) Source {
	t.Helper()
	var body strings.Builder
	full := string(mustRead(t, samples+"hinv-full-attachment.xml"))
	head, rest, _ := strings.Cut(full, "<Instance")
	instance, tail, _ := strings.Cut(rest, "</ReportBody>")
	body.WriteString(head)
	for i := 0; body.Len() < size/2; i++ {
		body.WriteString("<Instance" + strings.ReplaceAll(instance, "Lab Reader", fmt.Sprintf("Program %d", i*7919)))
	}
	body.WriteString("</ReportBody>" + tail)
	short := Text{String: string(mustRead(t, samples+"hinv-body.xml")), Tail: []byte{0, 0}}
	attachment := Text{String: body.String(), BOM: true}.Bytes()
	header := string(mustRead(t, samples+"header-hinv-attachment.xml"))
	header = strings.Replace(header, "2260", fmt.Sprint(len(short.Bytes())), 2)
	header = strings.Replace(header, "411382", fmt.Sprint(len(attachment)), 1)
	return ccmSource(t, header, append(short.Bytes(), attachment...))
}

// ccmSource makes a CCM_POST of a header's text and an inflated payload.
func ccmSource(t testing.TB, header string, payload []byte) Source {
	t.Helper()
	packed, err := deflate(payload, "zlib", 6)
	if err != nil {
		t.Fatal(err)
	}
	const b = "--aAbBcCdDv1234567890VxXyYzZ"
	var body bytes.Buffer
	body.WriteString(b + "\r\ncontent-type: text/plain; charset=UTF-16\r\n\r\n")
	body.Write(Text{String: strings.TrimSpace(header), BOM: true}.Bytes())
	body.WriteString("\r\n" + b + "\r\ncontent-type: application/octet-stream\r\n\r\n")
	body.Write(packed)
	body.WriteString("\r\n" + b + "--")
	head := "CCM_POST /ccm_system/request HTTP/1.1\r\nContent-Type: multipart/mixed; " +
		"boundary=\"aAbBcCdDv1234567890VxXyYzZ\"\r\nContent-Length: " + fmt.Sprint(body.Len()) + "\r\n\r\n"
	return Source{
		Dir: traffic.Request, Head: traffic.ParseHead([]byte(head)), Framing: traffic.ByLength,
		Body: bytes.NewReader(body.Bytes()), Size: int64(body.Len()), Whole: true, Arrived: arrived,
	}
}

func BenchmarkSummary(b *testing.B) {
	cases := []struct {
		name string
		s    Source
	}{
		{"state-6kB", source(mustRead(b, samples+"wire/11-state-request.http"))},
		{"policy-request-6kB", source(mustRead(b, samples+"wire/03-policy-request.http"))},
		{"policy-reply", source(mustRead(b, samples+"wire/04-policy-reply.http"))},
		{"registration", source(mustRead(b, samples+"wire/01-registration-request.http"))},
		{"inventory-50kB", inventory(b, 50<<10)},
		{"inventory-400kB", inventory(b, 400<<10)},
	}
	for _, c := range cases {
		for _, d := range []Depth{Summary, Full, Content} {
			b.Run(fmt.Sprintf("%s/%d", c.name, d), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(c.s.Size)
				for b.Loop() {
					Decode(c.s, d)
				}
			})
		}
	}
}
