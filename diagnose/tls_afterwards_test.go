package diagnose

import (
	"slices"
	"testing"
	"time"

	"mpproxy/traffic"
)

// find is the finding of a code among those of a connection.
func find(t *testing.T, e Evidence, code string) (Finding, bool) {
	t.Helper()
	fs := Judge(e)
	i := slices.IndexFunc(fs, func(f Finding) bool { return f.Kind.Code == code })
	if i < 0 {
		return Finding{}, false
	}
	return fs[i], true
}

// TestAlertAtEnd: a write that failed is told with the alert that came with the
// end, or with none; a reset alone is nothing of the kind.
func TestAlertAtEnd(t *testing.T) {
	for _, c := range []struct {
		name, writeErr, err, sure string
		end                       traffic.End
	}{
		{"alert kept", "write: broken pipe", "remote error: tls: certificate required; read: connection reset", certain, traffic.EndAlert},
		{"alert lost", "write: connection reset", "read: connection reset", possible, traffic.EndReset},
		{"no write failed", "", "read: connection reset", "", traffic.EndReset},
		{"an orderly end", "write: broken pipe", "", "", traffic.EndFIN},
	} {
		conn := &traffic.Conn{UpstreamLeg: traffic.Leg{
			Address: "192.0.2.5:443", End: c.end, Err: c.err, After: &traffic.Afterwards{WriteErr: c.writeErr},
			Handshake: &traffic.Handshake{Side: traffic.UpstreamSide, TLS: &traffic.TLSInfo{}},
		}}
		if got, _ := find(t, Evidence{Conn: conn}, "upstream-alert-at-reset"); got.Sure != c.sure {
			t.Errorf("%s: %q, want %q", c.name, got.Sure, c.sure)
		}
	}
}

// TestOneStory: an agent that leaves after the management point has refused is
// no fault of its own.
func TestOneStory(t *testing.T) {
	at := time.Unix(1_700_000_000, 0)
	conn := &traffic.Conn{
		Opened: at, Closed: at.Add(time.Second),
		AgentLeg: traffic.Leg{Address: "192.0.2.7:50000", BytesIn: 9, End: traffic.EndFIN, EndedAt: at.Add(time.Second), Handshake: &traffic.Handshake{Side: traffic.AgentSide, Ended: at, TLS: &traffic.TLSInfo{}}},
		UpstreamLeg: traffic.Leg{
			Address: "192.0.2.5:443", End: traffic.EndAlert, EndedAt: at.Add(900 * time.Millisecond), Err: "remote error: tls: certificate required",
			Handshake: &traffic.Handshake{Side: traffic.UpstreamSide, Ended: at, TLS: &traffic.TLSInfo{}},
		},
	}
	left, found := find(t, Evidence{Conn: conn}, "tls-agent-left-idle")
	if !found || left.MootBy != "upstream-no-certificate" {
		t.Errorf("the agent's end stands for itself: %+v", left)
	}
	cause, _ := find(t, Evidence{Conn: conn}, "upstream-no-certificate")
	if want := "the agent's leg ended because of that, 100ms later: its peer closed it"; !slices.Contains(cause.Proof, want) {
		t.Errorf("the evidence %q lacks %q", cause.Proof, want)
	}
	conn.AgentLeg.EndedAt = at
	if left, _ := find(t, Evidence{Conn: conn}, "tls-agent-left-idle"); left.MootBy != "" {
		t.Errorf("an end before the cause is explained by it: %+v", left)
	}
}
