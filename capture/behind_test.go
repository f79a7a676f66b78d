package capture

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mpproxy/decode"
	"mpproxy/traffic"
)

// TestSecondPass decodes whole what was recorded as a summary.
func TestSecondPass(t *testing.T) {
	r := record(t, steady())
	p := newPlay(r.Take)
	playSamples(t, p)
	closeRecorder(t, r)
	s := openTest(t, r.Path())
	mustBeSound(t, s)
	for _, x := range p.told {
		infos, err := s.Infos(bg, x.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range infos {
			if worthwhile(x) && i.Depth != decode.Full {
				t.Errorf("exchange %d, %v: not decoded whole", x.ID, i.Dir)
			}
			m, err := s.Message(bg, x.ID, i.Dir, decode.Full)
			if err != nil {
				t.Fatal(err)
			}
			if m.Kind != i.Kind || m.TextBytes != i.TextBytes || m.Signature != i.Signature {
				t.Errorf("exchange %d, %v: kept %+v, decoded now %q, %d bytes of text, signature %q",
					x.ID, i.Dir, i, m.Kind, m.TextBytes, m.Signature)
			}
		}
		fs, err := s.Findings(bg, x.ID)
		if err != nil {
			t.Fatal(err)
		}
		want := 0
		for _, d := range []traffic.Dir{traffic.Request, traffic.Reply} {
			if m, err := s.Message(bg, x.ID, d, decode.Full); err == nil {
				want += len(m.Findings)
			}
		}
		if len(fs) != want {
			t.Errorf("exchange %d: %d findings, want the %d of the whole decode", x.ID, len(fs), want)
		}
	}
}

// TestSecondPassStops gives up when the time is over, and says how much is
// undone.
func TestSecondPassStops(t *testing.T) {
	opts := steady()
	opts.After = func(time.Duration) <-chan time.Time { return nil } // never rested
	r := record(t, opts)
	playSamples(t, newPlay(r.Take))
	flush(t, r)
	ctx, cancel := context.WithCancel(bg)
	cancel()
	if err := r.Close(ctx); err != nil {
		t.Fatal(err)
	}
	s := openTest(t, r.Path())
	mustBeSound(t, s)
	if n, err := s.Count(bg, nil); n != 5 || err != nil {
		t.Errorf("%d rows (%v), want all 5 whatever the second pass did", n, err)
	}
}

// TestRest leaves time to the traffic while there is any, and all of it while
// there is much.
func TestRest(t *testing.T) {
	now := start
	var rests []time.Duration
	opts := steady()
	opts.Now = func() time.Time { return now }
	opts.After = func(d time.Duration) <-chan time.Time {
		rests, now = append(rests, d), now.Add(d)
		c := make(chan time.Time)
		close(c)
		return c
	}
	q := newQueue(weight{64, 1 << 20})
	b := newBehind(opts, q, nil)
	q.put(traffic.ConnOpened{}, now)
	b.rest(time.Millisecond)
	if diff := cmp.Diff([]time.Duration{9 * time.Millisecond}, rests); diff != "" {
		t.Errorf("rests after 1 ms of work while traffic passes (-want +got):\n%s", diff)
	}
	rests, now = nil, now.Add(time.Second)
	b.rest(time.Millisecond)
	if rests != nil {
		t.Errorf("rested %v though nothing passes", rests)
	}
	for range 10 {
		q.put(traffic.ConnOpened{}, now)
	}
	b.rest(time.Millisecond)
	if diff := cmp.Diff([]time.Duration{9 * time.Millisecond, quiet - 9*time.Millisecond}, rests); diff != "" {
		t.Errorf("rests after 1 ms of work while much passes (-want +got):\n%s", diff)
	}
}
