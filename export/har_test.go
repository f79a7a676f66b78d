package export

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"io"
	"testing"

	"mpproxy/traffic"
)

// HAR has bodies without their content coding: readers put it on again by the
// head, and would do so twice. What cannot be taken off has to say so.
func TestHARContent(t *testing.T) {
	const text = "<MPList/>"
	for _, c := range []struct {
		name, coding string
		pack         func(io.Writer) io.WriteCloser
		want         string
		comment      bool
	}{
		{"gzip", "gzip", func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }, text, false},
		{"deflate", "Deflate", func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) }, text, false},
		{"none", "", nil, text, false},
		{"unknown", "br", nil, text, true},
		{"broken", "gzip", nil, text, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			body := []byte(text)
			if c.pack != nil {
				var b bytes.Buffer
				w := c.pack(&b)
				_, _ = io.WriteString(w, text)
				w.Close()
				body = b.Bytes()
			}
			m := &Message{Body: body, Size: int64(len(body))}
			if c.coding != "" {
				m.Head.Fields = []traffic.Field{{Name: "Content-Encoding", Value: c.coding}}
			}
			got := harContentOf(m)
			content, err := base64.StdEncoding.DecodeString(got.Text)
			if err != nil || string(content) != c.want || got.Size != int64(len(c.want)) || (got.Comment != "") != c.comment {
				t.Errorf("content %q (%v), size %d, comment %q", content, err, got.Size, got.Comment)
			}
			if saved := int64(len(c.want) - len(body)); !c.comment && got.Compression != saved {
				t.Errorf("compression %d, want %d", got.Compression, saved)
			}
		})
	}
}
