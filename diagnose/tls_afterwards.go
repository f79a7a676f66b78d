package diagnose

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"mpproxy/internal/tlsrecord"
	"mpproxy/traffic"
)

// handshakeAfter is the first handshake record that came on a leg after its
// handshake.
func handshakeAfter(a *traffic.Afterwards) (traffic.Record, bool) {
	if a == nil {
		return traffic.Record{}, false
	}
	for _, r := range a.In {
		if tlsrecord.ContentType(r.Type) == tlsrecord.ContentHandshake {
			return r, true
		}
	}
	return traffic.Record{}, false
}

// since is how long after a time something was that has microseconds.
func since(begin time.Time, us int64) string {
	return time.UnixMicro(us).Sub(begin).Round(time.Millisecond).String()
}

// askedAgain is a renegotiation by the management point with mpproxy.
func (f *facts) askedAgain() (occurrence, bool) {
	after := f.Conn.UpstreamLeg.After
	if f.upstream == nil || f.upstream.failed() || after == nil {
		return occurrence{}, false
	}
	o := occurrence{leg: traffic.UpstreamSide, who: mpSide, sure: certain}
	if after.Again == nil {
		r, seen := handshakeAfter(after)
		o.sure = likely
		o.proof = []string{fmt.Sprintf("it began a second handshake (%d bytes) %s after the first one", r.Length, since(f.upstream.hs.Ended, r.At))}
		return o, seen
	}
	line := fmt.Sprintf("it asked for a client certificate %s after the handshake", since(f.upstream.hs.Ended, after.AskedAt))
	if o.exchange = f.underWay(after.AskedAt); o.exchange != nil {
		line += ", at " + quote(o.exchange.Method) + " " + quote(o.exchange.path())
	}
	o.proof = append(o.proof, line, "mpproxy showed "+quote(after.Again.Identity))
	if after.Again.Unsuited != "" {
		o.proof = append(o.proof, "which does not fit what was asked for: "+after.Again.Unsuited)
	}
	if after.Again.Count > 0 {
		o.proof = append(o.proof, fmt.Sprintf("%d authorities were named (%d bytes)", after.Again.Count, after.Again.Size))
	}
	if o.exchange != nil && needsNoCertificate(o.exchange) {
		o.proof = append(o.proof, "it asked on a URL that should not need one: see the SSL settings of that folder, devices on the way, and the proxy that SYSTEM uses (netsh winhttp show proxy), which need not be the user's")
	}
	return o, true
}

// underWay is the request that was on its way at a time, in microseconds; the
// last one begun before it.
func (f *facts) underWay(us int64) *Exchange {
	var found *Exchange
	for _, x := range f.requests {
		if x.Begun.UnixMicro() <= us {
			found = x
		}
	}
	return found
}

// withCertificate are the folders of a site system where sites of HTTPS only
// want client certificates.
var withCertificate = []string{
	"/ccm_system/", "/ccm_system_windowsauth/", "/ccm_incoming/", "/ccm_client/", "/ccm_proxy_mutualauth/", "/ccm_sts", "/sms_mp/", "/sms_dp_",
	"/bgb/", "/cmuserservice",
}

// needsNoCertificate knows what agents fetch before they have a certificate
// (lists of management points and the site's own certificates), the folders for
// agents without one (AltAuth, TokenAuth), and those that are not the site's.
func needsNoCertificate(x *Exchange) bool {
	path := strings.ToLower(x.path())
	if !slices.ContainsFunc(withCertificate, func(folder string) bool { return strings.HasPrefix(path, folder) }) {
		return true
	}
	_, query, _ := strings.Cut(strings.ToLower(x.Target), "?")
	for _, open := range []string{"mplist", "mpcert", "mpkeyinformation", "sitesigncert"} {
		if strings.HasPrefix(query, open) {
			return x.Method == "GET" || x.Method == "HEAD"
		}
	}
	return false
}

// lastFromMP is the last record that came from the management point, as
// evidence that no alert was among what it said last. In TLS 1.3 an alert has
// 2 bytes, with at most 17 of encryption around them.
func (f *facts) lastFromMP() []string {
	after := f.Conn.UpstreamLeg.After
	if after == nil || after.LastIn <= 2+17 {
		return nil
	}
	return []string{fmt.Sprintf("its last record has %d bytes: more than an alert", after.LastIn)}
}

var mpAlertAtEnd = rule{
	kind: traffic.FindingKind{
		Code: "upstream-alert-at-reset", Ref: "M22", Severity: traffic.Info,
		Title:  "The management point ended the connection while mpproxy was writing; its alert comes with the end, or is lost to it",
		Why:    "A side that closes with unread bytes sends a reset, which can overtake the alert that says why.",
		Remedy: "Nothing by itself: look at the other findings of this connection, and at the management point's own log when no alert was seen.",
	},
	check: "On the management point: Schannel event 36888 at this time has the alert that it sent.",
	test: func(f *facts) (occurrence, bool) {
		u := f.Conn.UpstreamLeg
		if f.upstream == nil || u.After == nil || u.After.WriteErr == "" {
			return occurrence{}, false
		}
		o := occurrence{leg: traffic.UpstreamSide, who: "", sure: certain, proof: []string{"a write failed: " + quote(u.After.WriteErr)}}
		switch code, said := f.refusedAfterwards(); {
		case said:
			o.proof = append(o.proof, "the alert "+alertText(code)+" was read after that")
		case u.End == traffic.EndReset:
			o.sure = possible
			o.proof = append(o.proof, "no alert could be read after that")
		default:
			return occurrence{}, false
		}
		return o, true
	},
}

var mpRefusesHidden = rule{
	kind: traffic.FindingKind{
		Code: "upstream-refuses-hidden", Ref: "M12", Severity: traffic.Warning,
		Title:  "The management point ended the connection right after the agent's part of the handshake, as it does when it refuses the client certificate or misses one",
		Why:    "TLS 1.3, and a renegotiation before it, encrypt certificates and alerts, so only sizes and the order of things can be seen.",
		Remedy: "Look into the management point's System log (Schannel 36876, 36887, 36888) for the reason; see that its computer trusts the authority of the agents' certificates, and that the agent has one.",
		Moot:   []string{"tls-agent-left-idle", "tls-agent-left", "upstream-reset", "upstream-no-reply"},
	},
	check: "On the management point: Schannel events at this time; on the agent: CcmMessaging.log (12044, 12030).",
	test: func(f *facts) (occurrence, bool) {
		l := f.agent
		if l == nil || !l.sealed {
			return occurrence{}, false
		}
		if l.tr.Version() < tlsrecord.TLS13 {
			return f.refusedAgain()
		}
		if len(l.hs.InMarks) == 0 || l.tr.Resumed() {
			return occurrence{}, false
		}
		h, read := l.hidden()
		if read && h.dismissed && l.hello().Has(tlsrecord.ExtPostHandshakeAuth) && l.keptWhole() {
			return occurrence{leg: traffic.AgentSide, who: mpSide, sure: possible, proof: []string{
				"to the last that the agent said the management point had one record of an alert's size as its only answer",
				"the agent's hello offers post_handshake_auth: it can be asked for its certificate after its request, which cannot be seen",
			}}, true
		}
		waited := f.Conn.UpstreamLeg.EndedAt.Sub(l.hs.Began) - h.finished
		refused := h.answers == 1 && h.alert || h.answers == 0 && f.mpEnded()
		if !read || waited > answerTime || !refused {
			return occurrence{}, false
		}
		o := occurrence{leg: traffic.AgentSide, who: mpSide, sure: possible}
		switch {
		case h.none || h.shown > 0 && h.shown < certificateLeast:
			o.proof = []string{"by its size the agent's answer is a Certificate message without a certificate"}
			o.do = missedRemedy()
		case h.shown > 0:
			o.proof = []string{fmt.Sprintf("before its Finished the agent sent %d bytes, as with a certificate", h.shown)}
		default: // nobody was asked for a certificate
			return occurrence{}, false
		}
		if h.alert {
			o.proof = append(o.proof, "then the management point sent one record of an alert's size, and nothing else")
		} else {
			o.proof = append(o.proof, "then nothing more came from the management point", f.mpEnd())
		}
		return o, true
	},
}

// hidden is what the sizes of a TLS 1.3 handshake tell that was passed through.
type hidden struct {
	// none is true for an empty Certificate of the client; shown are the bytes
	// that it sent, encrypted, before its Finished.
	none  bool
	shown int
	// answers is how many records the server sent after the client's Finished,
	// alert is true when the first of them has an alert's size.
	answers int
	alert   bool
	// answered is true when the server sent anything after the client's first
	// data.
	answered bool
	// dismissed is true when the last that the client said, after its first data,
	// got an alert for an answer and nothing else.
	dismissed bool
	// finished is when the client's Finished came, since the handshake began.
	finished time.Duration
}

// answerTime is how soon a server that dislikes a certificate says so. One that
// ends later was tired of waiting for a request.
const answerTime = 5 * time.Second

// keptWhole is true when all bytes of the leg were kept.
func (l *leg) keptWhole() bool {
	return max(len(l.hs.In), len(l.hs.Out)) < traffic.HandshakeLimit
}

// certificateLeast is more than an empty Certificate and a Finished in one record
// have, in bytes, and less than any certificate.
const certificateLeast = 200

// hidden reads a handshake in order of time. The client's Finished is known by
// its size, or by the server's speaking after it. It is false when it is not
// there, or the client said goodbye first.
func (l *leg) hidden() (h hidden, read bool) {
	finished, data, owed := false, false, false
	for _, r := range l.inTime() {
		m := r.Message
		switch {
		case m == nil || !m.Encrypted:
		case r.From == tlsrecord.Server && (finished || h.shown > 0):
			finished = true
			h.answered = h.answered || data
			h.alert = h.answers == 0 && m.Guess == tlsrecord.MaybeAlert
			h.dismissed = owed && m.Guess == tlsrecord.MaybeAlert
			owed = false
			h.answers++
		case r.From == tlsrecord.Server:
		case m.Guess == tlsrecord.MaybeFinished:
			finished, h.finished = true, r.At
		case m.Guess == tlsrecord.MaybeAlert && h.answers == 0:
			return h, false
		case finished:
			data = true
			owed, h.dismissed = m.Guess != tlsrecord.MaybeAlert, false
		default:
			h.none = h.none || m.Guess == tlsrecord.MaybeNoCertificate
			h.shown += m.Length
			h.finished = r.At
		}
	}
	return h, finished
}
