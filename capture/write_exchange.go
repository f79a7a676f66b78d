package capture

import (
	"fmt"
	"slices"

	"mpproxy/decode"
	"mpproxy/traffic"
)

// storeChunk writes bytes that came since the last flush.
func (w *writer) storeChunk(c *chunk) error {
	b := c.parts[0]
	if len(c.parts) > 1 {
		w.joined = w.joined[:0]
		for _, p := range c.parts {
			w.joined = append(w.joined, p...)
		}
		b = w.joined
	}
	return w.exec(`INSERT OR IGNORE INTO chunk (exchange, dir, forwarded, offset, bytes) VALUES (?, ?, ?, ?, ?)`,
		c.exchange, c.dir, c.forwarded, c.at, b)
}

// storeOver writes all about an exchange that is over.
func (w *writer) storeOver(r listRow) error {
	if w.open[r.x.ID].holed {
		x := *r.x
		x.Findings = append(slices.Clip(x.Findings), traffic.Finding{Kind: &holed, Offset: -1, Who: "proxy"})
		r.x = &x
	}
	x, m := r.x, &r.meaning
	if err := w.storeList(r); err != nil {
		return err
	}
	if err := w.storeWires(x, m); err != nil {
		return err
	}
	if err := w.storeLabels(x); err != nil {
		return err
	}
	if err := w.storeFindings(x.ID, x.Conn, x.Findings, m.findings); err != nil {
		return err
	}
	if err := w.storeUpload(x, m); err != nil {
		return err
	}
	return w.countMinute(x, m.row.Endpoint, r.sev())
}

// Bits of list.flags.
const (
	flagNew = 1 << iota
	flagSigned
	flagAttachment
	flagCompressed
)

// listRow is an exchange as it goes into list.
type listRow struct {
	x       *traffic.Exchange
	agent   agentKey
	meaning meaning
	// auth is what the agent has proved, tls the version of its leg.
	auth, tls string
	// over is false for an exchange that goes on.
	over bool
}

// overRow is an exchange that is over, on its connection.
func overRow(x *traffic.Exchange, c *openConn, m meaning) listRow {
	return listRow{x: x, agent: c.key(), meaning: m, auth: c.auth(x, &m), tls: c.tlsOf(x), over: true}
}

func (r *listRow) sev() traffic.Severity {
	return max(traffic.Worst(r.x.Findings), traffic.Worst(r.meaning.findings))
}

func (w *writer) storeList(r listRow) error {
	x, m := r.x, &r.meaning
	method, target, _ := x.Request.Head.Request()
	names, err := w.nameIDs(method, m.row.Kind, m.row.Endpoint, string(x.Fate), x.Origin, r.auth, r.tls, m.code())
	if err != nil {
		return err
	}
	agent, isNew, err := w.agent(r)
	if err != nil {
		return err
	}
	flags := m.flags()
	if isNew && r.over {
		flags |= flagNew
	}
	known := w.open[x.ID].stored
	if known {
		if err := w.exec(`DELETE FROM list WHERE id = ?`, x.ID); err != nil {
			return err
		}
	}
	// Not INSERT OR REPLACE: SQLite then saves whole pages before each row, in
	// case that one of three indexes fails, and takes three times as long.
	err = w.exec(`INSERT INTO list (id, conn, begun_us, replied_us, ended_us, agent,
			method, kind, endpoint, fate, origin, auth, tls, code,
			status, sev, flags, req_bytes, resp_bytes, target, summary, long, err)
		VALUES (?,?,?,?,?,?, ?,?,?,?,?,?,?,?, ?,?,?,?,?,?,?,?,?)`,
		x.ID, x.Conn, begunMicros(x), micros(x.Replied), micros(x.Ended), agent,
		names[0], names[1], names[2], names[3], names[4], names[5], names[6], names[7],
		status(x), r.sev(), flags, x.Request.Size, answered(x).Size, plain(target), m.row.Short, m.row.Long, plain(x.Err))
	if err != nil {
		return err
	}
	if known || x.ID < w.highest {
		return w.change(x.ID)
	}
	w.highest = x.ID
	return nil
}

// status is the reply's status code, or NULL.
func status(x *traffic.Exchange) any {
	if s := answered(x).Head.Status(); s != 0 {
		return s
	}
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
func (w *writer) storeWires(x *traffic.Exchange, m *meaning) error {
	for _, v := range []struct {
		dir       traffic.Dir
		forwarded bool
		wire      *traffic.Wire
		m         *gist
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

func (w *writer) storeWire(id traffic.ExchangeID, d traffic.Dir, forwarded bool, v *traffic.Wire, m *gist) error {
	var version int
	if m == nil {
		m = &gist{}
	} else {
		version = decode.Version
	}
	names, err := w.nameIDs(m.form, m.endpoint, m.kind, m.root, m.signature, m.hooks, m.client)
	if err != nil {
		return err
	}
	return w.exec(`INSERT OR REPLACE INTO wire (exchange, dir, forwarded, interim, head, size, framing, whole, same_body,
			form, endpoint, kind, root, signature, hooks, client,
			msgid, corr, text_bytes, attachments, decoder, depth)
		VALUES (?,?,?,?,?,?,?,?,?, ?,?,?,?,?,?,?, ?,?,?,?,?,?)`,
		id, d, forwarded, v.Interim, len(v.Head.Raw), v.Size, v.Framing, v.Whole, v.SameBody,
		names[0], names[1], names[2], names[3], names[4], names[5], names[6],
		m.msgID, m.corr, m.textBytes, m.attachments, version, m.depth)
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
