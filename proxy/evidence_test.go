package proxy

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"mpproxy/internal/pki"
	"mpproxy/internal/tlsrecord"
	"mpproxy/traffic"
)

// TestFailedHandshakes: what both sides have shown is known of a handshake that
// failed too, also where TLS 1.3 encrypts it. Without that nobody could say what
// the agent, or mpproxy, refused.
func TestFailedHandshakes(t *testing.T) {
	ca, mint, roots := authority(t)
	other, _, _ := authority(t)
	own := issue(t, other, pki.IssueRequest{CommonName: "bridge", Usage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			leaf := mustLeaf(t, mint, "127.0.0.1")
			target := startTLS(t, &tls.Config{
				Certificates: []tls.Certificate{*leaf}, ClientAuth: tls.RequestClientCert, ClientCAs: ca.Pool(), MaxVersion: version,
			})
			sink := newMemory()
			_, addr := start(t, Config{
				Listeners: []Listener{{Upstream: target}}, Sink: sink, Mint: mint,
				Upstream: UpstreamTLS{Roots: other.Pool(), Certificate: own, MaxVersion: version},
			})
			agent := tls.Client(dial(t, addr), &tls.Config{ServerName: "127.0.0.1", RootCAs: other.Pool(), MaxVersion: version})
			if agent.Handshake() == nil {
				t.Error("the agent takes a certificate of an authority that it does not know")
			}
			agent.Close()
			sink.conn(t, 1)
			a := sink.shake(1, traffic.AgentSide)
			if a.TLS != nil || len(a.OwnCertificates) == 0 || !a.ClientCertAsked || len(a.InMarks) == 0 || a.InMarks[len(a.InMarks)-1].Offset != len(a.In) {
				t.Errorf("of what the agent refused is known: %+v", a)
			}

			agent = tls.Client(dial(t, addr), &tls.Config{ServerName: "127.0.0.1", RootCAs: roots})
			write(t, agent, get)
			expect(t, agent, "HTTP/1.1 502 ")
			agent.Close()
			conn, _ := sink.conn(t, 2)
			u := sink.shake(2, traffic.UpstreamSide)
			if u.TLS != nil || len(u.PeerCertificates) == 0 || !bytes.Equal(u.PeerCertificates[0], leaf.Certificate[0]) {
				t.Errorf("of what mpproxy refused is known: %+v", u)
			}
			if kept := conn.UpstreamLeg.Handshake; kept.In != nil || kept.InMarks != nil || kept.Asked != nil || len(kept.PeerCertificates) > 1 {
				t.Errorf("the connection holds evidence that it has given away: %+v", kept)
			}
		})
	}
}

// TestAsked keeps how the management point asked for a certificate, whose it
// was given, and that it does not suit.
func TestAsked(t *testing.T) {
	ca, mint, roots := authority(t)
	other, err := pki.NewCA("Another CA", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	own := issue(t, other, pki.IssueRequest{CommonName: "bridge", Usage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	for _, c := range []struct {
		cert               *tls.Certificate
		identity, unsuited string
	}{
		{own, "CN=bridge", "not signed by an acceptable CA"},
		{nil, "none, since mpproxy was given none", ""},
	} {
		target := startTLS(t, &tls.Config{
			Certificates: []tls.Certificate{*mustLeaf(t, mint, "127.0.0.1")}, ClientAuth: tls.RequestClientCert, ClientCAs: ca.Pool(),
		})
		sink := newMemory()
		_, addr := start(t, Config{
			Listeners: []Listener{{Upstream: target}}, Sink: sink, Mint: mint, Upstream: UpstreamTLS{Roots: roots, Certificate: c.cert},
		})
		agent := tls.Client(dial(t, addr), &tls.Config{ServerName: "127.0.0.1", RootCAs: roots})
		write(t, agent, get)
		expect(t, agent, okReply)
		agent.Close()
		sink.conn(t, 1)
		got := sink.shake(1, traffic.UpstreamSide).Asked
		if got == nil || got.Count != 1 || len(got.Authorities) != 1 || !bytes.Equal(got.Authorities[0], ca.Cert.RawSubject) || got.Size != 2+len(ca.Cert.RawSubject) {
			t.Fatalf("it was asked with %+v", got)
		}
		if got.Identity != c.identity || !strings.Contains(got.Unsuited, c.unsuited) || (got.Unsuited == "") != (c.unsuited == "") {
			t.Errorf("shown %q, which does not suit as %q; want %q and %q", got.Identity, got.Unsuited, c.identity, c.unsuited)
		}
	}
}

// TestRecords follows records however they are cut: a header that is read at
// the wrong place would call data a renegotiation.
func TestRecords(t *testing.T) {
	stream := bytes.Join([][]byte{
		{22, 3, 1, 0, 3, 9, 9, 9}, {23, 3, 3, 1, 0}, make([]byte, 256), {21, 3, 3, 0, 26}, bytes.Repeat([]byte{22}, 26), {23, 3, 3, 0, 2, 1, 1},
	}, nil)
	at := time.Unix(1, 0)
	for step := 1; step <= len(stream); step++ {
		var r records
		for b := stream; len(b) > 0; {
			n := min(step, len(b))
			r.follow(b[:n], true, at)
			b = b[n:]
		}
		if len(r.noted) != 2 || r.noted[0] != (traffic.Record{Type: 22, Length: 3, At: 1e6}) || r.noted[1].Length != 26 || r.last != 2 || r.lost {
			t.Fatalf("in steps of %d: %+v", step, r)
		}
	}
	var r records
	for range 100 {
		r.follow([]byte{21, 3, 3, 0, 0}, true, at)
	}
	if len(r.noted) != traffic.RecordsLimit {
		t.Errorf("%d records are noted", len(r.noted))
	}
	r.follow([]byte("GET / HTTP/1.1\r\n"), true, time.Now())
	if r.follow([]byte{21, 3, 3, 0, 1, 0}, true, time.Now()); !r.lost {
		t.Error("goes on after something that is no record")
	}
	data := append([]byte{23, 3, 3, 0, 100}, make([]byte, 100)...)
	r = records{}
	if n := testing.AllocsPerRun(100, func() { r.follow(data, true, time.Now()) }); n > 0 {
		t.Errorf("%v allocations for a record", n)
	}
}

// TestOpened: what TLS 1.3 encrypts of a handshake that fails is read on both
// legs, and the secrets that this takes go to the key log alone.
func TestOpened(t *testing.T) {
	_, mint, roots := authority(t)
	other, _, _ := authority(t)
	target := startTLS(t, &tls.Config{Certificates: []tls.Certificate{*mustLeaf(t, mint, "127.0.0.1")}})
	var log syncBuffer
	sink := newMemory()
	_, addr := start(t, Config{
		Listeners: []Listener{{Upstream: target}}, Sink: sink, Mint: mint, KeyLog: &log,
		Upstream: UpstreamTLS{Roots: other.Pool(), MaxVersion: tls.VersionTLS13},
	})
	agent := tls.Client(dial(t, addr), &tls.Config{ServerName: "127.0.0.1", RootCAs: other.Pool()})
	if agent.Handshake() == nil {
		t.Error("the agent takes a certificate of an authority that it does not know")
	}
	agent.Close()
	sink.conn(t, 1)
	agent = tls.Client(dial(t, addr), &tls.Config{ServerName: "127.0.0.1", RootCAs: roots})
	write(t, agent, get)
	expect(t, agent, "HTTP/1.1 502 ")
	agent.Close()
	sink.conn(t, 2)
	a, u := sink.shake(1, traffic.AgentSide), sink.shake(2, traffic.UpstreamSide)
	for name, hs := range map[string]*traffic.Handshake{"agent": a, "upstream": u} {
		read := tlsrecord.ParseOpened(hs.Bytes())
		alerts := read.Client.Alerts()
		if len(alerts) == 0 || alerts[0].Body == nil || alerts[0].Body.(*tlsrecord.Alert).Code != 42 || read.Certificate(tlsrecord.Server) == nil {
			t.Errorf("%s leg: the client's alert or the server's certificate is not read:\n%s", name, read)
		}
	}
	secrets := 0
	for _, line := range strings.Split(strings.TrimSpace(log.String()), "\n") {
		words := strings.Fields(line)
		secret, err := hex.DecodeString(words[len(words)-1])
		if err != nil || len(secret) == 0 {
			t.Fatalf("no key log: %q", line)
		}
		secrets++
		for _, hs := range []*traffic.Handshake{a, u} {
			if all := bytes.Join([][]byte{hs.In, hs.Out, hs.OpenedIn, hs.OpenedOut}, nil); bytes.Contains(all, secret) {
				t.Errorf("a secret is in the evidence: %s", words[0])
			}
		}
	}
	if secrets < 4 {
		t.Errorf("%d secrets in the key log", secrets)
	}
}

// TestWrittenBeforeAnswered: the time of what is written is from before the
// write, since its answer may be there before the write returns; the other way
// round a handshake would be read as one where the server answered first.
func TestWrittenBeforeAnswered(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	clock := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	var written time.Time
	leg := newTap(onWrite{near, func() { clock = clock.Add(time.Second) }}, func() time.Time { return clock })
	leg.passed = func(_ bool, at time.Time, _ []byte) { written = at }
	leg.keep()
	go func() { _, _ = io.Copy(io.Discard, far) }()
	before := clock
	write(t, leg, "\x16\x03\x03\x00\x01\x00")
	var hs traffic.Handshake
	leg.taken(&hs)
	if !written.Equal(before) || len(hs.OutMarks) != 1 || hs.OutMarks[0].After != 0 {
		t.Errorf("written at %v, marked %v; want the time before the write, %v", written, hs.OutMarks, before)
	}
}

// onWrite does something before each write.
type onWrite struct {
	net.Conn
	before func()
}

func (w onWrite) Write(p []byte) (int, error) {
	w.before()
	return w.Conn.Write(p)
}
