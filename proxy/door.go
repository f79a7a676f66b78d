package proxy

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/elazarl/goproxy"

	"mpproxy/traffic"
)

// door is where goproxy stands: it reads CONNECT requests and asks for
// credentials. It gets the bytes of one request head and no more, since what an
// eager agent sends behind it would be lost in net/http's buffers.
type door struct {
	callers chan net.Conn
	closing chan struct{}
	once    sync.Once
	server  *http.Server
}

type callerKey struct{}

func newDoor(s *Server) *door {
	d := &door{callers: make(chan net.Conn), closing: make(chan struct{})}
	gp := goproxy.NewProxyHttpServer()
	gp.Logger = log.New(io.Discard, "", 0)
	gp.OnRequest().HandleConnect(goproxy.FuncHttpsHandler(func(host string, ctx *goproxy.ProxyCtx) (*goproxy.ConnectAction, string) {
		who, ok := ctx.Req.Context().Value(callerKey{}).(*caller)
		if !ok {
			return goproxy.RejectConnect, host
		}
		if !authorized(who.users, ctx.Req.Header.Get("Proxy-Authorization")) {
			ctx.Resp = challenge(ctx.Req)
			return goproxy.RejectConnect, host
		}
		return &goproxy.ConnectAction{Action: goproxy.ConnectHijack, Hijack: who.open}, host
	}))
	d.server = &http.Server{
		Handler: gp, ReadHeaderTimeout: s.HandshakeTimeout, ErrorLog: gp.Logger.(*log.Logger),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, callerKey{}, c)
		},
	}
	return d
}

func (d *door) serve() error {
	_ = d.server.Serve(d) // ends when the door is closed
	return nil
}

func (d *door) close() { d.once.Do(func() { close(d.closing); _ = d.server.Close() }) }

// Accept, Close and Addr make the door a net.Listener for net/http.
func (d *door) Accept() (net.Conn, error) {
	select {
	case c := <-d.callers:
		return c, nil
	case <-d.closing:
		return nil, net.ErrClosed
	}
}

// Close does nothing: the door closes with its server.
func (d *door) Close() error { return nil }

// Addr is only for the look of it.
func (d *door) Addr() net.Addr { return &net.TCPAddr{} }

// caller is the connection that net/http sees: a CONNECT's head, and the way
// back to the agent.
type caller struct {
	net.Conn
	users map[string]string
	head  io.Reader
	said  bytes.Buffer // what goproxy answered, when it refused
	// opened gets the target once; it is closed when the call is over.
	opened  chan string
	hung    chan struct{}
	hangUp  sync.Once
	closing sync.Once
}

func (c *caller) Read(p []byte) (int, error) {
	if n, err := c.head.Read(p); err == nil {
		return n, nil
	}
	<-c.hung
	return 0, os.ErrDeadlineExceeded
}

func (c *caller) Write(p []byte) (int, error) {
	if c.said.Len() < traffic.MaxHead {
		c.said.Write(p)
	}
	return c.Conn.Write(p)
}

// SetReadDeadline is how net/http ends its last read before it hands a
// connection over.
func (c *caller) SetReadDeadline(t time.Time) error {
	if !t.IsZero() && t.Before(time.Now()) {
		c.hangUp.Do(func() { close(c.hung) })
	}
	return nil
}

// SetDeadline is SetReadDeadline: writes to the agent have no deadline here.
func (c *caller) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// Close ends the call, not the agent's connection.
func (c *caller) Close() error {
	c.hangUp.Do(func() { close(c.hung) })
	c.closing.Do(func() { close(c.opened) })
	return nil
}

func (c *caller) open(req *http.Request, _ net.Conn, _ *goproxy.ProxyCtx) {
	c.closing.Do(func() {
		c.opened <- req.URL.Host
		close(c.opened)
	})
}

// knock lets goproxy read a CONNECT. It returns the target's host and port, or
// what goproxy has answered.
func (d *door) knock(ctx context.Context, agent net.Conn, users map[string]string, head []byte) (target string, refused []byte) {
	who := &caller{
		Conn: agent, users: users, head: bytes.NewReader(head),
		opened: make(chan string, 1), hung: make(chan struct{}),
	}
	defer who.hangUp.Do(func() { close(who.hung) })
	select {
	case d.callers <- who:
	case <-ctx.Done():
		return "", nil
	case <-d.closing:
		return "", nil
	}
	if target, ok := <-who.opened; ok {
		return target, nil
	}
	return "", who.said.Bytes()
}

// authorized checks Basic credentials against a list; an empty list lets
// everybody in.
func authorized(users map[string]string, header string) bool {
	if len(users) == 0 {
		return true
	}
	scheme, coded, _ := strings.Cut(header, " ")
	plain, err := base64.StdEncoding.DecodeString(strings.TrimSpace(coded))
	if err != nil || !strings.EqualFold(scheme, "Basic") {
		return false
	}
	name, password, _ := strings.Cut(string(plain), ":")
	want, known := users[name]
	return subtle.ConstantTimeCompare([]byte(want), []byte(password)) == 1 && known
}

// credentialWords says why a request is asked for a name and password.
func credentialWords(h traffic.Head) string {
	if given, ok := h.Lookup("Proxy-Authorization"); ok {
		if scheme, _, _ := strings.Cut(given, " "); !strings.EqualFold(scheme, "Basic") {
			return "credentials of another scheme than Basic"
		}
		return "a name or password that is not in --proxy-auth-file"
	}
	return "no credentials"
}

const askForPassword = `Basic realm="mpproxy"`

func challenge(req *http.Request) *http.Response {
	const body = "mpproxy: this proxy asks for a name and password.\r\n"
	return &http.Response{
		StatusCode: http.StatusProxyAuthRequired, ProtoMajor: 1, ProtoMinor: 1, Request: req,
		Header:        http.Header{"Proxy-Authenticate": {askForPassword}, "Content-Type": {"text/plain; charset=utf-8"}},
		ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(body)), Close: true,
	}
}

// forward serves an agent that takes us for its HTTP proxy: CONNECT goes
// through the door, requests with a whole URL go straight to the relay.
func (c *connection) forward(ctx context.Context) {
	for {
		n, err := readHead(&c.agent.in, maybeRequest)
		if err != nil && len(c.agent.in.bytes()) == 0 {
			return
		}
		if err != nil || n == 0 {
			c.answer(400, "Bad Request", "", "", foundAt(&notHTTP, traffic.Request, 0, "begins "+quoted(c.agent.in.bytes())))
			return
		}
		head := traffic.ParseHead(bytes.Clone(c.agent.in.bytes()[:n]))
		if method, target, _ := head.Request(); method == "CONNECT" && (&url.URL{Host: target}).Hostname() != "" {
			c.connect(ctx, head)
			return
		}
		if c.facts.AgentLeg.Handshake != nil && !absolute(head) {
			// Its Host alone would send on by HTTP what came by TLS.
			c.notByProxy(quoted([]byte(head.Start)) + " over TLS")
			return
		}
		t, ok := plainTarget(head)
		if !ok {
			c.answer(400, "Bad Request", "mpproxy: this is a forward proxy, and the request does not say for which host it is.", "",
				foundAt(&doorRefused, traffic.Request, 0, quoted([]byte(head.Start))))
			return
		}
		if !authorized(c.l.Users, head.Get("Proxy-Authorization")) {
			c.answer(407, "Proxy Authentication Required", "mpproxy: this proxy asks for a name and password.",
				"Proxy-Authenticate: "+askForPassword+"\r\n", foundAt(&doorRefused, traffic.Request, 0, credentialWords(head)))
			return
		}
		same := func(h traffic.Head) bool {
			other, ok := plainTarget(h)
			return ok && other == t && authorized(c.l.Users, h.Get("Proxy-Authorization"))
		}
		if !errors.Is(c.serve(ctx, t, same), errOtherTarget) {
			return
		}
	}
}

// errNotByProxy ends a connection to a forward listener that is meant for a
// management point.
var errNotByProxy = errors.New("this is a forward proxy")

// notByProxy refuses an agent that takes a forward listener for its management
// point.
func (c *connection) notByProxy(evidence string) {
	c.answer(400, "Bad Request", "mpproxy: this is a forward proxy, and the request is one for a management point: --mode reverse stands in for one.", "",
		foundAt(&doorRefused, traffic.Request, 0, evidence+": the agent takes this forward listener for its management point"))
}

// absolute says whether a request names its target's host, as for a proxy.
func absolute(h traffic.Head) bool {
	_, target, _ := h.Request()
	return strings.Contains(target, "://")
}

// plainTarget is where a request to a forward proxy is meant to go.
func plainTarget(h traffic.Head) (Target, bool) {
	method, target, _ := h.Request()
	if method == "CONNECT" {
		return Target{}, false
	}
	scheme, rest, absolute := strings.Cut(target, "://")
	host := h.Get("Host")
	if absolute {
		if !strings.EqualFold(scheme, "http") {
			return Target{}, false
		}
		host = rest
		if i := strings.IndexAny(rest, "/?#"); i >= 0 {
			host = rest[:i]
		}
		host = host[strings.LastIndexByte(host, '@')+1:]
	}
	u := url.URL{Host: host}
	if u.Hostname() == "" {
		return Target{}, false
	}
	t := Target{Host: strings.ToLower(u.Hostname()), Port: u.Port()}
	if t.Port == "" {
		t.Port = defaultPort(false)
	}
	return t, true
}

// connect opens what a CONNECT asks for: TLS or plain HTTP to relay, or a
// tunnel for hosts that are not to be opened.
func (c *connection) connect(ctx context.Context, head traffic.Head) {
	host, refused := c.s.door.knock(ctx, c.agent.conn, c.l.Users, head.Raw)
	c.agent.in.drop(len(head.Raw))
	if host == "" {
		c.refusedAtDoor(head, refused)
		return
	}
	u := url.URL{Host: host}
	t := Target{Host: strings.ToLower(u.Hostname()), Port: u.Port()}
	if t.Port == "" {
		t.Port = defaultPort(true)
	}
	if _, err := c.agent.conn.Write([]byte("HTTP/1.1 200 Connection established\r\n\r\n")); err != nil {
		return
	}
	inside := newTap(insideConn{c.agent.conn, &c.agent.in}, c.s.Now)
	if tunneled(c.l.Tunnel, t) {
		c.agent = newLink(inside, c.agent.tap)
		c.passThrough(ctx, t, head, inside)
		return
	}
	if len(c.agent.in.bytes()) == 0 {
		if err := c.agent.in.more(); err != nil {
			return
		}
	}
	if t.TLS = isHello(c.agent.in.bytes()[0]); t.TLS && c.staysSealed() {
		c.agent = newLink(inside, c.agent.tap)
		c.passThrough(ctx, t, head, inside)
		return
	}
	if t.TLS {
		if err := c.secureAgent(ctx, t, inside); err != nil {
			return
		}
	}
	_ = c.serve(ctx, t, nil) // its failure is recorded
}

func (c *connection) refusedAtDoor(head traffic.Head, said []byte) {
	f := c.newFlight(head)
	f.received(traffic.Request, head.Raw)
	f.Request.Whole = true
	if n := headEnd(said); n > 0 {
		f.Replied = c.s.Now()
		f.sent(traffic.Reply, said)
		f.Returned.Head, f.Returned.Whole = traffic.ParseHead(bytes.Clone(said[:n])), true
	}
	evidence := quoted([]byte(head.Start))
	if f.Returned != nil && f.Returned.Head.Status() == http.StatusProxyAuthRequired {
		evidence += ": " + credentialWords(head)
	}
	c.overAs(f, traffic.Answered, foundAt(&doorRefused, traffic.Request, 0, evidence), "refused by mpproxy")
}

// insideConn is what comes after a CONNECT: what the inbox has read already,
// then the connection.
type insideConn struct {
	net.Conn
	in *inbox
}

func (c insideConn) Read(p []byte) (int, error) { return c.in.Read(p) }

// tunneled says whether a target is listed: by host, host and port, or a
// "*." in place of the first labels.
func tunneled(list []string, t Target) bool {
	for _, entry := range list {
		host, port, err := net.SplitHostPort(entry)
		if err != nil {
			host, port = entry, ""
		}
		suffix, wild := strings.CutPrefix(strings.ToLower(host), "*")
		fits := suffix == t.Host || wild && strings.HasSuffix(t.Host, suffix)
		if fits && (port == "" || port == t.Port) {
			return true
		}
	}
	return false
}
