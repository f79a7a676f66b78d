package diagnose

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // Windows names certificates by it
	"crypto/x509"
	"fmt"
	"net"
	"strings"
	"time"

	"mpproxy/internal/tlsrecord"
)

// certificate is one certificate of a chain, read as far as it can be.
type certificate struct {
	der     []byte
	outline tlsrecord.Outline
	// x is nil when crypto/x509 refuses to read it; unread says why.
	x      *x509.Certificate
	unread string
	// more is true when others came behind it of which too few bytes were kept.
	more bool
}

// chain is a chain as sent, the sender's own certificate first.
type chain []certificate

func readChain(ders [][]byte) chain {
	var c chain
	for _, der := range ders {
		one := certificate{der: der, outline: tlsrecord.ReadOutline(der)}
		x, err := x509.ParseCertificate(der)
		if err != nil {
			one.unread = strings.TrimPrefix(err.Error(), "x509: ")
		} else {
			one.x = x
		}
		c = append(c, one)
	}
	return c
}

// shownChain reads the Certificate message of a side, if there is one. Of a
// message that is cut short the whole certificates count.
func shownChain(s *tlsrecord.Stream) chain {
	shown, message := tlsrecord.First[*tlsrecord.Certificate](s)
	if shown == nil {
		return nil
	}
	var whole [][]byte
	for _, d := range shown.Chain {
		if !d.Truncated {
			whole = append(whole, d.Bytes)
		}
	}
	c := readChain(whole)
	if len(c) > 0 {
		c[len(c)-1].more = message.Truncated
	}
	return c
}

// leaf is the sender's own certificate, nil when there is none that can be
// read.
func (c chain) leaf() *x509.Certificate {
	if len(c) == 0 {
		return nil
	}
	return c[0].x
}

// subject and issuer are the leaf's names; "" without one.
func (c chain) subject() string {
	if len(c) == 0 {
		return ""
	}
	return c[0].outline.Subject
}

func (c chain) issuer() string {
	if len(c) == 0 {
		return ""
	}
	return c[0].outline.Issuer
}

// words are whose certificate it is, by whom, and its thumbprint, the SHA-1 by
// which Windows names certificates.
func (c chain) words() string {
	if len(c) == 0 {
		return "no certificate"
	}
	return fmt.Sprintf("the certificate of %s, issued by %s (thumbprint %X)", quote(c.subject()), quote(c.issuer()), sha1.Sum(c[0].der)) //nolint:gosec // a name, not a proof
}

// dates says what is wrong with the leaf's validity at a time, and whether it
// is right.
func (c chain) dates(at time.Time) (why string, good bool) {
	x := c.leaf()
	switch {
	case x == nil:
		return "", true
	case at.After(x.NotAfter):
		return "it has expired: it was valid until " + day(x.NotAfter) + ", and it is " + day(at), false
	case at.Before(x.NotBefore):
		return "it is not yet valid: it begins on " + day(x.NotBefore) + ", and it is " + day(at), false
	}
	return "it is valid from " + day(x.NotBefore) + " to " + day(x.NotAfter), true
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") + " UTC" }

// usage says whether the leaf may be used for a purpose.
func (c chain) usage(want x509.ExtKeyUsage) (why string, good bool) {
	x := c.leaf()
	if x == nil || len(x.ExtKeyUsage) == 0 && len(x.UnknownExtKeyUsage) == 0 {
		return "it is not limited to purposes", true
	}
	var have []string
	for _, u := range x.ExtKeyUsage {
		if u == want || u == x509.ExtKeyUsageAny {
			return "its purposes include " + usageName(want), true
		}
		have = append(have, usageName(u))
	}
	for _, oid := range x.UnknownExtKeyUsage {
		have = append(have, oid.String())
	}
	return "its purposes are " + strings.Join(have, ", ") + ", without " + usageName(want), false
}

func usageName(u x509.ExtKeyUsage) string {
	switch u {
	case x509.ExtKeyUsageServerAuth:
		return "Server Authentication"
	case x509.ExtKeyUsageClientAuth:
		return "Client Authentication"
	case x509.ExtKeyUsageCodeSigning:
		return "Code Signing"
	case x509.ExtKeyUsageEmailProtection:
		return "Secure Email"
	}
	return fmt.Sprintf("purpose %d", u)
}

// weak names what of the chain today's peers refuse or soon will: old hashes
// and short keys.
func (c chain) weak() (why string, found bool) {
	for i := range c {
		x := c[i].x
		if x == nil {
			continue
		}
		which := "the certificate of " + c[i].outline.Subject
		if hash := oldHash(x); hash != "" && !selfIssued(x) {
			return which + " is signed with " + hash, true
		}
		if bits := rsaBits(x); bits > 0 && bits < 2048 {
			return fmt.Sprintf("%s has an RSA key of %d bits", which, bits), true
		}
	}
	return "all signatures are SHA-2, all keys long enough", false
}

// oldHash names the hash of a signature that is no longer trusted.
func oldHash(x *x509.Certificate) string {
	switch x.SignatureAlgorithm {
	case x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
		return "SHA-1"
	case x509.MD5WithRSA, x509.MD2WithRSA:
		return "MD5"
	}
	return ""
}

func selfIssued(x *x509.Certificate) bool { return string(x.RawIssuer) == string(x.RawSubject) }

// rsaBits is the size of an RSA key, 0 for another one.
func rsaBits(x *x509.Certificate) int {
	if key, isRSA := x.PublicKey.(*rsa.PublicKey); isRSA {
		return key.N.BitLen()
	}
	return 0
}

// keyName is a key's kind and size in words.
func keyName(x *x509.Certificate) string {
	switch key := x.PublicKey.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", key.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA " + key.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return "a key of a kind that mpproxy does not know"
}

// names are those that a certificate is valid for.
func names(x *x509.Certificate) []string {
	out := append([]string(nil), x.DNSNames...)
	for _, ip := range x.IPAddresses {
		out = append(out, ip.String())
	}
	return out
}

// name says whether the leaf is good for a name.
func (c chain) name(want string) (why string, good bool) {
	x := c.leaf()
	if x == nil || want == "" {
		return "", true
	}
	host := want
	if net.ParseIP(want) != nil {
		host = "[" + want + "]" // as crypto/x509 wants addresses
	}
	if x.VerifyHostname(host) == nil {
		return "it has the name " + want, true
	}
	have := names(x)
	switch joined := joinedName(x); {
	case joined != "":
		return fmt.Sprintf("%s was asked for; the certificate has one name %q, in which several were typed into one", want, joined), false
	case len(have) == 0:
		return fmt.Sprintf("%s was asked for; the certificate has no subject alternative names, only the common name %q, which counts no more", want, x.Subject.CommonName), false
	}
	return fmt.Sprintf("%s was asked for; the certificate has %s", want, some(have)), false
}

// someNames is how many names of a certificate one line has.
const someNames = 20

// some are names in a line: certificates of hosters have hundreds.
func some(names []string) string {
	if more := len(names) - someNames; more > 0 {
		return strings.Join(names[:someNames], ", ") + fmt.Sprintf(" and %d more", more)
	}
	return strings.Join(names, ", ")
}

// joinedName is a DNS name that holds what no DNS name can: the separator of a
// request, a blank or a comma, typed into one entry.
func joinedName(x *x509.Certificate) string {
	for _, n := range x.DNSNames {
		if strings.ContainsAny(n, "& ,;") {
			return n
		}
	}
	return ""
}

// unreadable is the first certificate that crypto/x509 refuses.
func (c chain) unreadable() *certificate {
	for i := range c {
		if c[i].x == nil {
			return &c[i]
		}
	}
	return nil
}

// alone is true for a certificate that was sent without its issuer.
func (c chain) alone() bool { return len(c) == 1 && !c.complete() && !c[0].more }

// top is the authority at the end of a chain as sent: a root that is in it, or
// the issuer of its last certificate; "" without a chain.
func (c chain) top() string {
	if len(c) == 0 {
		return ""
	}
	return c[len(c)-1].outline.Issuer
}

// complete says whether the chain as sent goes up to a root or can do without
// more: its last certificate signs itself.
func (c chain) complete() bool {
	return len(c) > 0 && c[len(c)-1].outline.Issuer == c[len(c)-1].outline.Subject
}
