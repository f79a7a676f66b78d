package main

import (
	"context"
	"crypto/rsa"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"mpproxy/capture"
	"mpproxy/decode"
	"mpproxy/diagnose"
	"mpproxy/internal/evidence"
	"mpproxy/internal/pki"
	"mpproxy/internal/view"
	"mpproxy/traffic"
)

// showCommand is "mpproxy show".
type showCommand struct {
	File      string             `arg:"" type:"path" help:"The capture."`
	ID        traffic.ExchangeID `arg:"" optional:"" help:"The exchange's number."`
	Conn      traffic.ConnID     `help:"Show this connection in place of an exchange: both legs, and why it failed." placeholder:"NUMBER"`
	Evidence  bool               `help:"With --conn: also certificates, and the handshakes message by message and in bytes, for a ticket."`
	PEM       bool               `name:"pem" help:"With --conn: write the certificates that both sides have shown, as PEM."`
	Layer     string             `enum:",wire,head,header,part,inflated,text,pretty" default:"" help:"One layer of the message in place of the summary: ${enum}."`
	Reply     bool               `help:"The reply in place of the request."`
	Forwarded bool               `help:"What went on in place of what was received, where a rule changed it."`
	Hex       bool               `help:"Print the layer as a hex dump."`
	Raw       bool               `help:"Write the layer's bytes as they are."`
	Key       []string           `type:"path" help:"Certificates (PEM or DER) to check signatures with, besides those that agents have registered in the capture." placeholder:"FILE"`
	UTC       bool               `name:"utc" help:"Print times in UTC."`
	ASCII     bool               `name:"ascii" help:"Print ASCII only."`
}

// Run shows.
func (c *showCommand) Run(ctx context.Context, e *env) error {
	s, err := openStore(c.File)
	if err != nil {
		return err
	}
	defer s.Close()
	format := output{UTC: c.UTC, ASCII: c.ASCII}.format(e)
	if c.Conn != 0 {
		return c.connection(ctx, e, s, format)
	}
	if c.PEM || c.Evidence {
		return usage(errors.New("--pem and --evidence need a connection"), "mpproxy show FILE --conn NUMBER --pem; mpproxy conns lists the numbers there are.")
	}
	if c.ID == 0 {
		return usage(errors.New("no exchange given"), "mpproxy ls lists the numbers there are; --conn NUMBER shows a connection.")
	}
	if c.Layer != "" || c.Hex || c.Raw || c.Forwarded {
		return c.layer(ctx, e, s, format)
	}
	keys, err := c.keys()
	if err != nil {
		return usage(err, "")
	}
	d, err := view.Load(ctx, s, c.ID, keys...)
	if errors.Is(err, capture.ErrNone) {
		return usage(err, "mpproxy ls lists the numbers there are.")
	}
	if err != nil {
		return err
	}
	p := &paper{w: e.stdout, format: format}
	if d.Row.Sev >= traffic.Warning || d.Row.Status >= 400 || d.Row.Fate == traffic.Broken {
		if p.diagnoses, err = evidence.New(s, nil).Learnt(ctx, d.Row.Conn); err != nil {
			return err
		}
	}
	p.detail(d)
	return p.err
}

// connection prints both legs of a connection, and why it failed.
func (c *showCommand) connection(ctx context.Context, e *env, s *capture.Store, f view.Format) error {
	conn, err := view.LoadConnection(ctx, s, c.Conn)
	if errors.Is(err, capture.ErrNone) {
		return usage(err, "mpproxy conns lists the numbers there are.")
	}
	if err != nil {
		return err
	}
	if c.PEM {
		text := conn.Certificates(f)
		if text == "" {
			return usage(fmt.Errorf("no certificate was seen on connection %d", c.Conn), "TLS 1.3 that is passed through hides them; so does a resumed session.")
		}
		_, err := io.WriteString(e.stdout, text)
		return quietPipe(err)
	}
	found, err := evidence.New(s, nil).Learnt(ctx, c.Conn)
	if err != nil {
		return err
	}
	text := strings.Join(conn.Report(found, f), "\n") + "\n"
	if c.Evidence {
		text = conn.Evidence(found, f)
	}
	_, err = io.WriteString(e.stdout, text)
	return quietPipe(err)
}

// keys are those of --key.
func (c *showCommand) keys() ([]decode.Key, error) {
	var keys []decode.Key
	for _, file := range c.Key {
		certs, err := pki.LoadCertificates(file)
		if err != nil {
			return nil, err
		}
		for _, cert := range certs {
			if public, ok := cert.PublicKey.(*rsa.PublicKey); ok {
				keys = append(keys, decode.Key{Origin: "file " + file, Public: public})
			}
		}
	}
	return keys, nil
}

func (c *showCommand) dir() traffic.Dir {
	if c.Reply {
		return traffic.Reply
	}
	return traffic.Request
}

// layer prints one layer of one message.
func (c *showCommand) layer(ctx context.Context, e *env, s *capture.Store, f view.Format) error {
	name := c.Layer
	if name == "" {
		name = "wire"
	}
	if name == "wire" && c.Raw {
		body, err := s.Wire(ctx, c.ID, c.dir(), c.Forwarded)
		if err != nil {
			return c.missing(err)
		}
		_, err = io.Copy(e.stdout, body.Reader())
		return quietPipe(err)
	}
	source, err := s.Source(ctx, c.ID, c.dir(), c.Forwarded)
	if err != nil {
		return c.missing(err)
	}
	return printLayer(e.stdout, decode.Decode(source, decode.Full), source.Head.Raw, name, c.Hex, c.Raw, f)
}

func (c *showCommand) missing(err error) error {
	if errors.Is(err, capture.ErrNone) {
		return usage(fmt.Errorf("exchange %d has no such message: %w", c.ID, err), "mpproxy ls lists the numbers there are.")
	}
	return err
}

// printLayer prints a view of a message: as text, as a dump, or as it is.
func printLayer(w io.Writer, m *decode.Message, head []byte, name string, asHex, raw bool, f view.Format) error {
	var known []string
	for _, v := range m.Views(head) {
		if v.Name != name {
			known = append(known, v.Name)
			continue
		}
		var err error
		switch {
		case raw:
			_, err = w.Write(v.Bytes)
		case asHex || !v.Text:
			_, err = io.WriteString(w, hex.Dump(v.Bytes))
		default:
			for line := range strings.SplitSeq(strings.TrimSuffix(string(v.Bytes), "\n"), "\n") {
				if _, err = fmt.Fprintln(w, view.Clean(strings.TrimSuffix(line, "\r"), f.ASCII)); err != nil {
					break
				}
			}
		}
		return quietPipe(err)
	}
	return usage(fmt.Errorf("this message has no layer %q", name), "It has: "+strings.Join(known, ", "))
}

// paper prints details, and keeps the first error.
type paper struct {
	w      io.Writer
	format view.Format
	// diagnoses are those of the exchange's connection.
	diagnoses []diagnose.Finding
	err       error
}

// why prints why the connection failed.
func (p *paper) why() {
	for _, line := range view.DiagnosisLines(p.diagnoses, p.format) {
		p.line(line)
	}
}

func (p *paper) line(s string) {
	if p.err == nil {
		_, p.err = fmt.Fprintln(p.w, strings.TrimRight(s, " "))
	}
}

func (p *paper) facts(fs []view.Fact) {
	for _, f := range fs {
		p.line(fmt.Sprintf("%-12s %s", f.Label, f.Value))
	}
}

// detail prints all of an exchange that is to be read.
func (p *paper) detail(d *view.Detail) {
	p.line(d.Title(p.format))
	p.line("")
	p.facts(d.Summary(p.format))
	p.line("")
	p.facts(d.TLS(p.format))
	p.findings(d.Findings)
	p.why()
	p.message("Request", d.Exchange.Request.Head, d.Request)
	p.message("Reply", d.Exchange.Reply.Head, d.Reply)
	if d.Uploaded != nil {
		p.message("The upload, joined", traffic.Head{}, d.Uploaded)
	}
}

func (p *paper) findings(fs []capture.Found) {
	if len(fs) == 0 {
		return
	}
	p.line("")
	for _, f := range fs {
		for _, line := range view.Finding(f, p.format) {
			p.line(line)
		}
	}
}

// message prints a message's head and text.
func (p *paper) message(title string, head traffic.Head, m *decode.Message) {
	if len(head.Raw) == 0 && m == nil {
		return
	}
	p.line("")
	p.line(title)
	if len(head.Raw) > 0 {
		for _, line := range view.Head(head, p.format) {
			p.line("  " + line)
		}
	}
	if m == nil {
		return
	}
	for _, part := range []string{m.HeaderText.String, m.Text.String} {
		if part == "" {
			continue
		}
		p.line("")
		for _, line := range view.Text(part, p.format) {
			p.line("  " + line)
		}
	}
}
