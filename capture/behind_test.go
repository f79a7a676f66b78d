package capture

import (
	"context"
	"testing"
	"time"

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

// TestRest leaves time to the traffic while there is any.
func TestRest(t *testing.T) {
	now, rested := start, time.Duration(0)
	opts := steady()
	opts.Now = func() time.Time { return now }
	opts.After = func(d time.Duration) <-chan time.Time {
		rested = d
		c := make(chan time.Time, 1)
		c <- now
		return c
	}
	q := newQueue(10, 10)
	q.put(traffic.ConnOpened{}, now)
	b := &behind{r: &Recorder{opts: opts, queue: q}}
	b.rest(time.Millisecond)
	if rested != 9*time.Millisecond {
		t.Errorf("rested %v after 1 ms of work while traffic passes, want 9 ms", rested)
	}
	rested, now = 0, now.Add(time.Second)
	b.rest(time.Millisecond)
	if rested != 0 {
		t.Errorf("rested %v though nothing passes", rested)
	}
}
