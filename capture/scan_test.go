package capture

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"mpproxy/filter"
	"mpproxy/traffic"
)

// long is a capture of n small exchanges; every tenth is answered 404.
func long(t testing.TB, n int) *Store {
	t.Helper()
	opts := steady()
	opts.SummaryOnly = true
	r := record(t, opts)
	p := newPlay(r.Take)
	c := p.open("192.0.2.12:50001")
	for i := range n {
		status := "200 OK"
		if (i+1)%10 == 0 {
			status = "404 Not Found"
		}
		p.exchange(c, message("GET /a HTTP/1.1", ""), message("HTTP/1.1 "+status, ""))
	}
	closeRecorder(t, r)
	return openTest(t, r.Path())
}

func parseFilter(t testing.TB, src string) *filter.Filter {
	t.Helper()
	f, err := filter.Parse(src, start, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func ids(rows []Row) []traffic.ExchangeID {
	var all []traffic.ExchangeID
	for _, r := range rows {
		all = append(all, r.ID)
	}
	return all
}

// TestPage walks a capture in both ways, with and without a filter.
func TestPage(t *testing.T) {
	s := long(t, 60)
	for _, c := range []struct {
		filter string
		from   traffic.ExchangeID
		way    Way
		n      int
		want   string
	}{
		{"", 0, Older, 3, "[58 59 60]"},
		{"", 58, Older, 3, "[55 56 57]"},
		{"", 2, Older, 3, "[1]"},
		{"", 1, Older, 3, "[]"},
		{"", 0, Newer, 3, "[1 2 3]"},
		{"", 58, Newer, 3, "[59 60]"},
		{"", 60, Newer, 3, "[]"},
		{"", 1000, Older, 2, "[59 60]"},
		{"status:404", 0, Older, 2, "[50 60]"},
		{"status:404", 50, Older, 2, "[30 40]"},
		{"status:404", 50, Newer, 2, "[60]"},
		{"status:404", 0, Newer, 2, "[10 20]"},
		{"status:404", 1000, Older, 1, "[60]"},
		{"status:404", 0, Newer, 0, "[10 20 30 40 50 60]"},
		{"status:500", 0, Older, 2, "[]"},
		{"wire:404", 0, Older, 2, "[50 60]"},
		{"wire:404", 0, Newer, 2, "[10 20]"},
	} {
		rows, err := s.Page(bg, parseFilter(t, c.filter), c.from, c.way, c.n)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(ids(rows)); got != c.want {
			t.Errorf("%q from %d, newer %v, %d: %s, want %s", c.filter, c.from, c.way, c.n, got, c.want)
		}
	}
}

// TestScanProgress ends where it is told to, tells how far it is, and goes on
// from there without looking twice.
func TestScanProgress(t *testing.T) {
	s := long(t, 300)
	f := parseFilter(t, "wire:404") // begins with steps of 50
	var steps []Progress
	var found []traffic.ExchangeID
	err := s.Scan(bg, f, 0, Older, 0, func(rows []Row, p Progress) bool {
		steps = append(steps, p)
		found = append(found, ids(rows)...)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 30 || !slices.IsSortedFunc(found, func(a, b traffic.ExchangeID) int { return int(b - a) }) {
		t.Errorf("found %v, want 30 from the newest to the oldest", found)
	}
	last := steps[len(steps)-1]
	if len(steps) < 2 || last.Done != 1 || !last.End || last.Found != 30 || steps[0].Done >= 1 || steps[0].End {
		t.Errorf("progress %+v", steps)
	}
	stopped := Progress{}
	if err := s.Scan(bg, f, 0, Older, 0, func(_ []Row, p Progress) bool { stopped = p; return false }); err != nil {
		t.Fatal(err)
	}
	rows, err := s.Page(bg, f, stopped.At, Older, 0)
	if err != nil || len(rows)+stopped.Found != 30 {
		t.Errorf("%d found up to %d, %d more from there (%v), want 30 together", stopped.Found, stopped.At, len(rows), err)
	}
}

// TestScanCancel ends with its context, in the middle.
func TestScanCancel(t *testing.T) {
	s := long(t, 300)
	ctx, cancel := context.WithCancel(bg)
	steps := 0
	err := s.Scan(ctx, parseFilter(t, "wire:404"), 0, Older, 0, func([]Row, Progress) bool {
		steps++
		cancel()
		return true
	})
	if !errors.Is(err, context.Canceled) || steps != 1 {
		t.Errorf("%v after %d steps, want the context's error after one", err, steps)
	}
}

func TestWalk(t *testing.T) {
	w := newWalk(1, 100, 0, Older)
	w.size = 30
	var got [][2]traffic.ExchangeID
	for !w.over() {
		lo, hi := w.next()
		got = append(got, [2]traffic.ExchangeID{lo, hi})
		w.adapt(time.Second)
	}
	want := "[[71 100] [56 70] [49 55] [46 48] [45 45] [44 44]"
	if s := fmt.Sprint(got); s[:len(want)] != want || got[len(got)-1] != [2]traffic.ExchangeID{1, 1} {
		t.Errorf("slow steps: %s, want halves down to one: %s", s, want)
	}
	w = newWalk(1, 100, 0, Newer)
	w.size = 10
	got = nil
	for !w.over() {
		lo, hi := w.next()
		got = append(got, [2]traffic.ExchangeID{lo, hi})
		w.adapt(0)
	}
	if s := fmt.Sprint(got); s != "[[1 10] [11 30] [31 70] [71 100]]" {
		t.Errorf("quick steps: %s, want doubles", s)
	}
}

// A long walk of quick steps stays among the numbers: a step that doubled each
// time would leave them after sixty.
func TestWalkOfQuickSteps(t *testing.T) {
	for _, way := range []Way{Newer, Older} {
		w := newWalk(1, 1<<40, 0, way)
		for n := 0; n < 100 && !w.over(); n++ {
			lo, hi := w.next()
			if lo < 1 || hi > 1<<40 || lo > hi {
				t.Fatalf("step %d goes from %d to %d", n, lo, hi)
			}
			w.stopAt(lo) // enough was found at once
			w.adapt(0)
		}
	}
}
