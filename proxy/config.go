package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"mpproxy/internal/pki"
	"mpproxy/rules"
	"mpproxy/traffic"
)

// Sink takes what the proxy saw. Take may block: the proxy then waits, because
// traffic that is not recorded is worse than traffic that is late. It is
// called from many goroutines, in order for each connection.
type Sink interface {
	Take(traffic.Event)
}

// Discard is the Sink of a proxy that records nothing.
type Discard struct{}

// Take forgets the event.
func (Discard) Take(traffic.Event) {}

// Config says what a Server does. Fields without a word on their zero value
// must be set.
type Config struct {
	Listeners []Listener
	// Sink takes the events; nil records nothing.
	Sink Sink
	// Rules gives the rules in force, asked anew for each message; nil passes
	// all.
	Rules func() *rules.Set
	// Mint makes the certificates shown to agents; nil when no listener
	// terminates TLS, or all have a Certificate.
	Mint *pki.Minter
	// Upstream says how TLS to management points is spoken.
	Upstream UpstreamTLS
	// Resume allows agents to resume TLS sessions, and resumes those with
	// management points. Off by default, as a resumed handshake shows no
	// certificates.
	Resume bool
	// KeyLog takes TLS secrets in NSS format; nil writes none.
	KeyLog io.Writer
	// KeepRecords tells the Sink of the encrypted bytes of TLS too, with the
	// secrets that open them.
	KeepRecords bool
	// Dial opens connections to management points; nil uses net.Dialer with
	// DialTimeout.
	Dial Dial
	// FirstConn and FirstExchange are the first numbers to give; zero is 1.
	FirstConn     traffic.ConnID
	FirstExchange traffic.ExchangeID
	// Drain is how long open exchanges may go on after a stop; zero is 10 s.
	Drain time.Duration
	// HandshakeTimeout bounds a dial and each TLS handshake; zero is 30 s.
	HandshakeTimeout time.Duration
	// HalfClosed is how long a leg may stay open after the other one has
	// ended and nothing is owed; zero is 30 s.
	HalfClosed time.Duration
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Log takes what the administrator of the proxy should know; nil discards.
	Log *slog.Logger
}

// Profile says how old a peer TLS is spoken with.
type Profile string

// The profiles.
const (
	// Modern is what Go takes for safe.
	Modern Profile = ""
	// Legacy also takes TLS 1.0 and 1.1, RSA key exchange, 3DES and RC4.
	Legacy Profile = "legacy"
)

// UpstreamTLS is how the proxy speaks TLS to management points.
type UpstreamTLS struct {
	// Roots are trusted in place of the system's; nil takes the system's.
	Roots *x509.CertPool
	// Insecure accepts any certificate, and says so on every connection.
	Insecure bool
	// MaxVersion is the highest version offered; zero is TLS 1.2, because IIS
	// asks for client certificates by renegotiation, which TLS 1.3 has not.
	MaxVersion uint16
	// Prime asks for a HEAD of the same target before a large upload begins a
	// connection, so that a renegotiation for the client certificate is over
	// when the body goes out.
	Prime bool
	// Certificate is shown when the management point asks for one; nil shows
	// none.
	Certificate *tls.Certificate
	// Certificates say who is shown which one in place of Certificate; the
	// first that fits.
	Certificates []ClientCertificate
	// OnlyForAgents shows Certificate only where the agent has shown one
	// itself: else the proxy would hide that the agent has none.
	OnlyForAgents bool
	Profile       Profile
}

// Mode says how agents get to a listener.
type Mode string

// The modes.
const (
	// Reverse: agents take the listener for their management point.
	Reverse Mode = "reverse"
	// Forward: agents are told to use the listener as their HTTP proxy.
	Forward Mode = "forward"
	// Transparent: the network redirects agents' connections here (Linux).
	Transparent Mode = "transparent"
)

// Scheme says what agents speak on a listener.
type Scheme string

// The schemes.
const (
	// Auto finds out by the first byte.
	Auto  Scheme = ""
	HTTP  Scheme = "http"
	HTTPS Scheme = "https"
)

// TLSPolicy says what a listener does with TLS.
type TLSPolicy string

// The policies.
const (
	// Terminate opens TLS: the proxy shows a certificate of its own.
	Terminate TLSPolicy = "terminate"
	// Passthrough never does: both sides speak with each other, and the proxy
	// keeps what can be read from outside.
	Passthrough TLSPolicy = "passthrough"
	// TerminateOrPass opens TLS, but passes an agent through from its next
	// connection on once it has refused our certificate.
	TerminateOrPass TLSPolicy = "auto"
)

// Listener is one place where agents come in.
type Listener struct {
	Address string
	Scheme  Scheme
	// TLS is Terminate when empty.
	TLS TLSPolicy
	// Mode is Reverse when empty.
	Mode Mode
	// Upstream is where Reverse listeners send to.
	Upstream Target
	// Routes lead agents that use other names elsewhere; the first that fits.
	Routes []Route
	// Certificate is shown to agents instead of a minted one; nil mints.
	Certificate *tls.Certificate
	Profile     Profile
	// Names are added to minted certificates, such as the host of --host.
	Names []string
	// Tunnel lists hosts (with or without port) whose CONNECTs a Forward
	// listener passes through unopened.
	Tunnel []string
	// Users are the names and passwords a Forward listener asks for; empty
	// asks for none.
	Users map[string]string
	// Listening is a socket that is open already; nil opens Address.
	Listening net.Listener
}

// Target is a management point to connect to.
type Target struct {
	Host, Port string
	TLS        bool
	// Address is dialled in place of Host and Port when not empty; names and
	// certificates stay those of Host.
	Address string
}

// Dialed is the host and port that is connected to.
func (t Target) Dialed() string {
	if t.Address != "" {
		return t.Address
	}
	return net.JoinHostPort(t.Host, t.Port)
}

// String is the target as the user would type it, without a path.
func (t Target) String() string {
	scheme := "http"
	if t.TLS {
		scheme = "https"
	}
	return scheme + "://" + net.JoinHostPort(t.Host, t.Port)
}

// ParseTarget reads a management point's URL: http or https, a host, perhaps
// a port. Paths are refused, since a proxy that changed paths would not be
// faithful.
func ParseTarget(s string) (Target, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return Target{}, fmt.Errorf("%q is no URL of a management point: write https://mp01.contoso.com or http://mp01.contoso.com:80", s)
	}
	if strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return Target{}, fmt.Errorf("%q has a path: the agent's own paths go on unchanged, so give only scheme, host and port", s)
	}
	t := Target{Host: u.Hostname(), Port: u.Port(), TLS: u.Scheme == "https"}
	if t.Port == "" {
		t.Port = defaultPort(t.TLS)
	}
	if n, err := strconv.ParseUint(t.Port, 10, 16); err != nil || n == 0 {
		return Target{}, fmt.Errorf("%q has no port between 1 and 65535", s)
	}
	return t, nil
}

func defaultPort(tls bool) string {
	if tls {
		return "443"
	}
	return "80"
}

// ParseListen reads a --listen value: http://ADDR, https://ADDR, or a bare
// ADDR that takes both. An address without a host listens on loopback only.
func ParseListen(s string) (Scheme, string, error) {
	scheme, addr, found := strings.Cut(s, "://")
	if !found {
		scheme, addr = "", s
	}
	if scheme != string(Auto) && scheme != string(HTTP) && scheme != string(HTTPS) {
		return "", "", fmt.Errorf("listen on %q: unknown scheme %q (known: http, https)", s, scheme)
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", "", fmt.Errorf("listen on %q: write ADDRESS:PORT, such as 127.0.0.1:8443", s)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return Scheme(scheme), net.JoinHostPort(host, port), nil
}

func (c Config) withDefaults() Config {
	if c.Sink == nil {
		c.Sink = Discard{}
	}
	if c.Rules == nil {
		c.Rules = func() *rules.Set { return nil }
	}
	if c.Drain == 0 {
		c.Drain = 10 * time.Second
	}
	if c.HandshakeTimeout == 0 {
		c.HandshakeTimeout = 30 * time.Second
	}
	if c.HalfClosed == 0 {
		c.HalfClosed = 30 * time.Second
	}
	if c.Upstream.MaxVersion == 0 {
		c.Upstream.MaxVersion = tls.VersionTLS12
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{Timeout: c.HandshakeTimeout}).DialContext
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.FirstConn = max(c.FirstConn, 1)
	c.FirstExchange = max(c.FirstExchange, 1)
	return c
}
