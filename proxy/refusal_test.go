package proxy

import (
	"bytes"
	"crypto/tls"
	"net"
	"testing"

	"mpproxy/traffic"
)

// A line of the list has to name the agent's alert, or it sends people after a
// broken record that never was.
func TestWhyNotIn(t *testing.T) {
	hello := firstHello(t)
	alert := append(bytes.Clone(hello), 21, 3, 3, 0, 2, 2, 48)
	for _, c := range []struct {
		err  string
		in   []byte
		want string
	}{
		{"local error: tls: bad record MAC", alert, "unknown_ca (48), alert of the agent"},
		{"remote error: tls: unknown certificate authority", alert, "unknown_ca (48), alert of the agent"},
		{"remote error: tls: bad certificate", hello, "bad certificate, alert of the agent"},
		{"local error: tls: bad record MAC", hello, "bad record MAC"},
		{"EOF", nil, "closed by the agent without a byte"},
		{"EOF", hello, "closed by the agent in the handshake"},
		{"read tcp 127.0.0.1:1->127.0.0.1:2: read: connection reset by peer", hello, "reset by the agent in the handshake"},
		{"context deadline exceeded", hello[:20], "silent: the agent's handshake stopped"},
		{"tls: client offered only unsupported versions: [301]", hello, "client offered only unsupported versions: [301]"},
	} {
		if got := whyNotIn(&traffic.Handshake{Side: traffic.AgentSide, Err: c.err, In: c.in}); got != c.want {
			t.Errorf("%s: %q, want %q", c.err, got, c.want)
		}
	}
}

// firstHello is the ClientHello of a client in Go.
func firstHello(t *testing.T) []byte {
	t.Helper()
	client, server := net.Pipe()
	go tls.Client(client, &tls.Config{ServerName: "mp01.lab.example"}).Handshake()
	defer server.Close()
	b := make([]byte, 8<<10)
	n, err := server.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}
