package proxy

import (
	"crypto/tls"
	"errors"

	"mpproxy/traffic"
)

// certificateQuestion answers a management point that asks for a client
// certificate, and remembers how it was asked and what it was shown.
type certificateQuestion struct {
	c     *connection
	up    *tap
	asked *traffic.CertificateAsked
	shown [][]byte
	// over is set after the first handshake: a question then is one of a
	// renegotiation.
	over bool
}

func (q *certificateQuestion) answer(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
	cert, why := q.c.identity()
	asked := askedFor(info, cert, why)
	if cert == nil {
		cert = &tls.Certificate{}
	}
	if q.over {
		var shown []byte
		if len(cert.Certificate) > 0 {
			shown = cert.Certificate[0]
		}
		q.up.askedAgain(asked, shown)
	} else {
		q.asked, q.shown = asked, cert.Certificate
	}
	return cert, nil
}

// askedFor is a request for a client certificate, and how a certificate fits.
func askedFor(info *tls.CertificateRequestInfo, cert *tls.Certificate, why string) *traffic.CertificateAsked {
	a := &traffic.CertificateAsked{Count: len(info.AcceptableCAs), Identity: why}
	for _, name := range info.AcceptableCAs {
		if a.Size += 2 + len(name); a.Size <= traffic.AuthoritiesLimit {
			a.Authorities = append(a.Authorities, name)
		}
	}
	if cert != nil {
		if err := info.SupportsCertificate(cert); err != nil {
			a.Unsuited = err.Error()
		}
	}
	return a
}

// refusedChain is the chain that crypto/tls did not verify; nil when the error
// is another one.
func refusedChain(err error) [][]byte {
	var refused *tls.CertificateVerificationError
	if errors.As(err, &refused) {
		return rawChain(refused.UnverifiedCertificates)
	}
	return nil
}
