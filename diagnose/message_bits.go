package diagnose

import (
	"fmt"
	"strconv"
	"strings"

	"mpproxy/decode"
	"mpproxy/traffic"
)

// bitsRules are about uploads, [MC-BUP].
var bitsRules = []rule{bitsElsewhere, bitsRefused, bitsCut, bitsGap}

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
		Moot:   []string{"upstream-too-large", "upstream-forbidden", "upstream-server-error", "http-needs-https"},
	},
	check: "On the management point: IIS log of BITS_POST; Get-WebConfigurationProperty for BITSMaximumUploadSize.",
	test: func(f *facts) (occurrence, bool) {
		for _, x := range f.requests {
			proof, found := f.refusedUpload(x)
			if found {
				return occurrence{leg: traffic.UpstreamSide, who: mpSide, sure: certain, exchange: x, proof: proof}, true
			}
		}
		return occurrence{}, false
	},
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
	case f.upstream == nil && (x.Status == 403 || x.Status == 413):
		proof = append(proof, fmt.Sprintf("exchange %d: %s", x.ID, x.line()))
	default:
		return nil, false
	}
	if p := x.Message.Packet; p != nil && p.Total >= 0 {
		proof = append(proof, fmt.Sprintf("the agent announced %d bytes in all", p.Total))
	}
	return proof, true
}

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

var bitsGap = rule{
	kind: traffic.FindingKind{
		Code: "bits-piece-missing", Ref: "N23", Severity: traffic.Error,
		Title:  "A piece of the agent's upload is missing",
		Why:    "Fragments have to follow each other without a gap; the management point answers 416, or keeps a damaged file.",
		Remedy: "Let the agent go on at the offset that the management point's last answer names (BITS-Received-Content-Range).",
	},
	check: "mpproxy show N: the upload's packets.",
	test: func(f *facts) (occurrence, bool) {
		next := map[string]int64{}
		for _, x := range f.requests {
			if x.Message == nil || x.Message.Packet == nil || x.Message.Packet.From < 0 || x.Status < 200 {
				continue
			}
			p := x.Message.Packet
			if at, known := next[p.Session]; known && p.From > at && x.Status < 300 {
				return occurrence{leg: traffic.AgentSide, who: agentSide, sure: certain, exchange: x, proof: []string{
					fmt.Sprintf("exchange %d: the fragment begins at %d, the one before it ended at %d: %d bytes are missing", x.ID, p.From, at, p.From-at),
				}}, true
			}
			if x.Status < 300 {
				next[p.Session] = p.To
			}
			if ack := x.Message.Ack; ack != nil && ack.Next >= 0 {
				next[p.Session] = ack.Next
			}
		}
		return occurrence{}, false
	},
}
