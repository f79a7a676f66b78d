package proxy

import (
	"io"

	"mpproxy/internal/tlsrecord"
	"mpproxy/traffic"
)

// secrets are those of one handshake, by which mpproxy can read again what TLS
// 1.3 encrypted of it, should it fail. They go on to the key log, where there
// is one, and nowhere else.
type secrets struct {
	tlsrecord.Secrets
	log io.Writer // nil without
}

// Write takes a line as tls.Config.KeyLogWriter gives it.
func (s *secrets) Write(line []byte) (int, error) {
	if n, err := s.Secrets.Write(line); s.log == nil {
		return n, err
	}
	return s.log.Write(line)
}

// explain adds to a failed handshake what was encrypted of it: crypto/tls keeps
// to itself a certificate that it cannot parse, and drops what it read before
// it failed.
func (s *secrets) explain(hs *traffic.Handshake) {
	client, server, _, _ := hs.Bytes()
	openedClient, openedServer := s.Open(client, server)
	from := tlsrecord.Client
	hs.OpenedIn, hs.OpenedOut = openedClient, openedServer
	if hs.Side == traffic.UpstreamSide {
		from = tlsrecord.Server
		hs.OpenedIn, hs.OpenedOut = openedServer, openedClient
	}
	if len(hs.PeerCertificates) > 0 {
		return
	}
	if c := tlsrecord.ParseOpened(hs.Bytes()).Certificate(from); c != nil {
		for _, der := range c.Chain {
			if !der.Truncated {
				hs.PeerCertificates = append(hs.PeerCertificates, der.Bytes)
			}
		}
	}
}
