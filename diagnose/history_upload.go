package diagnose

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"mpproxy/traffic"
)

// uploads are what is known of uploads [MC-BUP] and of reports that wait to be
// filed. The zero value is ready.
type uploads struct {
	sessions map[string]*upload
	byConn   map[traffic.ConnID][]*upload
	// acked are the last reports that the management point has acknowledged on
	// a connection.
	acked map[traffic.ConnID]acked
	// replies are the paths at which answers to them are to be fetched.
	replies map[string]traffic.ConnID
}

// upload is one session. Sessions outlive connections.
type upload struct {
	// next is the byte that has to come next, total the size of the whole, -1
	// when not known.
	next, total int64
	// broken is true when the last fragment had no answer.
	broken bool
	// gap and twice are what is wrong with the order of the fragments, "" when
	// nothing is; unheard is the end of an upload that had no answer.
	gap, twice, unheard said
	// last is the last packet with an answer, closed is true when the end was
	// acknowledged or the session was given up.
	last   traffic.ExchangeID
	conn   traffic.ConnID
	agent  string
	at     time.Time // when the last one was answered
	closed bool
}

// said is a sentence about an exchange.
type said struct {
	text string
	at   traffic.ExchangeID
	conn traffic.ConnID
}

// acked is a report that the management point has acknowledged.
type acked struct {
	what     string
	exchange traffic.ExchangeID
	agent    string
	at       time.Time
	// upstream is the management point, "" until the connection is known.
	upstream string
}

// upload takes the next packet of an upload, or a report.
func (h *History) upload(x *Exchange) {
	u := &h.uploads
	if conn, found := u.replies[strings.ToLower(x.path())]; found && x.good() {
		delete(u.acked, conn) // the answer to it was fetched
	}
	switch {
	case x.Message == nil:
	case x.Message.Packet != nil:
		u.packet(x)
		if a := h.at(x.Agent); a != nil && x.Message.Packet.Type == "close-session" && x.good() {
			a.uploaded = x.ID
		}
	case isReport(x.Message.Kind) && x.good():
		u.ack(x, "report", "")
	}
}

func (u *uploads) ack(x *Exchange, what, reply string) {
	if u.acked == nil {
		u.acked = map[traffic.ConnID]acked{}
	}
	if _, known := u.acked[x.Conn]; !known && len(u.acked) >= maxHistory {
		return
	}
	u.acked[x.Conn] = acked{what: what, exchange: x.ID, agent: x.Agent, at: x.Ended}
	if reply != "" && len(u.replies) < maxHistory {
		if u.replies == nil {
			u.replies = map[string]traffic.ConnID{}
		}
		u.replies[strings.ToLower((&Exchange{Target: reply}).path())] = x.Conn
	}
}

func (u *uploads) session(x *Exchange) *upload {
	id := x.Message.Packet.Session
	if x.Message.Ack != nil {
		id = cmp.Or(id, x.Message.Ack.Session)
	}
	if id == "" {
		return nil
	}
	id = strings.ToUpper(id)
	if u.sessions == nil {
		u.sessions, u.byConn = map[string]*upload{}, map[traffic.ConnID][]*upload{}
	}
	s := u.sessions[id]
	if s == nil {
		if len(u.sessions) >= maxHistory {
			return nil
		}
		s = &upload{next: -1, total: -1}
		u.sessions[id] = s
	}
	if all := u.byConn[x.Conn]; !slices.Contains(all, s) && len(all) < maxMentions {
		u.byConn[x.Conn] = append(all, s)
	}
	return s
}

func (u *uploads) packet(x *Exchange) {
	s := u.session(x)
	if s == nil {
		return
	}
	p := x.Message.Packet
	if x.good() {
		s.last, s.conn, s.agent, s.at = x.ID, x.Conn, x.Agent, x.Ended
	}
	lost := x.Status == 0 && x.Fate == traffic.Broken
	switch p.Type {
	case "fragment":
		s.fragment(x)
		if s.total > 0 && s.next >= s.total && x.good() {
			s.unheard = said{}
			u.ack(x, "upload", replyURL(x))
		}
	case "close-session":
		if x.good() {
			s.closed, s.unheard = true, said{}
			u.ack(x, "upload", replyURL(x))
		} else if lost {
			s.unheard = said{fmt.Sprintf("exchange %d closes the upload, and no acknowledgement came", x.ID), x.ID, x.Conn}
		}
	case "cancel-session":
		s.closed = true
	}
}

func replyURL(x *Exchange) string {
	if x.Message.Ack == nil {
		return ""
	}
	return x.Message.Ack.ReplyURL
}

// fragment takes the next fragment of a session.
func (s *upload) fragment(x *Exchange) {
	p := x.Message.Packet
	if p.From < 0 {
		return
	}
	missing := fmt.Sprintf("exchange %d: the fragment begins at %d, the one before it ended at %d: %d bytes are missing", x.ID, p.From, s.next, p.From-s.next)
	switch {
	case x.good():
		switch {
		case s.next >= 0 && p.From > s.next:
			s.gap = said{missing, x.ID, x.Conn}
		case s.next > p.From && !s.broken:
			s.twice = said{fmt.Sprintf("exchange %d: the fragment begins at %d, though everything before %d was acknowledged: bytes %d to %d came twice", x.ID, p.From, s.next, p.From, min(s.next, p.To)-1), x.ID, x.Conn}
		case strings.HasSuffix(s.gap.text, refusedGap):
			s.gap = said{} // it went on where the server wanted
		}
		s.next, s.total, s.broken = max(s.next, p.To), max(s.total, p.Total), false
	case x.Status == 416 && s.next >= 0 && p.From > s.next:
		s.gap = said{missing + refusedGap, x.ID, x.Conn}
	case x.Status == 0 && x.Fate == traffic.Broken:
		s.broken = true
		if p.Total > 0 && p.To == p.Total && x.BodySize >= p.To-p.From {
			s.unheard = said{fmt.Sprintf("exchange %d: the last fragment (%d to %d of %d) passed whole, and no acknowledgement came", x.ID, p.From, p.To-1, p.Total), x.ID, x.Conn}
		}
	}
	if ack := x.Message.Ack; ack != nil && ack.Next >= 0 && x.Status != 0 {
		s.next = ack.Next
	}
}

// refusedGap ends the sentence on a gap that the server has refused.
const refusedGap = "; the server refused it with 416"

// finished is true when the end of a packet's upload was acknowledged.
func (h *History) finished(x *Exchange) bool {
	if h == nil || x.Message == nil || x.Message.Packet == nil {
		return false
	}
	s := h.uploads.sessions[strings.ToUpper(x.Message.Packet.Session)]
	return s != nil && s.closed
}

// uploadSaid is what one field of the uploads on this connection says of it,
// the first one.
func (f *facts) uploadSaid(field func(*upload) said) (said, bool) {
	if f.History == nil {
		return said{}, false
	}
	for _, u := range f.History.uploads.byConn[f.Conn.ID] {
		if s := field(u); s.text != "" && s.conn == f.Conn.ID {
			return s, true
		}
	}
	return said{}, false
}

// unclosed is an upload of this connection whose bytes were all acknowledged
// and which the agent has never closed. later is true when the agent went on
// with something else.
func (f *facts) unclosed() (text string, at traffic.ExchangeID, later bool) {
	if f.History == nil || f.Conn.Closed.IsZero() {
		return "", 0, false
	}
	for _, u := range f.History.uploads.byConn[f.Conn.ID] {
		if u.closed || u.unheard.text != "" || u.total <= 0 || u.next < u.total || u.conn != f.Conn.ID {
			continue
		}
		a := f.History.at(u.agent)
		if a != nil && a.shared && f.Conn.Closed.Sub(u.at) < atOnce {
			continue // what came after it from there may be another agent's, and the capture may end here
		}
		return fmt.Sprintf("all %d bytes were acknowledged (exchange %d), and no Close-Session followed: the server keeps an upload that is not closed apart", u.total, u.last),
			u.last, a != nil && !a.shared && a.last > u.last
	}
	return "", 0, false
}

// outages are the times at which management points took no connections, by
// their names. The zero value is ready.
type outages map[string][]outage

type outage struct {
	// first and last are when connections were refused, count how many; over
	// is when one was taken again, zero when none was.
	first, last, over time.Time
	count             int
}

// maxOutages is how many outages of a management point are remembered.
const maxOutages = 100

// add takes the next connection.
func (o *outages) add(c *traffic.Conn, u *uploads) {
	if a, found := u.acked[c.ID]; found {
		a.upstream = c.Upstream
		u.acked[c.ID] = a
	}
	all := (*o)[c.Upstream]
	down := len(all) > 0 && all[len(all)-1].over.IsZero()
	switch refused := refusesTCP(c); {
	case refused && down:
		all[len(all)-1].last = c.Opened
		all[len(all)-1].count++
	case refused:
		if *o == nil {
			*o = outages{}
		}
		if len(all) < maxOutages && len(*o) < maxHistory {
			(*o)[c.Upstream] = append(all, outage{first: c.Opened, last: c.Opened, count: 1})
		}
	case down && c.UpstreamLeg.BytesIn > 0:
		all[len(all)-1].over = c.Opened
	}
}

// refusesTCP is true when the management point took no connection.
func refusesTCP(c *traffic.Conn) bool {
	return c.UpstreamLeg.End == traffic.EndRefused && !strings.Contains(c.UpstreamLeg.Err, "lookup ")
}

// soon is how soon after an acknowledgement a management point that stops may
// not have filed the report; atOnce makes that likely.
const (
	soon   = 2 * time.Minute
	atOnce = 30 * time.Second
)

// lost finds a report that the management point of this connection had
// acknowledged shortly before it took no more connections. The connection is
// that of the report, or one that was refused.
func (f *facts) lost() (a acked, o outage, found bool) {
	if f.History == nil {
		return acked{}, outage{}, false
	}
	for _, o := range f.History.outages[f.Conn.Upstream] {
		inside := refusesTCP(f.Conn) && !f.Conn.Opened.Before(o.first) && !f.Conn.Opened.After(o.last)
		best, any := acked{}, false
		for conn, a := range f.History.uploads.acked {
			gap := o.first.Sub(a.at)
			if a.upstream != f.Conn.Upstream || gap < 0 || gap > soon || !inside && conn != f.Conn.ID {
				continue
			}
			if !any || a.at.After(best.at) {
				best, any = a, true
			}
		}
		if any {
			return best, o, true
		}
	}
	return acked{}, outage{}, false
}
