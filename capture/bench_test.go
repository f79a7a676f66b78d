package capture

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mpproxy/decode"
	"mpproxy/filter"
	"mpproxy/traffic"
)

// inventory is a hardware inventory of about 400 KB of UTF-16, some 40 KB on
// the wire.
func inventory(t testing.TB) []byte {
	t.Helper()
	text := func(name string) string {
		b, err := os.ReadFile(filepath.Join("..", "testdata", "samples", name))
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(b))
	}
	var full strings.Builder
	head, rest, _ := strings.Cut(text("hinv-full-attachment.xml"), "<Instance")
	instance, tail, _ := strings.Cut(rest, "</ReportBody>")
	full.WriteString(head)
	for i := 0; full.Len() < 200_000; i++ {
		full.WriteString("<Instance" + strings.ReplaceAll(instance, "Lab Reader", fmt.Sprintf("Program %x", sha256.Sum256([]byte{byte(i), byte(i >> 8)}))))
	}
	full.WriteString("</ReportBody>" + tail)
	short := decode.Text{String: text("hinv-body.xml"), Tail: []byte{0, 0}}.Bytes()
	attachment := decode.Text{String: full.String(), BOM: true}.Bytes()
	header := strings.Replace(text("header-hinv-attachment.xml"), "2260", fmt.Sprint(len(short)), 2)
	header = strings.Replace(header, "411382", fmt.Sprint(len(attachment)), 1)
	const boundary = "--aAbBcCdDv1234567890VxXyYzZ"
	var body bytes.Buffer
	body.WriteString(boundary + "\r\ncontent-type: text/plain; charset=UTF-16\r\n\r\n")
	body.Write(decode.Text{String: header, BOM: true}.Bytes())
	body.WriteString("\r\n" + boundary + "\r\ncontent-type: application/octet-stream\r\n\r\n")
	z := zlib.NewWriter(&body)
	for _, b := range [][]byte{short, attachment} {
		if _, err := z.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	body.WriteString("\r\n" + boundary + "--")
	return message("CCM_POST /ccm_system/request HTTP/1.1", body.String(), "Host: mp01.lab.example",
		`Content-Type: multipart/mixed; boundary="aAbBcCdDv1234567890VxXyYzZ"`)
}

// BenchmarkRecord is the whole recording path: summary, findings, rows. One
// operation is one exchange; bytes come as the proxy reads them.
func BenchmarkRecord(b *testing.B) {
	for _, c := range []struct {
		name           string
		request, reply []byte
	}{
		{"small", sample(b, "11-state-request.http"), sample(b, "06-async-ack.http")},
		{"policy", sample(b, "03-policy-request.http"), sample(b, "04-policy-reply.http")},
		{"large", inventory(b), sample(b, "06-async-ack.http")},
	} {
		b.Run(c.name, func(b *testing.B) {
			r := record(b, Options{SummaryOnly: true})
			p := newPlay(r.Take)
			p.pieces = 16 << 10
			conn := p.open("192.0.2.12:50001")
			b.SetBytes(int64(len(c.request) + len(c.reply)))
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				p.exchange(conn, c.request, c.reply)
				p.told = p.told[:0]
			}
			flush(b, r)
			b.StopTimer()
			st := r.Stats()
			b.ReportMetric(float64(st.Rows)/float64(b.N), "rows/op")
			b.ReportMetric(float64(st.Commits)/float64(b.N), "commits/op")
			info, err := os.Stat(r.Path() + "-wal")
			if err != nil {
				b.Fatal(err)
			}
			closeRecorder(b, r)
			file, err := os.Stat(r.Path())
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(file.Size())/float64(st.Bytes), "disk/wire")
			b.ReportMetric(float64(info.Size())/1e6, "wal-MB")
		})
	}
}

// BenchmarkSearch looks for words that are nowhere, in the texts of messages.
func BenchmarkSearch(b *testing.B) {
	for _, c := range []struct{ name, request, reply string }{
		{"policy", "03-policy-request.http", "04-policy-reply.http"},
		{"state", "11-state-request.http", "06-async-ack.http"},
	} {
		b.Run(c.name, func(b *testing.B) {
			r := record(b, Options{SummaryOnly: true})
			p := newPlay(r.Take)
			conn := p.open("192.0.2.12:50001")
			for range 200 {
				p.exchange(conn, sample(b, c.request), sample(b, c.reply))
			}
			closeRecorder(b, r)
			s := openTest(b, r.Path())
			f, err := filter.Parse("text:nowhere", time.Now(), time.UTC)
			if err != nil {
				b.Fatal(err)
			}
			var texts int64
			if err := s.db.QueryRow(`SELECT sum(text_bytes) FROM message`).Scan(&texts); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(texts)
			for b.Loop() {
				if rows, err := s.Page(bg, f, 0, Older, 100); err != nil || len(rows) > 0 {
					b.Fatal(rows, err)
				}
			}
		})
	}
}

// stored makes a capture of n exchanges of many agents, without bodies.
func stored(b *testing.B, n int) *Store {
	b.Helper()
	path := filepath.Join(b.TempDir(), "big.mpdb")
	r, err := Create(path, Options{SummaryOnly: true})
	if err != nil {
		b.Fatal(err)
	}
	p := newPlay(r.Take)
	reply := message("HTTP/1.1 200 OK", "")
	for i := range n {
		if i%100 == 0 {
			p.open(fmt.Sprintf("192.0.%d.%d:50001", i/100/250%250, i/100%250))
		}
		p.exchange(traffic.Conn{ID: p.conns}, message(fmt.Sprintf("GET /SMS_MP/.sms_pol?%d HTTP/1.1", i), ""), reply, func(x *traffic.Exchange) {
			if i%200 == 0 {
				x.Findings = []traffic.Finding{{Kind: &traffic.FindingKind{Code: "test-error", Severity: traffic.Error}}}
			}
		})
		p.told = p.told[:0]
	}
	if err := r.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
	return openTest(b, path)
}

// BenchmarkRead asks for pages of 100 at scattered places.
func BenchmarkRead(b *testing.B) {
	const n = 200_000
	s := stored(b, n)
	for _, src := range []string{"", "agent:192.0.3.7", "sev:E", "status:>=400", "kind:ddr", "path:*77", "took:>1h", "words"} {
		f, err := filter.Parse(src, time.Now(), time.UTC)
		if err != nil {
			b.Fatal(err)
		}
		b.Run("page "+src, func(b *testing.B) {
			for i := range b.N {
				if _, err := s.Page(bg, f, traffic.ExchangeID(i*7919%n), Older, 100); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("count sev:E", func(b *testing.B) {
		f, err := filter.Parse("sev:E", time.Now(), time.UTC)
		if err != nil {
			b.Fatal(err)
		}
		for range b.N {
			if n, err := s.Count(bg, f); err != nil || n != 1000 {
				b.Fatal(n, err)
			}
		}
	})
}
