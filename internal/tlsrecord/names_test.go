package tlsrecord

import (
	"crypto/tls"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// TestNames fails for a name that is empty, or stands for two numbers.
func TestNames(t *testing.T) {
	table(t, "versions", versions)
	table(t, "content types", contentTypes)
	table(t, "handshake types", handshakeTypes)
	table(t, "extensions", extensionTypes)
	table(t, "groups", groups)
	table(t, "signature schemes", signatureSchemes)
	table(t, "certificate types", certificateTypes)
	table(t, "suites", suites)
	table(t, "SSL 2.0 suites", ssl2Suites)
	seen := map[string]bool{}
	for code, a := range alerts {
		if a.name == "" || a.meaning == "" || seen[a.name] || seen[a.meaning] {
			t.Errorf("alert %d: %q, %q", code, a.name, a.meaning)
		}
		seen[a.name], seen[a.meaning] = true, true
	}
}

func table[K ~uint8 | ~uint16 | ~uint32](t *testing.T, what string, names map[K]string) {
	t.Helper()
	seen := map[string]K{}
	for k, name := range names {
		if other, twice := seen[name]; name == "" || twice {
			t.Errorf("%s: %d and %d are both %q", what, k, other, name)
		}
		seen[name] = k
	}
}

// TestUnknownNames are given in hex.
func TestUnknownNames(t *testing.T) {
	for got, want := range map[string]string{
		Version(0x0309).String():           "0x0309",
		Version(0x7f1c).String():           "TLS 1.3 draft 28",
		Suite(0xabcd).String():             "0xabcd",
		Group(0xabcd).String():             "0xabcd",
		SignatureScheme(0xabcd).String():   "0xabcd",
		SignatureScheme(0x0202).String():   "dsa_sha1",
		SignatureScheme(0x0101).String():   "rsa_pkcs1_md5",
		ExtensionType(0xabcd).String():     "0xabcd",
		ExtensionType(0x1a1a).String():     "GREASE 0x1a1a",
		HandshakeType(200).String():        "0xc8",
		ContentType(200).String():          "0xc8",
		CertificateType(200).String():      "0xc8",
		AlertCode(200).String():            "0xc8",
		AlertCode(200).Meaning():           "",
		AlertCode(48).String():             "unknown_ca",
		AlertLevel(7).String():             "0x07",
		SSL2Suite(0xabcdef).String():       "0xabcdef",
		Guess(0).String():                  "",
		SealedHelloRequest.String():        "HelloRequest",
		Side(0).String() + Server.String(): "clientserver",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestNamesAsGo holds names against those of crypto/tls.
func TestNamesAsGo(t *testing.T) {
	for _, s := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		if got := Suite(s.ID).String(); got != s.Name {
			t.Errorf("suite %04x is %q, crypto/tls says %q", s.ID, got, s.Name)
		}
	}
	for _, v := range allVersions {
		if got, want := v.String(), tls.VersionName(uint16(v)); got != want {
			t.Errorf("version %q, crypto/tls says %q", got, want)
		}
	}
}

// TestSuitesAsOpenSSL holds the names of suites against those that openssl
// gives for the same numbers.
func TestSuitesAsOpenSSL(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "openssl", "ciphers", "-V", "-stdname", "ALL:COMPLEMENTOFALL:@SECLEVEL=0").Output()
	if err != nil {
		t.Fatalf("openssl is needed for this test: %v", err)
	}
	checked := 0
	for _, line := range strings.Split(string(out), "\n") {
		fields := strings.Fields(line) // 0x13,0x02 - TLS_AES_256_GCM_SHA384 - …
		if len(fields) < 3 {
			continue
		}
		n, err := strconv.ParseUint(strings.ReplaceAll(strings.TrimPrefix(fields[0], "0x"), ",0x", ""), 16, 16)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if got := Suite(n).String(); got != fields[2] {
			t.Errorf("suite %04x is %q, openssl says %q", n, got, fields[2])
		}
		checked++
	}
	if checked < 50 {
		t.Errorf("only %d suites in openssl's list", checked)
	}
}
