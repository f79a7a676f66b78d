package view

import (
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
}

// Ladder is what a handshake's bytes say, in order. opened is when the
// connection was.
func Ladder(hs *traffic.Handshake, opened time.Time, f Format) []Step {
	tr := tlsrecord.ParseOpened(hs.Bytes())
	at := func(from tlsrecord.Side, offset int) time.Duration {
		return hs.Passed(from == tlsrecord.Client, offset)
	}
	timed := len(hs.InMarks)+len(hs.OutMarks) > 0 && !hs.Began.IsZero()
	var steps []Step
	for _, r := range tr.Ladder(at) {
		s := Step{Name: "no TLS", Text: Clean(r.Text, f.ASCII), Sev: traffic.Error}
		if r.Message != nil {
			s = stepOf(&r, f)
		} else {
			s.Text = strings.TrimPrefix(s.Text, "no TLS, ")
		}
		s.At, s.Timed, s.Arrow = hs.Began.Sub(opened)+r.At, timed, ">"
		if r.From == tlsrecord.Server {
			s.Arrow = "<"
		}
		steps = append(steps, s)
	}
	if len(steps) > 0 && !timed && !hs.Began.IsZero() {
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

// stepOf is a message of a handshake.
func stepOf(r *tlsrecord.Rung, f Format) Step {
	name, text, _ := strings.Cut(r.Text, "  ")
	s := Step{Name: name, Text: text}
	m := r.Message
	switch a, clear := m.Body.(*tlsrecord.Alert); {
	case clear:
		s.Name, s.Text = "Alert", strings.TrimPrefix(r.Text, "Alert ")+", sent in clear"
		if m.Opened {
			s.Text = strings.TrimSuffix(s.Text, "sent in clear") + "decrypted"
		}
		s.Sev = traffic.Warning
		if a.Level == tlsrecord.Fatal {
			s.Sev = traffic.Error
		}
	case m.Encrypted:
		s.Name, s.Text = "encrypted", strings.TrimPrefix(r.Text, "encrypted, ")
	}
	s.Name, s.Text = Clean(s.Name, f.ASCII), Clean(s.Text, f.ASCII)
	return s
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
