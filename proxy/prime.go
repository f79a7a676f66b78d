package proxy

import (
	"bytes"
	"context"
	"strings"
	"time"

	"mpproxy/traffic"
)

// primeAbove is from which size on a body may stand in the way of a
// renegotiation: IIS reads 48 KiB ahead by default (uploadReadAheadSize).
const primeAbove = 48 << 10

// dialPrimed is dial, and primes the leg. One that does not outlive that is
// dialled anew, so that the agent's request does not pay for ours: it meets a
// fault itself, and no late answer is taken for its own.
func (c *connection) dialPrimed(ctx context.Context, t Target) (*link, error) {
	up, err := c.dial(ctx, t)
	if err != nil || c.prime(up) {
		return up, err
	}
	up.tap.Close()
	return c.dial(ctx, t)
}

// prime sends a HEAD of our own for the target of the large request at the
// front of the inbox, if there is one, and waits for its answer. It is
// recorded as an exchange whose origin is the proxy. It is false when the leg is
// of no use after that.
func (c *connection) prime(up *link) bool {
	n := headEnd(c.agent.in.bytes())
	if n == 0 {
		return true
	}
	head := traffic.ParseHead(bytes.Clone(c.agent.in.bytes()[:n]))
	fr, err := requestFraming(head)
	if err != nil || fr.kind != traffic.Chunked && fr.left <= primeAbove {
		return true
	}
	_, target, _ := head.Request()
	raw := []byte("HEAD " + target + " HTTP/1.1\r\nHost: " + head.Get("Host") + "\r\nContent-Length: 0\r\n\r\n")
	f := c.newFlight(traffic.ParseHead(raw))
	f.Origin = "proxy"
	f.received(traffic.Request, raw)
	f.Request.Whole = true
	if _, err = up.conn.Write(raw); err == nil {
		err = c.primed(up, f)
	}
	if err != nil {
		f.replyErr = "the management point did not answer: " + endWords(err)
	}
	c.over(f)
	return f.Reply.Whole && staysOpen(f.Reply.Head)
}

// staysOpen says whether a server keeps a connection open behind a reply, as far
// as it says.
func staysOpen(reply traffic.Head) bool {
	for _, f := range reply.Fields {
		if strings.EqualFold(strings.TrimSpace(f.Name), "Connection") && strings.Contains(strings.ToLower(f.Value), "close") {
			return false
		}
	}
	return strings.HasPrefix(reply.Start, "HTTP/1.1 ")
}

// primed reads the answer to a HEAD, which is a head.
func (c *connection) primed(up *link, f *flight) error {
	_ = up.conn.SetReadDeadline(time.Now().Add(c.s.HandshakeTimeout))
	defer func() { _ = up.conn.SetReadDeadline(time.Time{}) }()
	for {
		n, err := readHead(&up.in, maybeReply)
		if err != nil || n == 0 {
			return err
		}
		head := traffic.ParseHead(bytes.Clone(up.in.bytes()[:n]))
		f.Replied = c.s.Now()
		f.received(traffic.Reply, head.Raw)
		up.in.drop(n)
		if head.Status()/100 != 1 {
			f.Reply.Head, f.Reply.Whole = head, true
			return nil
		}
		f.Reply.Interim += int64(n)
	}
}
