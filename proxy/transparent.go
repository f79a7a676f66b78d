package proxy

import (
	"context"
	"errors"
	"net"
	"strings"

	"mpproxy/traffic"
)

// errNoOriginal says that the system does not tell where a redirected
// connection was going.
var errNoOriginal = errors.New("the original destination is known on Linux only")

// transparent serves a connection that the network brought here: by REDIRECT,
// where the kernel remembers the destination, or by TPROXY, where it is the
// connection's own local address.
func (c *connection) transparent(ctx context.Context) {
	t, err := c.destination()
	if err != nil {
		c.answer(502, "Bad Gateway", "mpproxy: "+err.Error()+".", "", foundAt(&noDestination, traffic.Request, -1, err.Error()))
		return
	}
	first, err := c.agent.tap.peek()
	if err != nil {
		return
	}
	t.TLS = isHello(first)
	if t.TLS && c.staysSealed() {
		c.passThrough(ctx, t, traffic.Head{}, c.agent.tap)
		return
	}
	if t.TLS {
		if err := c.secureAgent(ctx, t, c.agent.tap); err != nil {
			return
		}
		// The certificate is checked for the name that the agent asked for.
		if name := c.facts.AgentLeg.Handshake.TLS.ServerName; name != "" {
			t.Host = name
		}
	}
	_ = c.serve(ctx, t, nil) // its failure is recorded
}

// destination is where the connection was going before it was brought here.
func (c *connection) destination() (Target, error) {
	local := c.agent.tap.LocalAddr().String()
	address, err := originalDestination(c.agent.tap.Conn)
	if err != nil || address == "" {
		address = local // TPROXY, or nothing has redirected it
	}
	host, port, splitErr := net.SplitHostPort(address)
	switch {
	case splitErr != nil:
		return Target{}, splitErr
	case address == c.l.Address || strings.HasPrefix(c.l.Address, "[::]:") && strings.HasSuffix(c.l.Address, ":"+port) && address == local,
		strings.HasPrefix(c.l.Address, "0.0.0.0:") && strings.HasSuffix(c.l.Address, ":"+port) && address == local:
		if errors.Is(err, errNoOriginal) {
			return Target{}, err
		}
		return Target{}, errors.New("this connection was made to mpproxy itself: a transparent listener wants connections that the network redirects")
	}
	return Target{Host: host, Port: port, Address: address}, nil
}
