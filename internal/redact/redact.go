// Package redact takes secrets out of messages that leave the machine.
//
// A decoded message goes in, the same message without its secrets comes out:
// credentials and signatures of HTTP heads, and the secret values of policies
// and registrations. Each value is replaced by its length and the beginning of
// its SHA-256, so that two redacted messages can still be compared. What cannot
// be looked into (encrypted bodies) stays as it is.
//
// The package does no I/O and keeps no state.
package redact

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"mpproxy/decode"
	"mpproxy/traffic"
)

// Message is a message without secrets.
type Message struct {
	// Head has the same fields in the same order; Content-Length follows the
	// body, and Transfer-Encoding is gone where the body changed.
	Head traffic.Head
	// Body has no chunk framing; nil when it did not change.
	Body []byte
	// Count is how many values were taken out.
	Count int
}

// Mark stands for a value: its length and the beginning of its SHA-256.
func Mark(value string) string { return mark(value) }

func mark(value string) string {
	sum := sha256.Sum256([]byte(value))
	return fmt.Sprintf("[redacted %d bytes, sha256 %s]", len(value), hex.EncodeToString(sum[:4]))
}

// headRule says which fields have secrets.
type headRule struct {
	// name is the field's; within stars it may stand anywhere in it.
	name string
	// scheme is true where the first word is no secret.
	scheme bool
	// pairs is true for cookies: names stay, values go.
	pairs bool
}

// headRules are the fields that have secrets. A further one is a row here.
var headRules = []headRule{
	{"authorization", true, false},
	{"proxy-authorization", true, false},
	{"www-authenticate", true, false},
	{"proxy-authenticate", true, false},
	{"authentication-info", true, false},
	{"cookie", false, true},
	{"set-cookie", false, true},
	{"*token*", false, false},
	{"*signature*", false, false},
	{"*password*", false, false},
	{"*secret*", false, false},
	{"*api-key*", false, false},
}

// Head takes the secrets out of a head. It returns the same head when there
// are none.
func Head(h traffic.Head) (traffic.Head, int) {
	raw, n := h.Raw, 0
	if clean, count := Line(h.Start); count > 0 {
		raw, n = append([]byte(clean), raw[len(h.Start):]...), count
	}
	for _, f := range h.Fields {
		clean, count := Line(f.Value) // such as a Location with a token in its query
		if rule := ruleFor(f.Name); rule != nil {
			clean, count = rule.clean(f.Value)
		}
		if count == 0 {
			continue
		}
		raw = replaceField(raw, f.Name, f.Value, clean)
		n += count
	}
	if n == 0 {
		return h, 0
	}
	return traffic.ParseHead(raw), n
}

// Field is the value of a field of a head without its secret.
func Field(name, value string) string {
	clean, _ := Line(value)
	if rule := ruleFor(name); rule != nil {
		clean, _ = rule.clean(value)
	}
	return clean
}

func ruleFor(name string) *headRule {
	name = strings.ToLower(name)
	for i, r := range headRules {
		part := strings.Trim(r.name, "*")
		if r.name == name || part != r.name && strings.Contains(name, part) {
			return &headRules[i]
		}
	}
	return nil
}

func (r *headRule) clean(value string) (string, int) {
	switch {
	case value == "":
		return value, 0
	case r.scheme:
		scheme, secret, found := strings.Cut(value, " ")
		if !found || strings.HasPrefix(strings.ToLower(secret), "realm=") {
			return value, 0
		}
		return scheme + " " + mark(secret), 1
	case r.pairs:
		name, secret, found := strings.Cut(value, "=")
		if !found {
			return mark(value), 1
		}
		return name + "=" + mark(secret), 1
	}
	return mark(value), 1
}

// replaceField puts another value in a field, and leaves all other bytes.
func replaceField(raw []byte, name, value, with string) []byte {
	for at := 0; at < len(raw); {
		end := bytes.IndexByte(raw[at:], '\n')
		if end < 0 {
			end = len(raw) - at - 1
		}
		line := raw[at : at+end+1]
		got, rest, found := bytes.Cut(line, []byte(":"))
		if i := bytes.Index(rest, []byte(value)); found && i >= 0 && strings.EqualFold(strings.TrimSpace(string(got)), name) {
			from := at + len(got) + 1 + i
			return append(append(bytes.Clone(raw[:from]), with...), raw[from+len(value):]...)
		}
		at += end + 1
	}
	return raw
}

// Of takes the secrets out of a message. m is its decoding at depth Full or
// Content, nil when it was not decoded: then only the head is looked at.
func Of(h traffic.Head, m *decode.Message) Message {
	out := Message{}
	out.Head, out.Count = Head(h)
	if m == nil {
		return out
	}
	body, n := bodyOf(m)
	if n == 0 {
		return out
	}
	out.Count += n
	out.Body = body
	out.Head = traffic.ParseHead(lengthOf(out.Head.Raw, len(body)))
	return out
}

// bodyOf is a message's body without its secrets; 0 when it has none.
func bodyOf(m *decode.Message) ([]byte, int) {
	edit, n := edits(m)
	if m.Kind == tokenService || n == 0 && m.Header == nil && m.Text.String == "" {
		whole, err := m.Encode()
		switch {
		case err != nil || len(whole) == 0:
		case m.Kind == tokenService: // the token that is asked for, or its answer
			return []byte(mark(string(whole))), 1
		case utf8.Valid(whole) && hinted(string(whole)):
			clean, count := loose(string(whole))
			return []byte(clean), count
		}
	}
	if n == 0 {
		return nil, 0
	}
	body, _, err := m.Edit(edit)
	if err != nil {
		// It was cut short, or is packed in a way that is not known: nothing of
		// a body with secrets may go on.
		body = []byte(mark(m.Text.String))
	}
	return body, n
}

// tokenService is the kind of messages that are about tokens as a whole.
const tokenService = "token-service"

// edits are the changes that take the secrets out of a message's texts.
func edits(m *decode.Message) (e decode.Edit, n int) {
	if text, count := Text(m.Text.String); count > 0 {
		e.Text, n = &text, count
	}
	if text, count := Text(m.HeaderText.String); count > 0 {
		e.Header = &text
		n += count
	}
	return e, n
}

// lengthOf makes a head say how long its body is now.
func lengthOf(raw []byte, n int) []byte {
	var out []byte
	said := false
	for line := range bytes.SplitAfterSeq(raw, []byte("\n")) {
		name, _, _ := bytes.Cut(line, []byte(":"))
		switch strings.ToLower(strings.TrimSpace(string(name))) {
		case "content-length":
			if said {
				continue
			}
			out = append(append(append(out, name...), ": "+strconv.Itoa(n)...), "\r\n"...)
			said = true
		case "transfer-encoding":
		case "":
			if len(line) > 0 && !said {
				out = append(out, "Content-Length: "+strconv.Itoa(n)+"\r\n"...)
				said = true
			}
			out = append(out, line...)
		default:
			out = append(out, line...)
		}
	}
	return out
}
