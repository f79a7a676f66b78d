package rules

import "mpproxy/traffic"

// What may come of a rule.
var (
	breaksSignature = traffic.FindingKind{
		Code: "rule-breaks-signature", Severity: traffic.Error,
		Title:  "A rule has changed what a signature covers",
		Why:    "The receiver will refuse the message, unless it does not check.",
		Remedy: "Change the unsigned header only, or take this for a test of the receiver.",
	}
	breaksHash = traffic.FindingKind{
		Code: "rule-breaks-hash", Severity: traffic.Warning,
		Title:  "A rule has changed a policy body whose hash the agent knows",
		Why:    "The agent compares the body with the hash in its assignment, and drops it.",
		Remedy: "Change PolicyHash in the assignment as well.",
	}
	cannotEncode = traffic.FindingKind{
		Code: "rule-cannot-encode", Severity: traffic.Error,
		Title:  "A rule's change could not be written",
		Why:    "The message was passed unchanged.",
		Remedy: "See the reason in the evidence.",
	}
	oddEdit = traffic.FindingKind{
		Code: "rule-odd-edit", Severity: traffic.Warning,
		Title:  "A rule's change leaves an odd message",
		Why:    "It was sent all the same: sending broken messages is a use of rules.",
		Remedy: "See the evidence.",
	}
	nothingFound = traffic.FindingKind{
		Code: "rule-found-nothing", Severity: traffic.Info,
		Title:  "A rule matched but found nothing to change",
		Why:    "What it looks for does not stand in this message.",
		Remedy: "Compare the rule's text or path with the message.",
	}
)

// FindingKinds lists every kind that rules report.
var FindingKinds = []*traffic.FindingKind{
	&breaksSignature, &breaksHash, &cannotEncode, &oddEdit, &nothingFound,
}
