package capture

import (
	"slices"

	"mpproxy/traffic"
)

// FindingKinds are the findings that the recorder itself makes.
func FindingKinds() []*traffic.FindingKind {
	return []*traffic.FindingKind{&stopped, &killed, &holed, &undecoded}
}

var stopped = traffic.FindingKind{
	Code:     "store-stopped",
	Severity: traffic.Warning,
	Title:    "mpproxy was stopped while the exchange was under way",
	Why:      "What came afterwards is not in the capture; the agent saw its connection end.",
	Remedy:   "Look at what the agent did next: it sends the message again.",
}

var killed = traffic.FindingKind{
	Code:     "store-killed",
	Severity: traffic.Warning,
	Title:    "mpproxy ended without closing the capture while the exchange was under way",
	Why:      "The bytes of the last moments before may be missing.",
	Remedy:   "See mpproxy's own log and the system's for what ended it.",
}

var holed = traffic.FindingKind{
	Code:     "store-hole",
	Severity: traffic.Warning,
	Title:    "Some bytes of the exchange could not be recorded",
	Why:      "The disk was full or the size limit of the capture was reached; traffic went on.",
	Remedy:   "Make room, or raise --max-size, and capture again.",
}

var undecoded = traffic.FindingKind{
	Code:     "store-undecoded",
	Severity: traffic.Warning,
	Title:    "The decoder failed on the exchange",
	Why:      "A fault of mpproxy. The bytes are recorded whole; summary and findings are missing.",
	Remedy:   "Report it with the exchange's bytes (mpproxy show --layer wire --raw).",
}

// The origins of a finding's row.
const (
	originProxy   = 0
	originDecoder = 1
)

// storeFindings writes the findings of an exchange, or of a connection when
// exchange is nil.
func (w *writer) storeFindings(exchange any, conn traffic.ConnID, proxys, decoders []traffic.Finding) error {
	all := slices.Concat(proxys, decoders)
	for i, f := range all {
		origin := originProxy
		if i >= len(proxys) {
			origin = originDecoder
		}
		if err := w.storeFinding(exchange, conn, f, mootBy(f, all), origin); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) storeFinding(exchange any, conn traffic.ConnID, f traffic.Finding, by *traffic.FindingKind, origin int) error {
	kind, err := w.findingKind(f.Kind)
	if err != nil {
		return err
	}
	var moot any
	if by != nil {
		if moot, err = w.findingKind(by); err != nil {
			return err
		}
	}
	return w.exec(`INSERT INTO found (exchange, conn, kind, leg, dir, layer, offset, evidence, sure, who, moot_by, origin)
		VALUES (?,?,?,?,?,?,?,?,?,?,?,?)`,
		exchange, conn, kind, f.Leg, f.Dir, f.Layer, f.Offset, plain(f.Evidence), f.Sure, f.Who, moot, origin)
}

// mootBy is the kind among all that explains f, or nil.
func mootBy(f traffic.Finding, all []traffic.Finding) *traffic.FindingKind {
	for _, other := range all {
		if slices.Contains(other.Kind.Moot, f.Kind.Code) {
			return other.Kind
		}
	}
	return nil
}
