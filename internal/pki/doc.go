// Package pki makes and loads keys and certificates.
//
// In go names, keys and PEM, DER or PKCS#12 files; out come [tls.Certificate]
// values and certificate pools that crypto/tls takes as they are. A [CA] is
// mpproxy's own authority or that of the simulated site; its [Minter] makes
// leaf certificates for listeners while they are needed. The package never
// opens a connection, never decides whether a chain is to be trusted, and
// never writes a key that others may read.
package pki
