package diagnose

import (
	"fmt"
	"strings"

	"mpproxy/internal/tlsrecord"
	"mpproxy/traffic"
)

// sideRules are remarks beside a cause; unexplainedRules are for handshakes of
// which nothing else is known.
var (
	sideRules        = []rule{noServerName, agentRenegotiates, resumedSession}
	unexplainedRules = []rule{agentUnexplained, mpUnexplained}
)

var noServerName = rule{
	kind: traffic.FindingKind{
		Code: "tls-no-server-name", Ref: "A25", Severity: traffic.Info,
		Title:  "The agent's hello, on a connection that failed, names no server",
		Why:    "Windows XP sends no name, and nobody does for an address. A server with several certificates then shows its default one.",
		Remedy: "Let agents use a name, and give the server's default binding the right certificate.",
	},
	check: "On the management point: netsh http show sslcert, hostname:port against ip:port.",
	test: func(f *facts) (occurrence, bool) {
		l := f.agent
		if l == nil || !f.agentFailed() || l.tr.ClientHello() == nil || l.hello().Partial || l.hello().SSL2 || l.hello().Has(tlsrecord.ExtServerName) {
			return occurrence{}, false
		}
		return occurrence{leg: traffic.AgentSide, who: agentSide, sure: certain, proof: []string{"the hello has no server_name extension" + stackGuess(l.hello())}}, true
	},
}

var agentRenegotiates = rule{
	kind: traffic.FindingKind{
		Code: "tls-agent-renegotiates", Ref: "A30", Severity: traffic.Warning,
		Title:  "The agent begins a second handshake in the middle of the connection",
		Why:    "Servers in Go, mpproxy among them, cannot renegotiate; with TLS terminated this connection breaks there.",
		Remedy: "Pass this agent through (--tls passthrough), or switch renegotiation off in it.",
	},
	check: "The client's settings; agents of ConfigMgr do not do this by themselves.",
	test: func(f *facts) (occurrence, bool) {
		if f.agent == nil {
			return occurrence{}, false
		}
		if !f.agent.sealed {
			return f.agentHelloAgain()
		}
		r := f.agent.tr.Renegotiation()
		if r == nil || r.By != tlsrecord.Client {
			return occurrence{}, false
		}
		return occurrence{leg: traffic.AgentSide, who: agentSide, sure: certain, proof: []string{"a handshake message after the agent's Finished that nobody asked for"}}, true
	},
}

// agentHelloAgain is a second handshake that mpproxy had to break off.
func (f *facts) agentHelloAgain() (occurrence, bool) {
	end := f.Conn.AgentLeg
	sent, seen := handshakeAfter(end.After)
	said := strings.Contains(end.Err, "unexpected handshake message of type *tls.clientHelloMsg")
	if f.agent.failed() || !seen && !said {
		return occurrence{}, false
	}
	o := occurrence{leg: traffic.AgentSide, who: agentSide, sure: certain}
	if said {
		o.proof = append(o.proof, "mpproxy broke off: "+quote(end.Err))
	}
	if seen {
		o.proof = append(o.proof, fmt.Sprintf("a handshake record of %d bytes from the agent, %s after the handshake", sent.Length, since(f.agent.hs.Ended, sent.At)))
	}
	return o, true
}

var resumedSession = rule{
	kind: traffic.FindingKind{
		Code: "tls-resumed", Ref: "A32", Severity: traffic.Info,
		Title:  "The agent's handshake resumed an earlier session, and so shows no certificates",
		Why:    "What was agreed hours ago still counts: a certificate renewed since then is not used.",
		Remedy: "To see certificates, run mpproxy without --resume; on Windows a restart of the agent ends its sessions.",
	},
	check: "The session's first handshake, earlier in the capture.",
	test: func(f *facts) (occurrence, bool) {
		l := f.agent
		if l == nil || l.failed() || !l.tr.Resumed() {
			return occurrence{}, false
		}
		return occurrence{leg: traffic.AgentSide, who: "", sure: certain, proof: []string{l.serverName() + " took up the session that the agent offered"}}, true
	},
}

var agentUnexplained = rule{
	kind: traffic.FindingKind{
		Code: "tls-agent-unexplained", Severity: traffic.Error,
		Title:  "The agent's handshake failed in a way that mpproxy has no name for",
		Why:    "No rule of the catalogue fits the bytes. No request could be sent on this connection.",
		Remedy: "Look at the handshake of the agent's leg, and at the agent's own log at this time.",
		Moot:   []string{"tls-agent-handshake-failed"},
	},
	check: "On the agent: System log, Schannel events at this time.",
	last:  true,
	test: func(f *facts) (occurrence, bool) {
		if !f.agentFailed() || len(f.agent.hs.In)+len(f.agent.hs.Out) == 0 && f.agent.hs.Err == "" {
			return occurrence{}, false
		}
		o := occurrence{leg: traffic.AgentSide, who: "", sure: possible, proof: []string{howItEnded(f)}}
		if f.agent.alert.seen {
			o.proof = append(o.proof, f.agent.alert.code.String()+": "+f.agent.alert.code.Meaning())
		}
		if f.agent.hs.Err != "" {
			o.proof = append(o.proof, "crypto/tls says "+quote(f.agent.hs.Err))
		}
		return o, true
	},
}

var mpUnexplained = rule{
	kind: traffic.FindingKind{
		Code: "upstream-tls-unexplained", Severity: traffic.Error,
		Title:  "mpproxy's handshake with the management point failed in a way that it has no name for",
		Why:    "No rule of the catalogue fits the bytes. mpproxy answers agents with 502 meanwhile.",
		Remedy: "Look at the handshake of the management point's leg, and at its System log at this time.",
		Moot:   []string{"upstream-tls-failed"},
	},
	check: "On the management point: System log, Schannel events at this time.",
	last:  true,
	test: func(f *facts) (occurrence, bool) {
		return f.onUpstream(func(l *leg) (occurrence, bool) {
			o := occurrence{who: "", sure: possible, proof: []string{l.stage.String() + ": " + quote(l.hs.Err)}}
			if l.alert.seen {
				o.proof = append(o.proof, l.alertLine()+": "+l.alert.code.Meaning())
			}
			return o, true
		})
	},
}
