package decode

import (
	"bytes"
	"encoding/csv"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mpproxy/traffic"
)

var update = flag.Bool("update", false, "rewrite golden files")

const samples = "../testdata/samples/"

// arrived is the hour in which the samples play.
var arrived = time.Date(2026, 3, 2, 8, 21, 0, 0, time.UTC)

func mustRead(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// source makes a Source of a file: a whole HTTP message when it begins with a
// start line, else a body.
func source(raw []byte) Source {
	s := Source{Whole: true, Arrived: arrived}
	body := raw
	if i := bytes.Index(raw, []byte("\r\n\r\n")); i >= 0 && bytes.Contains(raw[:bytes.IndexByte(raw, '\n')], []byte("HTTP/1.1")) {
		s.Head = traffic.ParseHead(raw[:i+4])
		body = raw[i+4:]
	}
	s.Body, s.Size = bytes.NewReader(body), int64(len(body))
	return s
}

func manifest(t testing.TB) []map[string]string {
	t.Helper()
	lines, err := csv.NewReader(bytes.NewReader(mustRead(t, samples+"manifest.csv"))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var rows []map[string]string
	for _, line := range lines[1:] {
		row := make(map[string]string)
		for i, name := range lines[0] {
			row[name] = line[i]
		}
		rows = append(rows, row)
	}
	return rows
}

// golden compares text with a file, or rewrites the file.
func golden(t *testing.T, file, got string) {
	t.Helper()
	path := filepath.Join("testdata", file)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(string(mustRead(t, path)), got); diff != "" {
		t.Errorf("%s differs (-update rewrites it): %s", path, diff)
	}
}

// described is all that a list, a filter or a report can see of a message.
func described(m *Message) string {
	var out strings.Builder
	fmt.Fprintf(&out, "  %s %s, to %q, root %q\n", m.Form, m.Kind, m.Endpoint, m.Root)
	fmt.Fprintf(&out, "  agent %q, client %q, id %q, corr %q\n", m.Agent, m.Client, m.MsgID, m.Corr)
	fmt.Fprintf(&out, "  short: %s\n  long: %s\n", m.Short, m.Long)
	fmt.Fprintf(&out, "  text %d bytes, signature %q\n", m.TextBytes, m.Signature)
	for _, a := range m.Attachments {
		fmt.Fprintf(&out, "  attachment %q %d+%d\n", a.Name, a.Offset, a.Size)
	}
	for _, f := range m.Findings {
		fmt.Fprintf(&out, "  %s %s %s at %s %d: %s\n", f.Kind.Severity.Letter(), f.Kind.Ref, f.Kind.Code, f.Layer, f.Offset, f.Evidence)
	}
	return out.String()
}

// The goldens hold what each sample is understood as, at both depths. A line
// that changes is a change that users see.
func TestGolden(t *testing.T) {
	for _, d := range []Depth{Summary, Full} {
		var out strings.Builder
		for _, row := range manifest(t) {
			fmt.Fprintf(&out, "%s\n%s", row["file"], described(Decode(sampleSource(t, row), d)))
		}
		for _, x := range wireSamples(t, d) {
			fmt.Fprintf(&out, "%s\n%s", x.file, described(x.m))
		}
		golden(t, [...]string{"summary.golden", "full.golden"}[d], out.String())
	}
}

type wireSample struct {
	file string
	m    *Message
}

// wireSamples decodes the whole HTTP messages, answers with what they answer.
func wireSamples(t testing.TB, d Depth) []wireSample {
	t.Helper()
	files, err := filepath.Glob(samples + "wire/*.http")
	if err != nil || len(files) == 0 {
		t.Fatal("no samples: ", err)
	}
	var all []wireSample
	for _, f := range files {
		s := source(mustRead(t, f))
		s.Arrived = time.Date(2026, 3, 2, 8, 15, 31, 0, time.UTC)
		if n := len(all); n > 0 && dirOf(s.Head) == traffic.Reply {
			s.Request = all[n-1].m
		}
		all = append(all, wireSample{"wire/" + filepath.Base(f), Decode(s, d)})
	}
	return all
}

// The sizes are those that the protocol's description computes for its samples.
func TestWireSizes(t *testing.T) {
	tests := []struct {
		file                             string
		header, payload, inflated        int
		offset, length                   int64
		attachmentOffset, attachmentSize int64
		text                             int64
	}{
		{"wire/01-registration-request.http", 1336, 1977, 8604, 0, 8604, 0, 0, 8604},
		{"wire/03-policy-request.http", 5272, 327, 748, 0, 748, 0, 0, 748},
		{"wire/05-metering-request.http", 5394, 709, 3266, 0, 1124, 1124, 2142, 1124},
		{"wire/09-osd-policy-request.http", 1958, 733, 733, 0, 728, 0, 0, 732},
		{"wire/11-state-request.http", 5246, 621, 1848, 0, 1848, 0, 0, 1848},
	}
	for _, test := range tests {
		t.Run(test.file, func(t *testing.T) {
			m := Decode(source(mustRead(t, samples+test.file)), Full)
			got := test
			got.header, got.payload = len(m.wire.multipart.parts[0].Body), len(m.wire.multipart.parts[1].Body)
			got.inflated = len(m.wire.inflated)
			got.offset, got.length, got.text = m.Header.Body.Offset, m.Header.Body.Length, m.TextBytes
			for _, a := range m.Attachments {
				got.attachmentOffset, got.attachmentSize = a.Offset, a.Size
				if !bytes.HasPrefix(a.Bytes, []byte{0xFF, 0xFE}) || bytes.HasSuffix(a.Bytes, []byte{0, 0}) {
					t.Errorf("attachment is %x…%x, want a byte order mark and no terminator", a.Bytes[:2], a.Bytes[len(a.Bytes)-2:])
				}
			}
			if got != test {
				t.Errorf("got  %+v\nwant %+v", got, test)
			}
		})
	}
}

func TestKindTable(t *testing.T) {
	names := map[string]string{}
	for _, k := range Kinds() {
		if k.Slug == "" || k.Name == "" || k.sum == nil || strings.ContainsAny(k.Slug, " _") || strings.ToLower(k.Slug) != k.Slug {
			t.Errorf("kind is not filled in: %+v", k)
		}
		if k.Endpoint != "" && endpointOf(k.Endpoint) == nil {
			t.Errorf("%s goes to %s, which is no endpoint", k.Slug, k.Endpoint)
		}
		if names[k.Name] != "" {
			t.Errorf("%s and %s have one name", k.Slug, names[k.Name])
		}
		names[k.Name] = k.Slug
	}
	for _, q := range queries {
		if !slices.ContainsFunc(kinds, func(k *Kind) bool { return k.Slug == q.slug }) {
			t.Errorf("%s is of kind %s, which does not exist", q.keyword, q.slug)
		}
	}
	for _, r := range routes {
		if r.kind != "" && !slices.ContainsFunc(kinds, func(k *Kind) bool { return k.Slug == r.kind }) {
			t.Errorf("%s is of kind %s, which does not exist", r.prefix, r.kind)
		}
	}
}

func TestEndpointTable(t *testing.T) {
	seen := map[string]bool{}
	for _, e := range Endpoints() {
		if e.Name == "" || e.Family == "" || seen[strings.ToLower(e.Name)] {
			t.Errorf("endpoint is not filled in, or there twice: %+v", e)
		}
		seen[strings.ToLower(e.Name)] = true
	}
	if e := endpointOf("mp_ddrENDPOINT"); e == nil || e.Name != "MP_DdrEndpoint" {
		t.Errorf("endpoints are compared with case: %+v", e)
	}
}

func TestTables(t *testing.T) {
	if got := stateLabels()[stateKey{"500", "2"}]; got != "required (missing)" {
		t.Errorf("500/2 is %q", got)
	}
	if got := stateTopics()["300"].Name; got != "SUM_ASSIGNMENT_COMPLIANCE" {
		t.Errorf("topic 300 is %q", got)
	}
	if got := eventClasses()["SMS_RemoteClient_Installed"]; got != "10800" {
		t.Errorf("event class has id %q", got)
	}
	if got := statusLabels()[statusKey{"10005", "info"}]; got != "program started" {
		t.Errorf("10005 is %q", got)
	}
	if s, ok := IISSubstatus("403.7"); !ok || s.Name == "" || s.Cause == "" {
		t.Errorf("403.7 is %+v", s)
	}
	if e, ok := ExplainCode(0x80072F8F); !ok || e.Meaning == "" {
		t.Errorf("0x80072F8F is %+v", e)
	}
	if e, ok := ExplainCode(0x80070005); !ok || e.Meaning == "" {
		t.Errorf("0x80070005 is %+v", e)
	}
}

// A body that comes in chunks is the same message, and offsets still point at
// the wire.
func TestChunkedMessage(t *testing.T) {
	s := source(mustRead(t, samples+"wire/03-policy-request.http"))
	body := make([]byte, s.Size)
	if _, err := s.Body.ReadAt(body, 0); err != nil {
		t.Fatal(err)
	}
	var wire bytes.Buffer
	for rest := body; len(rest) > 0; {
		n := min(len(rest), 777)
		fmt.Fprintf(&wire, "%X;x=y\r\n%s\r\n", n, rest[:n])
		rest = rest[n:]
	}
	wire.WriteString("0\r\nX-Trailer: 1\r\n\r\n")
	want := Decode(s, Full)
	s.Framing, s.Body, s.Size = traffic.Chunked, bytes.NewReader(wire.Bytes()), int64(wire.Len())
	for _, d := range []Depth{Summary, Full} {
		m := Decode(s, d)
		if m.Long != want.Long || m.MsgID != want.MsgID {
			t.Errorf("depth %d: got %q", d, m.Long)
		}
	}
	m := Decode(s, Full)
	if got, err := m.Encode(); err != nil || !bytes.Equal(got, body) {
		t.Errorf("encoded body is not the one without chunks: %v", err)
	}
	if m.Signature != want.Signature {
		t.Errorf("signature %q, want %q", m.Signature, want.Signature)
	}
}

// On the recording path a message costs the same whatever its size, and the
// summary must not claim to have seen what it did not.
func TestLargeMessages(t *testing.T) {
	s := inventory(t, 400<<10)
	m := Decode(s, Summary)
	if m.Kind != "hinv" || m.Agent != "WS-0042" || !strings.HasPrefix(m.Short, "full, 4") || !strings.HasSuffix(m.Short, " kB") {
		t.Errorf("summary is %s %q", m.Kind, m.Short)
	}
	if m.Inflated.Size > summaryStart {
		t.Errorf("inflated %d bytes", m.Inflated.Size)
	}
	full := Decode(s, Full)
	if !strings.Contains(full.Short, "instances of 4 classes") {
		t.Errorf("whole summary is %q", full.Short)
	}
	huge := s
	huge.Size = 8 << 30
	huge.Body = zeroesAfter{s.Body, s.Size}
	if got := Decode(huge, Summary); got.Kind != "hinv" {
		t.Errorf("of a body of 8 GB: %s %q", got.Kind, got.Long)
	}
}

// zeroesAfter is a reader that goes on with zeroes where another one ends.
type zeroesAfter struct {
	io.ReaderAt
	size int64
}

func (z zeroesAfter) ReadAt(p []byte, at int64) (int, error) {
	clear(p)
	if at < z.size {
		if _, err := z.ReaderAt.ReadAt(p[:min(int64(len(p)), z.size-at)], at); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

func TestBombIsBounded(t *testing.T) {
	packed, err := deflate(make([]byte, 64<<20), "zlib", 9)
	if err != nil {
		t.Fatal(err)
	}
	out, info := inflate(nil, packed, inflateLimit(int64(len(packed)))/2, true)
	if !errors.Is(info.Err, errTooLarge) || int64(len(out)) > inflateLimit(int64(len(packed))) {
		t.Errorf("%d bytes, %v", len(out), info.Err)
	}
}

func TestJoin(t *testing.T) {
	request := Decode(source(mustRead(t, samples+"wire/01-registration-request.http")), Summary)
	s := source(mustRead(t, samples+"wire/02-registration-reply.http"))
	s.Request = request
	reply := Decode(s, Summary)
	got := Join(request, reply)
	want := Row{
		Kind: "registration", Endpoint: "MP_ClientRegistration", Agent: "PC-0001",
		Client: "GUID:5B1C7E40-9A3D-4F62-8E15-0D2A6C4B9F77",
		Short:  "CCMSetup.exe 5.00.9128.1000, self-signed key → approved",
		Long:   "register PC-0001 (pc-0001.lab.example), CCMSetup.exe 5.00.9128.1000, self-signed key → registered, approved: GUID 5B1C7E40",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := Join(request, nil); got.Short != request.Short {
		t.Errorf("without a reply: %q", got.Short)
	}
}

// An empty 200 says yes to a Post and no to a question; HTTP does not tell
// which.
func TestEmptyAnswers(t *testing.T) {
	empty := mustRead(t, samples+"wire/06-async-ack.http")
	for file, want := range map[string]string{"05-metering-request": "accepted", "03-policy-request": "no-answer"} {
		s := source(empty)
		s.Request = Decode(source(mustRead(t, samples+"wire/"+file+".http")), Summary)
		m := Decode(s, Summary)
		if m.Kind != want {
			t.Errorf("empty answer to %s is %s, want %s", file, m.Kind, want)
		}
		if found := strings.Contains(described(m), "L117"); found != (want == "no-answer") {
			t.Errorf("empty answer to %s: finding %v", file, found)
		}
	}
}
