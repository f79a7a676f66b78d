package diagnose

import (
	"fmt"

	"mpproxy/traffic"
)

// inventoryRules are about what agents report.
var inventoryRules = []rule{bodyBroken, reportGap, fullAgain, firstDelta}

var bodyBroken = messageRule(traffic.FindingKind{
	Code: "msg-body-broken", Ref: "N09", Severity: traffic.Error,
	Title:  "The text of the agent's message is written so that Windows' parsers refuse it",
	Why:    "A forbidden character, half a character, a missing terminator, XML that is not closed or a payload that cannot be unpacked loses the whole message, not one value.",
	Remedy: "Remove the character at its source (WMI, BIOS strings), or let the agent filter what it writes; end the text with one U+0000.",
	Moot:   append([]string{"msg-no-reply", toldGap}, brokenTexts...),
}, "mpproxy show N: the place in the text.", agentSide, certain,
	func(x *Exchange) ([]string, bool) {
		if !x.RequestWhole {
			return nil, false // what is missing was not sent
		}
		for _, code := range []string{"msg-bad-character", "msg-lone-surrogate", "msg-no-terminator", "msg-utf8-body", "msg-big-endian", "msg-not-well-formed", "msg-not-zlib", "msg-header-broken", "msg-boundary"} {
			if l := x.Message.lint(code); l != nil && l.Dir == traffic.Request {
				at := ""
				if l.Offset >= 0 {
					at = fmt.Sprintf(", at offset %d of the %s", l.Offset, l.Layer)
				}
				return []string{fmt.Sprintf("exchange %d: %s%s; Windows' parsers refuse this", x.ID, l.Evidence, at), l.Kind.Title}, true
			}
		}
		return nil, false
	})

var reportGap = toldRule(traffic.FindingKind{
	Code: toldGap, Ref: "N07", Severity: traffic.Warning,
	Title:  "A report of the agent never passed: its versions have a gap",
	Why:    "Deltas build on each other. The site files one without its predecessor as bad, and asks the agent for a full report.",
	Remedy: "Wait for the resync; if it does not come, trigger a full inventory on the agent. Look for what was lost at that time, also outside of mpproxy.",
}, "On the site server: dataldr.log, missed delta; the BADMIFS folder.", agentSide)

var firstDelta = toldRule(traffic.FindingKind{
	Code: toldDelta, Ref: "N07", Severity: traffic.Info,
	Title:  "The first report seen from this agent is a delta",
	Why:    "If the site has no full report of this agent it cannot use a delta. If the agent sent its full report before this capture began, nothing is wrong.",
	Remedy: "If the site does not show the inventory, trigger a full one.",
}, "On the site server: dataldr.log.", agentSide)

var fullAgain = toldRule(traffic.FindingKind{
	Code: toldFull, Severity: traffic.Info,
	Title:  "The agent sends full inventories again and again, as it does when the site asks for a resync",
	Why:    "A full report is sent once, then deltas. A site that cannot file a report (a bad MIF, another hardware id, a lost delta) asks for a full one, and again if that fails too: the inventory stays old, and management point and network carry the load.",
	Remedy: "See on the site server why its reports are not filed: dataldr.log and the folder BADMIFS (size, duplicate id, a class that does not fit). If somebody triggers full inventories by script: stop that.",
}, "On the site server: dataldr.log, resync; status messages 2722 and 2789. On the agent: InventoryAgent.log, full report.", mpSide)
