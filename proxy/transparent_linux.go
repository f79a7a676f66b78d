package proxy

import (
	"encoding/binary"
	"net"
	"strconv"
	"syscall"
)

const (
	// soOriginalDst is SO_ORIGINAL_DST and IP6T_SO_ORIGINAL_DST
	// (linux/netfilter_ipv4.h, netfilter_ipv6/ip6_tables.h).
	soOriginalDst = 80
	// ipTransparent and ipv6Transparent let a socket accept what TPROXY brings.
	ipTransparent, ipv6Transparent = 19, 75
)

// originalDestination asks the kernel where a redirected connection was
// going; "" when it was not redirected.
func originalDestination(conn net.Conn) (address string, err error) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return "", nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return "", err
	}
	err = raw.Control(func(fd uintptr) {
		// The two calls of package syscall whose results have the size of a
		// socket address.
		if v4, err := syscall.GetsockoptIPv6Mreq(int(fd), syscall.IPPROTO_IP, soOriginalDst); err == nil {
			b := v4.Multiaddr
			address = net.JoinHostPort(net.IP(b[4:8]).String(), strconv.Itoa(int(b[2])<<8|int(b[3])))
			return
		}
		if v6, err := syscall.GetsockoptIPv6MTUInfo(int(fd), syscall.IPPROTO_IPV6, soOriginalDst); err == nil {
			var port [2]byte
			binary.NativeEndian.PutUint16(port[:], v6.Addr.Port)
			address = net.JoinHostPort(net.IP(v6.Addr.Addr[:]).String(), strconv.Itoa(int(binary.BigEndian.Uint16(port[:]))))
		}
	})
	return address, err
}

// allowTransparent prepares a listening socket for TPROXY. Without the right
// to it, REDIRECT still works.
func allowTransparent(network, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		if network == "tcp6" {
			_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IPV6, ipv6Transparent, 1)
			return
		}
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, ipTransparent, 1)
	})
}
