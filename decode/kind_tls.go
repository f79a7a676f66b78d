package decode

import "fmt"

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

func sumTLS(d *decoder) (short, long string) {
	short = fmt.Sprintf("%s, %s", recordTypes[d.body[0]], sizeWords(d.Size))
	return short, "TLS " + short
}
