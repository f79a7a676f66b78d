package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"mpproxy/internal/pki"
)

// caCommand is "mpproxy ca".
type caCommand struct {
	Init        caInitCommand   `cmd:"" help:"Make the authority, if there is none."`
	Show        caShowCommand   `cmd:"" help:"Who it is, until when, and its fingerprint."`
	Export      caExportCommand `cmd:"" help:"Write the certificate, never the key."`
	InstallHint caHintCommand   `cmd:"" help:"How to make agents trust it, and how to undo that."`
}

type caInitCommand struct{}

// Run makes the authority.
func (c *caInitCommand) Run(ctx context.Context, e *env) error {
	return (&caShowCommand{}).Run(ctx, e)
}

type caShowCommand struct{}

// Run shows the authority.
func (c *caShowCommand) Run(_ context.Context, e *env) error {
	ca, err := openCA(e, "", "")
	if err != nil {
		return err
	}
	dir, err := e.place("data", "ca")
	if err != nil {
		return err
	}
	sum := sha256.Sum256(ca.Cert.Raw)
	fmt.Fprintf(e.stdout, "subject      %s\nvalid        %s to %s\nSHA-256      %s\ncertificate  %s\nkey          beside it, for you alone\n",
		ca.Cert.Subject, ca.Cert.NotBefore.Format(time.DateOnly), ca.Cert.NotAfter.Format(time.DateOnly),
		strings.ToUpper(hex.EncodeToString(sum[:])), filepath.Join(dir, pki.CAFile))
	return nil
}

type caExportCommand struct {
	Output string `short:"o" type:"path" help:"Where to write; default: standard output."`
	Format string `enum:"pem,der,p7b" default:"pem" help:"${enum}; p7b is what the Windows import wizard and group policy take."`
}

// Run exports the certificate.
func (c *caExportCommand) Run(_ context.Context, e *env) error {
	ca, err := openCA(e, "", "")
	if err != nil {
		return err
	}
	out := ca.Cert.Raw
	switch c.Format {
	case "pem":
		out = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Cert.Raw})
	case "p7b":
		if out, err = pki.Bundle(ca.Cert); err != nil {
			return err
		}
	}
	if c.Output == "" {
		_, err = e.stdout.Write(out)
		return err
	}
	return writePublic(c.Output, out)
}

// writePublic writes what everybody may read.
func writePublic(file string, content []byte) error {
	if err := os.WriteFile(file, content, 0o644); err != nil { //nolint:gosec // a certificate is public
		return fmt.Errorf("write certificate: %w", err)
	}
	return nil
}

type caHintCommand struct{}

// Run prints how to trust the authority.
func (c *caHintCommand) Run(_ context.Context, e *env) error {
	_, err := fmt.Fprint(e.stdout, `First:    mpproxy ca export -o mpproxy-ca.cer
Windows   certutil -addstore Root mpproxy-ca.cer        (as administrator: the computer's store, not the user's)
  undo    certutil -delstore Root "mpproxy CA"
By GPO    Computer Configuration, Policies, Windows Settings, Security Settings, Public Key Policies,
          Trusted Root Certification Authorities: import mpproxy-ca.cer, or what --format p7b writes
Debian    cp mpproxy-ca.cer /usr/local/share/ca-certificates/mpproxy-ca.crt && update-ca-certificates
Red Hat   cp mpproxy-ca.cer /etc/pki/ca-trust/source/anchors/ && update-ca-trust
Whoever has the key beside this certificate can stand in for any server: remove it when you are done.
`)
	return err
}
