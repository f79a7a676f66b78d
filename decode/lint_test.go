package decode

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"slices"
	"strings"
	"testing"

	"mpproxy/traffic"
)

// sampleSource makes of a sample what the wire would have carried: a body in
// its coding, in a message with a header that fits, or the answer to a GET.
func sampleSource(t testing.TB, row map[string]string) Source {
	t.Helper()
	raw := mustRead(t, samples+row["file"])
	dir := map[string]traffic.Dir{"request": traffic.Request, "reply": traffic.Reply}[row["direction"]]
	switch {
	case row["kind"] == "wire" || row["kind"] == "header":
		s := source(raw)
		s.Dir = dir
		s.TLS = strings.Contains(row["file"], "over-tls")
		return s
	case getQueries[row["endpoint"]] != "" || strings.HasPrefix(row["file"], "faulty/policy-body") || strings.HasPrefix(row["file"], "faulty/ci-"):
		return getReply(t, row, raw)
	case strings.HasPrefix(row["endpoint"], "/"):
		return posted(row["endpoint"], dir, raw)
	}
	return wrapped(t, row, dir, string(raw))
}

// getQueries are what the answers of the samples were asked with.
var getQueries = map[string]string{
	".sms_pol": ".sms_pol?{C83A61F0-94D7-4B2E-A5C1-6E0F7D38B912}.3_00", ".sms_aut?MPLIST": ".sms_aut?MPLIST",
	".sms_aut?MPCERT2": ".sms_aut?MPCERT2", ".sms_aut?MPKEYINFORMATIONEX": ".sms_aut?MPKEYINFORMATIONEX",
	".sms_aut?GETCLIENTAFFINITY": ".sms_aut?GETCLIENTAFFINITY&GUID:7C1E5B0A-3D24-4F66-9A0B-5E2C8D41F7A3",
	".sms_dcm":                   ".sms_dcm?Id&DocumentId=x/y/1/PROPERTIES",
}

func getReply(t testing.TB, row map[string]string, raw []byte) Source {
	query := getQueries[row["endpoint"]]
	if query == "" {
		query = getQueries[".sms_pol"]
		if strings.Contains(row["file"], "ci-") {
			query = getQueries[".sms_dcm"]
		}
	}
	ask := source([]byte("GET /SMS_MP/" + query + " HTTP/1.1\r\nHost: mp01.lab.example\r\n\r\n"))
	s := source(raw)
	s.Head = traffic.ParseHead([]byte("HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n\r\n"))
	s.Request = Decode(ask, Full)
	return s
}

func posted(path string, dir traffic.Dir, raw []byte) Source {
	method := map[bool]string{true: "PROPFIND", false: "POST"}[strings.Contains(path, "DP")]
	head := traffic.ParseHead([]byte(method + " " + path + " HTTP/1.1\r\nHost: mp01.lab.example\r\n\r\n"))
	s := source(raw)
	if dir == traffic.Request {
		s.Body = bytes.NewReader(Text{String: string(raw)}.Bytes())
		s.Size, s.Head = 2*int64(len(raw)), head
		return s
	}
	s.Request = Decode(Source{Head: head}, Full)
	s.Head = traffic.ParseHead([]byte("HTTP/1.1 207 Multi-Status\r\n\r\n"))
	return s
}

// wrapped puts a body or an attachment into a message.
func wrapped(t testing.TB, row map[string]string, dir traffic.Dir, text string) Source {
	endpoint, payload, ranges := row["endpoint"], Text{String: text, Tail: []byte{0, 0}}.Bytes(), ""
	attachment := ""
	switch {
	case row["kind"] == "attachment", strings.Contains(row["file"], "hinv-empty-body"):
		attachment = text
		payload = Text{String: headOnly(text), Tail: []byte{0, 0}}.Bytes()
	case strings.HasSuffix(row["file"], "hinv-body.xml"), strings.HasSuffix(row["file"], "ddr-body.xml"):
		attachment = string(mustRead(t, samples+map[bool]string{true: "ddr-attachment.xml", false: "hinv-full-attachment.xml"}[strings.HasPrefix(row["file"], "ddr")]))
	}
	length := len(payload)
	if attachment != "" {
		b := Text{String: attachment, BOM: true}.Bytes()
		ranges = fmt.Sprintf(`<Attachment Type="ByteRange" Name="{00000000-0000-0000-0000-000000000001}" Length="%d" Offset="%d" />`, len(b), length)
		payload = append(payload, b...)
	}
	file := "header-policy-request.xml"
	if endpoint == "" || strings.HasPrefix(endpoint, "(") {
		endpoint = guessEndpoint(text, dir)
	}
	header := string(mustRead(t, samples+file))
	property, mode := "", "Sync"
	if endpoint == "MP_RelayEndpoint" {
		property = `<Property Name="FileType" Value="` + fileTypeOf(text) + `" />`
	}
	if e := endpointOf(endpoint); e != nil && e.Call == Post {
		mode = "Async"
	}
	header = strings.NewReplacer("MP_PolicyManager", endpoint, `Length="900"`, fmt.Sprintf(`Length="%d"`, length),
		"<CorrelationID>", ranges+"<CorrelationID>", "<Protocol>", property+"<Protocol>",
		"<ReplyMode>Sync", "<ReplyMode>"+mode, "WS-0042", hostIn(text)).Replace(header)
	s := ccmSource(t, header, payload)
	s.Dir = dir
	if dir == traffic.Reply {
		s.Head = traffic.ParseHead([]byte("HTTP/1.1 200 OK\r\nContent-Type: multipart/mixed; boundary=\"aAbBcCdDv1234567890VxXyYzZ\"\r\n\r\n"))
	}
	return s
}

// hostIn is the sender that a sample's text names.
func hostIn(text string) string {
	for _, name := range []string{"UX-0007", "DP01"} {
		if strings.Contains(text, name) {
			return name
		}
	}
	return "WS-0042"
}

// headOnly is a report without its content.
func headOnly(text string) string {
	before, rest, _ := strings.Cut(text, "<ReportBody>")
	_, after, _ := strings.Cut(rest, "</ReportBody>")
	return before + "<ReportBody />" + after
}

func fileTypeOf(text string) string {
	for element, fileType := range fileTypes {
		if strings.Contains(text, "<"+element) {
			return fileType
		}
	}
	return "STA"
}

// guessEndpoint is where a text goes of which the manifest does not say it.
func guessEndpoint(text string, dir traffic.Dir) string {
	root := buildTree(text).name
	if root == "Report" {
		m := Decode(source([]byte(text)), Summary)
		for _, k := range kinds {
			if k.Slug == m.Kind && k.Endpoint != "" {
				return k.Endpoint
			}
		}
	}
	for _, e := range endpoints {
		if e.Local == (dir == traffic.Reply) && slices.Contains(e.Roots, root) {
			return e.Name
		}
	}
	return "SccmMessaging"
}

// allowed are findings that come with what the samples are: the signatures
// are random.
var allowed = []string{"L303", "L304"}

func TestManifest(t *testing.T) {
	for _, row := range manifest(t) {
		t.Run(row["file"], func(t *testing.T) {
			m := Decode(sampleSource(t, row), Full)
			var refs []string
			for _, f := range m.Findings {
				refs = append(refs, f.Kind.Ref)
				checkFinding(t, m, f)
			}
			want := strings.FieldsFunc(row["lints"], func(r rune) bool { return r == ';' })
			for _, ref := range want {
				if !slices.Contains(refs, ref) {
					t.Errorf("%s does not fire; found %s", ref, shown(m.Findings))
				}
			}
			if strings.HasPrefix(row["file"], "faulty/") {
				return
			}
			for _, f := range m.Findings {
				if f.Kind.Severity >= traffic.Warning && !slices.Contains(append(want, allowed...), f.Kind.Ref) {
					t.Errorf("a good message is found to be odd: %s", shown([]traffic.Finding{f}))
				}
			}
			if row["root"] != "Msg" && m.Root != row["root"] {
				t.Errorf("root is %q, want %q", m.Root, row["root"])
			}
		})
	}
}

// checkFinding tests what must hold for every finding.
func checkFinding(t *testing.T, m *Message, f traffic.Finding) {
	t.Helper()
	if f.Evidence == "" || strings.ContainsAny(f.Evidence, "\n\r\x00\x1b") {
		t.Errorf("%s has no evidence that could be shown: %q", f.Kind.Code, f.Evidence)
	}
	limit := map[string]int{
		"wire": len(m.wire.raw), "header": len(m.HeaderText.String), "text": len(m.Text.String),
		"payload": len(m.wire.inflated), "head": 64 << 10,
	}
	size, known := limit[f.Layer]
	if !known || f.Offset > int64(size) || f.Offset < -1 {
		t.Errorf("%s is at %d of layer %q, which has %d bytes", f.Kind.Code, f.Offset, f.Layer, size)
	}
}

func shown(findings []traffic.Finding) string {
	var out []string
	for _, f := range findings {
		out = append(out, fmt.Sprintf("%s %s %s@%d: %s", f.Kind.Ref, f.Kind.Code, f.Layer, f.Offset, f.Evidence))
	}
	return strings.Join(out, "\n\t")
}

func TestFindingKinds(t *testing.T) {
	severities := make(map[string]string)
	lines, err := csv.NewReader(bytes.NewReader(mustRead(t, "testdata/lints.csv"))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines[1:] {
		severities[line[0]] = line[1]
	}
	codes, refs := map[string]bool{}, map[string]bool{}
	for _, k := range FindingKinds() {
		if codes[k.Code] || k.Ref != "" && refs[k.Ref] {
			t.Errorf("%s %s is there twice", k.Code, k.Ref)
		}
		codes[k.Code], refs[k.Ref] = true, true
		if k.Title == "" || k.Why == "" || k.Remedy == "" || strings.HasSuffix(k.Title, ".") {
			t.Errorf("%s is not filled in: %+v", k.Code, k)
		}
		area, _, _ := strings.Cut(k.Code, "-")
		if !slices.Contains([]string{"msg", "bits", "http"}, area) {
			t.Errorf("%s is of an area that this package does not have", k.Code)
		}
		if want := severities[k.Ref]; want != "" && want != k.Severity.String() {
			t.Errorf("%s %s is %s, the reference says %s", k.Code, k.Ref, k.Severity, want)
		}
	}
	for _, k := range FindingKinds() {
		for _, m := range k.Moot {
			if !codes[m] {
				t.Errorf("%s makes %s moot, which does not exist", k.Code, m)
			}
		}
	}
	for ref := range severities {
		if !refs[ref] && !slices.Contains(captureScope, ref) {
			t.Errorf("%s is not checked", ref)
		}
	}
}

// captureScope are rules that need more than one exchange.
var captureScope = []string{"L216", "L217", "L306", "L307", "L511", "L609", "L808", "L809"}
