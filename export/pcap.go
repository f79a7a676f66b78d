package export

import (
	"fmt"
	"sort"
	"time"

	"mpproxy/traffic"
)

// pcap writes the HTTP of both legs as TCP streams without TLS, and TLS as it
// crossed the wire where it was kept: what was said is true, the segments that
// carry it are made up. Each leg is an interface.
type pcap struct {
	file    *pcapFile
	streams map[streamKey]*stream
	// packets wait until no earlier one can come.
	packets []packet
}

type streamKey struct {
	conn traffic.ConnID
	side traffic.Side
}

// The most that is kept: packets that wait, streams that are known.
const (
	maxWaiting      = 1024
	maxStreamsKnown = 10_000
)

func newPcap(o *output) writer {
	return &pcap{file: newPcapFile(o.w), streams: map[streamKey]*stream{}}
}

func (p *pcap) item(i *Item) error {
	if i.Request == nil || i.Row.Method == "" || i.Conn == nil {
		return errSkip
	}
	x := i.Exchange
	sent, returned := i.Request, i.Reply
	if i.Sent != nil {
		sent = i.Sent
	}
	if i.Returned != nil {
		returned = i.Returned
	}
	replied := x.Replied
	if replied.IsZero() {
		replied = x.Ended
	}
	p.say(i, traffic.AgentSide, 0, x.Begun, i.Request)
	if i.Conn.UpstreamLeg.Address != "" && x.Fate != traffic.Answered {
		p.say(i, traffic.UpstreamSide, 0, x.Begun, sent)
		p.say(i, traffic.UpstreamSide, 1, replied, i.Reply)
	}
	p.say(i, traffic.AgentSide, 1, replied, returned)
	if len(p.packets) > maxWaiting {
		return p.flush(x.Begun) // what comes later began later
	}
	return nil
}

// say adds a message to a stream, which is opened when it is new.
func (p *pcap) say(i *Item, side traffic.Side, from int, at time.Time, m *Message) {
	if m == nil {
		return
	}
	s := p.stream(i.Conn, side, at)
	p.packets = append(p.packets, s.say(from, at, wire(m), commentOf(i, m))...)
}

// stream is the made-up connection of a leg.
func (p *pcap) stream(c *traffic.Conn, side traffic.Side, at time.Time) *stream {
	k := streamKey{c.ID, side}
	if s := p.streams[k]; s != nil {
		return s
	}
	if len(p.streams) > maxStreamsKnown {
		clear(p.streams)
	}
	s, opening := newStream(c, side, decryptedHTTP(), at)
	p.streams[k] = s
	p.packets = append(p.packets, opening...)
	return s
}

// maxComment is how long a comment may be: pcapng counts it with 16 bits.
const maxComment = 48 << 10

// commentOf is what a message means, with its texts: packets alone show them
// compressed and in UTF-16.
func commentOf(i *Item, m *Message) string {
	words := fmt.Sprintf("exchange %d: %s", i.Row.ID, i.Row.Long)
	if m.Decoded != nil {
		for _, text := range []string{m.Decoded.HeaderText.String, m.Decoded.Text.String} {
			if text != "" {
				words += "\n" + text
			}
		}
	}
	if len(words) > maxComment {
		words = words[:maxComment]
	}
	return utf8Of(words)
}

// flush writes the packets from before a time, in order.
func (p *pcap) flush(before time.Time) error {
	sort.SliceStable(p.packets, func(i, j int) bool { return p.packets[i].at.Before(p.packets[j].at) })
	n := sort.Search(len(p.packets), func(i int) bool { return !p.packets[i].at.Before(before) })
	for _, k := range p.packets[:n] {
		if err := p.file.packet(k); err != nil {
			return err
		}
	}
	p.packets = append([]packet(nil), p.packets[n:]...)
	return nil
}

// flushAll writes all packets that wait.
func (p *pcap) flushAll() error { return p.flush(time.Unix(1<<40, 0)) }

func (p *pcap) end() error {
	if err := p.flushAll(); err != nil {
		return err
	}
	return p.file.end()
}
