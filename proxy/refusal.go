package proxy

import (
	"fmt"
	"strings"

	"mpproxy/internal/tlsrecord"
	"mpproxy/traffic"
)

// whyNotIn says in a few words why an agent's handshake failed, the telling one
// first, since lists cut the rest. An alert that the agent sent in clear counts
// more than the error: crypto/tls takes it for a broken record in TLS 1.3
// (golang/go#76767).
func whyNotIn(hs *traffic.Handshake) string {
	if name := clearAlert(hs); name != "" {
		return name + ", alert of the agent"
	}
	err := hs.Err
	if name, alert := strings.CutPrefix(err, "remote error: tls: "); alert {
		return name + ", alert of the agent"
	}
	switch {
	case err == "EOF" && len(hs.In) == 0:
		return "closed by the agent without a byte"
	case err == "EOF":
		return "closed by the agent in the handshake"
	case strings.HasSuffix(err, "connection reset by peer"), strings.Contains(err, "forcibly closed"): // Windows
		return "reset by the agent in the handshake"
	case strings.HasSuffix(err, "context deadline exceeded"), strings.HasSuffix(err, "i/o timeout"):
		return "silent: the agent's handshake stopped"
	}
	return strings.TrimPrefix(strings.TrimPrefix(err, "local error: "), "tls: ")
}

// clearAlert is the agent's fatal alert that anybody can read, by name and
// number.
func clearAlert(hs *traffic.Handshake) string {
	for _, m := range tlsrecord.Parse(hs.In, hs.Out).Client.Alerts() {
		if a, clear := m.Body.(*tlsrecord.Alert); clear && a.Level == tlsrecord.Fatal {
			return fmt.Sprintf("%s (%d)", a.Code, a.Code)
		}
	}
	return ""
}
