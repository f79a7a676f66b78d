package mpsim

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mpproxy/internal/pki"
)

// noon is the clock of all tests.
func noon() time.Time { return time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC) }

// Keys are slow to make, so that tests share them.
var (
	testCA = sync.OnceValue(func() *pki.CA {
		ca, err := pki.NewCA("LAB Test CA", noon())
		if err != nil {
			panic(err)
		}
		return ca
	})
	testKey = sync.OnceValue(func() *rsa.PrivateKey {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		return key
	})
)

// start serves a site until the test is over, a native one by HTTPS, and says
// where.
func start(t *testing.T, cfg SiteConfig) (s *Site, url string) {
	t.Helper()
	return startWith(t, cfg, cfg.Native)
}

func startWith(t *testing.T, cfg SiteConfig, secure bool) (s *Site, url string) {
	t.Helper()
	cfg.Now, cfg.CA, cfg.Seed = noon, testCA(), 1
	s, err := NewSite(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error)
	serve, scheme := s.Serve, "http://"
	if secure {
		serve, scheme = s.ServeTLS, "https://"
	}
	go func() { served <- serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return s, scheme + l.Addr().String()
}

// newAgent makes an agent that uses the tests' key.
func newAgent(t *testing.T, s *Site, url string, change ...func(*AgentConfig)) *Agent {
	t.Helper()
	cfg := AgentConfig{Site: s, Name: "WS-0042", BaseURL: url, Key: testKey(), Seed: 1, Now: noon, Timeout: 20 * time.Second}
	for _, c := range change {
		c(&cfg)
	}
	a, err := NewAgent(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

func kindNames() []string {
	var names []string
	for _, k := range Kinds {
		names = append(names, k.Name)
	}
	return names
}

func TestLifeOfAnAgent(t *testing.T) {
	tests := []struct {
		scenario string
		missing  []string // kinds that this scenario does not have
	}{
		{"healthy", nil},
		{"approved", []string{"confirmation"}},
		{"native", []string{"challenge", "confirmation"}},
	}
	if len(tests) != len(Scenarios) {
		t.Errorf("%d scenarios are tested of %d", len(tests), len(Scenarios))
	}
	for _, test := range tests {
		t.Run(test.scenario, func(t *testing.T) {
			var cfg SiteConfig
			i := slices.IndexFunc(Scenarios, func(s Scenario) bool { return s.Name == test.scenario })
			if i < 0 {
				t.Fatalf("no scenario %q", test.scenario)
			}
			Scenarios[i].Configure(&cfg)
			s, url := start(t, cfg)
			habits := map[bool]bool{}
			for _, name := range []string{"WS-0042", "WS-0001", "WS-0002", "WS-0003"} {
				a := newAgent(t, s, url, func(c *AgentConfig) { c.Name = name })
				for life := range 2 {
					if err := a.Live(context.Background()); err != nil {
						t.Fatalf("life %d of %s: %v", life, name, err)
					}
				}
				habits[a.sdk] = true
				if a.cookie == "" || a.smsid == "" {
					t.Errorf("%s has no policy or no client id", name)
				}
			}
			if len(habits) != 2 {
				t.Error("all agents have the same habits; choose other names for the test")
			}
			stats := s.Stats()
			if stats.SignatureFailures != 0 || stats.Unknown != 0 {
				t.Errorf("healthy agents: %d signature failures, %d exchanges not understood:%s", stats.SignatureFailures, stats.Unknown, odd(s))
			}
			for _, kind := range kindNames() {
				if kind == "smstrc" {
					continue // for people, no agent asks for it
				}
				if seen := stats.Exchanges[kind] > 0; seen == slices.Contains(test.missing, kind) {
					t.Errorf("kind %s: %d exchanges", kind, stats.Exchanges[kind])
				}
			}
		})
	}
}

func odd(s *Site) string {
	var b strings.Builder
	for _, r := range s.Received() {
		if r.Kind == unknownKind || r.Signature == Invalid || r.Signature == UnknownKey {
			b.WriteString("\n" + r.Kind + " " + string(r.Signature) + " " + r.Method + " " + r.Target + " " + r.Endpoint + " " + r.Root + " " + r.Text)
		}
	}
	return b.String()
}

// What agents think they sent is what the site got: nothing is lost or doubled
// on the way, which is what a test of the proxy compares.
func TestAccountAgreesWithStats(t *testing.T) {
	s, url := start(t, SiteConfig{TwoStep: true})
	account, err := Crowd{Site: s, BaseURL: url, Agents: 3, Concurrency: 3, Lives: 2, Seed: 1, Now: noon}.Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	stats := s.Stats()
	if diff := cmp.Diff(account.Exchanges, stats.Exchanges); diff != "" {
		t.Errorf("agents counted -, the site counted +:\n%s", diff)
	}
	if account.Lives != 6 || stats.Clients != 3 || len(stats.Uploads) != 6 {
		t.Errorf("%d lives, %d clients, %d uploads; want 6, 3, 6", account.Lives, stats.Clients, len(stats.Uploads))
	}
	if account.Sent == 0 || account.Received == 0 {
		t.Error("no bytes were counted")
	}
}

func TestSameSeedSameMessages(t *testing.T) {
	texts := func() (list []string) {
		s, url := start(t, SiteConfig{})
		if err := newAgent(t, s, url).Live(context.Background()); err != nil {
			t.Fatal(err)
		}
		for _, r := range s.Received() {
			if r.Kind != "registration" { // has certificates with fresh serial numbers
				list = append(list, r.Kind+" "+r.Target+" "+r.MsgID+" "+r.Text)
			}
		}
		return list
	}
	first, second := texts(), texts()
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("two runs with one seed and clock differ:\n%s", diff)
	}
}

func TestUploadArrivesWhole(t *testing.T) {
	s, url := start(t, SiteConfig{})
	if err := newAgent(t, s, url).Live(context.Background()); err != nil {
		t.Fatal(err)
	}
	upload := s.Stats().Uploads[0]
	for _, r := range s.Received() {
		if r.Kind == "sinv" && strings.EqualFold(r.MsgID, upload.Name) {
			if len(r.Attachments) != 1 || r.Attachments[0].SHA256 != upload.SHA256 || upload.Size < 300_000 {
				t.Errorf("the message claims %v, the upload was %v", r.Attachments, upload)
			}
			return
		}
	}
	t.Errorf("no message belongs to upload %s", upload.Name)
}

// HTTPS without client certificates: the site's own certificate alone, and
// Windows authentication inside TLS.
func TestLifeByHTTPS(t *testing.T) {
	s, url := startWith(t, SiteConfig{}, true)
	if err := newAgent(t, s, url).Live(context.Background()); err != nil {
		t.Fatal(err)
	}
	if s.Stats().Exchanges["challenge"] != 1 {
		t.Errorf("%d challenges, want one: the connection stays authenticated", s.Stats().Exchanges["challenge"])
	}
}

func TestNativeSiteDemandsCertificates(t *testing.T) {
	s, url := start(t, SiteConfig{Native: true})
	stranger, err := pki.NewCA("Other CA", noon())
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := stranger.Issue(pki.IssueRequest{CommonName: "WS-0042", Key: testKey(), NotBefore: noon().AddDate(0, 0, -1)})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		change func(*Agent)
		page   string
	}{
		{"without", func(a *Agent) { a.link.config.GetClientCertificate = nil }, "SSL) client certificate"},
		{"of another CA", func(a *Agent) { *a.cfg.ClientCert = *foreign }, "not trusted or is invalid"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := newAgent(t, s, url)
			test.change(a)
			reply, err := a.do(context.Background(), "mplist", request{method: "GET", target: "/SMS_MP/.sms_aut?MPLIST", agent: sendsLists})
			if err != nil {
				t.Fatal(err)
			}
			if reply.status != 403 || reply.line != "403 Client certificate required" || !strings.Contains(string(reply.body), test.page) {
				t.Errorf("answer %q does not tell why: %s", reply.line, reply.body)
			}
		})
	}
	t.Run("by HTTP", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- s.Serve(ctx, l) }()
		err = newAgent(t, s, "http://"+l.Addr().String()).fetchMPList(context.Background())
		if err == nil || !strings.Contains(err.Error(), "403 Forbidden") {
			t.Errorf("a native site answers plain HTTP: %v", err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestFaults(t *testing.T) {
	// The step of an agent's life that notices, and a part of what it says.
	type notice struct{ step, text string }
	want := map[string]notice{
		"status-500":          {"registration", "500 Internal Server Error"},
		"empty-reply":         {"registration", "reply is empty"},
		"reject-registration": {"registration", "status 3"},
		"no-dp":               {"content", "no distribution point"},
		"html-policy":         {"policy", "refused with a page"},
		"changed-policy":      {"policy", "the assignment says SHA256:"},
		"unsigned-policy":     {"policy", "not signed by the site"},
		"close-mid-reply":     {"registration", "ends early"},
		"slow":                {"mplist", "i/o timeout"},
		"expired-certificate": {"mplist", "certificate has expired"},
		"wrong-name":          {"mplist", "not mp01.lab.example"},
	}
	if len(want) != len(Faults) {
		t.Errorf("%d faults, %d of them tested", len(Faults), len(want))
	}
	for i := range Faults {
		fault := &Faults[i]
		t.Run(fault.Name, func(t *testing.T) {
			if fault.Text == "" {
				t.Error("no text says what it does")
			}
			s, url := startWith(t, SiteConfig{Fault: fault}, fault.certificate != nil)
			a := newAgent(t, s, url)
			live := a.Live
			if fault.Name == "slow" {
				a.link.timeout = 50 * time.Millisecond
				live = a.fetchMPList // one step is enough: every other one waits as long
			}
			notice := want[fault.Name]
			err := live(context.Background())
			if err == nil || !strings.Contains(err.Error(), notice.text) {
				t.Errorf("the agent does not notice %q: %v", notice.text, err)
			}
			if fault.Name != "slow" && a.Account().Failures[notice.step] == 0 {
				t.Errorf("step %s did not fail; failed: %v", notice.step, a.Account().Failures)
			}
			if fault.apply != nil && !slices.ContainsFunc(s.Received(), func(r Record) bool { return r.Fault == fault.Name }) {
				t.Error("no record says that the fault was applied")
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	s, err := NewSite(SiteConfig{CA: testCA(), Now: noon})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + l.Addr().String()
	l.Close()
	a := newAgent(t, s, url)
	if err := a.Live(context.Background()); !errors.Is(err, ErrUnreachable) {
		t.Errorf("nobody listens, and the agent says %v", err)
	}
	if failures := slices.Collect(maps.Keys(a.Account().Failures)); len(failures) != 1 {
		t.Errorf("the agent went on to %v", failures)
	}
}

func TestForgedMessages(t *testing.T) {
	s, url := start(t, SiteConfig{})
	a := newAgent(t, s, url)
	ctx := context.Background()
	for _, step := range []func(context.Context) error{a.fetchSiteSigningCertificate, a.register, a.requestPolicy} {
		if err := step(ctx); err != nil {
			t.Fatal(err)
		}
	}
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	own := a.key
	a.key = other
	if err := a.requestPolicy(ctx); !errors.Is(err, errEmptyReply) {
		t.Errorf("policy for somebody without the key: %v", err)
	}
	a.key, a.smsid, a.idSignature = own, "GUID:"+guid(9, "stranger"), ""
	if err := a.requestPolicy(ctx); !errors.Is(err, errEmptyReply) {
		t.Errorf("policy for somebody who never registered: %v", err)
	}
	if got := s.Stats().SignatureFailures; got != 2 {
		t.Errorf("%d signature failures counted, want 2", got)
	}
	target := "/SMS_MP/.sms_pol?{" + guid(1, "policy", "NAAConfig") + "}.3_00"
	reply, err := a.get(ctx, "policy-body", target, bitsAgent)
	if err != nil || string(reply.body) != errorPage {
		t.Errorf("a secret policy without identity: %v, %q", err, reply.body)
	}
}

func TestKindsAreUnique(t *testing.T) {
	names := kindNames()
	slices.Sort(names)
	if len(slices.Compact(names)) != len(Kinds) {
		t.Error("a kind is listed twice")
	}
	known := map[string]bool{}
	for _, k := range Kinds {
		if k.Text == "" {
			t.Errorf("kind %s has no text", k.Name)
		}
		known[k.Name] = true
	}
	for _, e := range endpoints {
		if !known[e.kind] {
			t.Errorf("endpoint %s, root %s has kind %q, which is not listed", e.name, e.root, e.kind)
		}
	}
	for _, l := range lists {
		if !known[l.kind] {
			t.Errorf("query %s has kind %q, which is not listed", l.keyword, l.kind)
		}
	}
}
