package capture

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// lockEnv makes TestLock say whether another process has SQLite's shared lock
// on the file that it names.
const lockEnv = "MPPROXY_TEST_LOCK"

func sayLock(t *testing.T, path string) {
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	lock := syscall.Flock_t{Type: syscall.F_WRLCK, Start: 1<<30 + 2, Len: 510}
	if err := syscall.FcntlFlock(f.Fd(), syscall.F_GETLK, &lock); err != nil {
		t.Fatal(err)
	}
	fmt.Println("locked:", lock.Type != syscall.F_UNLCK)
}

// TestLock holds that the recorder keeps SQLite's lock on the file, whatever
// else its process opens and closes. Closing any descriptor of a file drops
// all locks that a process has on it; another process would then take itself
// for the last user of the file and remove the WAL under the recorder.
func TestLock(t *testing.T) {
	if path := os.Getenv(lockEnv); path != "" {
		sayLock(t, path)
		return
	}
	r := record(t, steady())
	playSamples(t, newPlay(r.Take))
	flush(t, r)
	if err := openTest(t, r.Path()).Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(r.Path(), Options{}); err == nil {
		t.Fatal("two recorders on one file")
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestLock$")
	cmd.Env = append(os.Environ(), lockEnv+"="+r.Path())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !strings.Contains(string(out), "locked: true") {
		t.Error("the recorder has lost its lock on the capture")
	}
}
