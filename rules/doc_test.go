package rules

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The document's example has to load, and its table has to have every action.
func TestDocument(t *testing.T) {
	doc, err := os.ReadFile("../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(doc, -1)
	if len(blocks) == 0 {
		t.Fatal("no example")
	}
	for _, b := range blocks {
		if _, err := Parse("docs/rules.md", b[1], time.Now(), time.UTC); err != nil {
			t.Error(err)
		}
	}
	for _, m := range makers {
		if !strings.Contains(string(doc), "| `"+m.name+"` |") {
			t.Errorf("docs/rules.md does not explain %s", m.name)
		}
	}
	for name := range fieldNeeds {
		if name == "" {
			t.Error("empty field in fieldNeeds")
		}
	}
}
