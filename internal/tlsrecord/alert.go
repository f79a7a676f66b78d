package tlsrecord

// Alert is an alert in clear, or one that was opened.
type Alert struct {
	Level AlertLevel
	Code  AlertCode
}

// AlertLevel is how bad an alert is.
type AlertLevel uint8

// The levels of an alert.
const (
	Warning AlertLevel = 1
	Fatal   AlertLevel = 2
)

// String is the level in one word.
func (l AlertLevel) String() string {
	switch l {
	case Warning:
		return "warning"
	case Fatal:
		return "fatal"
	}
	return hexName(uint64(l), 2)
}

// AlertCode is what an alert says.
type AlertCode uint8

// String is the code's name in the standard, or 0xNN.
func (c AlertCode) String() string {
	if a, ok := alerts[c]; ok {
		return a.name
	}
	return hexName(uint64(c), 2)
}

// Meaning is what the code tells, in a few words; empty for an unknown one.
func (c AlertCode) Meaning() string { return alerts[c].meaning }

// alerts are all codes that were ever assigned (RFC 8446, 6; IANA TLS Alerts).
var alerts = map[AlertCode]struct{ name, meaning string }{
	0:   {"close_notify", "closes the connection in order"},
	10:  {"unexpected_message", "a message came that does not belong here"},
	20:  {"bad_record_mac", "a record could not be decrypted or was changed on its way"},
	21:  {"decryption_failed", "a record could not be decrypted (TLS 1.0)"},
	22:  {"record_overflow", "a record was longer than allowed"},
	30:  {"decompression_failure", "compressed data could not be expanded"},
	40:  {"handshake_failure", "no settings that suit both sides, or a required client certificate is missing"},
	41:  {"no_certificate", "the client has no certificate to show (SSL 3.0)"},
	42:  {"bad_certificate", "the certificate is damaged, its signature wrong, or it was refused for a reason that is not told"},
	43:  {"unsupported_certificate", "the certificate is of a kind or for a use that is not taken"},
	44:  {"certificate_revoked", "the certificate was revoked by its issuer"},
	45:  {"certificate_expired", "the certificate is out of its time by the sender's clock"},
	46:  {"certificate_unknown", "the certificate was refused for another reason"},
	47:  {"illegal_parameter", "a field of the handshake has a value that is not allowed"},
	48:  {"unknown_ca", "the certificate's issuer is not known or not trusted"},
	49:  {"access_denied", "the certificate is good, but its owner may not come in"},
	50:  {"decode_error", "a message could not be read"},
	51:  {"decrypt_error", "a signature or a Finished did not verify"},
	60:  {"export_restriction", "the parameters break export rules (TLS 1.0)"},
	70:  {"protocol_version", "the protocol version is known but not taken"},
	71:  {"insufficient_security", "the server wants stronger ciphers than the client has"},
	80:  {"internal_error", "the sender had an error of its own"},
	86:  {"inappropriate_fallback", "the client came with a lower version than both sides can do"},
	90:  {"user_canceled", "the handshake was given up for a reason outside of the protocol"},
	100: {"no_renegotiation", "the sender will not renegotiate"},
	109: {"missing_extension", "an extension that is needed was not sent"},
	110: {"unsupported_extension", "an extension came that was not asked for"},
	111: {"certificate_unobtainable", "a certificate could not be fetched from its URL"},
	112: {"unrecognized_name", "the server does not know the name that it was asked for"},
	113: {"bad_certificate_status_response", "the stapled OCSP response is not good"},
	114: {"bad_certificate_hash_value", "a certificate fetched from its URL is not the announced one"},
	115: {"unknown_psk_identity", "the pre-shared key is not known"},
	116: {"certificate_required", "the server wants a client certificate and got none (TLS 1.3)"},
	117: {"general_error", "the sender had an error that has no other code"},
	120: {"no_application_protocol", "no application protocol (ALPN) suits both sides"},
	121: {"ech_required", "the encrypted ClientHello could not be used, and the client insists on it"},
}

// alerts makes a message of each 2 bytes of a record.
func (r *reader) alerts(rec *Record, fragment []byte) {
	offset := rec.Offset + headerSize
	size := rec.Length
	if rec.Opened {
		size = len(fragment)
	}
	if size == 0 || size%2 != 0 {
		r.flaw(offset, "an alert record of %d bytes", size)
	}
	for len(fragment) > 0 && len(r.Messages) < maxMessages {
		n := min(2, len(fragment))
		m := Message{
			Offset: offset, End: offset + n, Content: ContentAlert, Version: rec.Version,
			Length: 2, Fragments: 1, Truncated: n < 2, Opened: rec.Opened, Raw: fragment[:n:n],
		}
		if n == 2 {
			m.Body = &Alert{AlertLevel(fragment[0]), AlertCode(fragment[1])}
		}
		r.add(m)
		fragment, offset = fragment[n:], offset+n
	}
}

// Alerts are the stream's alerts in order, those included that are encrypted
// and have no Body.
func (s *Stream) Alerts() []*Message {
	var list []*Message
	for i := range s.Messages {
		if s.Messages[i].Content == ContentAlert {
			list = append(list, &s.Messages[i])
		}
	}
	return list
}
