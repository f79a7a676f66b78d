package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"mpproxy/internal/doctor"
	"mpproxy/internal/pki"
	"mpproxy/internal/view"
	"mpproxy/traffic"
)

// doctorCommand is "mpproxy doctor".
type doctorCommand struct {
	URL string `arg:"" optional:"" help:"The management point: https://mp01.contoso.com. Without it this machine is looked at."`

	Host                   string        `help:"The name that agents use, when the URL has an address." placeholder:"NAME"`
	UpstreamCA             string        `name:"upstream-ca" type:"path" help:"Authorities to trust for the management point (PEM), in place of the system's."`
	ClientCert             string        `type:"path" help:"Client certificate to show when asked (PEM with key, or PFX)."`
	ClientCertPasswordFile string        `type:"path" help:"File with the password of a PFX."`
	ClientKey              string        `type:"path" help:"Key of --client-cert, when it is not in the same file."`
	FetchCRL               bool          `name:"fetch-crl" negatable:"" default:"true" help:"Fetch the revocation lists that the certificates name."`
	FetchPrivate           bool          `help:"Fetch them from private addresses too, even when the management point has a public one."`
	Timeout                time.Duration `default:"10s" help:"How long each connection may take."`

	CRL string `name:"crl" help:"Without a URL: where mpproxy run --crl serves its list, to see whether it does." placeholder:"http://HOST:PORT/mpproxy.crl"`

	JSON   bool   `help:"JSON Lines: what was looked at, findings, and what an agent would meet."`
	UTC    bool   `name:"utc" help:"Print times in UTC in place of local ones."`
	ASCII  bool   `name:"ascii" help:"Print ASCII only."`
	FailOn string `enum:"never,info,warning,warn,error,i,W,E" default:"never" help:"Exit with 3 when something as bad was found: info, warning, error."`
}

// Run probes a management point, or checks this machine.
func (c *doctorCommand) Run(ctx context.Context, e *env) error {
	if c.URL == "" {
		return c.machine(ctx, e)
	}
	o, err := c.options()
	if err != nil {
		return err
	}
	show := c.face(e)
	o.Saw = show.line
	r, err := doctor.Probe(ctx, o)
	if r == nil {
		return usage(err, "")
	}
	if err != nil {
		return err
	}
	if err := show.end(r); err != nil {
		return quietPipe(err)
	}
	if !r.Reached {
		return &exit{exitUnreachable, fmt.Errorf("%s cannot be spoken with", c.URL), ""}
	}
	return c.fail(max(worstGroup(r.Findings), worstLine(r.Lines)))
}

func (c *doctorCommand) options() (doctor.Options, error) {
	o := doctor.Options{URL: c.URL, Host: c.Host, Lists: c.FetchCRL, Private: c.FetchPrivate, Timeout: c.Timeout}
	var err error
	if c.UpstreamCA != "" {
		if o.Roots, err = pki.LoadPool(c.UpstreamCA); err == nil {
			o.Issuers, err = pki.LoadCertificates(c.UpstreamCA)
		}
		if err != nil {
			return o, usage(err, "--upstream-ca names a file with certificates in PEM.")
		}
	}
	if o.Certificate, err = loadClientCert(c.ClientCert, c.ClientKey, c.ClientCertPasswordFile); err != nil {
		return o, usage(err, "--client-cert names a PEM file with its key, or a PFX.")
	}
	return o, nil
}

// machine checks this machine.
func (c *doctorCommand) machine(ctx context.Context, e *env) error {
	ca, err := e.place("data", "ca")
	if err != nil {
		return err
	}
	state, err := e.place("state")
	if err != nil {
		return err
	}
	config, err := e.place("config")
	if err != nil {
		return err
	}
	lines := doctor.Machine(ctx, doctor.MachineOptions{
		CA: ca, Dirs: []string{filepath.Join(state, "captures"), config}, Listen: []string{"127.0.0.1:8443", "127.0.0.1:8080"}, CRL: c.CRL, Now: time.Now(),
	})
	show := c.face(e)
	for _, l := range lines {
		show.line(l)
	}
	if err := show.end(nil); err != nil {
		return quietPipe(err)
	}
	return c.fail(worstLine(lines))
}

// worstLine is how bad lines are: what is not as it should be is worth a
// warning; the findings say what is an error.
func worstLine(lines []doctor.Line) traffic.Severity {
	worst := traffic.None
	for _, l := range lines {
		if l.State == doctor.Bad {
			worst = traffic.Warning
		}
	}
	return worst
}

func (c *doctorCommand) fail(worst traffic.Severity) error {
	least := severities[c.FailOn]
	if least == traffic.None || worst < least {
		return nil
	}
	return &exit{exitFindings, errors.New("not all is as it should be"), ""}
}

// doctorFace prints what a doctor sees: lines as they come, then the findings as
// diagnose prints them, then what an agent would meet.
type doctorFace struct {
	w      io.Writer
	json   bool
	format view.Format
	err    error // the first
}

func (c *doctorCommand) face(e *env) *doctorFace {
	return &doctorFace{w: e.stdout, json: c.JSON, format: output{UTC: c.UTC, ASCII: c.ASCII}.format(e)}
}

func (d *doctorFace) line(l doctor.Line) {
	if d.err != nil {
		return
	}
	if d.json {
		d.err = d.encode(doctorLineJSON{"mpproxy.probe", 1, l.What, l.State, l.Text})
		return
	}
	_, d.err = fmt.Fprintf(d.w, "%s  %-11s  %s\n", l.State, l.What, view.Clean(l.Text, d.format.ASCII))
}

func (d *doctorFace) encode(v any) error {
	enc := json.NewEncoder(d.w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// end prints the judgement; nil for none.
func (d *doctorFace) end(r *doctor.Report) error {
	if d.err != nil || r == nil {
		return d.err
	}
	printer := &diagnosis{}
	if d.json {
		if err := printer.writeJSON(d.w, r.Findings); err != nil {
			return err
		}
		return d.encode(doctorAgentJSON{"mpproxy.doctor", 1, r.Agent, r.Reached})
	}
	var b strings.Builder
	b.WriteByte('\n')
	for i := range r.Findings {
		if r.Findings[i].MootBy == "" {
			printer.writeGroup(&b, &r.Findings[i], r.Findings, d.format)
		}
	}
	fmt.Fprintln(&b, view.Clean(r.Agent, d.format.ASCII))
	_, err := io.WriteString(d.w, b.String())
	return err
}

// doctorLineJSON is one line of "doctor --json" on what was looked at;
// doctorAgentJSON is the last one of a probe.
type doctorLineJSON struct {
	Schema string       `json:"schema"`
	V      int          `json:"v"`
	What   string       `json:"what"`
	State  doctor.State `json:"state"`
	Text   string       `json:"text"`
}

type doctorAgentJSON struct {
	Schema  string `json:"schema"`
	V       int    `json:"v"`
	Agent   string `json:"agent"`
	Reached bool   `json:"reached"`
}
