package mpproxy_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var tableRow = regexp.MustCompile("(?m)^\\| `([a-z/]+)` \\| (.+) \\| (.+) \\|$")

// TestImports holds the packages against the table of docs/architecture.md, so
// that picture and code cannot drift apart.
func TestImports(t *testing.T) {
	doc, err := os.ReadFile("docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	sentence, allowed := map[string]string{}, map[string][]string{}
	for _, row := range tableRow.FindAllStringSubmatch(string(doc), -1) {
		sentence[row[1]], allowed[row[1]] = row[2], strings.Split(row[3], ", ")
	}
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,Doc", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath, Doc string
			Imports         []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		name, ours := strings.CutPrefix(p.ImportPath, "mpproxy/")
		if !ours {
			continue // this package, which has only tests
		}
		if sentence[name] == "" {
			t.Errorf("package %s is not in the table of docs/architecture.md", name)
			continue
		}
		if p.Doc == "" {
			t.Errorf("package %s has no doc that says what it is for", name)
		}
		for _, i := range p.Imports {
			if i, ours := strings.CutPrefix(i, "mpproxy/"); ours && !slices.Contains(allowed[name], i) && !slices.Contains(allowed[name], "all") {
				t.Errorf("package %s imports %s.\n%s: %q.\nIf that has changed, change docs/architecture.md with its reason.", name, i, name, sentence[name])
			}
		}
		delete(sentence, name)
	}
	for name := range sentence {
		t.Errorf("docs/architecture.md has package %s, which is not there", name)
	}
}
