package pki

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestBundle: openssl finds the certificates in a bundle, whole and in order.
func TestBundle(t *testing.T) {
	one, err := NewCA("mpproxy CA", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	two, err := NewCA("Another CA", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	der, err := Bundle(one.Cert, two.Cert)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.p7b")
	if err := os.WriteFile(file, der, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "openssl", "pkcs7", "-inform", "DER", "-in", file, "-print_certs").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	list, err := certificates(out)
	if err != nil || len(list) != 2 || !list[0].Equal(one.Cert) || !list[1].Equal(two.Cert) || !strings.Contains(string(out), "subject=CN = mpproxy CA") {
		t.Errorf("%d certificates, %v:\n%s", len(list), err, out)
	}
}
