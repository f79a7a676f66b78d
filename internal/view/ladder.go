package view

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"mpproxy/internal/tlsrecord"
	"mpproxy/traffic"
)

// Step is one line of a leg's ladder: a message of TLS or HTTP, or an end.
type Step struct {
	// At is since the connection was opened; Timed is false where only the
	// order is known.
	At    time.Duration
	Timed bool
	// Arrow is ">" from the client to the server, "<" back, "" for neither.
	Arrow string
	// Name is the message's, Text what it says. Both are clean.
	Name, Text string
	Sev        traffic.Severity
	// flight orders what has no time.
	flight int
}

// Ladder is what a handshake's bytes say, in order. opened is when the
// connection was.
func Ladder(hs *traffic.Handshake, opened time.Time, f Format) []Step {
	client, server := hs.In, hs.Out
	if hs.Side == traffic.UpstreamSide {
		client, server = server, client
	}
	tr := tlsrecord.Parse(client, server)
	var steps []Step
	for _, s := range []*tlsrecord.Stream{&tr.Client, &tr.Server} {
		done := false
		for i := range s.Messages {
			m := &s.Messages[i]
			step := stepOf(tr, m, f)
			if done {
				step.flight = serverEnd
			}
			done = done || m.Is(tlsrecord.TypeServerHelloDone)
			steps = append(steps, step)
		}
		if s.Parsed < s.Size {
			steps = append(steps, noRecord(s, f))
		}
	}
	slices.SortStableFunc(steps, func(a, b Step) int { return cmp.Compare(a.flight, b.flight) })
	if len(steps) > 0 && !hs.Began.IsZero() {
		steps[0].At, steps[0].Timed = hs.Began.Sub(opened), true
		last := &steps[len(steps)-1]
		if len(steps) > 1 && !hs.Ended.IsZero() {
			last.At, last.Timed = hs.Ended.Sub(opened), true
		}
	}
	if hs.Err != "" {
		steps = append(steps, Step{At: hs.Ended.Sub(opened), Timed: !hs.Ended.IsZero(), Name: "failed", Text: Clean(hs.Err, f.ASCII), Sev: traffic.Error})
	}
	return steps
}

// The flights of a handshake.
const (
	clientHello = iota
	helloRetry
	clientHelloAgain
	serverFlight
	clientFlight
	serverEnd
)

func stepOf(tr *tlsrecord.Transcript, m *tlsrecord.Message, f Format) Step {
	s := Step{Arrow: ">", flight: clientFlight}
	if m.From == tlsrecord.Server {
		s.Arrow, s.flight = "<", serverFlight
	}
	s.Name, s.Text = m.Type.String(), ""
	switch b := m.Body.(type) {
	case *tlsrecord.ClientHello:
		s.flight, s.Text = clientHello, helloText(b)
		if hello := tr.ClientHello(); hello != nil && hello != b {
			s.flight = clientHelloAgain
		}
	case *tlsrecord.ServerHello:
		if b.Retry {
			s.Name, s.flight = "HelloRetryRequest", helloRetry
			break
		}
		s.Text = joinWords("  ", b.Version.String(), b.Suite.String(), b.ALPN)
	case *tlsrecord.Certificate:
		s.Text, s.Sev = chainText(b), traffic.None
	case *tlsrecord.CertificateRequest:
		s.Text = authoritiesText(b)
	case *tlsrecord.Alert:
		s.Name, s.Text = "Alert", fmt.Sprintf("%s %d %s, sent in clear", b.Level, uint8(b.Code), b.Code)
		s.Sev = traffic.Warning
		if b.Level == tlsrecord.Fatal {
			s.Sev = traffic.Error
		}
		if m.From == tlsrecord.Server {
			s.flight = serverEnd
		}
	default:
		s = plainStep(s, m)
	}
	s.Name, s.Text = Clean(s.Name, f.ASCII), Clean(s.Text, f.ASCII)
	return s
}

// plainStep is a message that has no more to say than its kind and size.
func plainStep(s Step, m *tlsrecord.Message) Step {
	switch {
	case m.Encrypted:
		s.Name = "encrypted"
		s.Text = m.String()
		s.Text = strings.TrimPrefix(s.Text, "encrypted ")
	case m.Content != tlsrecord.ContentHandshake:
		s.Name = m.Content.String()
	}
	return s
}

func noRecord(s *tlsrecord.Stream, f Format) Step {
	step := Step{Arrow: ">", flight: clientFlight, Name: "no TLS", Sev: traffic.Error}
	if s.From == tlsrecord.Server {
		step.Arrow, step.flight = "<", serverEnd
	}
	if s.Parsed == 0 {
		step.flight = clientHello
	}
	step.Text = Clean(fmt.Sprintf("%d bytes, look like %s %q", s.Size-s.Parsed, s.Rest, s.RestLine), f.ASCII)
	return step
}

// helloText is what a client offers.
func helloText(h *tlsrecord.ClientHello) string {
	words := []string{versionsText(h)}
	if h.ServerName != "" {
		words = append(words, "SNI "+h.ServerName)
	} else {
		words = append(words, "no SNI")
	}
	words = append(words, fmt.Sprintf("%d suites", len(h.Suites)))
	if len(h.ALPN) > 0 {
		words = append(words, "ALPN "+strings.Join(h.ALPN, " "))
	}
	if stacks := h.Stacks(); len(stacks) > 0 {
		words = append(words, "looks like "+stacks[0].Name)
	}
	return strings.Join(words, ", ")
}

func versionsText(h *tlsrecord.ClientHello) string {
	if len(h.Versions) == 0 {
		return "up to " + h.MaxVersion().String()
	}
	least := slices.Min(h.Versions)
	if least == h.MaxVersion() {
		return least.String()
	}
	return least.String() + " to " + h.MaxVersion().String()
}

func chainText(c *tlsrecord.Certificate) string {
	if len(c.Chain) == 0 {
		return "none"
	}
	o := tlsrecord.ReadOutline(c.Chain[0].Bytes)
	words := fmt.Sprintf("%d: %s", len(c.Chain), o.Subject)
	if o.Issuer != o.Subject {
		words += ", by " + o.Issuer
	}
	return words
}

func authoritiesText(c *tlsrecord.CertificateRequest) string {
	switch n := len(c.Authorities); n {
	case 0:
		return "of any authority"
	case 1:
		return "of 1 authority"
	default:
		return fmt.Sprintf("of %d authorities", n)
	}
}

func joinWords(sep string, words ...string) string {
	return strings.Join(slices.DeleteFunc(words, func(s string) bool { return s == "" }), sep)
}

// subjectAndIssuer is whose certificate it is, and who made it.
func subjectAndIssuer(der []byte) string {
	o := tlsrecord.ReadOutline(der)
	if o.Issuer == o.Subject {
		return o.Subject + ", self-signed"
	}
	return o.Subject + ", by " + o.Issuer
}
