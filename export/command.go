package export

import (
	"fmt"
	"strings"
	"unicode"

	"mpproxy/traffic"
)

// sendable is what a command needs to send a request again.
type sendable struct {
	name   string // of its files, without ending
	method string
	url    string
	// fields are in order, without those that the tool makes itself.
	fields  []traffic.Field
	chunked bool
	body    []byte
	title   string
	// certified says that the agent showed a client certificate.
	certified bool
	// comment says what the reader has to know.
	comment []string
}

// sendableOf is a request as a command sends it.
func sendableOf(i *Item) (*sendable, error) {
	m := i.Request
	if m == nil || i.Row.Method == "" || i.Row.Method == "CONNECT" {
		return nil, errSkip
	}
	method, _, _ := m.Head.Request()
	s := &sendable{
		name: fmt.Sprintf("%08d", i.Row.ID), method: method, url: URL(i), body: m.Body,
		title:     oneLine(fmt.Sprintf("exchange %d: %s", i.Row.ID, i.Row.Long)),
		certified: i.Row.Auth == "cert",
	}
	for _, f := range m.Head.Fields {
		switch strings.ToLower(f.Name) {
		case "transfer-encoding":
			s.chunked = strings.EqualFold(strings.TrimSpace(f.Value), "chunked")
		case "content-length":
		default:
			s.fields = append(s.fields, f)
		}
	}
	if m.Size > int64(len(m.Body)) {
		s.comment = append(s.comment, fmt.Sprintf("The body is not whole: %d of %d bytes.", len(m.Body), m.Size))
	}
	if m.Redacted {
		s.comment = append(s.comment, "Secrets were taken out: the management point will refuse it. Export with --secrets for all of it.")
	}
	return s, nil
}

// oneLine is text that cannot end a comment.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, utf8Of(s))
}

// curl writes a shell script with one curl command, and a file with the body,
// for each request.
type curl struct{ o *output }

func newCurl(o *output) writer { return &curl{o} }

func (c *curl) item(i *Item) error {
	s, err := sendableOf(i)
	if err != nil {
		return err
	}
	if err := c.o.file(s.name+".sh", []byte(c.script(s)), 0o700); err != nil {
		return err
	}
	if len(s.body) == 0 {
		return nil
	}
	return c.o.file(s.name+".body", s.body, 0o600)
}

// own are the fields that curl sends by itself unless it is told otherwise.
var own = []string{"User-Agent", "Accept", "Content-Type", "Expect"}

func (c *curl) script(s *sendable) string {
	var b strings.Builder
	fmt.Fprintf(&b, "#!/bin/sh\n# %s\n", s.title)
	if s.certified {
		b.WriteString("# The agent showed a client certificate: set MPPROXY_CERT to a PEM file with certificate and key.\n")
	}
	for _, line := range s.comment {
		fmt.Fprintf(&b, "# %s\n", oneLine(line))
	}
	b.WriteString("# MPPROXY_URL, when set, stands in place of scheme, host and port.\n")
	scheme, rest, _ := strings.Cut(s.url, "://")
	host, path, _ := strings.Cut(rest, "/")
	fmt.Fprintf(&b, "cd \"$(dirname \"$0\")\" || exit 1\n")
	fmt.Fprintf(&b, "curl --http1.1 --silent --show-error --include --globoff --path-as-is \\\n")
	fmt.Fprintf(&b, "  ${MPPROXY_CERT:+--cert \"$MPPROXY_CERT\"} ${MPPROXY_CA:+--cacert \"$MPPROXY_CA\"} \\\n")
	if s.method == "HEAD" {
		fmt.Fprintf(&b, "  --head \\\n")
	} else {
		fmt.Fprintf(&b, "  --request %s \\\n", shell(s.method))
	}
	fmt.Fprintf(&b, "  --url \"${MPPROXY_URL:-%s}\"%s \\\n", inQuotes(scheme+"://"+host), shell("/"+path))
	for _, name := range own {
		if !has(s.fields, name) {
			fmt.Fprintf(&b, "  --header %s \\\n", shell(name+":"))
		}
	}
	for _, f := range s.fields {
		line := f.Name + ": " + f.Value
		if f.Value == "" {
			line = f.Name + ";" // curl's way to write a field without a value
		}
		fmt.Fprintf(&b, "  --header %s \\\n", shell(line))
	}
	switch {
	case len(s.body) == 0 && s.method != "GET" && s.method != "HEAD":
		b.WriteString("  --header 'Content-Length: 0'\n")
	case len(s.body) == 0:
		b.WriteString("  --no-keepalive\n")
	case s.chunked:
		fmt.Fprintf(&b, "  --header 'Transfer-Encoding: chunked' --data-binary @%s\n", s.name+".body")
	default:
		fmt.Fprintf(&b, "  --data-binary @%s\n", s.name+".body")
	}
	return b.String()
}

func has(fs []traffic.Field, name string) bool {
	for _, f := range fs {
		if strings.EqualFold(f.Name, name) {
			return true
		}
	}
	return false
}

// shell quotes a word for a POSIX shell.
func shell(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// inQuotes is text inside of double quotes of a POSIX shell.
func inQuotes(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`", "}", `\}`).Replace(s)
}

func (c *curl) end() error { return nil }

// powerShell writes a script for each request. Invoke-WebRequest refuses
// methods that it does not know and fields in order, so the scripts use
// HttpClient.
type powerShell struct{ o *output }

func newPowerShell(o *output) writer { return &powerShell{o} }

func (p *powerShell) item(i *Item) error {
	s, err := sendableOf(i)
	if err != nil {
		return err
	}
	script := strings.ReplaceAll(p.script(s), "\n", "\r\n")
	if err := p.o.file(s.name+".ps1", append([]byte("\xef\xbb\xbf"), script...), 0o600); err != nil {
		return err
	}
	if len(s.body) == 0 {
		return nil
	}
	return p.o.file(s.name+".body", s.body, 0o600)
}

func (p *powerShell) script(s *sendable) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n", s.title)
	if s.certified {
		b.WriteString("# The agent showed a client certificate: name one with -Thumbprint.\n")
	}
	for _, line := range s.comment {
		fmt.Fprintf(&b, "# %s\n", oneLine(line))
	}
	b.WriteString(`param([string] $Url, [string] $Thumbprint, [switch] $SkipCertificateCheck)
# -Url stands in place of scheme, host and port; -Thumbprint picks a client
# certificate of Cert:\LocalMachine\My or Cert:\CurrentUser\My.
$ErrorActionPreference = 'Stop'
Add-Type -AssemblyName System.Net.Http
$handler = New-Object System.Net.Http.HttpClientHandler
$handler.AllowAutoRedirect = $false
$handler.UseCookies = $false
if ($Thumbprint) {
    $cert = Get-ChildItem Cert:\LocalMachine\My, Cert:\CurrentUser\My | Where-Object Thumbprint -eq $Thumbprint | Select-Object -First 1
    if (-not $cert) { throw "no certificate with thumbprint $Thumbprint in the computer's or the user's store" }
    [void] $handler.ClientCertificates.Add($cert)
}
if ($PSVersionTable.PSVersion.Major -lt 6) {
    # Windows PowerShell may begin with TLS 1.0, and asks with Expect before it sends.
    [System.Net.ServicePointManager]::SecurityProtocol = [System.Net.ServicePointManager]::SecurityProtocol -bor [System.Net.SecurityProtocolType]::Tls12
    [System.Net.ServicePointManager]::Expect100Continue = $false
}
if ($SkipCertificateCheck) {
    # .NET asks on a thread that can run no script block: both ways have compiled code.
    if ($PSVersionTable.PSVersion.Major -lt 6) {
        Add-Type 'public static class TrustAll { public static void Begin() { System.Net.ServicePointManager.ServerCertificateValidationCallback = delegate { return true; }; } }'
        [TrustAll]::Begin()
    } else {
        $handler.ServerCertificateCustomValidationCallback = [System.Net.Http.HttpClientHandler]::DangerousAcceptAnyServerCertificateValidator
    }
}
$client = New-Object System.Net.Http.HttpClient($handler)
`)
	scheme, rest, _ := strings.Cut(s.url, "://")
	host, path, _ := strings.Cut(rest, "/")
	fmt.Fprintf(&b, "if (-not $Url) { $Url = %s }\n", psQuote(scheme+"://"+host))
	fmt.Fprintf(&b, "$request = New-Object System.Net.Http.HttpRequestMessage([System.Net.Http.HttpMethod]::new(%s), ($Url + %s))\n", psQuote(s.method), psQuote("/"+path))
	content := len(s.body) > 0 || s.method != "GET" && s.method != "HEAD"
	switch {
	case len(s.body) > 0:
		fmt.Fprintf(&b, "$request.Content = New-Object System.Net.Http.ByteArrayContent(,[System.IO.File]::ReadAllBytes((Join-Path $PSScriptRoot %s)))\n", psQuote(s.name+".body"))
	case content: // or there would be no Content-Length
		b.WriteString("$request.Content = New-Object System.Net.Http.ByteArrayContent(,[byte[]] @())\n")
	}
	if s.chunked {
		b.WriteString("$request.Headers.TransferEncodingChunked = $true\n")
	}
	for _, f := range s.fields {
		target := "$request"
		if strings.HasPrefix(strings.ToLower(f.Name), "content-") {
			if !content {
				continue
			}
			target = "$request.Content"
		}
		fmt.Fprintf(&b, "[void] %s.Headers.TryAddWithoutValidation(%s, %s)\n", target, psQuote(f.Name), psQuote(f.Value))
	}
	b.WriteString(`$reply = $client.SendAsync($request).GetAwaiter().GetResult()
"HTTP/$($reply.Version) $([int] $reply.StatusCode) $($reply.ReasonPhrase)"
$reply.Headers | ForEach-Object { "$($_.Key): $($_.Value -join ', ')" }
$reply.Content.Headers | ForEach-Object { "$($_.Key): $($_.Value -join ', ')" }
$bytes = $reply.Content.ReadAsByteArrayAsync().GetAwaiter().GetResult()
`)
	fmt.Fprintf(&b, "[System.IO.File]::WriteAllBytes((Join-Path $PSScriptRoot %s), $bytes)\n", psQuote(s.name+".reply"))
	fmt.Fprintf(&b, "\"$($bytes.Length) bytes of the body are in %s.reply\"\n", s.name)
	return b.String()
}

// psQuote quotes a word for PowerShell, which takes curly quotes for quotes.
func psQuote(s string) string {
	var b strings.Builder
	b.WriteByte('\'')
	for _, r := range utf8Of(s) {
		if strings.ContainsRune("'\u2018\u2019\u201a\u201b", r) {
			b.WriteRune(r)
		}
		b.WriteRune(r)
	}
	b.WriteByte('\'')
	return b.String()
}

func (p *powerShell) end() error { return nil }
