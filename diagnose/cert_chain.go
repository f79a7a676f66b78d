package diagnose

import (
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"mpproxy/internal/tlsrecord"
	"mpproxy/traffic"
)

// chainFault is what makes a chain as sent wrong, whoever trusts its root.
type chainFault struct {
	why string
	// unknownCA is true for faults of which OpenSSL says unknown_ca, expired for
	// an authority that is out of its time.
	unknownCA, expired bool
}

// fault looks for what is wrong above the leaf: authorities that are out of
// their time, are none, may not issue this, or have not signed it. Nil when the
// chain holds, or when it is the leaf that is at fault.
func (c chain) fault(at time.Time) *chainFault {
	leaf := c.leaf()
	_, inTime := c.dates(at)
	_, forServers := c.usage(x509.ExtKeyUsageServerAuth)
	if leaf == nil || !inTime || !forServers {
		return nil
	}
	above := x509.NewCertPool()
	var tops []*x509.Certificate
	for _, one := range c[1:] {
		if one.x == nil {
			return nil
		}
		above.AddCert(one.x)
		if one.outline.Issuer == one.outline.Subject || !c.has(one.outline.Issuer) {
			tops = append(tops, one.x)
		}
	}
	if f := c.badIssuer(); f != nil {
		return f
	}
	var found *chainFault
	for _, top := range tops {
		roots := x509.NewCertPool()
		roots.AddCert(top)
		_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: above, CurrentTime: at})
		var invalid x509.CertificateInvalidError
		switch {
		case err == nil:
			return nil
		case found == nil && errors.As(err, &invalid):
			found = faultOf(&invalid)
		}
	}
	return found
}

// has is true when a certificate of this subject stands above the leaf.
func (c chain) has(subject string) bool {
	for _, one := range c[1:] {
		if one.outline.Subject == subject {
			return true
		}
	}
	return false
}

// badIssuer finds a certificate whose issuer was sent along but is no authority,
// or has not signed it.
func (c chain) badIssuer() *chainFault {
	for i := range c {
		below := &c[i]
		var bad *chainFault
		for _, one := range c[1:] {
			if one.outline.Subject != below.outline.Issuer || one.outline.Subject == below.outline.Subject {
				continue
			}
			err := below.x.CheckSignatureFrom(one.x)
			var old x509.InsecureAlgorithmError
			var noCA x509.ConstraintViolationError
			switch {
			case err == nil, errors.As(err, &old), errors.Is(err, x509.ErrUnsupportedAlgorithm):
				bad = nil
			case errors.As(err, &noCA):
				bad = &chainFault{why: quote(one.outline.Subject) + " stands above it in the chain, and may not issue certificates: it is no authority", unknownCA: true}
			default:
				bad = &chainFault{why: quote(one.outline.Subject) + " stands above " + quote(below.outline.Subject) + " in the chain, but its key has not signed that: there is another authority of the same name", unknownCA: true}
			}
			if bad == nil {
				break
			}
		}
		if bad != nil {
			return bad
		}
	}
	return nil
}

func faultOf(e *x509.CertificateInvalidError) *chainFault {
	who := quote(tlsrecord.ReadOutline(e.Cert.Raw).Subject)
	switch e.Reason {
	case x509.Expired:
		return &chainFault{why: fmt.Sprintf("%s, above it in the chain, is valid from %s to %s", who, day(e.Cert.NotBefore), day(e.Cert.NotAfter)), expired: true}
	case x509.TooManyIntermediates:
		return &chainFault{why: who + " allows fewer authorities below it than the chain has (path length)", unknownCA: true}
	case x509.CANotAuthorizedForThisName, x509.NameConstraintsWithoutSANs:
		return &chainFault{why: "an authority of the chain may not issue for this name (name constraints): " + e.Detail}
	case x509.IncompatibleUsage:
		return &chainFault{why: "an authority of the chain is limited to purposes without Server Authentication"}
	}
	return nil
}

var serverChainBroken = rule{
	kind: traffic.FindingKind{
		Code: "tls-server-chain-broken", Severity: traffic.Error,
		Title:  "An authority in the server's chain is at fault, not the server's own certificate",
		Why:    "It has expired, is none, may not issue this certificate, or has not signed it. Nobody who checks the chain takes it, whatever root is trusted.",
		Remedy: "Remove the certificate that the evidence names from the stores of the server's computer and put the right one into LocalMachine\\CA; or issue the server's certificate anew by an authority that may do so.",
		Moot:   untrusted,
	},
	check: "On the server's computer and on the agent: certutil -verify -urlfetch FILE on the server's certificate.",
	test: func(f *facts) (occurrence, bool) {
		for _, l := range f.legs() {
			refused := l.side == traffic.AgentSide && f.unhappy() && !l.says(tlsrecord.Server) || l.side == traffic.UpstreamSide && f.upstreamFailed() && !l.says(tlsrecord.Server)
			if !refused || len(l.server) < 2 {
				continue
			}
			fault := l.server.fault(l.at())
			if fault == nil || distrusted(l) && !fault.unknownCA {
				continue
			}
			o := occurrence{leg: l.side, who: l.serverWho(), sure: likely, proof: []string{
				fault.why, fmt.Sprintf("%s showed the certificate of %s, issued by %s, in a chain of %d", l.serverName(), quote(l.server.subject()), quote(l.server.issuer()), len(l.server)),
			}}
			if l.side == traffic.UpstreamSide {
				o.sure = certain
				o.proof = append(o.proof, "mpproxy: "+quote(l.hs.Err))
				return o, true
			}
			if fault.expired && l.says(tlsrecord.Client, 45) {
				o.sure = certain
			}
			o.proof = append(o.proof, howItEnded(f))
			return o, true
		}
		return occurrence{}, false
	},
}
