package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"mpproxy/capture"
	"mpproxy/filter"
	"mpproxy/traffic"
)

// demoCapture is a capture of a whole site in native mode.
func demoCapture(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "demo.mpdb")
	if code := runQuietly(t, "demo", "--plain", "--agents", "2", "--scenario", "native", "-w", path); code != 0 {
		t.Fatalf("demo ended with %d", code)
	}
	return path
}

// runQuietly runs a command line and throws its output away.
func runQuietly(t *testing.T, args ...string) int {
	t.Helper()
	return run(args, &env{strings.NewReader(""), io.Discard, io.Discard, os.Getenv})
}

// exported runs an export and gives the path it was written to.
func exported(t *testing.T, file, format string, more ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out")
	if code := runQuietly(t, append([]string{"export", file, "--format", format, "-o", out}, more...)...); code != 0 {
		t.Fatalf("export --format %s ended with %d", format, code)
	}
	return out
}

// requests are the exchanges of a capture with their requests' bodies, without
// chunk framing.
func requests(t *testing.T, file string) (xs []*traffic.Exchange, bodies [][]byte) {
	t.Helper()
	s, err := capture.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	err = each(t.Context(), s, &filter.Filter{}, 0, func(r capture.Row) error {
		x, err := s.Exchange(t.Context(), r.ID)
		if err != nil {
			return err
		}
		src, err := s.Source(t.Context(), r.ID, traffic.Request, false)
		if err != nil {
			return err
		}
		var body io.Reader = io.NewSectionReader(src.Body, 0, src.Size)
		if src.Framing == traffic.Chunked {
			body = httputil.NewChunkedReader(body)
		}
		b, err := io.ReadAll(body)
		xs, bodies = append(xs, x), append(bodies, b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return xs, bodies
}

// received takes requests over TCP, as bytes, and answers each with nothing.
func received(t *testing.T) (url string, requests <-chan []byte) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	out := make(chan []byte, 1)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			var raw bytes.Buffer
			req, err := http.ReadRequest(bufio.NewReader(io.TeeReader(c, &raw)))
			if err == nil {
				_, err = io.Copy(io.Discard, req.Body)
			}
			if err == nil {
				_, err = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			}
			c.Close()
			if err != nil {
				raw.Reset()
				raw.WriteString(err.Error())
			}
			out <- raw.Bytes()
		}
	}()
	return "http://" + l.Addr().String(), out
}

// What curl sends has to be what the agent sent: the same method, target,
// fields and bytes of the body.
func TestExportCurl(t *testing.T) {
	file := demoCapture(t)
	dir := exported(t, file, "curl", "--secrets")
	xs, bodies := requests(t, file)
	url, got := received(t)
	methods := map[string]int{}
	for i, x := range xs {
		method, target, _ := x.Request.Head.Request()
		if methods[method]++; methods[method] > 6 {
			continue
		}
		cmd := exec.Command("sh", filepath.Join(dir, scriptOf(x.ID)))
		cmd.Env = append(os.Environ(), "MPPROXY_URL="+url)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("exchange %d: %v\n%s", x.ID, err, out)
		}
		raw := <-got
		end := bytes.Index(raw, []byte("\r\n\r\n")) + 4
		if end < 4 {
			t.Fatalf("exchange %d: no request came: %s", x.ID, raw)
		}
		head := traffic.ParseHead(raw[:end])
		gotMethod, gotTarget, _ := head.Request()
		if gotMethod != method || gotTarget != target {
			t.Errorf("exchange %d: %s %s, want %s %s", x.ID, gotMethod, gotTarget, method, target)
		}
		if a, b := fieldsOf(head), fieldsOf(x.Request.Head); !slices.Equal(a, b) {
			t.Errorf("exchange %d: fields %q, want %q", x.ID, a, b)
		}
		body := raw[end:]
		if strings.EqualFold(head.Get("Transfer-Encoding"), "chunked") {
			body, _ = io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(body)))
		}
		if !bytes.Equal(body, bodies[i]) {
			t.Errorf("exchange %d: a body of %d bytes, want %d, or other ones", x.ID, len(body), len(bodies[i]))
		}
	}
	if len(methods) < 4 {
		t.Errorf("only methods %v were tried", methods)
	}
}

func scriptOf(id traffic.ExchangeID) string { return fmt.Sprintf("%08d.sh", id) }

// fieldsOf are a head's fields but those that follow from the body, sorted:
// curl puts Host first.
func fieldsOf(h traffic.Head) []string {
	var out []string
	for _, f := range h.Fields {
		switch strings.ToLower(f.Name) {
		case "content-length", "transfer-encoding":
		default:
			out = append(out, f.Name+": "+f.Value)
		}
	}
	slices.Sort(out)
	return out
}

// The exported test has to compile and to pass as it is.
func TestExportGoTest(t *testing.T) {
	dir := exported(t, demoCapture(t), "go-test")
	cmd := exec.Command("go", "test", "-vet=all", "./...")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=", "GOPROXY=off", "GOTOOLCHAIN=local")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

type archive struct {
	Log struct {
		Version string
		Entries []struct {
			Request struct {
				Method, URL string
				PostData    *struct{ Text string }
			}
			Response struct {
				Status  int
				Content struct{ Text, Encoding string }
			}
			MPProxy struct{ RequestText string } `json:"_mpproxy"`
		}
	}
}

func TestExportHAR(t *testing.T) {
	file := demoCapture(t)
	b, err := os.ReadFile(exported(t, file, "har", "--secrets"))
	if err != nil {
		t.Fatal(err)
	}
	var a archive
	if err := json.Unmarshal(b, &a); err != nil {
		t.Fatal(err)
	}
	xs, bodies := requests(t, file)
	if a.Log.Version != "1.2" || len(a.Log.Entries) != len(xs) {
		t.Fatalf("version %q, %d entries, want %d", a.Log.Version, len(a.Log.Entries), len(xs))
	}
	texts := 0
	for i, e := range a.Log.Entries {
		if e.Response.Status != xs[i].Reply.Head.Status() || !strings.HasPrefix(e.Request.URL, "https://mp01.lab.example") {
			t.Errorf("entry %d: %s, status %d", i, e.Request.URL, e.Response.Status)
		}
		if strings.Contains(e.MPProxy.RequestText, "<") {
			texts++
		}
		if e.Request.PostData == nil {
			continue
		}
		if body, err := base64.StdEncoding.DecodeString(e.Request.PostData.Text); err != nil || !bytes.Equal(body, bodies[i]) {
			t.Errorf("entry %d: another body, %v", i, err)
		}
	}
	if texts == 0 {
		t.Error("no decoded text beside the bodies")
	}
}

var redactedMark = regexp.MustCompile(`\[redacted \d+ bytes, sha256 [0-9a-f]{8}\]`)

// Nothing that is secret may leave by an export, whatever its format, unless it
// was asked for.
func TestExportRedacts(t *testing.T) {
	file := demoCapture(t)
	xs, _ := requests(t, file)
	var secrets []string
	for _, x := range xs {
		for _, name := range []string{"ClientTokenSignature", "ClientToken", "Authorization"} {
			if v := x.Request.Head.Get(name); len(v) > 20 {
				secrets = append(secrets, v)
			}
		}
	}
	if len(secrets) == 0 {
		t.Fatal("the capture has no secrets to be taken out")
	}
	for _, format := range []string{"har", "jsonl", "pcapng", "cmtrace", "curl", "powershell", "go-test"} {
		all := contents(t, exported(t, file, format))
		for _, s := range secrets {
			if bytes.Contains(all, []byte(s)) {
				t.Errorf("%s: has a secret of a head", format)
			}
		}
		if format != "cmtrace" && !redactedMark.Match(all) {
			t.Errorf("%s: nothing was taken out", format)
		}
		if open := contents(t, exported(t, file, format, "--secrets")); format != "cmtrace" && !bytes.Contains(open, []byte(secrets[0])) {
			t.Errorf("%s --secrets: a secret is missing", format)
		}
	}
	b, err := os.ReadFile(exported(t, file, "jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	policies := 0
	for line := range bytes.Lines(b) {
		var x struct{ Reply struct{ Text string } }
		if err := json.Unmarshal(line, &x); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(x.Reply.Text, `secret="1"`) {
			policies++
			if inner := secretValue.FindAllStringSubmatch(x.Reply.Text, -1); len(inner) == 0 || !redactedMark.MatchString(inner[0][1]) {
				t.Errorf("a policy's secret is still there: %q", inner)
			}
		}
	}
	if policies == 0 {
		t.Error("no policy with secrets was in the capture")
	}
}

var secretValue = regexp.MustCompile(`secret="1"><value>(.*?)</value>`)

// contents is everything in a file or folder.
func contents(t *testing.T, path string) []byte {
	t.Helper()
	var all []byte
	err := filepath.WalkDir(path, func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		all = append(all, b...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// The packets of each leg, put together again, have to be the messages.
func TestExportPcapng(t *testing.T) {
	file := demoCapture(t)
	b, err := os.ReadFile(exported(t, file, "pcapng", "--secrets"))
	if err != nil {
		t.Fatal(err)
	}
	streams := map[string][]byte{}
	last := time.Time{}
	for len(b) >= 12 {
		kind, n := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
		if n < 12 || int(n) > len(b) || binary.LittleEndian.Uint32(b[n-4:]) != n {
			t.Fatalf("a block of %d bytes with %d left", n, len(b))
		}
		if kind == 6 {
			at := time.UnixMicro(int64(binary.LittleEndian.Uint32(b[12:]))<<32 | int64(binary.LittleEndian.Uint32(b[16:])))
			if at.Before(last) {
				t.Fatal("packets are out of order")
			}
			last = at
			frame := b[28 : 28+binary.LittleEndian.Uint32(b[20:])]
			key := string(b[8:12]) + string(frame[12:20]) + string(frame[20:24])
			streams[key] = append(streams[key], frame[40:]...)
		}
		b = b[n:]
	}
	_, bodies := requests(t, file)
	for i, body := range bodies {
		found := 0
		for _, s := range streams {
			if bytes.Contains(s, body) {
				found++
			}
		}
		if found < 2 {
			t.Errorf("request %d of %d bytes stands in %d streams, want both legs", i, len(body), found)
		}
	}
}

// An export that is stopped leaves nothing that looks whole.
func TestExportStops(t *testing.T) {
	file := demoCapture(t)
	out := filepath.Join(t.TempDir(), "x.har")
	if code := runQuietly(t, "export", file, "--format", "har", "-o", filepath.Join(out, "no", "folder")); code != exitUsage {
		t.Errorf("exit code %d", code)
	}
	if code := runQuietly(t, "export", file, "--format", "curl"); code != exitUsage {
		t.Errorf("a folder format without a folder: exit code %d", code)
	}
	if code := runQuietly(t, "export", file, "--format", "nope"); code != exitUsage {
		t.Errorf("an unknown format: exit code %d", code)
	}
	if left, _ := filepath.Glob(out + "*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// What is read is not written over, what makes no sense is refused, and nothing
// half-written stays.
func TestExportSpares(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a.mpdb")
	if code := runQuietly(t, "demo", "--plain", "--agents", "1", "-w", file); code != 0 {
		t.Fatalf("demo ended with %d", code)
	}
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"export", file, "-o", file},
		{"report", file, "-o", file},
		{"diff", file, file, "--junit", file},
		{"diff", file, file, "3"},
		{"replay", file, "--to", "http://127.0.0.1:1", "--junit", file},
		{"replay", file, "--serve", "127.0.0.1:0", "-w", file},
		{"replay", file, "--to", "http://127.0.0.1:1", "--strict"},
		{"replay", file, "--serve", "127.0.0.1:0", "--junit", filepath.Join(dir, "x.xml")},
		{"replay", file, "agent:NOBODY", "--to", "http://127.0.0.1:1"},
		{"replay", file, "agent:NOBODY", "--serve", "127.0.0.1:0"},
		{"export", file, "-o", dir},
		{"export", file, "--format", "curl", "-o", file},
	} {
		if code := runQuietly(t, args...); code != exitUsage {
			t.Errorf("%v ended with %d", args, code)
		}
	}
	after, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the capture was changed: %v", err)
	}
	if err := os.Mkdir(filepath.Join(dir, "out"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"har", "curl"} {
		ctx, stop := context.WithCancel(t.Context())
		stop()
		c := exportCommand{File: file, Format: format, Output: filepath.Join(dir, "out", "x")}
		if err := c.Run(ctx, &env{strings.NewReader(""), io.Discard, io.Discard, os.Getenv}); err == nil {
			t.Errorf("%s: it was stopped, and says nothing", format)
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, "out", "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}
