package proxy

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"strings"

	"mpproxy/internal/tlsrecord"
	"mpproxy/traffic"
)

// Route leads agents that call their management point by a certain name to a
// management point of its own.
type Route struct {
	// Name is what the agent's hello names (SNI), or on HTTP its Host field; a
	// "*." may stand in place of the first labels.
	Name     string
	Upstream Target
}

// upstreamFor is the management point that a name leads to: the listener's
// own when no route has it.
func (l *Listener) upstreamFor(name string) Target {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	for _, r := range l.Routes {
		suffix, wild := strings.CutPrefix(strings.ToLower(r.Name), "*")
		if name != "" && (suffix == name || wild && strings.HasSuffix(name, suffix)) {
			return r.Upstream
		}
	}
	return l.Upstream
}

// routed is the target of an agent that uses a name: a reverse listener may
// have a route for it.
func (c *connection) routed(t Target, name string) Target {
	if c.l.Mode != Reverse {
		return t
	}
	return c.l.upstreamFor(name)
}

// helloName waits for the agent's hello, leaves it where it is, and gives the
// name in it. It is empty when there is none, or when what comes is no hello.
func (c *connection) helloName() string {
	in := &c.agent.in
	defer c.agent.tap.patience(c.s.HandshakeTimeout)()
	for {
		if b := in.bytes(); helloWhole(b) {
			if hello := tlsrecord.Parse(b, nil).ClientHello(); hello != nil {
				return hello.ServerName
			}
			if len(b) >= maxHello {
				return ""
			}
		}
		if in.more() != nil {
			return ""
		}
	}
}

// maxHello is how far a hello is looked for: one record.
const maxHello = readSize

// helloWhole is true when the first record is there, or can be none.
func helloWhole(b []byte) bool {
	const recordHeader = 5
	return len(b) >= maxHello || len(b) >= recordHeader &&
		(b[0] != recordHandshake || len(b) >= recordHeader+int(binary.BigEndian.Uint16(b[3:])))
}

// serveByHost relays each request to the management point that its Host field
// leads to.
func (c *connection) serveByHost(ctx context.Context) {
	upstream := func(h traffic.Head) Target {
		host := h.Get("Host")
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		return c.l.upstreamFor(host)
	}
	for {
		n, err := readHead(&c.agent.in, maybeRequest)
		if err != nil && len(c.agent.in.bytes()) == 0 {
			return
		}
		t := upstream(traffic.ParseHead(bytes.Clone(c.agent.in.bytes()[:max(n, 0)])))
		same := func(h traffic.Head) bool { return upstream(h) == t }
		if !errors.Is(c.serve(ctx, t, same), errOtherTarget) {
			return
		}
	}
}
