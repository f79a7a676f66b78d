package tlsrecord

import (
	"crypto/md5" //nolint:gosec // JA3 is an MD5 by definition
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// JA3 is the JA3 fingerprint as published by Salesforce: the text and its MD5.
// Both are empty for a hello that is cut short or in the format of SSL 2.0.
func (h *ClientHello) JA3() (text, sum string) {
	if h.Partial || h.SSL2 {
		return "", ""
	}
	text = strings.Join([]string{
		strconv.Itoa(int(h.LegacyVersion)),
		decimals(h.Suites),
		decimals(h.extensionTypes()),
		decimals(h.Groups),
		decimals(h.PointFormats),
	}, ",")
	digest := md5.Sum([]byte(text)) //nolint:gosec // by definition
	return text, hex.EncodeToString(digest[:])
}

func decimals[T ~uint8 | ~uint16](list []T) string {
	var out []string
	for _, v := range list {
		out = append(out, strconv.Itoa(int(v)))
	}
	return strings.Join(out, "-")
}

// extensionTypes are the extensions in their order, without GREASE.
func (h *ClientHello) extensionTypes() []ExtensionType {
	var list []ExtensionType
	for _, e := range h.Extensions {
		if !isGREASE(int(e.Type)) {
			list = append(list, e.Type)
		}
	}
	return list
}

// JA4 is the JA4 fingerprint of a client as published by FoxIO (BSD licence),
// and JA4Raw the same with its lists instead of their hashes. Both are empty
// for a hello that is cut short or in the format of SSL 2.0.
func (h *ClientHello) JA4() string {
	if h.Partial || h.SSL2 {
		return ""
	}
	return h.ja4a() + "_" + hash12(h.ja4b()) + "_" + hash12(h.ja4c())
}

// JA4Raw is JA4 without hashing.
func (h *ClientHello) JA4Raw() string {
	if h.Partial || h.SSL2 {
		return ""
	}
	return h.ja4a() + "_" + h.ja4b() + "_" + h.ja4c()
}

// ja4a counts: TLS over TCP, version, whether to a name, suites, extensions,
// first protocol.
func (h *ClientHello) ja4a() string {
	target := "i"
	if h.Has(ExtServerName) {
		target = "d"
	}
	version, ok := ja4Versions[h.MaxVersion()]
	if !ok {
		version = "00"
	}
	return fmt.Sprintf("t%s%s%02d%02d%s", version, target,
		min(len(h.Suites), 99), min(len(h.extensionTypes()), 99), ja4ALPN(h.ALPN))
}

var ja4Versions = map[Version]string{
	TLS13: "13", TLS12: "12", TLS11: "11", TLS10: "10", SSL30: "s3", SSL20: "s2",
	0xfeff: "d1", 0xfefd: "d2", 0xfefc: "d3",
}

// ja4ALPN is the first and last character of the first protocol, of its hex
// when one of them is no letter or digit.
func ja4ALPN(protocols []string) string {
	if len(protocols) == 0 || protocols[0] == "" {
		return "00"
	}
	p := protocols[0]
	if !isAlphanumeric(p[0]) || !isAlphanumeric(p[len(p)-1]) {
		p = hex.EncodeToString([]byte(p))
	}
	return p[:1] + p[len(p)-1:]
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

// ja4b are the suites, sorted.
func (h *ClientHello) ja4b() string {
	return hexes(slices.Sorted(slices.Values(h.Suites)))
}

// ja4c are the extensions, sorted and without server name and ALPN, which are
// in the first part, and the signature algorithms as they come.
func (h *ClientHello) ja4c() string {
	types := slices.DeleteFunc(h.extensionTypes(), func(t ExtensionType) bool {
		return t == ExtServerName || t == ExtALPN
	})
	slices.Sort(types)
	out := hexes(types)
	if len(h.SignatureSchemes) > 0 {
		out += "_" + hexes(h.SignatureSchemes)
	}
	return out
}

func hexes[T ~uint16](list []T) string {
	var out []string
	for _, v := range list {
		out = append(out, fmt.Sprintf("%04x", uint16(v)))
	}
	return strings.Join(out, ",")
}

// hash12 is a shortened hash; zeros say that there is nothing to hash.
func hash12(s string) string {
	if s == "" {
		return "000000000000"
	}
	digest := sha256.Sum256([]byte(s))
	return hex.EncodeToString(digest[:6])
}
