package main

import (
	"bytes"
	"crypto/tls"
	"os"
	"regexp"
	"strings"
	"testing"
)

// What is odd in messages stands below what is wrong with connections, and
// counts for scripts: else a build would be green with messages that a site
// drops.
func TestDiagnoseMessages(t *testing.T) {
	sample := func(name string) string {
		b, err := os.ReadFile("../../testdata/samples/wire/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	l := newLab(t)
	file := l.record(t, &labCase{
		mp:    mpCfg(func(*lab, *tls.Config) {}, sample("06-async-ack.http")),
		agent: goAgent(nil, sample("05-metering-request.http")),
	})
	said := func(want int, args ...string) string {
		var out bytes.Buffer
		if code := run(append([]string{"diagnose", file}, args...), &env{strings.NewReader(""), &out, os.Stderr, os.Getenv}); code != want {
			t.Errorf("%v ended with %d, want %d:\n%s", args, code, want, out.String())
		}
		return out.String()
	}
	for _, c := range []struct {
		args []string
		code int
		want string // a pattern
	}{
		{nil, 0, `(?s)no fault found in 1 connections.*\nAlso found\n.*W L906  .*msg-file-type .*Evidence   exchange 1, request`},
		{[]string{"--fail-on", "error"}, 0, "Also found"},
		{[]string{"--fail-on", "warning"}, 3, "Also found"},
		{[]string{"kind:metering"}, 0, "W L906"},
		{[]string{"--json"}, 0, `"code":"msg-file-type".*"agents_count":1`},
	} {
		if got := said(c.code, c.args...); !regexp.MustCompile(c.want).MatchString(got) {
			t.Errorf("%v: no %q in\n%s", c.args, c.want, got)
		}
	}
	if got := said(0, "kind:policy"); strings.Contains(got, "L906") {
		t.Errorf("a filter that takes nothing finds\n%s", got)
	}
}
