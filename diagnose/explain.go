package diagnose

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"mpproxy/decode"
)

// Explanation is a code in words.
type Explanation struct {
	// Code is the code as people look it up: "0x80072F8F", "403.16",
	// "alert 48".
	Code string
	// Name is the symbol, "" when there is none; Area where it comes from:
	// "winhttp", "tls", "iis", "bits", "ccm", "win32", …
	Name, Area string
	// Meaning says what it is, LookAt what to do next. Known is false when
	// nobody has explained the code to mpproxy.
	Meaning, LookAt string
	Known           bool
}

// Explain explains every code in a text: single codes in hex, decimal or
// signed decimal, IIS statuses with a dot, TLS alerts, WinHTTP flag words,
// Schannel events, errors of OpenSSL, curl and Go, or whole log lines that have
// codes in them. The result is in the order of the text, each code once; empty
// when there is none.
func Explain(text string) []Explanation {
	var out []Explanation
	add := func(xs ...Explanation) {
		for _, x := range xs {
			if !slices.ContainsFunc(out, func(o Explanation) bool { return o.Code == x.Code }) {
				out = append(out, x)
			}
		}
	}
	type hit struct {
		at, end int
		xs      []Explanation
	}
	var hits []hit
	for _, p := range slices.Concat(toolPatterns, patterns) {
		if p.bareOnly && !onlyCodes(text) {
			continue
		}
		for _, m := range p.re.FindAllStringSubmatchIndex(text, -1) {
			if slices.ContainsFunc(hits, func(h hit) bool { return m[0] < h.end && h.at < m[1] }) {
				continue // a pattern before this one has read it
			}
			if inDotted(text, m[0], m[1]) {
				continue // part of an address or a version
			}
			groups := make([]string, len(m)/2)
			for i := range groups {
				if m[2*i] >= 0 {
					groups[i] = text[m[2*i]:m[2*i+1]]
				}
			}
			if xs := p.explain(groups); len(xs) > 0 {
				hits = append(hits, hit{m[0], m[1], xs})
			}
		}
	}
	slices.SortStableFunc(hits, func(a, b hit) int { return a.at - b.at })
	for _, h := range hits {
		add(h.xs...)
	}
	return out
}

// inDotted is true for a match that has more digits and dots right before or
// behind it.
func inDotted(text string, from, to int) bool {
	digit := func(i int) bool { return i >= 0 && i < len(text) && text[i] >= '0' && text[i] <= '9' }
	return from > 0 && text[from-1] == '.' && digit(from-2) || to < len(text) && text[to] == '.' && digit(to+1)
}

// pattern is a way in which codes are written.
type pattern struct {
	re *regexp.Regexp
	// bareOnly is for forms that mean something only in a text of nothing but
	// codes: any number in a log line may be a port or a thread.
	bareOnly bool
	explain  func(groups []string) []Explanation
}

// patterns are read in this order; what one has read the next ones leave.
var patterns = []pattern{
	{regexp.MustCompile(`(?i)\balert\s*(?:number|code|description)?\s*(?:is|=|:|\()?\s*(\d{1,3})\b`), false, func(g []string) []Explanation { return alert(g[1]) }},
	{regexp.MustCompile(`(?i)\b(?:code\s*[=:]\s*)?(?:12175|0x80072f8f|-2147012721|2147954575)\b[\s,;:]+(?:flags?\s*[=:]?\s*)?(0x[0-9a-f]{1,8})\b`), false, func(g []string) []Explanation {
		return append(hresult(0x80072f8f), flags(g[1])...)
	}},
	{regexp.MustCompile(`(?i)\bfatal (?:alert|error)(?: code)? (?:is|was received:|was generated:)\s*(\d{1,3})\b`), false, func(g []string) []Explanation { return alert(g[1]) }},
	{regexp.MustCompile(`\btls: [a-z][A-Za-z ]+`), false, func(g []string) []Explanation { return alertOfGo(g[0]) }},
	{regexp.MustCompile(`(?i)lpvStatusInformation is\s+(0x[0-9a-f]{1,8})`), false, func(g []string) []Explanation { return flags(g[1]) }},
	{regexp.MustCompile(`\b([45]\d\d) (\d{1,3}) (\d{1,10})\b`), false, iisTriple},
	{regexp.MustCompile(`\b([2-5]\d\d)\.(\d{1,3})\b`), false, func(g []string) []Explanation { return substatus(g[1], g[2]) }},
	{regexp.MustCompile(`\bHTTP/[12]\.\d\b[^\n]*? ([45]\d\d)\b`), false, func(g []string) []Explanation { return substatus(g[1], "0") }},
	{regexp.MustCompile(`(?i)\b(?:statuscode|status code|status|http|sc-status)\s*[=:]?\s*"?([1-5]\d\d)\b`), false, func(g []string) []Explanation { return substatus(g[1], "0") }},
	{regexp.MustCompile(`(?i)\b(?:schannel|event(?:\s*id)?)\s*[=:]?\s*(368[678]\d)\b`), false, func(g []string) []Explanation { return schannel(g[1]) }},
	{regexp.MustCompile(`\b(368[678]\d)\b`), false, func(g []string) []Explanation { return schannel(g[1]) }},
	{regexp.MustCompile(`(?i)\b0x([0-9a-f]{1,8})\b`), false, hexCode},
	{regexp.MustCompile(`(?i)\b(8[0-9a-f]{7})\b`), false, func(g []string) []Explanation { return known(hexCode(g)) }},
	{regexp.MustCompile(`(?i)\b(?:code|error|hresult|hr|result|returned)\s*[=:]?\s*\(?"?(-?\d{1,10})\b`), false, func(g []string) []Explanation { return decimal(g[1]) }},
	{regexp.MustCompile(`(-\d{9,10})\b`), false, func(g []string) []Explanation { return decimal(g[1]) }},
	{regexp.MustCompile(`\b(1[23]\d{3})\b`), false, func(g []string) []Explanation { return known(decimal(g[1])) }},
	{regexp.MustCompile(`\b([45]\d\d)\b`), true, func(g []string) []Explanation { return substatus(g[1], "0") }},
	{regexp.MustCompile(`\b(\d{1,10})\b`), true, func(g []string) []Explanation { return decimal(g[1]) }},
	{regexp.MustCompile(`(?i)\b(?:[a-z]+(?:_[a-z0-9]+)+|WSAE[a-z]+)\b`), false, func(g []string) []Explanation { return named(g[0]) }},
}

// onlyCodes is true for a text of numbers and the words that go with them.
func onlyCodes(text string) bool {
	for _, w := range strings.Fields(text) {
		w = strings.ToLower(strings.Trim(w, ",;:()"))
		if w == "alert" || w == "event" || w == "schannel" || w == "error" || w == "code" {
			continue
		}
		if strings.Trim(strings.TrimPrefix(strings.TrimPrefix(w, "-"), "0x"), "0123456789abcdef.") != "" {
			return false
		}
	}
	return true
}

func hexCode(g []string) []Explanation {
	n, err := strconv.ParseUint(g[1], 16, 32)
	if err != nil {
		return nil
	}
	return hresult(uint32(n))
}

// decimal reads a code as WinHTTP, SQL and consoles print it.
func decimal(s string) []Explanation {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < -1<<31 || n >= 1<<32 {
		return nil
	}
	return hresult(uint32(n)) // both halves of the range are meant
}

func known(xs []Explanation) []Explanation {
	return slices.DeleteFunc(xs, func(x Explanation) bool { return !x.Known })
}

// named explains what stands in a text by its name: an alert, a flag of WinHTTP's
// word, a code.
func named(name string) []Explanation {
	if xs := alertNamed(name); xs != nil {
		return xs
	}
	if xs := flagNamed(name); xs != nil {
		return xs
	}
	if e, ok := decode.NamedCode(name); ok {
		return []Explanation{{hex(e.Code), e.Name, e.Area, e.Meaning, e.LookAt, true}}
	}
	return nil
}

// hresult explains a 32-bit code; a small one is a code of Win32.
func hresult(code uint32) []Explanation {
	for _, c := range []uint32{code, 0x80070000 | code} {
		if c != code && code > 0xffff {
			break
		}
		if e, ok := decode.ExplainCode(c); ok {
			return []Explanation{{hex(e.Code), e.Name, e.Area, e.Meaning + localWords(e), e.LookAt, true}}
		}
	}
	x := Explanation{Code: hex(code), Meaning: "not known to mpproxy"}
	switch {
	case code>>16 == 0x8019:
		x.Area, x.LookAt = "bits", "the low half is an HTTP status, hex: "+strconv.Itoa(int(code&0x3ff))
		if sub := substatus(strconv.Itoa(int(code&0x3ff)), "0"); len(sub) > 0 {
			x.Meaning, x.Known = "BITS: the server answered HTTP "+strconv.Itoa(int(code&0x3ff))+": "+sub[0].Meaning, true
		}
	case code>>16 == 0x87d0:
		x.Area, x.LookAt = "ccm", "a code of ConfigMgr: CMTrace, Tools, Lookup has the text"
	case code>>16 == 0x8007 || code <= 0xffff:
		x.Area, x.LookAt = "win32", fmt.Sprintf("net helpmsg %d on Windows has the text", code&0xffff)
	}
	return []Explanation{x}
}

// localCodes are errors that agents write of themselves, though they look as if
// something had been asked of the site; so are all of WMI's.
var localCodes = []uint32{
	0x87D00215, // item not found: a WMI class, a certificate, a setup file
}

// localWords say that a code hardly comes from the network.
func localWords(e decode.ErrorCode) string {
	if e.Area == "wmi" || slices.Contains(localCodes, e.Code) {
		return "; usually local to the agent's computer (WMI, hardware, installation), not a message fault"
	}
	return ""
}

func hex(code uint32) string { return fmt.Sprintf("0x%08X", code) }

// substatus explains a status of HTTP, with what IIS writes behind the dot.
func substatus(status, sub string) []Explanation {
	code := status + "." + sub
	s, ok := decode.IISSubstatus(code)
	if !ok {
		if s, ok = decode.IISSubstatus(status + ".0"); !ok {
			return []Explanation{{Code: code, Area: "iis", Meaning: "not known to mpproxy", LookAt: "the IIS log: sc-status sc-substatus sc-win32-status"}}
		}
		return []Explanation{{code, s.Name, "iis", s.Cause + "; the substatus " + sub + " is not known to mpproxy", s.LookAt, false}}
	}
	if sub == "0" {
		code = status
	}
	return []Explanation{{code, s.Name, "iis", s.Cause, s.LookAt, true}}
}

// iisTriple is sc-status sc-substatus sc-win32-status as in IIS logs.
func iisTriple(g []string) []Explanation {
	xs := substatus(g[1], g[2])
	if g[3] != "0" {
		xs = append(xs, decimal(g[3])...)
	}
	return xs
}
