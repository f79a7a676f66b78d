package replay

import (
	"strings"
	"testing"

	"mpproxy/capture"
	"mpproxy/traffic"
)

// What cannot be replayed has to be said before anything is sent, or a replay
// that leaves half of a capture out looks like one that is the same.
func TestCannot(t *testing.T) {
	good := capture.Row{Method: "CCM_POST", Origin: "agent", Kind: "ddr", Fate: traffic.Passed, Status: 200}
	for why, change := range map[string]func(*capture.Row){
		"":                        func(*capture.Row) {},
		"TLS that was not opened": func(r *capture.Row) { r.Kind = "tls" },
		"passed through":          func(r *capture.Row) { r.Fate = traffic.Tunneled },
		"mpproxy itself":          func(r *capture.Row) { r.Origin = "prime" },
		"no HTTP request":         func(r *capture.Row) { r.Method = "" },
		"a CONNECT":               func(r *capture.Row) { r.Method = "CONNECT" },
		"not over":                func(r *capture.Row) { r.Fate = traffic.InFlight },
		"cut short":               func(r *capture.Row) { r.Fate, r.Status = traffic.Broken, 0 },
		"encrypted for":           func(r *capture.Row) { r.Kind = "encrypted" },
		"larger than":             func(r *capture.Row) { r.ReqBytes = maxReplayed + 1 },
	} {
		r := good
		change(&r)
		if got := cannot(r); !strings.Contains(got, why) || (why == "") != (got == "") {
			t.Errorf("%q, want %q", got, why)
		}
	}
}
