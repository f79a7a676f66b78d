package tlsrecord

import (
	"fmt"
	"slices"
)

// Stack is a guess at the TLS library of a client.
type Stack struct {
	Name string
	// Basis is how the library's features are known.
	Basis Basis
	// Reasons are the features that fit, all that the guess rests on.
	Reasons []string
}

// Basis is how the features of a library are known.
type Basis string

// The bases of guesses.
const (
	Measured   Basis = "measured"   // hellos that the library made for this package's tests
	Documented Basis = "documented" // published hellos, or its maker's documents
	Inferred   Basis = "inferred"   // put together from both, no such hello seen
)

// Stacks guesses the client's TLS library, the narrowest guess first. A guess is
// never more than that: programs set features as they like, and two libraries
// may agree in all of them. It is empty when nothing fits, and for a hello that
// is cut short.
func (h *ClientHello) Stacks() []Stack {
	if h.Partial || h.SSL2 {
		return nil
	}
	var list []Stack
	for _, s := range stacks {
		if reasons, ok := s.fits(h); ok {
			list = append(list, Stack{s.name, s.basis, reasons})
		}
	}
	return list
}

// stack is a library and the features that its hellos have, every one.
type stack struct {
	name     string
	basis    Basis
	features []feature
}

// feature is something to see in a hello.
type feature struct {
	reason string
	holds  func(*ClientHello) bool
}

func (s *stack) fits(h *ClientHello) (reasons []string, ok bool) {
	for _, f := range s.features {
		if !f.holds(h) {
			return nil, false
		}
		reasons = append(reasons, f.reason)
	}
	return reasons, true
}

// stacks are the libraries that are told apart, within a family the newest first.
var stacks = []stack{
	{"Schannel of Windows 11 or Server 2022 and later", Documented, []feature{
		offersTLS13, suitesBegin(0x1302, 0x1301, 0xc02c, 0xc02b), lacksSuite(0x1303),
		pointFormats(0), lacks(ExtEncryptThenMAC), lacks(ExtSCT), noGREASE,
	}},
	{"Schannel of Windows 10, Server 2016 or 2019", Documented, []feature{
		lacks(ExtSupportedVersions), suitesBegin(0xc02c, 0xc02b, 0xc030, 0xc02f), groupsBegin(GroupX25519, GroupP256, GroupP384),
		pointFormats(0), has(ExtExtendedMasterSecret), lacks(ExtEncryptThenMAC), lastExtension(ExtRenegotiationInfo),
	}},
	{"Schannel of Windows 10, Server 2016 or 2019, held down to TLS 1.0 or 1.1", Documented, []feature{
		lacks(ExtSupportedVersions), suitesBegin(0xc00a, 0xc009, 0xc014, 0xc013, 0x0035, 0x002f),
		groupsBegin(GroupX25519, GroupP256, GroupP384), pointFormats(0), lastExtension(ExtRenegotiationInfo),
	}},
	{"Schannel of Windows 8.1 or Server 2012 R2", Inferred, []feature{
		lacks(ExtSupportedVersions), suitesBegin(0xc02c, 0xc02b, 0xc030, 0xc02f), groupsBegin(GroupP256, GroupP384),
		offersSuite(0x006a), pointFormats(0), lacks(ExtEncryptThenMAC),
	}},
	{"Schannel of Windows 7, 8, Server 2008 R2 or 2012, updated", Documented, []feature{
		lacks(ExtSupportedVersions), suitesBegin(0xc028, 0xc027, 0xc014, 0xc013), groupsBegin(GroupP256, GroupP384), pointFormats(0),
	}},
	{"Schannel of Windows 7, 8, Server 2008 R2 or 2012, updated, held down to TLS 1.0", Documented, []feature{
		lacks(ExtSupportedVersions), suitesBegin(0xc014, 0xc013, 0x0039, 0x0033, 0x0035, 0x002f), groupsBegin(GroupP256, GroupP384), pointFormats(0),
	}},
	{"Schannel of Windows 7 or Server 2008 R2, not updated, with TLS 1.2", Inferred, []feature{
		suitesBegin(0x003c, 0x002f, 0x003d, 0x0035, 0x0005, 0x000a), groupsBegin(GroupP256, GroupP384), pointFormats(0),
	}},
	{"Schannel of Windows Vista, 7, Server 2008 or 2008 R2, not updated", Documented, []feature{
		suitesBegin(0x002f, 0x0035, 0x0005, 0x000a), groupsBegin(GroupP256, GroupP384), pointFormats(0),
	}},
	{"Schannel of Windows XP or Server 2003", Documented, []feature{
		noExtensions, suitesBegin(0x0004, 0x0005, 0x000a), offersSuite(0x0064), offersSuite(0x0062),
	}},

	{"OpenSSL 3.5 or later", Inferred, []feature{
		offersTLS13, has(ExtEncryptThenMAC), offersGroup(GroupX25519MLKEM768), offersGroup(GroupX448),
	}},
	{"OpenSSL 3.0 to 3.4", Measured, []feature{
		offersTLS13, has(ExtEncryptThenMAC), pointFormats(0, 1, 2), offersGroup(GroupX448), offersGroup(GroupFFDHE2048), lacksGroup(GroupX25519MLKEM768),
	}},
	{"OpenSSL 1.1.1", Documented, []feature{
		offersTLS13, has(ExtEncryptThenMAC), pointFormats(0, 1, 2), offersGroup(GroupX448), lacksGroup(GroupFFDHE2048),
	}},
	{"OpenSSL 1.1.1 or 3, held down to TLS 1.2 or lower", Measured, []feature{
		lacks(ExtSupportedVersions), has(ExtEncryptThenMAC), pointFormats(0, 1, 2), offersGroup(GroupX448),
	}},
	{"OpenSSL 1.1.0 or 1.0", Documented, []feature{
		lacks(ExtSupportedVersions), pointFormats(0, 1, 2), lacksGroup(GroupX448),
	}},

	{"Go 1.26 or later", Measured, append(goFeatures(), offersGroup(GroupP256MLKEM768))},
	{"Go 1.24 or 1.25", Inferred, append(goFeatures(), offersGroup(GroupX25519MLKEM768), lacksGroup(GroupP256MLKEM768))},
	{"Go 1.23", Inferred, append(goFeatures(), offersGroup(GroupX25519Kyber))},
	{
		"Go, 1.22 or older or with curves or versions set", Measured,
		append(goFeatures(), lacksGroup(GroupX25519MLKEM768), lacksGroup(GroupX25519Kyber)),
	},

	{"Java 13 or later", Measured, []feature{has(ExtStatusRequestV2), has(ExtStatusRequest), has(ExtSessionTicket), pointFormats(0), lacks(ExtEncryptThenMAC)}},
	{"Java 8 or 11", Inferred, []feature{has(ExtStatusRequestV2), has(ExtStatusRequest), lacks(ExtSessionTicket), pointFormats(0), lacks(ExtEncryptThenMAC)}},

	{"GnuTLS", Measured, []feature{has(ExtRecordSizeLimit), has(ExtEncryptThenMAC), pointFormats(0)}},

	{"BoringSSL, as in Chrome and Edge", Documented, []feature{grease, has(ExtSCT), has(ExtCompressCertificate)}},
	{"NSS, as in Firefox", Documented, []feature{suitesBegin(0x1301, 0x1303, 0x1302), has(ExtRecordSizeLimit), has(ExtDelegatedCredential)}},
}

// goFeatures are those that crypto/tls has whatever its configuration.
func goFeatures() []feature {
	return []feature{
		has(ExtSCT), has(ExtStatusRequest), has(ExtRenegotiationInfo), pointFormats(0),
		lacks(ExtEncryptThenMAC), lacks(ExtPadding), lacksGroup(GroupX448), noGREASE,
	}
}

var (
	offersTLS13  = feature{"offers TLS 1.3", func(h *ClientHello) bool { return h.Offers(TLS13) }}
	noExtensions = feature{"no extensions", func(h *ClientHello) bool { return len(h.Extensions) == 0 }}
	grease       = feature{"GREASE values", func(h *ClientHello) bool { return h.GREASE }}
	noGREASE     = feature{"no GREASE values", func(h *ClientHello) bool { return !h.GREASE }}
)

func has(t ExtensionType) feature {
	return feature{"has " + t.String(), func(h *ClientHello) bool { return h.Has(t) }}
}

func lacks(t ExtensionType) feature {
	return feature{"no " + t.String(), func(h *ClientHello) bool { return !h.Has(t) }}
}

func lastExtension(t ExtensionType) feature {
	return feature{t.String() + " comes last", func(h *ClientHello) bool {
		n := len(h.Extensions)
		return n > 0 && h.Extensions[n-1].Type == t
	}}
}

func suitesBegin(list ...Suite) feature {
	return feature{"suites begin with " + names(list), func(h *ClientHello) bool {
		return len(h.Suites) >= len(list) && slices.Equal(h.Suites[:len(list)], list)
	}}
}

func offersSuite(s Suite) feature {
	return feature{"offers " + s.String(), func(h *ClientHello) bool { return h.offersSuite(s) }}
}

func lacksSuite(s Suite) feature {
	return feature{"does not offer " + s.String(), func(h *ClientHello) bool { return !h.offersSuite(s) }}
}

func groupsBegin(list ...Group) feature {
	return feature{"groups begin with " + names(list), func(h *ClientHello) bool {
		return len(h.Groups) >= len(list) && slices.Equal(h.Groups[:len(list)], list)
	}}
}

func offersGroup(g Group) feature {
	return feature{"offers " + g.String(), func(h *ClientHello) bool { return slices.Contains(h.Groups, g) }}
}

func lacksGroup(g Group) feature {
	return feature{"does not offer " + g.String(), func(h *ClientHello) bool { return !slices.Contains(h.Groups, g) }}
}

func pointFormats(list ...uint8) feature {
	return feature{fmt.Sprintf("point formats %s", decimals(list)), func(h *ClientHello) bool {
		return slices.Equal(h.PointFormats, list)
	}}
}
