package tlsrecord

import (
	"fmt"
	"strings"
)

// String writes the transcript as text, one line for each record and message
// and those below it for what they say. What came from the wire is quoted.
func (t *Transcript) String() string {
	var d dump
	d.stream(&t.Client)
	d.stream(&t.Server)
	d.line("handshake: %s", t.Stage())
	if v := t.Version(); v != 0 {
		d.line("  version %s", v)
	}
	if s, ok := t.Suite(); ok {
		d.line("  suite %s", s)
	}
	if t.Resumed() {
		d.line("  resumed")
	}
	if r := t.Renegotiation(); r != nil {
		d.line("  renegotiation by the %s at %d, answered %t, completed %t, %d and %d bytes",
			r.By, r.Offset, r.Answered, r.Completed, r.ClientBytes, r.ServerBytes)
	}
	return d.String()
}

// dump writes lines of text.
type dump struct{ strings.Builder }

func (d *dump) line(format string, args ...any) {
	fmt.Fprintf(d, format, args...)
	d.WriteByte('\n')
}

// item writes a line of details below a message, unless it has none.
func (d *dump) item(name, value string) {
	if value != "" {
		d.line("           %s: %s", name, value)
	}
}

func (d *dump) stream(s *Stream) {
	looks := string(s.Looks)
	if looks == "" {
		looks = "nothing"
	}
	d.line("%s: %d bytes, %s", s.From, s.Size, looks)
	next := 0
	for i := range s.Records {
		rec := &s.Records[i]
		d.record(rec)
		end := rec.Offset + rec.HeaderSize() + rec.Have
		for ; next < len(s.Messages) && s.Messages[next].Offset < end; next++ {
			d.message(&s.Messages[next])
		}
	}
	if s.Parsed < s.Size {
		d.line("  %6d no record, looks like: %s %q", s.Parsed, s.Rest, s.RestLine)
	}
	if s.Truncated {
		d.line("  %6d breaks off", s.Size)
	}
	for _, f := range s.Flaws {
		d.line("  %6d flaw: %s", f.Offset, f.Text)
	}
}

func (d *dump) record(r *Record) {
	d.line("  %6d record %s %s, %d bytes%s%s", r.Offset, r.Type, r.Version, r.Length,
		when(r.Encrypted, ", encrypted")+when(r.Opened, ", opened"), when(r.Truncated(), fmt.Sprintf(", %d there", r.Have)))
}

func when(yes bool, text string) string {
	if yes {
		return text
	}
	return ""
}

// message writes a message; those that are a record's whole content without
// more to say are told by their record.
func (d *dump) message(m *Message) {
	d.line("  %6d   %s%s%s", m.Offset, m, when(m.Fragments > 1, fmt.Sprintf(", in %d records", m.Fragments)),
		when(m.Truncated, fmt.Sprintf(", ends at %d", m.End)))
	switch b := m.Body.(type) {
	case *ClientHello:
		d.clientHello(b)
	case *ServerHello:
		d.serverHello(b)
	case *Certificate:
		d.certificates(b)
	case *CertificateRequest:
		d.certificateRequest(b)
	}
}

// String is the message in one line, with nothing from the wire but numbers and
// their names.
func (m *Message) String() string {
	switch {
	case m.Encrypted:
		return m.sealed()
	case m.Content == ContentHandshake:
		return fmt.Sprintf("%s, %d bytes%s", m.name(), m.Length, m.summary())
	case m.Content == ContentAlert && m.Body != nil:
		a := m.Body.(*Alert)
		return fmt.Sprintf("alert %s %d %s", a.Level, uint8(a.Code), a.Code)
	}
	return m.Content.String()
}

// name is the handshake message's type, or what TLS 1.3 makes of it.
func (m *Message) name() string {
	if h, ok := m.Body.(*ServerHello); ok && h.Retry {
		return TypeHelloRetryRequest.String()
	}
	return m.Type.String()
}

func (m *Message) sealed() string {
	what := "encrypted " + m.Content.String()
	if guess := m.Guess.String(); guess != "" && guess != m.Content.String() {
		what += ": " + guess
	}
	if m.Plain.Min == m.Plain.Max {
		return fmt.Sprintf("%s, %d bytes inside", what, m.Plain.Max)
	}
	return fmt.Sprintf("%s, %d to %d bytes inside", what, m.Plain.Min, m.Plain.Max)
}

// summary is what the small messages say.
func (m *Message) summary() string {
	switch b := m.Body.(type) {
	case *ServerKeyExchange:
		return b.summary()
	case *CertificateVerify:
		return fmt.Sprintf(", %s, signature of %d bytes", scheme(b.Scheme), b.Size)
	case *NewSessionTicket:
		return fmt.Sprintf(", lifetime %v, ticket of %d bytes", b.Lifetime, b.Size)
	case *CertificateStatus:
		return fmt.Sprintf(", type %d, response of %d bytes", b.Type, len(b.Response.Bytes))
	case *Certificate:
		return fmt.Sprintf(", %d certificates", len(b.Chain))
	}
	return ""
}

func scheme(s SignatureScheme) string {
	if s == 0 {
		return "no scheme"
	}
	return s.String()
}

func (m *ServerKeyExchange) summary() string {
	switch m.Kind {
	case "ECDHE":
		return fmt.Sprintf(", ECDHE %s, %s", m.Group, scheme(m.Scheme))
	case "DHE":
		return fmt.Sprintf(", DHE of %d bits, %s", m.PrimeBits, scheme(m.Scheme))
	}
	return ""
}

func (d *dump) clientHello(h *ClientHello) {
	version := h.LegacyVersion.String()
	if h.SSL2 {
		version += ", in the format of SSL 2.0"
	}
	d.item("version", version)
	d.item("versions", names(h.Versions))
	d.item("random", fmt.Sprintf("%d bytes", len(h.Random)))
	d.item("session id", fmt.Sprintf("%d bytes", len(h.SessionID)))
	d.item("suites", names(h.Suites))
	d.item("SSL 2.0 suites", names(h.SSL2Suites))
	d.item("compression", decimals(h.Compression))
	d.extensions(h.Extensions)
	if h.Has(ExtServerName) {
		d.item("server name", fmt.Sprintf("%q", h.ServerName))
	}
	d.item("groups", names(h.Groups))
	d.item("point formats", decimals(h.PointFormats))
	d.item("signature algorithms", names(h.SignatureSchemes))
	d.item("signature algorithms in certificates", names(h.CertificateSchemes))
	if len(h.ALPN) > 0 {
		d.item("ALPN", fmt.Sprintf("%q", h.ALPN))
	}
	d.keyShares(h)
	d.authorities(h.Authorities)
	text, sum := h.JA3()
	d.item("JA3", strings.TrimSpace(sum+" "+text))
	d.item("JA4", h.JA4())
	for _, g := range h.Stacks() {
		d.item("looks like", fmt.Sprintf("%s (%s): %s", g.Name, g.Basis, strings.Join(g.Reasons, "; ")))
	}
}

func (d *dump) keyShares(h *ClientHello) {
	var shares []string
	for _, k := range h.KeyShares {
		shares = append(shares, fmt.Sprintf("%s %d bytes", k.Group, k.Size))
	}
	d.item("key shares", strings.Join(shares, ", "))
	d.item("PSK modes", decimals(h.PSKModes))
	if h.PSKs > 0 {
		d.item("pre-shared keys", fmt.Sprint(h.PSKs))
	}
	if h.TicketSize > 0 {
		d.item("session ticket", fmt.Sprintf("%d bytes", h.TicketSize))
	}
	if h.GREASE {
		d.item("GREASE", "yes")
	}
}

func (d *dump) extensions(list []Extension) {
	var out []string
	for _, e := range list {
		out = append(out, fmt.Sprintf("%s (%d)", e.Type, len(e.Data)))
	}
	d.item("extensions", strings.Join(out, ", "))
}

func (d *dump) serverHello(h *ServerHello) {
	d.item("version", h.Version.String())
	d.item("session id", fmt.Sprintf("%d bytes", len(h.SessionID)))
	if h.chose {
		d.item("suite", h.Suite.String())
	}
	d.extensions(h.Extensions)
	if h.Group != 0 {
		d.item("group", h.Group.String())
	}
	if h.PSK >= 0 {
		d.item("pre-shared key", fmt.Sprint(h.PSK))
	}
	if h.ALPN != "" {
		d.item("ALPN", fmt.Sprintf("%q", h.ALPN))
	}
	if h.Downgraded != 0 {
		d.item("downgraded to", h.Downgraded.String())
	}
}

func (d *dump) certificates(m *Certificate) {
	for _, der := range m.Chain {
		o := ReadOutline(der.Bytes)
		what := fmt.Sprintf("%d bytes at %d%s", len(der.Bytes), der.Offset, when(der.Truncated, ", cut short"))
		if o.Stopped != "" {
			what += ", unreadable from: " + o.Stopped
		}
		d.item("certificate", what)
		d.item("  subject", o.Subject)
		d.item("  issuer", o.Issuer)
	}
}

func (d *dump) certificateRequest(m *CertificateRequest) {
	d.item("types", names(m.Types))
	d.item("signature algorithms", names(m.SignatureSchemes))
	d.item("authorities", fmt.Sprintf("%d, %d bytes", len(m.Authorities), m.AuthoritiesSize))
	d.authorities(m.Authorities)
}

func (d *dump) authorities(list []Authority) {
	for _, a := range list {
		d.item("  authority", fmt.Sprintf("%s (%d bytes at %d)", a.Name, len(a.Bytes), a.Offset))
	}
}

// names are the names of numbers in a list.
func names[T fmt.Stringer](list []T) string {
	var out []string
	for _, v := range list {
		out = append(out, v.String())
	}
	return strings.Join(out, " ")
}
