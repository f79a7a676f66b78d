package diagnose

import (
	"bytes"
	"encoding/csv"
	"os"
	"strings"
	"testing"
)

func TestExplain(t *testing.T) {
	for _, c := range []struct{ text, codes string }{
		{"0x80072f8f", "0x80072F8F"},
		{"0X80072F8F", "0x80072F8F"},
		{"12175", "0x80072F8F"},
		{"-2147012721", "0x80072F8F"},
		{"2147954575", "0x80072F8F"},
		{"12175 0x8", "0x80072F8F|flag 0x8"},
		{"12175 0x9", "0x80072F8F|flag 0x1|flag 0x8"},
		{"12175 0x80000000", "0x80072F8F|flag 0x80000000"},
		{"403.16", "403.16"},
		{"403.7 403.13", "403.7|403.13"},
		{"alert 48", "alert 48"},
		{"alert number 116", "alert 116"},
		{"unknown_ca", "alert 48"},
		{"36887", "Schannel 36887"},
		{"5", "0x80070005"},
		{"403", "403"},
		{"0x87d00231 0x87D0027E", "0x87D00231|0x87D0027E"},
		{"0x80190194", "0x80190194"},
		{"[CCMHTTP] ERROR: URL=https://mp01.lab.example/ccm_system/request, Port=443, Options=480, Code=12175, Text=ERROR_WINHTTP_SECURE_FAILURE", "0x80072F8F"},
		{"[CCMHTTP] ERROR INFO: StatusCode=403 StatusText=Forbidden", "403"},
		{"Post to http://mp01/ccm_system/request failed with 0x87d00231.", "0x87D00231"},
		{"[CCMHTTP] AsyncCallback(): lpvStatusInformation is 0x8", "flag 0x8"},
		{"2026-03-02 08:21:05 10.0.0.5 CCM_POST /ccm_system/request - 443 - 10.20.30.42 ccmhttp - 403 16 2148204809 15", "403.16|0x800B0109"},
		{"Raising event: instance of CCM_CcmHttp_Status { HostName = \"mp01\"; HRESULT = \"0x80072f8f\"; StatusCode = 0; }", "0x80072F8F"},
		{"Schannel Event ID 36887: A fatal alert was received. The TLS protocol defined fatal alert code is 48.", "Schannel 36887|alert 48"},
		{"Call to HttpSendRequestSync failed for port 443 with status code 403, text: Forbidden", "403"},
		{"*lpvStatusInformation is 0x8\nWINHTTP_CALLBACK_STATUS_FLAG_INVALID_CA is set", "flag 0x8"},
		{"WINHTTP_CALLBACK_STATUS_FLAG_CERT_REV_FAILED is set", "flag 0x1"},
		{"The TLS protocol defined fatal error code is 70. The Windows SChannel error state is 1205.", "alert 70"},
		{"The following fatal alert was received: 48.", "alert 48"},
		{"The following fatal alert was generated: 40. The internal error state is 1205.", "alert 40"},
		{"remote error: tls: unknown certificate authority", "alert 48"},
		{"tls: handshake failure", "alert 40"},
		{"the revocation server was offline. 80092013", "0x80092013"},
		{`Result="80092013"`, "0x80092013"},
		{"80072f8f", "0x80072F8F"},
		{"CERT_E_UNTRUSTEDROOT", "0x800B0109"},
		{"ERROR_WINHTTP_CLIENT_CERT_NO_PRIVATE_KEY", "0x80072F99"},
		{"HTTP/1.1 403 Forbidden", "403"},
		{"2026-11-25 09:00:00 10.0.0.9 51515 10.0.0.5 443 HTTP/1.1 GET / - 400 - Hostname -", "400"},
		{"HTTP Error 403.502 - Forbidden", "403.502"},
		{"403 501 0", "403.501"},
		{"A fatal error occurred while creating a TLS client credential. The internal error state is 10013.", "Schannel 36871"},
		{"curl: (35) error:0A000418:SSL routines::tlsv1 alert unknown ca", "curl 35|alert 48"},
		{"curl: (60) SSL certificate problem: unable to get local issuer certificate", "curl 60"},
		{"40E7:error:0A00010B:SSL routines:ssl3_get_record:wrong version number:../ssl/record/ssl3_record.c:354:", "error:0A00010B"},
		{"error:14094410:SSL routines:ssl3_read_bytes:sslv3 alert handshake failure:s3_pkt.c:1493:SSL alert number 40", "alert 40"},
		{"Get \"https://mp01/\": tls: failed to verify certificate: x509: certificate signed by unknown authority", "x509: certificate signed by unknown authority"},
		{"version 5.00.9128.1007 of 10.0.255.53 to 10.255.255.53:443", ""},
		{"nothing in here at all", ""},
		{"a port 443 and a thread 7760", ""},
	} {
		var codes []string
		for _, x := range Explain(c.text) {
			codes = append(codes, x.Code)
			if !x.Known || x.Meaning == "" || x.LookAt == "" {
				t.Errorf("%q: %s is not explained: %+v", c.text, x.Code, x)
			}
		}
		if got := strings.Join(codes, "|"); got != c.codes {
			t.Errorf("%q: got %s, want %s", c.text, got, c.codes)
		}
	}
}

// What is not known is said plainly, with a place to look.
func TestNotKnown(t *testing.T) {
	for _, text := range []string{"0x87d0ffff", "0x8007ffff", "alert 250", "403.99", "12175 0x100", "36869999999", "0xdeadbeef", "curl: (99)", "error:0A000001:SSL routines::"} {
		xs := Explain(text)
		last := Explanation{Known: true}
		if len(xs) > 0 {
			last = xs[len(xs)-1]
		}
		if text == "36869999999" && len(xs) == 0 {
			continue
		}
		if last.Known || !strings.Contains(last.Meaning, "not known") {
			t.Errorf("%s: %+v", text, xs)
		}
	}
}

func TestExplainTables(t *testing.T) {
	seen := map[string]bool{}
	for _, a := range alerts {
		if seen[a.name] || a.name == "" || a.meaning == "" || a.lookAt == "" {
			t.Errorf("alert %+v is incomplete or twice there", a)
		}
		seen[a.name] = true
	}
	codes := map[int]bool{}
	for _, e := range schannelEvents {
		if codes[e.code] || e.meaning == "" || e.lookAt == "" {
			t.Errorf("event %+v is incomplete or twice there", e)
		}
		codes[e.code] = true
	}
}

func FuzzExplain(f *testing.F) {
	f.Add("12175 0x8, alert 48 403.16")
	f.Fuzz(func(t *testing.T, text string) {
		seen := map[string]bool{}
		for _, x := range Explain(text) {
			if x.Code == "" || x.Meaning == "" || seen[x.Code] {
				t.Fatalf("%q: %+v", text, x)
			}
			seen[x.Code] = true
		}
	})
}

// TestExplainEveryCode: every code of the tables is found however logs write it.
func TestExplainEveryCode(t *testing.T) {
	read := func(name string) [][]string {
		b, err := os.ReadFile("../decode/tables/" + name)
		if err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(bytes.NewReader(b)).ReadAll()
		if err != nil || len(rows) < 50 {
			t.Fatalf("%s: %d rows, %v", name, len(rows), err)
		}
		return rows[1:]
	}
	expect := func(text, code string) {
		t.Helper()
		for _, x := range Explain(text) {
			if strings.EqualFold(x.Code, code) && x.Known {
				return
			}
		}
		t.Errorf("%q: %s is not found in %+v", text, code, Explain(text))
	}
	for _, row := range read("errors.csv") {
		code, decimal, signed, name := row[0], row[1], row[2], row[3]
		for _, text := range []string{code, decimal, signed, "Error: " + code, "failed with error " + signed, "[CCMHTTP] ERROR INFO: StatusCode=0 StatusText= , " + code} {
			expect(text, code)
		}
		if name != "" {
			expect("it said "+name+" again", code)
		}
	}
	for _, row := range read("iis_substatus.csv") {
		code := row[2]
		short := strings.TrimSuffix(code, ".0")
		for _, text := range []string{
			code, "HTTP Error " + code + " - Forbidden", strings.Replace(code, ".", " ", 1) + " 0",
			"2026-11-25 10:00:00 10.0.0.1 GET /ccm_system/request - 443 - 10.0.0.9 ccmhttp - " + strings.Replace(code, ".", " ", 1) + " 2148204809 15",
		} {
			expect(text, short)
		}
	}
}
