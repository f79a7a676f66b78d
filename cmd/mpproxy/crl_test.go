package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mpproxy/internal/pki"
)

// An agent that checks revocation accepts a minted certificate: openssl reads
// the list's address out of it, curl fetches it, openssl checks with it.
func TestRevocationList(t *testing.T) {
	bin := program(t)
	dir := t.TempDir()
	file := func(n string) string { return filepath.Join(dir, n) }
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	list := "http://" + l.Addr().String() + "/mpproxy.crl"
	l.Close()
	ca, _, err := pki.LoadOrCreateCA(file("ca"), "mpproxy test CA", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file("ca.pem"), ca.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startProcess(t, bin, "run", "--plain", "--no-capture", "--upstream", "https://127.0.0.1:1", "--listen", "https://127.0.0.1:0",
		"--ca", file("ca/ca.pem"), "--ca-key", file("ca/ca-key.pem"), "--crl", list)
	run := func(name string, args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s %v: %v: %s", name, args, err, out)
		}
		return string(out)
	}
	shown := run("sh", "-c", "openssl s_client -connect "+p.addr+" -servername mp01.lab.example </dev/null 2>/dev/null | openssl x509 -out "+file("leaf.pem")+" -text")
	if text := run("openssl", "x509", "-in", file("leaf.pem"), "-noout", "-text"); !strings.Contains(text, "URI:"+list) {
		t.Fatalf("the leaf does not name the list: %s %s", shown, text)
	}
	run("curl", "-sSf", "-o", file("list.crl"), list)
	if out := run("openssl", "verify", "-CAfile", file("ca.pem"), "-crl_check", "-CRLfile", file("list.crl"), file("leaf.pem")); !strings.Contains(out, "OK") {
		t.Error(out)
	}
	p.Process.Signal(syscall.SIGTERM)
	if code := p.ended(t); code != 0 {
		t.Errorf("exit code %d: %s", code, <-p.said)
	}
}
