package proxy

import (
	"crypto/tls"
	"sync"
)

// sessions remember TLS sessions with management points, when resumption was
// asked for. One identity never resumes what another one has begun: the
// management point would take the one for the other.
type sessions struct {
	mu     sync.Mutex
	caches map[sessionKey]tls.ClientSessionCache
}

type sessionKey struct {
	target Target
	cert   *tls.Certificate
}

// maxSessionCaches bounds the identities that are remembered; beyond it
// handshakes are whole.
const maxSessionCaches = 10_000

// of is the cache of a management point and an identity; nil remembers nothing.
func (s *sessions) of(t Target, cert *tls.Certificate) tls.ClientSessionCache {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := sessionKey{t, cert}
	c := s.caches[k]
	if c == nil && len(s.caches) < maxSessionCaches {
		if s.caches == nil {
			s.caches = map[sessionKey]tls.ClientSessionCache{}
		}
		c = tls.NewLRUClientSessionCache(1)
		s.caches[k] = c
	}
	return c
}
