package mpsim

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Scenario is a kind of site, with agents that fit.
type Scenario struct {
	Name, Text string
	// Configure makes a site of this kind of a configuration.
	Configure func(*SiteConfig)
}

// Scenarios lists what a demo can show.
var Scenarios = []Scenario{
	{"healthy", "HTTP site: agents authenticate with Windows, are pending at first, and sign their messages", func(c *SiteConfig) {
		c.Native, c.TwoStep = false, true
	}},
	{"approved", "HTTP site that approves every agent at once", func(c *SiteConfig) {
		c.Native, c.TwoStep = false, false
	}},
	{"native", "HTTPS-only site: agents and site have certificates of one PKI", func(c *SiteConfig) {
		c.Native, c.TwoStep = true, false
	}},
}

// Crowd is a number of agents that live at one site.
type Crowd struct {
	Site *Site
	// BaseURL, ProxyURL and RootCAs are those of AgentConfig.
	BaseURL, ProxyURL string
	RootCAs           *x509.CertPool
	// Agents is how many there are; zero is one.
	Agents int
	// Concurrency is how many live at the same time; zero is four, or all of
	// them when their lives have no end.
	Concurrency int
	// Lives is how often each lives; zero is once, negative until ctx ends or
	// the site cannot be reached.
	Lives int
	// Pause is each agent's pause between exchanges.
	Pause time.Duration
	// Seed and Now are those of AgentConfig.
	Seed uint64
	Now  func() time.Time
	// Keep is called with each agent's name, certificate and key before it
	// lives; nil keeps nothing. Several goroutines may call it at once.
	Keep func(name string, c *tls.Certificate) error
	// Own is an agent's certificate and key from before; nil for none.
	Own func(name string) *tls.Certificate
}

// failureLimit bounds the failures that an error names.
const failureLimit = 20

// Run lets all agents live, and ends when they are done or ctx has ended. The
// error names what went wrong in their lives, at most twenty steps of it; an
// ended ctx is none.
func (c Crowd) Run(ctx context.Context) (Account, error) {
	var (
		mu       sync.Mutex
		total    = newAccount()
		failures []error
		group    errgroup.Group
	)
	if c.Concurrency <= 0 {
		c.Concurrency = 4
		if c.Lives < 0 {
			c.Concurrency = max(c.Agents, 1)
		}
	}
	group.SetLimit(c.Concurrency)
	for i := range max(c.Agents, 1) {
		group.Go(func() error {
			account, err := c.live(ctx, i)
			mu.Lock()
			defer mu.Unlock()
			total.add(account)
			if err != nil && ctx.Err() == nil && len(failures) < failureLimit {
				failures = append(failures, err)
			}
			return nil
		})
	}
	_ = group.Wait() // the functions return nil
	return total, errors.Join(failures...)
}

// live is all lives of one agent.
func (c Crowd) live(ctx context.Context, i int) (Account, error) {
	if ctx.Err() != nil {
		return newAccount(), ctx.Err()
	}
	cfg := AgentConfig{
		Site: c.Site, Name: fmt.Sprintf("WS-%04d", i+1),
		BaseURL: c.BaseURL, ProxyURL: c.ProxyURL, RootCAs: c.RootCAs,
		Seed: c.Seed, Now: c.Now, Pause: c.Pause,
	}
	if c.Own != nil {
		cfg.own(c.Own(cfg.Name))
	}
	agent, err := NewAgent(cfg)
	if err != nil {
		return newAccount(), err
	}
	if c.Keep != nil {
		if err := c.Keep(agent.cfg.Name, agent.Credentials()); err != nil {
			return agent.Account(), err
		}
	}
	defer agent.Close()
	var failures []error
	for n := 0; n < max(c.Lives, 1) || c.Lives < 0; n++ {
		err := agent.Live(ctx)
		if ctx.Err() != nil {
			break
		}
		if err != nil && len(failures) < failureLimit {
			failures = append(failures, err)
		}
		if errors.Is(err, ErrUnreachable) {
			break
		}
	}
	return agent.Account(), errors.Join(failures...)
}
