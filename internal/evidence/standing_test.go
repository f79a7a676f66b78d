package evidence

import (
	"path/filepath"
	"testing"
	"time"

	"mpproxy/capture"
	"mpproxy/traffic"
)

// TestStanding: what is judged of a capture that grows is what a survey of the
// whole finds; a connection that is open, or was until just now, is judged anew.
func TestStanding(t *testing.T) {
	file := filepath.Join(t.TempDir(), "grows.mpdb")
	rec, err := capture.Create(file, capture.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer rec.Close(t.Context())
	begin := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	conn := func(id traffic.ConnID, opened time.Time) traffic.Conn {
		return traffic.Conn{
			ID: id, Listener: "https://127.0.0.1:8443", Mode: "reverse", Agent: "192.0.2.7:5000", Opened: opened,
			AgentLeg: traffic.Leg{Address: "192.0.2.7:5000"},
		}
	}
	closed := func(id traffic.ConnID, opened time.Time) {
		c := conn(id, opened)
		c.Closed, c.AgentLeg.End, c.AgentLeg.EndedAt = opened.Add(time.Second), traffic.EndFIN, opened.Add(time.Second)
		rec.Take(traffic.ConnClosed{Conn: c})
	}
	now := begin
	flush := func() {
		t.Helper()
		if err := rec.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	rec.Take(traffic.ConnOpened{Conn: conn(1, begin)})
	flush()
	store, err := capture.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	s := NewStanding(store, begin, func() time.Time { return now })
	expect := func(judged, settled, probes int) {
		t.Helper()
		if err := s.Update(t.Context(), func() {}); err != nil {
			t.Fatal(err)
		}
		groups, found := s.Groups(), 0
		for _, g := range groups {
			if g.Example.Kind.Code == "tls-port-probe" {
				found = g.Count
			}
		}
		if s.Judged() != judged || s.settled.Conns != settled || found != probes {
			t.Errorf("%d judged, %d for good, %d probes; want %d, %d, %d", s.Judged(), s.settled.Conns, found, judged, settled, probes)
		}
	}
	expect(1, 0, 0)
	closed(1, begin)
	flush()
	expect(1, 0, 1)
	now = begin.Add(2 * time.Minute)
	expect(1, 1, 1)
	for id := range traffic.ConnID(3) { // one of them before the time asked for
		at := begin.Add(time.Duration(id-1) * time.Minute)
		rec.Take(traffic.ConnOpened{Conn: conn(id+2, at)})
		closed(id+2, at)
	}
	flush()
	expect(3, 2, 3)
	now = begin.Add(time.Hour)
	expect(3, 3, 3)

	whole, err := New(store, func() time.Time { return now }).Run(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if g := whole.Groups(); len(g) != 1 || g[0].Count != 4 || len(g[0].Conns) != 4 {
		t.Errorf("the whole capture has %+v", g)
	}
}
