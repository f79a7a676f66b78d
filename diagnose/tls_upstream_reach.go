package diagnose

import (
	"fmt"
	"strings"
	"time"

	"mpproxy/internal/tlsrecord"
	"mpproxy/traffic"
)

// upstreamReachRules are about management points that cannot be spoken with at
// all.
var upstreamReachRules = []rule{mpUnknownName, mpRefusesTCP, mpSilent, mpPlain, mpTooNew, mpNoCipher, mpReset}

// unreached are the findings that only say that there was no way through.
var unreached = []string{"upstream-unreachable", "upstream-tls-failed", "upstream-no-reply", "tls-agent-left", "tls-handshake-stalled"}

var mpUnknownName = rule{
	kind: traffic.FindingKind{
		Code: "upstream-name-unknown", Ref: "M01", Severity: traffic.Error,
		Title:  "The name of the management point cannot be resolved by mpproxy",
		Why:    "mpproxy answers agents with 502 meanwhile, or ends what it passes through.",
		Remedy: "Correct the name (in --upstream, or where the agent has it from if mpproxy is its proxy), or this machine's DNS; a hosts entry will do.",
		Moot:   unreached,
	},
	check: "nslookup of the name on the machine of mpproxy.",
	test: func(f *facts) (occurrence, bool) {
		err := f.Conn.UpstreamLeg.Err
		if f.Conn.UpstreamLeg.End != traffic.EndRefused || !strings.Contains(err, "lookup ") {
			return occurrence{}, false
		}
		return occurrence{leg: traffic.UpstreamSide, who: networkSide, sure: certain, proof: []string{f.Conn.Upstream + ": " + quote(err)}}, true
	},
}

var mpRefusesTCP = rule{
	kind: traffic.FindingKind{
		Code: "upstream-no-tcp", Ref: "M02", Severity: traffic.Error,
		Title:  "The management point takes no connection from mpproxy",
		Why:    "mpproxy answers agents with 502 meanwhile, or ends what it passes through. Refused: nothing listens on that port. No answer: a firewall, or the computer is off.",
		Remedy: "See that IIS runs and has a binding on this port, and that the firewall lets mpproxy's machine in.",
		Moot:   unreached,
	},
	check: "On the management point: netstat -ano for the port; from mpproxy's machine: Test-NetConnection NAME -Port PORT.",
	test: func(f *facts) (occurrence, bool) {
		leg := f.Conn.UpstreamLeg
		if leg.End != traffic.EndRefused || strings.Contains(leg.Err, "lookup ") {
			return occurrence{}, false
		}
		o := occurrence{leg: traffic.UpstreamSide, who: mpSide, sure: certain, proof: []string{leg.Address + ": " + quote(leg.Err)}}
		if strings.Contains(leg.Err, "timeout") || strings.Contains(leg.Err, "route") {
			o.who = networkSide
		}
		return o, true
	},
}

// onUpstream runs a test on mpproxy's TLS leg to the management point, if its
// handshake failed.
func (f *facts) onUpstream(test func(*leg) (occurrence, bool)) (occurrence, bool) {
	if !f.upstreamFailed() {
		return occurrence{}, false
	}
	o, found := test(f.upstream)
	o.leg = traffic.UpstreamSide
	return o, found
}

// withMP is onUpstream, and runs the test on TLS that was passed through too,
// where it is the agent that spoke with the management point.
func (f *facts) withMP(test func(*leg) (occurrence, bool)) (occurrence, bool) {
	if f.agent == nil || !f.agent.sealed {
		return f.onUpstream(test)
	}
	if !f.agentFailed() {
		return occurrence{}, false
	}
	o, found := test(f.agent)
	o.leg = traffic.AgentSide
	return o, found
}

// shortWait is how long an agent waits at least before its leaving says anything
// of who did not answer.
const shortWait = time.Second

var mpSilent = rule{
	kind: traffic.FindingKind{
		Code: "upstream-closed-at-hello", Ref: "M03", Severity: traffic.Error,
		Title:  "The management point gave no answer to the ClientHello, not a byte",
		Why:    "http.sys has no certificate bound on this address and port, or cannot read its private key.",
		Remedy: "Bind a certificate in IIS; if there is one, bind it anew, and see that SYSTEM and Network Service may read its private key.",
		Moot:   append([]string{"upstream-reset"}, unreached...),
	},
	check: "On the management point: netsh http show sslcert; System log, Schannel events 36870 and 36886, HttpEvent 15021.",
	test: func(f *facts) (occurrence, bool) {
		return f.withMP(func(l *leg) (occurrence, bool) {
			o := occurrence{who: mpSide, sure: certain, proof: []string{
				fmt.Sprintf("%s sent %d bytes of ClientHello, 0 bytes came back: ", l.clientName(), l.tr.Client.Size),
			}}
			switch {
			case !l.sealed:
				o.proof[0] += quote(l.hs.Err)
			case f.mpEnded():
				o.proof[0] += "the management point ended the connection (" + string(f.Conn.UpstreamLeg.End) + ")"
			default:
				o.proof[0] += "the agent ended the connection (" + string(f.Conn.AgentLeg.End) + ")"
			}
			if strings.Contains(l.hs.Err, "deadline exceeded") || stopped(l.hs.Err) || l.sealed && !f.mpEnded() {
				waited := l.hs.Ended.Sub(l.hs.Began)
				o.who, o.sure = networkSide, likely
				if l.sealed && waited < shortWait {
					o.sure = possible
				}
				o.proof = append(o.proof, "nothing ended the wait but "+l.clientName()+", after "+waited.Round(time.Millisecond).String())
				o.do = []string{"Look for a device on the way that drops large hellos, and whether the port is served by what you think."}
			}
			// Who is reset in the middle of a hello may not have read the rest of it.
			whole := l.tr.ClientHello() != nil && !l.hello().Partial
			return o, l.tr.Server.Size == 0 && (whole || l.sealed && f.mpEnded() && l.tr.Client.Looks == tlsrecord.TLS && len(l.tr.Client.Flaws) == 0)
		})
	},
}

var mpPlain = rule{
	kind: traffic.FindingKind{
		Code: "upstream-plaintext", Ref: "M04", Severity: traffic.Error,
		Title:  "The management point does not speak TLS on this port",
		Why:    "A ClientHello was sent, and what answered speaks something else: often plain HTTP, or a device on the way.",
		Remedy: "Use --upstream http://…, or the port that has the HTTPS binding.",
		Moot:   unreached,
	},
	check: "On the management point: the site's bindings in IIS.",
	test: func(f *facts) (occurrence, bool) {
		return f.withMP(func(l *leg) (occurrence, bool) {
			s := &l.tr.Server
			if s.Looks == tlsrecord.Nothing || s.Looks == tlsrecord.TLS {
				return occurrence{}, false
			}
			begin := "they begin " + quote(s.RestLine)
			if s.RestLine == "" {
				begin = fmt.Sprintf("they begin %x", l.fromServer(16))
			}
			return occurrence{who: mpSide, sure: certain, proof: []string{"its first bytes look like: " + string(s.Looks), begin}}, true
		})
	},
}

var mpTooNew = rule{
	kind: traffic.FindingKind{
		Code: "upstream-version", Ref: "M08", Severity: traffic.Error,
		Title:  "The management point takes none of the TLS versions that mpproxy offers",
		Why:    "It is older than TLS 1.2, or speaks TLS 1.3 only.",
		Remedy: "Old: --upstream-tls-profile legacy. TLS 1.3 only: --upstream-tls-max 1.3.",
		Moot:   unreached,
	},
	check: "On the management point: SCHANNEL\\Protocols in the registry; Schannel event 36888 with 70.",
	test: func(f *facts) (occurrence, bool) {
		return f.onUpstream(func(l *leg) (occurrence, bool) {
			switch {
			case l.says(tlsrecord.Server, 70):
			case l.says(tlsrecord.Client, 70) && l.tr.ServerHello() != nil:
			default:
				return occurrence{}, false
			}
			o := occurrence{who: proxySide, sure: certain, proof: []string{
				l.alertLine(), "mpproxy offered " + versionsOf(l.hello()),
			}}
			if l.says(tlsrecord.Server, 70) {
				o.proof = append(o.proof, f.shutOut(l.hello().MaxVersion())...)
			}
			return o, true
		})
	},
}

// shutOut says which agents a management point shuts out that has refused a
// version, if its minimum is above that one.
func (f *facts) shutOut(v tlsrecord.Version) []string {
	mend := "on them: KB3140245, DefaultSecureProtocols 0xA00 or 0xAA0"
	if v >= tlsrecord.TLS12 {
		mend = "Windows has TLS 1.3 from Windows 11 and Server 2022 on"
	}
	lines := f.History.orphans(v)
	for i := range lines {
		lines[i] = fmt.Sprintf("if the management point's minimum is above %s it shuts agents out too when they come without mpproxy: %s (%s)", v, lines[i], mend)
	}
	return lines
}

func versionsOf(h *tlsrecord.ClientHello) string {
	if len(h.Versions) > 0 {
		return list(h.Versions)
	}
	return "at most " + h.MaxVersion().String()
}

var mpNoCipher = rule{
	kind: traffic.FindingKind{
		Code: "upstream-no-common-cipher", Ref: "M09", Severity: traffic.Error,
		Title:  "The management point has no cipher suite or signature in common with mpproxy",
		Why:    "Its list has only what Go leaves off: RSA key exchange and 3DES by default, DHE always; or it signs with SHA-1 only.",
		Remedy: "Enable ECDHE with AES-GCM on the management point, or use --upstream-tls-profile legacy. A server with DHE alone can only be passed through.",
		Moot:   unreached,
	},
	check: "On the management point: Get-TlsCipherSuite; Schannel event 36874.",
	test: func(f *facts) (occurrence, bool) {
		return f.onUpstream(func(l *leg) (occurrence, bool) {
			if !beforeServerHello(l, 40, 71) {
				return occurrence{}, false
			}
			return occurrence{who: mpSide, sure: certain, proof: []string{
				l.alertLine(), "mpproxy offered " + list(l.hello().Suites),
			}}, true
		})
	},
}

var mpReset = rule{
	kind: traffic.FindingKind{
		Code: "upstream-reset", Ref: "M21", Severity: traffic.Warning,
		Title:  "The management point, or something before it, broke the handshake off without an alert",
		Why:    "A device on the way that inspects TLS does so, or a server process that dies.",
		Remedy: "Compare with a connection from the management point's own computer; look at devices on the way.",
		Moot:   append([]string{"tls-agent-handshake-failed"}, unreached...),
	},
	check: "On the management point: System log at this time; a packet capture shows who sent the reset.",
	test: func(f *facts) (occurrence, bool) {
		return f.withMP(func(l *leg) (occurrence, bool) {
			ended := endedByPeer(l.hs.Err)
			if l.sealed {
				ended = f.mpEnded() && !l.alertLike() && l.tr.ClientHello() != nil && l.stage < tlsrecord.StageFinished
			}
			if l.alert.seen || l.tr.Server.Looks != tlsrecord.TLS || !ended {
				return occurrence{}, false
			}
			o := occurrence{who: networkSide, sure: likely, proof: []string{fmt.Sprintf("%s, after %d bytes from it: ", l.stage, l.tr.Server.Size)}}
			if l.sealed {
				o.proof[0] += "it ended the connection (" + string(f.Conn.UpstreamLeg.End) + ")"
			} else {
				o.proof[0] += quote(l.hs.Err)
			}
			for _, m := range l.tr.Server.Alerts() {
				if a, ok := m.Body.(*tlsrecord.Alert); ok {
					o.proof = append(o.proof, "before that it said the warning "+alertText(a.Code))
				}
			}
			return o, true
		})
	},
}

// endedByPeer is true for errors of a connection that the other side ended.
func endedByPeer(err string) bool {
	for _, s := range []string{"EOF", "reset", "broken pipe", "forcibly closed"} {
		if strings.Contains(err, s) {
			return true
		}
	}
	return false
}
