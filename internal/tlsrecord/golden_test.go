package tlsrecord

import (
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

// vectors are the hand-made connections in testdata, by file name.
func vectors(t testing.TB) []string {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	return files
}

// readVector reads a connection from text: lines of hex that begin with '>' for
// the client's bytes and '<' for the server's, with quoted text and comments
// after '#'.
func readVector(t testing.TB, file string) (client, server []byte) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for n, line := range strings.Split(string(text), "\n") {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		b, err := readBytes(strings.TrimSpace(line[1:]))
		if err != nil {
			t.Fatalf("%s:%d: %v", file, n+1, err)
		}
		switch line[0] {
		case '>':
			client = append(client, b...)
		case '<':
			server = append(server, b...)
		default:
			t.Fatalf("%s:%d: neither > nor <", file, n+1)
		}
	}
	return client, server
}

func readBytes(s string) ([]byte, error) {
	if strings.HasPrefix(s, `"`) {
		text, err := strconv.Unquote(s)
		return []byte(text), err
	}
	return hex.DecodeString(strings.ReplaceAll(s, " ", ""))
}

// TestVectors holds what is read from hand-made connections against golden
// text. A difference means that something is found no longer, or otherwise.
func TestVectors(t *testing.T) {
	for _, file := range vectors(t) {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			client, server := readVector(t, file)
			got := Parse(client, server).String()
			golden := strings.TrimSuffix(file, ".txt") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("not as in %s (-want +got):\n%s", golden, diff)
			}
		})
	}
}
