// Package tlsrecord finds records, hellos, certificates and alerts in handshake
// bytes.
//
// In go the raw bytes that a TLS client and a TLS server sent, from the first
// byte of the connection on, or those of one of them. Out comes a [Transcript]:
// for each direction the records and messages in order with their offsets, the
// hellos read to the last extension, certificates as DER, alerts by name, and
// of what is encrypted the type, the size and what it must be. Everything from
// an SSL 2.0 CLIENT-HELLO to TLS 1.3 is read, also when it is cut short or wrong.
// With the [Secrets] of a TLS 1.3 handshake its encrypted messages are read too.
//
// The package states facts and judges none: whether a certificate is good or
// whose fault an alert is, is not its business. It does no I/O, never fails on
// what came from the wire, and its memory is bounded by a small multiple of its
// input.
package tlsrecord

import "bytes"

// Side is the end of a connection that sent something.
type Side uint8

// The sides of a TLS connection.
const (
	Client Side = iota
	Server
)

// String is the side in one word.
func (s Side) String() string {
	if s == Server {
		return "server"
	}
	return "client"
}

// Transcript is what both sides of a connection said.
type Transcript struct {
	Client, Server Stream
}

// Parse reads what the TLS client and the TLS server of one connection sent,
// each from its first byte on. Either may be nil or cut short anywhere. On a leg
// where the peer is an agent, what came in is the client's and what went out the
// server's; on the leg to a management point it is the other way round. The
// result shares the bytes, which must not change as long as it is used.
func Parse(client, server []byte) *Transcript { return ParseOpened(client, server, nil, nil) }

// ParseOpened is [Parse] of a connection of TLS 1.3 with what [Secrets.Open] has
// opened of it: those messages are read as if they had been sent in clear, and
// are marked as Opened. Offsets are those of the encrypted bytes, in which each
// byte stands where it does in clear.
func ParseOpened(client, server, openedClient, openedServer []byte) *Transcript {
	t := &Transcript{
		Client: parseStream(Client, client, openedClient),
		Server: parseStream(Server, server, openedServer),
	}
	t.weighEncrypted()
	return t
}

// Of is the stream that a side sent.
func (t *Transcript) Of(s Side) *Stream {
	if s == Server {
		return &t.Server
	}
	return &t.Client
}

// ClientHello is the client's first hello; nil when there is none in clear.
func (t *Transcript) ClientHello() *ClientHello {
	h, _ := First[*ClientHello](&t.Client)
	return h
}

// Retry is the server's HelloRetryRequest; nil when there is none.
func (t *Transcript) Retry() *ServerHello { return t.serverHello(true) }

// ServerHello is the hello that settled the handshake, never a
// HelloRetryRequest; nil when there is none in clear.
func (t *Transcript) ServerHello() *ServerHello { return t.serverHello(false) }

func (t *Transcript) serverHello(retry bool) *ServerHello {
	for i := range t.Server.Messages {
		if h, ok := t.Server.Messages[i].Body.(*ServerHello); ok && h.Retry == retry {
			return h
		}
	}
	return nil
}

// Version is the negotiated version, 0 when no ServerHello says it.
func (t *Transcript) Version() Version {
	if h := t.ServerHello(); h != nil {
		return h.Version
	}
	if h := t.Retry(); h != nil {
		return h.Version
	}
	return 0
}

// Suite is the negotiated cipher suite; ok is false when no ServerHello says it.
func (t *Transcript) Suite() (s Suite, ok bool) {
	h := t.ServerHello()
	if h == nil || !h.chose {
		return 0, false
	}
	return h.Suite, true
}

// Resumed is true when the handshake takes up an earlier session, and so shows
// no certificates: the server chose a pre-shared key (TLS 1.3), or gave back
// the session id that the client had sent (before).
func (t *Transcript) Resumed() bool {
	server := t.ServerHello()
	if server == nil {
		return false
	}
	if server.Version >= TLS13 {
		return server.PSK >= 0
	}
	if client := t.ClientHello(); client != nil {
		return len(server.SessionID) > 0 && bytes.Equal(server.SessionID, client.SessionID)
	}
	return t.Server.skips()
}

// skips is true for a server that goes from its hello straight to its
// ChangeCipherSpec.
func (s *Stream) skips() bool {
	for i := range s.Messages {
		switch m := &s.Messages[i]; {
		case m.Content == ContentChangeCipherSpec:
			return true
		case m.Type != TypeServerHello && m.Type != TypeNewSessionTicket:
			return false
		}
	}
	return false
}

// Certificate is the Certificate message that a side sent in clear or that was
// opened, nil when there is none: TLS 1.3 encrypts it, resumption leaves it out.
// A Certificate with an empty chain says that the side has none to show.
func (t *Transcript) Certificate(s Side) *Certificate {
	c, _ := First[*Certificate](t.Of(s))
	return c
}

// CertificateRequest is how the server asked for a client certificate in clear
// or opened; nil when it did not.
func (t *Transcript) CertificateRequest() *CertificateRequest {
	r, _ := First[*CertificateRequest](&t.Server)
	return r
}

// First finds the first message of a stream whose body is a B, with the
// message; the zero B and nil when there is none.
func First[B any](s *Stream) (B, *Message) {
	for i := range s.Messages {
		if b, ok := s.Messages[i].Body.(B); ok {
			return b, &s.Messages[i]
		}
	}
	var none B
	return none, nil
}
