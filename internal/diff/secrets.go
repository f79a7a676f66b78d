package diff

import (
	"slices"
	"strings"

	"mpproxy/compare"
	"mpproxy/internal/redact"
)

// WithoutSecrets is the outcome with the values of secrets taken out, as exports
// do it. What differs, and how, stays.
func (o Outcome) WithoutSecrets() Outcome {
	o.Request, o.Reply = withoutSecrets(o.Request), withoutSecrets(o.Reply)
	return o
}

func withoutSecrets(r *compare.Result) *compare.Result {
	if r == nil || len(r.Differences) == 0 {
		return r
	}
	out := *r
	out.Differences = slices.Clone(r.Differences)
	texts := map[string][2][]redact.Range{}
	for i := range out.Differences {
		d := &out.Differences[i]
		part, name, _ := strings.Cut(string(d.Place), " ")
		switch part {
		case "head":
			d.A, d.B = redact.Field(name, d.A), redact.Field(name, d.B)
		case "target":
			d.A, _ = redact.Line(d.A)
			d.B, _ = redact.Line(d.B)
		case "header", "text":
			secret, known := texts[part]
			if !known {
				secret = [2][]redact.Range{redact.Secrets(textOf(r.A, part)), redact.Secrets(textOf(r.B, part))}
				texts[part] = secret
			}
			d.A, d.B = hidden(d.A, d.SpanA, secret[0]), hidden(d.B, d.SpanB, secret[1])
		}
	}
	return &out
}

func textOf(m compare.Message, part string) string {
	switch {
	case m.Decoded == nil:
		return ""
	case part == "header":
		return m.Decoded.HeaderText.String
	}
	return m.Decoded.Text.String
}

// hidden is a value, or what stands for it when a secret is in its place.
func hidden(value string, at compare.Span, secrets []redact.Range) string {
	if value == "" || !slices.ContainsFunc(secrets, func(s redact.Range) bool { return s.From < at.To && at.From < s.To }) {
		return value
	}
	return redact.Mark(value)
}
