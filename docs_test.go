package mpproxy_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mpproxy/capture"
	"mpproxy/decode"
	"mpproxy/diagnose"
	"mpproxy/filter"
	"mpproxy/proxy"
	"mpproxy/rules"
	"mpproxy/traffic"
)

var update = flag.Bool("update", false, "write the documents' tables anew")

// TestTables holds the tables of documents against those of the program. They
// stand behind a line that says so; go test . -update writes them.
func TestTables(t *testing.T) {
	for file, table := range map[string]func() string{
		"docs/filter.md":   filterFields,
		"docs/messages.md": messageKinds,
		"docs/findings.md": findingKinds,
	} {
		t.Run(file, func(t *testing.T) {
			doc, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			const mark = "<!-- from the program's own table; go test . -update writes it -->\n"
			head, _, found := strings.Cut(string(doc), mark)
			if !found {
				t.Fatalf("%s has no line %q", file, mark)
			}
			want := head + mark + "\n" + table()
			if *update {
				if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(doc), want); diff != "" {
				t.Errorf("%s is out of date (go test . -update):\n%s", file, diff)
			}
		})
	}
}

func filterFields() string {
	var b strings.Builder
	b.WriteString("| Field | Kind | What | Asked at |\n|---|---|---|---|\n")
	for _, f := range filter.Fields() {
		at := "request"
		if f.Reply {
			at = "reply"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.Name, f.Kind, cell(f.Help), at)
	}
	for _, f := range filter.Fields() {
		if len(f.Words) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n| `%s:` | What |\n|---|---|\n", f.Name)
		for _, w := range f.Words {
			fmt.Fprintf(&b, "| `%s` | %s |\n", w.Name, cell(w.Help))
		}
	}
	return b.String()
}

func messageKinds() string {
	var b strings.Builder
	b.WriteString("| `kind:` | In words | Direction | Endpoint | Root |\n|---|---|---|---|---|\n")
	for _, k := range decode.Kinds() {
		dir := k.Dir.String()
		if dir == "" {
			dir = "both"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", k.Slug, k.Name, dir, k.Endpoint, k.Root)
	}
	return b.String()
}

func findingKinds() string {
	var b strings.Builder
	for _, from := range []struct {
		title string
		kinds []*traffic.FindingKind
	}{
		{"In messages", decode.FindingKinds()},
		{"In connections and framing", proxy.FindingKinds},
		{"By rules", rules.FindingKinds},
		{"In the capture", capture.FindingKinds()},
		{"By diagnosis", diagnose.FindingKinds()},
	} {
		fmt.Fprintf(&b, "## %s\n\n| Code | Number | Severity | What | Why it matters | What to do |\n|---|---|---|---|---|---|\n", from.title)
		for _, k := range from.kinds {
			sure := ""
			if k.Inferred {
				sure = " (inferred)"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s%s | %s | %s |\n", k.Code, k.Ref, k.Severity, cell(k.Title), sure, cell(k.Why), cell(k.Remedy))
		}
		b.WriteByte('\n')
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// cell escapes what would end a cell of a Markdown table.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "\n", " ").Replace(s)
}

// TestFindingCodes: a code names one finding in the whole program, and begins
// with its area.
func TestFindingCodes(t *testing.T) {
	areas := []string{"tls-", "native-", "msg-", "bits-", "http-", "upstream-", "rule-", "store-"}
	seen := map[string]bool{}
	for _, kinds := range [][]*traffic.FindingKind{decode.FindingKinds(), proxy.FindingKinds, rules.FindingKinds, capture.FindingKinds(), diagnose.FindingKinds()} {
		for _, k := range kinds {
			if seen[k.Code] {
				t.Errorf("%s is there twice", k.Code)
			}
			seen[k.Code] = true
			known := false
			for _, a := range areas {
				known = known || strings.HasPrefix(k.Code, a)
			}
			if !known || k.Title == "" || k.Why == "" || k.Remedy == "" || k.Severity == traffic.None {
				t.Errorf("%s has no known area, or lacks a title, a reason or a remedy: %+v", k.Code, k)
			}
		}
	}
}
