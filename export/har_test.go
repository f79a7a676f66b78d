package export

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"io"
	"testing"
	"time"

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

// The parts of an entry's time add up to it, also where no reply came: viewers
// draw them.
func TestHARTimings(t *testing.T) {
	begun := time.Date(2026, 3, 2, 8, 15, 0, 0, time.UTC)
	at := func(ms int) time.Time { return begun.Add(time.Duration(ms) * time.Millisecond) }
	for name, c := range map[string]struct {
		replied, ended time.Time
		want           harTimings
	}{
		"whole":        {at(20), at(50), harTimings{0, 20, 30}},
		"no reply":     {time.Time{}, at(50), harTimings{0, 50, 0}},
		"under way":    {time.Time{}, time.Time{}, harTimings{}},
		"cut off":      {at(20), time.Time{}, harTimings{0, 20, 0}},
		"clock is set": {at(-5), at(-5), harTimings{}},
	} {
		if got := harTimingsOf(&traffic.Exchange{Begun: begun, Replied: c.replied, Ended: c.ended}); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}
