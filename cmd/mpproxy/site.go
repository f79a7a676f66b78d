package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"mpproxy/internal/mpsim"
	"mpproxy/internal/pki"
)

// agentPause keeps agents that live without end at a speed that people can
// follow.
const agentPause = 150 * time.Millisecond

// siteCommand is "mpproxy site".
type siteCommand struct {
	Listen string `default:"127.0.0.1:8090" help:"Where the management point listens."`
	TLS    bool   `name:"tls" help:"HTTPS in place of HTTP."`
	Native bool   `help:"HTTPS, and client certificates demanded."`
	Two    bool   `name:"two-step" help:"Answer a first registration with \"pending\": agents must confirm."`
	Fault  string `help:"What goes wrong; \"list\" names them." placeholder:"NAME"`
	Code   string `default:"LAB" help:"The site code."`
	Seed   uint64 `default:"1" help:"Decides every invented value."`
	Agents int    `help:"Also so many agents, that live again and again and send their traffic to --proxy."`
	Proxy  string `help:"Where agents send to: the URL of mpproxy. Default: the site itself." placeholder:"URL"`
	CAFile string `name:"ca-file" type:"path" help:"Write the site's authority to this file, for --upstream-ca."`
	Client string `type:"path" help:"Write a client certificate with its key to this file, for --client-cert."`
	simulated
	Trust string `type:"path" help:"Authority that agents trust in place of the site's: mpproxy's, from: mpproxy ca export."`
}

// simulated is what the commands with a simulated site have in common.
type simulated struct {
	PKI  string `name:"pki" type:"path" help:"Folder with the site's authority, made on first use: two sites with one folder trust each other's agents." placeholder:"DIR"`
	Keys string `type:"path" help:"Folder with each agent's certificate and key, NAME.pem, made on first use: for mpproxy replay --signing-key and --client-cert." placeholder:"DIR"`
}

// authority is that of --pki, nil without.
func (c simulated) authority() (*pki.CA, error) {
	if c.PKI == "" {
		return nil, nil
	}
	ca, _, err := pki.LoadOrCreateCA(c.PKI, "LAB Test CA", time.Now())
	return ca, err
}

// keep writes keys to --keys, nil without.
func (c simulated) keep() (func(string, *tls.Certificate) error, error) {
	if c.Keys == "" {
		return nil, nil
	}
	if err := os.MkdirAll(c.Keys, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of --keys: %w", err)
	}
	return func(name string, cert *tls.Certificate) error {
		file := filepath.Join(c.Keys, name+".pem")
		return pki.WriteKeyPair(cert, file, file)
	}, nil
}

// own is an agent's certificate and key in --keys, nil when there is none.
func (c simulated) own(name string) *tls.Certificate {
	if c.Keys == "" {
		return nil
	}
	cert, err := pki.LoadKeyPair(filepath.Join(c.Keys, name+".pem"), "")
	if err != nil {
		return nil // it is made then
	}
	return cert
}

// Run is a site until it is told to stop.
func (c *siteCommand) Run(ctx context.Context, e *env) error {
	if c.Fault == "list" {
		for _, f := range mpsim.Faults {
			fmt.Fprintf(e.stdout, "%-22s %s\n", f.Name, f.Text)
		}
		return nil
	}
	cfg := mpsim.SiteConfig{Code: c.Code, Native: c.Native, Seed: c.Seed, TwoStep: c.Two}
	var err error
	if cfg.Fault, err = faultNamed(c.Fault); err != nil {
		return err
	}
	if cfg.CA, err = c.authority(); err != nil {
		return usage(err, "")
	}
	site, err := mpsim.NewSite(cfg)
	if err != nil {
		return err
	}
	if err := c.handOut(site); err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return usage(fmt.Errorf("site: %w", err), "--listen chooses another address.")
	}
	secure := c.TLS || c.Native
	fmt.Fprintf(e.stderr, "site %s: management point %s on %s\n", c.Code, site.MPName(), siteURL(secure, l))
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return serveSite(ctx, site, l, secure) })
	if c.Agents > 0 {
		group.Go(func() error { return c.send(ctx, e, site, siteURL(secure, l)) })
	}
	err = group.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func serveSite(ctx context.Context, site *mpsim.Site, l net.Listener, secure bool) error {
	if secure {
		return site.ServeTLS(ctx, l)
	}
	return site.Serve(ctx, l)
}

func siteURL(secure bool, l net.Listener) string {
	if secure {
		return "https://" + l.Addr().String()
	}
	return "http://" + l.Addr().String()
}

func faultNamed(name string) (*mpsim.Fault, error) {
	if name == "" {
		return nil, nil
	}
	i := slices.IndexFunc(mpsim.Faults, func(f mpsim.Fault) bool { return f.Name == name })
	if i < 0 {
		var known []string
		for _, f := range mpsim.Faults {
			known = append(known, f.Name)
		}
		return nil, usage(fmt.Errorf("unknown fault %q (known: %s)", name, strings.Join(known, ", ")), "")
	}
	return &mpsim.Faults[i], nil
}

// handOut writes what others need to trust the site, and to be trusted by it.
func (c *siteCommand) handOut(site *mpsim.Site) error {
	if c.CAFile != "" {
		if err := writePublic(c.CAFile, site.CA.PEM()); err != nil {
			return err
		}
	}
	if c.Client == "" {
		return nil
	}
	cert, err := site.ClientCert("MPPROXY", nil)
	if err != nil {
		return err
	}
	return pki.WriteKeyPair(cert, c.Client, c.Client)
}

// send lets agents live, again and again, until ctx ends.
func (c *siteCommand) send(ctx context.Context, e *env, site *mpsim.Site, self string) error {
	crowd := mpsim.Crowd{Site: site, BaseURL: c.Proxy, Agents: c.Agents, Seed: c.Seed, Lives: -1, Pause: agentPause}
	if crowd.BaseURL == "" {
		crowd.BaseURL = self
	}
	keep, err := c.keep()
	if err != nil {
		return err
	}
	crowd.Keep, crowd.Own = keep, c.own
	if c.Trust != "" {
		pool, err := pki.LoadPool(c.Trust)
		if err != nil {
			return usage(err, "")
		}
		crowd.RootCAs = pool
	}
	account, err := crowd.Run(ctx)
	n := 0
	for _, k := range account.Exchanges {
		n += k
	}
	fmt.Fprintf(e.stderr, "%d agents lived %d lives, %d exchanges\n", c.Agents, account.Lives, n)
	if errors.Is(err, mpsim.ErrUnreachable) {
		return &exit{exitUnreachable, err, "Is mpproxy listening at --proxy, and does --trust name its authority?"}
	}
	return err
}
