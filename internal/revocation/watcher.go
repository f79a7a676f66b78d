package revocation

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"sync"

	"mpproxy/internal/tlsrecord"
	"mpproxy/traffic"
)

// The bounds of a Watcher: chains that wait to be looked at, and chains that it
// remembers.
const (
	maxWaiting    = 64
	maxRemembered = 100_000
)

// Sink takes events; proxy has the same.
type Sink interface{ Take(traffic.Event) }

// Watcher stands before a Sink and fetches what the certificates of handshakes
// name, once for each chain. Traffic never waits for it: chains that come
// faster than they are looked at are left out, and seen again with the next
// handshake.
type Watcher struct {
	next    Sink
	fetcher *Fetcher
	known   []*x509.Certificate
	waiting chan [][]byte

	mu   sync.Mutex
	seen map[[sha256.Size]byte]bool
}

// NewWatcher makes a Watcher before next. known are authorities beside those
// that are sent.
func NewWatcher(next Sink, f *Fetcher, known []*x509.Certificate) *Watcher {
	return &Watcher{next: next, fetcher: f, known: known, waiting: make(chan [][]byte, maxWaiting), seen: map[[sha256.Size]byte]bool{}}
}

// Take hands an event on, and notes the chains of a handshake.
func (w *Watcher) Take(e traffic.Event) {
	w.next.Take(e)
	if over, is := e.(traffic.HandshakeOver); is {
		for _, chain := range Chains(over.Handshake) {
			w.note(chain)
		}
	}
}

// Chains are those of a handshake, by crypto/tls, in clear or opened.
func Chains(h *traffic.Handshake) [][][]byte {
	if h.TLS != nil {
		return [][][]byte{h.PeerCertificates, h.OwnCertificates}
	}
	t := tlsrecord.ParseOpened(h.Bytes())
	var out [][][]byte
	for _, side := range []tlsrecord.Side{tlsrecord.Server, tlsrecord.Client} {
		if c := t.Certificate(side); c != nil {
			var chain [][]byte
			for _, d := range c.Chain {
				if !d.Truncated {
					chain = append(chain, d.Bytes)
				}
			}
			out = append(out, chain)
		}
	}
	return out
}

// note queues a chain that is new.
func (w *Watcher) note(chain [][]byte) {
	if len(chain) == 0 {
		return
	}
	sum := sha256.Sum256(chain[0])
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.seen[sum] || len(w.seen) >= maxRemembered {
		return
	}
	select {
	case w.waiting <- chain:
		w.seen[sum] = true
	default: // the next handshake with it comes
	}
}

// Run fetches until its context ends.
func (w *Watcher) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case chain := <-w.waiting:
			for _, r := range w.fetcher.Chain(ctx, chain, w.known) {
				if ctx.Err() == nil {
					w.next.Take(traffic.RevocationFetched{Revocation: r})
				}
			}
		}
	}
}
