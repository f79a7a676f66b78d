package mpsim

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// One codec for both would let one misreading of the protocol pass every test.
func TestSharesNoCodec(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no source files: %v", err)
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range file.Imports {
			path := strings.Trim(spec.Path.Value, `"`)
			if strings.HasPrefix(path, "mpproxy/") && path != "mpproxy/internal/pki" {
				t.Errorf("%s imports %s: the simulated site writes its own bytes and shares no code with what reads them", name, path)
			}
		}
	}
}
