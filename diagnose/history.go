package diagnose

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"

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
	toldDelta    = "msg-report-first-delta"
	toldGap      = "msg-report-gap"
	toldSiteCert = "msg-site-cert-changed"
	toldSiteKey  = "msg-site-key-changed"
)

// maxHistory is how many agents are remembered.
const maxHistory = 10_000

// History remembers what agents and their site did, exchange by exchange. The
// zero value is ready. What it keeps is bounded.
type History struct {
	agents            map[string]*remembered
	siteCert, siteKey seen
	hashes            map[string]int
	files             map[string]twoForms
}

// seen is a value and the exchange that had it last.
type seen struct {
	value string
	at    traffic.ExchangeID
}

// remembered is what is known of one agent.
type remembered struct {
	registration seen
	serial       *big.Int
	// reports are the last version of each kind of report.
	reports map[string]seen
}

// Add takes the next exchange, in the order of their numbers, and says what the
// earlier ones tell about it.
func (h *History) Add(x *Exchange) []Told {
	var out []Told
	tell := func(code, sure string, proof ...string) {
		out = append(out, Told{code, x.ID, sure, proof})
	}
	h.content(x, tell)
	m := x.Message
	if m == nil {
		return out
	}
	h.site(x, tell)
	h.hash(m, tell)
	a := h.agent(m.Client)
	if a == nil {
		return out
	}
	a.report(x, tell)
	a.envelope(m, tell)
	if m.Registration != "" {
		a.registration = seen{m.Registration, x.ID}
	}
	for _, c := range m.Certificates {
		if serial := serialOf(c.Hex); serial != nil {
			a.serial = serial // the encryption certificate comes last
		}
	}
	return out
}

func (h *History) agent(client string) *remembered {
	key := strings.ToUpper(strings.Trim(client, "{} "))
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

type teller func(code, sure string, proof ...string)

// site compares the site's certificate and key with those seen before.
func (h *History) site(x *Exchange, tell teller) {
	for _, v := range []struct {
		was       *seen
		now       string
		code, say string
	}{
		{&h.siteCert, x.Message.SiteCert, toldSiteCert, "site signing certificate"},
		{&h.siteKey, x.Message.SiteKey, toldSiteKey, "site key"},
	} {
		if v.now == "" {
			continue
		}
		if v.was.value != "" && v.was.value != v.now {
			tell(v.code, certain, fmt.Sprintf("exchange %d: the %s differs from that of exchange %d: digest %.16s, was %.16s", x.ID, v.say, v.was.at, v.now, v.was.value))
		}
		*v.was = seen{v.now, x.ID}
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

func (a *remembered) report(x *Exchange, tell teller) {
	m := x.Message
	if !isReport(m.Kind) {
		return
	}
	if a.registration.value == "1" {
		tell(toldPending, certain, fmt.Sprintf("exchange %d: report sent while registration is pending (exchange %d): the management point will drop it", x.ID, a.registration.at))
	}
	if m.Version == "" {
		return
	}
	was, known := a.reports[m.Kind]
	switch {
	case !known && m.ReportType == "delta":
		tell(toldDelta, possible, fmt.Sprintf("exchange %d: the first report seen from this agent is a delta (version %s)", x.ID, m.Version))
	case known && m.ReportType == "delta":
		if missing := between(was.value, m.Version); missing != "" {
			tell(toldGap, certain, fmt.Sprintf("report %s of this agent never passed: exchange %d has %s, exchange %d has %s; expect a resync command", missing, was.at, was.value, x.ID, m.Version))
		}
	}
	a.reports[m.Kind] = seen{m.Version, x.ID}
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

func (a *remembered) envelope(m *Message, tell teller) {
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
	tell(toldEnvelope, certain, fmt.Sprintf("the envelope is for %s, serial %s; the agent's certificate has serial %x", quote(r.Issuer), quote(r.Serial), a.serial))
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

// Remembers is true for requests that History has to be given.
func Remembers(kind, target string) bool {
	if file, _ := contentFile(target); file != "" {
		return true
	}
	switch kind {
	case "site-cert", "trusted-key", "mp-key", "policy", "policy-body":
		return true
	}
	return isRegistration(kind) || isReport(kind)
}
