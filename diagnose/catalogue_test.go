package diagnose

import (
	"cmp"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"mpproxy/traffic"
)

// TestCatalogue fails for a row that lacks something, is there twice, explains
// a finding that does not exist, or does not say which side it is about.
func TestCatalogue(t *testing.T) {
	codes := map[string]bool{}
	for _, r := range catalogue {
		k := r.kind
		if k.Code == "" || k.Severity == traffic.None || k.Title == "" || k.Why == "" || k.Remedy == "" || r.check == "" || r.test == nil {
			t.Errorf("%q (%s) lacks something", k.Code, k.Ref)
		}
		if codes[k.Code] {
			t.Errorf("%s is there twice", k.Code)
		}
		codes[k.Code] = true
		if !regexp.MustCompile(`(?i)agent|management point|server's|certificate`).MatchString(k.Title) {
			t.Errorf("%s: the title names no side: %s", k.Code, k.Title)
		}
	}
	elsewhere := []string{
		"tls-agent-handshake-failed", "upstream-unreachable", "upstream-tls-failed", "upstream-no-reply", "http-not-awaited", "http-cut-short", "http-framing-lost", "msg-policy-unsigned", "msg-header-broken", "msg-not-zlib", "msg-not-well-formed", "msg-bad-character", "msg-lone-surrogate", "msg-clock", "msg-policy-hash", "msg-no-policy", "msg-policy-refused", "msg-boundary", "msg-registration-pending", "msg-registration-again", "msg-registration-refused", "msg-not-approved", "msg-certificate-reset", "msg-no-wsus", "msg-no-dp", "bits-refused", "http-not-http",
		"tls-bridged", "tls-old", "tls-name-not-in-mp-certificate", "msg-location-url", "msg-ssl-state",
	}
	for _, r := range catalogue {
		for _, m := range r.kind.Moot {
			if !codes[m] && !slices.Contains(elsewhere, m) {
				t.Errorf("%s explains %s, which is no finding", r.kind.Code, m)
			}
			if m == r.kind.Code {
				t.Errorf("%s explains itself", m)
			}
		}
	}
}

// TestCoverage holds docs/diagnosis-coverage.md against the catalogue: every
// row of the catalogue stands there, and no row that says it is found is
// missing here.
func TestCoverage(t *testing.T) {
	doc, err := os.ReadFile("../docs/diagnosis-coverage.md")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| ([A-Z]\\d\\d|–) \\| `([a-z0-9-]+)` \\|").FindAllStringSubmatch(string(doc), -1) {
		found[row[1]+" "+row[2]] = true
	}
	for _, r := range catalogue {
		key := cmp.Or(r.kind.Ref, "–") + " " + r.kind.Code
		if !found[key] {
			t.Errorf("docs/diagnosis-coverage.md has no row %s", key)
		}
		delete(found, key)
	}
	for key := range found {
		t.Errorf("docs/diagnosis-coverage.md has %s, which is not in the catalogue", key)
	}
	if strings.Count(string(doc), "\n") < len(catalogue) {
		t.Error("the table is cut short")
	}
}

// TestTroubles holds the table of troubles in docs/diagnosis-coverage.md: what
// it calls a first finding has to be one, and the rows that it names of
// TestField have to be there.
func TestTroubles(t *testing.T) {
	doc, err := os.ReadFile("../docs/diagnosis-coverage.md")
	if err != nil {
		t.Fatal(err)
	}
	field, err := os.ReadFile("../internal/evidence/field_test.go")
	if err != nil {
		t.Fatal(err)
	}
	reports, err := os.ReadFile("../internal/evidence/reports_test.go")
	if err != nil {
		t.Fatal(err)
	}
	codes := map[string]bool{}
	for _, k := range FindingKinds() {
		codes[k.Code] = true
	}
	_, table, _ := strings.Cut(string(doc), "## Troubles of messages")
	table, _, _ = strings.Cut(table, "\nNot found")
	rows := 0
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) != 6 || strings.HasPrefix(cells[1], "-") || cells[1] == " Trouble " {
			continue
		}
		rows++
		for _, code := range regexp.MustCompile("`([a-z0-9-]+)`").FindAllStringSubmatch(cells[2], -1) {
			if !codes[code[1]] {
				t.Errorf("%s is no finding", code[1])
			}
		}
		if _, row, found := strings.Cut(strings.Trim(cells[4], " `"), "TestField: "); found && !strings.Contains(string(field), `{"`+row+`"`) {
			t.Errorf("TestField has no row %s", row)
		}
		if _, rows, found := strings.Cut(strings.Trim(cells[4], " `"), "TestReports`: "); found {
			for row := range strings.SplitSeq(rows, "; ") {
				if !strings.Contains(string(reports), `{"`+row+`"`) {
					t.Errorf("TestReports has no row %q", row)
				}
			}
		}
	}
	if rows == 0 {
		t.Error("the table of troubles is missing")
	}
}
