package main

import (
	"bytes"
	"html"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// reported runs a report and gives the page.
func reported(t *testing.T, args ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "r.html")
	if code := runQuietly(t, append(append([]string{"report"}, args...), "-o", out)...); code != 0 {
		t.Fatalf("report ended with %d", code)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(out); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v: others may read it", info.Mode(), err)
	}
	return string(b)
}

// A ticket has to say what the screen says, word for word, and show both legs.
func TestReportSaysWhy(t *testing.T) {
	l := newLab(t)
	file := l.record(t, &labCase{agent: goAgent(trustsSite(nil))})
	var said bytes.Buffer
	if code := run([]string{"diagnose", file, "--utc"}, &env{strings.NewReader(""), &said, os.Stderr, os.Getenv}); code != 0 {
		t.Fatalf("diagnose ended with %d", code)
	}
	page := html.UnescapeString(reported(t, file, "--utc"))
	for line := range strings.Lines(said.String()) {
		words := strings.TrimSpace(line)
		if label := strings.TrimSpace(line[:min(len(line), 11)]); label != "" && strings.HasPrefix(line, "  ") && len(line) > 13 && !strings.HasPrefix(words, "tls-") {
			words = strings.TrimSpace(line[13:])
		}
		if !strings.Contains(page, words) {
			t.Errorf("the page lacks %q", words)
		}
	}
	for _, part := range []string{"ClientHello", "no connection was made to a management point", "tls-agent-distrusts"} {
		if !strings.Contains(page, part) {
			t.Errorf("the page lacks %q", part)
		}
	}
}

// Who judges for himself needs certificates and bytes, from the command line
// too.
func TestShowEvidence(t *testing.T) {
	l := newLab(t)
	file := l.record(t, &labCase{agent: goAgent(trustsSite(nil))})
	var said bytes.Buffer
	if code := run([]string{"show", file, "--conn", "1", "--evidence"}, &env{strings.NewReader(""), &said, os.Stderr, os.Getenv}); code != 0 {
		t.Fatalf("show ended with %d", code)
	}
	for _, part := range []string{"E A01", "-----BEGIN CERTIFICATE-----", "ClientHello, ", "from the peer\n00000000  16 03 01"} {
		if !strings.Contains(said.String(), part) {
			t.Errorf("%q is missing", part)
		}
	}
	if code := runQuietly(t, "show", file, "--evidence"); code != exitUsage {
		t.Errorf("without a connection: exit code %d", code)
	}
}

// A page goes to others: no secret, nothing from the wire that a browser would
// run, nothing that it would fetch.
func TestReportIsSafe(t *testing.T) {
	file := demoCapture(t)
	xs, _ := requests(t, file)
	secret := ""
	for _, x := range xs {
		if v := x.Request.Head.Get("ClientToken"); len(v) > 20 {
			secret = v
		}
	}
	page := reported(t, file, "agent:WS-*")
	if secret == "" || strings.Contains(page, secret) || !redactedMark.MatchString(page) {
		t.Error("a token is in the page, or nothing was taken out")
	}
	if !strings.Contains(html.UnescapeString(reported(t, file, "agent:WS-*", "--secrets")), secret) {
		t.Error("--secrets takes secrets out")
	}
	for _, bad := range []string{"<script", "src=", "href=", "<Msg", "\x1b"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	if strings.Contains(reported(t, file, "agent:WS-0001"), "WS-0002") {
		t.Error("the filter lets another agent in")
	}
	if code := runQuietly(t, "report", file, "-o", filepath.Join(t.TempDir(), "no", "such", "folder")); code != exitUsage {
		t.Errorf("exit code %d", code)
	}
}
