package tui

import (
	"context"
	"errors"
	"slices"
	"testing"

	"mpproxy/capture"
	"mpproxy/compare"
	"mpproxy/internal/diff"
	"mpproxy/traffic"
)

// The marked exchange and the chosen one are compared by meaning; what may
// differ is folded until it is asked for.
func TestDifference(t *testing.T) {
	s := newScene(t)
	s.add(get("/SMS_MP/.sms_aut?MPLIST"), httpMessage("HTTP/1.1 200 OK", `<MPList><MP Name="MP01" v="1"/></MPList>`, "Date: Mon, 04 May 2026 10:41:05 GMT", "Content-Type: text/xml"))
	s.add(get("/SMS_MP/.sms_aut?MPLIST"), httpMessage("HTTP/1.1 403 Forbidden", `<MPList><MP Name="MP01" v="22"/></MPList>`, "Date: Mon, 04 May 2026 10:41:09 GMT", "Content-Type: text/xml"))
	s.flush()
	if err := s.store.Annotate(context.Background(), capture.Mark{Exchange: 1, Author: "me", At: noon}); err != nil {
		t.Fatal(err)
	}
	st := open(t, s.store, 80, 24)
	st.press("D")
	st.golden("difference-80x24")
	st.press("~")
	st.golden("difference-varied-80x24")
	st.press("q")
	st.do(func(a *app) {
		if len(a.stack) != 1 {
			t.Errorf("%d screens", len(a.stack))
		}
	})
	// With room both sides stand beside each other.
	wide := open(t, s.store, 120, 40)
	wide.press("D")
	wide.golden("difference-120x40")
	wide.press("v n")
	wide.golden("difference-whole-120x40")
	at := -1
	for _, press := range []string{"n", "n", "N"} {
		wide.press(press)
		wide.do(func(a *app) {
			d := a.top().(*difference)
			if line := d.body.line(); line == at || !slices.Contains(d.stops, line) {
				t.Errorf("%s goes to line %d of %v", press, line, d.stops)
			}
			at = d.body.line()
		})
	}
}

// What is wider than a column goes on in the next row, whatever its letters are.
func TestChunks(t *testing.T) {
	for s, want := range map[string][]string{"": nil, "abcdefg": {"abc", "def", "g"}, "漢字かな": {"漢", "字", "か", "な"}, "a\xffb": {"a\xffb"}} {
		if got := chunks(s, 3); !slices.Equal(got, want) {
			t.Errorf("%q: %q", s, got)
		}
	}
}

// Without a mark an exchange is compared with what went on, if anything else
// did.
func TestDifferenceAlone(t *testing.T) {
	s := newScene(t)
	many(s, 1)
	st := open(t, s.store, 80, 24)
	st.press("D")
	st.do(func(a *app) {
		if a.said == "" {
			t.Error("nothing was said about there being nothing to compare")
		}
	})
}

// r asks for a management point, and shows what came back beside what was
// captured; where nothing can be sent it says so.
func TestReplayFromScreen(t *testing.T) {
	s := newScene(t)
	many(s, 2)
	var sent []string
	st := open(t, s.store, 80, 24, func(c *Config) {
		c.Replay = func(_ context.Context, id traffic.ExchangeID, url string) (diff.Outcome, []string, error) {
			sent = append(sent, url)
			if url == "http://down" {
				return diff.Outcome{}, nil, errors.New("cannot be reached")
			}
			return diff.Outcome{Reply: &compare.Result{Differences: []compare.Difference{{Place: "status", How: compare.Changed, A: "200", B: "403"}}}}, []string{"made fresh: host mp01 → mp02"}, nil
		}
	})
	st.press("r h t t p : / / m p 0 2 Enter")
	st.golden("replayed-80x24")
	st.press("q r h t t p : / / d o w n Enter")
	st.do(func(a *app) {
		if len(sent) != 2 || a.said != "cannot be reached" {
			t.Errorf("sent to %v, said %q", sent, a.said)
		}
	})
	alone := open(t, s.store, 80, 24)
	alone.press("r")
	alone.do(func(a *app) {
		if a.prompt != nil || a.said == "" {
			t.Error("a screen that cannot send asks where to")
		}
	})
}
