package tui

import (
	"context"
	"testing"
	"time"

	"mpproxy/capture"
	"mpproxy/traffic"
)

func TestFilter(t *testing.T) {
	s := newScene(t)
	mixed(s)
	st := open(t, s.store, 80, 24)
	st.press(`/ "agnt:PC*"`)
	st.advance(followBar)
	st.golden("filter-wrong-80x24")
	st.press("Enter") // a wrong filter is not kept
	st.mustHave("/agnt:PC*")
	st.press(`Ctrl-U "ki" Tab`)
	st.mustHave("/kind:")
	st.press(`"pol" Tab`)
	st.golden("filter-offers-80x24")
	st.press(`Esc Ctrl-U "finding:test-*"`)
	st.advance(followBar)
	st.golden("filter-typed-80x24")
	st.press("Enter")
	st.golden("filter-kept-80x24")
	st.press("/ Ctrl-U Up")
	st.mustHave("/finding:test-*")
	st.press("Esc")
	st.mustHave("= 3 matches")
	st.press(`/ "␣status:500" Enter`)
	st.mustHave("no exchange passes this filter")
	st.press("Esc")
	st.mustNotHave("no exchange")
	st.mustHave("10 rows")
}

// What is typed restores on Esc, also after the list has followed it.
func TestFilterRestored(t *testing.T) {
	s := newScene(t)
	mixed(s)
	st := open(t, s.store, 80, 24, func(c *Config) { c.Filter = "finding:test-*" })
	st.mustHave("/finding:test-*")
	st.mustHave("= 3 matches")
	st.press(`/ Ctrl-U "status:403"`)
	st.advance(followBar)
	st.mustHave("= 1 match")
	st.press("Esc")
	st.mustHave("= 3 matches")
}

// A filter that is wrong at the start is said, and shows everything.
func TestFilterWrongAtStart(t *testing.T) {
	s := newScene(t)
	mixed(s)
	st := open(t, s.store, 80, 24, func(c *Config) { c.Filter = "nope:1" })
	st.mustHave("10 rows")
	st.mustHave("filter: column 1")
}

func TestOnlyAndWithout(t *testing.T) {
	s := newScene(t)
	mixed(s)
	st := open(t, s.store, 80, 24)
	st.press("g = ")
	st.mustHave("/agent:PC-0001")
	st.mustHave("= 3 matches")
	st.press("l !")
	st.mustHave("-kind:registration")
	st.mustHave("= 2 matches")
	st.press("h h h =") // the fate
	st.mustHave("is:")
}

// Every column that can be shown can be filtered by, and what comes out is a
// filter that its own row passes.
func TestTerms(t *testing.T) {
	s := newScene(t)
	mixed(s)
	st := open(t, s.store, 80, 24)
	rows, err := s.store.Page(t.Context(), nil, 0, capture.Newer, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		for name := range terms {
			term, known := st.app.term(name, r)
			if !known {
				continue
			}
			f, err := st.app.parse(term)
			if err != nil {
				t.Errorf("column %s of %d: %q: %v", name, r.ID, term, err)
				continue
			}
			got, err := s.store.Page(t.Context(), f, r.ID-1, capture.Newer, 1)
			if err != nil || len(got) != 1 || got[0].ID != r.ID {
				t.Errorf("column %s: exchange %d does not pass its own %q (%v)", name, r.ID, term, err)
			}
		}
	}
}

// New rows meet the filter too: those that pass are counted and shown, an
// exchange that ends may begin to pass, or no longer pass.
func TestFilterLive(t *testing.T) {
	s := newScene(t)
	many(s, 3)
	x := s.begin(get("/slow"))
	s.flush()
	st := open(t, s.store, 80, 24, func(c *Config) { c.Live, c.Filter = &Live{}, "status:500" })
	st.mustHave("= 0 matches")
	s.end(x, httpMessage("HTTP/1.1 500 Oh", ""))
	s.add(get("/other"), ok)
	s.add(get("/second"), httpMessage("HTTP/1.1 500 Oh", ""))
	s.flush()
	st.notice(capture.Notice{Last: s.last, Changed: []traffic.ExchangeID{x.ID}})
	st.tick()
	st.mustHave("GET /slow")
	st.mustHave("GET /second")
	st.mustNotHave("GET /other")
	st.press(`/ Ctrl-U "is:open" Enter`)
	y := s.begin(get("/waits"))
	s.flush()
	st.notice(capture.Notice{Last: s.last})
	st.tick()
	st.mustHave("GET /waits")
	s.end(y, ok)
	s.flush()
	st.notice(capture.Notice{Changed: []traffic.ExchangeID{y.ID}})
	st.tick()
	st.mustNotHave("GET /waits")
}

// A search that takes long says how far it is and shows what it found. It can
// be ended, and what was found stays.
func TestScanStops(t *testing.T) {
	s := newScene(t)
	many(s, 200)
	st := open(t, s.store, 80, 24)
	found, err := s.store.Rows(t.Context(), []traffic.ExchangeID{7, 9})
	if err != nil {
		t.Fatal(err)
	}
	st.do(func(a *app) {
		m := a.messages()
		m.text = "text:x"
		a.cfg.patience = 0 // nobody waits for this one
		m.pages.read(func(ctx context.Context) func() {
			m.pages.progress(ctx, func() {
				m.scan = &capture.Progress{Done: 0.34, Found: 2}
				m.show(found, false, true, 0)
			})
			<-ctx.Done()
			return nil
		})
	})
	for scanning := false; !scanning; {
		st.send(st.ticks)
		st.sync()
		st.do(func(a *app) { scanning = a.messages().scan != nil })
	}
	st.mustHave("scanning 34 %, 2 so far (Esc stops)")
	st.mustHave("GET /9")
	st.pressOnly("Esc")
	st.mustHave("stopped at 34 %, 2 so far")
	st.mustHave("GET /9")
	st.press("Esc")
	st.mustNotHave("stopped")
	st.mustHave("GET /10 ")
}

// advance moves the clock and waits for what that sets off.
func (s *stage) advance(d time.Duration) {
	s.t.Helper()
	s.clock.advance(d)
	s.until("what the time sets off", func(a *app) bool { return a.open == 0 })
}
