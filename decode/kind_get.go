package decode

import (
	"strconv"
	"strings"

	"mpproxy/traffic"
)

var (
	mpList = Kind{Slug: "mp-list", Name: "MP list", Root: "MPList", sum: sumMPList}
	mpCert = Kind{Slug: "mp-cert", Name: "MP certificate", Root: "MPCertificates", sum: sumMPCert}
	// mpCertOne is what the older keyword MPCERT gives.
	mpCertOne  = Kind{Slug: "mp-cert", Name: "MP certificate", Root: "MPCertificate", sum: sumMPCert}
	mpKey      = Kind{Slug: "mp-key", Name: "MP keys", Root: "MPKEYINFORMATION", sum: sumMPKey}
	trustedKey = Kind{Slug: "trusted-key", Name: "trusted root key", Root: "KEYDATA", sum: sumQuery("trusted root key")}
	siteCert   = Kind{Slug: "site-cert", Name: "site signing certificate", Root: "MPSITESIGNCERT", sum: sumQuery("site signing certificate")}
	// siteCertShort is the root by another source.
	siteCertShort = Kind{Slug: "site-cert", Name: "site signing certificate", Root: "X509Data", sum: sumQuery("site signing certificate")}
	mpLocate      = Kind{Slug: "mp-locate", Name: "MP for a task sequence", Root: "MPLocation", sum: sumMPLocate}
	affinity      = Kind{Slug: "affinity", Name: "user affinity", Root: "MachineAffinity", sum: sumAffinity}
	mpTrace       = Kind{Slug: "mp-trace", Name: "MP trace", sum: sumQuery("MP trace")}
	mpQuery       = Kind{Slug: "mp-query", Name: "MP query", sum: sumQuery("MP query")}
	ciDocument    = Kind{Slug: "ci-document", Name: "configuration item", Root: "ConfigurationItem", sum: sumCI}
)

// queries are the keywords of .sms_aut, compared without case.
var queries = []struct{ keyword, slug string }{
	{"MPLIST", "mp-list"},
	{"MPLIST1", "mp-list"},
	{"MPLIST2", "mp-list"},
	{"MPCERT", "mp-cert"},
	{"MPCERT1", "mp-cert"},
	{"MPCERT2", "mp-cert"},
	{"MPKEYINFORMATION", "mp-key"},
	{"MPKEYINFORMATIONEX", "mp-key"},
	{"MPKEYINFORMATIONMEDIA", "mp-key"},
	{"MPTRK", "trusted-key"},
	{"SITESIGNCERT", "site-cert"},
	{"MPLOCATION", "mp-locate"},
	{"GETCLIENTAFFINITY", "affinity"},
	{"SMSTRC", "mp-trace"},
}

// kindOfQuery is the slug of what a GET of .sms_* asks for.
func kindOfQuery(t target) string {
	switch {
	case hasSuffixFold(t.path, "/.sms_pol"):
		return "policy-body"
	case hasSuffixFold(t.path, "/.sms_dcm"):
		return "ci-document"
	}
	keyword, _ := cutQuery(t.query)
	for _, q := range queries {
		if strings.EqualFold(q.keyword, keyword) {
			return q.slug
		}
	}
	return "mp-query"
}

// cutQuery splits the query of .sms_aut into keyword and arguments.
func cutQuery(query string) (keyword, args string) {
	keyword, args, _ = strings.Cut(query, "&")
	keyword, _, _ = strings.Cut(keyword, "=")
	return keyword, args
}

// isRequest tells the request from its reply, which have the same kind.
func (d *decoder) isRequest() bool { return d.m.Dir == traffic.Request }

// sumQuery makes the summary of a query of which only the arguments tell.
func sumQuery(name string) func(*decoder) (string, string) {
	return func(d *decoder) (short, long string) {
		if !d.isRequest() {
			return d.answer(), name + ", " + d.answer()
		}
		_, args := cutQuery(d.m.wire.target.query)
		short = clip(shortGUIDs(args))
		if d.kind.Slug == "mp-query" {
			short = clip(d.m.wire.target.query)
		}
		return short, joined(" ", name+"?", short)
	}
}

// answer says what came when nothing better can be said.
func (d *decoder) answer() string {
	return joined(", ", clip(d.m.Root), sizeWords(d.m.wire.sent))
}

func sumMPList(d *decoder) (short, long string) {
	if d.isRequest() {
		_, args := cutQuery(d.m.wire.target.query)
		if args != "" {
			short = "site " + clip(args)
		}
		return short, joined(" ", "MP list?", short)
	}
	var names []string
	s := d.scan()
	for s.next() {
		switch s.name {
		case "MP":
			host := s.attr("FQDN")
			if host == "" {
				host = s.attr("Name")
			}
			names = append(names, shortHost(host))
		case "Property":
			if s.attr("Name") == "SSLState" && len(names) > 0 {
				names[len(names)-1] += " SSLState " + clip(s.attr("Value"))
			}
		}
	}
	if len(names) == 0 && d.sees() {
		return "NO MP", "MP list: NO MP"
	}
	short = count(len(names), "MP") + d.atLeast() + ": " + strings.Join(firstOf(names, 3), ", ")
	return short, short
}

func sumMPCert(d *decoder) (short, long string) {
	if d.isRequest() {
		return "", "MP certificate?"
	}
	var names []string
	s := d.scan()
	for s.next() {
		switch s.name {
		case "Certificate1":
			names = append(names, "signing")
		case "Certificate2":
			names = append(names, "encryption")
		}
	}
	if len(names) == 0 {
		return d.answer(), "MP certificate, " + d.answer()
	}
	short = strings.Join(names, " and ")
	return short, "MP " + short + " " + plural(len(names), "certificate")
}

func sumMPKey(d *decoder) (short, long string) {
	if d.isRequest() {
		keyword, _ := cutQuery(d.m.wire.target.query)
		if strings.EqualFold(keyword, "MPKEYINFORMATIONMEDIA") {
			short = "for media"
		}
		return short, joined(" ", "MP keys?", short)
	}
	var name, site string
	s := d.scan()
	for s.next() {
		switch s.name {
		case "MACHINENAME":
			name = clip(s.value())
		case "SITECODE":
			site = "site " + clip(s.value())
		}
	}
	short = joined(" ", name, site)
	return short, joined(" ", "keys of", short)
}

func sumMPLocate(d *decoder) (short, long string) {
	if d.isRequest() {
		_, args := cutQuery(d.m.wire.target.query)
		return clip(args), joined(" ", "MP for", clip(args))
	}
	s := d.scan()
	s.next()
	short = joined(" site ", shortHost(s.attr("MP")), clip(s.attr("SiteCode")))
	return short, "MP " + short
}

func sumAffinity(d *decoder) (short, long string) {
	if d.isRequest() {
		_, args := cutQuery(d.m.wire.target.query)
		return shortID(args), "primary user of " + shortID(args)
	}
	var users []string
	s := d.scan()
	for s.next() {
		if s.name == "User" {
			users = append(users, clip(s.value()))
		}
	}
	if len(users) == 0 {
		return "nobody", "no primary user"
	}
	short = strings.Join(firstOf(users, 3), ", ")
	return short, "primary user " + short
}

func sumCI(d *decoder) (short, long string) {
	if d.isRequest() {
		short = clip(shortGUIDs(queryArg(d.m.wire.target.query, "DocumentId")))
		return short, joined(" ", "CI?", short)
	}
	var id, version, enabled string
	s := d.scan()
	for s.next() {
		switch s.name {
		case "ConfigurationItem":
			id, version = s.attr("Id"), s.attr("Version")
			id = id[strings.LastIndexByte(id, '/')+1:]
		case "IsEnabled":
			enabled = map[string]string{"true": "enabled", "false": "disabled"}[strings.ToLower(s.value())]
		}
	}
	if id == "" {
		return d.answer(), "CI " + d.answer()
	}
	short = joined(", ", joined(" v", clip(shortGUIDs(id)), clip(version)), enabled)
	return short, "CI " + short
}

// queryArg is an argument of a query, with the escapes of logs and of URLs
// resolved.
func queryArg(query, name string) string {
	for _, arg := range strings.Split(strings.ReplaceAll(query, "&amp;", "&"), "&") {
		key, value, _ := strings.Cut(arg, "=")
		if strings.EqualFold(key, name) {
			return unescapePercent(value)
		}
	}
	return ""
}

func unescapePercent(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				out.WriteByte(byte(n))
				i += 2
				continue
			}
		}
		out.WriteByte(s[i])
	}
	return strings.ToValidUTF8(out.String(), "�")
}
