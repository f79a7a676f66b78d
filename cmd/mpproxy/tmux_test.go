package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// terminal is a tmux session of its own with mpproxy in a shell.
type terminal struct {
	t      *testing.T
	socket string
}

func openTerminal(t *testing.T, width, height int, env ...string) *terminal {
	t.Helper()
	if _, err := exec.LookPath("tmux"); err != nil {
		t.Fatal("tmux is not installed; scripts/test installs it:", err)
	}
	x := &terminal{t, fmt.Sprintf("mpproxy-test-%d", time.Now().UnixNano())}
	t.Cleanup(func() { x.tmux("kill-server") })
	shell := append([]string{"env", "-i", "PATH=/usr/bin:/bin", "HOME=" + t.TempDir(), "TERM=tmux-256color", "LANG=C.UTF-8", "PS1=ready> "}, env...)
	x.tmux(append(append([]string{"-f", "/dev/null", "new-session", "-d", "-x", fmt.Sprint(width), "-y", fmt.Sprint(height)}, shell...), "sh")...)
	x.tmux("set-option", "-s", "escape-time", "0")
	return x
}

func (x *terminal) tmux(args ...string) string {
	x.t.Helper()
	out, err := exec.Command("tmux", append([]string{"-L", x.socket}, args...)...).CombinedOutput()
	if err != nil && args[0] != "kill-server" {
		x.t.Fatalf("tmux %v: %s", args, out)
	}
	return string(out)
}

// text types letters as they are, keys presses named keys.
func (x *terminal) text(s string)     { x.tmux("send-keys", "-l", s) }
func (x *terminal) keys(ks ...string) { x.tmux(append([]string{"send-keys"}, ks...)...) }

// sees waits until the screen shows all of these.
func (x *terminal) sees(want ...string) string {
	x.t.Helper()
	var screen string
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		screen = x.tmux("capture-pane", "-p")
		missing := 0
		for _, w := range want {
			if !strings.Contains(screen, w) {
				missing++
			}
		}
		if missing == 0 {
			return screen
		}
	}
	x.t.Fatalf("the screen never shows %q:\n%s", want, screen)
	return ""
}

// TestScreenEndToEnd plays the demo with keys in a real terminal: rows come, a
// filter finds the error, Enter explains it, the terminal is sane afterwards.
func TestScreenEndToEnd(t *testing.T) {
	bin := program(t)
	file := filepath.Join(t.TempDir(), "demo.mpdb")
	x := openTerminal(t, 80, 24)
	x.text(bin + " demo --agents 1 -w " + file + "; echo code $?; stty -a | grep -o ' icanon'")
	x.keys("Enter")
	x.sees("1 Messages", "LIVE", "FOLLOW", "registration", "? help")
	x.keys("/")
	x.text("sev:E")
	x.sees("/sev:E", "match")
	x.keys("Enter")
	x.sees("registration", "The registration is pending")
	x.keys("Enter")
	x.sees("[Summary]", "registration, to MP_ClientRegistration", "msg-registration-pending")
	x.keys("?")
	x.sees("help")
	x.keys("Escape")
	x.sees("[Summary]")
	x.keys("q")
	x.sees("1 Messages", "/sev:E")
	x.tmux("resize-window", "-x", "120", "-y", "40")
	x.sees("MP_ClientRegistra", "1 Messages")
	x.tmux("resize-window", "-x", "80", "-y", "24")
	x.keys("Q")
	x.sees("stop mpproxy?", "Everything recorded is in")
	x.keys("n")
	x.sees("1 Messages")
	x.keys("C-c")
	x.sees("stop mpproxy?")
	x.keys("y")
	x.sees("code 0", " icanon", "ready>", "capture: "+file)
}

// TestOpenWhileRecording looks at a capture that another process writes.
func TestOpenWhileRecording(t *testing.T) {
	bin := program(t)
	file := filepath.Join(t.TempDir(), "x.mpdb")
	site := startProcess(t, bin, "site", "--listen", "127.0.0.1:0")
	p := startProcess(t, bin, "run", "--plain", "--upstream", "http://"+site.addr, "--listen", "http://127.0.0.1:0", "-w", file)
	x := openTerminal(t, 100, 30)
	x.text(bin + " open " + file + "; echo code $?")
	x.keys("Enter")
	x.sees("1 Messages", "x.mpdb")
	get(t, p.addr, "/SMS_MP/.sms_aut?MPLIST")
	x.sees("MP list", "200")
	get(t, p.addr, "/SMS_MP/.sms_aut?SITESIGNCERT")
	x.sees("site signing cert")
	x.keys("q")
	x.sees("code 0", "ready>")
}

// TestPoorTerminals: what cannot be drawn on still gets its lines.
func TestPoorTerminals(t *testing.T) {
	bin := program(t)
	for name, env := range map[string][]string{
		"TERM=dumb": {"TERM=dumb"}, "TERM=vt100": {"TERM=vt100"}, "NO_COLOR": {"NO_COLOR=1"}, "LANG=C": {"LANG=C"},
	} {
		t.Run(name, func(t *testing.T) {
			x := openTerminal(t, 80, 24, env...)
			x.text(bin + " demo --agents 1 --for 3s; echo code $?")
			x.keys("Enter")
			if screen := x.sees("registration"); name == "LANG=C" && strings.ContainsFunc(screen, func(r rune) bool { return r > 126 }) {
				t.Errorf("not ASCII only:\n%s", screen)
			}
			x.sees("code 0")
		})
	}
}
