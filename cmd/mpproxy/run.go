package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"mpproxy/capture"
	"mpproxy/internal/pki"
	"mpproxy/proxy"
	"mpproxy/rules"
)

// runCommand is "mpproxy run".
type runCommand struct {
	Upstream string   `help:"The management point: https://mp01.contoso.com. Agents' own paths go on unchanged." placeholder:"URL"`
	Listen   []string `help:"Where agents come in: [http://|https://]ADDRESS:PORT, several times if need be. Without a scheme both are taken. Default: 127.0.0.1:8443, or :8080 for an http upstream." placeholder:"ADDR"`
	Mode     string   `enum:"reverse,forward,transparent,passthrough" default:"reverse" help:"How agents get here: reverse (they take mpproxy for their management point), forward (an HTTP proxy, with CONNECT), or transparent (the network redirects them, Linux). passthrough is short for reverse with --tls passthrough."`
	TLS      string   `name:"tls" enum:"terminate,passthrough,auto" default:"terminate" help:"What becomes of TLS: terminate (opened, with a certificate of mpproxy's), passthrough (never opened), or auto (opened, but passed through for agents that have refused the certificate)."`

	Cert  string   `type:"path" help:"Certificate to show agents (PEM or PFX) in place of minted ones."`
	Key   string   `type:"path" help:"Key of --cert, when it is not in the same file."`
	CA    string   `name:"ca" type:"path" help:"Authority that mints certificates (PEM). Default: mpproxy's own, made on first use."`
	CAKey string   `name:"ca-key" type:"path" help:"Key of --ca."`
	CRL   string   `name:"crl" help:"Serve the authority's revocation list at this URL and name it in minted certificates: agents that check revocation refuse certificates without one." placeholder:"http://HOST:PORT/mpproxy.crl"`
	Host  []string `help:"Further names for minted certificates." placeholder:"NAME"`

	UpstreamCA              string   `name:"upstream-ca" type:"path" help:"Authorities to trust for the management point (PEM), in place of the system's."`
	UpstreamInsecure        bool     `help:"Do not verify the management point's certificate. Every connection says so."`
	UpstreamTLSMax          string   `name:"upstream-tls-max" enum:"1.2,1.3" default:"1.2" help:"Highest TLS version to offer the management point. 1.2, since IIS asks for client certificates by renegotiation, which 1.3 has not."`
	UpstreamTLSProfile      string   `name:"upstream-tls-profile" enum:"default,legacy" default:"default" help:"default, or legacy: also TLS 1.0, RSA key exchange, 3DES and SHA-1 signatures toward the management point."`
	TLSProfile              string   `name:"tls-profile" enum:"default,legacy" default:"default" help:"The same toward agents."`
	Prime                   bool     `help:"Before a large upload opens a connection to the management point, ask it for a HEAD first, so that a renegotiation for the client certificate is over (IIS answers 413 else)."`
	ClientCertOnlyForAgents bool     `help:"Show --client-cert only for agents that have shown a certificate themselves, so that mpproxy does not hide that one has none."`
	ClientCert              string   `type:"path" help:"Client certificate for the management point (PEM with key, or PFX)."`
	ClientCertPasswordFile  string   `type:"path" help:"File with the password of a PFX."`
	ClientKey               string   `type:"path" help:"Key of --client-cert, when it is not in the same file."`
	Resume                  bool     `help:"Let agents resume TLS sessions, and resume those with the management point. Off, since resumed handshakes show no certificates."`
	KeyLog                  string   `name:"keylog" type:"path" help:"Append TLS secrets to this file, for Wireshark. Whoever has it can read the traffic."`
	KeepRecords             bool     `help:"Also record TLS as it crosses the wire, encrypted, with the secrets that open it: for export --format pcapng --secrets."`
	ProxyAuthFile           string   `type:"path" help:"Forward mode: names and passwords to ask for, a line NAME:PASSWORD each."`
	Tunnel                  []string `help:"Forward mode: hosts to pass through unopened." placeholder:"HOST"`

	revocationFlags

	Write     string     `short:"w" type:"path" help:"The capture to write, or to go on with. Default: a new one in your captures folder." placeholder:"FILE.mpdb"`
	MaxSize   string     `help:"How large the capture may get, such as 2G. Beyond it traffic goes on, and the loss is counted." placeholder:"SIZE"`
	NoCapture bool       `help:"Record nothing, show nothing."`
	Rules     string     `type:"path" help:"A file of rules to apply." placeholder:"FILE.yaml"`
	Config    configFile `short:"c" help:"A file with these flags by their long names, several listeners, and client certificates by agent (docs/config.md). Flags and MPPROXY_* variables come first." placeholder:"mpproxy.yaml"`
	face

	// authority mints certificates, when some listener needs it.
	authority *pki.CA
}

// Run proxies until it is told to stop.
func (c *runCommand) Run(ctx context.Context, e *env) error {
	cfg, err := c.config(e)
	if err != nil {
		return err
	}
	opts := capture.Options{}
	if opts.MaxSize, err = parseSize(c.MaxSize); err != nil {
		return usage(err, "")
	}
	log, done, err := e.ownLog()
	if err != nil {
		return err
	}
	defer done()
	file := c.Write
	if file == "" && !c.NoCapture {
		if file, err = e.newCapture(time.Now(), c.host()); err != nil {
			return err
		}
	}
	if c.NoCapture {
		file = ""
	}
	s := &session{face: &c.face, env: e, log: log}
	if err := c.watchLists(s); err != nil {
		return err
	}
	if err := s.open(file, opts, cfg); err != nil {
		return err
	}
	if c.CRL != "" {
		serve, err := crlServer(ctx, c.CRL, c.authority)
		if err != nil {
			return errors.Join(usage(err, "--crl names a URL of this machine."), s.close())
		}
		s.works = append(s.works, serve)
	}
	c.greet(e, s.server, cfg.Listeners, file)
	if err := s.run(ctx); err != nil {
		return err
	}
	if file != "" {
		fmt.Fprintf(e.stderr, "recorded in %s\n", file)
	}
	return s.judge(file)
}

// watchLists fetches revocation lists while the session runs, if that is wanted.
func (c *runCommand) watchLists(s *session) error {
	if !c.FetchCRL {
		return nil
	}
	if c.NoCapture {
		return usage(errors.New("--fetch-crl keeps what it fetches in the capture, and there is none"), "Leave --no-capture out.")
	}
	var roots []*x509.Certificate
	if c.UpstreamCA != "" {
		var err error
		if roots, err = pki.LoadCertificates(c.UpstreamCA); err != nil {
			return usage(err, "")
		}
	}
	s.before = c.watcher(c.CRL, c.authority, roots)
	return nil
}

// host is the management point's name as part of a file name.
func (c *runCommand) host() string {
	t, err := proxy.ParseTarget(c.Upstream)
	if err != nil {
		return "forward"
	}
	return strings.NewReplacer(":", "_", "/", "_").Replace(t.Host)
}

// greet says where mpproxy listens, how to get an agent there, and how to undo
// it.
func (c *runCommand) greet(e *env, s *proxy.Server, ls []proxy.Listener, file string) {
	for i, a := range s.Addrs() {
		scheme := string(ls[i].Scheme)
		if scheme == "" {
			scheme = "http and https"
		}
		where := ""
		if host, _, _ := net.SplitHostPort(a.String()); net.ParseIP(host).IsLoopback() {
			where = ", this machine only"
		}
		fmt.Fprintf(e.stderr, "listening on %s (%s, %s%s)", a, ls[i].Mode, scheme, where)
		if ls[i].TLS != proxy.Terminate {
			fmt.Fprintf(e.stderr, " tls %s", ls[i].TLS)
		}
		if ls[i].Mode == proxy.Reverse {
			fmt.Fprintf(e.stderr, " for %s", ls[i].Upstream)
		}
		fmt.Fprintln(e.stderr)
		if way := bridge(&ls[i]); way != "" {
			fmt.Fprintf(e.stderr, "warning: %s: unsupported by the product, which wants TLS on both sides or on none; listen with the scheme of --upstream\n", way)
		}
	}
	if c.UpstreamInsecure {
		fmt.Fprintln(e.stderr, "warning: --upstream-insecure: the management point's certificate is NOT verified")
	}
	if c.TLSProfile == "legacy" || c.UpstreamTLSProfile == "legacy" {
		fmt.Fprintln(e.stderr, "warning: the legacy profile takes TLS versions and ciphers that are broken: for tests of old peers only")
	}
	if file != "" {
		fmt.Fprintln(e.stderr, "recording in", file)
	}
	fmt.Fprint(e.stderr, hints(ls, s.Addrs()))
}

// bridge says where a listener has, or may have, HTTP on one side and HTTPS on
// the other; "" when it has not.
func bridge(l *proxy.Listener) string {
	switch {
	case l.Mode != proxy.Reverse || l.TLS == proxy.Passthrough:
	case l.Scheme == proxy.HTTP && l.Upstream.TLS:
		return "HTTP in and HTTPS out"
	case l.Scheme == proxy.HTTPS && !l.Upstream.TLS:
		return "HTTPS in and HTTP out"
	case l.Scheme == proxy.Auto && l.Upstream.TLS:
		return "agents that come by HTTP here go on by HTTPS"
	case l.Scheme == proxy.Auto:
		return "agents that come by HTTPS here go on by HTTP"
	}
	return ""
}

// hints says how an agent gets to the listeners, and how to undo it.
func hints(ls []proxy.Listener, addrs []net.Addr) string {
	if len(ls) == 0 {
		return ""
	}
	_, port, _ := net.SplitHostPort(addrs[0].String())
	if ls[0].Mode == proxy.Forward {
		return fmt.Sprintf(`on the agent:  netsh winhttp set proxy THIS-MACHINE:%[1]s
               bitsadmin /util /setieproxy LOCALSYSTEM MANUAL_PROXY THIS-MACHINE:%[1]s NULL
to undo:       netsh winhttp reset proxy;  bitsadmin /util /setieproxy LOCALSYSTEM NO_PROXY
`, port)
	}
	if ls[0].Mode == proxy.Transparent {
		return fmt.Sprintf("on the router:  iptables -t nat -A PREROUTING -p tcp -d MANAGEMENT-POINT --dport 443 -j REDIRECT --to-ports %s; to undo, the same with -D\n", port)
	}
	t := ls[0].Upstream
	hint := fmt.Sprintf("on the agent:  a line \"THIS-MACHINE'S-ADDRESS %s\" in its hosts file; to undo, remove it\n", t.Host)
	if port != t.Port {
		hint += fmt.Sprintf("               the agent will use port %s: listen there, --listen :%s, or redirect it here\n", t.Port, t.Port)
	}
	return hint
}

// parseSize reads a number of bytes: 500M, 2G, 1Gi.
func parseSize(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	digits := strings.TrimRight(s, "kKMGTiB")
	n, err := strconv.ParseInt(digits, 10, 64)
	unit := map[string]int64{"": 1, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}[strings.TrimSuffix(s[len(digits):], "B")]
	if err != nil || unit == 0 || n <= 0 {
		return 0, fmt.Errorf("%q is no size: write 500M, 2G or 1Gi", s)
	}
	return n * unit, nil
}

func (c *runCommand) config(e *env) (proxy.Config, error) {
	if c.TLSProfile == "legacy" || c.UpstreamTLSProfile == "legacy" {
		// Go has no setting of its own for signatures by SHA-1.
		if err := os.Setenv("GODEBUG", e.getenv("GODEBUG")+",tlssha1=1"); err != nil {
			return proxy.Config{}, fmt.Errorf("allow SHA-1 signatures: %w", err)
		}
	}
	cfg := proxy.Config{Resume: c.Resume, KeepRecords: c.KeepRecords}
	var err error
	if c.Rules != "" {
		set, err := loadRules(c.Rules)
		if err != nil {
			return cfg, err
		}
		cfg.Rules = func() *rules.Set { return set }
	}
	if cfg.Listeners, err = c.listeners(); err != nil {
		return cfg, usage(err, "")
	}
	if cfg.Upstream, err = c.upstreamTLS(); err != nil {
		return cfg, usage(err, "")
	}
	if cfg.Mint, c.authority, err = c.minter(e, cfg.Listeners); err != nil {
		return cfg, usage(err, "")
	}
	if c.KeyLog != "" {
		f, err := os.OpenFile(c.KeyLog, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return cfg, usage(fmt.Errorf("open key log: %w", err), "")
		}
		cfg.KeyLog = f
	}
	return cfg, nil
}

// listeners are those of --listen, or one on loopback that fits the upstream.
func (c *runCommand) listeners() ([]proxy.Listener, error) {
	mode, policy := proxy.Mode(c.Mode), proxy.TLSPolicy(c.TLS)
	if c.Mode == "passthrough" {
		mode, policy = proxy.Reverse, proxy.Passthrough
	}
	var t proxy.Target
	var err error
	switch {
	case c.Upstream != "":
		if t, err = proxy.ParseTarget(c.Upstream); err != nil {
			return nil, err
		}
	case mode == proxy.Reverse && len(c.Config.Listeners) == 0:
		return nil, errors.New("no management point given: add --upstream https://mp01.contoso.com, or --mode forward")
	}
	listen := c.Listen
	if len(listen) == 0 {
		listen = []string{defaultListen(mode, t)}
	}
	users, err := readUsers(c.ProxyAuthFile)
	if err != nil {
		return nil, err
	}
	var cert *tls.Certificate
	if c.Cert != "" {
		if cert, err = pki.LoadKeyPair(c.Cert, c.Key); err != nil {
			return nil, err
		}
	}
	pattern := proxy.Listener{
		Mode: mode, TLS: policy, Upstream: t, Certificate: cert,
		Profile: profile(c.TLSProfile), Names: c.Host, Tunnel: c.Tunnel, Users: users,
	}
	if len(c.Config.Listeners) > 0 {
		return c.Config.listeners(pattern)
	}
	var ls []proxy.Listener
	for _, l := range listen {
		made := pattern
		if made.Scheme, made.Address, err = proxy.ParseListen(l); err != nil {
			return nil, err
		}
		ls = append(ls, made)
	}
	return ls, nil
}

func profile(name string) proxy.Profile {
	if name == "legacy" {
		return proxy.Legacy
	}
	return proxy.Modern
}

func defaultListen(mode proxy.Mode, t proxy.Target) string {
	switch {
	case mode == proxy.Forward:
		return "127.0.0.1:8080"
	case mode == proxy.Transparent:
		return "0.0.0.0:8443" // what is redirected here comes to the address of an interface
	case t.TLS:
		return "https://127.0.0.1:8443"
	}
	return "http://127.0.0.1:8080"
}

func (c *runCommand) upstreamTLS() (u proxy.UpstreamTLS, err error) {
	u = proxy.UpstreamTLS{
		Insecure: c.UpstreamInsecure, MaxVersion: tls.VersionTLS12,
		OnlyForAgents: c.ClientCertOnlyForAgents, Prime: c.Prime, Profile: profile(c.UpstreamTLSProfile),
	}
	if c.UpstreamTLSMax == "1.3" {
		u.MaxVersion = tls.VersionTLS13
	}
	if c.UpstreamCA != "" {
		if u.Roots, err = pki.LoadPool(c.UpstreamCA); err != nil {
			return u, err
		}
	}
	if u.Certificates, err = c.Config.clientCertificates(); err != nil {
		return u, err
	}
	u.Certificate, err = loadClientCert(c.ClientCert, c.ClientKey, c.ClientCertPasswordFile)
	return u, err
}

// minter opens the authority, when some listener may have to mint.
func (c *runCommand) minter(e *env, ls []proxy.Listener) (*pki.Minter, *pki.CA, error) {
	needed := false
	for _, l := range ls {
		opens := l.Scheme != proxy.HTTP && l.Certificate == nil || l.Mode != proxy.Reverse
		needed = needed || opens && l.TLS != proxy.Passthrough
	}
	if !needed {
		return nil, nil, nil
	}
	ca, err := openCA(e, c.CA, c.CAKey)
	if err != nil {
		return nil, nil, err
	}
	m := ca.Minter(nil)
	m.CRL = c.CRL
	return m, ca, nil
}

// openCA is the given authority, or mpproxy's own, made on first use.
func openCA(e *env, cert, key string) (*pki.CA, error) {
	if cert != "" {
		return pki.LoadCA(cert, key)
	}
	dir, err := e.place("data", "ca")
	if err != nil {
		return nil, err
	}
	ca, created, err := pki.LoadOrCreateCA(dir, "mpproxy CA", time.Now())
	if created {
		fmt.Fprintln(e.stderr, "made a certificate authority in", dir)
	}
	return ca, err
}

// readUsers reads a line NAME:PASSWORD for each user; empty lines and lines
// that begin with # count for nothing.
func readUsers(file string) (map[string]string, error) {
	if file == "" {
		return nil, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read --proxy-auth-file: %w", err)
	}
	defer f.Close()
	users := map[string]string{}
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, password, found := strings.Cut(line, ":")
		if !found {
			return nil, fmt.Errorf("read --proxy-auth-file %s: line %d is not NAME:PASSWORD", file, n)
		}
		users[name] = password
	}
	return users, lines.Err()
}
