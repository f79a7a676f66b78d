package redact

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"

	"mpproxy/decode"
	"mpproxy/traffic"
)

const secret = "89130000hunter2"

// A secret that is left in an export is out for good; what is no secret has to
// stay, or the export is of no use.
func TestText(t *testing.T) {
	for _, c := range []struct {
		name, text string
		n          int
		keeps      string
	}{
		{"a secret property", `<Policy><property name="x" secret="1"><value><![CDATA[` + secret + `]]></value></property><property name="y"><value>plain</value></property></Policy>`, 1, "plain"},
		{"of a secret class", `<instance class="CCM_NetworkAccessAccount"><property name="a"><value>` + secret + `</value></property></instance>`, 1, "CCM_NetworkAccessAccount"},
		{"by its name", `<P><property name="NetworkAccessPassword"><value>` + secret + `</value></property></P>`, 1, "NetworkAccessPassword"},
		{"a collection variable", `<instance class="CCM_CollectionVariable"><property name="Value"><value>` + secret + `</value></property></instance>`, 1, ""},
		{"PolicySecret", `<PolicySecret Version="1"><![CDATA[` + secret + `]]></PolicySecret>`, 1, "Version"},
		{"a task sequence", `<TS_Sequence>` + secret + `</TS_Sequence>`, 1, ""},
		{"packed policy", `<Policy PolicyCategory="NAAConfig"><PolicyXML Compression="zlib"><![CDATA[` + secret + `]]></PolicyXML></Policy>`, 1, "zlib"},
		{"packed policy of another kind", `<Policy PolicyCategory="InventoryAction"><PolicyXML Compression="zlib">abcd</PolicyXML></Policy>`, 0, "abcd"},
		{"in an attribute", `<Properties><Property Name="RegToken" Value='` + secret + `'/><Property Name="Other" Value="v"/></Properties>`, 1, `Value="v"`},
		{"two of them", `<P><property name="a" secret="1"><value>` + secret + `</value></property><property name="b" secret="1"><value>` + secret + `</value></property></P>`, 2, ""},
		{"packed policy with a secret, whatever its kind", `<Policy PolicyCategory="ClientConfig"><PolicyXML Compression="zlib"><![CDATA[` + packed(t, `<r><property name="x" secret="1"><value>`+secret+`</value></property></r>`) + `]]></PolicyXML></Policy>`, 1, "ClientConfig"},
		{"policy in a policy", `<Policy><PolicyXML><![CDATA[<instance class="CCM_NetworkAccessAccount"><property name="a"><value>` + secret + `</value></property></instance>]]></PolicyXML></Policy>`, 1, "CCM_NetworkAccessAccount"},
		{"an element by its name", `<s:Envelope><s:Body><CCMToken>` + secret + `</CCMToken></s:Body></s:Envelope>`, 1, "s:Body"},
		{"an attribute by its name", `<A Password='` + secret + `' Other="v"/>`, 1, `Other="v"`},
		{"JSON", `{"access_token":"` + secret + `","expires_in":28800}`, 1, "28800"},
		{"a form", `grant=x&client_secret=` + secret + `&y=z`, 1, "&y=z"},
		{"no XML", `secret="1" ` + secret, 1, ""},
		{"cut short", `<property secret="1"><value>` + secret, 1, ""},
		{"nothing secret", `<A Token="x"><B/></A>`, 0, `<A Token="x"><B/></A>`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, n := Text(c.text)
			if n != c.n || !strings.Contains(got, c.keeps) || strings.Contains(got, secret) {
				t.Errorf("%d taken out, want %d: %s", n, c.n, got)
			}
			if again, more := Text(got); more > 0 && c.n > 0 && strings.Contains(again, secret) {
				t.Errorf("redacted twice: %s", again)
			}
		})
	}
}

// packed is text as policies hold it compressed.
func packed(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	for _, unit := range utf16.Encode([]rune("\ufeff" + text)) {
		if err := binary.Write(w, binary.LittleEndian, unit); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return strings.ToUpper(hex.EncodeToString(b.Bytes()))
}

// A URL carries secrets too, and stays one.
func TestLine(t *testing.T) {
	got, n := Line("GET /x?a=1&access_token=" + secret + "&sig=" + secret + "&design=2 HTTP/1.1")
	if n != 2 || strings.Contains(got, secret) || strings.Count(got, " ") != 2 || !strings.Contains(got, "a=1&") || !strings.HasSuffix(got, "&design=2 HTTP/1.1") {
		t.Errorf("%d taken out: %s", n, got)
	}
	const plain = "GET /SMS_MP/.sms_dcm?Id&DocumentId=x&Hash=AB HTTP/1.1"
	if got, n := Line(plain); n != 0 || got != plain {
		t.Errorf("%d taken out: %s", n, got)
	}
}

// What is said with a token service is a secret as a whole.
func TestTokenService(t *testing.T) {
	for _, body := range []string{`opaque ` + secret, `{"x":"` + secret + `"}`} {
		h := traffic.ParseHead([]byte("POST /CCM_STS HTTP/1.1\r\nHost: mp\r\n\r\n"))
		if r := Of(h, decodeBody(h, []byte(body))); r.Count != 1 || strings.Contains(string(r.Body), secret) {
			t.Errorf("%d taken out: %s", r.Count, r.Body)
		}
	}
	h := traffic.ParseHead([]byte("POST /else HTTP/1.1\r\nContent-Type: application/json\r\n\r\n"))
	if r := Of(h, decodeBody(h, []byte(`{"password":"`+secret+`","a":1}`))); r.Count != 1 || strings.Contains(string(r.Body), secret) || !strings.Contains(string(r.Body), `"a":1`) {
		t.Errorf("JSON: %d taken out: %s", r.Count, r.Body)
	}
}

func TestHead(t *testing.T) {
	raw := "GET / HTTP/1.1\r\nHost: mp01\r\nauthorization: Negotiate " + secret + "\r\nCookie: id=" + secret + "\r\n" +
		"ClientToken: " + secret + "\r\nClientTokenSignature:" + secret + "\r\nWWW-Authenticate: Negotiate\r\nCCMToken: " + secret + "\r\nLocation: /y?token=" + secret + "\r\nX: " + "kept" + "\r\n\r\n"
	h, n := Head(traffic.ParseHead([]byte(raw)))
	got := string(h.Raw)
	if n != 6 || strings.Contains(got, secret) {
		t.Fatalf("%d taken out: %s", n, got)
	}
	for _, keeps := range []string{"authorization: Negotiate [redacted", "Cookie: id=[redacted", "ClientTokenSignature:[redacted", "WWW-Authenticate: Negotiate\r\n", "X: kept\r\n\r\n"} {
		if !strings.Contains(got, keeps) {
			t.Errorf("%q is not in it: %s", keeps, got)
		}
	}
	if same, n := Head(traffic.ParseHead([]byte("GET / HTTP/1.1\r\n\r\n"))); n != 0 || string(same.Raw) != "GET / HTTP/1.1\r\n\r\n" {
		t.Errorf("%d taken out of a head without secrets", n)
	}
}

// Every sample goes through: messages stay readable, and the ones with secrets
// have none afterwards.
func TestSamples(t *testing.T) {
	files, err := filepath.Glob("../../testdata/samples/wire/*.http")
	if err != nil || len(files) == 0 {
		t.Fatal("no samples", err)
	}
	found := 0
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		end := strings.Index(string(b), "\r\n\r\n") + 4
		h := traffic.ParseHead(b[:end])
		m := decodeBody(h, b[end:])
		r := Of(h, m)
		found += r.Count
		if r.Body == nil {
			continue
		}
		again := decodeBody(r.Head, r.Body)
		if again.Kind != m.Kind || again.Endpoint != m.Endpoint {
			t.Errorf("%s: %s %s became %s %s", f, m.Kind, m.Endpoint, again.Kind, again.Endpoint)
		}
		if _, n := Text(again.Text.String); n > 0 && !strings.Contains(again.Text.String, "[redacted") {
			t.Errorf("%s: still has secrets", f)
		}
	}
	if found == 0 {
		t.Error("no secret in any sample")
	}
}

func decodeBody(h traffic.Head, body []byte) *decode.Message {
	dir := traffic.Reply
	if method, _, _ := h.Request(); method != "" && h.Status() == 0 {
		dir = traffic.Request
	}
	return decode.Decode(decode.Source{
		Dir: dir, Head: h, Body: strings.NewReader(string(body)), Size: int64(len(body)), Framing: traffic.ByLength, Whole: true,
	}, decode.Full)
}

func FuzzText(f *testing.F) {
	f.Add(`<property secret="1"><value>x</value></property>`)
	f.Add(`<PolicySecret><![CDATA[x]]>`)
	f.Add(`<P Value="1" password="x" Name='Password'/>`)
	f.Fuzz(func(t *testing.T, s string) {
		got, n := Text(s)
		if n == 0 && got != s {
			t.Errorf("changed without a count: %q", got)
		}
	})
}
