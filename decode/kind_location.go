package decode

import (
	"fmt"
	"net/url"
	"strings"

	"mpproxy/traffic"
)

var contentLocation = Kind{
	Slug: "content-location", Name: "content location", Dir: traffic.Request,
	Endpoint: "MP_LocationManager", Root: "ContentLocationRequest", sum: sumContentLocation,
}

var updateSF = Kind{
	Slug: "content-distribute", Name: "distribute on demand", Dir: traffic.Request,
	Endpoint: "MP_LocationManager", Root: "UpdateSFRequest", sum: sumUpdateSF,
}

// locationQuery is what a location request asks for, and from where.
type locationQuery struct {
	content, version, site, address, requestType string
}

func readLocationQuery(d *decoder) locationQuery {
	var q locationQuery
	s := d.scan()
	for s.next() {
		switch s.name {
		case "Package", "Content", "ClientPackage":
			q.content, q.version = s.attr("ID"), s.attr("Version")
			if q.content == "" {
				q.content = s.attr("PackageID")
			}
			if q.content == "" && s.name == "ClientPackage" {
				q.content = "client package"
			}
		case "AssignedSite":
			q.site = s.attr("SiteCode")
		case "SiteCode":
			q.site = s.attr("Name")
		case "IPAddress":
			if q.address == "" {
				q.address = s.attr("Address")
			}
		case "EnumerateMPLocationRequest":
			q.requestType = s.attr("RequestType")
		}
	}
	return q
}

// what names the content with its version.
func (q locationQuery) what() string {
	if q.version == "" {
		return clip(shortGUIDs(q.content))
	}
	return clip(shortGUIDs(q.content)) + " v" + clip(q.version)
}

func (q locationQuery) from() string {
	if q.address == "" {
		return ""
	}
	return "for " + clip(q.address)
}

func (q locationQuery) atSite() string {
	if q.site == "" {
		return ""
	}
	return "site " + clip(q.site)
}

func sumContentLocation(d *decoder) (short, long string) {
	q := readLocationQuery(d)
	return joined(", ", joined(" ", q.what(), q.from()), q.atSite()),
		joined(" ", "content?", q.what(), q.from(), q.atSite())
}

func sumUpdateSF(d *decoder) (short, long string) {
	q := readLocationQuery(d)
	return q.what(), joined(" ", "distribute on demand?", q.what())
}

var wsusLocation = Kind{
	Slug: "wsus-location", Name: "WSUS location", Dir: traffic.Request,
	Endpoint: "MP_LocationManager", Root: "WSUSLocationRequest", sum: sumWSUSLocation,
}

func sumWSUSLocation(d *decoder) (short, long string) {
	q := readLocationQuery(d)
	catalogue := ""
	if q.version != "" {
		catalogue = "catalogue " + clip(q.version)
	}
	return joined(", ", catalogue, q.atSite()), joined(" ", "WSUS?", catalogue, q.atSite())
}

var localMP = Kind{
	Slug: "local-mp", Name: "local MP", Dir: traffic.Request,
	Endpoint: "MP_LocationManager", Root: "LocalMPLocationRequest", sum: sumLocalMP,
}

func sumLocalMP(d *decoder) (short, long string) {
	q := readLocationQuery(d)
	return joined(" ", q.atSite(), q.from()), joined(" ", "local MP?", q.atSite())
}

var enumerateMP = Kind{
	Slug: "mp-location", Name: "MP location", Dir: traffic.Request,
	Endpoint: "MP_LocationManager", Root: "EnumerateMPLocationRequest", sum: sumEnumerateMP,
}

func sumEnumerateMP(d *decoder) (short, long string) {
	q := readLocationQuery(d)
	return joined(", ", clip(q.requestType), q.atSite()), joined(" ", "MPs?", clip(q.requestType), q.atSite())
}

var siteInfo = Kind{
	Slug: "site-info", Name: "site information", Dir: traffic.Request,
	Endpoint: "MP_LocationManager", Root: "SiteInformationRequest", sum: sumSiteInfo,
}

func sumSiteInfo(d *decoder) (short, long string) {
	q := readLocationQuery(d)
	return q.atSite(), joined(" ", "site info?", clip(q.site))
}

var assignedSite = Kind{
	Slug: "assigned-site", Name: "assigned site", Dir: traffic.Request,
	Endpoint: "MP_LocationManager", Root: "AssignedSiteRequest", sum: sumAssignedSite,
}

func sumAssignedSite(d *decoder) (short, long string) {
	q := readLocationQuery(d)
	return q.from(), joined(" ", "which site?", clip(q.address))
}

var tokenServices = Kind{
	Slug: "token-services", Name: "token services", Dir: traffic.Request,
	Endpoint: "MP_LocationManager", Root: "TokenServicesRequest", sum: sumRootOnly,
}

var location = Kind{
	Slug: "location", Name: "location request", Dir: traffic.Request,
	Endpoint: "MP_LocationManager", sum: sumRootOnly,
}

var locationReply = Kind{
	Slug: "location-reply", Name: "location reply", Dir: traffic.Reply,
	Endpoint: "LS_ReplyLocations", sum: sumRootOnly,
}

// sumRootOnly sums up what is known by name only.
func sumRootOnly(d *decoder) (short, long string) {
	short = joined(", ", clip(d.m.Root), sizeWords(d.m.TextBytes))
	return short, joined(" ", clip(d.m.Endpoint), short)
}

var contentLocationReply = Kind{
	Slug: "content-location-reply", Name: "content location reply", Dir: traffic.Reply,
	Endpoint: "LS_ReplyLocations", Root: "ContentLocationReply",
	sum: func(d *decoder) (string, string) { return sumRecords(d, "DP") },
}

var wsusLocationReply = Kind{
	Slug: "wsus-location-reply", Name: "WSUS location reply", Dir: traffic.Reply,
	Endpoint: "LS_ReplyLocations", Root: "WSUSLocationReply",
	sum: func(d *decoder) (string, string) { return sumRecords(d, "WSUS") },
}

var localMPReply = Kind{
	Slug: "local-mp-reply", Name: "local MP reply", Dir: traffic.Reply,
	Endpoint: "LS_ReplyLocations", Root: "LocalMPLocationReply",
	sum: func(d *decoder) (string, string) { return sumRecords(d, "MP") },
}

var enumerateMPReply = Kind{
	Slug: "mp-location-reply", Name: "MP location reply", Dir: traffic.Reply,
	Endpoint: "LS_ReplyLocations", Root: "EnumerateMPLocationReply",
	sum: func(d *decoder) (string, string) { return sumRecords(d, "MP") },
}

// record is one LocationRecord of a reply.
type record struct{ host, port, locality, version string }

// locationRecords reads the records of a location reply.
func locationRecords(d *decoder) []record {
	var all []record
	locality := ""
	s := d.scan()
	for s.next() {
		if s.name == "MPSite" {
			locality = s.attr("SiteLocality")
			continue
		}
		if s.name == "LocationRecord" {
			r := record{host: s.attr("ServerName"), version: s.attr("Version"), locality: locality}
			if u := s.attr("WSUSURL"); u != "" {
				r.host, r.port = hostOf(u)
				r.locality = ""
			}
			all = append(all, r)
			continue
		}
		if len(all) > 0 {
			all[len(all)-1].take(&s)
		}
	}
	return all
}

// take reads a child of the record.
func (r *record) take(s *scanner) {
	switch s.name {
	case "URL":
		if r.host == "" {
			r.host, _ = hostOf(s.attr("Name"))
		}
	case "IntranetName", "InternetName":
		if r.host == "" {
			r.host = s.attr("Value")
			r.locality = ""
		}
	case "ServerRemoteName":
		if r.host == "" {
			r.host = s.value()
		}
	case "Locality":
		r.locality = s.value()
	}
}

// hostOf takes host and port out of a URL, however odd it is.
func hostOf(s string) (host, port string) {
	if u, err := url.Parse(s); err == nil && u.Host != "" {
		return u.Hostname(), u.Port()
	}
	_, rest, found := strings.Cut(s, "://")
	if !found {
		return s, ""
	}
	rest, _, _ = strings.Cut(rest, "/")
	return rest, ""
}

func sumRecords(d *decoder, noun string) (short, long string) {
	records := locationRecords(d)
	if len(records) == 0 && d.sees() {
		return "no " + noun, "no " + noun
	}
	var names []string
	for _, r := range records {
		name := shortHost(r.host)
		if r.port != "" {
			name += ":" + clip(r.port)
		}
		if r.port != "" && r.version != "" {
			name += " v" + clip(r.version)
		}
		names = append(names, joined(" ", name, clip(r.locality)))
	}
	many := noun
	if len(records) != 1 && noun != "WSUS" {
		many += "s"
	}
	short = fmt.Sprintf("%d%s %s: %s", len(records), d.atLeast(), many, strings.Join(firstOf(names, 3), ", "))
	return short, short
}

var siteInfoReply = Kind{
	Slug: "site-info-reply", Name: "site information reply", Dir: traffic.Reply,
	Endpoint: "LS_ReplyLocations", Root: "SiteInformationReply", sum: sumSiteReply,
}

// siteInfoShort is the name under which the log of the agent knows it.
var siteInfoShort = Kind{
	Slug: "site-info-reply", Name: "site information reply", Dir: traffic.Reply,
	Endpoint: "LS_ReplyLocations", Root: "SiteInfoReply", sum: sumSiteReply,
}

var assignedSiteReply = Kind{
	Slug: "assigned-site-reply", Name: "assigned site reply", Dir: traffic.Reply,
	Endpoint: "LS_ReplyLocations", Root: "AssignedSiteReply", sum: sumSiteReply,
}

func sumSiteReply(d *decoder) (short, long string) {
	var site, build, plain, secure, mp string
	s := d.scan()
	for s.next() {
		switch s.name {
		case "SiteCode":
			site = s.value()
		case "BuildNumber":
			build = s.value()
		case "HTTPPort":
			plain = "http " + clip(s.value())
		case "HTTPSPort":
			secure = "https " + clip(s.value())
		case "DefaultMP":
			mp = s.value()
		}
	}
	if site == "" {
		return "no site", "no site"
	}
	short = "site " + clip(site)
	if build != "" {
		short += " build " + clip(build)
	}
	if mp != "" && plain != "" {
		mp = "default MP " + shortHost(mp)
	} else {
		mp = ""
	}
	short = joined(", ", short, joined(" ", plain, secure), mp)
	return short, short
}
