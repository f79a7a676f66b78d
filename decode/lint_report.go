package decode

import (
	"crypto/sha256"
	"strconv"
	"strings"

	"mpproxy/traffic"
)

// eachReport runs a test over the texts that are reports.
func eachReport(test func(*checking, *document)) func(*checking) {
	return eachDoc(func(c *checking, d *document) {
		if d.root.name == "Report" {
			test(c, d)
		}
	})
}

const (
	largeAttachment = 5 << 20
	// mifLimit is the site's default limit for the file that is made of it.
	mifLimit = 50 << 20
)

var largeReport = lint{
	kind: traffic.FindingKind{
		Code: "msg-large", Ref: "L801", Severity: traffic.Warning, Inferred: true,
		Title:  "An attachment is very large",
		Why:    "Management point or data loader refuse it: a bad MIF. The site's default limit is 50 MB.",
		Remedy: "Find the class with most instances.",
	},
	check: func(c *checking) {
		for _, a := range c.m.Attachments {
			if a.Size > largeAttachment {
				limit := "5 MB"
				if a.Size > mifLimit {
					limit = "50 MB, the limit for a MIF"
				}
				c.found("payload", a.Offset, "attachment %s has %s; more than %s", quoted(a.Name), sizeWords(a.Size), limit)
			}
		}
	},
}

var contentMissing = lint{
	kind: traffic.FindingKind{
		Code: "msg-content-missing", Ref: "L802", Severity: traffic.Error,
		Title:  "The report has no content",
		Why:    "The body has a report's header only, and no attachment comes with it: a heartbeat is kept, data is lost.",
		Remedy: "Check the exchange in which it should have been uploaded.",
	},
	check: func(c *checking) {
		h := c.header()
		if h == nil || len(h.Attachments) > 0 || c.isReply() || c.m.Root != "Report" || c.m.Partial {
			return
		}
		if c.report().inner == "" && h.isInline() {
			c.found("text", int64(max(strings.Index(c.m.Text.String, "<ReportBody"), 0)), "ReportBody is empty, no Attachment in the header")
		}
	},
}

// actionEndpoints are the endpoints by inventory action.
var actionEndpoints = map[string]string{
	actionHardware: "MP_HinvEndpoint", actionSoftware: "MP_SinvEndpoint", actionDiscovery: "MP_DdrEndpoint",
	actionCollection: "MP_SinvCollFileEndpoint", actionIDMIF: "MP_RelayEndpoint",
}

var wrongAction = lint{
	kind: traffic.FindingKind{
		Code: "msg-action", Ref: "L803", Severity: traffic.Warning,
		Title:  "The report's action does not fit the endpoint",
		Why:    "It is filed wrongly.",
		Remedy: "Correct InventoryActionID, or send it to the endpoint of its kind.",
	},
	check: func(c *checking) {
		if c.isReply() || c.m.Root != "Report" || endpointOf(c.m.Endpoint) == nil {
			return
		}
		action := c.report().action
		if want := actionEndpoints[action]; want != "" && !strings.EqualFold(want, c.m.Endpoint) {
			c.found("text", int64(max(strings.Index(c.m.Text.String, "ActionID>"), 0)), "action …00%s at %s; expected %s", action, quoted(c.m.Endpoint), want)
		}
	},
}

var noReportType = lint{
	kind: traffic.FindingKind{
		Code: "msg-report-type", Ref: "L804", Severity: traffic.Warning,
		Title:  "The report does not say whether it is full or delta",
		Why:    "The site asks for a resync.",
		Remedy: "Send Full.",
	},
	depth: Full,
	check: eachReport(func(c *checking, d *document) {
		details := d.root.find("ReportHeader", "ReportDetails")
		if details == nil {
			return
		}
		kind := details.child("ReportType")
		switch {
		case kind == nil:
			c.inText(d, details, "no ReportType")
		case kind.text != "Full" && kind.text != "Delta" && kind.text != "Resync":
			c.inText(d, kind, "ReportType is %s; expected Full or Delta", quoted(kind.text))
		}
	}),
}

var classMismatch = lint{
	kind: traffic.FindingKind{
		Code: "msg-class", Ref: "L805", Severity: traffic.Warning,
		Title:  "An instance holds another class than it says",
		Why:    "The class cannot be filed.",
		Remedy: "Use the same name at both places.",
	},
	depth: Full,
	check: eachReport(func(c *checking, d *document) {
		d.root.all("Instance", func(n *node) {
			class := n.get("Class")
			if len(n.children) > 0 && class != "" && n.children[0].name != class {
				c.inText(d, n, "Class is %s; the element is <%s>", quoted(class), clip(n.children[0].name))
			}
		})
	}),
}

var duplicateInstance = lint{
	kind: traffic.FindingKind{
		Code: "msg-duplicate", Ref: "L806", Severity: traffic.Warning, Inferred: true,
		Title:  "The report has the same instance twice",
		Why:    "The site sees a primary key fault.",
		Remedy: "Check the provider of the class.",
	},
	depth: Full,
	check: eachReport(func(c *checking, d *document) {
		seen := make(map[[sha256.Size]byte]bool)
		d.root.all("Instance", func(n *node) {
			key := instanceKey(n)
			if seen[key] {
				c.inText(d, n, "class %s again with the same properties", quoted(n.get("Class")))
			}
			seen[key] = true
		})
	}),
}

// instanceKey is a digest of everything that an instance says, as which
// properties are its key is not in the report.
func instanceKey(n *node) [sha256.Size]byte {
	digest := sha256.New()
	write := func(s string) {
		digest.Write([]byte(s))
		digest.Write([]byte{0})
	}
	write(n.get("Class"))
	write(n.get("Namespace"))
	write(n.get("Content"))
	n.walkBelow(func(_, c *node) {
		write(c.name)
		write(c.text)
	})
	return [sha256.Size]byte(digest.Sum(nil))
}

var emptyReport = lint{
	kind: traffic.FindingKind{
		Code: "msg-empty-report", Ref: "L807", Severity: traffic.Warning, Inferred: true,
		Title:  "The report has no instance",
		Why:    "The provider or WMI gave nothing.",
		Remedy: "Check the provider and WMI.",
	},
	depth: Full,
	check: eachReport(func(c *checking, d *document) {
		inventory := d.root.find("ReportHeader", "InventoryAction") != nil
		if d.layer != "payload" && (c.header() != nil || c.hasPayload()) {
			return // the content is in the attachment
		}
		body := d.root.child("ReportBody")
		if inventory && body != nil && !body.empty && len(body.children) == 0 {
			c.inText(d, body, "no Instance")
		}
	}),
}

var fileCount = lint{
	kind: traffic.FindingKind{
		Code: "msg-file-count", Ref: "L810", Severity: traffic.Warning,
		Title:  "The number of collected files is not the one that is said",
		Why:    "A file is missing.",
		Remedy: "Compare with the attachments.",
	},
	depth: Full,
	check: eachReport(func(c *checking, d *document) {
		sum := d.root.find("ReportBody", "CollectedFileSum")
		if sum == nil {
			return
		}
		files := 0
		d.root.all("CollectedFile", func(*node) { files++ })
		if n, err := strconv.Atoi(sum.get("Count")); err != nil || n != files {
			c.inText(d, sum, "Count is %s; %s", quoted(sum.get("Count")), count(files, "CollectedFile"))
		}
	}),
}
