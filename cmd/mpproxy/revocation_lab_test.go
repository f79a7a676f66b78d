package main

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"mpproxy/capture"
	"mpproxy/diagnose"
	"mpproxy/internal/pki"
	"mpproxy/proxy"
	"mpproxy/traffic"
)

// crl is a list of an authority, good but for what the change makes of it.
func crl(t *testing.T, ca *pki.CA, change func(*x509.RevocationList)) string {
	t.Helper()
	l := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().AddDate(0, 0, -5), NextUpdate: time.Now().AddDate(0, 0, 5)}
	if change != nil {
		change(l)
	}
	der, err := x509.CreateRevocationList(rand.Reader, l, ca.Cert, ca.Key)
	if err != nil {
		t.Fatal(err)
	}
	return string(der)
}

// publish serves a list, or what is in its place.
func publish(t *testing.T, status int, body string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "https://portal.lab.example/logon") // counts only with a 302
		w.WriteHeader(status)
		w.Write([]byte(body))
	}))
	t.Cleanup(s.Close)
	return s.URL + "/site.crl"
}

// listed makes a certificate name a list.
func listed(at string) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.CRLDistributionPoints = []string{at} }
}

// sealedMP passes TLS through to a management point whose certificate names a
// list.
func sealedMP(at string) func(*testing.T, *lab) proxy.Target { return mpWith(listed(at)) }

// clockBehind is a hello whose random begins with the agent's clock, as old
// stacks write it, and which leaves after the server's flight.
func clockBehind(behind time.Duration) func(*testing.T, *lab, string) {
	return func(t *testing.T, _ *lab, addr string) {
		conn := dialLab(t, addr)
		conn.Write(helloAt(time.Now().Add(-behind)))
		conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		got := make([]byte, 0, 8192)
		for buf := make([]byte, 4096); !strings.Contains(string(got), "\x0e\x00\x00\x00"); {
			n, err := conn.Read(buf)
			if got = append(got, buf[:n]...); err != nil {
				t.Errorf("the server's flight: %v", err)
				break
			}
		}
		conn.CloseWrite()
		conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		for buf := make([]byte, 4096); ; {
			if _, err := conn.Read(buf); err != nil {
				break
			}
		}
		conn.Close()
	}
}

// TestRevocationLab makes what can be wrong with revocation lists with real
// peers and servers: each has another remedy, and all look alike to the agent.
func TestRevocationLab(t *testing.T) {
	l := newLab(t)
	// A port that was free a moment ago may be somebody's by now.
	const nowhere = "http://127.0.0.77:9/site.crl"
	left := afterFlight(tls.VersionTLS12, "", fin)
	good := publish(t, 200, crl(t, l.site, nil))
	revokes := func(serial int64) func(*x509.RevocationList) {
		return func(r *x509.RevocationList) {
			r.RevokedCertificateEntries = []x509.RevocationListEntry{{SerialNumber: big.NewInt(serial), RevocationTime: time.Now().Add(-time.Hour), ReasonCode: 4}}
		}
	}
	revokedAt := publish(t, 200, crl(t, l.site, revokes(4711)))
	revoke := func(c *x509.Certificate) {
		c.SerialNumber, c.CRLDistributionPoints = big.NewInt(4711), []string{revokedAt}
	}
	forbidden := mpCfg(func(_ *lab, c *tls.Config) { c.ClientAuth = tls.RequestClientCert }, reply("403 Forbidden"))
	for _, c := range []struct {
		labCase
		code string
	}{
		{labCase{name: "list out of reach, passed through", ref: "A06", leg: agentLeg, who: "mp", sure: "possible", listener: sealed, mp: sealedMP(nowhere), agent: left}, "tls-revocation-unreachable"},
		{labCase{name: "list not found, passed through", ref: "A06", leg: agentLeg, who: "mp", sure: "likely", listener: sealed, mp: sealedMP(publish(t, 404, "")), agent: left}, "tls-revocation-unreachable"},
		{labCase{name: "a web filter answers 407, passed through", ref: "A06", leg: agentLeg, who: "mp", sure: "likely", listener: sealed, mp: sealedMP(publish(t, 407, "<html><title>Log on</title>")), agent: left}, "tls-revocation-not-a-list"},
		{labCase{name: "a page in place of the list, passed through", ref: "A06", leg: agentLeg, who: "mp", sure: "likely", listener: sealed, mp: sealedMP(publish(t, 200, "<html><title>Log on</title>")), agent: left}, "tls-revocation-not-a-list"},
		{labCase{name: "a portal sends one elsewhere, passed through", ref: "A06", leg: agentLeg, who: "mp", sure: "likely", listener: sealed, mp: sealedMP(publish(t, 302, "")), agent: left}, "tls-revocation-not-a-list"},
		{labCase{name: "list of another authority, passed through", ref: "A06", leg: agentLeg, who: "mp", sure: "likely", listener: sealed, mp: sealedMP(publish(t, 200, crl(t, l.odd, nil))), agent: left}, "tls-revocation-not-a-list"},
		{labCase{name: "list expired, passed through", ref: "A06", leg: agentLeg, who: "mp", sure: "likely", listener: sealed, mp: sealedMP(publish(t, 200, crl(t, l.site, func(r *x509.RevocationList) {
			r.NextUpdate = time.Now().Add(-time.Hour)
		}))), agent: left}, "tls-revocation-expired"},
		{labCase{name: "list newer than the agent's clock, passed through", ref: "A06", leg: agentLeg, who: "agent", sure: "likely", listener: sealed, mp: sealedMP(publish(t, 200, crl(t, l.site, func(r *x509.RevocationList) {
			r.ThisUpdate = time.Now().Add(-2 * time.Hour)
		}))), agent: clockBehind(40 * time.Hour)}, "tls-revocation-too-new"},
		{labCase{name: "list from the future, passed through", ref: "A06", leg: agentLeg, who: "mp", sure: "possible", proof: "still to come", listener: sealed, mp: sealedMP(publish(t, 200, crl(t, l.site, func(r *x509.RevocationList) {
			r.ThisUpdate = time.Now().Add(24 * time.Hour)
		}))), agent: left}, "tls-revocation-too-new"},
		{labCase{name: "list at an address that is not fetched, passed through", ref: "A02", leg: agentLeg, who: "agent", sure: "possible", proof: "was not judged: only http: is fetched, not https:", listener: sealed, mp: sealedMP("https://127.0.0.1:9/site.crl"), agent: left}, "tls-agent-left"},
		{labCase{name: "certificate of the management point revoked, passed through", ref: "A06", leg: agentLeg, who: "mp", sure: "certain", listener: sealed, mp: mpWith(revoke), agent: left}, "tls-server-cert-revoked"},
		{labCase{name: "list of the certificate shown out of reach", ref: "P01", leg: agentLeg, who: "proxy", sure: "possible", listener: shows(listed(nowhere)), agent: left}, "tls-proxy-revocation-list"},
		{labCase{name: "list of the certificate shown expired", ref: "P01", leg: agentLeg, who: "proxy", sure: "likely", listener: shows(listed(publish(t, 200, crl(t, l.site, func(r *x509.RevocationList) {
			r.NextUpdate = time.Now().Add(-time.Hour)
		})))), agent: left}, "tls-proxy-revocation-list"},
		{labCase{name: "agent certificate revoked, 403", ref: "M15", leg: agentLeg, who: "agent", sure: "certain", mp: forbidden, agent: goAgent(withCert(revoke))}, "native-client-cert-revoked"},
		{labCase{name: "list of the client certificate out of reach, 403", ref: "M15", leg: mpLeg, who: "network", sure: "likely", mp: forbidden, upstream: upstreamWith(siteCA, 0, listed(nowhere)), agent: goAgent(withCert(nil))}, "native-client-list-unreachable"},
		{labCase{name: "mpproxy's certificate revoked, 403", ref: "M14", leg: mpLeg, who: "proxy", sure: "certain", mp: forbidden, upstream: upstreamWith(siteCA, 0, revoke), agent: goAgent(withCert(nil))}, "upstream-client-cert-unsuitable"},
		{labCase{name: "mpproxy's certificate for servers, 403", ref: "M14", leg: mpLeg, who: "proxy", sure: "certain", mp: forbidden, upstream: upstreamWith(siteCA, 0, forServers), agent: goAgent(withCert(nil))}, "upstream-client-cert-unsuitable"},
		{labCase{name: "mpproxy's certificate may not sign, 403", ref: "M14", leg: mpLeg, who: "proxy", sure: "certain", mp: forbidden, upstream: upstreamWith(siteCA, 0, func(c *x509.Certificate) {
			c.KeyUsage = x509.KeyUsageKeyEncipherment
		}), agent: goAgent(withCert(nil))}, "upstream-client-cert-unsuitable"},
		{labCase{name: "mpproxy's certificate of an authority not named, 403", ref: "M14", leg: mpLeg, who: "proxy", sure: "likely", mp: mpCfg(func(l *lab, c *tls.Config) {
			c.ClientAuth, c.ClientCAs, c.MaxVersion = tls.RequestClientCert, l.site.Pool(), tls.VersionTLS12
		}, reply("403 Forbidden")), upstream: upstreamWith(oddCA, 0, nil), agent: goAgent(withCert(nil))}, "upstream-client-cert-unsuitable"},
		{labCase{name: "list good, agent left", ref: "A02", leg: agentLeg, who: "agent", sure: "possible", listener: sealed, mp: sealedMP(good), agent: left}, "tls-agent-left"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := judgeWithLists(t, l.record(t, &c.labCase))
			if len(g) == 0 {
				t.Fatal("nothing was found")
			}
			x := g[0].Example
			if x.Kind.Ref != c.ref || x.Kind.Code != c.code || x.Leg != c.leg || x.Who != c.who || x.Sure != c.sure {
				t.Errorf("found %s %s on %q, to act %q, %s: %s", x.Kind.Ref, x.Kind.Code, x.Leg, x.Who, x.Sure, strings.Join(x.Proof, "\n"))
			}
			for _, other := range g[1:] {
				if other.MootBy == "" && other.Example.Sure == "certain" && other.Example.Kind.Severity > traffic.Info {
					t.Errorf("%s is called certain too", other.Example.Kind.Code)
				}
			}
			if ruled := strings.Contains(notIt(&x), "does not list the certificate"); ruled != (strings.HasPrefix(c.name, "list good") || strings.HasPrefix(c.name, "list newer")) {
				t.Errorf("the list is ruled out: %t: %s", ruled, notIt(&x))
			}
		})
	}
}

func notIt(f *diagnose.Finding) string {
	var out []string
	for _, r := range f.NotIt {
		out = append(out, r.What+": "+r.Why)
	}
	return strings.Join(out, "\n")
}

// judgeWithLists diagnoses a capture, with its lists fetched now.
func judgeWithLists(t *testing.T, file string) []diagnose.Group {
	t.Helper()
	s, err := capture.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	d := newDiagnosis(s)
	if err := (revocationFlags{FetchCRL: true, FetchPrivate: true}).fetchFor(t.Context(), d, nil); err != nil {
		t.Fatal(err)
	}
	if err := d.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d.folding.Groups()
}

// TestRunFetches: a running proxy stores what it fetched, so that a diagnosis on
// another machine needs no network; without the flag nothing is fetched.
func TestRunFetches(t *testing.T) {
	l := newLab(t)
	asked := make(chan struct{}, 100)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		http.NotFound(w, nil)
	}))
	defer s.Close()
	cert := l.pem(t, "listed", l.cert(t, l.site, listed(s.URL+"/site.crl")))
	bin := program(t)
	for _, fetch := range []bool{false, true} {
		file := l.file("run.mpdb")
		args := []string{"run", "--plain", "-w", file, "--upstream", "https://127.0.0.1:1", "--listen", "https://127.0.0.1:0", "--cert", cert}
		if fetch {
			args = append(args, "--fetch-crl", "--fetch-private")
		}
		p := startProcess(t, bin, args...)
		cmd := exec.CommandContext(t.Context(), "openssl", "s_client", "-connect", p.addr, "-CAfile", l.file("site.pem"))
		cmd.Stdin = strings.NewReader("")
		cmd.Run() // it leaves without a request
		if fetch {
			select {
			case <-asked:
			case <-time.After(10 * time.Second):
				t.Error("nothing was fetched")
			}
			await(t, file, func(s *capture.Store) bool { rs, err := s.Revocations(t.Context()); return err == nil && len(rs) == 1 })
		}
		p.Process.Signal(syscall.SIGTERM)
		if code := p.ended(t); code != 0 {
			t.Errorf("exit code %d: %s", code, <-p.said)
		}
		if !fetch && len(asked) > 0 {
			t.Error("something was fetched that nobody asked for")
		}
		var out strings.Builder
		if code := run([]string{"diagnose", file}, &env{strings.NewReader(""), &out, &out, os.Getenv}); code != 0 || fetch != strings.Contains(out.String(), "HTTP 404") {
			t.Errorf("exit code %d, fetched %t: %s", code, fetch, out.String())
		}
	}
}

// await looks into a capture that is being written until something is there.
func await(t *testing.T, file string, there func(*capture.Store) bool) {
	t.Helper()
	s, err := capture.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(10 * time.Second); !there(s); {
		select {
		case <-tick.C:
		case <-end:
			t.Fatal("it never came")
		}
	}
}

// TestCallbackFlags: an agent's log has one flag for each of three faults that
// look alike; the diagnosis names the flag, and explain says the same of it.
func TestCallbackFlags(t *testing.T) {
	l := newLab(t)
	for _, c := range []struct {
		labCase
		flag, name string
	}{
		{labCase{ref: "A06", listener: sealed, mp: sealedMP(publish(t, 407, "")), agent: afterFlight(tls.VersionTLS12, "", fin)}, "0x1", "CERT_REV_FAILED"},
		{labCase{ref: "A01", agent: afterFlight(tls.VersionTLS12, fatalAlert(48), fin)}, "0x8", "INVALID_CA"},
		{labCase{ref: "A04", listener: shows(named("mp02.lab.example")), agent: afterFlight(tls.VersionTLS12, fatalAlert(46), fin)}, "0x10", "CN_INVALID"},
	} {
		g := judgeWithLists(t, l.record(t, &c.labCase))
		if len(g) == 0 || g[0].Example.Kind.Ref != c.ref || !strings.Contains(strings.Join(g[0].Example.Check, " "), "flag "+c.flag) {
			t.Errorf("flag %s: found %+v, want %s, which names the flag", c.flag, g, c.ref)
		}
		var out strings.Builder
		if code := run([]string{"explain", "12175", c.flag}, &env{strings.NewReader(""), &out, &out, os.Getenv}); code != 0 || !strings.Contains(out.String(), c.name) {
			t.Errorf("explain 12175 %s: %s", c.flag, out.String())
		}
	}
}
