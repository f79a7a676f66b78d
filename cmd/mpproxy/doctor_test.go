package main

import (
	"bytes"
	"net"
	"os"
	"strings"
	"testing"

	"mpproxy/internal/mpsim"
	"mpproxy/internal/pki"
)

// TestDoctorCommand holds exit codes and output against a site that demands
// certificates: scripts rely on both.
func TestDoctorCommand(t *testing.T) {
	site, err := mpsim.NewSite(mpsim.SiteConfig{Native: true})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go site.ServeTLS(t.Context(), l)
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/ca.pem", site.CA.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	cert, err := site.ClientCert("MPPROXY", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := pki.WriteKeyPair(cert, dir+"/client.pem", dir+"/client.pem"); err != nil {
		t.Fatal(err)
	}
	url := "https://" + l.Addr().String()
	trusted := []string{"doctor", url, "--host", "mp01.lab.example", "--upstream-ca", dir + "/ca.pem"}
	for _, c := range []struct {
		args []string
		code int
		want []string
	}{
		{append(trusted[:len(trusted):len(trusted)], "--client-cert", dir+"/client.pem", "--fail-on", "warning"), exitOK, []string{"ok  TLS          takes ", "\nAn agent whose computer trusts", "be sent to mp01.lab.example."}},
		{trusted, exitOK, []string{"\nE M13  The management point wants a client certificate", "  Explains   M15", "\nAn agent without a client certificate would be refused"}},
		{append(trusted[:len(trusted):len(trusted)], "--fail-on", "error"), exitFindings, nil},
		{append(trusted[:len(trusted):len(trusted)], "--json"), exitOK, []string{`"what":"chain","state":"ok"`, `"ref":"M13"`, `"reached":true}`}},
		{[]string{"doctor", url}, exitUnreachable, []string{"E M05"}},
		{[]string{"doctor", "http://"}, exitUsage, nil},
		{[]string{"doctor", "https://mp01.lab.example:99999"}, exitUsage, nil},
	} {
		var out, errs bytes.Buffer
		if code := run(c.args, &env{strings.NewReader(""), &out, &errs, os.Getenv}); code != c.code {
			t.Errorf("%v exits with %d, want %d: %s", c.args, code, c.code, errs.String())
		}
		for _, want := range c.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%v lacks %q:\n%s", c.args, want, out.String())
			}
		}
	}
}
