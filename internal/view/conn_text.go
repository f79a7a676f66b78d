package view

import (
	"encoding/hex"
	"fmt"
	"strings"

	"mpproxy/diagnose"
	"mpproxy/internal/tlsrecord"
	"mpproxy/traffic"
)

// Report is a connection in lines, for a ticket: title, both legs, and what was
// found but what something else explains.
func (c *Connection) Report(found []diagnose.Finding, f Format) []string {
	who, how := c.Title(f)
	lines := []string{who + "  " + how}
	for _, side := range []traffic.Side{traffic.AgentSide, traffic.UpstreamSide} {
		lines = append(lines, "", SideName(side))
		for _, step := range c.Leg(side, f) {
			lines = append(lines, strings.TrimRight(step.Line(f), " "))
		}
	}
	return append(lines, DiagnosisLines(found, f)...)
}

// DiagnosisLines are diagnoses in lines, each with a blank one before it,
// without those that another one explains.
func DiagnosisLines(found []diagnose.Finding, f Format) (lines []string) {
	for i := range found {
		x := &found[i]
		if x.MootBy != "" {
			continue
		}
		lines = append(lines, "", Clean(DiagnosisTitle(x), f.ASCII))
		for _, part := range Diagnosis(x) {
			label := part.Label
			for _, words := range part.Lines {
				lines = append(lines, strings.TrimRight(fmt.Sprintf("  %-9s  %s", label, Clean(words, f.ASCII)), " "))
				label = ""
			}
		}
	}
	return lines
}

// Evidence is all that TLS left of a connection, for those who want to judge
// for themselves: the report, both sides' certificates, each handshake message
// by message and in bytes. Keys and bodies are not in it.
func (c *Connection) Evidence(found []diagnose.Finding, f Format) string {
	var b strings.Builder
	b.WriteString(strings.Join(c.Report(found, f), "\n") + "\n")
	if pem := c.Certificates(f); pem != "" {
		b.WriteString("\nCertificates\n" + pem)
	}
	for i, hs := range c.Handshakes {
		fmt.Fprintf(&b, "\nHandshake %d, %s\n", i+1, SideName(hs.Side))
		for line := range strings.Lines(tlsrecord.ParseOpened(hs.Bytes()).String()) {
			b.WriteString(Clean(strings.TrimSuffix(line, "\n"), f.ASCII) + "\n")
		}
		b.WriteString("from the peer\n" + hex.Dump(hs.In) + "to the peer\n" + hex.Dump(hs.Out))
	}
	return b.String()
}
