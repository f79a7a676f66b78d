package whole

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func names(t *testing.T, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var errStopped = errors.New("stopped")

func TestFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	for _, c := range []struct {
		text string
		err  error
		want string
	}{{"old", nil, "old"}, {"half", errStopped, "old"}, {"new", nil, "new"}} {
		f, err := Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(c.text); err != nil {
			t.Fatal(err)
		}
		if err := f.End(c.err); !errors.Is(err, c.err) {
			t.Errorf("%v", err)
		}
		if got := content(t, path); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
	if got := names(t, dir); !slices.Equal(got, []string{"a"}) {
		t.Errorf("left: %v", got)
	}
	if _, err := Create(dir); err == nil || !strings.Contains(err.Error(), "it is a folder") {
		t.Errorf("a folder: %v", err)
	}
	if _, err := Create(filepath.Join(dir, "no", "x")); err == nil || strings.Contains(err.Error(), ".part") {
		t.Errorf("an error names the file that was asked for: %v", err)
	}
}

// What is no regular file, such as a device, is written to: a file in its place
// would take it from everybody. A link stays one.
func TestFileInPlace(t *testing.T) {
	f, err := Create(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.End(nil); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(os.DevNull); err != nil || info.Mode().IsRegular() {
		t.Errorf("the device is gone: %v", err)
	}
	dir := t.TempDir()
	to, link := filepath.Join(dir, "to"), filepath.Join(dir, "link")
	if err := os.WriteFile(to, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("to", link); err != nil {
		t.Fatal(err)
	}
	if f, err = Create(link); err != nil {
		t.Fatal(err)
	}
	_, werr := f.WriteString("x")
	if err := f.End(werr); err != nil || content(t, to) != "x" {
		t.Errorf("the link's file was not written: %v", err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v", err)
	}
}

func TestFolder(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "deep", "folder")
	for _, c := range []struct {
		file string
		err  error
		want []string
	}{{"0", errStopped, nil}, {"1", nil, []string{"1"}}, {"2", errStopped, []string{"1"}}, {"3", nil, []string{"1", "3"}}} {
		d, err := CreateFolder(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.WriteFile(c.file, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := d.End(c.err); !errors.Is(err, c.err) {
			t.Errorf("%v", err)
		}
		if c.want == nil {
			if got := names(t, filepath.Dir(path)); len(got) > 0 {
				t.Errorf("left: %v", got)
			}
		} else if got := names(t, path); !slices.Equal(got, c.want) {
			t.Errorf("%v, want %v", got, c.want)
		}
	}
	if _, err := CreateFolder(filepath.Join(path, "1")); err == nil || !strings.Contains(err.Error(), "it is a file") {
		t.Errorf("a file: %v", err)
	}
}
