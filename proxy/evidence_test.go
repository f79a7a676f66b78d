package proxy

import (
	"bytes"
	"testing"
	"time"

	"mpproxy/traffic"
)

// TestRecords follows records however they are cut: a header that is read at
// the wrong place would call data a renegotiation.
func TestRecords(t *testing.T) {
	stream := bytes.Join([][]byte{
		{22, 3, 1, 0, 3, 9, 9, 9}, {23, 3, 3, 1, 0}, make([]byte, 256), {21, 3, 3, 0, 26}, bytes.Repeat([]byte{22}, 26), {23, 3, 3, 0, 2, 1, 1},
	}, nil)
	at := time.Unix(1, 0)
	for step := 1; step <= len(stream); step++ {
		var r records
		for b := stream; len(b) > 0; {
			n := min(step, len(b))
			r.follow(b[:n], false, func() time.Time { return at })
			b = b[n:]
		}
		if len(r.noted) != 2 || r.noted[0] != (traffic.Record{Type: 22, Length: 3, At: 1e6}) || r.noted[1].Length != 26 || r.last != 2 || r.lost {
			t.Fatalf("in steps of %d: %+v", step, r)
		}
	}
	var r records
	for range 100 {
		r.follow([]byte{21, 3, 3, 0, 0}, false, func() time.Time { return at })
	}
	if len(r.noted) != traffic.RecordsLimit {
		t.Errorf("%d records are noted", len(r.noted))
	}
	r.follow([]byte("GET / HTTP/1.1\r\n"), false, time.Now)
	if r.follow([]byte{21, 3, 3, 0, 1, 0}, false, time.Now); !r.lost {
		t.Error("goes on after something that is no record")
	}
	data := append([]byte{23, 3, 3, 0, 100}, make([]byte, 100)...)
	r = records{}
	if n := testing.AllocsPerRun(100, func() { r.follow(data, false, time.Now) }); n > 0 {
		t.Errorf("%v allocations for a record", n)
	}
}
