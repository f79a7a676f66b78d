package tlsrecord

import (
	"crypto/tls"
	"strings"
	"testing"
	"time"
	"unicode"
)

// texts is a ladder as lines, the server's indented.
func texts(rungs []Rung) string {
	var b strings.Builder
	for _, r := range rungs {
		if r.From == Server {
			b.WriteString("  ")
		}
		b.WriteString(r.Text + "\n")
	}
	return b.String()
}

// checkSteps fails unless these beginnings of lines come in this order.
func checkSteps(t *testing.T, got string, want ...string) {
	t.Helper()
	rest := got
	for _, w := range want {
		_, after, ok := strings.Cut("\n"+rest, "\n"+w)
		if !ok {
			t.Errorf("%q is missing, or out of order, in\n%s", w, got)
			return
		}
		rest = after
	}
}

// TestLadderOrder has no times to go by: the order must be the protocol's, or
// old captures would tell their story wrongly.
func TestLadderOrder(t *testing.T) {
	s := newSite(t)
	server := s.serverConfig()
	server.ClientAuth = tls.RequireAndVerifyClientCert
	client := s.clientConfig(TLS12)
	client.Certificates = []tls.Certificate{*s.client}
	checkSteps(t, texts(talk(client, server).Ladder(nil)),
		"ClientHello  TLS 1.2, SNI "+serverName+", ", "  ServerHello  TLS 1.2, TLS_ECDHE", "  Certificate  1: CN="+serverName,
		"  CertificateRequest  1 CA name: CN=Contoso Root CA", "  ServerHelloDone", "Certificate  1: CN=pc17", "ClientKeyExchange",
		"Finished, encrypted, ", "  Finished, encrypted, ", "application data, encrypted, ", "  application data, encrypted")

	client = s.clientConfig(TLS12)
	client.RootCAs = s.other.pool()
	checkSteps(t, texts(talk(client, s.serverConfig()).Ladder(nil)), "ClientHello", "  ServerHelloDone", "Alert fatal 42 bad_certificate")

	server.ClientCAs = s.other.pool()
	client = s.clientConfig(TLS12)
	client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return s.client, nil }
	checkSteps(t, texts(talk(client, server).Ladder(nil)), "ClientHello", "Certificate  1: CN=pc17", "  Alert fatal 48 unknown_ca")
}

// TestLadderResumed has the server finish first.
func TestLadderResumed(t *testing.T) {
	s := newSite(t)
	server, client := s.serverConfig(), s.clientConfig(TLS12)
	client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	talk(client, server)
	checkSteps(t, texts(talk(client, server).Ladder(nil)),
		"ClientHello", "  ServerHello", "  Finished, encrypted", "Finished, encrypted", "application data")
}

// TestLadder13 says of what TLS 1.3 hides no more than the size does.
func TestLadder13(t *testing.T) {
	s := newSite(t)
	server := s.serverConfig()
	server.CurvePreferences = []tls.CurveID{tls.CurveP521}
	got := texts(talk(s.clientConfig(TLS13), server).Ladder(nil))
	checkSteps(t, got, "ClientHello  TLS 1.3", "  HelloRetryRequest  TLS 1.3", "ClientHello", "  ServerHello", "  encrypted, ", "encrypted, ")

	client := s.clientConfig(TLS13)
	client.RootCAs = s.other.pool()
	checkSteps(t, texts(talk(client, s.serverConfig()).Ladder(nil)), "  ServerHello", "encrypted, 19 bytes, maybe an alert")
}

// TestLadderTimes goes by the times where they are known, also against the
// order that the protocol has.
func TestLadderTimes(t *testing.T) {
	s := newSite(t)
	client := s.clientConfig(TLS12)
	client.RootCAs = s.other.pool()
	got := talk(client, s.serverConfig())
	rungs := got.Ladder(func(from Side, offset int) time.Duration {
		if from == Client {
			return time.Hour + time.Duration(offset)
		}
		return time.Duration(offset)
	})
	last := time.Duration(0)
	for _, r := range rungs {
		if r.At < last {
			t.Fatalf("out of order:\n%s", texts(rungs))
		}
		last = r.At
	}
	if rungs[0].From != Server || last <= time.Hour || rungs[0].At != time.Duration(rungs[0].Message.End) {
		t.Errorf("the times are not used:\n%s", texts(rungs))
	}
}

// TestLadderVectors lists handshakes of other libraries and nonsense: every
// message is on a rung, and no text could move a cursor.
func TestLadderVectors(t *testing.T) {
	for _, file := range vectors(t) {
		client, server := readVector(t, file)
		got := Parse(client, server)
		messages := 0
		for _, r := range got.Ladder(nil) {
			if strings.ContainsFunc(r.Text, func(c rune) bool { return !unicode.IsPrint(c) }) || r.Text == "" {
				t.Errorf("%s: the line %q", file, r.Text)
			}
			if r.Message != nil {
				messages++
			}
		}
		if all := len(got.Client.Messages) + len(got.Server.Messages); messages > all || all > 0 && messages == 0 {
			t.Errorf("%s: %d rungs of %d messages", file, messages, all)
		}
	}
}

// TestLadderForeign shows what is no TLS as what it looks like.
func TestLadderForeign(t *testing.T) {
	got := texts(Parse([]byte("GET / HTTP/1.1\r\n\r\n"), nil).Ladder(nil))
	if want := "no TLS, 18 bytes, looks like: HTTP request  GET / HTTP/1.1\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
