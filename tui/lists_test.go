package tui

import (
	"fmt"
	"testing"
	"time"

	"mpproxy/capture"
	"mpproxy/traffic"
)

// closeConn ends the scene's connection.
func (s *scene) closeConn(agent string, end traffic.End) {
	s.recorder.Take(traffic.ConnClosed{Conn: traffic.Conn{
		ID: s.conn, Listener: "http://127.0.0.1:8080", Mode: "reverse", Agent: agent, Upstream: "mp01.lab.example:80",
		Opened: s.now.Add(-2 * time.Second), Closed: s.tick(time.Second),
		AgentLeg:    traffic.Leg{Address: agent, BytesIn: 51_234, BytesOut: 1_234_567, End: end},
		UpstreamLeg: traffic.Leg{Address: "198.51.100.5:80", End: traffic.EndProxy},
	}})
}

func TestLists(t *testing.T) {
	s := newScene(t)
	mixed(s)
	s.closeConn("192.0.2.77:51322", traffic.EndReset)
	s.flush()
	for _, size := range [][2]int{{80, 24}, {120, 40}} {
		for key, name := range map[string]string{"2": "agents", "3": "conns", "4": "findings", "7": "stats"} {
			st := open(t, s.store, size[0], size[1])
			st.press(key)
			st.golden(fmt.Sprintf("%s-%dx%d", name, size[0], size[1]))
		}
	}
}

// A list of many things is a window on them, as that of the exchanges is.
func TestListPages(t *testing.T) {
	s := newScene(t)
	for n := range 300 {
		s.connect(fmt.Sprintf("192.0.2.77:%d", 1000+n))
		s.closeConn(fmt.Sprintf("192.0.2.77:%d", 1000+n), traffic.EndFIN)
	}
	s.flush()
	st := open(t, s.store, 80, 24)
	at := func(want int64) {
		t.Helper()
		st.do(func(a *app) {
			l := a.top().(*listing[capture.ConnRow])
			if l.cursor != want {
				t.Errorf("the cursor is at %d, not at %d", l.cursor, want)
			}
			if n := len(l.rows); n > 6*l.span() {
				t.Errorf("the window holds %d rows", n)
			}
			for i := 1; i < len(l.rows); i++ {
				if l.rows[i].number != l.rows[i-1].number+1 {
					t.Errorf("the window has a gap before %d", l.rows[i].number)
				}
			}
		})
	}
	st.press("3")
	at(300)
	st.press("k k")
	at(298)
	for range 10 {
		st.press("PgUp")
	}
	at(298 - 10*19)
	st.press("g")
	at(1)
	for range 6 {
		st.press("PgDn")
	}
	at(1 + 6*19)
	st.press("G")
	at(300)
}

// From each list one key leads to its exchanges, and the others come back.
func TestListKeys(t *testing.T) {
	s := newScene(t)
	mixed(s)
	st := open(t, s.store, 80, 24)
	filter := func(want string) {
		t.Helper()
		st.do(func(a *app) {
			if len(a.stack) != 1 || a.messages().text != want {
				t.Errorf("%d screens, filter %q, want %q", len(a.stack), a.messages().text, want)
			}
		})
	}
	st.press("3 =")
	filter("conn:2")
	st.press("4 j j j =")
	filter("finding:test-no-certificate")
	st.press("4 j j j Enter")
	st.do(func(a *app) {
		if len(a.stack) != 3 {
			t.Errorf("%d screens, want the list and the explanation", len(a.stack))
		}
	})
	st.press("q q 2 Enter")
	st.do(func(a *app) {
		if len(a.stack) != 1 {
			t.Errorf("%d screens", len(a.stack))
		}
	})
}

// TestFindings: diagnoses of connections stand among what is stored, folded by
// kind and side, with what they explain below them; Enter leads to a connection,
// d to what the kind means, = to the exchanges.
func TestFindings(t *testing.T) {
	s := newScene(t)
	for n := range 3 {
		s.failedConn(fmt.Sprintf("192.0.2.%d:51322", 77+n%2), "mp01.lab.example", "remote error: tls: unknown certificate authority")
	}
	s.connect("192.0.2.12:50112")
	s.add(get("/SMS_MP/.sms_aut?MPLIST"), httpMessage("HTTP/1.1 403 Forbidden", "no"), found(testError, "x"))
	s.closeConn("192.0.2.12:50112", traffic.EndReset)
	s.flush()
	for _, size := range [][2]int{{80, 24}, {120, 40}} {
		st := open(t, s.store, size[0], size[1])
		st.press("4")
		st.golden(fmt.Sprintf("diagnoses-%dx%d", size[0], size[1]))
	}
	for _, theme := range []string{"light", "mono"} {
		st := open(t, s.store, 80, 24, func(c *Config) { c.Theme = theme })
		st.press("4")
		st.golden("diagnoses-" + theme)
	}
	st := open(t, s.store, 80, 24)
	st.press("4 Enter")
	st.do(func(a *app) {
		if c, here := a.top().(*connection); !here || c.id != 1 || c.crumb() != "1" {
			t.Errorf("Enter leads to %s", a.top().crumb())
		}
	})
	st.press("q d")
	st.do(func(a *app) {
		if p, here := a.top().(*page); !here || p.name != "tls-agent-distrusts" {
			t.Errorf("d leads to %s", a.top().crumb())
		}
	})
	st.press("q =")
	st.do(func(a *app) {
		if got := a.messages().text; got != "conn:1,2,3" {
			t.Errorf("filter %q", got)
		}
	})

	// The cursor stays on its kind when another one comes above it.
	st = open(t, s.store, 80, 24)
	st.press("4 G")
	before := ""
	st.do(func(a *app) { before = a.top().(*findings).row().thing.Kind.Code })
	s.failedConn("192.0.2.99:1", "", "read: EOF")
	s.flush()
	st.clock.advance(2 * time.Second)
	st.notice(capture.Notice{Other: true})
	st.tick()
	st.do(func(a *app) {
		f := a.top().(*findings)
		if got := f.row().thing.Kind.Code; got != before || f.judged.Load().conns != 5 {
			t.Errorf("the cursor is on %s, not on %s; %d connections are judged", got, before, f.judged.Load().conns)
		}
	})
}
