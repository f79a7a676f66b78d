package decode

import (
	"fmt"
	"strconv"
	"strings"

	"mpproxy/traffic"
)

// The ids of inventory actions differ in their last two digits only.
const (
	actionHardware   = "01"
	actionSoftware   = "02"
	actionDiscovery  = "03"
	actionCollection = "10"
	actionIDMIF      = "11"
)

// reportHead is what a Report says about itself before its content.
type reportHead struct {
	action, content, reportType, name, id string
	// inner is the first element of the report's content.
	inner string
}

// readReportHead reads a report up to its content.
func readReportHead(s scanner) reportHead {
	var h reportHead
	body := false
	for s.next() {
		if body {
			h.inner = s.name
			return h
		}
		switch s.name {
		case "InventoryActionID", "FileCollectionActionID":
			id := strings.Trim(s.value(), "{} ")
			h.action = id[max(0, len(id)-2):]
		case "ReportContent":
			h.content = s.value()
		case "ReportType":
			h.reportType = strings.ToLower(s.value())
		case "NetBIOSName":
			h.name = s.value()
		case "ClientID":
			h.id = s.value()
		case "ReportBody":
			body = !s.empty
		}
	}
	return h
}

// report reads the head of the report, once.
func (d *decoder) report() *reportHead {
	if d.head == nil {
		h := readReportHead(d.scan())
		d.head = &h
		d.sender(h.name, h.id)
	}
	return d.head
}

// at tells whether the message goes to an endpoint.
func (d *decoder) at(endpoint string) bool {
	return strings.EqualFold(d.m.Endpoint, endpoint)
}

// isReport makes the test of a kind of report: by its action, else by the
// endpoint that it goes to.
func isReport(action, endpoint string) func(*decoder) bool {
	return func(d *decoder) bool {
		if h := d.report(); h.action != "" && endpointOf(d.m.Endpoint) == nil {
			return h.action == action
		}
		return d.at(endpoint)
	}
}

// isRelayed makes the test of a kind that goes through the relay endpoint: by
// the FileType property, else by the content.
func isRelayed(fileType, element string) func(*decoder) bool {
	return func(d *decoder) bool {
		if h := d.m.Header; h != nil && strings.EqualFold(h.Property("FileType"), fileType) {
			return true
		}
		return d.report().inner == element
	}
}

var heartbeat = Kind{
	Slug: "ddr", Name: "heartbeat (DDR)", Dir: traffic.Request, Endpoint: "MP_DdrEndpoint", Root: "Report",
	is: isReport(actionDiscovery, "MP_DdrEndpoint"), sum: sumHeartbeat,
}

func sumHeartbeat(d *decoder) (short, long string) {
	instances, domain, address := 0, "", ""
	d.report()
	s := d.scan()
	for s.next() {
		switch s.name {
		case "Instance":
			instances++
		case "Domain":
			if domain == "" {
				domain = s.value()
			}
		case "IPAddress":
			if address == "" {
				address = s.value()
			}
		}
	}
	domain = clip(domain)
	rest := joined(", ", d.instances(instances, ""), clip(address))
	return joined(", ", domain, rest), joined(", ", joined(" ", "heartbeat", d.agent(), domain), rest)
}

// instances counts what a report holds, as far as that was seen; else it says
// how large the report is.
func (d *decoder) instances(n int, of string) string {
	switch {
	case !d.sees():
		return sizeWords(d.reportSize())
	case n == 0 && d.attachment == "":
		return d.reportElsewhere()
	}
	return joined(" ", count(n, "instance"), of)
}

// reportSize is the size in bytes of what scan reads.
func (d *decoder) reportSize() int64 {
	if len(d.m.Attachments) > 0 {
		return d.m.Attachments[0].Size
	}
	return d.m.TextBytes
}

// reportElsewhere says where the content of a report without one is.
func (d *decoder) reportElsewhere() string {
	switch {
	case d.m.Header == nil:
		return "report in attachment"
	case len(d.m.Attachments) > 0:
		return sizeWords(d.m.Attachments[0].Size) + " attached"
	}
	return "no instance"
}

var hinv = Kind{
	Slug: "hinv", Name: "hardware inventory", Dir: traffic.Request, Endpoint: "MP_HinvEndpoint", Root: "Report",
	is: isReport(actionHardware, "MP_HinvEndpoint"), sum: sumHinv,
}

func sumHinv(d *decoder) (short, long string) {
	head := d.report()
	changes := map[string]int{}
	classes := map[string]int{}
	instances := 0
	s := d.scan()
	for d.sees() && s.next() {
		if s.name == "Instance" {
			instances++
			classes[s.attr("Class")]++
			changes[s.attr("Content")]++
		}
	}
	kind := clip(head.reportType)
	if kind == "delta" && instances > 0 {
		short = kind + ": " + deltaWords(changes)
		return short, joined(" ", "hardware inventory delta", d.agent()) + ": " + deltaWords(changes)
	}
	of := ""
	if instances > 0 {
		of = "of " + strconv.Itoa(len(classes)) + " " + plural(len(classes), "class")
	}
	what := d.instances(instances, of)
	return joined(", ", kind, what), joined(" ", "hardware inventory", kind, d.agent()) + ", " + what
}

// deltaWords says what a delta changes. Update and Delete are inferred, so
// what is none of the three is counted too.
func deltaWords(changes map[string]int) string {
	total := 0
	for _, n := range changes {
		total += n
	}
	var words []string
	for _, c := range [...]struct{ content, word string }{{"New", "new"}, {"Update", "updated"}, {"Delete", "deleted"}} {
		if n := changes[c.content]; n > 0 {
			words = append(words, fmt.Sprintf("%d %s", n, c.word))
			total -= n
		}
	}
	if total > 0 {
		words = append(words, fmt.Sprintf("%d other", total))
	}
	return strings.Join(words, ", ")
}

var sinv = Kind{
	Slug: "sinv", Name: "software inventory", Dir: traffic.Request, Endpoint: "MP_SinvEndpoint", Root: "Report",
	is: isReport(actionSoftware, "MP_SinvEndpoint"), sum: sumSinv,
}

func sumSinv(d *decoder) (short, long string) {
	kind, files := clip(d.report().reportType), 0
	s := d.scan()
	for d.sees() && s.next() {
		if s.name == "FileSystemFile" {
			files++
		}
	}
	what := count(files, "file")
	if files == 0 {
		what = d.instances(0, "")
	}
	return joined(", ", kind, what), joined(" ", "software inventory", kind, d.agent()) + ", " + what
}

var filecoll = Kind{
	Slug: "filecoll", Name: "file collection", Dir: traffic.Request,
	Endpoint: "MP_SinvCollFileEndpoint", Root: "Report",
	is: isReport(actionCollection, "MP_SinvCollFileEndpoint"), sum: sumFilecoll,
}

func sumFilecoll(d *decoder) (short, long string) {
	files, size, _ := collectedFiles(d)
	short = count(files, "file") + ", " + sizeWords(size)
	return short, joined(" ", "file collection", d.agent()) + ": " + short
}

// collectedFiles counts the files of a report, adds up their sizes, and names
// them.
func collectedFiles(d *decoder) (files int, size int64, names []string) {
	d.report()
	s := d.scan()
	for s.next() {
		switch s.name {
		case "CollectedFile":
			files++
		case "Name":
			names = append(names, clip(s.value()))
		case "Size":
			if n, err := strconv.ParseInt(s.value(), 10, 64); err == nil && n > 0 && size < 1<<60 {
				size += min(n, 1<<50)
			}
		}
	}
	return files, size, names
}

var idmif = Kind{
	Slug: "idmif", Name: "IDMIF", Dir: traffic.Request, Endpoint: "MP_RelayEndpoint", Root: "Report",
	is: func(d *decoder) bool {
		return isRelayed("IDMIF", "")(d) || d.report().action == actionIDMIF && d.report().inner != ""
	}, sum: sumIDMIF,
}

func sumIDMIF(d *decoder) (short, long string) {
	files, _, names := collectedFiles(d)
	short = strings.Join(firstOf(names, 3), ", ")
	if short == "" {
		short = count(files, "file")
	}
	return short, joined(" ", "IDMIF", d.agent()) + ": " + short
}

var metering = Kind{
	Slug: "metering", Name: "software metering", Dir: traffic.Request, Endpoint: "MP_RelayEndpoint", Root: "Report",
	is: isRelayed("SWM", "ProductInfo"), sum: sumMetering,
}

func sumMetering(d *decoder) (short, long string) {
	d.report()
	records, product, file, version, start, end := 0, "", "", "", "", ""
	s := d.scan()
	for s.next() {
		switch s.name {
		case "ProductInfo":
			product = s.attr("ProductVersion")
		case "SoftwareFileInfo":
			file, version = s.attr("FileName"), s.attr("FileVersion")
		case "HistoricalMeterData":
			records++
			start, end = s.attr("StartTime"), s.attr("EndTime")
		}
	}
	if product != "" {
		version = product
	}
	switch {
	case records == 1 && d.sees():
		short = joined(", ", joined(" ", clip(file), clip(version)), meteredTime(start, end))
	case records == 0:
		short = d.instances(0, "")
	default:
		short = count(records, "record") + d.atLeast()
	}
	return short, joined(" ", "metering", d.agent()) + ": " + short
}

// meteredTime says how long a program ran.
func meteredTime(start, end string) string {
	from, ok1 := parseCIM(start)
	to, ok2 := parseCIM(end)
	if !ok1 || !ok2 || to.Before(from) {
		return ""
	}
	return fmt.Sprintf("%d min", int(to.Sub(from).Minutes()))
}

var peerDP = Kind{
	Slug: "peerdp-status", Name: "peer DP status", Dir: traffic.Request,
	Endpoint: "MP_RelayEndpoint", Root: "PeerDPDownloadStatus", sum: sumPeerDP,
}

func sumPeerDP(d *decoder) (short, long string) {
	s := d.scan()
	for s.next() {
		switch s.name {
		case "ClientID":
			d.sender("", s.value())
		case "Msg":
			short = joined(" v", clip(s.attr("PkgID")), clip(s.attr("SourceVersion")))
		}
	}
	return short, joined(" ", "peer DP status", short)
}

var relay = Kind{
	Slug: "relay", Name: "relayed message", Dir: traffic.Request, Endpoint: "MP_RelayEndpoint", Root: "Report",
	is: func(d *decoder) bool { return d.at("MP_RelayEndpoint") }, sum: sumRelay,
}

func sumRelay(d *decoder) (short, long string) {
	kind := ""
	if d.m.Header != nil {
		kind = d.m.Header.Property("FileType")
	}
	short = joined(", ", clip(kind), clip(d.m.Root), sizeWords(d.m.TextBytes))
	return short, joined(" ", "relay", d.agent(), short)
}

var report = Kind{
	Slug: "report", Name: "report", Dir: traffic.Request, Root: "Report", sum: sumReport,
}

func sumReport(d *decoder) (short, long string) {
	h := d.report()
	short = joined(", ", clip(h.content), clip(h.reportType), sizeWords(d.m.TextBytes))
	return short, joined(" ", clip(d.m.Endpoint), "report", d.agent(), short)
}
