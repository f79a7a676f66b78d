package diagnose

import (
	"fmt"
	"strconv"
	"strings"
)

// tlsAlert is an alert of TLS: what its sender says about the other side.
type tlsAlert struct {
	code                  int
	name, meaning, lookAt string
}

// alerts are those of RFC 8446, 6 and of its forerunners.
var alerts = []tlsAlert{
	{0, "close_notify", "The sender will send no more: an orderly end", "no fault"},
	{10, "unexpected_message", "A message came that has no place there", "middlebox, or data within a renegotiation"},
	{20, "bad_record_mac", "A record does not decrypt", "another alert in clear may have been read as ciphertext: see the raw bytes"},
	{21, "decryption_failed", "A record does not decrypt (old)", "as bad_record_mac"},
	{22, "record_overflow", "A record is too long", "middlebox, or no TLS"},
	{30, "decompression_failure", "Compressed data is broken", "disable TLS compression"},
	{40, "handshake_failure", "No common settings: cipher suite, signature algorithm, or a client certificate is missing (TLS 1.2)", "compare both sides' offers; was a client certificate asked for?"},
	{41, "no_certificate", "SSL 3.0: the client has no certificate", "client certificate"},
	{42, "bad_certificate", "The certificate is corrupt, or wrong for a reason that the sender does not tell", "name, dates, usage, chain: Go and GnuTLS say this for every fault"},
	{43, "unsupported_certificate", "The certificate is of a kind or for a purpose that the sender does not take", "extended key usage, key type"},
	{44, "certificate_revoked", "The certificate is revoked", "CRL, certificate authority"},
	{45, "certificate_expired", "The certificate is over, or not yet valid", "dates of the certificate, clock of the sender"},
	{46, "certificate_unknown", "The certificate is not accepted for another reason", "log of the sender: 12175 with its flags on Windows"},
	{47, "illegal_parameter", "A field is out of range or contradicts another", "old implementation, middlebox"},
	{48, "unknown_ca", "The sender does not trust the authority that issued the certificate", "import the root into the computer's root store of the sender; send the intermediates"},
	{49, "access_denied", "The certificate is good, the sender wants to go no further", "access control of the sender"},
	{50, "decode_error", "A message cannot be read", "certificate with a negative serial number, middlebox"},
	{51, "decrypt_error", "A signature does not verify", "private key and certificate do not fit; TPM with PSS"},
	{60, "export_restriction", "Export ciphers (old)", "enable modern cipher suites"},
	{70, "protocol_version", "No common TLS version", "enable TLS 1.2 on the older side"},
	{71, "insufficient_security", "The ciphers offered are too weak for the sender", "enable modern cipher suites"},
	{80, "internal_error", "The sender has a problem of its own", "log of the sender: private key not readable, list of authorities too long"},
	{86, "inappropriate_fallback", "The client tried a lower version without need", "a connection failed before this one: look there"},
	{90, "user_canceled", "The sender has given up", "no fault of TLS"},
	{100, "no_renegotiation", "The sender does not renegotiate", "the other side asked for a certificate in mid-connection: typical for programs in Go"},
	{109, "missing_extension", "A needed extension is missing", "old implementation"},
	{110, "unsupported_extension", "An extension came that was not offered", "middlebox"},
	{111, "certificate_unobtainable", "A certificate cannot be fetched", "certificate URL"},
	{112, "unrecognized_name", "The server has no certificate for the name asked for", "SNI, bindings in IIS"},
	{113, "bad_certificate_status_response", "The OCSP answer is not good", "OCSP stapling"},
	{115, "unknown_psk_identity", "The key offered is not known", "session resumption"},
	{116, "certificate_required", "A client certificate is demanded and none was sent (TLS 1.3)", "give the client a certificate whose issuer the server accepts"},
	{120, "no_application_protocol", "No common application protocol", "ALPN: offer http/1.1"},
}

func alert(number string) []Explanation {
	n, err := strconv.Atoi(number)
	if err != nil {
		return nil
	}
	for _, a := range alerts {
		if a.code == n {
			return []Explanation{a.explanation()}
		}
	}
	return []Explanation{{Code: "alert " + number, Area: "tls", Meaning: "not known to mpproxy"}}
}

func (a tlsAlert) explanation() Explanation {
	return Explanation{fmt.Sprintf("alert %d", a.code), a.name, "tls", a.meaning, a.lookAt, true}
}

func alertNamed(name string) []Explanation {
	for _, a := range alerts {
		if strings.EqualFold(a.name, name) {
			return []Explanation{a.explanation()}
		}
	}
	return nil
}

// alertOfGo explains an alert as Go's crypto/tls writes it.
func alertOfGo(text string) []Explanation {
	if code, ok := alertIn("error: "+text, "error: "); ok {
		return alert(strconv.Itoa(int(code)))
	}
	return nil
}

// winHTTPFlags are the bits of the word that WinHTTP's callback gives beside
// 12175: the faults that it found in the server's certificate.
var winHTTPFlags = []struct {
	bit                   uint64
	name, meaning, lookAt string
}{
	{0x1, "CERT_REV_FAILED", "Revocation could not be checked", "is the CRL's address reachable as SYSTEM, over http and without a proxy login? clock behind a new CRL?"},
	{0x2, "INVALID_CERT", "The certificate is malformed or its chain is broken", "chain, basic constraints, signature algorithm"},
	{0x4, "CERT_REVOKED", "The certificate is revoked", "CRL of the issuer"},
	{0x8, "INVALID_CA", "The issuer is not trusted", "root certificate in the computer's Trusted Root store, not the user's; intermediates"},
	{0x10, "CERT_CN_INVALID", "The certificate is for another name", "the name that the agent uses against the subject alternative names"},
	{0x20, "CERT_DATE_INVALID", "The certificate is over, or not yet valid", "dates, clock of the agent"},
	{0x40, "CERT_WRONG_USAGE", "The certificate is not for servers", "extended key usage Server Authentication"},
	{0x80000000, "SECURITY_CHANNEL_ERROR", "Schannel failed: protocol, cipher or key", "System log, source Schannel"},
}

// flags explains a WinHTTP flag word bit by bit.
func flags(word string) []Explanation {
	n, err := strconv.ParseUint(word[2:], 16, 32)
	if err != nil {
		return nil
	}
	var out []Explanation
	for _, f := range winHTTPFlags {
		if n&f.bit != 0 {
			out = append(out, Explanation{fmt.Sprintf("flag 0x%X", f.bit), f.name, "winhttp", f.meaning, f.lookAt, true})
			n &^= f.bit
		}
	}
	if n != 0 || len(out) == 0 {
		out = append(out, Explanation{Code: fmt.Sprintf("flag 0x%X", n), Area: "winhttp", Meaning: "not known to mpproxy"})
	}
	return out
}

// flagNamed explains a bit of that word by its name, with or without its prefix.
func flagNamed(name string) []Explanation {
	bare := strings.TrimPrefix(strings.ToUpper(name), "WINHTTP_CALLBACK_STATUS_FLAG_")
	for _, f := range winHTTPFlags {
		if f.name == bare {
			return []Explanation{{fmt.Sprintf("flag 0x%X", f.bit), f.name, "winhttp", f.meaning, f.lookAt, true}}
		}
	}
	return nil
}

// schannelEvents are those of the System log that concern handshakes.
var schannelEvents = []tlsAlert{
	{36864, "", "The Schannel component was loaded", "no fault"},
	{36867, "", "A client credential is being made", "no fault"},
	{36868, "", "The private key's properties", "no fault"},
	{36869, "", "The server certificate has no private key", "certificate, key container"},
	{36870, "", "The private key of the certificate cannot be used", "rights on the key for SYSTEM or NETWORK SERVICE"},
	{36871, "", "A credential could not be made", "TLS versions and ciphers that are enabled; FIPS policy"},
	{36872, "", "No suitable default server credential", "binding of the certificate"},
	{36874, "", "No common cipher suite, or no common version", "what the client offers against what the server has enabled"},
	{36875, "", "The server asked for a client certificate and none is suitable", "certificate in the computer's Personal store, its issuer against the list that the server sent"},
	{36876, "", "The server's certificate did not pass validation", "the error code in the event"},
	{36877, "", "The client's certificate did not pass validation", "the error code in the event; the client works on without one"},
	{36880, "", "A handshake is complete", "no fault"},
	{36881, "", "The certificate is over, or not yet valid", "dates, clock"},
	{36882, "", "The issuer of the certificate is not trusted", "root in the computer's store"},
	{36883, "", "The certificate is revoked", "CRL"},
	{36884, "", "The certificate is for another name", "subject alternative names"},
	{36885, "", "The list of trusted issuers is too long and was cut", "remove roots that nobody needs: clients whose issuer is cut off send no certificate"},
	{36886, "", "There is no default server credential", "binding of the certificate on this address and port"},
	{36887, "", "The other side sent a fatal alert", "the alert's number is in the event: explain it too"},
	{36888, "", "This side sent a fatal alert", "the alert's number is in the event: explain it too"},
}

func schannel(event string) []Explanation {
	n, err := strconv.Atoi(event)
	if err != nil {
		return nil
	}
	for _, e := range schannelEvents {
		if e.code == n {
			return []Explanation{{"Schannel " + event, "", "schannel", e.meaning, e.lookAt, true}}
		}
	}
	return []Explanation{{Code: "Schannel " + event, Area: "schannel", Meaning: "not known to mpproxy"}}
}
