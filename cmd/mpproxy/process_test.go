package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"mpproxy/capture"
	"mpproxy/traffic"
)

// program builds mpproxy once for a test.
func program(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "mpproxy")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %s", out)
	}
	return bin
}

// process is mpproxy as a process of its own.
type process struct {
	*exec.Cmd
	addr string
	said chan string
}

var listening = regexp.MustCompile(`(?m)^(?:listening on |.* on https?://)([0-9.:]+)`)

// startProcess runs mpproxy until it says where it listens.
func startProcess(t *testing.T, bin string, args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.CommandContext(t.Context(), bin, args...), said: make(chan string, 1)}
	p.Env = append(os.Environ(), "HOME="+t.TempDir(), "XDG_STATE_HOME=", "XDG_DATA_HOME=")
	stderr, err := p.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Process.Kill() })
	r := bufio.NewReader(stderr)
	for p.addr == "" {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("mpproxy %v ended before it listened: %q", args, line)
		}
		if m := listening.FindStringSubmatch(line); m != nil {
			p.addr = m[1]
		}
	}
	go func() {
		rest, _ := io.ReadAll(r)
		p.said <- string(rest)
	}()
	return p
}

// ended waits for the process and gives its exit code.
func (p *process) ended(t *testing.T) int {
	t.Helper()
	done := make(chan struct{})
	go func() { p.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatal("mpproxy does not end")
	}
	return p.ProcessState.ExitCode()
}

// TestTermination: a signal lets open exchanges finish, a second one does not;
// both leave a whole capture and exit with 0.
func TestTermination(t *testing.T) {
	bin := program(t)
	for _, c := range []struct {
		name    string
		signals int
		fate    traffic.Fate
	}{{"one signal", 1, traffic.Passed}, {"two signals", 2, traffic.Broken}} {
		t.Run(c.name, func(t *testing.T) {
			mp, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer mp.Close()
			file := filepath.Join(t.TempDir(), "x.mpdb")
			p := startProcess(t, bin, "run", "--plain", "--upstream", "http://"+mp.Addr().String(), "--listen", "http://127.0.0.1:0", "-w", file)
			agent, err := net.Dial("tcp", p.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer agent.Close()
			io.WriteString(agent, "GET /SMS_MP/.sms_aut?MPLIST HTTP/1.1\r\n\r\n")
			up, err := mp.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer up.Close()
			up.Read(make([]byte, 1000))
			p.Process.Signal(syscall.SIGTERM)
			awaitRefusal(t, p.addr)
			if c.signals == 2 {
				p.Process.Signal(syscall.SIGTERM)
			} else {
				io.WriteString(up, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			}
			if code := p.ended(t); code != 0 {
				t.Errorf("exit code %d: %s", code, <-p.said)
			}
			if left, _ := filepath.Glob(file + "-*"); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
			if fate := onlyRow(t, file).Fate; fate != c.fate {
				t.Errorf("fate %q, want %q", fate, c.fate)
			}
		})
	}
}

// awaitRefusal waits until a listener is closed.
func awaitRefusal(t *testing.T, addr string) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		c.Close()
	}
	t.Fatal("still listens after the signal")
}

func onlyRow(t *testing.T, file string) capture.Row {
	t.Helper()
	s, err := capture.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if problems, err := s.Check(t.Context()); err != nil || len(problems) > 0 {
		t.Errorf("check: %v, %v", problems, err)
	}
	r, err := s.Row(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestVendorStory is the third story of the command line: agents of a vendor
// against the simulated site, and an exit code for continuous integration.
func TestVendorStory(t *testing.T) {
	bin := program(t)
	for _, c := range []struct {
		fault string
		code  int
	}{{"", exitOK}, {"html-policy", exitFindings}} {
		t.Run("fault "+c.fault, func(t *testing.T) {
			args := []string{"site", "--listen", "127.0.0.1:0"}
			if c.fault != "" {
				args = append(args, "--fault", c.fault)
			}
			site := startProcess(t, bin, args...)
			p := startProcess(t, bin, "run", "--upstream", "http://"+site.addr, "--listen", "http://127.0.0.1:0", "--plain", "--fail-on", "warning", "-w", filepath.Join(t.TempDir(), "x.mpdb"))
			for _, path := range []string{"/SMS_MP/.sms_aut?MPLIST", "/SMS_MP/.sms_pol?{B1DCF862-ABD0-41F7-B1BF-BF956BA1BDED}.12_00"} {
				get(t, p.addr, path)
			}
			p.Process.Signal(syscall.SIGTERM)
			if code := p.ended(t); code != c.code {
				t.Errorf("exit code %d, want %d: %s", code, c.code, <-p.said)
			}
			site.Process.Signal(syscall.SIGTERM)
			if code := site.ended(t); code != 0 {
				t.Errorf("site ends with %d: %s", code, <-site.said)
			}
		})
	}
}

func get(t *testing.T, addr, path string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: mp01.lab.example\r\nConnection: close\r\n\r\n", path)
	if b, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(b), "HTTP/1.1 ") {
		t.Fatalf("GET %s gives %q, %v", path, b, err)
	}
}

// TestFailuresAreRows: an agent that refuses our certificate, and a request
// whose management point is not there, are lines of the list like any other.
func TestFailuresAreRows(t *testing.T) {
	bin := program(t)
	file := filepath.Join(t.TempDir(), "x.mpdb")
	p := startProcess(t, bin, "run", "--plain", "--upstream", "https://127.0.0.1:1", "--listen", "127.0.0.1:0", "-w", file)
	out, err := exec.CommandContext(t.Context(), "openssl", "s_client", "-connect", p.addr, "-tls1_2", "-verify_return_error").CombinedOutput()
	if err == nil {
		t.Fatalf("openssl trusts an authority made a moment ago: %s", out)
	}
	get(t, p.addr, "/SMS_MP/.sms_aut?MPLIST")
	p.Process.Signal(syscall.SIGTERM)
	if code := p.ended(t); code != 0 {
		t.Errorf("exit code %d: %s", code, <-p.said)
	}
	for filter, want := range map[string]string{
		"kind:tls finding:tls-agent-handshake-failed":           "unknown_ca (48)",
		"kind:mp-list finding:upstream-unreachable is:answered": " 502 ",
	} {
		out, err := exec.CommandContext(t.Context(), bin, "ls", file, filter, "--width", "160").CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: %q, %v; want %q", filter, out, err, want)
		}
	}
	if out, err := exec.CommandContext(t.Context(), bin, "check", file).CombinedOutput(); err != nil {
		t.Errorf("check: %s", out)
	}
}
