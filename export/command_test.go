package export

import (
	"strings"
	"testing"

	"mpproxy/traffic"
)

// PowerShell takes curly quotes for quotes, and nothing else in single quotes
// for anything.
func TestPSQuote(t *testing.T) {
	for in, want := range map[string]string{
		"a": "'a'", "it's": "'it''s'", "\u2018x\u2019\u201a\u201b": "'\u2018\u2018x\u2019\u2019\u201a\u201a\u201b\u201b'",
		"$(x) `n \"é\"": "'$(x) `n \"é\"'", "\xff": "'\ufffd'",
	} {
		if got := psQuote(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

func TestPowerShell(t *testing.T) {
	script := func(method string, body string) string {
		p := &powerShell{}
		return p.script(&sendable{
			name: "00000001", method: method, url: "https://mp/CCM_Incoming/{x}?a='b'", body: []byte(body), certified: true,
			fields: []traffic.Field{{Name: "Content-Range", Value: "bytes 0-1/2"}, {Name: "Host", Value: "mp"}},
		})
	}
	for _, c := range []struct{ method, body, has, lacks string }{
		{"CCM_POST", "x", "ReadAllBytes((Join-Path $PSScriptRoot '00000001.body'))", "@()"},
		{"BITS_POST", "", "ByteArrayContent(,[byte[]] @())", ".body'"}, // a length of 0 has to be sent
		{"GET", "", "::new('GET'), ($Url + '/CCM_Incoming/{x}?a=''b''')", "$request.Content"},
		{"CCM_POST", "x", "name one with -Thumbprint", "MPPROXY_CERT"},
		{"CCM_POST", "x", "$request.Content.Headers.TryAddWithoutValidation('Content-Range'", "$request.Headers.TryAddWithoutValidation('Content-"},
		// A script block cannot judge a certificate: .NET asks on another thread.
		{"GET", "", "DangerousAcceptAnyServerCertificateValidator", "{ $true }"},
	} {
		got := script(c.method, c.body)
		if !strings.Contains(got, c.has) || strings.Contains(got, c.lacks) {
			t.Errorf("%s %q: want %q and no %q:\n%s", c.method, c.body, c.has, c.lacks, got)
		}
	}
}
