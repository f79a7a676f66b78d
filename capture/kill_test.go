package capture

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mpproxy/traffic"
)

// childEnv makes the test binary a process that records into the file that it
// names, until it is killed.
const childEnv = "MPPROXY_TEST_RECORD"

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		if err := recordForever(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// killed exchanges: number 1 is an upload that never ends, the others are
// whole. Their bytes follow from their numbers.
const uploadID = 1

func requestOf(id traffic.ExchangeID) []byte {
	return message(fmt.Sprintf("POST /ccm_system/request?%d HTTP/1.1", id), strings.Repeat(fmt.Sprint(id, " "), 200))
}

func replyOf(id traffic.ExchangeID) []byte {
	return message("HTTP/1.1 200 OK", fmt.Sprint("reply to ", id))
}

func uploadPiece(n int64) []byte { return bytes.Repeat([]byte{byte(n), byte(n >> 8)}, 2000) }

// recordForever is the child. Each line on its output says what it has told
// the recorder, and when.
func recordForever(path string) error {
	// The child tells faster than anybody can write. A short queue keeps what
	// waits small also where the race detector makes writing ten times slower:
	// the promise is about the recorder's delay, not about the machine's speed.
	r, err := Create(path, Options{Queue: 256})
	if err != nil {
		return err
	}
	p := newPlay(r.Take)
	c := p.open("192.0.2.12:50001")
	upload := p.begin(c, []byte("BITS_POST /CCM_Incoming/x HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\n"))
	at := upload.Request.Size
	slowest := time.Duration(0)
	for n := int64(0); ; n++ {
		piece := uploadPiece(n)
		r.Take(traffic.Chunk{Exchange: uploadID, Dir: traffic.Request, Offset: at, Data: piece})
		at += int64(len(piece))
		id := p.exchanges + 1
		p.exchange(c, requestOf(id), replyOf(id))
		p.told = nil
		slowest = max(slowest, r.Stats().LastCommit)
		fmt.Printf("%d %d %d %d\n", id, at, time.Now().UnixMicro(), slowest.Microseconds())
	}
}

// line is what the child said.
type line struct {
	id     traffic.ExchangeID
	upload int64
	at     int64
	slow   int64
}

// TestKill kills a recording process at different moments and opens what it
// leaves: sound, with all that is older than 200 ms.
func TestKill(t *testing.T) {
	for _, after := range []int{1, 7, 60, 300, 900, 2500} {
		t.Run(fmt.Sprint("after ", after), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "killed.mpdb")
			lines := killAfter(t, path, after)
			last := lines[len(lines)-1]
			s := openTest(t, path)
			mustBeSound(t, s)
			for _, l := range lines {
				if l.at < last.at-200_000-last.slow {
					mustHave(t, s, l)
				}
			}
			mustBeExact(t, s)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			mustRecover(t, path)
		})
	}
}

// killAfter starts the child and kills it after so many lines; it gives all
// lines that came.
func killAfter(t *testing.T, path string, after int) []line {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var lines []line
	scanner := bufio.NewScanner(out)
	for scanner.Scan() {
		var l line
		if _, err := fmt.Sscan(scanner.Text(), &l.id, &l.upload, &l.at, &l.slow); err != nil {
			break // the last line may be cut
		}
		lines = append(lines, l)
		if len(lines) == after {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || len(lines) < after {
		t.Fatalf("the child ended by itself after %d lines: %v", len(lines), err)
	}
	return lines
}

// mustHave expects what the child told at a time to be in the file.
func mustHave(t *testing.T, s *Store, l line) {
	t.Helper()
	x, err := s.Exchange(bg, l.id)
	if err != nil {
		t.Fatalf("exchange %d, told long before the kill: %v", l.id, err)
	}
	if x.Fate != traffic.Passed {
		t.Errorf("exchange %d, told long before the kill, is %q", l.id, x.Fate)
	}
	body, err := s.Wire(bg, uploadID, traffic.Request, false)
	if err != nil {
		t.Fatalf("the upload: %v", err)
	}
	if body.Size() < l.upload {
		t.Errorf("%d bytes of the upload, told were %d long before the kill", body.Size(), l.upload)
	}
}

// mustBeExact holds all bytes that are there against those that passed.
func mustBeExact(t *testing.T, s *Store) {
	t.Helper()
	last, err := s.Last(bg)
	if err != nil {
		t.Fatal(err)
	}
	for id := traffic.ExchangeID(2); id <= last; id++ {
		x, err := s.Exchange(bg, id)
		if errors.Is(err, ErrNone) || x != nil && x.Fate == traffic.InFlight {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for d, want := range map[traffic.Dir][]byte{traffic.Request: requestOf(id), traffic.Reply: replyOf(id)} {
			if got := readAll(t, s, id, d); !bytes.Equal(got, want) {
				t.Fatalf("exchange %d, %v: %d bytes differ from the %d that passed", id, d, len(got), len(want))
			}
		}
	}
	if last == 0 {
		return
	}
	got := readAll(t, s, uploadID, traffic.Request)
	head := bytes.Index(got, []byte("\r\n\r\n")) + 4
	for n := int64(0); len(got) > head; n++ {
		piece := uploadPiece(n)
		piece = piece[:min(len(piece), len(got)-head)]
		if !bytes.HasPrefix(got[head:], piece) {
			t.Fatalf("piece %d of the upload differs", n)
		}
		got = got[len(piece):]
	}
}

func readAll(t *testing.T, s *Store, id traffic.ExchangeID, d traffic.Dir) []byte {
	t.Helper()
	body, err := s.Wire(bg, id, d, false)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(body.Reader())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// mustRecover expects the next recorder to close what was left open, and to
// leave one file.
func mustRecover(t *testing.T, path string) {
	t.Helper()
	r, err := Create(path, Options{SummaryOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	closeRecorder(t, r)
	if _, err := os.Stat(path + "-wal"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a WAL is left: %v", err)
	}
	s := openTest(t, path)
	mustBeSound(t, s)
	last, err := s.Last(bg)
	if err != nil || last == 0 {
		return
	}
	fs, err := s.Findings(bg, uploadID)
	if err != nil {
		t.Fatal(err)
	}
	x, err := s.Exchange(bg, uploadID)
	if err != nil || x.Fate != traffic.Broken || !hasCode(fs, "store-killed") {
		t.Errorf("the upload after recovery: %+v, findings %v, %v", x, fs, err)
	}
}

func hasCode(fs []Found, code string) bool {
	for _, f := range fs {
		if f.Kind.Code == code {
			return true
		}
	}
	return false
}
