package decode

import (
	"net/netip"
	"strings"

	"mpproxy/traffic"
)

// withoutRecords makes the test for a location reply that locates nothing.
func withoutRecords(root, noun string) func(*checking) {
	return func(c *checking) {
		if c.m.Root == root && !c.m.Partial && len(locationRecords(c.decoder)) == 0 {
			c.found("text", 0, "no LocationRecord; expected a %s", noun)
		}
	}
}

var noDP = lint{
	kind: traffic.FindingKind{
		Code: "msg-no-dp", Ref: "L701", Severity: traffic.Warning,
		Title:  "No distribution point has this content for the client",
		Why:    "The content is not distributed or not yet replicated, or the client is in no boundary group.",
		Remedy: "Check the boundary group of the addresses in the request, and the content's distribution.",
	},
	check: withoutRecords(contentLocationReply.Root, "distribution point"),
}

var noWSUS = lint{
	kind: traffic.FindingKind{
		Code: "msg-no-wsus", Ref: "L702", Severity: traffic.Warning,
		Title:  "There is no software update point for the client",
		Why:    "The client cannot scan for updates.",
		Remedy: "Check that the role is installed and synchronised.",
	},
	check: withoutRecords(wsusLocationReply.Root, "software update point"),
}

var badAddress = lint{
	kind: traffic.FindingKind{
		Code: "msg-client-address", Ref: "L703", Severity: traffic.Warning,
		Title:  "The client's address does not tell where it is",
		Why:    "The lookup of boundaries fails.",
		Remedy: "Check the client's network.",
	},
	depth: Full,
	check: eachDoc(func(c *checking, d *document) {
		if d.root.first("ClientLocationInfo") == nil {
			return
		}
		d.root.all("IPAddress", func(n *node) {
			address, subnet := n.get("Address"), n.get("SubnetAddress")
			switch ip, err := netip.ParseAddr(address); {
			case err != nil:
				c.inText(d, n, "Address is %s", quoted(address))
			case ip.IsLoopback() || ip.IsLinkLocalUnicast() && ip.Is4():
				c.inText(d, n, "Address is %s; expected one of a network", ip)
			case subnet == "":
				c.inText(d, n, "Address %s without SubnetAddress", ip)
			case !inSubnet(ip, subnet):
				c.inText(d, n, "Address %s is not in the subnet %s", ip, quoted(subnet))
			}
		})
	}),
}

// inSubnet tells whether an address can be in a network of which only the
// address is known, not the mask: the bits up to the network's last one have
// to be equal.
func inSubnet(ip netip.Addr, subnet string) bool {
	network, err := netip.ParseAddr(subnet)
	if err != nil || network.BitLen() != ip.BitLen() {
		return err == nil
	}
	bits := network.AsSlice()
	length := len(bits) * 8
	for length > 0 && bits[(length-1)/8]>>(7-(length-1)%8)&1 == 0 {
		length--
	}
	return netip.PrefixFrom(network, length).Contains(ip)
}

var shortLocation = lint{
	kind: traffic.FindingKind{
		Code: "msg-location-url", Ref: "L704", Severity: traffic.Warning, Inferred: true,
		Title:  "A location is one that the agent may not use",
		Why:    "A host without domain may not resolve; plain HTTP may not be allowed for an agent that came by HTTPS.",
		Remedy: "Check the FQDN of the site system, and whether it speaks HTTPS.",
	},
	depth: Full,
	check: eachDoc(func(c *checking, d *document) {
		if !c.isReply() || !strings.HasSuffix(d.root.name, "LocationReply") {
			return
		}
		d.root.all("LocationRecord", func(record *node) {
			c.checkLocation(d, record, record.get("WSUSURL"))
			record.all("URL", func(n *node) { c.checkLocation(d, n, n.get("Name")) })
		})
	}),
}

func (c *checking) checkLocation(d *document, n *node, url string) {
	if url == "" {
		return
	}
	switch host, _ := hostOf(url); {
	case !strings.Contains(host, ".") && !strings.Contains(host, ":"):
		c.inText(d, n, "host %s without domain", quoted(host))
	case c.TLS && hasPrefixFold(url, "http:"):
		c.inText(d, n, "%s to an agent that came by HTTPS", quoted(url))
	}
}

var badSiteCode = lint{
	kind: traffic.FindingKind{
		Code: "msg-site-code", Ref: "L705", Severity: traffic.Warning,
		Title:  "A site code is not three letters or digits",
		Why:    "There is no such site.",
		Remedy: "Check the assignment.",
	},
	depth: Full,
	check: eachDoc(func(c *checking, d *document) {
		if c.isReply() || !strings.HasSuffix(d.root.name, "Request") {
			return
		}
		for _, p := range [...]struct{ element, attr string }{{"SiteCode", "Name"}, {"AssignedSite", "SiteCode"}} {
			d.root.all(p.element, func(n *node) {
				if code, found := n.attr(p.attr); found && !isSiteCode(code) {
					c.inText(d, n, "%s is %s", p.element, quoted(code))
				}
			})
		}
	}),
}

var sslState = lint{
	kind: traffic.FindingKind{
		Code: "msg-ssl-state", Ref: "L706", Severity: traffic.Warning,
		Title:  "The list has management points for plain HTTP only, and the agent came by HTTPS",
		Why:    "The agent chooses another management point.",
		Remedy: "Check the site's mode.",
	},
	depth: Full,
	check: eachDoc(func(c *checking, d *document) {
		if !c.TLS || !c.isReply() || d.root.name != mpList.Root && d.root.name != enumerateMPReply.Root {
			return
		}
		plain, other := (*node)(nil), false
		d.root.all("Property", func(n *node) {
			if n.get("Name") != "SSLState" {
				return
			}
			if n.get("Value") == "0" {
				plain = n
			} else {
				other = true
			}
		})
		if plain != nil && !other {
			c.inText(d, plain, "SSLState is 0 at every management point")
		}
	}),
}
