package diagnose

import (
	"fmt"
	"strings"

	"mpproxy/internal/tlsrecord"
	"mpproxy/traffic"
)

// renegotiationRules are about second handshakes in a connection, by which IIS
// asks for client certificates, that come to no good end.
var renegotiationRules = []rule{renegotiationRefused, renegotiationMixed, mpproxyBrokeOff}

// again is how the management point asked mpproxy for a certificate by
// renegotiation; nil when it did not.
func (f *facts) again() *traffic.CertificateAsked {
	if after := f.Conn.UpstreamLeg.After; f.upstream != nil && after != nil {
		return after.Again
	}
	return nil
}

var renegotiationRefused = rule{
	kind: traffic.FindingKind{
		Code: "upstream-renegotiation-refused", Ref: "M10", Severity: traffic.Error,
		Title:  "The management point asks for the client certificate by renegotiation, and its client does not renegotiate",
		Why:    "Programs in Go refuse it unless told otherwise, those with rustls or BouncyCastle always; mpproxy itself grants it once on a connection.",
		Remedy: "Ask in the first handshake: netsh http … clientcertnegotiation=enable. Or let the client renegotiate (in Go: tls.Config.Renegotiation).",
		Moot:   []string{"upstream-renegotiates", "upstream-left-request", "upstream-no-reply"},
	},
	check: "On the management point: netsh http show sslcert, Negotiate Client Certificate.",
	test: func(f *facts) (occurrence, bool) {
		for i := range f.Exchanges {
			if x := &f.Exchanges[i]; strings.Contains(x.Err, "no renegotiation") {
				return occurrence{leg: traffic.UpstreamSide, who: mpSide, sure: certain, exchange: x, proof: []string{
					"the management point asked once more than mpproxy grants: " + quote(x.Err),
				}}, true
			}
		}
		l := f.agent
		if l == nil || !l.sealed {
			return occurrence{}, false
		}
		r := l.tr.Renegotiation()
		if r == nil || r.By != tlsrecord.Server || r.Answered || !endsInAlert(&l.tr.Client) {
			return occurrence{}, false
		}
		return occurrence{leg: l.side, who: mpSide, sure: certain, proof: []string{
			fmt.Sprintf("a HelloRequest at byte %d of what the management point sent", r.Offset),
			"the agent did not renegotiate: it said an alert, as programs in Go do unless told otherwise",
		}}, true
	},
}

// brokeOff is true for a leg that mpproxy's TLS ended after the handshake, as it
// could not go on.
func brokeOff(err string) bool {
	return strings.Contains(err, "local error: tls: ") && !strings.Contains(err, "no renegotiation")
}

var renegotiationMixed = rule{
	kind: traffic.FindingKind{
		Code: "upstream-renegotiation-mixed", Ref: "M10", Severity: traffic.Error,
		Title:  "The management point sent data in the middle of the renegotiation that it had asked for, which mpproxy's TLS cannot read",
		Why:    "TLS 1.2 allows that (RFC 5246, 7.4.1.1), crypto/tls of Go does not; agents with Schannel bear it.",
		Remedy: "Pass this listener through (--tls passthrough), or ask in the first handshake: netsh http … clientcertnegotiation=enable.",
		Moot:   []string{"upstream-left-request", "upstream-no-reply", "upstream-renegotiates", "upstream-tls-broke-off"},
	},
	check: "On the management point: netsh http show sslcert, Negotiate Client Certificate.",
	test: func(f *facts) (occurrence, bool) {
		u := f.Conn.UpstreamLeg
		r, again := handshakeAfter(u.After)
		if f.upstream == nil || !again || !strings.Contains(u.Err, "local error: tls: unexpected message") {
			return occurrence{}, false
		}
		return occurrence{leg: traffic.UpstreamSide, who: proxySide, sure: certain, proof: []string{
			fmt.Sprintf("it began a second handshake (%d bytes) %s after the first one", r.Length, since(f.upstream.hs.Ended, r.At)), "mpproxy broke off: " + quote(u.Err),
		}}, true
	},
}

var mpproxyBrokeOff = rule{
	kind: traffic.FindingKind{
		Code: "upstream-tls-broke-off", Severity: traffic.Error,
		Title:  "mpproxy broke off TLS with the management point after the handshake, since it could not read what came",
		Why:    "Records that do not decrypt were changed on their way; messages that do not belong there come from a device on the way, or from a server with habits of its own.",
		Remedy: "Compare with --tls passthrough, where the agent reads the same bytes; look at devices on the way.",
		Moot:   []string{"upstream-left-request", "upstream-no-reply"},
	},
	check: "On the management point: System log, Schannel event 36887 has the alert that mpproxy sent.",
	test: func(f *facts) (occurrence, bool) {
		err := f.Conn.UpstreamLeg.Err
		if f.upstream == nil || f.upstream.failed() || !brokeOff(err) {
			return occurrence{}, false
		}
		return occurrence{leg: traffic.UpstreamSide, who: networkSide, sure: certain, proof: []string{"mpproxy broke off: " + quote(err)}}, true
	},
}

// endsInAlert is true when the last thing that a side said is an alert, as far as
// the record types tell.
func endsInAlert(s *tlsrecord.Stream) bool {
	n := len(s.Messages)
	return n > 0 && s.Messages[n-1].Content == tlsrecord.ContentAlert
}

// certificateFlight is how many bytes a client's part of a second handshake has
// at least when a certificate is in it.
const certificateFlight = 1000

// refusedAgain is TLS passed through in which the management point breaks off the
// renegotiation that it has asked for.
func (f *facts) refusedAgain() (occurrence, bool) {
	l := f.agent
	r := l.tr.Renegotiation()
	if r == nil || r.By != tlsrecord.Server || !r.Answered || r.Completed || !endsInAlert(&l.tr.Server) {
		return occurrence{}, false
	}
	o := occurrence{leg: l.side, who: mpSide, sure: likely, proof: []string{
		fmt.Sprintf("it asked for a renegotiation at byte %d of what it sent, the agent answered with %d bytes, and it said an alert, which is encrypted", r.Offset, r.ClientBytes),
	}}
	if r.ClientBytes < certificateFlight {
		o.proof = append(o.proof, "that is too little for a certificate: the agent shows none")
		o.do = missedRemedy()
	} else {
		o.proof = append(o.proof, "that is as much as with a certificate")
	}
	return o, true
}

// missedRemedy is what to do where by its size the agent's answer has no
// certificate.
func missedRemedy() []string {
	return []string{noClientCert.kind.Remedy, "If the agent has a certificate: see whether the management point names its authority when it asks (Schannel event 36885)."}
}
