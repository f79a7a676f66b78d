package diagnose

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"mpproxy/decode"
	"mpproxy/traffic"
)

// bitsRules are about uploads, [MC-BUP].
var bitsRules = []rule{reportLost, bitsElsewhere, bitsRefused, bitsUnknown, bitsUnheard, bitsCut, bitsGap, bitsUnclosed, bitsTwice}

var bitsElsewhere = messageRule(traffic.FindingKind{
	Code: "bits-elsewhere", Ref: "N24", Severity: traffic.Warning,
	Title:  "The management point tells the agent to go on with its upload at another server",
	Why:    "A server behind a common name answers with its own name (BITS-Host-Id), and the agent then leaves the given one: those fragments do not pass mpproxy.",
	Remedy: "Remove BITS-Host-Id from replies by a rule of mpproxy (docs/rules.md), or clear BITSHostId on the server's upload directory.",
}, "On the management point: the IIS property BITSHostId of CCM_Incoming.", mpSide, certain,
	func(x *Exchange) ([]string, bool) {
		return []string{fmt.Sprintf("exchange %d: the server told the agent to continue at %s: those fragments will not pass here", x.ID, quote(x.Host))}, x.Host != ""
	})

// isUpload is true for a packet of an upload.
func (x *Exchange) isUpload() bool { return x.Method == "BITS_POST" }

var bitsRefused = rule{
	kind: traffic.FindingKind{
		Code: "bits-upload-refused", Ref: "N23", Severity: traffic.Error,
		Title:  "The management point refuses the agent's upload",
		Why:    "Uploads can be switched off on a directory, or limited in size; then small messages pass and large reports do not.",
		Remedy: "On the management point: see BITS uploads of CCM_Incoming (enabled, maximum size), its free space and its rights.",
		Moot:   []string{"upstream-too-large", "upstream-body-limit", "upstream-forbidden", "upstream-server-error", "http-needs-https", "upstream-refuses-request"},
	},
	check: "On the management point: IIS log of BITS_POST; Get-WebConfigurationProperty for BITSMaximumUploadSize.",
	test: perRequest(func(f *facts, x *Exchange) (occurrence, bool) {
		proof, found := f.refusedUpload(x)
		if !found {
			return occurrence{}, false
		}
		return occurrence{leg: traffic.UpstreamSide, who: mpSide, sure: certain, proof: proof, do: uploadRemedy(x)}, true
	}),
}

func (f *facts) refusedUpload(x *Exchange) ([]string, bool) {
	if !x.isUpload() || x.Message == nil {
		return nil, false
	}
	var proof []string
	ack := x.Message.Ack
	switch {
	case ack != nil && ack.Error != "":
		proof = append(proof, fmt.Sprintf("exchange %d: BITS-Error-Code %s%s%s", x.ID, ack.Error, meaning(ack.Error), place(ack.Context)))
	case f.upstream == nil && (x.Status == 403 || x.Status == 413), x.Status == 409, x.Status == 500, x.Status == 507,
		x.Status == 404 && f.History.passed(x.Method).count > 0:
		proof = append(proof, fmt.Sprintf("exchange %d: %s", x.ID, x.line()))
	default:
		return nil, false
	}
	if p := x.Message.Packet; p != nil && p.Total >= 0 {
		proof = append(proof, fmt.Sprintf("the agent announced %d bytes in all", p.Total))
	}
	return proof, true
}

// uploadRemedies are what to do about the codes that servers give for uploads,
// in lower case.
var uploadRemedies = map[string]string{
	"0x8020001f": "The server does not know this upload (session not found): it timed out, was cleaned up, or another server behind the same name answered. Let the agent's job begin again; a load balancer has to keep an agent on one server.",
	"0x80200020": "The upload is larger than the server allows: raise BITSMaximumUploadSize of CCM_Incoming, or see what makes the report so large.",
	"0x80200014": "The directory takes no uploads: enable BITS uploads on CCM_Incoming.",
	"0x80070070": "The disk of the management point is full: make room where CCM_Incoming lies.",
	"0x80070005": "The server may not write: give its accounts back the rights on the folder of CCM_Incoming.",
	"0x80070003": "The folder behind CCM_Incoming is not there: install the management point again, or restore the folder with its rights.",
	"0x80070002": "The file or folder behind CCM_Incoming is not there: see whether a scanner or a cleaner removes files from it.",
}

// uploadRemedy is what to do about this refusal, nil when only the general is
// known.
func uploadRemedy(x *Exchange) []string {
	if ack := x.Message.Ack; ack != nil {
		if do := uploadRemedies[strings.ToLower(ack.Error)]; do != "" {
			return []string{do}
		}
	}
	switch x.Status {
	case 404:
		return []string{"The server takes uploads and has nothing at this place: the session is gone, or the folder behind CCM_Incoming was removed; several servers behind one name answer so for each other's uploads."}
	case 507:
		return []string{uploadRemedies["0x80070070"]}
	}
	return nil
}

var bitsUnknown = messageRule(traffic.FindingKind{
	Code: "bits-no-protocol", Ref: "N23", Severity: traffic.Error,
	Title:  "The management point answers the agent's upload as if it knew nothing of BITS",
	Why:    "Every answer to an upload has BITS-Packet-Type: Ack. One that says 200 without it comes from a server, or a device, that took BITS_POST for something else: nothing was stored, and the agent's job fails.",
	Remedy: "On the management point: install the BITS Server Extension for IIS and enable uploads on CCM_Incoming; else find what answers in its place.",
	Moot:   []string{"msg-no-reply", "bits-no-final-ack"},
}, "On the agent: bitsadmin /list /verbose (0x80200014); on the management point: Get-WindowsFeature BITS-IIS-Ext.", mpSide, certain,
	func(x *Exchange) ([]string, bool) {
		return []string{fmt.Sprintf("exchange %d: %s", x.ID, x.line()), "the answer has no BITS-Packet-Type"},
			x.isUpload() && x.good() && x.ReplyWhole && x.Answer.Get("BITS-Packet-Type") == ""
	})

// meaning is what a code means, in brackets.
func meaning(code string) string {
	n, err := strconv.ParseUint(strings.TrimPrefix(strings.ToLower(code), "0x"), 16, 32)
	if err != nil {
		return ""
	}
	if e, ok := decode.ExplainCode(uint32(n)); ok {
		return " (" + e.Meaning + ")"
	}
	return ""
}

// place says where an error of an upload comes from, [MC-BUP] 2.2.
func place(context string) string {
	switch strings.ToLower(context) {
	case "":
		return ""
	case "0x5":
		return ", context 0x5: the file on the server"
	case "0x7":
		return ", context 0x7: the application behind the server"
	}
	return ", context " + context
}

var bitsCut = rule{
	kind: traffic.FindingKind{
		Code: "bits-cut", Ref: "N23", Severity: traffic.Error,
		Title:  "The connection ended in the middle of the agent's upload",
		Why:    "BITS begins the fragment again; if it ends at the same place each time a limit of size or time on the way is the cause.",
		Remedy: "See who ended the connection and after how many bytes; look at that side's limits and at devices on the way.",
		Moot:   []string{"upstream-left-request", "upstream-no-reply", "http-cut-short"},
	},
	check: "On the agent: bitsadmin /list /verbose; on the management point: HTTPERR log.",
	test: func(f *facts) (occurrence, bool) {
		for _, x := range f.requests {
			if !x.isUpload() || x.Status != 0 || x.Fate != traffic.Broken {
				continue
			}
			o := occurrence{leg: traffic.UpstreamSide, who: mpSide, sure: likely, exchange: x, proof: []string{
				fmt.Sprintf("exchange %d: %d bytes of the request passed%s; then the management point's side ended the connection", x.ID, x.RequestSize, x.announced()),
			}}
			if !f.mpEnded() {
				o.leg, o.who = traffic.AgentSide, agentSide
				o.proof[0] = strings.Replace(o.proof[0], "the management point's side", "the agent's side", 1)
			}
			if f.History.finished(x) {
				o.proof = append(o.proof, "the agent went on with it: the end of the upload was acknowledged later")
			}
			return o, true
		}
		return occurrence{}, false
	},
}

// announced is what the fragment should have had.
func (x *Exchange) announced() string {
	if x.Message == nil || x.Message.Packet == nil || x.Message.Packet.From < 0 {
		return ""
	}
	p := x.Message.Packet
	return fmt.Sprintf(", of a fragment of %d bytes (%d to %d of %d)", p.To-p.From, p.From, p.To-1, p.Total)
}

var bitsGap = uploadRule(traffic.FindingKind{
	Code: "bits-piece-missing", Ref: "N23", Severity: traffic.Error,
	Title:  "A piece of the agent's upload is missing",
	Why:    "Fragments have to follow each other without a gap; the management point answers 416, or keeps a damaged file.",
	Remedy: "Let the agent go on at the offset that the management point's last answer names (BITS-Received-Content-Range).",
	Moot:   []string{"bits-not-closed"},
}, "mpproxy show N: the upload's packets.", theAgent, func(u *upload) said { return u.gap })

var bitsTwice = uploadRule(traffic.FindingKind{
	Code: "bits-piece-twice", Ref: "N23", Severity: traffic.Info,
	Title:  "The agent sent a piece of its upload again that was acknowledged already",
	Why:    "The management point keeps what came first and writes only what is new, so nothing is lost if the bytes are the same; the agent did not take notice of an answer, or its file changed under it.",
	Remedy: "If the upload is then refused or damaged: compare the fragments; the agent has to go on at the offset that the last answer names.",
}, "mpproxy show N: the upload's packets.", theAgent, func(u *upload) said { return u.twice })

var bitsUnheard = uploadRule(traffic.FindingKind{
	Code: "bits-no-final-ack", Ref: "N23", Severity: traffic.Error,
	Title:  "The end of the agent's upload was never acknowledged by the management point",
	Why:    "The agent cannot know whether the file is there and sends it again, or gives up; the management point may have it.",
	Remedy: "See who ended the connection, and whether the management point's worker process or a time limit on the way did; look for the file in the management point's inbox before a full report is asked for.",
	Moot:   []string{"bits-cut", "upstream-left-request", "upstream-no-reply", "http-cut-short", "upstream-too-large"},
}, "On the agent: bitsadmin /list /verbose; on the management point: IIS and HTTPERR logs at this time.", whoEnded, func(u *upload) said { return u.unheard })

// uploadRule is a rule on what one field of the uploads says; who has to act.
func uploadRule(k traffic.FindingKind, check string, who func(*facts) string, field func(*upload) said) rule {
	return rule{kind: k, check: check, test: func(f *facts) (occurrence, bool) {
		s, found := f.uploadSaid(field)
		if !found {
			return occurrence{}, false
		}
		who := who(f)
		return occurrence{leg: legOf(who), who: who, sure: certain, proof: []string{s.text}, exchange: &Exchange{ID: s.at}}, true
	}}
}

func theAgent(*facts) string { return agentSide }

// whoEnded is the side that ended the connection.
func whoEnded(f *facts) string {
	if f.mpEnded() {
		return mpSide
	}
	return agentSide
}

var bitsUnclosed = rule{
	kind: traffic.FindingKind{
		Code: "bits-not-closed", Ref: "N23", Severity: traffic.Warning,
		Title:  "The agent has uploaded everything and never closed the upload",
		Why:    "The management point takes the file into use only when the session is closed; until then, and for good when the session times out, the report does not exist for the site.",
		Remedy: "Let the agent send Close-Session after the last acknowledgement; on a Windows agent: see whether its BITS job was cancelled.",
	},
	check: "On the agent: bitsadmin /list /verbose; in the capture: whether the close comes later.",
	test: func(f *facts) (occurrence, bool) {
		text, at, later := f.unclosed()
		o := occurrence{leg: traffic.AgentSide, who: agentSide, sure: possible, exchange: &Exchange{ID: at}, proof: []string{text}}
		if later {
			o.sure = likely
			o.proof = append(o.proof, "the agent went on with other requests after that")
		}
		return o, text != ""
	},
}

var reportLost = rule{
	kind: traffic.FindingKind{
		Code: "bits-lost-after-ack", Ref: "N23", Severity: traffic.Error,
		Title:  "The management point stopped taking connections right after it had acknowledged the agent's report, which may be lost",
		Why:    "An acknowledged report is only a file on the management point until it is filed. If the management point stops before that the agent does not know, and its next report is a delta: the site then has a gap.",
		Remedy: "See why the management point stopped. When it is up again: look whether the report reached the site, else trigger a full inventory on the agent.",
		Moot:   []string{"upstream-no-tcp", "upstream-unreachable", "upstream-no-reply"},
	},
	check: "On the management point: System log (WAS, service stops) at this time, its outboxes and MP_Hinv.log; on the site server: dataldr.log, missed delta.",
	test: func(f *facts) (occurrence, bool) {
		a, o, found := f.lost()
		if !found {
			return occurrence{}, false
		}
		until := "no connection was taken after that"
		if !o.over.IsZero() {
			until = "it took connections again " + o.over.Sub(o.first).Round(time.Second).String() + " later"
		}
		gap, unit := o.first.Sub(a.at), time.Second
		if gap < time.Second {
			unit = time.Millisecond
		}
		sure := possible
		if gap <= atOnce {
			sure = likely
		}
		return occurrence{leg: traffic.UpstreamSide, who: mpSide, sure: sure, exchange: &Exchange{ID: a.exchange}, proof: []string{
			fmt.Sprintf("%s of %s acknowledged (exchange %d, %s), no reply within %s: then the management point took no connection", a.what, a.agent, a.exchange, a.at.UTC().Format("15:04:05 UTC"), gap.Round(unit)),
			fmt.Sprintf("%d connections were refused from %s to %s; %s", o.count, o.first.UTC().Format("15:04:05 UTC"), o.last.UTC().Format("15:04:05 UTC"), until),
			"the next report of this agent is a delta: risk of a gap",
		}}, true
	},
}
