package mpsim

import (
	"bufio"
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mpproxy/internal/pki"
)

// sample is a whole HTTP request of another program.
func sample(t testing.TB, name string) (*http.Request, []byte) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(content)))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(request.Body)
	if err != nil {
		t.Fatal(err)
	}
	return request, body
}

func sampleKey(t *testing.T) *rsa.PublicKey {
	t.Helper()
	der, err := os.ReadFile(filepath.Join("testdata", "client.cer"))
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert.PublicKey.(*rsa.PublicKey)
}

// The site must take what others write, and find their signatures good: else
// it and its agents agree with each other alone.
func TestForeignMessages(t *testing.T) {
	key := sampleKey(t)
	tests := []struct {
		file, endpoint, root string
		attachments          int
	}{
		{"03-policy-request.http", "MP_PolicyManager", "RequestAssignments", 0},
		{"05-metering-request.http", "MP_RelayEndpoint", "Report", 1},
		{"11-state-request.http", "MP_RelayEndpoint", "Report", 0},
	}
	for _, test := range tests {
		t.Run(test.file, func(t *testing.T) {
			request, body := sample(t, test.file)
			m, err := parseMessage(request.Header.Get("Content-Type"), body)
			if err != nil {
				t.Fatal(err)
			}
			if m.TargetEndpoint != test.endpoint || rootName(m.text) != test.root || len(m.attachments) != test.attachments {
				t.Errorf("read as %s, <%s>, %d attachments", m.TargetEndpoint, rootName(m.text), len(m.attachments))
			}
			if !verify(key, m.sent, m.auth("PayloadSignature")) {
				t.Error("a good payload signature is refused")
			}
			if !goodID(key, m) {
				t.Error("a good signature of the client id is refused")
			}
			if got := upperHex(publicKeyBlob(key)); got != m.auth("PublicKey") {
				t.Errorf("our PUBLICKEYBLOB of this key is\n%s, theirs\n%s", got, m.auth("PublicKey"))
			}
			for _, a := range m.attachments {
				if rootName(fromUTF16(a.data)) != "Report" {
					t.Errorf("attachment %q is no report", a.name)
				}
			}
		})
	}
}

func TestForeignRegistration(t *testing.T) {
	request, body := sample(t, "01-registration-request.http")
	m, err := parseMessage(request.Header.Get("Content-Type"), body)
	if err != nil {
		t.Fatal(err)
	}
	r, c, err := readRegistration(m.text)
	if err != nil {
		t.Fatalf("a good registration is refused: %v", err)
	}
	if !c.signing.Equal(sampleKey(t)) || c.name == "" || r.Data.RequestType != "Registration" {
		t.Errorf("read as %q, %q, or with another key", c.name, r.Data.RequestType)
	}
	if _, _, err := readRegistration(strings.Replace(m.text, `Value="1033"`, `Value="1031"`, 1)); err == nil {
		t.Error("a registration that was changed after signing is taken")
	}
}

func TestForeignToken(t *testing.T) {
	request, _ := sample(t, "07-policy-body-request.http")
	token, signature := request.Header.Get("ClientToken"), request.Header.Get("ClientTokenSignature")
	if !verify(sampleKey(t), withNUL(token), signature) {
		t.Error("a good token is refused")
	}
	if verify(sampleKey(t), withNUL(token+"x"), signature) {
		t.Error("a changed token is taken")
	}
}

func TestEnvelope(t *testing.T) {
	self, err := pki.SelfSigned(pki.IssueRequest{CommonName: "WS-0042", Key: testKey()})
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{0, 1, 15, 16, 17, 5000} {
		plain := noise(size, 1, "envelope")
		der, err := envelope(plain, self.Leaf)
		if err != nil {
			t.Fatal(err)
		}
		got, err := openEnvelope(der, testKey())
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes do not come back: %v", size, err)
		}
	}
}

// What the site reads comes from the network: nothing of it may panic.
func FuzzParseMessage(f *testing.F) {
	for _, name := range []string{"01-registration-request.http", "03-policy-request.http", "05-metering-request.http"} {
		request, body := sample(f, name)
		f.Add(request.Header.Get("Content-Type"), body)
	}
	f.Add(contentTypeCCM, multipart(`<Msg><Body Offset="9" Length="-1"/></Msg>`, []byte("x"), false))
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		m, err := parseMessage(contentType, body)
		if err != nil {
			return
		}
		if len(m.sent) > len(body) {
			t.Errorf("payload of %d bytes in a body of %d", len(m.sent), len(body))
		}
		endpointOf(m, rootName(m.text))
		_, _, _ = readRegistration(m.text)
		replyAddress(m)
	})
}

func FuzzOpenEnvelope(f *testing.F) {
	self, err := pki.SelfSigned(pki.IssueRequest{CommonName: "WS-0042", Key: testKey()})
	if err != nil {
		f.Fatal(err)
	}
	der, err := envelope([]byte("policy"), self.Leaf)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(der)
	f.Fuzz(func(t *testing.T, der []byte) {
		if plain, err := openEnvelope(der, testKey()); err == nil && len(plain) > len(der) {
			t.Errorf("%d bytes out of %d", len(plain), len(der))
		}
	})
}

func TestTemplatesAreFilled(t *testing.T) {
	s, url := start(t, SiteConfig{TwoStep: true})
	a := newAgent(t, s, url)
	if err := a.Live(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, r := range s.Received() {
		for _, text := range []string{r.Text, r.ReplyText} {
			if strings.ContainsAny(text, "«»") || strings.Contains(text, "<slot") || strings.Contains(text, "> <") {
				t.Errorf("a template of %s is not filled: %s", r.Kind, text)
			}
		}
	}
}
