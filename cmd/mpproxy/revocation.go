package main

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"sync"

	"golang.org/x/sync/errgroup"

	"mpproxy/capture"
	"mpproxy/internal/pki"
	"mpproxy/internal/revocation"
	"mpproxy/proxy"
	"mpproxy/traffic"
)

// revocationFlags are the flags of commands that fetch revocation lists.
type revocationFlags struct {
	FetchCRL     bool `name:"fetch-crl" help:"Fetch the revocation lists that certificates name (http: only), to see what agents see. Nothing is fetched without it."`
	FetchPrivate bool `help:"With --fetch-crl: also from private and loopback addresses."`
}

// watcher stands before the recorder and fetches what certificates name. own is
// the URL of the list that mpproxy serves itself; roots are authorities that
// may have signed lists.
func (f revocationFlags) watcher(own string, ca *pki.CA, roots []*x509.Certificate) func(*capture.Recorder) (proxy.Sink, func(context.Context) error) {
	return func(r *capture.Recorder) (proxy.Sink, func(context.Context) error) {
		opts := revocation.Options{Private: f.FetchPrivate}
		if own != "" {
			opts.Own = []string{own}
		}
		known := roots
		if ca != nil {
			known = append(known, ca.Cert)
		}
		w := revocation.NewWatcher(r, revocation.New(opts), known)
		return w, w.Run
	}
}

// The bounds of what is fetched for one capture.
const (
	maxChains   = 10_000
	maxIssuers  = 1000
	atOnceLists = 8
)

// fetchFor fetches for the certificates of a capture. report hears how far it
// is; nil is not told.
func (f revocationFlags) fetchFor(ctx context.Context, d *diagnosis, report func(done, all int64)) error {
	if !f.FetchCRL {
		return nil
	}
	var all seenChains
	if err := d.survey.Each(ctx, func(c *traffic.Conn) error {
		if d.wanted == nil || d.wanted[c.ID] {
			all.addLeg(c.AgentLeg)
			all.addLeg(c.UpstreamLeg)
		}
		return nil
	}); err != nil {
		return err
	}
	fetched, err := all.fetch(ctx, revocation.New(revocation.Options{Private: f.FetchPrivate}), report)
	if len(fetched) > 0 {
		d.survey.Revoked(fetched)
	}
	return err
}

// seenChains are chains without repetitions, and the authorities among them.
type seenChains struct {
	chains  [][][]byte
	issuers []*x509.Certificate
	known   map[[sha256.Size]byte]bool
}

func (s *seenChains) addLeg(l traffic.Leg) {
	if l.Handshake != nil {
		for _, chain := range revocation.Chains(l.Handshake) {
			s.add(chain)
		}
	}
}

func (s *seenChains) add(chain [][]byte) {
	if s.known == nil {
		s.known = map[[sha256.Size]byte]bool{}
	}
	for i, der := range chain {
		sum := sha256.Sum256(der)
		if s.known[sum] {
			continue
		}
		switch {
		case i == 0 && len(s.chains) < maxChains:
			s.chains = append(s.chains, chain)
		case i > 0 && len(s.issuers) < maxIssuers:
			x, err := x509.ParseCertificate(der)
			if err != nil {
				continue // a diagnosis says so
			}
			s.issuers = append(s.issuers, x)
		default:
			continue
		}
		s.known[sum] = true
	}
}

// fetch fetches for all of them.
func (s *seenChains) fetch(ctx context.Context, f *revocation.Fetcher, report func(done, all int64)) ([]traffic.Revocation, error) {
	results := make([][]traffic.Revocation, len(s.chains))
	var mu sync.Mutex
	done := int64(0)
	count := func() {
		if report == nil {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		done++
		report(done, int64(len(s.chains)))
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnceLists)
	for i, chain := range s.chains {
		group.Go(func() error {
			results[i] = f.Chain(ctx, chain, s.issuers)
			count()
			return ctx.Err()
		})
	}
	err := group.Wait()
	var out []traffic.Revocation
	for _, r := range results {
		out = append(out, r...)
	}
	return out, err
}
