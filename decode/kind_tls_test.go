package decode

import (
	"bytes"
	"crypto/tls"
	"net"
	"testing"
)

// The server's name is all that tells rows of sealed connections apart; what is
// hostile in it must not reach a terminal.
func TestTLSNamesTheServer(t *testing.T) {
	for name, want := range map[string]string{
		"mp01.lab.example": "to mp01.lab.example, ",
		"":                 "handshake, ",
	} {
		hello := helloFor(t, name)
		m := Decode(source(hello), Summary)
		if m.Kind != "tls" || m.Short != want+sizeWords(int64(len(hello))) {
			t.Errorf("%q: kind %v, %q; want %q and a size", name, m.Kind, m.Short, want)
		}
	}
	cut := helloFor(t, "mp01.lab.example")[:40]
	if m := Decode(source(cut), Summary); m.Short != "handshake, 40 B" {
		t.Errorf("cut short: %q", m.Short)
	}
	evil := helloFor(t, "mp01.lab.example")
	copy(evil[bytes.Index(evil, []byte("mp01")):], "\x1b[2J")
	if m := Decode(source(evil), Summary); m.Short != "to ␛[2J.lab.example, "+sizeWords(int64(len(evil))) {
		t.Errorf("a name that moves the cursor: %q", m.Short)
	}
}

func helloFor(t *testing.T, name string) []byte {
	t.Helper()
	client, server := net.Pipe()
	defer server.Close()
	go func() { _ = tls.Client(client, &tls.Config{ServerName: name, InsecureSkipVerify: true}).Handshake() }()
	b := make([]byte, 8<<10)
	n, err := server.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}
