package capture

import (
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"

	"mpproxy/decode"
	"mpproxy/traffic"
)

// storePieces writes the bytes that came since the last flush.
func (w *writer) storePieces(f *flight) error {
	return f.pieces(func(d traffic.Dir, forwarded bool, p piece) error {
		return w.exec(`INSERT OR IGNORE INTO chunk (exchange, dir, forwarded, offset, bytes) VALUES (?, ?, ?, ?, ?)`,
			f.x.ID, d, boolInt(forwarded), p.at, p.bytes())
	})
}

// storeOpen writes the row of an exchange that is not over.
func (w *writer) storeOpen(f *flight) error {
	return w.storeList(listRow{x: &f.x, conn: f.conn, agent: f.conn.key(), known: f.stored})
}

// storeOver writes all about an exchange that is over.
func (w *writer) storeOver(o over) error {
	x := o.x
	if o.holed {
		x.Findings = append(slices.Clip(x.Findings), traffic.Finding{Kind: &holed, Offset: -1, Who: "proxy"})
	}
	m := w.decode(o, decode.Summary)
	o.conn.learn(m.row)
	row := listRow{
		x: x, conn: o.conn, agent: o.conn.key(), meaning: m, known: o.stored, count: true,
		sev: max(traffic.Worst(x.Findings), traffic.Worst(m.findings())),
	}
	if err := w.storeList(row); err != nil {
		return err
	}
	if err := w.storeWires(x, m); err != nil {
		return err
	}
	if err := w.storeLabels(x); err != nil {
		return err
	}
	if err := w.storeFindings(int64(x.ID), x.Conn, x.Findings, m.findings()); err != nil {
		return err
	}
	if err := w.storeUpload(x, m); err != nil {
		return err
	}
	return w.countMinute(x, m.row.Endpoint, row.sev)
}

// Bits of list.flags.
const (
	flagNew = 1 << iota
	flagSigned
	flagAttachment
	flagCompressed
)

// listRow is what goes into list.
type listRow struct {
	x       *traffic.Exchange
	conn    *openConn
	agent   agentKey
	meaning meaning
	sev     traffic.Severity
	// known is true when a follower may have seen the row before; count when
	// it counts among the agent's exchanges.
	known, count bool
}

func (w *writer) storeList(r listRow) error {
	x, m := r.x, r.meaning
	method, target, _ := x.Request.Head.Request()
	auth := r.conn.auth(x, m)
	if !r.count {
		auth = "" // nobody has looked yet
	}
	names, err := w.nameIDs(method, m.row.Kind, m.row.Endpoint, string(x.Fate), x.Origin, auth, r.conn.tlsOf(x), m.code())
	if err != nil {
		return err
	}
	agent, isNew, err := w.agent(r)
	if err != nil {
		return err
	}
	flags := m.flags()
	if isNew && r.count {
		flags |= flagNew
	}
	var status any
	answer := answered(x)
	if s := answer.Head.Status(); s != 0 {
		status = s
	}
	err = w.exec(`INSERT OR REPLACE INTO list (id, conn, begun_us, replied_us, ended_us, agent,
			method, kind, endpoint, fate, origin, auth, tls, code,
			status, sev, flags, req_bytes, resp_bytes, target, summary, long, err)
		VALUES (?,?,?,?,?,?, ?,?,?,?,?,?,?,?, ?,?,?,?,?,?,?,?,?)`,
		x.ID, x.Conn, begunMicros(x), micros(x.Replied), micros(x.Ended), agent,
		names[0], names[1], names[2], names[3], names[4], names[5], names[6], names[7],
		status, r.sev, flags, x.Request.Size, answer.Size, plain(target), plain(m.row.Short), plain(m.row.Long), plain(x.Err))
	if err != nil {
		return err
	}
	if r.known || x.ID < w.highest {
		return w.change(x.ID)
	}
	w.highest = x.ID
	return nil
}

// begunMicros is when an exchange began; an exchange whose beginning was lost
// began when it ended.
func begunMicros(x *traffic.Exchange) int64 {
	if x.Begun.IsZero() {
		return max(0, x.Ended.UnixMicro())
	}
	return x.Begun.UnixMicro()
}

// storeWires writes what the messages of an exchange were.
func (w *writer) storeWires(x *traffic.Exchange, m meaning) error {
	for _, v := range []struct {
		dir       traffic.Dir
		forwarded bool
		wire      *traffic.Wire
		m         *decode.Message
	}{
		{traffic.Request, false, &x.Request, m.request},
		{traffic.Reply, false, &x.Reply, m.reply},
		{traffic.Request, true, x.Sent, nil},
		{traffic.Reply, true, x.Returned, nil},
	} {
		if v.wire == nil || v.wire.Size == 0 {
			continue
		}
		if err := w.storeWire(x.ID, v.dir, v.forwarded, v.wire, v.m); err != nil {
			return fmt.Errorf("%v: %w", v.dir, err)
		}
	}
	return nil
}

func (w *writer) storeWire(id traffic.ExchangeID, d traffic.Dir, forwarded bool, v *traffic.Wire, m *decode.Message) error {
	var version int
	if m == nil {
		m = &decode.Message{}
	} else {
		version = decode.Version
	}
	names, err := w.nameIDs(m.Form, m.Endpoint, m.Kind, m.Root, m.Signature, hookNames(m), m.Client)
	if err != nil {
		return err
	}
	return w.exec(`INSERT OR REPLACE INTO wire (exchange, dir, forwarded, interim, head, size, framing, whole, same_body,
			form, endpoint, kind, root, signature, hooks, client,
			msgid, corr, text_bytes, attachments, decoder, depth)
		VALUES (?,?,?,?,?,?,?,?,?, ?,?,?,?,?,?,?, ?,?,?,?,?,?)`,
		id, d, boolInt(forwarded), v.Interim, len(v.Head.Raw), v.Size, v.Framing, boolInt(v.Whole), boolInt(v.SameBody),
		names[0], names[1], names[2], names[3], names[4], names[5], names[6],
		plain(m.MsgID), plain(m.Corr), m.TextBytes, len(m.Attachments), version, m.Depth)
}

// hookNames are the names of a message's hooks as a JSON array, or "".
func hookNames(m *decode.Message) string {
	if m.Header == nil || len(m.Header.Hooks) == 0 {
		return ""
	}
	var names []string
	for _, h := range m.Header.Hooks {
		names = append(names, plain(h.Name))
	}
	b, err := json.Marshal(names)
	if err != nil || len(b) > textLimit {
		return ""
	}
	return string(b)
}

// The sorts of labels.
const (
	sortRule = 1
	sortTag  = 2
)

func (w *writer) storeLabels(x *traffic.Exchange) error {
	for sort, texts := range map[int][]string{sortRule: x.Rules, sortTag: x.Tags} {
		for pos, text := range texts {
			err := w.exec(`INSERT OR REPLACE INTO label (exchange, sort, pos, text) VALUES (?, ?, ?, ?)`, x.ID, sort, pos, plain(text))
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// openConn is a connection that is not closed, and what its messages said
// about the agent.
type openConn struct {
	traffic.Conn
	closed, touched bool
	// name and client are the last that a message of it gave: downloads do not
	// say who asks.
	name, client string
	// certified is true when the agent has shown a client certificate.
	certified bool
	// agentTLS and upstreamTLS are the versions of the last handshakes.
	agentTLS, upstreamTLS string
}

// handshake learns from a handshake and lets go of its bytes: connections stay
// open for hours.
func (c *openConn) handshake(h *traffic.Handshake) {
	if h.Side == traffic.UpstreamSide {
		c.upstreamTLS = tlsVersion(h)
		return
	}
	c.agentTLS = tlsVersion(h)
	c.certified = c.certified || h.TLS != nil && len(h.TLS.PeerCertificates) > 0
}

// tlsVersion is a handshake's version as filters write it, "1.2"; empty when
// there is no TLS, or none was agreed on.
func tlsVersion(h *traffic.Handshake) string {
	if h == nil || h.TLS == nil {
		return ""
	}
	switch h.TLS.Version {
	case 0x0300:
		return "3.0"
	case 0x0301, 0x0302, 0x0303, 0x0304:
		return fmt.Sprintf("1.%d", h.TLS.Version-0x0301)
	}
	return strings.TrimPrefix(h.TLS.VersionName, "TLS ")
}

func (c *openConn) tlsOf(x *traffic.Exchange) string {
	switch {
	case !x.TLS:
		return ""
	case c.agentTLS == "":
		return "unknown"
	}
	return c.agentTLS
}

// auth is what the agent has proved with this exchange.
func (c *openConn) auth(x *traffic.Exchange, m meaning) string {
	head := &x.Request.Head
	scheme, _, _ := strings.Cut(head.Get("Authorization"), " ")
	_, target, _ := head.Request()
	switch {
	case c.certified:
		return "cert"
	case strings.EqualFold(scheme, "Negotiate"), strings.EqualFold(scheme, "NTLM"), strings.EqualFold(scheme, "Kerberos"):
		return "windows"
	case scheme != "", strings.Contains(strings.ToLower(target), "_tokenauth"):
		return "token"
	case m.request != nil && m.request.Signature != "", head.Get("ClientToken") != "", head.Get("CCMClientIDSignature") != "":
		return "self"
	}
	return "none"
}

// identify is the agent's name and client id as a message gives them, filled
// up with what the connection knows of the same agent.
func (c *openConn) identify(r decode.Row) (name, client string) {
	name, client = plain(r.Agent), clientID(plain(r.Client))
	switch {
	case name == "" && (client == "" || client == c.client):
		return c.name, c.client
	case client == "" && strings.EqualFold(name, c.name):
		return c.name, c.client
	}
	return name, client
}

// learn remembers whom the connection belongs to.
func (c *openConn) learn(r decode.Row) { c.name, c.client = c.identify(r) }

// clientID writes a client id in one way: messages have it with "GUID:", in
// braces, and bare.
func clientID(s string) string {
	bare := strings.Trim(s, "{}")
	if len(bare) > 5 && strings.EqualFold(bare[:5], "GUID:") {
		bare = bare[5:]
	}
	if len(bare) != 36 || strings.Count(bare, "-") != 4 {
		return s
	}
	return "GUID:" + strings.ToUpper(bare)
}

// key is the agent as far as the connection knows it.
func (c *openConn) key() agentKey {
	host, _, err := net.SplitHostPort(c.Agent)
	if err != nil {
		host = c.Agent
	}
	return agentKey{c.name, c.client, plain(host)}
}

// answered is the reply that the agent got: the management point's, or ours
// where it sent none.
func answered(x *traffic.Exchange) *traffic.Wire {
	if x.Reply.Size == 0 && x.Returned != nil {
		return x.Returned
	}
	return &x.Reply
}
