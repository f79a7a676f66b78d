package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mpproxy/internal/mpsim"
	"mpproxy/internal/pki"
)

// liveAgainst lets simulated agents live against an address, with the keys of
// the life that was captured, and gives their account.
func (l life) liveAgainst(t *testing.T, url string, agents int, roots *x509.CertPool) mpsim.Account {
	t.Helper()
	ca, _, err := pki.LoadOrCreateCA(l.pki, "", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	site, err := mpsim.NewSite(mpsim.SiteConfig{Native: l.native, TwoStep: !l.native, Seed: 1, CA: ca})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	crowd := mpsim.Crowd{Site: site, BaseURL: url, RootCAs: roots, Agents: agents, Seed: 1, Own: simulated{Keys: l.keys}.own}
	account, err := crowd.Run(ctx)
	if err != nil {
		t.Errorf("the agents' lives: %v", err)
	}
	return account
}

// Agents live their whole life against a capture and do not notice; a request
// that no capture knows is refused in words, and --strict says so in the end.
func TestReplayServe(t *testing.T) {
	bin := program(t)
	for _, c := range []struct {
		scenario string
		agents   int
	}{{"healthy", 20}, {"healthy", 3}, {"native", 20}} {
		t.Run(c.scenario, func(t *testing.T) {
			l := liveOnce(t, c.scenario, "20")
			live := filepath.Join(l.dir, "live.mpdb")
			ca, err := pki.NewCA("shown to agents", time.Now())
			if err != nil {
				t.Fatal(err)
			}
			leaf, err := ca.Minter(nil).Leaf([]string{"mp01.lab.example", "127.0.0.1"}, false)
			if err != nil {
				t.Fatal(err)
			}
			shown := filepath.Join(l.dir, "shown.pem")
			if err := pki.WriteKeyPair(leaf, shown, shown); err != nil {
				t.Fatal(err)
			}
			args := []string{"replay", l.file, "--serve", "http://127.0.0.1:0", "-w", live, "--strict"}
			scheme := "http://"
			if l.native {
				scheme = "https://"
				args = []string{"replay", l.file, "--serve", "https://127.0.0.1:0", "--native", "--cert", shown, "-w", live, "--strict"}
			}
			p := startProcess(t, bin, args...)
			account := l.liveAgainst(t, scheme+p.addr, c.agents, ca.Pool())
			if len(account.Failures) > 0 || account.Lives != c.agents || account.Exchanges["hinv"] == 0 {
				t.Errorf("account %+v", account)
			}
			if l.native {
				mustBeRefused(t, "https://"+p.addr+"/SMS_MP/.sms_aut?MPLIST")
			} else {
				mustBeUnknown(t, scheme+p.addr+"/nobody/asks/this")
				mustHaveLength(t, scheme+p.addr+"/SMS_MP/.sms_aut?MPLIST")
			}
			if err := p.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			said := ""
			code := p.ended(t)
			said = <-p.said
			if want := map[bool]int{true: 0, false: exitDiffers}[l.native]; code != want {
				t.Errorf("exit code %d, want %d: %s", code, want, said)
			}
			if !l.native && !strings.Contains(said, "not in the capture: ") {
				t.Errorf("it did not say what was missing: %s", said)
			}
			var found bytes.Buffer
			run([]string{"ls", live, "finding:http-not-in-capture"}, &env{strings.NewReader(""), &found, io.Discard, os.Getenv})
			if !l.native && strings.Count(found.String(), "\n") != 2 {
				t.Errorf("what was not in the capture is no finding of the live one: %s", found.String())
			}
			if code := runQuietly(t, "check", live); code != 0 {
				t.Errorf("the live capture is damaged: %d", code)
			}
		})
	}
}

func mustBeUnknown(t *testing.T, url string) {
	t.Helper()
	reply, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	body, _ := io.ReadAll(reply.Body)
	if reply.StatusCode != 404 || !strings.Contains(string(body), "no captured exchange answers GET /nobody/asks/this") {
		t.Errorf("%d %s", reply.StatusCode, body)
	}
}

// mustHaveLength asks only for the head of what agents have asked for whole; one
// that is unknown has no body either, and the connection goes on.
func mustHaveLength(t *testing.T, url string) {
	t.Helper()
	for _, want := range []struct {
		url    string
		status int
	}{{url + "9", 404}, {url, 200}} {
		reply, err := http.Head(want.url)
		if err != nil {
			t.Fatal(err)
		}
		reply.Body.Close()
		if reply.StatusCode != want.status || reply.ContentLength < 20 {
			t.Errorf("HEAD %s: %d, length %d", want.url, reply.StatusCode, reply.ContentLength)
		}
	}
}

// mustBeRefused asks without a client certificate.
func mustBeRefused(t *testing.T, url string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	reply, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	if body, _ := io.ReadAll(reply.Body); reply.StatusCode != 403 || !strings.Contains(string(body), "demands a client certificate") {
		t.Errorf("%d %s", reply.StatusCode, body)
	}
}
