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
	return fatalIn(&tlsrecord.Parse(hs.In, hs.Out).Client)
}

func fatalIn(s *tlsrecord.Stream) string {
	for _, m := range s.Alerts() {
		if a, clear := m.Body.(*tlsrecord.Alert); clear && a.Level == tlsrecord.Fatal {
			return fmt.Sprintf("%s (%d)", a.Code, a.Code)
		}
	}
	return ""
}

// stoppedIn says in a few words how a handshake between an agent and a
// management point stopped; "" when it came to its end, or never began. Who
// ended the connection first did it, unless the agent had said what looks like
// an alert: then the management point did no more than follow.
func stoppedIn(t *tlsrecord.Transcript, agentLeft bool) string {
	if t.ClientHello() == nil || t.Stage() >= tlsrecord.StageFinished {
		return ""
	}
	if name := fatalIn(&t.Client); name != "" {
		return name + ", alert of the agent"
	}
	if name := fatalIn(&t.Server); name != "" {
		return name + ", alert of the management point"
	}
	who := "the management point"
	if said := t.Client.Messages; agentLeft || said[len(said)-1].Guess == tlsrecord.MaybeAlert {
		who = "the agent"
	}
	return "ended by " + who + " " + t.Stage().String()
}
