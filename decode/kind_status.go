package decode

import (
	"strings"

	"mpproxy/traffic"
)

var status = Kind{
	Slug: "status", Name: "status message", Dir: traffic.Request,
	Endpoint: "StatusReceiver", Root: "Status", sum: sumStatus,
}

// statusText is what a status message says.
type statusText struct {
	class, id, severity      string
	machine, client          string
	pkg, program, code, host string
}

func readStatus(d *decoder) statusText {
	var t statusText
	s := d.scan()
	for s.next() {
		switch s.name {
		case "Type":
			t.class = strings.TrimSpace(s.value())
		case "Qualifier":
			if s.attr("Name") == "SMS_MessageID" {
				t.id = strings.TrimSpace(s.value())
			}
		case "Property":
			t.take(s.attr("Name"), s.value())
		}
	}
	if t.id == "" {
		t.id = eventClasses()[t.class]
	}
	return t
}

func (t *statusText) take(name, value string) {
	switch name {
	case "MachineName":
		t.machine = value
	case "ClientID":
		t.client = value
	case "Severity":
		t.severity = value
	case "PackageName", "PackageId":
		t.pkg = value
	case "ProgramName":
		t.program = value
	case "StatusCode":
		t.code = value
	case "HostName":
		t.host = value
	}
}

// severityWords are the values of the property Severity, as words and as the
// table of messages has them.
var severityWords = map[string]struct{ word, inTable string }{
	"0": {"", "info"}, "1": {"WARNING", "warning"}, "2": {"ERROR", "error"},
}

func sumStatus(d *decoder) (short, long string) {
	t := readStatus(d)
	d.sender(t.machine, t.client)
	severity := severityWords[t.severity]
	label := statusLabels()[statusKey{t.id, severity.inTable}]
	if label == "" {
		label = statusLabels()[statusKey{t.id, ""}]
	}
	switch {
	case t.code != "" && t.host != "":
		label = "HTTP " + clip(t.code) + " from " + shortHost(t.host)
	case label == "":
		label = clip(t.class)
	}
	id := ""
	if t.id != "" {
		id = "(" + clip(t.id) + ")"
	}
	short = joined(" ", severity.word, label, clip(shortGUIDs(t.pkg)), clip(t.program), id)
	return short, joined(" ", "status", d.agent()) + ": " + short
}
