package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mpproxy/capture"
	"mpproxy/filter"
	"mpproxy/internal/mpsim"
	"mpproxy/internal/pki"
	"mpproxy/proxy"
	"mpproxy/rules"
)

// life is a capture of a whole site, with what is needed to play it to another.
type life struct {
	dir, file, keys, pki string
	native               bool
}

func liveOnce(t *testing.T, scenario string, agents string) life {
	t.Helper()
	dir := t.TempDir()
	l := life{dir: dir, file: filepath.Join(dir, "a.mpdb"), keys: filepath.Join(dir, "keys"), pki: filepath.Join(dir, "pki"), native: scenario == "native"}
	code := runQuietly(t, "demo", "--plain", "--agents", agents, "--scenario", scenario, "--keys", l.keys, "--pki", l.pki, "-w", l.file)
	if code != 0 {
		t.Fatalf("demo ended with %d", code)
	}
	return l
}

// secondSite is another site that trusts the same agents. It listens until the
// test ends.
func (l life) secondSite(t *testing.T, seed uint64) (*mpsim.Site, string) {
	t.Helper()
	ca, _, err := pki.LoadOrCreateCA(l.pki, "", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	site, err := mpsim.NewSite(mpsim.SiteConfig{Native: l.native, TwoStep: !l.native, Seed: seed, CA: ca})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- serveSite(ctx, site, listener, l.native) }()
	t.Cleanup(func() {
		stop()
		<-served
	})
	return site, listener.Addr().String()
}

// replayTo plays the life to an address and gives the exit code and both
// outputs.
func (l life) replayTo(t *testing.T, address string, more ...string) (int, string, string) {
	t.Helper()
	url := "http://mp01.lab.example"
	if l.native {
		url = "https://mp01.lab.example"
	}
	args := []string{"replay", l.file, "--to", url, "--connect", address, "--upstream-ca", filepath.Join(l.pki, "ca.pem"), "--signing-key", l.keys, "--client-cert", l.keys}
	var out, errs bytes.Buffer
	getenv := func(name string) string {
		if strings.HasPrefix(name, "XDG_") {
			return l.dir
		}
		return os.Getenv(name)
	}
	code := run(append(args, more...), &env{strings.NewReader(""), &out, &errs, getenv})
	return code, out.String(), errs.String()
}

// A life that is played to a second site with the agents' keys means the same
// there, and that site's own checks find every signature good.
func TestReplay(t *testing.T) {
	for _, scenario := range []string{"healthy", "native"} {
		t.Run(scenario, func(t *testing.T) {
			l := liveOnce(t, scenario, "20")
			site, address := l.secondSite(t, 1)
			code, out, errs := l.replayTo(t, address)
			if code != 0 || !strings.Contains(out, " the same, 0 different") {
				t.Fatalf("exit code %d\n%s\n%s", code, out, errs)
			}
			s := site.Stats()
			if s.Clients != 20 || s.SignatureFailures > 0 || s.Unknown > 0 || s.Exchanges["hinv"] == 0 {
				t.Errorf("the second site has %d clients, %d bad signatures, %d unknown requests: %v", s.Clients, s.SignatureFailures, s.Unknown, s.Exchanges)
			}
			if !strings.Contains(errs, "× signature payload") || !strings.Contains(errs, "× message id") {
				t.Errorf("it was not said what was made fresh: %s", errs)
			}
		})
	}
}

// A site that gives other client ids and policies is followed: what it has
// given goes into later messages, and it never meets an agent that it does not
// know.
func TestReplayFollows(t *testing.T) {
	l := liveOnce(t, "healthy", "3")
	site, address := l.secondSite(t, 99)
	code, out, errs := l.replayTo(t, address)
	if code != exitDiffers || !strings.Contains(errs, "× client id") {
		t.Errorf("exit code %d\n%s\n%s", code, out, errs)
	}
	if s := site.Stats(); s.SignatureFailures > 0 || s.Clients != 3 {
		t.Errorf("%d bad signatures, %d clients", s.SignatureFailures, s.Clients)
	}
	if strings.Contains(out, "! reply   status\n      < 200\n      > 404") {
		t.Errorf("policies were asked for that the site does not have:\n%s", out)
	}
}

// Without keys nothing that is signed is changed, and that is said first.
func TestReplayWithoutKeys(t *testing.T) {
	l := liveOnce(t, "healthy", "1")
	_, address := l.secondSite(t, 1)
	var out, errs bytes.Buffer
	run([]string{"replay", l.file, "--to", "http://mp01.lab.example", "--connect", address}, &env{strings.NewReader(""), &out, &errs, func(string) string { return l.dir }})
	said := errs.String()
	if first, _, _ := strings.Cut(said, "made fresh"); !strings.Contains(first, "no signing key for WS-0001: ") {
		t.Errorf("not said before: %s", said)
	}
	if !strings.Contains(said, "sent as captured, so it may not verify: ") || strings.Contains(said, "× signature") {
		t.Errorf("%s", said)
	}
}

// A folder that lacks an agent's key is no folder of all keys.
func TestReplayWithoutOneKey(t *testing.T) {
	l := liveOnce(t, "native", "3")
	if err := os.Remove(filepath.Join(l.keys, "WS-0002.pem")); err != nil {
		t.Fatal(err)
	}
	code, _, errs := l.replayTo(t, "127.0.0.1:1", "--dry-run")
	if code != 0 || !strings.Contains(errs, "no signing key for WS-0002: ") || !strings.Contains(errs, "no client certificate for WS-0002, ") {
		t.Errorf("exit code %d: %s", code, errs)
	}
}

// One element that a site answers otherwise is found, and nothing else.
func TestReplayFindsTheDifference(t *testing.T) {
	l := liveOnce(t, "healthy", "2")
	_, address := l.secondSite(t, 1)
	set, err := rules.Parse("r", []byte(`rules:
  - name: change
    when: dir:reply kind:site-info*
    do: {set: {path: /SiteInformationReply/Sites/Site/BuildNumber, value: "9999"}}
`), time.Now(), time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(address)
	s, err := proxy.New(proxy.Config{
		Listeners: []proxy.Listener{{Address: "127.0.0.1:0", Scheme: proxy.HTTP, Upstream: proxy.Target{Host: host, Port: port}}},
		Rules:     func() *rules.Set { return set },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	defer func() { stop(); s.Kill(); <-served }()
	junit := filepath.Join(l.dir, "out.xml")
	code, out, errs := l.replayTo(t, s.Addrs()[0].String(), "--junit", junit, "--json")
	if code != exitDiffers {
		t.Fatalf("exit code %d\n%s", code, errs)
	}
	places := map[string]int{}
	for line := range strings.Lines(out) {
		var o struct {
			Schema      string
			Differences []struct{ Place, Vary, A, B string }
		}
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatal(err)
		}
		for _, d := range o.Differences {
			if d.Vary == "" {
				places[d.Place+" "+d.A+" "+d.B]++
			}
		}
	}
	if len(places) != 1 || places["text /SiteInformationReply/Sites/Site/BuildNumber 9128 9999"] != 2 {
		t.Errorf("differences %v", places)
	}
	if b, err := os.ReadFile(junit); err != nil || !bytes.Contains(b, []byte(`failures="2"`)) {
		t.Errorf("JUnit: %v", err)
	}
}

// A replay that was stopped goes on: every exchange is sent once.
func TestReplayResumes(t *testing.T) {
	l := liveOnce(t, "healthy", "3")
	site, address := l.secondSite(t, 1)
	code, _, errs := l.replayTo(t, address, "--timeout", "1ns")
	if code != exitUnreachable {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	journal, err := filepath.Glob(filepath.Join(l.dir, "mpproxy", "replays", "*.jsonl"))
	if err != nil || len(journal) != 1 {
		t.Fatalf("journals %v, %v", journal, err)
	}
	// As a replay leaves it that was stopped after the first agent's life.
	var lines bytes.Buffer
	n := 0
	s, err := capture.Open(l.file)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	f, err := filter.Parse("conn:1", time.Now(), time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	if err := each(t.Context(), s, f, 0, func(r capture.Row) error {
		n++
		return json.NewEncoder(&lines).Encode(entry{ID: r.ID, Differs: n == 1})
	}); err != nil {
		t.Fatal(err)
	}
	lines.WriteString(`{"id":99999,"giv`) // cut short by a kill
	if err := os.WriteFile(journal[0], lines.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	before := total(site.Stats().Exchanges)
	code, out, errs := l.replayTo(t, address, "--resume")
	if code != exitDiffers || !strings.Contains(errs, ", of which 1 differed") {
		t.Fatalf("what differed before it was stopped counts: exit code %d\n%s\n%s", code, out, errs)
	}
	all, err := s.Count(t.Context(), &filter.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	if got := total(site.Stats().Exchanges) - before; int64(got) != all-int64(n) {
		t.Errorf("%d exchanges were sent, want the %d that were left", got, all-int64(n))
	}
	if _, err := os.Stat(journal[0]); err == nil {
		t.Error("a replay that came to its end leaves its journal")
	}
	if code, _, errs := l.replayTo(t, address, "--resume"); code != exitUsage {
		t.Errorf("nothing to go on with: exit code %d: %s", code, errs)
	}
}

func total(m map[string]int) (n int) {
	for _, k := range m {
		n += k
	}
	return n
}

// What was sent of one capture says nothing of another one that has taken its
// place.
func TestReplayResumesTheSameCapture(t *testing.T) {
	l := liveOnce(t, "healthy", "1")
	if code, _, errs := l.replayTo(t, "127.0.0.1:1"); code != exitUnreachable {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	if code, _, errs := l.replayTo(t, "127.0.0.1:1", "--resume"); code != exitUnreachable {
		t.Errorf("the same capture: exit code %d: %s", code, errs)
	}
	if err := os.Remove(l.file); err != nil {
		t.Fatal(err)
	}
	if code := runQuietly(t, "demo", "--plain", "--agents", "1", "-w", l.file); code != 0 {
		t.Fatalf("demo ended with %d", code)
	}
	if code, _, errs := l.replayTo(t, "127.0.0.1:1", "--resume"); code != exitUsage {
		t.Errorf("another capture: exit code %d: %s", code, errs)
	}
}
