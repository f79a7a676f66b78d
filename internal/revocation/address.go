package revocation

import (
	"fmt"
	"net/netip"
	"syscall"
)

// errPrivate is an address that may not be dialled.
type errPrivate struct{ address netip.Addr }

func (e errPrivate) Error() string {
	return fmt.Sprintf("%s is an address of the own network, to which nothing is fetched unless allowed", e.address)
}

// guard looks at the address that is really dialled: a name may lead anywhere,
// and elsewhere the second time.
func guard(private bool) func(network, address string, _ syscall.RawConn) error {
	return func(_, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("dial %q: %w", address, err)
		}
		a := real4(ap.Addr())
		if Public(a) || private && !a.IsMulticast() && !a.IsUnspecified() {
			return nil
		}
		return errPrivate{a}
	}
}

// special are networks that lead nowhere in the public network, beside those
// that package netip knows (RFC 6890).
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("240.0.0.0/4"), netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("fec0::/10"),
}

// Public says whether an address is one of the public network.
func Public(a netip.Addr) bool {
	a = real4(a)
	if !a.IsValid() || a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified() {
		return false
	}
	for _, p := range special {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

// real4 is the IPv4 address within an IPv6 one that leads to it: mapped, by
// NAT64 or by 6to4.
func real4(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	b := a.As16()
	switch {
	case netip.MustParsePrefix("64:ff9b::/96").Contains(a):
		return netip.AddrFrom4([4]byte(b[12:16]))
	case netip.MustParsePrefix("2002::/16").Contains(a):
		return netip.AddrFrom4([4]byte(b[2:6]))
	}
	return a
}
