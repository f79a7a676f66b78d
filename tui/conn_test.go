package tui

import (
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"mpproxy/traffic"
)

// helloFor is a ClientHello of TLS 1.2 that names a server.
func helloFor(name string) []byte {
	sized := func(n int, b []byte) []byte {
		var size [4]byte
		binary.BigEndian.PutUint32(size[:], uint32(len(b)))
		return append(size[4-n:], b...)
	}
	sni := sized(2, append([]byte{0}, sized(2, []byte(name))...))
	extensions := append([]byte{0, 0}, sized(2, sni)...)
	body := append([]byte{3, 3}, make([]byte, 32)...)
	body = append(body, 0)
	body = append(body, sized(2, []byte{0xc0, 0x2f, 0xc0, 0x30})...)
	body = append(body, 1, 0)
	body = append(body, sized(2, extensions)...)
	return append([]byte{22, 3, 1}, sized(2, append([]byte{1}, sized(3, body)...))...)
}

// failedConn is an agent that refuses the certificate, by an alert in clear.
func (s *scene) failedConn(agent, name, err string) {
	s.connect(agent)
	hs := &traffic.Handshake{
		Side: traffic.AgentSide, Began: s.now, Ended: s.now.Add(9 * time.Millisecond),
		In: append(helloFor(name), 21, 3, 3, 0, 2, 2, 48), Err: err,
	}
	s.recorder.Take(traffic.HandshakeOver{Conn: s.conn, Handshake: hs})
	s.recorder.Take(traffic.ConnClosed{Conn: traffic.Conn{
		ID: s.conn, Listener: "https://127.0.0.1:8443", Mode: "reverse", Agent: agent, Opened: s.now, Closed: s.tick(time.Second),
		AgentLeg: traffic.Leg{Address: agent, BytesIn: 300, End: traffic.EndFIN, EndedAt: s.now, Handshake: &traffic.Handshake{Side: traffic.AgentSide, Err: err}},
	}})
}

func TestConnection(t *testing.T) {
	s := newScene(t)
	s.failedConn("192.0.2.77:51322", "mp01.lab.example", "remote error: tls: unknown certificate authority")
	s.connect("192.0.2.12:50112")
	s.add(get("/SMS_MP/.sms_aut?MPLIST"), httpMessage("HTTP/1.1 403 Forbidden", "no"), found(testError, "x"))
	s.closeConn("192.0.2.12:50112", traffic.EndReset)
	s.flush()
	for name, keys := range map[string]string{"distrusts": "3 g Enter", "plain": "3 G Enter", "records": "3 g Enter v", "mp-leg": "3 g Enter Tab"} {
		for _, size := range [][2]int{{80, 24}, {120, 40}} {
			st := open(t, s.store, size[0], size[1])
			st.press(keys)
			st.golden(fmt.Sprintf("conn-%s-%dx%d", name, size[0], size[1]))
		}
	}
	for _, theme := range []string{"light", "mono"} {
		st := open(t, s.store, 80, 24, func(c *Config) { c.Theme = theme })
		st.press("3 g Enter")
		st.golden("conn-distrusts-" + theme)
	}
}

// From an exchange, T leads to its connection, J and K to the others, = back
// to the exchanges.
func TestConnectionKeys(t *testing.T) {
	s := newScene(t)
	mixed(s)
	st := open(t, s.store, 80, 24)
	id := func(want traffic.ConnID) {
		t.Helper()
		st.do(func(a *app) {
			c, here := a.top().(*connection)
			if !here || c.id != want {
				t.Errorf("on %s, want connection %d", a.top().crumb(), want)
			}
		})
	}
	st.press("T")
	id(2)
	st.press("K")
	id(1)
	st.press("K")
	id(1)
	st.press("J")
	id(2)
	st.press("q g Enter T")
	id(1)
	st.press("=")
	st.do(func(a *app) {
		if m := a.messages(); len(a.stack) != 1 || m.text != "conn:1" {
			t.Errorf("%d screens, filter %q", len(a.stack), m.text)
		}
	})
}

// What a hello and an error say is text, whatever they contain.
func TestHostileConnection(t *testing.T) {
	s := newScene(t)
	for _, h := range hostile {
		s.failedConn("192.0.2.77:1", strings.TrimSpace(h[:min(len(h), 200)]), h)
	}
	s.flush()
	st := open(t, s.store, 80, 24)
	st.press("3 g Enter")
	for range hostile {
		st.press("J v v Tab")
	}
	st.golden("conn-hostile")
}

// A ticket needs the report as text, and a file with the bytes for those who
// judge for themselves; a file that is there is somebody's.
func TestConnectionReport(t *testing.T) {
	s := newScene(t)
	s.failedConn("192.0.2.77:51322", "mp01.lab.example", "remote error: tls: unknown certificate authority")
	s.flush()
	t.Chdir(t.TempDir())
	st := open(t, s.store, 80, 24)
	st.press("3 g Enter c r")
	report := string(st.sim.GetClipboardData())
	for _, part := range []string{"192.0.2.77:51322", "agent leg", "ClientHello", "fatal 48 unknown_ca", "E A01", "Import the authority's root"} {
		if !strings.Contains(report, part) {
			t.Errorf("the report lacks %q: %s", part, report)
		}
	}
	st.press("x Enter")
	st.mustHave("wrote mpproxy-conn-1.txt")
	b, err := os.ReadFile("mpproxy-conn-1.txt")
	if err != nil || !strings.HasPrefix(string(b), report) || !strings.Contains(string(b), "70 30 31 2e 6c 61 62 2e") {
		t.Errorf("the file has no report, or no bytes of the alert: %v\n%s", err, b)
	}
	if info, err := os.Stat("mpproxy-conn-1.txt"); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others may read it: %v, %v", info.Mode(), err)
	}
	st.press("x Enter")
	st.mustHave("is there already")
	st.press("Esc")
}

// Evidence has to lead to what it was seen in: from a line of a diagnosis to the
// step, on whichever leg that is.
func TestConnectionEvidence(t *testing.T) {
	s := newScene(t)
	s.failedConn("192.0.2.77:51322", "mp01.lab.example", "remote error: tls: unknown certificate authority")
	s.flush()
	for _, width := range []int{80, 120} {
		st := open(t, s.store, width, 40)
		st.press("3 g Enter")
		on := func(want string) {
			t.Helper()
			st.do(func(a *app) {
				c := a.top().(*connection)
				if line := c.body.lines[c.body.line()].full(); !strings.Contains(line, want) {
					t.Errorf("%d: the cursor is on %q, want %q", width, line, want)
				}
			})
		}
		st.press("] j Enter") // Evidence: alert 48 …
		on("fatal 48 unknown_ca")
		st.press("] j j Enter") // what the server showed is not in these bytes: the step that went wrong
		on("Alert")
		st.press("Tab ] j Enter")
		on("fatal 48 unknown_ca")
		st.press("g Enter")
		st.mustHave("from a line of a diagnosis this key goes to its step")
	}
}
