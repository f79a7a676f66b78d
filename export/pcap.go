package export

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"net/netip"
	"sort"
	"strconv"
	"strings"
	"time"

	"mpproxy/traffic"
)

// pcap writes the HTTP of both legs as TCP streams without TLS (pcapng,
// draft-ietf-opsawg-pcapng): what was said is true, the segments that carry it
// are made up. Each leg is an interface. Server ports that Wireshark does not
// take for HTTP become 80; the comment of the first packet has the real one.
type pcap struct {
	w       *bufio.Writer
	begun   bool
	streams map[streamKey]*stream
	// packets wait until no earlier one can come.
	packets []packet
}

type streamKey struct {
	conn traffic.ConnID
	side traffic.Side
}

// stream is one made-up TCP connection.
type stream struct {
	iface          uint32
	client, server netip.AddrPort
	// next are the sequence numbers of client and server.
	next [2]uint32
	last time.Time
}

type packet struct {
	at      time.Time
	iface   uint32
	frame   []byte
	comment string
}

func newPcap(o *output) writer {
	return &pcap{w: bufio.NewWriter(o.w), streams: map[streamKey]*stream{}}
}

// The block types and link types of pcapng.
const (
	blockSection   = 0x0A0D0D0A
	blockInterface = 1
	blockPacket    = 6
	linkRaw        = 101 // begins with the IP header
	byteOrderMagic = 0x1A2B3C4D

	optionEnd       = 0
	optionComment   = 1
	optionName      = 2
	optionTSResol   = 9
	microseconds    = 6
	optionUserAppl  = 4
	maxWaiting      = 1024
	segment         = 16 << 10
	maxStreamsKnown = 10_000
)

// block writes one block.
func (p *pcap) block(kind uint32, body []byte) error {
	for len(body)%4 != 0 {
		body = append(body, 0)
	}
	n := uint32(len(body)) + 12
	b := binary.LittleEndian.AppendUint32(nil, kind)
	b = binary.LittleEndian.AppendUint32(b, n)
	b = append(b, body...)
	b = binary.LittleEndian.AppendUint32(b, n)
	_, err := p.w.Write(b)
	return err
}

func option(b []byte, code uint16, value []byte) []byte {
	b = binary.LittleEndian.AppendUint16(b, code)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(value)))
	b = append(b, value...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

// begin writes the section and its two interfaces.
func (p *pcap) begin() error {
	if p.begun {
		return nil
	}
	p.begun = true
	section := binary.LittleEndian.AppendUint32(nil, byteOrderMagic)
	section = binary.LittleEndian.AppendUint16(section, 1)
	section = binary.LittleEndian.AppendUint16(section, 0)
	section = binary.LittleEndian.AppendUint64(section, ^uint64(0))
	section = option(section, optionUserAppl, []byte("mpproxy"))
	section = option(section, optionEnd, nil)
	if err := p.block(blockSection, section); err != nil {
		return err
	}
	for _, name := range []string{"agent leg", "management point leg"} {
		iface := binary.LittleEndian.AppendUint16(nil, linkRaw)
		iface = binary.LittleEndian.AppendUint16(iface, 0)
		iface = binary.LittleEndian.AppendUint32(iface, 0)
		iface = option(iface, optionName, []byte(name))
		iface = option(iface, optionTSResol, []byte{microseconds})
		iface = option(iface, optionEnd, nil)
		if err := p.block(blockInterface, iface); err != nil {
			return err
		}
	}
	return nil
}

func (p *pcap) item(i *Item) error {
	if i.Request == nil || i.Row.Method == "" || i.Conn == nil {
		return errSkip
	}
	if err := p.begin(); err != nil {
		return err
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
	s := p.stream(i, side, at)
	if at.Before(s.last) {
		at = s.last
	}
	s.last = at
	b := wire(m)
	comment := commentOf(i, m)
	for len(b) > 0 {
		n := min(len(b), segment)
		p.packets = append(p.packets, packet{at, s.iface, s.frame(from, b[:n], flagACK|flagPSH), comment})
		b, comment = b[n:], ""
	}
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

// stream is the made-up connection of a leg.
func (p *pcap) stream(i *Item, side traffic.Side, at time.Time) *stream {
	k := streamKey{i.Conn.ID, side}
	if s := p.streams[k]; s != nil {
		return s
	}
	if len(p.streams) > maxStreamsKnown {
		clear(p.streams)
	}
	s := &stream{last: at, next: [2]uint32{1, 1}}
	s.client, s.server = address(i.Conn.Agent, 1), netip.AddrPortFrom(madeUp(2), listenerPort(i.Conn.Listener))
	if side == traffic.UpstreamSide {
		s.iface = 1
		s.server = address(i.Conn.UpstreamLeg.Address, 3)
		// mpproxy's own port is not recorded: one that tells connections apart.
		s.client = netip.AddrPortFrom(madeUp(2), uint16(20_000+int64(i.Conn.ID)%40_000))
	}
	real := s.server
	if !httpPorts[s.server.Port()] {
		s.server = netip.AddrPortFrom(s.server.Addr(), 80)
	}
	if s.client.Addr().Is4() != s.server.Addr().Is4() {
		s.client, s.server = toSix(s.client), toSix(s.server)
	}
	p.streams[k] = s
	comment := fmt.Sprintf("connection %d, real server %s; made up by mpproxy from decrypted HTTP", i.Conn.ID, real)
	s.next = [2]uint32{0, 0}
	p.packets = append(
		p.packets,
		packet{at, s.iface, s.frame(0, nil, flagSYN), comment},
		packet{at, s.iface, s.frame(1, nil, flagSYN|flagACK), ""},
	)
	s.next = [2]uint32{1, 1}
	p.packets = append(p.packets, packet{at, s.iface, s.frame(0, nil, flagACK), ""})
	return s
}

// httpPorts are the ports that Wireshark takes for HTTP by itself.
var httpPorts = map[uint16]bool{80: true, 3128: true, 3132: true, 5985: true, 8080: true, 8088: true, 11371: true, 1900: true, 2869: true, 2710: true}

func listenerPort(listener string) uint16 {
	i := strings.LastIndexByte(listener, ':')
	n, err := strconv.ParseUint(listener[i+1:], 10, 16)
	if err != nil {
		return 80
	}
	return uint16(n)
}

// madeUp is an address of the documentation's range.
func madeUp(n byte) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, n}) }

func address(s string, otherwise byte) netip.AddrPort {
	if a, err := netip.ParseAddrPort(s); err == nil {
		return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
	}
	return netip.AddrPortFrom(madeUp(otherwise), listenerPort(s))
}

func toSix(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16(a.Addr().As16()), a.Port())
}

// The flags of a TCP segment (RFC 9293).
const (
	flagSYN = 0x02
	flagPSH = 0x08
	flagACK = 0x10
)

// frame is an IP packet with a TCP segment from the client (0) or server (1).
func (s *stream) frame(from int, data []byte, flags byte) []byte {
	src, dst := s.client, s.server
	if from == 1 {
		src, dst = dst, src
	}
	const header = 20
	tcp := make([]byte, header, header+len(data))
	binary.BigEndian.PutUint16(tcp[0:], src.Port())
	binary.BigEndian.PutUint16(tcp[2:], dst.Port())
	binary.BigEndian.PutUint32(tcp[4:], s.next[from])
	if flags&flagACK != 0 {
		ack := s.next[1-from]
		if flags&flagSYN != 0 {
			ack = 1
		}
		binary.BigEndian.PutUint32(tcp[8:], ack)
	}
	tcp[12], tcp[13] = header/4<<4, flags
	binary.BigEndian.PutUint16(tcp[14:], 0xffff)
	tcp = append(tcp, data...)
	binary.BigEndian.PutUint16(tcp[16:], checksum(pseudo(src.Addr(), dst.Addr(), len(tcp)), tcp))
	s.next[from] += uint32(len(data))
	return append(ipHeader(src.Addr(), dst.Addr(), len(tcp)), tcp...)
}

const protocolTCP = 6

func pseudo(src, dst netip.Addr, n int) []byte {
	b := append(src.AsSlice(), dst.AsSlice()...)
	if src.Is4() {
		return binary.BigEndian.AppendUint16(append(b, 0, protocolTCP), uint16(n))
	}
	return append(binary.BigEndian.AppendUint32(b, uint32(n)), 0, 0, 0, protocolTCP)
}

func ipHeader(src, dst netip.Addr, n int) []byte {
	if src.Is4() {
		b := []byte{0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, protocolTCP, 0, 0}
		binary.BigEndian.PutUint16(b[2:], uint16(20+n))
		b = append(append(b, src.AsSlice()...), dst.AsSlice()...)
		binary.BigEndian.PutUint16(b[10:], checksum(b))
		return b
	}
	b := []byte{0x60, 0, 0, 0, 0, 0, protocolTCP, 64}
	binary.BigEndian.PutUint16(b[4:], uint16(n))
	return append(append(b, src.AsSlice()...), dst.AsSlice()...)
}

// checksum is the Internet checksum (RFC 1071) of parts, each padded.
func checksum(parts ...[]byte) uint16 {
	var sum uint32
	for _, b := range parts {
		for ; len(b) > 1; b = b[2:] {
			sum += uint32(b[0])<<8 | uint32(b[1])
		}
		if len(b) == 1 {
			sum += uint32(b[0]) << 8
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// flush writes the packets from before a time, in order.
func (p *pcap) flush(before time.Time) error {
	sort.SliceStable(p.packets, func(i, j int) bool { return p.packets[i].at.Before(p.packets[j].at) })
	n := sort.Search(len(p.packets), func(i int) bool { return !p.packets[i].at.Before(before) })
	for _, k := range p.packets[:n] {
		if err := p.packet(k); err != nil {
			return err
		}
	}
	p.packets = append([]packet(nil), p.packets[n:]...)
	return nil
}

func (p *pcap) packet(k packet) error {
	us := uint64(max(k.at.UnixMicro(), 0))
	b := binary.LittleEndian.AppendUint32(nil, k.iface)
	b = binary.LittleEndian.AppendUint32(b, uint32(us>>32))
	b = binary.LittleEndian.AppendUint32(b, uint32(us))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(k.frame)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(k.frame)))
	b = append(b, k.frame...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	if k.comment != "" {
		b = option(b, optionComment, []byte(k.comment))
		b = option(b, optionEnd, nil)
	}
	return p.block(blockPacket, b)
}

func (p *pcap) end() error {
	if err := p.begin(); err != nil {
		return err
	}
	if err := p.flush(time.Unix(1<<40, 0)); err != nil {
		return err
	}
	return p.w.Flush()
}
