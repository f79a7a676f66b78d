package diagnose

import (
	"fmt"
	"net"
	"strings"

	"mpproxy/internal/tlsrecord"
	"mpproxy/traffic"
)

// upstreamCertRules are about mpproxy refusing the management point's
// certificate.
var upstreamCertRules = []rule{mpEnhancedHTTP, mpNameMismatch, mpUntrusted}

var mpEnhancedHTTP = rule{
	kind: traffic.FindingKind{
		Code: "upstream-enhanced-http", Ref: "M07", Severity: traffic.Info,
		Title:  "The management point shows the self-made certificate of Enhanced HTTP",
		Why:    "The site issues it itself (SMS Issuing). Agents trust it by what the site told them, Windows and mpproxy do not by themselves.",
		Remedy: "Export the SMS Issuing certificate from the site (Administration, Security, Certificates) and give it to --upstream-ca.",
	},
	check: "On the management point: the binding's certificate is \"SMS Role SSL Certificate\".",
	test: func(f *facts) (occurrence, bool) {
		for _, l := range f.legs() {
			if l.side == traffic.AgentSide && !l.sealed {
				continue
			}
			if l.server.enhancedHTTP() {
				return occurrence{leg: l.side, who: proxySide, sure: certain, proof: []string{
					fmt.Sprintf("certificate of %s, issued by %s", quote(l.server.subject()), quote(l.server.issuer())),
				}}, true
			}
		}
		return occurrence{}, false
	},
}

// enhancedHTTP knows the certificates that a site makes for itself.
func (c chain) enhancedHTTP() bool {
	return strings.Contains(c.issuer(), "CN=SMS Issuing") || strings.Contains(c.subject(), "CN=SMS Role SSL Certificate")
}

var mpNameMismatch = rule{
	kind: traffic.FindingKind{
		Code: "upstream-name-mismatch", Ref: "M06", Severity: traffic.Error,
		Title:  "The management point's certificate lacks the name by which mpproxy calls it",
		Why:    "Agents that use this name refuse it too. A common name alone counts no more.",
		Remedy: "Use a name from the certificate in --upstream, or issue the certificate with this name in its subject alternative names.",
		Moot:   []string{"upstream-tls-failed", "upstream-untrusted"},
	},
	check: "On the management point: certutil -dump on the bound certificate: Subject Alternative Name.",
	test: func(f *facts) (occurrence, bool) {
		return f.onUpstream(func(l *leg) (occurrence, bool) {
			host, _, _ := net.SplitHostPort(f.Conn.Upstream)
			if name := l.hello().ServerName; name != "" {
				host = name
			}
			why, good := l.server.name(host)
			if good || l.says(tlsrecord.Server) {
				return occurrence{}, false
			}
			o := occurrence{who: mpSide, sure: certain, proof: []string{why}}
			if !strings.Contains(l.hs.Err, "expired") { // else it says another fault
				o.proof = append(o.proof, "mpproxy: "+quote(l.hs.Err))
			}
			return o, true
		})
	},
}

var mpUntrusted = rule{
	kind: traffic.FindingKind{
		Code: "upstream-untrusted", Ref: "M05", Severity: traffic.Error,
		Title:  "mpproxy does not trust the authority of the management point's certificate",
		Why:    "Its root is not among those that mpproxy was given, or the management point does not send an intermediate.",
		Remedy: "Give the site's root to --upstream-ca.",
		Moot:   []string{"upstream-tls-failed", "upstream-enhanced-http"},
	},
	check: "openssl s_client -showcerts -connect NAME:443 shows the chain as sent.",
	test: func(f *facts) (occurrence, bool) {
		return f.onUpstream(func(l *leg) (occurrence, bool) {
			if !strings.Contains(l.hs.Err, "unknown authority") && !strings.Contains(l.hs.Err, "not trusted") {
				return occurrence{}, false
			}
			o := occurrence{who: proxySide, sure: certain, proof: []string{
				fmt.Sprintf("certificate of %s, issued by %s; a chain of %d was sent", quote(l.server.subject()), quote(l.server.issuer()), len(l.server)),
			}}
			if l.server.enhancedHTTP() {
				o.do = []string{mpEnhancedHTTP.kind.Remedy}
				o.proof = append(o.proof, "it is the self-made certificate of Enhanced HTTP, which agents trust by what the site told them, and nobody else does")
				return o, true
			}
			if !l.server.complete() {
				o.proof = append(o.proof, fmt.Sprintf("it ends at %s, which was not sent: if that is no root, the management point lacks an intermediate", quote(l.server[max(len(l.server)-1, 0):].issuer())))
			}
			switch {
			case len(l.server) > 0 && l.server.subject() == l.server.issuer():
				o.proof = append(o.proof, "it signs itself: no authority has issued it, and agents refuse it as well")
				o.do = []string{"Bind a certificate that the site's authority has issued (Web Server template).", "To go on with this one: give it to --upstream-ca."}
			case strings.Contains(l.hs.Err, "candidate authority certificate") && l.server.fault(l.at()) == nil:
				o.proof = append(o.proof, "a trusted authority has the name of its issuer, but another key: as after its renewal, or when two authorities have one name")
				o.do = []string{"Give the authority's other certificate, with the key that has signed this one, to --upstream-ca as well (both in one file); agents need it in their Trusted Root store too."}
			}
			if l.server.alone() {
				o.do = []string{
					"If " + quote(l.server.issuer()) + " is an intermediate: import it into the Intermediate store of the management point's computer (LocalMachine\\CA), so that it is sent along; agents that do not have it fail as well.",
					"Else give the site's root to --upstream-ca.",
				}
			}
			if why, good := l.server.dates(l.at()); good && why != "" {
				o.notIt = append(o.notIt, Ruled{"expired", why})
			}
			return o, true
		})
	},
}
