package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"mpproxy/decode"
	"mpproxy/internal/view"
	"mpproxy/traffic"
)

// decodeCommand is "mpproxy decode".
type decodeCommand struct {
	Paths []string `arg:"" optional:"" type:"path" help:"Files: a whole HTTP message, a multipart body, or a bare body in UTF-16 or UTF-8. None: standard input."`
	Layer string   `enum:",wire,head,header,part,inflated,text,pretty" default:"" help:"One layer in place of the summary: ${enum}."`
	Hex   bool     `help:"Print the layer as a hex dump."`
	Raw   bool     `help:"Write the layer's bytes as they are."`
	JSON  bool     `help:"One JSON object a message."`
	ASCII bool     `name:"ascii" help:"Print ASCII only."`
}

// maxInput is the largest file that is decoded.
const maxInput = 256 << 20

// Run decodes.
func (c *decodeCommand) Run(_ context.Context, e *env) error {
	if len(c.Paths) == 0 {
		return c.one(e, "-", e.stdin)
	}
	for _, path := range c.Paths {
		f, err := os.Open(path)
		if err != nil {
			return usage(fmt.Errorf("decode: %w", err), "")
		}
		err = c.one(e, path, f)
		f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *decodeCommand) one(e *env, name string, r io.Reader) error {
	raw, err := io.ReadAll(io.LimitReader(r, maxInput))
	if err != nil {
		return fmt.Errorf("decode %s: %w", name, err)
	}
	source := sourceOf(raw)
	m := decode.Decode(source, decode.Full)
	f := output{ASCII: c.ASCII}.format(e)
	switch {
	case c.Layer != "":
		return printLayer(e.stdout, m, source.Head.Raw, c.Layer, c.Hex, c.Raw, f)
	case c.JSON:
		return json.NewEncoder(e.stdout).Encode(jsonMessage(name, m))
	}
	p := &paper{w: e.stdout, format: f}
	if len(c.Paths) > 1 {
		p.line("== " + view.Clean(name, f.ASCII))
	}
	p.facts(view.MessageFacts(m, f))
	for _, x := range m.Findings {
		for _, line := range view.MessageFinding(x, f) {
			p.line(line)
		}
	}
	p.message("", source.Head, m)
	return p.err
}

// sourceOf takes a file for an HTTP message when it begins like one, else for
// a bare body.
func sourceOf(raw []byte) decode.Source {
	s := decode.Source{Dir: traffic.Request, Whole: true, Framing: traffic.NoFraming, Arrived: time.Now()}
	body := raw
	if end := headLength(raw); end > 0 {
		s.Head = traffic.ParseHead(raw[:end])
		body = raw[end:]
		if bytes.HasPrefix(raw, []byte("HTTP/")) {
			s.Dir = traffic.Reply
		}
		s.Framing = traffic.ByLength
		if _, chunked := s.Head.Lookup("Transfer-Encoding"); chunked {
			s.Framing = traffic.Chunked
		}
	}
	s.Body, s.Size = bytes.NewReader(body), int64(len(body))
	return s
}

// headLength is the length of the HTTP head that a file begins with, 0 when it
// does not.
func headLength(raw []byte) int {
	line, _, found := bytes.Cut(raw, []byte("\n"))
	if !found || !bytes.Contains(line, []byte("HTTP/1.")) {
		return 0
	}
	if i := bytes.Index(raw, []byte("\r\n\r\n")); i >= 0 {
		return i + 4
	}
	return 0
}

// messageJSON is a row of the view "message" with its summary and findings.
type messageJSON struct {
	Schema      string        `json:"schema"`
	V           int           `json:"v"`
	File        string        `json:"file"`
	Dir         string        `json:"dir"`
	Form        string        `json:"form"`
	Endpoint    string        `json:"endpoint"`
	Kind        string        `json:"kind"`
	Root        string        `json:"root"`
	MsgID       string        `json:"msgid"`
	Corr        string        `json:"corr"`
	Client      string        `json:"client"`
	Agent       string        `json:"agent"`
	TextBytes   int64         `json:"text_bytes"`
	Attachments int           `json:"attachments"`
	Signature   string        `json:"signature"`
	Summary     string        `json:"summary"`
	Text        string        `json:"text"`
	Findings    []findingJSON `json:"findings"`
}

type findingJSON struct {
	Code     string `json:"code"`
	Ref      string `json:"ref"`
	Sev      string `json:"sev"`
	Layer    string `json:"layer,omitempty"`
	Offset   int64  `json:"offset"`
	Evidence string `json:"evidence"`
}

func jsonMessage(name string, m *decode.Message) messageJSON {
	j := messageJSON{
		Schema: "mpproxy.message", V: 1, File: name, Dir: m.Dir.String(), Form: m.Form, Endpoint: m.Endpoint, Kind: m.Kind,
		Root: m.Root, MsgID: m.MsgID, Corr: m.Corr, Client: m.Client, Agent: m.Agent, TextBytes: m.TextBytes,
		Attachments: len(m.Attachments), Signature: m.Signature, Summary: m.Long, Text: m.Text.String, Findings: []findingJSON{},
	}
	for _, f := range m.Findings {
		j.Findings = append(j.Findings, findingJSON{f.Kind.Code, f.Kind.Ref, f.Kind.Severity.String(), f.Layer, f.Offset, f.Evidence})
	}
	return j
}
