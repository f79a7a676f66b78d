package export

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"mpproxy/traffic"
)

// stream is one made-up TCP connection.
type stream struct {
	iface          string
	client, server netip.AddrPort
	// next are the sequence numbers of client and server.
	next [2]uint32
	last time.Time
}

// newStream is the made-up connection of a leg that carries a protocol,
// and the packets that open it. Server ports that Wireshark does not take for
// the protocol become its first one; the comment of the first packet has the
// real one.
func newStream(c *traffic.Conn, side traffic.Side, proto protocol, at time.Time) (*stream, []packet) {
	s := &stream{iface: "agent leg" + proto.suffix, last: at}
	s.client, s.server = address(c.Agent, 1), netip.AddrPortFrom(madeUp(2), listenerPort(c.Listener))
	if side == traffic.UpstreamSide {
		s.iface = "management point leg" + proto.suffix
		s.server = address(c.UpstreamLeg.Address, 3)
		// mpproxy's own port is not recorded: one that tells connections apart.
		s.client = netip.AddrPortFrom(madeUp(2), uint16(20_000+int64(c.ID)%40_000))
	}
	real := s.server
	s.server = netip.AddrPortFrom(s.server.Addr(), proto.port(s.server.Port()))
	if s.client.Addr().Is4() != s.server.Addr().Is4() {
		s.client, s.server = toSix(s.client), toSix(s.server)
	}
	comment := fmt.Sprintf("connection %d, real server %s; %s", c.ID, real, proto.comment)
	opening := []packet{
		{at, s.iface, s.frame(0, nil, flagSYN), comment},
		{at, s.iface, s.frame(1, nil, flagSYN|flagACK), ""},
	}
	s.next = [2]uint32{1, 1}
	return s, append(opening, packet{at, s.iface, s.frame(0, nil, flagACK), ""})
}

// segment is how much a made-up segment carries.
const segment = 16 << 10

// say makes packets of what the client (0) or server (1) wrote.
func (s *stream) say(from int, at time.Time, b []byte, comment string) []packet {
	if at.Before(s.last) {
		at = s.last
	}
	s.last = at
	var all []packet
	for len(b) > 0 {
		n := min(len(b), segment)
		all = append(all, packet{at, s.iface, s.frame(from, b[:n], flagACK|flagPSH), comment})
		b, comment = b[n:], ""
	}
	return all
}

// protocol is what a stream carries.
type protocol struct {
	suffix, comment string
	// ports are the server ports that Wireshark takes for it by itself, the
	// first one first.
	ports []uint16
}

func (p protocol) port(real uint16) uint16 {
	for _, n := range p.ports {
		if n == real {
			return real
		}
	}
	return p.ports[0]
}

func decryptedHTTP() protocol {
	return protocol{
		comment: "made up by mpproxy from decrypted HTTP",
		ports:   []uint16{80, 3128, 3132, 5985, 8080, 8088, 11371, 1900, 2869, 2710},
	}
}

func recordedTLS() protocol {
	return protocol{suffix: ", TLS", comment: "segments made up by mpproxy, TLS as it crossed the wire", ports: []uint16{443}}
}

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
