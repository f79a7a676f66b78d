package decode

import (
	"strconv"
	"strings"
	"time"

	"mpproxy/traffic"
)

// eachState runs a test over every state message.
func eachState(test func(c *checking, d *document, message *node)) func(*checking) {
	return eachReport(func(c *checking, d *document) {
		d.root.all("StateMessage", func(n *node) { test(c, d, n) })
	})
}

// get of a child that may be missing.
func (n *node) childAttr(child, attr string) string {
	c := n.child(child)
	if c == nil {
		return ""
	}
	return c.get(attr)
}

var unknownTopic = lint{
	kind: traffic.FindingKind{
		Code: "msg-state-topic", Ref: "L901", Severity: traffic.Warning,
		Title:  "A state message is about an unknown topic",
		Why:    "The site drops what it does not know.",
		Remedy: "Check the spelling; it may be of a newer version.",
	},
	depth: Full,
	check: eachState(func(c *checking, d *document, n *node) {
		topic := n.childAttr("Topic", "Type")
		if _, known := stateTopics()[topic]; !known && topic != "" {
			c.inText(d, n.child("Topic"), "Type is %s", quoted(topic))
		}
	}),
}

var unknownState = lint{
	kind: traffic.FindingKind{
		Code: "msg-state-id", Ref: "L902", Severity: traffic.Warning,
		Title:  "A state message has an unknown state",
		Why:    "It cannot be said in words.",
		Remedy: "Look the number up; it may be of a newer version.",
	},
	depth: Full,
	check: eachState(func(c *checking, d *document, n *node) {
		topic, id := n.childAttr("Topic", "Type"), n.childAttr("State", "ID")
		if id == "" || id == "*" || id == "INVALID" || !knowsStates(topic) {
			return
		}
		if _, known := stateLabels()[stateKey{topic, id}]; !known {
			c.inText(d, n.child("State"), "state %s of topic %s", quoted(id), topic)
		}
	}),
}

// knowsStates tells whether the table has states of a topic at all.
func knowsStates(topic string) bool {
	for k := range stateLabels() {
		if k.topic == topic {
			return true
		}
	}
	return false
}

var paramCount = lint{
	kind: traffic.FindingKind{
		Code: "msg-state-params", Ref: "L903", Severity: traffic.Warning,
		Title:  "The number of parameters is not the one that is said",
		Why:    "The site reads the wrong columns.",
		Remedy: "Correct Count.",
	},
	depth: Full,
	check: eachState(func(c *checking, d *document, n *node) {
		params := n.child("UserParameters")
		if params == nil {
			return
		}
		if want, err := strconv.Atoi(params.get("Count")); err != nil || want != len(params.children) {
			c.inText(d, params, "Count is %s; %s", quoted(params.get("Count")), count(len(params.children), "Param"))
		}
	}),
}

// documentedParams is the limit of 2007; newer topics are seen with more.
const documentedParams = 5

var manyParams = lint{
	kind: traffic.FindingKind{
		Code: "msg-state-many-params", Ref: "L904", Severity: traffic.Info,
		Title:  "A state message has more parameters than documented",
		Why:    "The extra ones are lost at old sites.",
		Remedy: "Send at most 5, unless the topic is newer.",
	},
	depth: Full,
	check: eachState(func(c *checking, d *document, n *node) {
		if params := n.child("UserParameters"); params != nil && len(params.children) > documentedParams {
			c.inText(d, params, "%s; documented are 5", count(len(params.children), "Param"))
		}
	}),
}

var serialNumbers = lint{
	kind: traffic.FindingKind{
		Code: "msg-state-serial", Ref: "L905", Severity: traffic.Warning, Inferred: true,
		Title:  "The serial numbers of the state messages do not grow",
		Why:    "The site takes messages for lost, and asks for a resync.",
		Remedy: "Look for sends that failed before.",
	},
	depth: Full,
	check: eachReport(func(c *checking, d *document) {
		last := int64(-1)
		d.root.all("StateMessage", func(n *node) {
			serial, err := strconv.ParseInt(n.get("SerialNumber"), 10, 64)
			if err != nil {
				return
			}
			if serial <= last {
				c.inText(d, n, "SerialNumber %d after %d", serial, last)
			}
			last = serial
		})
	}),
}

// fileTypes are the elements by the file type that goes with them.
var fileTypes = map[string]string{"StateMessage": "SMX", "ProductInfo": "SWM", "CollectedFile": "IDMIF"}

var noFileType = lint{
	kind: traffic.FindingKind{
		Code: "msg-file-type", Ref: "L906", Severity: traffic.Warning,
		Title:  "The relay endpoint is not told what it gets",
		Why:    "It files by the property FileType alone and does not look inside.",
		Remedy: `Add <Property Name="FileType" Value="SMX"/> for state messages, SWM for metering, IDMIF for IDMIF.`,
	},
	check: func(c *checking) {
		h := c.header()
		if h == nil || c.isReply() || !c.at("MP_RelayEndpoint") {
			return
		}
		fileType, want := h.Property("FileType"), ""
		if c.m.Root == "Report" {
			want = fileTypes[c.report().inner]
		}
		switch {
		case fileType == "":
			c.found("header", -1, "no property FileType; expected %s", joinedOr(want, "SMX, SWM or IDMIF"))
		case want != "" && !strings.EqualFold(fileType, want):
			c.inHeader("Property", "FileType is %s; the content is %s", quoted(fileType), want)
		}
	},
}

func joinedOr(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// maxStateAge is how old a state message may be.
const maxStateAge = 30 * 24 * time.Hour

var stateTime = lint{
	kind: traffic.FindingKind{
		Code: "msg-state-time", Ref: "L907", Severity: traffic.Warning, Inferred: true,
		Title:  "A state message is from the future, or very old",
		Why:    "The clock is wrong, or it waited long in a queue.",
		Remedy: "Check the client's clock.",
	},
	depth: Full,
	check: eachState(func(c *checking, d *document, n *node) {
		t, ok := parseCIM(n.get("MessageTime"))
		if !ok || c.Arrived.IsZero() {
			return
		}
		if age := c.Arrived.Sub(t); age < -maxSkew || age > maxStateAge {
			c.inText(d, n, "MessageTime is %s; came %s", n.get("MessageTime"), c.Arrived.UTC().Format(time.RFC3339))
		}
	}),
}

var resync = lint{
	kind: traffic.FindingKind{
		Code: "msg-state-resync", Ref: "L908", Severity: traffic.Info,
		Title:  "The client sends all its states again",
		Why:    "The site asked for a resync.",
		Remedy: "Expect a burst of state messages.",
	},
	depth: Full,
	check: eachState(func(c *checking, d *document, n *node) {
		if n.childAttr("Topic", "Type") == "700" && n.childAttr("State", "ID") == "2" {
			c.inText(d, n, "topic 700, state 2")
		}
	}),
}

var unknownClass = lint{
	kind: traffic.FindingKind{
		Code: "msg-status-class", Ref: "L909", Severity: traffic.Warning,
		Title:  "A status message is of an unknown event class",
		Why:    "It is shown as it is.",
		Remedy: "Check the name.",
	},
	depth: Full,
	check: func(c *checking) {
		d := c.doc(status.Root)
		if d == nil {
			return
		}
		class := d.root.child("Type")
		if class == nil {
			return
		}
		if _, known := eventClasses()[class.text]; !known {
			c.inText(d, class, "Type is %s", quoted(class.text))
		}
	},
}

// named finds the element of a list with this Name.
func (n *node) named(list, element, name string) *node {
	var found *node
	n.child(list).all(element, func(e *node) {
		if found == nil && e.get("Name") == name {
			found = e
		}
	})
	return found
}

var badStatusNumber = lint{
	kind: traffic.FindingKind{
		Code: "msg-status-number", Ref: "L910", Severity: traffic.Warning,
		Title:  "Severity or id of a status message is no number",
		Why:    "The message is not filed.",
		Remedy: "Write numbers: severity 0, 1 or 2.",
	},
	depth: Full,
	check: func(c *checking) {
		d := c.doc(status.Root)
		if d == nil {
			return
		}
		for _, n := range [...]*node{
			d.root.named("Properties", "Property", "Severity"),
			d.root.named("Qualifiers", "Qualifier", "SMS_MessageID"),
		} {
			if n != nil && !isDigits(n.text) {
				c.inText(d, n, "%s is %s", n.get("Name"), quoted(n.text))
			}
		}
	},
}

// The bits of a meter record's Status.
const (
	meterStartMissed = 2
	meterEndMissed   = 4
)

var meteringTimes = lint{
	kind: traffic.FindingKind{
		Code: "msg-metering-time", Ref: "L911", Severity: traffic.Warning,
		Title:  "A program's use ends before it begins",
		Why:    "Usage is counted wrongly; the clock was changed.",
		Remedy: "Check the client's clock.",
	},
	depth: Full,
	check: eachReport(func(c *checking, d *document) {
		d.root.all("HistoricalMeterData", func(n *node) {
			bits, _ := strconv.Atoi(n.get("Status"))
			start, ok1 := parseCIM(n.get("StartTime"))
			end, ok2 := parseCIM(n.get("EndTime"))
			if ok1 && ok2 && end.Before(start) && bits&(meterStartMissed|meterEndMissed) == 0 {
				c.inText(d, n, "StartTime is %s; EndTime is %s", n.get("StartTime"), n.get("EndTime"))
			}
		})
	}),
}

var statusError = lint{
	kind: traffic.FindingKind{
		Code: "msg-status-error", Ref: "L912", Severity: traffic.Info, Inferred: true,
		Title:  "The agent reports an error",
		Why:    "An administrator wants to see it.",
		Remedy: "Read the message.",
	},
	depth: Full,
	check: func(c *checking) {
		d := c.doc(status.Root)
		if d == nil {
			return
		}
		if n := d.root.named("Properties", "Property", "Severity"); n != nil && n.text == "2" {
			c.inText(d, n, "Severity is 2")
		}
	},
}
