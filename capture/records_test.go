package capture

import (
	"strings"
	"testing"
	"time"

	"mpproxy/traffic"
)

// TestTLSPassedInOrder: an answer that is stored before what it answers comes
// after it, or an export shows a conversation that nobody could have had; a
// clock that was set back does not change a direction's order, or its stream is
// no TLS any more.
func TestTLSPassedInOrder(t *testing.T) {
	r := record(t, steady())
	p := newPlay(r.Take)
	c := p.open("192.0.2.12:50001")
	start := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	for _, x := range []struct {
		in   bool
		ms   int
		data string
	}{
		{true, 0, "hello "},
		{true, 20, "answer "},
		{false, 10, "question "},
		{true, -3600_000, "more "},
		{false, 30, "end"},
	} {
		r.Take(traffic.TLSPassed{Conn: c.ID, Side: traffic.AgentSide, In: x.in, At: start.Add(time.Duration(x.ms) * time.Millisecond), Data: []byte(x.data)})
	}
	p.close(c)
	closeRecorder(t, r)
	var got strings.Builder
	if err := openTest(t, r.Path()).TLSPassed(bg, c.ID, func(p traffic.TLSPassed) error {
		got.Write(p.Data)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if want := "hello question answer more end"; got.String() != want {
		t.Errorf("came as %q, want %q", got.String(), want)
	}
}
