package tui

import (
	"fmt"
	"testing"

	"mpproxy/capture"
	"mpproxy/traffic"
)

// mixed fills a capture with every severity and fate.
func mixed(s *scene) {
	s.connect("192.0.2.12:50112")
	s.add(sample(s.t, "01-registration-request.http"), sample(s.t, "02-registration-reply.http"))
	s.add(sample(s.t, "03-policy-request.http"), sample(s.t, "04-policy-reply.http"), func(x *traffic.Exchange) {
		x.Fate, x.Rules = traffic.Modified, []string{"pin-policy"}
	})
	s.add(sample(s.t, "05-metering-request.http"), sample(s.t, "06-async-ack.http"))
	s.connect("192.0.2.77:51322")
	s.add(get("/SMS_MP/.sms_aut?MPLIST"), httpMessage("HTTP/1.1 403 Forbidden", "no"), found(testError, "certificate_list is empty"))
	s.add(get("/SMS_MP/.sms_aut?MPCERT"), httpMessage("HTTP/1.1 503 Service Unavailable", ""), found(testWarning, "2.3 s"))
	s.add(get("/index.html"), ok, found(testNote, ""))
	s.add(get("/dropped"), nil, func(x *traffic.Exchange) { x.Fate, x.Err = traffic.Dropped, "rule drop-all" })
	s.add(get("/answered"), ok, func(x *traffic.Exchange) { x.Fate = traffic.Answered })
	s.add(get("/tunnel"), ok, func(x *traffic.Exchange) { x.Fate = traffic.Tunneled })
	s.begin(get("/under-way"))
	s.flush()
}

// many adds n exchanges without anything odd.
func many(s *scene, n int) {
	for range n {
		s.add(get(fmt.Sprintf("/%d", s.last+1)), ok)
	}
	s.flush()
}

func TestEmpty(t *testing.T) {
	s := newScene(t)
	open(t, s.store, 80, 24).golden("empty-80x24")
	running := open(t, s.store, 80, 24, func(c *Config) { c.Live = &Live{} })
	running.golden("empty-live-80x24")
}

func TestMessages(t *testing.T) {
	s := newScene(t)
	mixed(s)
	for _, size := range [][2]int{{80, 24}, {120, 40}, {60, 15}, {59, 14}, {30, 8}, {29, 7}, {200, 50}} {
		open(t, s.store, size[0], size[1]).golden(fmt.Sprintf("messages-%dx%d", size[0], size[1]))
	}
}

// The cursor goes everywhere and the window follows, page by page.
func TestMoving(t *testing.T) {
	s := newScene(t)
	many(s, 300)
	st := open(t, s.store, 80, 24)
	at := func(want traffic.ExchangeID) {
		t.Helper()
		st.do(func(a *app) {
			m := a.messages()
			if m.cursor != want {
				t.Errorf("the cursor is at %d, not at %d", m.cursor, want)
			}
			if n := len(m.rows); n > 4*m.span() {
				t.Errorf("the window holds %d rows", n)
			}
			for i := 1; i < len(m.rows); i++ {
				if m.rows[i].ID != m.rows[i-1].ID+1 {
					t.Errorf("the window has a gap before %d", m.rows[i].ID)
				}
			}
		})
	}
	at(300)
	st.press("k k Up")
	at(297)
	st.press("g")
	at(1)
	st.press("k")
	at(1)
	st.press("j Down")
	at(3)
	st.press("G")
	at(300)
	st.press("PgUp")
	at(281)
	for range 20 {
		st.press("Ctrl-B")
	}
	at(1)
	for range 20 {
		st.press("Space")
	}
	at(300)
	st.press("Home Ctrl-D")
	at(11)
	st.press("Ctrl-U End")
	at(300)
	st.press(`: "goto␣150" Enter`)
	at(150)
	st.mustHave("/150")
	st.press(`: "goto␣9999" Enter`)
	at(300)
	st.mustHave("9999 is not here")
}

// Following shows what comes; when it is off nothing moves but the marker.
func TestFollow(t *testing.T) {
	s := newScene(t)
	many(s, 30)
	st := open(t, s.store, 80, 24, func(c *Config) { c.Live = &Live{Recorder: s.recorder.Stats} })
	st.mustHave("FOLLOW")
	many(s, 5)
	st.notice(capture.Notice{Last: 35})
	st.tick()
	st.golden("follow-80x24")
	st.press("k k")
	before := st.lines()
	s.add(get("/bad"), ok, found(testError, ""))
	s.add(get("/worse"), ok, found(testError, ""))
	s.add(get("/slow"), ok, found(testWarning, ""))
	many(s, 100)
	st.notice(capture.Notice{Last: 138})
	st.tick()
	st.golden("marker-80x24")
	after := st.lines()
	for y := 1; y < 21; y++ {
		if before[y] != after[y] {
			t.Errorf("line %d moved:\n%q\n%q", y, before[y], after[y])
		}
	}
	st.press("]")
	st.do(func(a *app) {
		if id := a.messages().cursor; id != 36 {
			t.Errorf("] went to %d, the next error is 36", id)
		}
	})
	st.press("] ]")
	st.mustHave("no further E that way")
	st.press("[")
	st.do(func(a *app) {
		if id := a.messages().cursor; id != 36 {
			t.Errorf("[ went to %d, the error before is 36", id)
		}
	})
	st.press("G")
	st.mustHave("FOLLOW")
	st.mustNotHave(" new")
	st.press("F")
	st.mustNotHave("FOLLOW")
}

// An exchange that ends is another row then; the one under the cursor too.
func TestChanges(t *testing.T) {
	s := newScene(t)
	x := s.begin(get("/slow"))
	s.flush()
	st := open(t, s.store, 80, 24)
	st.mustHave(" > ")
	s.end(x, httpMessage("HTTP/1.1 500 Oh", ""), found(testError, ""))
	s.flush()
	st.notice(capture.Notice{Changed: []traffic.ExchangeID{x.ID}})
	st.tick()
	st.mustHave("E ")
	st.mustHave("500")
	st.mustHave("The management point answers with an error of its own  Do: ")
	st.press("Enter") // and in the detail, before what was found in it
	st.mustHave("E M18  The management point answers with an error of its own  (side: MP leg,")
}
