package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"software.sslmate.com/src/go-pkcs12"

	"mpproxy/internal/pki"
	"mpproxy/proxy"
)

// parseRun reads a command line as main does, and stops before it runs.
func parseRun(t *testing.T, args ...string) (*runCommand, error) {
	t.Helper()
	var c commands
	parser, err := kong.New(&c, kong.Name("mpproxy"), kong.DefaultEnvars("MPPROXY"), kong.Exit(func(int) {}))
	if err != nil {
		t.Fatal(err)
	}
	_, err = parser.Parse(append([]string{"run"}, args...))
	return &c.Run, err
}

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "mpproxy.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Flags come before the environment, the environment before the file: else an
// administrator could not try a value without editing the file.
func TestConfigOrder(t *testing.T) {
	path := writeConfig(t, "upstream: http://file\nmode: forward\nhost: [a, b]\nprime: true\nrules: r.yaml\n")
	c, err := parseRun(t, "-c", path)
	if err != nil {
		t.Fatal(err)
	}
	if c.Upstream != "http://file" || c.Mode != "forward" || len(c.Host) != 2 || !c.Prime || c.Rules != filepath.Join(filepath.Dir(path), "r.yaml") {
		t.Errorf("from the file: %+v", c)
	}
	t.Setenv("MPPROXY_UPSTREAM", "http://environment")
	if c, err = parseRun(t, "-c", path); err != nil || c.Upstream != "http://environment" {
		t.Errorf("with the environment: %q, %v", c.Upstream, err)
	}
	if c, err = parseRun(t, "-c", path, "--upstream", "http://flag"); err != nil || c.Upstream != "http://flag" {
		t.Errorf("with a flag: %q, %v", c.Upstream, err)
	}
}

func TestConfigErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"upstream: http://x\nlistn: 1\n", ":2:1: unknown key \"listn\""},
		{"listeners:\n  - listen: :1\n    upsteam: x\n", ":3:5: unknown field \"upsteam\""},
		{"client-certs:\n  - agnt: x\n", ":2:5: unknown field \"agnt\""},
		{"upstream:\n  a: b\n", ":1:1: \"upstream\" takes a value or a list"},
		{"a: [\n", ":1:4: "},
		{"- a\n", "a config file is a list of KEY: VALUE"},
		{"mode: sideways\n", "--mode must be one of"},
	} {
		if _, err := parseRun(t, "-c", writeConfig(t, c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.text, err, c.want)
		}
	}
}

func TestConfigListeners(t *testing.T) {
	path := writeConfig(t, `
host: [mp.lab.example]
listeners:
  - listen: https://127.0.0.1:443
    upstream: https://mp01.lab.example
    routes:
      - {name: "*.other.example", upstream: "https://mp02.other.example:8443"}
  - listen: 127.0.0.1:3128
    mode: forward
  - upstream: https://mp03.lab.example
    mode: passthrough
client-certs:
  - {agent: 192.0.2.7, cert: agent.pem, key: agent.key}
  - {agent: 192.0.2.0/24, subject: "CN=PC-*", cert: none}
  - {client: "GUID:8F*", cert: agent.pfx, password-file: pw}
`)
	dir := filepath.Dir(path)
	ca, err := pki.NewCA("test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Issue(pki.IssueRequest{CommonName: "PC-1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := pki.WriteKeyPair(cert, filepath.Join(dir, "agent.pem"), filepath.Join(dir, "agent.key")); err != nil {
		t.Fatal(err)
	}
	pfx, err := pkcs12.Modern.Encode(cert.PrivateKey, cert.Leaf, nil, "secret")
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"agent.pfx": pfx, "pw": []byte("secret\n")} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := parseRun(t, "-c", path)
	if err != nil {
		t.Fatal(err)
	}
	ls, err := c.listeners()
	if err != nil {
		t.Fatal(err)
	}
	if len(ls) != 3 || ls[0].Scheme != proxy.HTTPS || ls[0].Routes[0].Upstream.Host != "mp02.other.example" || ls[0].Names[0] != "mp.lab.example" ||
		ls[1].Mode != proxy.Forward || ls[2].TLS != proxy.Passthrough || ls[2].Upstream.Host != "mp03.lab.example" {
		t.Errorf("listeners %+v", ls)
	}
	u, err := c.upstreamTLS()
	if err != nil {
		t.Fatal(err)
	}
	if rows := u.Certificates; len(rows) != 3 || !rows[0].Agent.IsSingleIP() || rows[0].Certificate == nil || rows[1].Certificate != nil ||
		rows[1].Subject != "CN=PC-*" || !bytes.Equal(rows[2].Certificate.Certificate[0], cert.Certificate[0]) {
		t.Errorf("client certificates %+v", u.Certificates)
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--client-key", at("agent.key")}, "no certificate that it is for"},
		{[]string{"--client-cert-password-file", at("pw")}, "no certificate that it is for"},
		{[]string{"--client-cert", at("agent.pem"), "--client-cert-password-file", at("pw")}, "a password is only for those"},
		{[]string{"--client-cert", at("agent.pem"), "--client-key", at("agent.key"), "--client-cert-password-file", at("pw")}, "leave the password file out"},
		{[]string{"--client-cert", at("agent.pfx")}, "give it, or make a PEM file without one"},
	} {
		run, err := parseRun(t, append(c.args, "--upstream", "https://mp01.lab.example")...)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := run.upstreamTLS(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %q", c.args, err, c.want)
		}
	}
}
