package pki

import (
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"math/big"
	"time"
)

const (
	// crlBackdate is for agents whose clock is behind: to them a list from the
	// future means that revocation cannot be checked.
	crlBackdate = 7 * 24 * time.Hour
	// crlLifetime is how long a list may be used, from the present on.
	crlLifetime = 7 * 24 * time.Hour
)

// CRL is the authority's revocation list in DER, which is empty: what it has
// signed is given up with the authority. Agents that check revocation refuse
// certificates for which they find no list.
func (ca *CA) CRL(now time.Time) ([]byte, error) {
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(now.Unix()), ThisUpdate: now.Add(-crlBackdate), NextUpdate: now.Add(crlLifetime),
	}, ca.Cert, ca.Key)
	if err != nil {
		return nil, fmt.Errorf("make revocation list: %w", err)
	}
	return der, nil
}
