package mpsim

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// ErrUnreachable is in errors of connections that did not come up: the address
// does not answer, the proxy or the handshake refused.
var ErrUnreachable = errors.New("management point not reachable")

// link is an agent's connection. It writes requests itself, so that order and
// case of the fields are an agent's, and opens the connection again when the
// peer has closed it.
type link struct {
	base    *url.URL // where to connect
	proxy   *url.URL // nil without a forward proxy
	host    string   // what the Host field and SNI say
	config  *tls.Config
	timeout time.Duration
	// count is told the bytes of each exchange.
	count func(sent, received int64)

	conn   *countingConn
	reader *bufio.Reader
}

// request is an HTTP request before it is bytes.
type request struct {
	method, target string
	// fields come before User-Agent, Content-Length and Host.
	fields []field
	agent  string
	body   []byte
}

// response is an HTTP reply with its whole body.
type response struct {
	status int
	line   string // the status with its phrase, such as "200 OK"
	header http.Header
	body   []byte
}

// replyLimit bounds a reply's body.
const replyLimit = 64 << 20

type countingConn struct {
	net.Conn
	sent, received int64
}

func (c *countingConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.received += int64(n)
	return n, err
}

func (c *countingConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.sent += int64(n)
	return n, err
}

// do sends a request and reads its reply. A kept connection that turns out to
// be closed is opened again, once, when no byte of a reply has come.
func (l *link) do(ctx context.Context, r request) (response, error) {
	for {
		fresh := l.conn == nil
		if err := l.open(ctx); err != nil {
			return response{}, err
		}
		before := l.conn.received
		reply, err := l.exchange(ctx, r)
		if err == nil {
			return reply, nil
		}
		stale := !fresh && l.conn.received == before && ctx.Err() == nil
		l.close()
		if !stale {
			return response{}, fmt.Errorf("%s %s: %w", r.method, r.target, err)
		}
	}
}

func (l *link) exchange(ctx context.Context, r request) (response, error) {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	conn := l.conn
	defer context.AfterFunc(ctx, func() { expire(conn) })()
	sent, received := conn.sent, conn.received
	defer func() { l.count(conn.sent-sent, conn.received-received) }()
	if _, err := conn.Write(l.wire(r)); err != nil {
		return response{}, err
	}
	reply, err := readFinal(l.reader, r.method)
	if err != nil {
		return response{}, err
	}
	body, err := io.ReadAll(io.LimitReader(reply.Body, replyLimit))
	if err != nil {
		return response{}, fmt.Errorf("reply %s ends early: %w", reply.Status, err)
	}
	if reply.Close {
		l.close()
	}
	return response{reply.StatusCode, reply.Status, reply.Header, body}, nil
}

// readFinal reads a reply's head, past interim ones.
func readFinal(reader *bufio.Reader, method string) (*http.Response, error) {
	for {
		reply, err := http.ReadResponse(reader, &http.Request{Method: method})
		if err != nil || reply.StatusCode >= http.StatusOK {
			return reply, err
		}
	}
}

// wire is the request as an agent writes it.
func (l *link) wire(r request) []byte {
	var b bytes.Buffer
	target, host := r.target, l.hostField()
	if l.proxy != nil && l.base.Scheme == "http" {
		// A forward proxy gets the whole URL, and the host that is in it.
		target, host = "http://"+l.base.Host+r.target, l.base.Host
	}
	b.WriteString(r.method + " " + target + " HTTP/1.1\r\nConnection: Keep-Alive\r\n")
	if l.proxy != nil && l.base.Scheme == "http" {
		b.WriteString(l.proxyAuthorization())
	}
	for _, f := range r.fields {
		b.WriteString(f.name + ": " + f.value + "\r\n")
	}
	b.WriteString("User-Agent: " + r.agent + "\r\n")
	if len(r.body) > 0 || r.method != http.MethodGet && r.method != http.MethodHead {
		b.WriteString("Content-Length: " + strconv.Itoa(len(r.body)) + "\r\n")
	}
	b.WriteString("Host: " + host + "\r\n\r\n")
	b.Write(r.body)
	return b.Bytes()
}

// hostField has the port unless it is the scheme's own.
func (l *link) hostField() string {
	port := l.base.Port()
	if port == "" || l.base.Scheme == "http" && port == "80" || l.base.Scheme == "https" && port == "443" {
		return l.host
	}
	return l.host + ":" + port
}

func (l *link) proxyAuthorization() string {
	if l.proxy.User == nil {
		return ""
	}
	password, _ := l.proxy.User.Password()
	pair := l.proxy.User.Username() + ":" + password
	return "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(pair)) + "\r\n"
}

// open makes the connection unless there is one.
func (l *link) open(ctx context.Context) error {
	if l.conn != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	conn, err := l.dial(ctx)
	if err != nil {
		return fmt.Errorf("connect to %s: %w: %w", l.base, ErrUnreachable, err)
	}
	l.conn = &countingConn{Conn: conn}
	l.reader = bufio.NewReader(l.conn)
	return nil
}

func (l *link) dial(ctx context.Context) (net.Conn, error) {
	address := address(l.base)
	first := address
	if l.proxy != nil {
		first = proxyAddress(l.proxy)
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", first)
	if err != nil || l.base.Scheme == "http" {
		return conn, err
	}
	if l.proxy != nil {
		if err := l.tunnel(ctx, conn, address); err != nil {
			conn.Close()
			return nil, err
		}
	}
	secure := tls.Client(conn, l.config)
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secure, nil
}

// tunnel asks a forward proxy for a way to the address.
func (l *link) tunnel(ctx context.Context, conn net.Conn, address string) error {
	defer context.AfterFunc(ctx, func() { expire(conn) })()
	_, err := fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\n%sHost: %s\r\n\r\n", address, l.proxyAuthorization(), address)
	if err != nil {
		return err
	}
	// One byte at a time: what follows the head belongs to TLS.
	reply, err := http.ReadResponse(bufio.NewReaderSize(oneByte{conn}, 16), &http.Request{Method: http.MethodConnect})
	if err != nil {
		return err
	}
	if reply.StatusCode != http.StatusOK {
		return fmt.Errorf("the proxy refuses CONNECT %s: %s", address, reply.Status)
	}
	return nil
}

type oneByte struct{ io.Reader }

func (r oneByte) Read(b []byte) (int, error) { return r.Reader.Read(b[:min(1, len(b))]) }

func address(u *url.URL) string {
	if u.Port() != "" {
		return u.Host
	}
	if u.Scheme == "https" {
		return net.JoinHostPort(u.Hostname(), "443")
	}
	return net.JoinHostPort(u.Hostname(), "80")
}

// proxyAddress is a proxy's, whose usual port is another.
func proxyAddress(u *url.URL) string {
	if u.Port() != "" {
		return u.Host
	}
	return net.JoinHostPort(u.Hostname(), "8080")
}

func (l *link) close() {
	if l.conn != nil {
		l.conn.Close()
	}
	l.conn, l.reader = nil, nil
}
