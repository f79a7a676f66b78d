package decode

import (
	"bytes"
	"encoding/csv"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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

func TestShow(t *testing.T) {
	for _, row := range manifest(t) {
		s := source(mustRead(t, samples+row["file"]))
		s.Dir = map[string]traffic.Dir{"request": traffic.Request, "reply": traffic.Reply}[row["direction"]]
		m := Decode(s, Summary)
		t.Logf("%-40s %-22s %-10s %s | %s | %s", row["file"], m.Kind, m.Agent, m.Short, m.Long, row["summary"])
	}
	files, _ := filepath.Glob(samples + "wire/*.http")
	var last *Message
	for _, f := range files {
		s := source(mustRead(t, f))
		s.Request = last
		m := Decode(s, Summary)
		last = nil
		if strings.Contains(f, "request") || strings.Contains(f, "req") {
			last = m
		}
		t.Logf("%-40s %-22s %-10s %s | %s", filepath.Base(f), m.Kind, m.Agent, m.Short, m.Long)
	}
}
