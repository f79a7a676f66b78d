package tlsrecord

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
)

// opened is a connection of TLS 1.3 read with the secrets of its server.
func opened(client, server *tls.Config) *Transcript {
	var s Secrets
	server.KeyLogWriter = &s
	fromClient, fromServer := talkBytes(client, server)
	a, b := s.Open(fromClient, fromServer)
	return ParseOpened(fromClient, fromServer, a, b)
}

// TestOpen reads in TLS 1.3 what earlier versions send in clear: how a
// certificate was asked for, both chains, and the alert that ended it. The
// handshake with a HelloRetryRequest uses the same secrets.
func TestOpen(t *testing.T) {
	s := newSite(t)
	for name, change := range map[string]func(client, server *tls.Config){
		"one hello":  func(*tls.Config, *tls.Config) {},
		"two hellos": func(_, server *tls.Config) { server.CurvePreferences = []tls.CurveID{tls.CurveP384} },
	} {
		t.Run(name, func(t *testing.T) {
			server, client := s.serverConfig(), s.clientConfig(TLS13)
			server.ClientAuth = tls.RequireAnyClientCert
			client.Certificates = []tls.Certificate{*s.client}
			change(client, server)
			got := opened(client, server)
			checkWhole(t, got)
			checkChain(t, got, Server, TLS12, s.server)
			checkChain(t, got, Client, TLS12, s.client)
			checkRequest(t, got, TLS12, s.ca)
			if got.Stage() != StageData || got.Retry() == nil != (name == "one hello") {
				t.Errorf("stage %s:\n%s", got.Stage(), got)
			}
			if len(got.CertificateRequest().SignatureSchemes) == 0 {
				t.Error("the signature algorithms of the request are not read")
			}
		})
	}

	server, client := s.serverConfig(), s.clientConfig(TLS13)
	client.RootCAs = s.other.pool()
	got := opened(client, server)
	alerts := got.Client.Alerts()
	if len(alerts) != 1 || !alerts[0].Opened || alerts[0].Body == nil || alerts[0].Body.(*Alert).Code != 42 || got.Stage() != StageServerDone {
		t.Errorf("the client's encrypted alert is not read:\n%s", got)
	}

	server, client = s.serverConfig(), s.clientConfig(TLS13)
	server.ClientAuth = tls.RequestClientCert
	got = opened(client, server)
	if c := got.Certificate(Client); c == nil || len(c.Chain) != 0 {
		t.Errorf("the client's empty Certificate is not read:\n%s", got)
	}
}

// TestOpenSuites opens what OpenSSL encrypts with each suite of TLS 1.3.
func TestOpenSuites(t *testing.T) {
	s := newSite(t)
	key, err := x509.MarshalPKCS8PrivateKey(s.client.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "client.pem")
	both := append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.client.Certificate[0]})...)
	if err := os.WriteFile(file, both, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, suite := range []string{"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"} {
		t.Run(suite, func(t *testing.T) {
			var secrets Secrets
			var in, out bytes.Buffer
			dialled(t, func(port string) []string {
				return []string{"openssl", "s_client", "-connect", "127.0.0.1:" + port, "-tls1_3", "-ciphersuites", suite, "-cert", file, "-key", file, "-quiet"}
			}, func(conn net.Conn) {
				cfg := s.serverConfig()
				cfg.ClientAuth, cfg.KeyLogWriter = tls.RequireAnyClientCert, &secrets
				if err := tls.Server(teed{conn, &in, &out}, cfg).Handshake(); err != nil {
					t.Error(err)
				}
			})
			a, b := secrets.Open(in.Bytes(), out.Bytes())
			got := ParseOpened(in.Bytes(), out.Bytes(), a, b)
			if chosen, _ := got.Suite(); chosen.String() != suite {
				t.Fatalf("suite %s", chosen)
			}
			checkChain(t, got, Client, TLS12, s.client)
			checkChain(t, got, Server, TLS12, s.server)
		})
	}
}

// teed keeps what goes through a connection.
type teed struct {
	net.Conn
	in, out io.Writer
}

func (c teed) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	_, _ = c.in.Write(b[:n])
	return n, err
}

func (c teed) Write(b []byte) (int, error) {
	_, _ = c.out.Write(b)
	return c.Conn.Write(b)
}

// TestOpenNothing: without the right secrets nothing is opened, and nothing is
// read otherwise than without them.
func TestOpenNothing(t *testing.T) {
	s := newSite(t)
	fromClient, fromServer := talkBytes(s.clientConfig(TLS13), s.serverConfig())
	old, answer := talkBytes(s.clientConfig(TLS12), s.serverConfig())
	for name, c := range map[string]struct {
		secrets        Secrets
		client, server []byte
	}{
		"no secrets":      {Secrets{}, fromClient, fromServer},
		"other secrets":   {Secrets{make([]byte, 32), make([]byte, 48)}, fromClient, fromServer},
		"another version": {Secrets{make([]byte, 32), make([]byte, 32)}, old, answer},
		"no bytes":        {Secrets{make([]byte, 32), make([]byte, 32)}, nil, nil},
	} {
		a, b := c.secrets.Open(c.client, c.server)
		if len(a)+len(b) > 0 {
			t.Errorf("%s: %d and %d bytes were opened", name, len(a), len(b))
		}
	}
	var got Secrets
	for _, line := range []string{"CLIENT_HANDSHAKE_TRAFFIC_SECRET 00 zz\n", "SERVER_TRAFFIC_SECRET_0 00 0102\n", "CLIENT_HANDSHAKE_TRAFFIC_SECRET 00\n", "\n"} {
		if n, err := io.WriteString(&got, line); n != len(line) || err != nil || got.Client != nil || got.Server != nil {
			t.Errorf("%q gives %x, %d, %v", line, got, n, err)
		}
	}
}

// FuzzOpen opens any bytes with any secrets, and reads any bytes as what was
// opened. Nothing grows beyond what came, and no offset leaves it.
func FuzzOpen(f *testing.F) {
	s := newSite(f)
	var secrets Secrets
	server := s.serverConfig()
	server.KeyLogWriter, server.ClientAuth = &secrets, tls.RequestClientCert
	fromClient, fromServer := talkBytes(s.clientConfig(TLS13), server)
	a, b := secrets.Open(fromClient, fromServer)
	f.Add(fromClient, fromServer, secrets.Client, secrets.Server, a, b)
	f.Add(fromClient, fromServer, []byte{}, secrets.Server, b, a)
	f.Fuzz(func(t *testing.T, client, server, clientSecret, serverSecret, openedClient, openedServer []byte) {
		secrets := Secrets{clientSecret, serverSecret}
		a, b := secrets.Open(client, server)
		if len(a) > len(client) || len(b) > len(server) {
			t.Fatalf("%d and %d bytes were made of %d and %d", len(a), len(b), len(client), len(server))
		}
		for _, o := range [][2][]byte{{a, b}, {openedClient, openedServer}} {
			got := ParseOpened(client, server, o[0], o[1])
			checkStream(t, &got.Client, client)
			checkStream(t, &got.Server, server)
			_ = got.String()
		}
	})
}
