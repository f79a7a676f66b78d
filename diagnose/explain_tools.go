package diagnose

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// toolPatterns are how OpenSSL, curl and Go write down why TLS failed: what
// agents that are not Windows, and tests, have in their logs.
var toolPatterns = []pattern{
	{regexp.MustCompile(`(?i)\berror:([0-9a-f]{8}):`), false, func(g []string) []Explanation { return openSSL(g[1]) }},
	{regexp.MustCompile(`\bcurl: \((\d{1,2})\)`), false, func(g []string) []Explanation { return curlExit(g[1]) }},
	{regexp.MustCompile(`\bx509: [a-z][A-Za-z' ]+`), false, func(g []string) []Explanation { return goX509(g[0]) }},
	{regexp.MustCompile(`creating (?:a|an) (?:TLS|SSL) (?:client|server) credential`), false, func([]string) []Explanation { return schannel("36871") }},
}

// openSSLReasons are the reasons of its SSL library (openssl/sslerr.h) that
// appear in practice. One of 1000 or more is an alert of the other side.
var openSSLReasons = map[uint64]struct{ name, meaning, lookAt string }{
	134: {"certificate verify failed", "The other side's certificate was not accepted here", "the number behind it says why (openssl verify): 10 expired, 18 and 19 self-signed, 20 issuer not known, 62 name"},
	156: {"http request", "Plain HTTP came on a port of TLS", "http:// in place of https:// in the sender's settings"},
	193: {"no shared cipher", "No cipher suite that both sides take", "compare both sides' offers; kind of key of the certificate"},
	244: {"unexpected message", "A message came that has no place there", "middlebox, or data within a renegotiation"},
	258: {"unsupported protocol", "The other side's TLS version is not allowed here", "enable TLS 1.2 on the older side; SECLEVEL and MinProtocol of OpenSSL"},
	267: {"wrong version number", "What came is not TLS", "plain HTTP on this port, or a proxy that answers"},
	294: {"unexpected eof while reading", "The connection was closed without a goodbye of TLS", "the other side's log: it may have refused a certificate without an alert"},
	338: {"unsafe legacy renegotiation disabled", "The other side does not know secure renegotiation (RFC 5746)", "old server or middlebox"},
	398: {"ca md too weak", "A certificate is signed with SHA-1 or MD5", "issue it anew with SHA-256; SECLEVEL of OpenSSL"},
	399: {"ee key too small", "A key is too short for this security level", "RSA of 2048 bits or more"},
}

// openSSL explains an error of OpenSSL, a library and a reason in 32 bits. The
// library has the upper 8 bits up to OpenSSL 1.1.1, the 8 below the topmost one
// since 3.0.
func openSSL(code string) []Explanation {
	n, err := strconv.ParseUint(code, 16, 32)
	if err != nil {
		return nil
	}
	const ssl = 20 // the library's number
	var reason uint64
	switch {
	case n>>23 == ssl:
		reason = n & 0x7fffff
	case n>>24 == ssl:
		reason = n & 0xfff
	default:
		return nil
	}
	if reason >= 1000 {
		return alert(strconv.Itoa(int(reason - 1000)))
	}
	x := Explanation{Code: "error:" + strings.ToUpper(code), Area: "openssl", Meaning: "not known to mpproxy", LookAt: "openssl errstr " + code + " has the text"}
	if r, ok := openSSLReasons[reason]; ok {
		x.Name, x.Meaning, x.LookAt, x.Known = r.name, r.meaning, r.lookAt, true
	}
	return []Explanation{x}
}

// curlExits are exit codes of curl that are about the way to a server, with what
// its manual says of them.
var curlExits = map[int]struct{ name, meaning, lookAt string }{
	5:  {"COULDNT_RESOLVE_PROXY", "The proxy's name has no address", "--proxy, https_proxy; DNS"},
	6:  {"COULDNT_RESOLVE_HOST", "The name has no address", "DNS, hosts file, spelling"},
	7:  {"COULDNT_CONNECT", "TCP connection could not be made", "port closed, firewall, IIS stopped"},
	28: {"OPERATION_TIMEDOUT", "Nothing came in the time given", "firewall that drops; slow management point"},
	35: {"SSL_CONNECT_ERROR", "The handshake of TLS failed", "the rest of the line: an alert of the other side, or what was wrong with it"},
	52: {"GOT_NOTHING", "The server closed without an answer", "the server's log: a certificate missed or refused, a request it does not like"},
	55: {"SEND_ERROR", "Sending failed", "the server closed while the request was being sent: 413, renegotiation"},
	56: {"RECV_ERROR", "Receiving failed", "reset by the server or on the way; in TLS 1.3 the refusal of a client certificate comes so"},
	58: {"SSL_CERTPROBLEM", "The own client certificate cannot be used", "--cert and --key: file, format, password, key that belongs to it"},
	59: {"SSL_CIPHER", "The cipher asked for cannot be used", "--ciphers"},
	60: {"PEER_FAILED_VERIFICATION", "The server's certificate was not accepted here", "--cacert with the root of its authority; name; dates"},
	77: {"SSL_CACERT_BADFILE", "The file of authorities cannot be read", "--cacert: path, PEM"},
	83: {"SSL_ISSUER_ERROR", "The issuer is not the one asked for", "--cacert, pinned issuer"},
	90: {"SSL_PINNEDPUBKEYNOTMATCH", "The server's key is not the pinned one", "a proxy in between, or a new certificate"},
	91: {"SSL_INVALIDCERTSTATUS", "The OCSP answer is not good", "--cert-status; OCSP responder"},
	98: {"SSL_CLIENTCERT", "The server demands a client certificate", "--cert with one whose issuer the server accepts"},
}

func curlExit(number string) []Explanation {
	n, err := strconv.Atoi(number)
	if err != nil {
		return nil
	}
	x := Explanation{Code: fmt.Sprintf("curl %d", n), Area: "curl", Meaning: "not known to mpproxy", LookAt: "man curl, EXIT CODES"}
	if e, ok := curlExits[n]; ok {
		x.Name, x.Meaning, x.LookAt, x.Known = e.name, e.meaning, e.lookAt, true
	}
	return []Explanation{x}
}

// goX509Errors are the beginnings of what Go's crypto/x509 says of a chain.
var goX509Errors = []struct{ begins, meaning, lookAt string }{
	{"x509: certificate signed by unknown authority", "The authority that issued the certificate is not trusted here", "its root in the store that this program uses; intermediates that the server does not send"},
	{"x509: certificate has expired or is not yet valid", "The certificate is over, or not yet valid", "dates of the certificate, clock of this machine"},
	{"x509: certificate is valid for", "The certificate is for another name", "the name that is used against the subject alternative names"},
	{"x509: certificate is not valid for any names", "The certificate has no name that counts", "subject alternative names: the common name alone does not count"},
	{"x509: certificate relies on legacy Common Name field", "The certificate has its name in the common name only", "issue it with a subject alternative name"},
	{"x509: cannot validate certificate for", "The certificate does not have the address that is used", "use the name; or an IP address among the subject alternative names"},
	{"x509: certificate specifies an incompatible key usage", "The certificate is not for this purpose", "extended key usage: Server Authentication, Client Authentication"},
	{"x509: invalid signature", "A signature in the chain does not verify", "another key of the same authority's name; a broken file"},
	{"x509: negative serial number", "The certificate has a negative serial number, which Go refuses", "issue it anew"},
}

func goX509(text string) []Explanation {
	for _, e := range goX509Errors {
		if strings.HasPrefix(text, e.begins) {
			return []Explanation{{strings.TrimSpace(e.begins), "", "go", e.meaning, e.lookAt, true}}
		}
	}
	return nil
}
