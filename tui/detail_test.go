package tui

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"mpproxy/capture"
	"mpproxy/traffic"
)

func TestDetail(t *testing.T) {
	s := newScene(t)
	mixed(s)
	st := open(t, s.store, 80, 24)
	st.press("g Enter")
	st.golden("detail-summary-80x24")
	for _, tab := range []string{"HTTP", "Header", "Body", "Sign", "TLS", "Findings"} {
		st.press("Tab")
		if strings.Contains(st.dump(), "["+tab) {
			st.golden("detail-" + strings.ToLower(tab) + "-80x24")
			continue
		}
		t.Errorf("there is no tab %s:\n%s", tab, st.dump())
	}
	st.press(">")
	st.mustHave("reply:")
	st.press("Shift-Tab Shift-Tab Shift-Tab")
	st.golden("detail-reply-80x24")
	st.press("<")
	st.mustHave("request:")
	st.press("q")
	st.mustHave("1 Messages")
}

func TestDetailWide(t *testing.T) {
	s := newScene(t)
	mixed(s)
	st := open(t, s.store, 120, 40)
	st.press("g j Enter")
	st.golden("detail-summary-120x40")
	st.press("Tab Tab Tab")
	st.golden("detail-body-120x40")
	st.press("J")
	st.mustHave("3 software metering")
	st.press("K K")
	st.mustHave("1 registration")
	st.press("K")
	st.mustHave("this is the oldest")
}

// A dump has what the layer has, zeros and text beside it.
func TestHex(t *testing.T) {
	s := newScene(t)
	mixed(s)
	st := open(t, s.store, 80, 24)
	st.press("g Enter v")
	st.golden("picker-80x24")
	st.press("5")
	st.golden("hex-80x24")
	st.press("v x")
	st.mustNotHave("00000000  ")
	st.press("v 1")
	st.mustHave("00000000  ")
}

// A large text opens with its inner blocks closed; z, Z and a search open
// them.
func TestFolds(t *testing.T) {
	s := newScene(t)
	var b strings.Builder
	b.WriteString("<Report><Items>")
	for i := range 200 {
		fmt.Fprintf(&b, "<Item><Name>name %d</Name><Value>%s</Value><Other/></Item>", i, strings.Repeat("4f", 60))
	}
	b.WriteString("</Items></Report>")
	s.add(httpMessage("POST /x HTTP/1.1", b.String(), "Content-Type: text/xml"), ok)
	s.flush()
	st := open(t, s.store, 80, 24)
	st.press("Enter v")
	st.pressView("pretty")
	st.golden("folds-closed-80x24")
	st.press("g j j z")
	st.golden("folds-open-80x24")
	st.press("j j Enter")
	st.mustHave(strings.Repeat("4f", 20))
	st.press(`/ "name␣150" Enter`)
	st.golden("folds-found-80x24")
	st.press("Z g")
	st.mustHave("<Report>")
	st.press("Z")
	st.mustHave("<Items> … 1 001 lines")
	st.press(`/ "nowhere" Enter`)
	st.mustHave("is not in this text")
	st.press("Esc")
	st.mustHave("[Body")
}

// pressView chooses a layer by its name.
func (s *stage) pressView(name string) {
	s.t.Helper()
	var k stroke
	s.do(func(a *app) {
		for _, c := range a.menu.choices {
			if c.name == name {
				k = c.press
			}
		}
	})
	if k == "" {
		s.t.Fatalf("there is no layer %q:\n%s", name, s.dump())
	}
	s.press(string(k))
}

// What a rule changed is shown as a difference.
func TestRules(t *testing.T) {
	s := newScene(t)
	request := get("/x")
	sent := httpMessage("GET /y HTTP/1.1", "", "Host: mp01.lab.example", "X-Added: yes")
	x := s.begin(request)
	s.chunk(x.ID, traffic.Request, true, sent)
	s.end(x, ok, func(x *traffic.Exchange) {
		w := wire(sent)
		x.Sent, x.Fate, x.Rules, x.Tags = &w, traffic.Modified, []string{"other-path"}, []string{"changed"}
	})
	s.flush()
	st := open(t, s.store, 80, 24)
	st.press("Enter Shift-Tab")
	st.golden("rules-80x24")
}

// Marks and notes are written into the capture and come back.
func TestAnnotate(t *testing.T) {
	s := newScene(t)
	mixed(s)
	st := open(t, s.store, 80, 24)
	st.press("g m")
	st.notice(capture.Notice{Changed: []traffic.ExchangeID{1}})
	st.tick()
	st.mustHave("W* ")
	st.press(`; "looks␣odd" Enter`)
	notes, err := s.store.Notes(t.Context(), 1)
	if err != nil || len(notes) != 1 || notes[0].Text != "looks odd" {
		t.Errorf("notes are %v, %v", notes, err)
	}
	st.press("Enter Shift-Tab")
	st.mustHave("looks odd")
	st.press("q M")
	st.mustHave("= 1 match")
	st.press("m")
	st.notice(capture.Notice{Changed: []traffic.ExchangeID{1}})
	st.tick()
	st.mustHave("no exchange passes")
}

// A message that is larger than what is shown says so, and its screen does not
// hold it.
func TestLargeBody(t *testing.T) {
	s := newScene(t)
	s.add(httpMessage("POST /big HTTP/1.1", strings.Repeat("0123456789abcdef", 70_000)), ok)
	s.flush()
	st := open(t, s.store, 80, 24)
	st.press("Enter Tab Tab G")
	st.mustHave("the first 262 144 of 1 120 000 bytes")
	st.press("v x G")
	st.mustHave("0003fff0")
}

// An upload's packets show what they are together.
func TestUpload(t *testing.T) {
	s := newScene(t)
	for i := 0; i < 8; i += 2 {
		request, err := os.ReadFile(fmt.Sprintf("../testdata/samples/wire/10-bits-%02d-req.http", i))
		if err != nil {
			break
		}
		s.add(request, sample(t, fmt.Sprintf("10-bits-%02d-rep.http", i+1)))
	}
	s.flush()
	if s.last < 3 {
		t.Fatalf("there are samples of %d packets", s.last)
	}
	st := open(t, s.store, 120, 40)
	st.press("g j Enter Shift-Tab Shift-Tab Shift-Tab")
	st.golden("upload-120x40")
}

// What mpproxy answered itself is shown as what it is.
func TestOwnAnswer(t *testing.T) {
	s := newScene(t)
	answer := httpMessage("HTTP/1.1 502 Bad Gateway", "no", "Server: mpproxy")
	x := s.begin(get("/x"))
	s.chunk(x.ID, traffic.Reply, true, answer)
	s.end(x, nil, func(x *traffic.Exchange) {
		w := wire(answer)
		x.Returned, x.Fate = &w, traffic.Answered
	})
	s.flush()
	st := open(t, s.store, 80, 24)
	st.press("Enter Shift-Tab")
	st.mustHave("[Changes]")
	st.mustHave("reply of mpproxy itself, returned to the agent")
	st.mustHave("HTTP/1.1 502 Bad Gateway")
	st.press(">")
	st.mustHave("there is no reply")
}
