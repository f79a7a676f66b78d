package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// testCA is made once, as keys are slow.
var testCA = sync.OnceValue(func() *CA {
	ca, err := NewCA("Test CA", noon)
	if err != nil {
		panic(err)
	}
	return ca
})

func TestLeafIsTrustedForItsNames(t *testing.T) {
	m := testCA().Minter(func() time.Time { return noon })
	for _, ecdsaOK := range []bool{false, true} {
		cert, err := m.Leaf([]string{"MP01.lab.example.", "127.0.0.1", "::1", "mp01.lab.example"}, ecdsaOK)
		if err != nil {
			t.Fatal(err)
		}
		leaf := cert.Leaf
		for _, name := range []string{"mp01.lab.example", "127.0.0.1", "::1"} {
			if _, err := leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: testCA().Pool(), CurrentTime: noon}); err != nil {
				t.Errorf("ecdsa %v: an agent that calls %s refuses the leaf: %v", ecdsaOK, name, err)
			}
		}
		if _, isEC := leaf.PublicKey.(*ecdsa.PublicKey); isEC != ecdsaOK {
			t.Errorf("ecdsaOK %v gave a %T", ecdsaOK, leaf.PublicKey)
		}
		if got := len(leaf.DNSNames) + len(leaf.IPAddresses); got != 3 {
			t.Errorf("%d names in the leaf, want 3: %v %v", got, leaf.DNSNames, leaf.IPAddresses)
		}
		if encipher := leaf.KeyUsage&x509.KeyUsageKeyEncipherment != 0; encipher == ecdsaOK {
			t.Errorf("ecdsa %v: key encipherment is %v; RSA key exchange needs it, ECDSA must not claim it", ecdsaOK, encipher)
		}
		if len(cert.Certificate) != 2 || len(leaf.SubjectKeyId) == 0 || string(leaf.AuthorityKeyId) != string(testCA().Cert.SubjectKeyId) {
			t.Errorf("ecdsa %v: chain of %d or key ids do not lead to the CA", ecdsaOK, len(cert.Certificate))
		}
		if d := leaf.NotAfter.Sub(leaf.NotBefore); d > 397*24*time.Hour {
			t.Errorf("valid for %v, longer than clients accept", d)
		}
	}
}

func TestLeafNeverOutlivesTheCA(t *testing.T) {
	now := testCA().Cert.NotAfter.Add(-48 * time.Hour)
	m := testCA().Minter(func() time.Time { return now })
	cert, err := m.Leaf([]string{"late.example"}, true)
	if err != nil {
		t.Fatal(err)
	}
	if cert.Leaf.NotAfter.After(testCA().Cert.NotAfter) {
		t.Error("the leaf is valid after its CA")
	}
	if again, _ := m.Leaf([]string{"late.example"}, true); again != cert {
		t.Error("a leaf that ends with its CA is minted anew each time")
	}
	now = now.Add(72 * time.Hour)
	if _, err := m.Leaf([]string{"too-late.example"}, true); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("an expired CA minted, or did not say why not: %v", err)
	}
}

func TestLeafIsRemembered(t *testing.T) {
	now := noon
	m := testCA().Minter(func() time.Time { return now })
	leaf := func(name string) *tls.Certificate {
		t.Helper()
		cert, err := m.Leaf([]string{name}, true)
		if err != nil {
			t.Fatal(err)
		}
		return cert
	}
	first := leaf("a.example")
	if leaf("A.example") != first {
		t.Error("the same name was minted twice")
	}
	for i := range leafLimit {
		leaf(fmt.Sprintf("n%d.example", i))
	}
	if got := m.recent.Len(); got != leafLimit || len(m.byNames) != leafLimit {
		t.Errorf("%d leaves remembered, want %d", got, leafLimit)
	}
	if leaf("a.example") == first {
		t.Error("the leaf used longest ago was not forgotten")
	}
	last := leaf("a.example")
	now = last.Leaf.NotAfter.Add(-time.Hour)
	if leaf("a.example") == last {
		t.Error("a leaf that ends within the hour was handed out again")
	}
	if m.recent.Len() != len(m.byNames) {
		t.Errorf("replacing a leaf left %d in the list and %d in the map", m.recent.Len(), len(m.byNames))
	}
}

func TestLeafFromManyGoroutines(t *testing.T) {
	m := testCA().Minter(nil)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			if _, err := m.Leaf([]string{fmt.Sprintf("n%d.example", i%5)}, i%2 == 0); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestLeafWithoutNames(t *testing.T) {
	if _, err := testCA().Minter(nil).Leaf([]string{"", "."}, true); err == nil {
		t.Error("a certificate without a name was minted")
	}
}

func TestLoadOrCreateCAOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "mpproxy")
	var (
		mu      sync.Mutex
		wg      sync.WaitGroup
		made    int
		serials = map[string]bool{}
	)
	for range 6 {
		wg.Go(func() {
			ca, created, err := LoadOrCreateCA(dir, "Test CA", noon)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			serials[ca.Cert.SerialNumber.String()] = true
			if created {
				made++
			}
		})
	}
	wg.Wait()
	if made != 1 || len(serials) != 1 {
		t.Errorf("%d made a CA and %d different ones were seen; agents would trust only one", made, len(serials))
	}
	entries, _ := os.ReadDir(dir)
	if len(entries) != 2 {
		t.Errorf("left behind: %v", entries)
	}
	if runtime.GOOS != "windows" {
		for name, want := range map[string]os.FileMode{"": 0o700, CAFile: 0o644, CAKeyFile: 0o600} {
			if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != want {
				t.Errorf("%q: mode %v (%v), want %v", name, info.Mode().Perm(), err, want)
			}
		}
	}
}

func TestLoadOrCreateCAHalfThere(t *testing.T) {
	dir := t.TempDir()
	if _, _, err := LoadOrCreateCA(dir, "Test CA", noon); err != nil {
		t.Fatal(err)
	}
	keyFile := filepath.Join(dir, CAKeyFile)
	key, err := os.ReadFile(keyFile)
	if err != nil {
		t.Fatal(err)
	}
	os.Remove(keyFile)
	if _, _, err := LoadOrCreateCA(dir, "Test CA", noon); err == nil || !strings.Contains(err.Error(), "no key beside it") {
		t.Errorf("a CA without its key was replaced, or the error does not say what to do: %v", err)
	}
	os.Remove(filepath.Join(dir, CAFile))
	if err := os.WriteFile(keyFile, key, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, created, err := LoadOrCreateCA(dir, "Test CA", noon); err != nil || !created {
		t.Errorf("a key that a killed process left behind stops the next one: created %v, %v", created, err)
	}
}

func TestIssuedPairShakesHands(t *testing.T) {
	server, err := testCA().Issue(IssueRequest{CommonName: "mp01", DNSNames: []string{"mp01.lab.example"}, Usage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, NotBefore: noon, NotAfter: noon.AddDate(1, 0, 0)})
	if err != nil {
		t.Fatal(err)
	}
	client, err := testCA().Issue(IssueRequest{CommonName: "LAB-001", Usage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, NotBefore: noon})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := client.Leaf.NotAfter, noon.AddDate(1, 0, 0); !got.Equal(want) {
		t.Errorf("default end %v, want a year after the beginning, %v", got, want)
	}
	clock := func() time.Time { return noon.Add(time.Hour) }
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	go tls.Server(a, &tls.Config{Certificates: []tls.Certificate{*server}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: testCA().Pool(), Time: clock}).Write([]byte("ok"))
	conn := tls.Client(b, &tls.Config{ServerName: "mp01.lab.example", Certificates: []tls.Certificate{*client}, RootCAs: testCA().Pool(), Time: clock})
	got := make([]byte, 2)
	if _, err := io.ReadFull(conn, got); err != nil {
		t.Errorf("issued certificates do not shake hands: %v", err)
	}
}

func TestSelfSignedPurposes(t *testing.T) {
	cert, err := SelfSigned(IssueRequest{CommonName: "LAB-001", ExtraOIDs: AgentPurposes})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.EqualFunc(cert.Leaf.UnknownExtKeyUsage, AgentPurposes, asn1.ObjectIdentifier.Equal) {
		t.Errorf("purposes %v, want %v", cert.Leaf.UnknownExtKeyUsage, AgentPurposes)
	}
	if err := cert.Leaf.CheckSignature(cert.Leaf.SignatureAlgorithm, cert.Leaf.RawTBSCertificate, cert.Leaf.Signature); err != nil {
		t.Errorf("not signed by its own key: %v", err)
	}
}

func TestKeyPairFiles(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	put := func(name string, content []byte) string {
		t.Helper()
		if err := os.WriteFile(at(name), content, 0o600); err != nil {
			t.Fatal(err)
		}
		return at(name)
	}
	cert, err := testCA().Issue(IssueRequest{CommonName: "LAB-001"})
	if err != nil {
		t.Fatal(err)
	}
	if err := WriteKeyPair(cert, at("c.pem"), at("k.pem")); err != nil {
		t.Fatal(err)
	}
	if err := WriteKeyPair(cert, at("one.pem"), at("one.pem")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"k.pem", "one.pem"} {
		if ReadableByOthers(at(name)) {
			t.Errorf("others may read the key in %s", name)
		}
	}
	c, _ := os.ReadFile(at("c.pem"))
	k, _ := os.ReadFile(at("k.pem"))
	put("both.pem", slices.Concat(k, c))
	put("ca-first.pem", slices.Concat(testCA().PEM(), c))
	put("garbage.pem", []byte("no key here"))
	put("encrypted.pem", []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"))
	stranger, err := SelfSigned(IssueRequest{CommonName: "stranger"})
	if err != nil {
		t.Fatal(err)
	}
	other, err := keyPEM(stranger.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	put("other.pem", other)
	pkcs1 := x509.MarshalPKCS1PrivateKey(cert.PrivateKey.(*rsa.PrivateKey))
	put("pkcs1.der", pkcs1)
	pfx, err := pkcs12.Modern.Encode(cert.PrivateKey, cert.Leaf, []*x509.Certificate{testCA().Cert}, "secret")
	if err != nil {
		t.Fatal(err)
	}
	put("c.pfx", pfx)
	open, err := pkcs12.Modern.Encode(cert.PrivateKey, cert.Leaf, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	put("open.pfx", open)

	tests := []struct{ cert, key, want string }{
		{"c.pem", "k.pem", ""},
		{"both.pem", "", ""},
		{"one.pem", "", ""},
		{"ca-first.pem", "k.pem", ""},
		{"c.pem", "pkcs1.der", ""},
		{"open.pfx", "", ""},
		{"c.pfx", "", "has a password"},
		{"c.pem", "", "no private key in it"},
		{"c.pem", "other.pem", "does not belong to"},
		{"c.pem", "encrypted.pem", "decrypt it first"},
		{"garbage.pem", "k.pem", "no certificate in it"},
		{"missing.pem", "", "read certificate"},
	}
	for _, test := range tests {
		key := test.key
		if key != "" {
			key = at(key)
		}
		got, err := LoadKeyPair(at(test.cert), key)
		switch {
		case test.want != "":
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s + %s: error %v does not say %q", test.cert, test.key, err, test.want)
			}
		case err != nil:
			t.Errorf("%s + %s: %v", test.cert, test.key, err)
		case !got.Leaf.Equal(cert.Leaf) || !sameKey(got.PrivateKey.(crypto.Signer).Public(), cert.Leaf.PublicKey):
			t.Errorf("%s + %s: another pair came out", test.cert, test.key)
		}
	}
	if got, err := LoadPFX(at("c.pfx"), "secret"); err != nil || len(got.Certificate) != 2 {
		t.Errorf("PKCS#12 with its password: %v, or its chain is lost", err)
	}
	if _, err := LoadPFX(at("c.pfx"), "wrong"); err == nil || !strings.Contains(err.Error(), "wrong") {
		t.Errorf("wrong password: %v", err)
	}
	put("ca.der", testCA().Cert.Raw)
	put("ca.pem", testCA().PEM())
	for _, name := range []string{"ca.der", "ca.pem"} {
		if pool, err := LoadPool(at(name)); err != nil || !pool.Equal(testCA().Pool()) {
			t.Errorf("%s: %v, or another CA in the pool", name, err)
		}
	}
	if _, err := LoadCA(at("c.pem"), at("k.pem")); err == nil || !strings.Contains(err.Error(), "not a CA") {
		t.Errorf("a leaf was taken as CA: %v", err)
	}
}
