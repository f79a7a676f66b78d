package tlsrecord

import "strings"

// seal is what a cipher suite adds to a record's content, in bytes. The zero
// value is an unknown suite.
type seal struct {
	known bool
	// before is the nonce or IV in front, after what follows a content that is
	// not padded: authentication tag or MAC, and in TLS 1.3 the content type.
	before, after int
	// block is the block size that content, MAC and padding fill; 0 for
	// ciphers that do not pad. outside means that the MAC comes behind that.
	block   int
	outside bool
	// hash is the size of a Finished in TLS 1.3.
	hash int
}

// sealOf works out from its name what a suite adds (RFC 5246, 6.2.3; RFC 8446,
// 5.2; RFC 7366).
func sealOf(suite Suite, version Version, encryptThenMAC bool) seal {
	name := suite.String()
	s := seal{known: true}
	switch {
	case strings.Contains(name, "_CCM_8"):
		s.before, s.after = 8, 8
	case strings.Contains(name, "_GCM_"), strings.Contains(name, "_CCM"):
		s.before, s.after = 8, 16
	case strings.Contains(name, "CHACHA20"):
		s.after = 16
	case strings.Contains(name, "_CBC_"):
		s.block, s.outside = blockSize(name), encryptThenMAC
		s.after = macSize(name)
		if version >= TLS11 {
			s.before = s.block
		}
	case strings.Contains(name, "_RC4_"), strings.Contains(name, "_NULL_"):
		s.after = macSize(name)
	default:
		return seal{}
	}
	if version >= TLS13 {
		s.before, s.after, s.hash = 0, s.after+1, 32
		if strings.HasSuffix(name, "_SHA384") {
			s.hash = 48
		}
	}
	return s
}

func blockSize(name string) int {
	for _, small := range []string{"DES", "RC2", "IDEA"} {
		if strings.Contains(name, small) {
			return 8
		}
	}
	return 16
}

func macSize(name string) int {
	switch {
	case strings.HasSuffix(name, "_SHA256"):
		return 32
	case strings.HasSuffix(name, "_SHA384"):
		return 48
	case strings.HasSuffix(name, "_MD5"):
		return 16
	}
	return 20
}

// plain is how much content a record of that length can hold, with no more
// padding than the cipher needs.
func (s seal) plain(length int) Range {
	if !s.known {
		return Range{0, length}
	}
	room := length - s.before - s.after
	if s.block == 0 {
		return Range{max(room, 0), max(room, 0)}
	}
	return Range{max(room-s.block, 0), max(room-1, 0)}
}
