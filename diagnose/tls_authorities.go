package diagnose

import (
	"fmt"
	"strings"

	"mpproxy/internal/tlsrecord"
	"mpproxy/traffic"
)

// authoritiesRules are about lists of authorities that keep clients out.
var authoritiesRules = []rule{authoritiesUnreadable}

// longestMessage is what most TLS stacks take of one handshake message, in bytes.
const longestMessage = 1 << 16

var authoritiesUnreadable = rule{
	kind: traffic.FindingKind{
		Code: "upstream-authorities-unreadable", Ref: "M20", Severity: traffic.Error,
		Title:  "The management point names so many authorities that its client breaks the handshake off",
		Why:    "The request for a certificate becomes longer than clients take: crypto/tls of Go takes 64 KB, OpenSSL less.",
		Remedy: "Remove authorities from the Trusted Root store of the management point, or send no list: SendTrustedIssuerList=0.",
		Moot:   append([]string{"upstream-authorities-huge", "upstream-tls-failed", "native-issuer-not-named"}, shakeFailed...),
	},
	check: "On the management point: Schannel event 36885.",
	test: func(f *facts) (occurrence, bool) {
		return f.withMP(func(l *leg) (occurrence, bool) {
			size := l.requestSize()
			o := occurrence{who: mpSide, sure: likely, proof: []string{fmt.Sprintf("its request for a certificate has %d bytes", size)}}
			switch {
			case strings.Contains(l.hs.Err, "exceeds maximum of 65536 bytes") && size > longestMessage:
				o.sure = certain
				o.proof = append(o.proof, "mpproxy: "+quote(l.hs.Err))
			case l.alert.seen && l.alert.from == tlsrecord.Client:
				o.proof = append(o.proof, l.alertLine())
			default:
				return o, false
			}
			return o, size > longestMessage/2
		})
	},
}

// requestSize is how long the server's request for a certificate says to be, in
// bytes; 0 without one.
func (l *leg) requestSize() int {
	for i := range l.tr.Server.Messages {
		if m := &l.tr.Server.Messages[i]; m.Is(tlsrecord.TypeCertificateRequest) {
			return m.Length
		}
	}
	return 0
}
