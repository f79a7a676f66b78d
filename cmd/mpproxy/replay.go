package main

import (
	"cmp"
	"context"
	"crypto/rsa"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"mpproxy/capture"
	"mpproxy/compare"
	"mpproxy/decode"
	"mpproxy/internal/diff"
	"mpproxy/internal/pki"
	"mpproxy/internal/view"
	"mpproxy/proxy"
	"mpproxy/replay"
	"mpproxy/traffic"
)

// replayCommand is "mpproxy replay".
type replayCommand struct {
	File   string   `arg:"" type:"path" help:"The capture."`
	Filter []string `arg:"" optional:"" help:"Which exchanges, such as: agent:PC-0419"`

	To     string `help:"Play the agents to this management point: https://mp02.contoso.com." placeholder:"URL"`
	Speed  string `default:"max" help:"How many times as fast as in the capture: 1, 10, or max."`
	DryRun bool   `help:"Say what would be sent, and send nothing."`
	Resume bool   `help:"Go on where the replay of this capture to this management point was stopped."`
	AtOnce int    `default:"64" help:"How many exchanges may be under way at once."`

	SigningKey       string        `type:"path" help:"The agents' signing key, to make signatures again: a PEM or PFX file for all, or a folder with one for each agent, NAME.pem or NAME.pfx." placeholder:"PATH"`
	ClientCert       string        `type:"path" help:"Client certificate: a PEM file with key or a PFX for all, or a folder with NAME.pem or NAME.pfx." placeholder:"PATH"`
	PasswordFile     string        `type:"path" help:"File with the password of PFX files."`
	UpstreamCA       string        `name:"upstream-ca" type:"path" help:"Authorities to trust for the management point (PEM), in place of the system's."`
	UpstreamInsecure bool          `help:"Do not verify the management point's certificate."`
	UpstreamTLSMax   string        `name:"upstream-tls-max" enum:"1.2,1.3" default:"1.2" help:"Highest TLS version to offer. 1.2, since IIS asks for client certificates by renegotiation."`
	Connect          string        `help:"Connect to this address in place of the URL's host." placeholder:"HOST:PORT"`
	Timeout          time.Duration `default:"1m" help:"How long one exchange may take."`
	Changes          bool          `help:"List each thing that was made fresh."`
	serveFlags
	verdicts
}

// Run replays.
func (c *replayCommand) Run(ctx context.Context, e *env) error {
	if (c.To == "") == (c.Serve == "") {
		return usage(errors.New("say which part to play: --to or --serve"), "--to https://mp02.contoso.com plays the agents, --serve 127.0.0.1:8443 the management point.")
	}
	if err := c.parts(); err != nil {
		return err
	}
	f, err := parseFilter(c.Filter)
	if err != nil {
		return err
	}
	for _, written := range []string{c.JUnit, c.Write} {
		if err := notItself(written, c.File); err != nil {
			return err
		}
	}
	s, err := openStore(c.File)
	if err != nil {
		return err
	}
	defer s.Close()
	if c.Serve != "" {
		return c.serve(ctx, e, s, f)
	}
	certs, keys, err := c.keyrings()
	if err != nil {
		return usage(err, "PEM files have certificate and key; --password-file FILE has the password of PFX files.")
	}
	opts, err := c.options(certs, keys)
	if err != nil {
		return usage(err, "")
	}
	plan, err := replay.Prepare(ctx, s, f)
	if err != nil {
		return err
	}
	c.say(e.stderr, plan, certs, keys)
	if plan.Exchanges == 0 { // or a build server takes nothing for the same
		return usage(errors.New("there is nothing to replay"), "mpproxy ls FILE [FILTER] lists what the capture has.")
	}
	if c.DryRun {
		return nil
	}
	return c.play(ctx, e, plan, opts)
}

// parts refuses what has no meaning in the part that is played: whoever asks for
// it expects something of it.
func (c *replayCommand) parts() error {
	for _, f := range []struct {
		name      string
		given, to bool
	}{
		{"--dry-run", c.DryRun, true},
		{"--resume", c.Resume, true},
		{"--changes", c.Changes, true},
		{"--signing-key", c.SigningKey != "", true},
		{"--client-cert", c.ClientCert != "", true},
		{"--vary", c.Vary != "", true},
		{"--junit", c.JUnit != "", true},
		{"--strict", c.Strict, false},
		{"--native", c.Native, false},
		{"--cert", c.Cert != "", false},
		{"--write", c.Write != "", false},
	} {
		if f.given && f.to != (c.To != "") {
			part := map[bool]string{true: "--to", false: "--serve"}[f.to]
			return usage(fmt.Errorf("%s means something only with %s", f.name, part), "Leave it out.")
		}
	}
	return nil
}

// say tells what will be sent, what cannot be first.
func (c *replayCommand) say(w io.Writer, p *replay.Plan, certs, keys keyring) {
	for _, l := range p.Left {
		fmt.Fprintf(w, "not replayed: %d × %s (such as %d)\n", l.Count, l.Why, l.Example)
	}
	for _, l := range p.Notes {
		fmt.Fprintf(w, "note: %d × %s (such as %d)\n", l.Count, l.Why, l.Example)
	}
	fmt.Fprintf(w, "%s of %s on %s to %s, speed %s\n",
		view.Plural(int64(p.Exchanges), "exchange"), view.Plural(int64(p.Agents), "agent"), view.Plural(int64(p.Conns), "connection"), c.To, c.Speed)
	if without := keys.without(p.Signing); without != "" {
		fmt.Fprintf(w, "no signing key for %s: what is signed is sent as it was captured, with its client id and times; the management point may refuse it (--signing-key)\n", without)
	}
	if without := certs.without(p.Certified); without != "" && strings.HasPrefix(c.To, "https:") {
		fmt.Fprintf(w, "no client certificate for %s, which showed one in the capture (--client-cert)\n", without)
	}
}

// keyrings reads the keys that were given.
func (c *replayCommand) keyrings() (certs, keys keyring, err error) {
	if certs, err = readKeyring(c.ClientCert, c.PasswordFile); err != nil {
		return certs, keys, fmt.Errorf("--client-cert: %w", err)
	}
	if keys, err = readKeyring(c.SigningKey, c.PasswordFile); err != nil {
		return certs, keys, fmt.Errorf("--signing-key: %w", err)
	}
	return certs, keys, keys.allRSA()
}

func (c *replayCommand) options(certs, keys keyring) (o replay.Options, err error) {
	t, err := proxy.ParseTarget(c.To)
	if err != nil {
		return o, fmt.Errorf("--to: %w", err)
	}
	if c.AtOnce < 0 || c.Timeout < 0 {
		return o, errors.New("--at-once and --timeout cannot be less than nothing")
	}
	o = replay.Options{
		Target:  replay.Target{Host: t.Host, Port: t.Port, TLS: t.TLS, Address: c.Connect},
		TLS:     &tls.Config{InsecureSkipVerify: c.UpstreamInsecure, MaxVersion: tls.VersionTLS12}, //nolint:gosec // asked for
		AtOnce:  c.AtOnce,
		Timeout: c.Timeout,
	}
	if c.UpstreamTLSMax == "1.3" {
		o.TLS.MaxVersion = tls.VersionTLS13
	}
	if c.Speed != "max" {
		o.Speed, err = strconv.ParseFloat(c.Speed, 64)
		if err != nil || !(o.Speed > 0) || math.IsInf(o.Speed, 0) {
			return o, fmt.Errorf("--speed %q: write how many times as fast, such as 1 or 10, or max", c.Speed)
		}
	}
	if c.UpstreamCA != "" {
		if o.TLS.RootCAs, err = pki.LoadPool(c.UpstreamCA); err != nil {
			return o, fmt.Errorf("--upstream-ca: %w", err)
		}
	}
	o.Certificate = certs.of
	o.Signer = func(agent string) *decode.Signer { return signerOf(keys.of(agent)) }
	return o, nil
}

func signerOf(c *tls.Certificate) *decode.Signer {
	if c == nil {
		return nil
	}
	key, ok := c.PrivateKey.(*rsa.PrivateKey)
	if !ok {
		return nil
	}
	return &decode.Signer{Key: key, Certificate: c.Certificate[0]}
}

// keyring has the keys of agents: one for all, or one for each by its name.
type keyring struct {
	all    *tls.Certificate
	byName map[string]*tls.Certificate
}

// readKeyring reads a file, or a folder of NAME.pem and NAME.pfx; an empty path
// has none.
func readKeyring(path, passwordFile string) (k keyring, err error) {
	if path == "" {
		return k, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return k, err
	}
	if !info.IsDir() {
		k.all, err = loadClientCert(path, "", passwordFileFor(path, passwordFile))
		return k, err
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return k, err
	}
	k.byName = map[string]*tls.Certificate{}
	for _, entry := range entries {
		ext := strings.ToLower(filepath.Ext(entry.Name()))
		if ext != ".pem" && ext != ".pfx" && ext != ".p12" {
			continue
		}
		file := filepath.Join(path, entry.Name())
		cert, err := loadClientCert(file, "", passwordFileFor(file, passwordFile))
		if err != nil {
			return k, err
		}
		k.byName[strings.ToUpper(strings.TrimSuffix(entry.Name(), filepath.Ext(entry.Name())))] = cert
	}
	if len(k.byName) == 0 {
		return k, fmt.Errorf("no NAME.pem and no NAME.pfx in %s", path)
	}
	return k, nil
}

// passwordFileFor is the password file for a PFX, none for PEM.
func passwordFileFor(path, passwordFile string) string {
	if strings.EqualFold(filepath.Ext(path), ".pem") {
		return ""
	}
	return passwordFile
}

func (k keyring) of(agent string) *tls.Certificate {
	if c := k.byName[strings.ToUpper(agent)]; c != nil {
		return c
	}
	return k.all
}

// without names the agents that have no key, "" when all have one.
func (k keyring) without(agents []string) string {
	var none []string
	for _, name := range agents {
		if k.of(name) == nil {
			none = append(none, name)
		}
	}
	switch n := len(none); {
	case n == 0:
		return ""
	case n > 1 && n == len(agents):
		return fmt.Sprintf("all %d agents", n)
	case n > 3:
		return fmt.Sprintf("%d of %d agents (such as %s)", n, len(agents), none[0])
	}
	return strings.Join(none, ", ")
}

// allRSA refuses keys that ConfigMgr does not sign with.
func (k keyring) allRSA() error {
	for name, c := range k.byName {
		if signerOf(c) == nil {
			return fmt.Errorf("--signing-key: the key of %s is no RSA key", name)
		}
	}
	if k.all != nil && signerOf(k.all) == nil {
		return errors.New("--signing-key: the key is no RSA key")
	}
	return nil
}

// play sends the plan and says what came of it.
func (c *replayCommand) play(ctx context.Context, e *env, plan *replay.Plan, opts replay.Options) error {
	v, err := c.begin(e, filepath.Base(c.File), "live")
	if err != nil {
		return err
	}
	opts.Vary, v.replies = v.vary, true
	journal, err := c.journal(e, plan.Began)
	if err != nil {
		return v.end(err)
	}
	opts.Skip, opts.Given, v.differed = journal.skip, journal.given, journal.differed
	if c.Resume {
		fmt.Fprintf(e.stderr, "going on after %s, of which %d differed\n", view.Plural(int64(len(journal.done)), "exchange"), journal.differed)
	}
	report, clear := e.progress("replaying")
	sum := tally{made: map[string]int{}, unsigned: map[string]int{}}
	err = plan.Run(ctx, opts, func(p replay.Played) error {
		sum.add(p)
		report(int64(sum.sent), int64(plan.Exchanges))
		if err := journal.note(p); err != nil {
			return err
		}
		return c.take(e, v, p)
	})
	clear()
	sent := sum.sent + len(journal.done)
	err = errors.Join(err, journal.close(err == nil))
	if err != nil && sent > 0 {
		fmt.Fprintf(e.stderr, "stopped after %d of %d exchanges; go on with --resume\n", sent, plan.Exchanges)
	}
	if errors.Is(err, replay.ErrUnreachable) {
		return v.end(&exit{exitUnreachable, err, "mpproxy doctor " + c.To + " finds out why."})
	}
	sum.say(e.stderr)
	return v.end(err)
}

// take reports one exchange.
func (c *replayCommand) take(e *env, v *verdict, p replay.Played) error {
	if c.Changes && !c.JSON {
		for _, ch := range p.Changes {
			line := fmt.Sprintf("%d %s", p.A.ID, ch.What)
			if ch.Before != "" {
				line += fmt.Sprintf(": %s → %s", ch.Before, ch.After)
			}
			fmt.Fprintln(e.stdout, output{ASCII: c.ASCII}.clean(e, line))
		}
	}
	if c.JSON && (len(p.Changes) > 0 || p.Err != nil) {
		if err := json.NewEncoder(e.stdout).Encode(changesOf(p)); err != nil {
			return err
		}
	}
	if p.Err != nil {
		fmt.Fprintf(e.stderr, "exchange %d: %v\n", p.A.ID, p.Err)
	}
	return v.take(p.Outcome)
}

type changeJSON struct {
	What   string `json:"what"`
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
}

type changesJSON struct {
	Schema   string       `json:"schema"`
	V        int          `json:"v"`
	ID       int64        `json:"id"`
	Changes  []changeJSON `json:"changes"`
	Unsigned []string     `json:"unsigned,omitempty"`
	TookMS   float64      `json:"took_ms"`
	Err      string       `json:"err,omitempty"`
}

func changesOf(p replay.Played) changesJSON {
	out := changesJSON{Schema: "mpproxy.replayed", V: 1, ID: int64(p.A.ID), Changes: []changeJSON{}, Unsigned: p.Unsigned, TookMS: float64(p.Took.Microseconds()) / 1e3}
	for _, c := range p.Changes {
		out.Changes = append(out.Changes, changeJSON{c.What, c.Before, c.After})
	}
	if p.Err != nil {
		out.Err = p.Err.Error()
	}
	return out
}

// tally counts what was made fresh.
type tally struct {
	sent, failed   int
	made, unsigned map[string]int
}

func (t *tally) add(p replay.Played) {
	t.sent++
	if p.Err != nil {
		t.failed++
	}
	for _, c := range p.Changes {
		t.made[c.What]++
	}
	for _, what := range p.Unsigned {
		t.unsigned[what]++
	}
}

func (t *tally) say(w io.Writer) {
	for _, list := range []struct {
		words string
		m     map[string]int
	}{{"made fresh", t.made}, {"sent as captured, so it may not verify", t.unsigned}} {
		if len(list.m) == 0 {
			continue
		}
		var parts []string
		for _, what := range slices.SortedFunc(maps.Keys(list.m), func(a, b string) int {
			return cmp.Or(cmp.Compare(list.m[b], list.m[a]), cmp.Compare(a, b))
		}) {
			parts = append(parts, fmt.Sprintf("%d × %s", list.m[what], what))
		}
		fmt.Fprintf(w, "%s: %s\n", list.words, strings.Join(parts, ", "))
	}
	if t.failed > 0 {
		fmt.Fprintf(w, "%s got no reply\n", view.Plural(int64(t.failed), "exchange"))
	}
}

// replayOne is how the screen sends one exchange to a management point: with the
// system's authorities, and no certificates and keys, for which the command has
// flags.
func replayOne(s *capture.Store) func(context.Context, traffic.ExchangeID, string) (diff.Outcome, []string, error) {
	return func(ctx context.Context, id traffic.ExchangeID, url string) (out diff.Outcome, notes []string, err error) {
		c := &replayCommand{To: url, Speed: "max", Timeout: time.Minute, UpstreamTLSMax: "1.2"}
		opts, err := c.options(keyring{}, keyring{})
		if err != nil {
			return out, nil, err
		}
		opts.Vary = compare.Standard()
		f, err := parseFilter([]string{fmt.Sprintf("id:%d", id)})
		if err != nil {
			return out, nil, err
		}
		plan, err := replay.Prepare(ctx, s, f)
		if err != nil {
			return out, nil, err
		}
		for _, l := range plan.Left {
			return out, nil, fmt.Errorf("exchange %d cannot be replayed: %s", id, l.Why)
		}
		err = plan.Run(ctx, opts, func(p replay.Played) error {
			out = p.Outcome
			for _, ch := range p.Changes {
				notes = append(notes, fmt.Sprintf("made fresh: %s %s → %s", ch.What, ch.Before, ch.After))
			}
			for _, what := range p.Unsigned {
				notes = append(notes, "sent as captured, so it may not verify: "+what)
			}
			return p.Err
		})
		return out, notes, err
	}
}
