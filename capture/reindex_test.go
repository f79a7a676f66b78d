package capture

import (
	"context"
	"errors"
	"testing"

	"mpproxy/decode"
)

// A capture made by a decoder that knew less has to get what today's knows:
// here one whose second pass never ran, and whose summaries were spoilt.
func TestReindex(t *testing.T) {
	opts := steady()
	opts.SummaryOnly = true
	r := record(t, opts)
	p := newPlay(r.Take)
	playSamples(t, p)
	closeRecorder(t, r)
	db, err := openDB(r.Path(), "mode=rw")
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.Exec(`UPDATE list SET summary = 'old'; DELETE FROM found WHERE origin = 1`)
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}

	if r, err = Create(r.Path(), opts); err != nil {
		t.Fatal(err)
	}
	told := int64(0)
	n, err := r.Reindex(bg, func(done, all int64) {
		if told = done; done > all {
			t.Errorf("%d of %d done", done, all)
		}
	})
	if err != nil || n != int64(len(p.told)) || told == 0 {
		t.Fatalf("%d of %d exchanges, last told %d, %v", n, len(p.told), told, err)
	}
	closeRecorder(t, r)
	s := openTest(t, r.Path())
	mustBeSound(t, s)
	for _, x := range p.told {
		row, err := s.Row(bg, x.ID)
		if err != nil || row.Short == "old" {
			t.Errorf("exchange %d: summary %q, %v", x.ID, row.Short, err)
		}
		infos, err := s.Infos(bg, x.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range infos {
			if worthwhile(x) && i.Depth != decode.Full {
				t.Errorf("exchange %d, %v: not decoded whole", x.ID, i.Dir)
			}
		}
	}
}

// Stopped in the middle, the file is whole.
func TestReindexStops(t *testing.T) {
	r := record(t, steady())
	p := newPlay(r.Take)
	playSamples(t, p)
	closeRecorder(t, r)
	r, err := Create(r.Path(), steady())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(bg)
	cancel()
	if _, err := r.Reindex(ctx, func(_, _ int64) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want that it was canceled", err)
	}
	closeRecorder(t, r)
	mustBeSound(t, openTest(t, r.Path()))
}
