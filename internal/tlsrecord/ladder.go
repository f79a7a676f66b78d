package tlsrecord

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Rung is one message of a connection as a line of a ladder diagram.
type Rung struct {
	From Side
	// At is when its last byte passed, since the handshake began; 0 when no
	// time is known.
	At time.Duration
	// Offset is where the message begins in its stream, in bytes.
	Offset int
	// Text is the message in one line. Names from the wire are in it, without
	// what is not printable.
	Text string
	// Message is nil for bytes that are no TLS.
	Message *Message
}

// Ladder lists the messages of both directions in order of time. at says when
// the byte before an offset of a side's stream passed; nil, or equal times, for
// the order that the protocol prescribes.
func (t *Transcript) Ladder(at func(from Side, offset int) time.Duration) []Rung {
	var steps []step
	for _, s := range []*Stream{&t.Client, &t.Server} {
		turn := turns{server: s.From == Server, resumed: t.Resumed(), tls13: t.Version() >= TLS13, retry: t.Retry() != nil}
		for i := range s.Messages {
			m := &s.Messages[i]
			steps = append(steps, step{Rung{From: s.From, Offset: m.Offset, Message: m}, m.End, turn.of(m)})
		}
		if s.Parsed < s.Size {
			steps = append(steps, step{Rung{From: s.From, Offset: s.Parsed, Text: s.foreign()}, s.Size, turn.last})
		}
	}
	if at != nil {
		for i := range steps {
			steps[i].At = at(steps[i].From, steps[i].end)
		}
	}
	slices.SortStableFunc(steps, func(a, b step) int { return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.turn, b.turn)) })
	return rungs(steps)
}

// step is a rung on its way into order.
type step struct {
	Rung
	end, turn int
}

// rungs gives the steps their texts. Application data in a row is one rung.
func rungs(steps []step) []Rung {
	var out []Rung
	for i := 0; i < len(steps); {
		r, n := steps[i].Rung, 1
		if m := r.Message; m != nil {
			bytes := m.Length
			for ; m.Guess == SealedData && i+n < len(steps) && steps[i+n].follows(&r); n++ {
				bytes += steps[i+n].Message.Length
			}
			if r.Text = m.line(); n > 1 {
				r.Text = fmt.Sprintf("application data, %d records, %d bytes", n, bytes)
			}
		}
		out = append(out, r)
		i += n
	}
	return out
}

// follows is true for more application data of the same side.
func (s *step) follows(r *Rung) bool {
	return s.From == r.From && s.Message != nil && s.Message.Guess == SealedData
}

// turns tells whose turn it was when a side said something, for messages
// without a time. Even turns are the client's.
type turns struct {
	server, resumed, tls13, retry bool
	hellos, last                  int
	sealed                        bool
}

// of never goes back: a stream keeps its order.
func (s *turns) of(m *Message) int {
	s.sealed = s.sealed || m.Encrypted || m.Opened || m.Content == ContentChangeCipherSpec
	s.last = max(s.last, s.turn(m))
	return s.last
}

func (s *turns) turn(m *Message) int {
	data := m.Guess == SealedData
	alert := m.Content == ContentAlert || m.Guess == MaybeAlert
	switch {
	case m.isHello():
		return s.helloTurn(m)
	case s.retry && m.Content == ContentChangeCipherSpec: // goes with the hello beside it
		return s.beside()
	case data && s.server:
		return 7
	case data:
		return 6
	case !s.server:
		return 4
	case alert, s.sealed && !s.resumed && !s.tls13: // the server finishes last
		return 5
	}
	return 3
}

// beside is the turn of a ChangeCipherSpec around a HelloRetryRequest: the
// server's follows it, the client's comes before its next hello.
func (s *turns) beside() int {
	if s.server {
		return s.last
	}
	return 2
}

// helloTurn is 0 for a ClientHello and 2 for the next one, 1 for a
// HelloRetryRequest and 3 for the ServerHello that settles it.
func (s *turns) helloTurn(m *Message) int {
	if h, ok := m.Body.(*ServerHello); ok {
		if h.Retry {
			return 1
		}
		return 3
	}
	s.hellos++
	return min(2*(s.hellos-1), 2)
}

func (m *Message) isHello() bool {
	switch m.Body.(type) {
	case *ClientHello, *ServerHello:
		return true
	}
	return false
}

// foreign is what follows the last record, as a line.
func (s *Stream) foreign() string {
	what := string(s.Rest)
	if what == "" {
		what = string(Unknown)
	}
	line := fmt.Sprintf("no TLS, %d bytes, looks like: %s", s.Size-s.Parsed, what)
	if s.RestLine != "" {
		line += "  " + printable(s.RestLine)
	}
	return line
}

// line is the message in one line of a ladder.
func (m *Message) line() string {
	line := m.name()
	switch {
	case m.Encrypted:
		return m.sealedLine()
	case m.Content == ContentAlert && m.Body != nil:
		a := m.Body.(*Alert)
		return fmt.Sprintf("Alert %s %d %s", a.Level, uint8(a.Code), a.Code)
	case m.Content != ContentHandshake:
		line = m.Content.String()
	default:
		if what := m.says(); what != "" {
			line += "  " + what
		}
	}
	return line + when(m.Truncated, ", cut short")
}

// sealedLine says of an encrypted message what is certain first, and what is
// only its size's guess last.
func (m *Message) sealedLine() string {
	switch {
	case m.Guess == NoGuess:
		return fmt.Sprintf("encrypted, %d bytes", m.Length)
	case m.Guess.Certain():
		return fmt.Sprintf("%s, encrypted, %d bytes", m.Guess, m.Length)
	}
	maybe := map[Guess]string{MaybeAlert: "an alert", MaybeFinished: "the Finished", MaybeNoCertificate: "a Certificate without any"}
	return fmt.Sprintf("encrypted, %d bytes, maybe %s", m.Length, maybe[m.Guess])
}

// says is what a handshake message in clear says, in a few words.
func (m *Message) says() string {
	switch b := m.Body.(type) {
	case *ClientHello:
		return b.line()
	case *ServerHello:
		return b.line()
	case *Certificate:
		return b.line()
	case *CertificateRequest:
		return b.line()
	}
	return strings.TrimPrefix(m.summary(), ", ")
}

func (h *ClientHello) line() string {
	parts := []string{h.versionSpan()}
	if h.Has(ExtServerName) {
		parts = append(parts, "SNI "+printable(h.ServerName))
	} else {
		parts = append(parts, "no SNI")
	}
	parts = append(parts, fmt.Sprintf("%d suites", len(h.Suites)+len(h.SSL2Suites)))
	if len(h.ALPN) > 0 {
		parts = append(parts, "ALPN "+printable(strings.Join(h.ALPN, " ")))
	}
	if h.PSKs > 0 || h.TicketSize > 0 {
		parts = append(parts, "would resume")
	}
	if list := h.Stacks(); len(list) > 0 {
		parts = append(parts, "looks like "+list[0].Name)
	}
	return strings.Join(parts, ", ")
}

// versionSpan is the lowest and the highest version that are offered. Without
// the extension of TLS 1.3 the lowest is the server's to find out.
func (h *ClientHello) versionSpan() string {
	known := slices.DeleteFunc(slices.Clone(h.Versions), func(v Version) bool { return v < SSL30 || v > TLS13 })
	if len(known) == 0 {
		return "up to " + h.MaxVersion().String()
	}
	low, high := slices.Min(known), slices.Max(known)
	if low == high {
		return high.String()
	}
	return low.String() + "-" + strings.TrimPrefix(high.String(), "TLS ")
}

func (h *ServerHello) line() string {
	line := h.Version.String()
	if h.chose {
		line += ", " + h.Suite.String()
	}
	if h.ALPN != "" {
		line += ", ALPN " + printable(h.ALPN)
	}
	return line + when(h.PSK >= 0, ", resumes")
}

// namesInLine is how many certificates of a chain a line names.
const namesInLine = 4

func (c *Certificate) line() string {
	if len(c.Chain) == 0 {
		return "none"
	}
	var subjects []string
	for _, der := range c.Chain[:min(len(c.Chain), namesInLine)] {
		o := ReadOutline(der.Bytes)
		if o.Subject == "" {
			o.Subject = "(unreadable)"
		}
		subjects = append(subjects, printable(o.Subject))
	}
	line := fmt.Sprintf("%d: %s", len(c.Chain), strings.Join(subjects, " ⟵ "))
	return line + when(len(c.Chain) > namesInLine, " ⟵ …")
}

func (r *CertificateRequest) line() string {
	switch len(r.Authorities) {
	case 0:
		return "no CA names"
	case 1:
		return "1 CA name: " + printable(r.Authorities[0].Name)
	}
	return fmt.Sprintf("%d CA names, %d bytes", len(r.Authorities), r.AuthoritiesSize)
}

// printable leaves out of a text from the wire what could move a cursor.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
