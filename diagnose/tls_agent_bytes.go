package diagnose

import (
	"fmt"
	"strings"
	"time"

	"mpproxy/internal/tlsrecord"
	"mpproxy/traffic"
)

// agentBytesRules are about what the agent's first bytes are.
var agentBytesRules = []rule{portProbe, plainOnTLS, oldHello, handshakeStalled}

// shakeFailed are the findings that only say that the agent's handshake came
// to nothing.
var shakeFailed = []string{"tls-agent-handshake-failed", "tls-agent-left", "tls-agent-left-idle", "tls-agent-silent", "tls-agent-alert"}

var portProbe = rule{
	kind: traffic.FindingKind{
		Code: "tls-port-probe", Ref: "A27", Severity: traffic.Info,
		Title:  "The agent's side opened a connection and closed it without a byte",
		Why:    "Health checks of load balancers and port scanners do so. No agent was kept from anything.",
		Remedy: "Nothing; or let the load balancer's health check use another port.",
		Moot:   append([]string{"tls-handshake-stalled"}, shakeFailed...),
	},
	check: "The address belongs to a load balancer, a monitor or a scanner.",
	test: func(f *facts) (occurrence, bool) {
		l := f.Conn.AgentLeg
		left := l.End == traffic.EndFIN || l.End == traffic.EndReset || f.agent != nil && endedByPeer(f.agent.hs.Err)
		if l.BytesIn > 0 || f.Conn.Closed.IsZero() || !left || len(f.requests) > 0 {
			return occurrence{}, false
		}
		return occurrence{leg: traffic.AgentSide, who: networkSide, sure: certain, proof: []string{"0 bytes came, then the end (" + string(l.End) + ")"}}, true
	},
}

var plainOnTLS = rule{
	kind: traffic.FindingKind{
		Code: "tls-plaintext", Ref: "A23", Severity: traffic.Error,
		Title:  "The agent speaks something other than TLS on the TLS port",
		Why:    "Agent and site disagree about the mode: the agent believes in HTTP where the management point wants HTTPS.",
		Remedy: "Give the agent the HTTPS port, or listen with http:// on this one; see CCMHTTPPORT, CCMHTTPSPORT and /UsePKICert of the agent's installation.",
		Moot:   shakeFailed,
	},
	check: "On the agent: ClientLocation.log and CcmMessaging.log name the URL with its scheme and port.",
	test: func(f *facts) (occurrence, bool) {
		if f.agent == nil {
			return occurrence{}, false
		}
		s := &f.agent.tr.Client
		switch s.Looks {
		case tlsrecord.TLS, tlsrecord.SSL2, tlsrecord.Nothing:
			return occurrence{}, false
		}
		o := occurrence{leg: traffic.AgentSide, who: agentSide, sure: certain, proof: []string{"the agent's first bytes are no TLS record but look like: " + string(s.Looks)}}
		if s.RestLine != "" {
			o.proof = append(o.proof, "they begin "+quote(s.RestLine))
		}
		if strings.HasPrefix(s.RestLine, "CONNECT ") {
			o.proof = append(o.proof, "CONNECT is what one says to an HTTP proxy")
			o.do = []string{"The agent takes mpproxy for its HTTP proxy: run it with --mode forward, or take its address out of the agent's proxy settings (netsh winhttp show proxy; the proxy settings of the client's site)."}
		}
		if s.Looks == tlsrecord.ProxyHeader {
			o.who = networkSide
			o.do = []string{"Switch the PROXY protocol off at the load balancer in front of mpproxy."}
		}
		return o, true
	},
}

var oldHello = rule{
	kind: traffic.FindingKind{
		Code: "tls-ssl-hello", Ref: "A24", Severity: traffic.Warning,
		Title:  "The agent greets in SSL 2.0 or 3.0, which nobody speaks any more",
		Why:    "Neither mpproxy nor any supported Windows answers it. Very old programs and scanners do it.",
		Remedy: "Enable TLS 1.2 on the agent's computer, or find the scanner.",
		Moot:   append([]string{"tls-agent-too-old"}, shakeFailed...),
	},
	check: "On the agent: the SCHANNEL\\Protocols keys of the registry.",
	test: func(f *facts) (occurrence, bool) {
		if f.agent == nil || f.agent.tr.ClientHello() == nil {
			return occurrence{}, false
		}
		h := f.agent.hello()
		highest := h.MaxVersion()
		if highest > tlsrecord.SSL30 || highest == 0 && !h.SSL2 {
			return occurrence{}, false
		}
		form := ""
		if h.SSL2 && highest > tlsrecord.SSL20 {
			form = " in the format of SSL 2.0"
		}
		return occurrence{leg: traffic.AgentSide, who: agentSide, sure: certain, proof: []string{
			fmt.Sprintf("the agent's hello offers at most %s%s, %d suites", highest, form, len(h.Suites)+len(h.SSL2Suites)),
		}}, true
	},
}

var handshakeStalled = rule{
	kind: traffic.FindingKind{
		Code: "tls-handshake-stalled", Ref: "A26", Severity: traffic.Warning,
		Title:  "The agent's handshake stopped in the middle: the rest did not come",
		Why:    "Something on the way holds packets back, or the agent waits for a revocation list that it cannot fetch.",
		Remedy: "Compare both ends' captures: a firewall or VPN that drops large packets (MTU), inspection in between, or a CRL server out of the agent's reach.",
		Moot:   shakeFailed,
	},
	check: "On the agent: a packet capture shows whether it sent more than arrived here; CAPI2 event 53 or 80092013 names a CRL that cannot be fetched.",
	test: func(f *facts) (occurrence, bool) {
		if !f.agentFailed() {
			return occurrence{}, false
		}
		l := f.agent
		waited := strings.Contains(l.hs.Err, "deadline exceeded") || f.Conn.AgentLeg.End == traffic.EndTimeout
		cut := l.tr.Client.Truncated && l.tr.ServerHello() == nil && !f.mpEnded()
		if !waited && !cut {
			return occurrence{}, false
		}
		took := l.hs.Ended.Sub(l.hs.Began).Round(time.Millisecond)
		o := occurrence{leg: traffic.AgentSide, who: networkSide, sure: likely, proof: []string{
			fmt.Sprintf("nothing more came for %s, %s; %d bytes had come", took, l.stage, len(l.hs.In)),
		}}
		if !waited {
			o.proof[0] = fmt.Sprintf("the agent's side ended the connection (%s) within its ClientHello, after %s and %d bytes", f.Conn.AgentLeg.End, took, len(l.hs.In))
		}
		if l.tr.Client.Truncated {
			o.proof = append(o.proof, "the last message is cut short: its rest did not get through")
		}
		if l.stage >= tlsrecord.StageServerDone {
			o.who = agentSide
		}
		return o, true
	},
}
