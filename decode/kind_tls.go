package decode

import "mpproxy/internal/tlsrecord"

// tlsBytes are TLS where a message was expected: a handshake that failed, or
// one inside a tunnel that was not opened.
var tlsBytes = Kind{Slug: "tls", Name: "(TLS)", sum: sumTLS}

// recordTypes are the content types of TLS records (RFC 8446, 5.1).
var recordTypes = map[byte]string{20: "change cipher spec", 21: "alert", 22: "handshake", 23: "data"}

// isTLS says whether bytes without an HTTP head begin as a TLS record of any
// version, SSL 3.0 included.
func (d *decoder) isTLS() bool {
	b := d.body
	return len(d.Head.Raw) == 0 && len(b) >= 5 && recordTypes[b[0]] != "" && b[1] == 3 && b[2] <= 4
}

// helloLimit is how many bytes are looked through for a ClientHello.
const helloLimit = 16 << 10

// sumTLS names the server that a ClientHello asks for, which tells connections
// apart of which nothing else can be read.
func sumTLS(d *decoder) (short, long string) {
	what := recordTypes[d.body[0]]
	if hello := tlsrecord.Parse(d.body[:min(len(d.body), helloLimit)], nil).ClientHello(); hello != nil && hello.ServerName != "" {
		what = "to " + clip(hello.ServerName)
	}
	short = what + ", " + sizeWords(d.Size)
	return short, "TLS " + short
}
