package view

import (
	"testing"
	"time"

	"mpproxy/traffic"
)

// TestLadderTimes: each message has the time at which it passed; without marks
// only the first and the last one have, and the order is the protocol's.
func TestLadderTimes(t *testing.T) {
	opened := time.Unix(1_700_000_000, 0)
	hello := []byte{22, 3, 1, 0, 4, 1, 0, 0, 0}
	alert := []byte{21, 3, 3, 0, 2, 2, 70}
	hs := &traffic.Handshake{
		Side: traffic.AgentSide, Began: opened.Add(time.Second), Ended: opened.Add(2 * time.Second), In: hello, Out: alert,
	}
	for _, c := range []struct {
		marked bool
		last   time.Duration
	}{{false, 2 * time.Second}, {true, time.Second + 7*time.Millisecond}} {
		if c.marked {
			hs.InMarks = traffic.Marks{{Offset: len(hello), After: 5 * time.Millisecond}}
			hs.OutMarks = traffic.Marks{{Offset: len(alert), After: 7 * time.Millisecond}}
		}
		steps := Ladder(hs, opened, Format{})
		if len(steps) != 2 || steps[0].Name != "ClientHello" || steps[0].Arrow != ">" || steps[1].Arrow != "<" || !steps[1].Timed || steps[1].At != c.last {
			t.Errorf("marked %v: %+v", c.marked, steps)
		}
		if want := "fatal 70 protocol_version, sent in clear"; len(steps) == 2 && (steps[1].Text != want || steps[1].Sev != traffic.Error) {
			t.Errorf("the alert reads %q, want %q", steps[1].Text, want)
		}
	}
}

// TestFailedFacts: of a handshake that failed both certificates are shown, and
// how the management point asked.
func TestFailedFacts(t *testing.T) {
	leg := traffic.Leg{Handshake: &traffic.Handshake{
		Side: traffic.UpstreamSide, Err: "remote error: tls: bad certificate", PeerCertificates: [][]byte{{1}}, OwnCertificates: [][]byte{{2}},
		ClientCertAsked: true, Asked: &traffic.CertificateAsked{Count: 2, Identity: "CN=bridge", Unsuited: "not signed"},
	}}
	got := map[string]string{}
	for _, fact := range legFacts("MP leg", leg, Format{}) {
		got[fact.Label] = fact.Value
	}
	if want := "for a client certificate of 2 authorities; shown: CN=bridge, which does not suit: not signed"; got["  asked"] != want {
		t.Errorf("asked: %q, want %q", got["  asked"], want)
	}
	if got["  peer 0"] == "" || got["  shown"] == "" {
		t.Errorf("the certificates are missing: %q", got)
	}
}
