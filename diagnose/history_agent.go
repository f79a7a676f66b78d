package diagnose

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"mpproxy/internal/tlsrecord"
	"mpproxy/traffic"
)

// address is what is known of an agent by its address.
type address struct {
	// build is the build of its program, 0 when it is not known; program is
	// the version as it was written.
	build   int
	program string
	// name and client are how its messages call it.
	name, client string
	// shared is true when several agents come from there.
	shared bool
	// machine is the computer that last sent a report from there, identity its
	// client id; changes is how often that has changed.
	machine, identity string
	changes           int
	// small counts its requests with a body over TLS that were answered well and
	// that IIS can read ahead; largest is the largest of them, in bytes, head
	// and body.
	small   int
	largest int64
	// last is its last exchange, uploaded the end of its last upload.
	last, uploaded traffic.ExchangeID
	// offers is the newest TLS version that its hellos offer, 0 without one.
	offers tlsrecord.Version
	// good is true when a handshake of it came to its end, refused when one
	// was refused for its versions.
	good, refused bool
}

// at is what is known of the agent at an address; nil when nothing is, and
// when there are too many.
func (h *History) at(agent string) *address {
	if h == nil || agent == "" {
		return nil
	}
	return h.addresses[agent]
}

func (h *History) makeAddress(agent string) *address {
	if agent == "" {
		return nil
	}
	if h.addresses == nil {
		h.addresses = map[string]*address{}
	}
	a := h.addresses[agent]
	if a == nil && len(h.addresses) < maxHistory {
		a = &address{}
		h.addresses[agent] = a
	}
	return a
}

// address learns what an exchange tells about its agent.
func (h *History) address(x *Exchange) {
	a := h.makeAddress(x.Agent)
	if a == nil || !x.isRequest() {
		return
	}
	a.last = x.ID
	a.takeVersion(x.Program)
	if strings.HasSuffix(x.Method, "POST") && x.TLS && x.good() && x.RequestSize <= readAhead {
		a.small++
		a.largest = max(a.largest, x.RequestSize)
	}
	if m := x.Message; m != nil {
		a.takeVersion(m.Version)
		a.shared = a.shared || m.Agent != "" && a.name != "" && !strings.EqualFold(m.Agent, a.name)
		a.name, a.client = cmp.Or(m.Agent, a.name), cmp.Or(m.Client, a.client)
	}
}

// agentVersion is a version of ConfigMgr's agent: 5.00.9128.1007.
var agentVersion = regexp.MustCompile(`(?:^|[^\d.])(5\.0{1,2}\.(\d{4})(?:\.\d{1,5})?)(?:$|[^\d.])`)

// takeVersion takes the version of ConfigMgr's agent out of a text, if it is
// there.
func (a *address) takeVersion(text string) {
	if program, build := versionIn(text); build > 0 {
		a.program, a.build = program, build
	}
}

func versionIn(text string) (program string, build int) {
	found := agentVersion.FindStringSubmatch(text[:min(len(text), 1<<10)])
	if found == nil {
		return "", 0
	}
	build, _ = strconv.Atoi(found[2])
	return found[1], build
}

// version is the version of this connection's agent: by what it says here, or
// has said elsewhere. build is 0 when it is not known.
func (f *facts) version() (program string, build int, where string) {
	for _, x := range f.requests {
		if program, build = versionIn(x.Program); build > 0 {
			return program, build, fmt.Sprintf("User-Agent of exchange %d", x.ID)
		}
		if x.Message != nil {
			if program, build = versionIn(x.Message.Version); build > 0 {
				return program, build, fmt.Sprintf("exchange %d", x.ID)
			}
		}
	}
	if a := f.History.at(f.agentAddress()); a != nil && a.build > 0 {
		return a.program, a.build, "other connections of this agent"
	}
	return "", 0, ""
}

func (f *facts) agentAddress() string { return hostOf(f.Conn.Agent) }

// words is an agent in a sentence: its address, and who it is when its messages
// have said so.
func (a *address) words(agent string) string {
	switch {
	case a.name != "" && a.client != "":
		return agent + " (" + quote(a.name) + ", " + quote(a.client) + ")"
	case a.name+a.client != "":
		return agent + " (" + quote(a.name+a.client) + ")"
	}
	return agent
}

// maxListed is how many agents a line of evidence names.
const maxListed = 20

// offerAtMost lists the agents whose hellos offer nothing newer than a version,
// in the order of their addresses; count is how many they are, good how many
// of them have got in.
func (h *History) offerAtMost(v tlsrecord.Version) (listed []string, count, good int) {
	if h == nil {
		return nil, 0, 0
	}
	var old []string
	for agent, a := range h.addresses {
		if a.offers != 0 && a.offers <= v {
			old = append(old, agent)
			if a.good {
				good++
			}
		}
	}
	slices.Sort(old)
	for _, agent := range old[:min(len(old), maxListed)] {
		listed = append(listed, h.addresses[agent].words(agent)+" "+h.addresses[agent].offers.String())
	}
	return listed, len(old), good
}

// refusedUpTo is the newest version of an agent that was refused for its
// versions, not below the given one.
func (h *History) refusedUpTo(v tlsrecord.Version) tlsrecord.Version {
	if h != nil {
		for _, a := range h.addresses {
			if a.refused {
				v = max(v, a.offers)
			}
		}
	}
	return v
}

// orphans is a line of evidence on the agents that a minimum above a version
// shuts out; nil when there are none.
func (h *History) orphans(v tlsrecord.Version) []string {
	listed, count, good := h.offerAtMost(v)
	if count == 0 {
		return nil
	}
	line := fmt.Sprintf("%s nothing newer than %s: %s", agentsOffer(count), v, strings.Join(listed, ", "))
	if count > len(listed) {
		line += fmt.Sprintf(", and %d more", count-len(listed))
	}
	if good > 0 {
		line += fmt.Sprintf("; %d of them got in here", good)
	}
	return []string{line}
}

func agentsOffer(n int) string {
	if n == 1 {
		return "1 agent offers"
	}
	return fmt.Sprintf("%d agents offer", n)
}

// AddConn takes a connection, in the order of their numbers, and learns what it
// tells about its agent and its management point.
func (h *History) AddConn(c *traffic.Conn) {
	h.outages.add(c, &h.uploads)
	if a := h.makeAddress(hostOf(c.Agent)); a != nil {
		a.takeHandshake(c.AgentLeg)
	}
	l := readLeg(traffic.UpstreamSide, c.UpstreamLeg)
	if l == nil {
		if l = readLeg(traffic.AgentSide, c.AgentLeg); l == nil || !l.sealed {
			return
		}
	}
	if leaf := l.server.leaf(); leaf != nil {
		if h.mpLeaves == nil {
			h.mpLeaves = map[string]chain{}
		}
		if _, known := h.mpLeaves[lowerHost(c.Upstream)]; known || len(h.mpLeaves) < maxHistory {
			h.mpLeaves[lowerHost(c.Upstream)] = l.server
		}
	}
}

// takeHandshake learns which TLS versions an agent has.
func (a *address) takeHandshake(end traffic.Leg) {
	l := readLeg(traffic.AgentSide, end)
	if l == nil || l.tr.ClientHello() == nil {
		return
	}
	a.offers = max(a.offers, l.hello().MaxVersion())
	a.good = a.good || !l.failed()
	a.refused = a.refused || l.says(tlsrecord.Server, 70)
}

// mpLeaf is the certificate that the management point of this connection shows,
// here or elsewhere in the capture; nil when none was seen.
func (f *facts) mpLeaf() chain {
	switch {
	case f.upstream != nil && f.upstream.server.leaf() != nil:
		return f.upstream.server
	case f.agent != nil && f.agent.sealed && f.agent.server.leaf() != nil:
		return f.agent.server
	case f.History != nil:
		return f.History.mpLeaves[lowerHost(f.Conn.Upstream)]
	}
	return nil
}

// mention is a reply that names a server.
type mention struct {
	where
	// kind is that of the request, or what else names it; agent is the address
	// that it came from.
	kind, agent string
}

// maxMentions is how many replies with one name are remembered, the last ones.
const maxMentions = 8

// names remembers which servers a reply names.
func (h *History) names(x *Exchange) {
	m := x.Message
	if naming[m.Kind] && x.good() {
		for _, p := range m.Places {
			h.mention(x, p.Host, m.Kind)
		}
	}
	h.mention(x, x.Host, "bits")
	if p, ok := placeIn(x.Location, false); ok {
		h.mention(x, p.Host, "redirect")
	}
}

func (h *History) mention(x *Exchange, host, kind string) {
	if host == "" {
		return
	}
	if h.named == nil {
		h.named = map[string][]mention{}
	}
	name := lowerHost(host)
	all := h.named[name]
	switch {
	case len(all) > 0 && all[len(all)-1].where == h.where(x):
		return // the same reply
	case len(all) == 0 && len(h.named) >= maxHistory:
		return
	case len(all) == maxMentions:
		all = slices.Delete(all, 0, 1)
	}
	h.named[name] = append(all, mention{h.where(x), kind, x.Agent})
}

// nounOf are the replies that name servers, in words.
var nounOf = map[string]string{
	"mp-list": "the MP list (MPLIST)", "mp-locate": "the MP location (MPLOCATION)", "mp-key": "the MP keys (MPKEYINFORMATION)",
	"bits": "the answer to an upload (BITS-Host-Id)", "redirect": "a redirection", "policy-request": "the policy reply", "policy-body": "a policy", "upload-request": "the reply to an upload request",
}

// lastNamed is the last reply before a time that gave out a name: one that this
// agent got, else one that another got. False when none did.
func (h *History) lastNamed(name, agent string, before time.Time) (m mention, found bool) {
	if h == nil {
		return mention{}, false
	}
	for _, one := range h.named[lowerHost(name)] {
		if one.at.After(before) || found && m.agent == agent && one.agent != agent {
			continue
		}
		m, found = one, true
	}
	return m, found
}

// givenName says where an agent has a name from, as evidence.
func (f *facts) givenName(name string) (line []string, bySite bool) {
	if name == "" {
		return nil, false
	}
	m, found := f.History.lastNamed(name, f.agentAddress(), f.Conn.Opened)
	if !found {
		if f.History == nil || len(f.History.named) == 0 {
			return []string{"where the agent has that name from is not in this capture: no list, location reply or policy came before"}, false
		}
		return []string{"no list, location reply or policy that came before has that name: the agent has it from its installation, from the directory, or from a time before this capture"}, false
	}
	noun := nounOf[m.kind]
	if noun == "" {
		noun = "the location reply (" + m.kind + ")"
	}
	text := fmt.Sprintf("the agent got the name %s from %s of %s, %s", quote(name), noun, m.where, m.at.UTC().Format("15:04:05 UTC"))
	if m.agent != f.agentAddress() {
		text = fmt.Sprintf("the site gives the name %s out: %s of %s, %s, which went to %s", quote(name), noun, m.where, m.at.UTC().Format("15:04:05 UTC"), m.agent)
	}
	return []string{text + "; the last one before this connection that has it"}, true
}
