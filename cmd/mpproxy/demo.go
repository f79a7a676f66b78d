package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mpproxy/capture"
	"mpproxy/filter"
	"mpproxy/internal/mpsim"
	"mpproxy/internal/pki"
	"mpproxy/internal/view"
	"mpproxy/proxy"
	"mpproxy/rules"
	"mpproxy/traffic"
)

// demoCommand is "mpproxy demo".
type demoCommand struct {
	Scenario string        `default:"healthy" help:"What kind of site; \"list\" names them."`
	Agents   int           `default:"3" help:"How many agents."`
	For      time.Duration `help:"Go on for so long. Default: until every agent has lived once, or with the screen until you quit." placeholder:"30s"`
	Write    string        `short:"w" type:"path" help:"Keep the capture in this file." placeholder:"FILE.mpdb"`
	Rules    string        `type:"path" help:"A file of rules to apply. Default: a rule that marks policy requests, to show one."`
	Seed     uint64        `default:"1" help:"Decides every invented value."`
	simulated
	face
}

// demoRules show a rule at work without changing what the site answers.
const demoRules = `rules:
  - name: mark-first-policy
    when: kind:policy-request method:CCM_POST
    do:
      - set: {field: X-MPProxy-Demo, value: policy}
      - tag: policy
`

// Run plays a site, agents and a proxy between them.
func (c *demoCommand) Run(ctx context.Context, e *env) (err error) {
	scenario, err := scenarioNamed(c.Scenario)
	if err != nil || scenario == nil {
		return listScenarios(e, err)
	}
	file := c.Write
	if file == "" {
		dir, err := os.MkdirTemp("", "mpproxy-demo-")
		if err != nil {
			return fmt.Errorf("make a folder for the demo's capture: %w", err)
		}
		defer func() { _ = os.RemoveAll(dir) }() // a leftover in the temporary folder does no harm
		file = filepath.Join(dir, "demo.mpdb")
	}
	log, done, err := e.ownLog()
	if err != nil {
		return err
	}
	defer done()
	s := &session{face: &c.face, env: e, log: log}
	account, err := c.play(ctx, s, scenario, file)
	if err != nil {
		return err
	}
	if err := c.account(e, file, account, s.format(e)); err != nil {
		return err
	}
	return s.judge(file)
}

// play runs the whole of it, and gives the agents' own account.
func (c *demoCommand) play(ctx context.Context, s *session, scenario *mpsim.Scenario, file string) (account mpsim.Account, err error) {
	siteConfig := mpsim.SiteConfig{Seed: c.Seed}
	scenario.Configure(&siteConfig)
	if siteConfig.CA, err = c.authority(); err != nil {
		return account, usage(err, "")
	}
	keep, err := c.keep()
	if err != nil {
		return account, err
	}
	site, err := mpsim.NewSite(siteConfig)
	if err != nil {
		return account, err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return account, fmt.Errorf("open a port for the demo's site: %w", err)
	}
	ca, err := pki.NewCA("mpproxy demo CA", time.Now())
	if err != nil {
		return account, err
	}
	cfg, err := c.proxy(site, l, ca)
	if err != nil {
		return account, err
	}
	if err := s.open(file, capture.Options{}, cfg); err != nil {
		return account, err
	}
	crowd := mpsim.Crowd{
		Site: site, BaseURL: proxyURL(site.Native(), s.server), RootCAs: ca.Pool(),
		Agents: c.Agents, Seed: c.Seed, Keep: keep, Own: c.own,
	}
	siteCtx, stopSite := context.WithCancel(context.WithoutCancel(ctx))
	served := make(chan error, 1)
	go func() { served <- serveSite(siteCtx, site, l, site.Native()) }()
	s.quit = !s.screen() || c.For > 0
	if !s.quit || c.For > 0 {
		crowd.Lives, crowd.Pause = -1, agentPause
	}
	s.works = append(s.works, func(ctx context.Context) error {
		if c.For > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, c.For)
			defer cancel()
		}
		var err error
		account, err = crowd.Run(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			return nil
		}
		return err
	})
	err = s.run(ctx)
	stopSite()
	if serr := <-served; serr != nil && !errors.Is(serr, context.Canceled) {
		err = errors.Join(err, serr)
	}
	return account, err
}

func (c *demoCommand) proxy(site *mpsim.Site, l net.Listener, ca *pki.CA) (proxy.Config, error) {
	set, err := rules.Parse("demo rules", []byte(demoRules), time.Now(), time.Local)
	if c.Rules != "" {
		set, err = loadRules(c.Rules)
	}
	if err != nil {
		return proxy.Config{}, err
	}
	scheme := proxy.HTTP
	if site.Native() {
		scheme = proxy.HTTPS
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	cfg := proxy.Config{
		Listeners: []proxy.Listener{{
			Address: "127.0.0.1:0", Scheme: scheme,
			Upstream: proxy.Target{Host: site.MPName(), Port: port, TLS: site.Native(), Address: l.Addr().String()},
		}},
		Mint:     ca.Minter(nil),
		Upstream: proxy.UpstreamTLS{Roots: site.CA.Pool()},
		Rules:    func() *rules.Set { return set },
	}
	if site.Native() {
		cfg.Upstream.Certificate, err = site.ClientCert("MPPROXY", nil)
	}
	return cfg, err
}

func proxyURL(secure bool, s *proxy.Server) string {
	scheme := "http://"
	if secure {
		scheme = "https://"
	}
	return scheme + s.Addrs()[0].String()
}

func scenarioNamed(name string) (*mpsim.Scenario, error) {
	if name == "list" {
		return nil, nil
	}
	var known []string
	for i, s := range mpsim.Scenarios {
		if s.Name == name {
			return &mpsim.Scenarios[i], nil
		}
		known = append(known, s.Name)
	}
	return nil, usage(fmt.Errorf("unknown scenario %q (known: %s)", name, strings.Join(known, ", ")), "")
}

func listScenarios(e *env, err error) error {
	if err == nil {
		for _, s := range mpsim.Scenarios {
			fmt.Fprintf(e.stdout, "%-10s %s\n", s.Name, s.Text)
		}
	}
	return err
}

// account says what happened, from the capture: it is the proof that the
// capture is there.
func (c *demoCommand) account(e *env, file string, agents mpsim.Account, f view.Format) error {
	s, err := openStore(file)
	if err != nil {
		return err
	}
	defer s.Close()
	ctx := context.Background()
	kinds, total := map[string]int{}, 0
	err = each(ctx, s, &filter.Filter{}, 0, func(r capture.Row) error {
		kinds[r.Kind]++
		total++
		return nil
	})
	if err != nil {
		return err
	}
	groups, err := s.FindingGroups(ctx, time.Time{})
	if err != nil {
		return err
	}
	w := e.stderr
	if !c.JSON {
		w = e.stdout
	}
	fmt.Fprintf(w, "\n%s of %s, %s sent, %s received\n", view.Plural(int64(total), "exchange"), view.Plural(int64(c.Agents), "agent"), view.Size(agents.Sent), view.Size(agents.Received))
	names := slices.SortedFunc(maps.Keys(kinds), func(a, b string) int { return cmp.Or(kinds[b]-kinds[a], cmp.Compare(a, b)) })
	for _, k := range names {
		fmt.Fprintf(w, "  %6d  %s\n", kinds[k], view.KindName(k))
	}
	fmt.Fprintf(w, "findings: %s\n", findingWords(groups))
	for _, g := range groups {
		fmt.Fprintf(w, "  %s %5d  %s: %s\n", g.Kind.Severity.Letter(), g.Count, g.Kind.Code, view.Clean(g.Kind.Title, f.ASCII))
	}
	if c.Write != "" {
		fmt.Fprintf(w, "capture: %s\n", file)
	} else {
		fmt.Fprintln(w, "capture: removed; -w FILE.mpdb keeps it")
	}
	return nil
}

func findingWords(groups []capture.FindingGroup) string {
	counts := map[traffic.Severity]int64{}
	for _, g := range groups {
		counts[g.Kind.Severity] += g.Count
	}
	return view.Plural(counts[traffic.Error], "error") + ", " + view.Plural(counts[traffic.Warning], "warning") + ", " + view.Plural(counts[traffic.Info], "note")
}
