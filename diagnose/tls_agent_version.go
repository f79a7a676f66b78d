package diagnose

import (
	"fmt"
	"slices"
	"strings"

	"mpproxy/internal/tlsrecord"
	"mpproxy/traffic"
)

// agentVersionRules are about what agent and server cannot agree on before any
// certificate is shown.
var agentVersionRules = []rule{agentTooOld, agentOnlySHA1, noCommonCipher, alpnMismatch, agentNeedsOld}

var agentTooOld = rule{
	kind: traffic.FindingKind{
		Code: "tls-agent-too-old", Ref: "A09", Severity: traffic.Error,
		Title:  "The agent offers only TLS versions that the server does not take",
		Why:    "Windows up to Server 2012 leaves TLS 1.2 off for WinHTTP; XP and 2003 have none. Such agents are cut off once TLS 1.0 is.",
		Remedy: "On the agent: install KB3140245 and set DefaultSecureProtocols to 0xA00 (0xAA0 keeps 1.0), or run mpproxy with --tls-profile legacy.",
		Moot:   append([]string{"tls-no-common-cipher"}, shakeFailed...),
	},
	check: "On the agent: HKLM\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Internet Settings\\WinHttp, DefaultSecureProtocols; Schannel event 36887 with 70.",
	test: func(f *facts) (occurrence, bool) {
		l := f.agent
		if l == nil || !l.says(tlsrecord.Server, 70) || l.tr.ClientHello() == nil {
			return occurrence{}, false
		}
		highest := l.hello().MaxVersion()
		if highest >= tlsrecord.TLS12 { // then it is the server that is old
			return occurrence{leg: traffic.AgentSide, who: l.serverWho(), sure: certain, proof: []string{
				l.alertLine(), "the agent offers " + versionsOf(l.hello()) + stackGuess(l.hello()),
			}, do: []string{"Enable TLS 1.2 on the management point: SCHANNEL\\Protocols in its registry, then restart it."}}, true
		}
		return occurrence{leg: traffic.AgentSide, who: agentSide, sure: certain, do: l.passedInstead("On the agent: install KB3140245 and set DefaultSecureProtocols to 0xA00 (0xAA0 keeps 1.0)."), proof: append([]string{
			l.alertLine(), "the agent's highest version is " + highest.String() + stackGuess(l.hello()),
		}, f.History.orphans(f.History.refusedUpTo(highest))...)}, true
	},
}

// agentNeedsOld finds agents that get in only because old TLS is taken.
var agentNeedsOld = rule{
	kind: traffic.FindingKind{
		Code: "tls-agent-needs-old", Ref: "A09", Severity: traffic.Warning,
		Title:  "The agent offers nothing newer than TLS 1.1: it gets in now, and is shut out as soon as TLS 1.2 is the minimum",
		Why:    "Windows up to Server 2012 leaves TLS 1.2 off for WinHTTP; XP and 2003 have none. Nothing in the site's console says which agents these are.",
		Remedy: "Before TLS 1.0 and 1.1 are switched off: on the agents below install KB3140245 and set DefaultSecureProtocols to 0xA00 (0xAA0 keeps 1.0 and 1.1).",
		Moot:   []string{"tls-old"},
	},
	check: "On the agent: HKLM\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Internet Settings\\WinHttp, DefaultSecureProtocols (and below Wow6432Node); SCHANNEL\\Protocols.",
	test: func(f *facts) (occurrence, bool) {
		l := f.agent
		if l == nil || l.failed() || l.tr.ClientHello() == nil || l.hello().MaxVersion() >= tlsrecord.TLS12 {
			return occurrence{}, false
		}
		return occurrence{leg: traffic.AgentSide, who: agentSide, sure: certain, proof: append([]string{
			"the agent's highest version is " + l.hello().MaxVersion().String() + stackGuess(l.hello()) + "; " + l.serverName() + " took it",
		}, f.History.orphans(tlsrecord.TLS12-1)...)}, true
	},
}

// passedInstead is what to do about a leg that mpproxy does not terminate: as
// told, or let mpproxy come between. Nil for other legs.
func (l *leg) passedInstead(do string) []string {
	if !l.sealed {
		return nil
	}
	return []string{do, "Or let mpproxy stand between the two: --tls terminate --tls-profile legacy."}
}

func stackGuess(h *tlsrecord.ClientHello) string {
	if s := h.Stacks(); len(s) > 0 {
		return "; its hello looks like " + s[0].Name
	}
	return ""
}

var agentOnlySHA1 = rule{
	kind: traffic.FindingKind{
		Code: "tls-agent-only-sha1", Ref: "A11", Severity: traffic.Error,
		Title:  "The agent can check only SHA-1 signatures in the handshake",
		Why:    "Go signs no handshake with SHA-1 any more; Windows without SHA-2 updates knows nothing else.",
		Remedy: "Install the agent's SHA-2 updates (KB4474419 and its forerunners), or run mpproxy with GODEBUG=tlssha1=1.",
		Moot:   append([]string{"tls-no-common-cipher"}, shakeFailed...),
	},
	check: "On the agent: signature algorithms in a packet capture of its ClientHello.",
	test: func(f *facts) (occurrence, bool) {
		l := f.agent
		// Go has sent its certificate already when it looks for an algorithm.
		if l == nil || !l.says(tlsrecord.Server, 40) || l.stage >= tlsrecord.StageServerDone {
			return occurrence{}, false
		}
		schemes := l.hello().SignatureSchemes
		if len(schemes) == 0 || slices.ContainsFunc(schemes, func(s tlsrecord.SignatureScheme) bool { return !s.SHA1() }) {
			return occurrence{}, false
		}
		return occurrence{leg: traffic.AgentSide, who: agentSide, sure: certain, proof: []string{
			l.alertLine(), "the agent's signature algorithms are " + list(schemes) + ", all with SHA-1 or MD5",
		}}, true
	},
}

// beforeServerHello is true when the server answered a hello with one of these
// alerts and nothing else.
func beforeServerHello(l *leg, codes ...tlsrecord.AlertCode) bool {
	return l.says(tlsrecord.Server, codes...) && l.tr.ClientHello() != nil && l.tr.ServerHello() == nil
}

var noCommonCipher = rule{
	kind: traffic.FindingKind{
		Code: "tls-no-common-cipher", Ref: "A10", Severity: traffic.Error,
		Title:  "The agent and the server have no cipher suite in common",
		Why:    "The agent's list has only what the server has switched off.",
		Remedy: "Enable ECDHE with AES-GCM on the agent (group policy SSL Configuration Settings). --tls-profile legacy adds RSA key exchange, 3DES and RC4-SHA; DHE, DES, RC4-MD5 and export suites it can never speak.",
		Moot:   shakeFailed,
	},
	check: "On the agent: Schannel event 36887 with 40, on the server 36874.",
	test: func(f *facts) (occurrence, bool) {
		l := f.agent
		if l == nil || !beforeServerHello(l, 40, 71) {
			return occurrence{}, false
		}
		sure, who := likely, l.serverWho()
		if !slices.ContainsFunc(l.hello().Suites, modernSuite) {
			sure, who = certain, agentSide
		}
		return occurrence{leg: traffic.AgentSide, who: who, sure: sure, do: l.passedInstead("Enable suites that both have: ECDHE with AES-GCM on the agent (group policy SSL Configuration Settings), and on the management point (Get-TlsCipherSuite)."), proof: []string{
			l.alertLine(), "the agent offers " + list(l.hello().Suites) + missingClass(l.hello().Suites),
		}}, true
	},
}

// modernSuite is true for suites that today's servers take: TLS 1.3, or ECDHE
// with AES or ChaCha20.
func modernSuite(s tlsrecord.Suite) bool {
	name := s.String()
	return s>>8 == 0x13 || strings.HasPrefix(name, "TLS_ECDHE_") && (strings.Contains(name, "AES") || strings.Contains(name, "CHACHA"))
}

// missingClass says what kind of suites a list is made of.
func missingClass(suites []tlsrecord.Suite) string {
	for _, c := range []struct{ mark, words string }{
		{"TLS_DHE_", ": key exchange by DHE only"},
		{"TLS_RSA_", ": RSA key exchange only"},
	} {
		only := true
		for _, s := range suites {
			signal := s == tlsrecord.SuiteRenegotiationInfo || s == tlsrecord.SuiteFallback
			only = only && (signal || strings.HasPrefix(s.String(), c.mark))
		}
		if only && len(suites) > 0 {
			return c.words
		}
	}
	return ""
}

// list writes names, not more than twelve.
func list[T fmt.Stringer](all []T) string {
	var out []string
	for i, x := range all {
		if i == 12 {
			out = append(out, fmt.Sprintf("and %d more", len(all)-i))
			break
		}
		out = append(out, x.String())
	}
	return strings.Join(out, ", ")
}

var alpnMismatch = rule{
	kind: traffic.FindingKind{
		Code: "tls-no-common-protocol", Ref: "A29", Severity: traffic.Warning,
		Title:  "The agent asks for an application protocol that the server does not have",
		Why:    "mpproxy speaks HTTP/1.1 only, as agents do; this was no agent of ConfigMgr.",
		Remedy: "Let the client offer http/1.1, or no ALPN at all.",
		Moot:   shakeFailed,
	},
	check: "The client's configuration of HTTP versions.",
	test: func(f *facts) (occurrence, bool) {
		l := f.agent
		if l == nil || !l.says(tlsrecord.Server, 120) {
			return occurrence{}, false
		}
		return occurrence{leg: traffic.AgentSide, who: agentSide, sure: certain, proof: []string{
			l.alertLine(), "the agent offers " + quote(strings.Join(l.hello().ALPN, ", ")),
		}}, true
	},
}
