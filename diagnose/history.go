package diagnose

import (
	"cmp"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"

	"mpproxy/decode"
	"mpproxy/traffic"
)

// Told is what the order of exchanges across connections tells about one.
type Told struct {
	Code     string
	Exchange traffic.ExchangeID
	Sure     string
	Proof    []string
}

// The codes of what history tells.
const (
	toldPending  = "msg-sent-while-pending"
	toldEnvelope = "msg-envelope-recipient"
	toldHash     = "msg-hash-differs"
	toldHint     = "msg-hint-new-key"
	toldDelta    = "msg-report-first-delta"
	toldGap      = "msg-report-gap"
	toldFull     = "msg-report-full-again"
	toldSiteCert = "msg-site-cert-changed"
	toldSiteKey  = "msg-site-key-changed"
	toldMPCert   = "msg-mp-cert-changed"
)

// maxHistory is how many agents are remembered.
const maxHistory = 10_000

// History remembers what agents and their site did, exchange by exchange and
// connection by connection. The zero value is ready. What it keeps is bounded.
// It belongs to one goroutine at a time.
type History struct {
	// file is the earlier capture that is being told of, "" for the one that
	// is judged.
	file              string
	agents            map[string]*remembered
	siteCert, siteKey seen
	mpCerts           map[string]seen
	// mpBefore are the certificates before the last ones, by the same keys;
	// mpNames is how management points call themselves, by the name asked for.
	mpBefore, mpNames map[string]seen
	// mixing says where the last one was again the one before, "" when none was.
	mixing    string
	hashes    map[string]int
	files     map[string]twoForms
	addresses map[string]*address
	named     map[string][]mention
	uploads   uploads
	outages   outages
	mpLeaves  map[string]chain
	// verbs are the methods of requests that were answered well.
	verbs map[string]passing
}

// seen is a value and where it was last.
type seen struct {
	value string
	where where
}

// where is an exchange, of an earlier capture when file is not empty.
type where struct {
	exchange traffic.ExchangeID
	file     string
	at       time.Time
}

func (w where) String() string {
	if w.file == "" {
		return fmt.Sprintf("exchange %d", w.exchange)
	}
	return fmt.Sprintf("exchange %d of %s, %s", w.exchange, w.file, w.at.UTC().Format("2006-01-02 15:04 UTC"))
}

func (h *History) where(x *Exchange) where { return where{x.ID, h.file, x.Begun} }

// remembered is what is known of one agent.
type remembered struct {
	registration seen
	serial       *big.Int
	// key is what it has registered, keyAt when; nil without.
	key   *decode.Key
	keyAt where
	// reports are the last version of each kind of report that the management
	// point took, "" for one of an earlier capture; failed is the last report
	// that it did not take.
	reports map[string]seen
	failed  seen
	// full are the last full reports of each kind, the oldest first.
	full map[string][]seen
	// machine is the computer that last sent a report as this agent, before the
	// other one that did so last.
	machine, before machine
	// pending is how often the last answers to its registration were "pending",
	// pendingSince the first of them.
	pending      int
	pendingSince where
}

// Earlier makes what comes next that of an earlier capture, by this name;
// [History.Present] ends it. What Add says of it is about that capture.
func (h *History) Earlier(file string) { h.file = file }

// Present begins the capture that is judged. Of earlier ones stays what holds
// over time: the site's certificates and keys, who agents are, and which names
// they were given. What was under way is over.
func (h *History) Present() {
	h.file = ""
	for _, a := range h.agents {
		a.registration, a.serial, a.failed, a.pending = seen{}, nil, seen{}, 0
		a.machine, a.before, a.full = machine{}, machine{}, nil
		for kind, r := range a.reports {
			a.reports[kind] = seen{where: r.where}
		}
	}
	for _, a := range h.addresses {
		a.small, a.largest, a.last, a.uploaded, a.machine = 0, 0, 0, 0, ""
	}
	h.files, h.uploads, h.outages, h.verbs = nil, uploads{}, outages{}, nil
}

// Add takes the next exchange, in the order of their numbers, and says what the
// earlier ones tell about it.
func (h *History) Add(x *Exchange) []Told {
	var out []Told
	tell := func(code, sure string, proof ...string) {
		out = append(out, Told{code, x.ID, sure, proof})
	}
	h.address(x)
	h.verb(x)
	h.content(x, tell)
	h.upload(x)
	m := x.Message
	if m == nil {
		return out
	}
	h.names(x)
	h.site(x, tell)
	h.called(x, tell)
	h.hash(m, tell)
	h.hint(x, tell)
	client, sure := m.Client, certain
	if by := h.at(x.Agent); client == "" && by != nil && len(m.Recipients) > 0 {
		client, sure = by.client, likely // a download says only from where it comes
	}
	a := h.agent(client)
	h.identity(x, a, tell)
	if a == nil {
		return out
	}
	a.report(x, h, tell)
	a.envelope(m, sure, tell)
	if m.Registration != "" {
		a.registration = seen{m.Registration, h.where(x)}
		a.wait(m.Registration == "1", h.where(x))
	}
	if m.Key != nil && m.Registration != "3" {
		a.key, a.keyAt = m.Key, h.where(x)
	}
	for _, c := range m.Certificates {
		if serial := serialOf(c.Hex); serial != nil {
			a.serial = serial // the encryption certificate comes last
		}
	}
	return out
}

// agent is what is remembered of a client id; nil without one, and when there
// are too many.
func (h *History) agent(client string) *remembered {
	key := clientKey(client)
	if key == "" {
		return nil
	}
	if h.agents == nil {
		h.agents = map[string]*remembered{}
	}
	a := h.agents[key]
	if a == nil && len(h.agents) < maxHistory {
		a = &remembered{reports: map[string]seen{}}
		h.agents[key] = a
	}
	return a
}

// remember is what is remembered of a client id, nil when nothing is.
func (h *History) remember(client string) *remembered {
	if h == nil {
		return nil
	}
	return h.agents[clientKey(client)]
}

func clientKey(client string) string { return strings.ToUpper(strings.Trim(client, "{} ")) }

// wait counts answers that say "pending".
func (a *remembered) wait(pending bool, at where) {
	switch {
	case !pending:
		a.pending = 0
		return
	case a.pending == 0:
		a.pendingSince = at
	}
	a.pending++
}

type teller func(code, sure string, proof ...string)

// site compares the certificates and keys of the site and its management
// points with those seen before.
func (h *History) site(x *Exchange, tell teller) {
	m := x.Message
	mp := cmp.Or(m.MPName, x.Asked)
	mpCert := h.mpCerts[m.Kind+" "+mp]
	for _, v := range []struct {
		was            *seen
		now, code, say string
	}{
		{&h.siteCert, m.SiteCert, toldSiteCert, "site signing certificate"},
		{&h.siteKey, m.SiteKey, toldSiteKey, "site key"},
		{&mpCert, m.MPCert, toldMPCert, "certificate of the management point " + quote(mp)},
	} {
		if v.now == "" {
			continue
		}
		if v.code == toldMPCert {
			h.mixed(m.Kind+" "+mp, *v.was, seen{v.now, h.where(x)}, tell)
		}
		if v.was.value != "" && v.was.value != v.now {
			tell(v.code, certain, fmt.Sprintf("exchange %d: the %s differs from that of %s: digest %.16s, was %.16s", x.ID, v.say, v.was.where, v.now, v.was.value))
		}
		*v.was = seen{v.now, h.where(x)}
	}
	if m.MPCert != "" && len(h.mpCerts) < maxHistory {
		if h.mpCerts == nil {
			h.mpCerts = map[string]seen{}
		}
		h.mpCerts[m.Kind+" "+mp] = mpCert
	}
}

// mixed tells of a certificate that is again what it was before the last one:
// several management points answer in turn.
func (h *History) mixed(key string, was, now seen, tell teller) {
	before := h.mpBefore[key]
	if before.value == now.value && was.value != now.value && now.value != "" {
		h.mixing = fmt.Sprintf("%s: the certificate is again that of %s, and %s had another", now.where, before.where, was.where)
		tell(toldMixed, certain, h.mixing)
	}
	if was.value == "" || was.value == now.value || len(h.mpBefore) >= maxHistory {
		return
	}
	if h.mpBefore == nil {
		h.mpBefore = map[string]seen{}
	}
	h.mpBefore[key] = was
}

// called tells of answers to one name in which the management point calls itself
// by different names.
func (h *History) called(x *Exchange, tell teller) {
	now := seen{strings.ToUpper(x.Message.MPName), h.where(x)}
	if now.value == "" || x.Asked == "" {
		return
	}
	was := h.mpNames[x.Asked]
	if was.value != "" && was.value != now.value {
		tell(toldMixed, certain, fmt.Sprintf("%s: asked for %s, %s answers; before (%s) it was %s", now.where, quote(x.Asked), quote(x.Message.MPName), was.where, quote(was.value)))
	}
	if h.mpNames == nil {
		h.mpNames = map[string]seen{}
	}
	if was.value != "" || len(h.mpNames) < maxHistory {
		h.mpNames[x.Asked] = now
	}
}

// habit is how many signatures with one hash make a habit of the site.
const habit = 3

func (h *History) hash(m *Message, tell teller) {
	if h.hashes == nil {
		h.hashes = map[string]int{}
	}
	for _, s := range m.Signatures {
		hash, _, _ := strings.Cut(s.Form, " ")
		if hash == "" {
			continue
		}
		for other, n := range h.hashes {
			if other != hash && n >= habit && h.hashes[hash] == 0 {
				tell(toldHash, likely, fmt.Sprintf("the signature verifies as %s; earlier agents of this site use %s (%d signatures)", hash, other, n))
				return
			}
		}
		h.hashes[hash]++
	}
}

// The origins of keys by which a hint is checked.
const (
	earlierKey = "earlier registration"
	newKey     = "this registration"
)

// hint compares the key of a registration with the one that the same agent has
// registered before. A hint is meant to be signed with that one.
func (h *History) hint(x *Exchange, tell teller) {
	m := x.Message
	if m.Key == nil {
		return
	}
	client := cmp.Or(m.HintClient, m.Client)
	a := h.agent(client)
	if a == nil || a.key == nil || a.key.Public.Equal(m.Key.Public) {
		return
	}
	before := fmt.Sprintf("the key that %s has registered before (%s) is another one than that of this registration", quote(client), a.keyAt)
	if m.HintClient == "" {
		tell(toldHint, certain, fmt.Sprintf("exchange %d: the registration has a new key and no hint", x.ID), before)
		return
	}
	for _, s := range m.verify([]decode.Key{{Origin: earlierKey, Public: a.key.Public}, {Origin: newKey, Public: m.Key.Public}}) {
		switch {
		case s.What != decode.HintSignature || s.Key == earlierKey:
		case s.Key == newKey:
			tell(toldHint, certain, fmt.Sprintf("exchange %d: the registration's hint is signed with the new key, not with the registered one", x.ID), before)
			return
		default:
			tell(toldHint, likely, fmt.Sprintf("exchange %d: the signature of the registration's hint fits neither the registered key nor the new one", x.ID), before)
			return
		}
	}
}

func (a *remembered) report(x *Exchange, h *History, tell teller) {
	m := x.Message
	if !isReport(m.Kind) {
		return
	}
	if a.registration.value == "1" {
		tell(toldPending, certain, fmt.Sprintf("exchange %d: report sent while registration is pending (%s): the management point will drop it", x.ID, a.registration.where))
	}
	if m.ReportVersion == "" {
		return
	}
	if m.ReportType != "delta" {
		a.again(x, seen{m.ReportVersion, h.where(x)}, tell)
	}
	was, known := a.reports[m.Kind]
	switch {
	case !known && m.ReportType == "delta":
		tell(toldDelta, possible, fmt.Sprintf("exchange %d: the first report seen from this agent is a delta (version %s)", x.ID, m.ReportVersion))
	case known && m.ReportType == "delta":
		a.gap(x, was, h.at(x.Agent), tell)
	}
	if !x.good() {
		a.failed = seen{m.ReportVersion, h.where(x)}
		return
	}
	a.reports[m.Kind] = seen{m.ReportVersion, h.where(x)}
}

// often is how many full reports within a day are too many.
const often = 3

// again tells of full reports that are sent too often.
func (a *remembered) again(x *Exchange, now seen, tell teller) {
	kind := x.Message.Kind
	if a.full == nil {
		a.full = map[string][]seen{}
	}
	all := a.full[kind]
	if n := len(all); n > 0 && all[n-1].value == now.value {
		return // the same report, sent again
	}
	all = append(all, now)
	all = all[max(len(all)-often, 0):]
	a.full[kind] = all
	if len(all) == often && x.good() && now.where.at.Sub(all[0].where.at) < 24*time.Hour {
		tell(toldFull, possible, fmt.Sprintf("exchange %d: a full report (version %s) again, the third within %s, since %s", x.ID, now.value, now.where.at.Sub(all[0].where.at).Round(time.Second), all[0].where))
	}
}

// gap tells of reports that are missing before one. An upload carries reports
// whose versions are not seen.
func (a *remembered) gap(x *Exchange, was seen, by *address, tell teller) {
	missing := between(was.value, x.Message.ReportVersion)
	if missing == "" {
		return
	}
	span := fmt.Sprintf("%s has %s, exchange %d has %s; expect a resync command", was.where, was.value, x.ID, x.Message.ReportVersion)
	switch {
	case a.failed.value == missing:
		tell(toldGap, certain, fmt.Sprintf("report %s of this agent was sent with %s and not acknowledged, and not sent again: %s", missing, a.failed.where, span))
	case by != nil && by.uploaded > was.where.exchange:
		tell(toldGap, possible, fmt.Sprintf("report %s of this agent was not seen: %s", missing, span),
			fmt.Sprintf("the agent has finished an upload in between (exchange %d), which may have been that report", by.uploaded))
	default:
		tell(toldGap, certain, fmt.Sprintf("report %s of this agent never passed: %s", missing, span))
	}
}

// between names the report that is missing between two versions, "" when none
// is: 4.9 and 4.11 lack 4.10.
func between(a, b string) string {
	aMajor, aMinor, ok1 := version(a)
	bMajor, bMinor, ok2 := version(b)
	if !ok1 || !ok2 || aMajor != bMajor || bMinor <= aMinor+1 {
		return ""
	}
	if bMinor == aMinor+2 {
		return fmt.Sprintf("%d.%d", aMajor, aMinor+1)
	}
	return fmt.Sprintf("%d.%d to %d.%d", aMajor, aMinor+1, aMajor, bMinor-1)
}

func version(s string) (major, minor int, ok bool) {
	before, after, found := strings.Cut(s, ".")
	major, err1 := strconv.Atoi(before)
	minor, err2 := strconv.Atoi(after)
	return major, minor, found && err1 == nil && err2 == nil && minor < 1<<30
}

func (a *remembered) envelope(m *Message, sure string, tell teller) {
	if a.serial == nil || len(m.Recipients) == 0 {
		return
	}
	for _, r := range m.Recipients {
		n, ok := new(big.Int).SetString(strings.Join(strings.Fields(r.Serial), ""), 16)
		if !ok || n.Cmp(a.serial) == 0 {
			return
		}
	}
	r := m.Recipients[0]
	tell(toldEnvelope, sure, fmt.Sprintf("the envelope is for %s, serial %s; the agent's certificate has serial %x", quote(r.Issuer), quote(r.Serial), a.serial))
}

// told finds what history tells by its code.
func (f *facts) told(code string) (Told, bool) {
	for _, t := range f.Told {
		if t.Code == code {
			return t, true
		}
	}
	return Told{}, false
}

// toldRule is a rule on what history tells.
func toldRule(k traffic.FindingKind, check, who string) rule {
	return rule{kind: k, check: check, test: func(f *facts) (occurrence, bool) {
		t, found := f.told(k.Code)
		if !found {
			return occurrence{}, false
		}
		o := occurrence{leg: legOf(who), who: who, sure: t.Sure, proof: t.Proof, exchange: &Exchange{ID: t.Exchange}}
		return o, true
	}}
}

// Verifies is true for requests of which History looks at the signatures too.
func Verifies(kind string) bool {
	return kind == "policy-request" || isRegistration(kind) || isReport(kind)
}

// Remembers is true for requests whose messages History has to be given; of
// others it needs the row alone.
func Remembers(kind string) bool {
	switch kind {
	case "site-cert", "trusted-key", "mp-cert", "bits-create", "bits-fragment", "bits-close", "bits-cancel":
		return true
	}
	return naming[kind] || isRegistration(kind) || isReport(kind)
}

// passing is how often requests of one method were answered well, and the
// largest among them, head and body, in bytes.
type passing struct {
	count   int
	largest int64
}

// maxVerbs is how many methods are remembered; agents use ten.
const maxVerbs = 50

func (h *History) verb(x *Exchange) {
	if !x.isRequest() || !x.good() {
		return
	}
	if h.verbs == nil {
		h.verbs = map[string]passing{}
	}
	p, known := h.verbs[x.Method]
	if !known && len(h.verbs) >= maxVerbs {
		return
	}
	h.verbs[x.Method] = passing{p.count + 1, max(p.largest, x.RequestSize)}
}

// passed is what is known of requests of this method that were answered well.
func (h *History) passed(method string) passing {
	if h == nil {
		return passing{}
	}
	return h.verbs[method]
}
