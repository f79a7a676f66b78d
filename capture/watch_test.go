package capture

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mpproxy/traffic"
)

// TestWatch follows a file through its own connection, as another process
// would: only what the file says may tell it.
func TestWatch(t *testing.T) {
	opts := steady()
	opts.SummaryOnly = true
	r := record(t, opts)
	p := newPlay(r.Take)
	c := p.open("192.0.2.12:50001")
	request, reply := message("POST /a HTTP/1.1", "x"), message("HTTP/1.1 200 OK", "y")
	p.exchange(c, request, reply)
	slow := p.begin(c, request)
	flush(t, r)

	s := openTest(t, r.Path())
	ctx, cancel := context.WithCancel(bg)
	tick := make(chan time.Time)
	notices := s.Watch(ctx, Look{Tick: tick})
	expect := func(want Notice) {
		t.Helper()
		if diff := cmp.Diff(want, <-notices); diff != "" {
			t.Errorf("notice (-want +got):\n%s", diff)
		}
	}
	expect(Notice{Last: 2})

	p.exchange(c, request, reply)
	flush(t, r)
	tick <- start
	expect(Notice{Last: 3, Other: true})

	p.end(slow, reply)
	flush(t, r)
	tick <- start
	expect(Notice{Changed: []traffic.ExchangeID{2}, Other: true})

	if err := s.Annotate(bg, Mark{Exchange: 1, At: start}); err != nil {
		t.Fatal(err)
	}
	tick <- start
	expect(Notice{Changed: []traffic.ExchangeID{1}, Other: true})

	tick <- start // nothing new: no notice, the next tick is taken
	tick <- start
	cancel()
	for n := range notices {
		t.Errorf("notice without news: %+v", n)
	}
}

// TestWatchMerges gives one notice for all that came while nobody received.
func TestWatchMerges(t *testing.T) {
	opts := steady()
	opts.SummaryOnly = true
	r := record(t, opts)
	p := newPlay(r.Take)
	s := openTest(t, r.Path())
	ctx, cancel := context.WithCancel(bg)
	defer cancel()
	tick := make(chan time.Time)
	notices := s.Watch(ctx, Look{Tick: tick})
	c := p.open("192.0.2.12:50001")
	for range 5 {
		p.exchange(c, message("POST /a HTTP/1.1", "x"), nil)
		flush(t, r)
		tick <- start
	}
	tick <- start // the look after the last flush is over
	got := <-notices
	got.Changed = nil // a look between a beginning and its end tells of both
	if diff := cmp.Diff(Notice{Last: 5, Other: true}, got); diff != "" {
		t.Errorf("merged notice (-want +got):\n%s", diff)
	}
}

// TestCommitted tells a follower of the same process at once.
func TestCommitted(t *testing.T) {
	r := record(t, steady())
	s := openTest(t, r.Path())
	ctx, cancel := context.WithCancel(bg)
	defer cancel()
	notices := s.Watch(ctx, Look{Tick: make(chan time.Time), Soon: r.Committed()})
	p := newPlay(r.Take)
	p.exchange(p.open("192.0.2.12:50001"), message("POST /a HTTP/1.1", "x"), nil)
	for n := range notices {
		if n.Last == 1 {
			return
		}
	}
	t.Error("the watch ended without a notice")
}

func TestNoticeMerge(t *testing.T) {
	a := Notice{Last: 5, Changed: []traffic.ExchangeID{2, 4}}
	b := Notice{Last: 7, Changed: []traffic.ExchangeID{1, 4}, All: true}
	want := Notice{Last: 7, Changed: []traffic.ExchangeID{1, 2, 4}, All: true}
	if diff := cmp.Diff(want, a.Merge(b)); diff != "" {
		t.Error(diff)
	}
}
