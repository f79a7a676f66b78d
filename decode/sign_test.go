package decode

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"mpproxy/traffic"
)

// Signed again with another agent's key, every sample's signatures have to fit
// that key, in the form in which they were made, and nothing else may change.
func TestSign(t *testing.T) {
	key := testKey(t)
	template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "PC-2"}, NotBefore: arrived, NotAfter: arrived.Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string][]string{
		"01-registration-request.http": {"registration"},
		"03-policy-request.http":       {"payload", "client id"},
		"05-metering-request.http":     {"payload", "client id"},
		"07-policy-body-request.http":  {"token"},
		"11-state-request.http":        {"payload", "client id"},
	} {
		t.Run(file, func(t *testing.T) {
			old := Decode(source(mustRead(t, samples+"wire/"+file)), Full)
			was := old.VerifyWith([]Key{clientKey(t)})
			head, body, signed, err := old.Sign(Signer{key, cert}, was)
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(signed)
			slices.Sort(want)
			if !slices.Equal(signed, want) {
				t.Errorf("signed %v, want %v", signed, want)
			}
			head = traffic.ParseHead(SetField(head.Raw, "Content-Length", strconv.Itoa(len(body))))
			m := Decode(Source{Dir: traffic.Request, Head: head, Body: bytes.NewReader(body), Size: int64(len(body)), Framing: traffic.ByLength, Whole: true}, Full)
			got := m.VerifyWith([]Key{{"the new key", &key.PublicKey}})
			for i, s := range got {
				if s.State != Verified || s.Form != was[i].Form {
					t.Errorf("%s %v in form %q, want %q", s.What, s.State, s.Form, was[i].Form)
				}
			}
			if m.Kind != old.Kind || m.Header != nil && m.Header.ID != old.Header.ID || len(m.Text.String) == 0 != (len(old.Text.String) == 0) {
				t.Errorf("%s became %s", old.Kind, m.Kind)
			}
			for _, f := range m.Findings {
				if strings.Contains(f.Kind.Code, "length") || strings.Contains(f.Kind.Code, "signature") {
					t.Errorf("finding %s: %s", f.Kind.Code, f.Evidence)
				}
			}
		})
	}
}

// An agent that signs in an old or odd form goes on to do so: the management
// point may take nothing else from it.
func TestSignKeepsForm(t *testing.T) {
	key := testKey(t)
	for _, form := range []string{
		"SHA-256 with DigestInfo, bytes reversed, value and terminator", "SHA-1 bare, bytes in order, value without terminator",
	} {
		raw := "GET /SMS_MP/.sms_pol?x HTTP/1.1\r\nclienttoken:  GUID:1;2026;2\r\nClientTokenSignature: abcd\r\nX: y\r\n\r\n"
		m := Decode(source([]byte(raw)), Full)
		head, _, _, err := m.Sign(Signer{Key: key}, []Signature{{What: "token", Form: form}})
		if err != nil {
			t.Fatal(err)
		}
		sig := head.Get("ClientTokenSignature")
		if sig != strings.ToLower(sig) {
			t.Errorf("%q: hex in another case: %s", form, sig)
		}
		got := Decode(source(head.Raw), Full).VerifyWith([]Key{{"k", &key.PublicKey}})
		if len(got) != 1 || got[0].Form != form {
			t.Errorf("made %+v, want form %q", got, form)
		}
		if !strings.HasPrefix(string(head.Raw), raw[:strings.Index(raw, "abcd")]) || !strings.HasSuffix(string(head.Raw), "\r\nX: y\r\n\r\n") {
			t.Errorf("other bytes changed: %q", head.Raw)
		}
	}
}

func TestSetField(t *testing.T) {
	raw := []byte("GET / HTTP/1.1\r\nA:1\r\nb:   two  \nC:\r\n\r\n")
	for _, c := range []struct{ name, value, want string }{
		{"a", "9", "GET / HTTP/1.1\r\nA:9\r\nb:   two  \nC:\r\n\r\n"},
		{"B", "x", "GET / HTTP/1.1\r\nA:1\r\nb:   x\nC:\r\n\r\n"},
		{"C", "z", "GET / HTTP/1.1\r\nA:1\r\nb:   two  \nC:z\r\n\r\n"},
		{"D", "z", string(raw)},
	} {
		if got := string(SetField(raw, c.name, c.value)); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
