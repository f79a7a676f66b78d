package view

import (
	"cmp"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"mpproxy/capture"
	"mpproxy/traffic"
)

// Conns is the list of connections.
var Conns = Table[capture.ConnRow]{
	{"sev", "S", false, [6]int{1, 1, 1, 1, 1, 1}, func(c capture.ConnRow, _ Format, _ int) string { return c.Sev.Letter() }, 0},
	{"id", "conn", true, [6]int{8, 7, 6, 6, 5, 4}, func(c capture.ConnRow, _ Format, _ int) string { return strconv.FormatInt(int64(c.ID), 10) }, 0},
	{"time", "time", false, [6]int{23, 12, 12, 8, 8, 0}, func(c capture.ConnRow, f Format, n int) string { return f.Time(c.Opened, timeLayouts[n]) }, 0},
	{"agent", "agent", false, [6]int{-1, -1, -1, -1, -1, -1}, func(c capture.ConnRow, _ Format, _ int) string { return c.Agent }, 0},
	{"mode", "mode", false, [6]int{11, 11, 8, 0, 0, 0}, func(c capture.ConnRow, _ Format, _ int) string { return c.Mode }, 0},
	{"agent-leg", "agent leg", false, [6]int{9, 9, 9, 9, 9, 7}, func(c capture.ConnRow, _ Format, _ int) string { return legWord(c, traffic.AgentSide) }, 0},
	{"mp-leg", "MP leg", false, [6]int{9, 9, 9, 9, 9, 7}, func(c capture.ConnRow, _ Format, _ int) string { return legWord(c, traffic.UpstreamSide) }, 0},
	{"upstream", "management point", false, [6]int{34, 0, 0, 0, 0, 0}, func(c capture.ConnRow, _ Format, _ int) string { return c.Upstream }, 22},
	{"exchanges", "msgs", true, [6]int{6, 5, 5, 5, 5, 4}, func(c capture.ConnRow, _ Format, _ int) string { return strconv.FormatInt(c.Exchanges, 10) }, 0},
	{"bytes", "bytes", true, [6]int{0, 0, 6, 5, 0, 0}, func(c capture.ConnRow, _ Format, _ int) string { return Size(c.AgentLeg.BytesIn + c.AgentLeg.BytesOut) }, 6},
	{"in", "in", true, [6]int{6, 6, 0, 0, 0, 0}, func(c capture.ConnRow, _ Format, _ int) string { return Size(c.AgentLeg.BytesIn) }, 6},
	{"out", "out", true, [6]int{6, 6, 0, 0, 0, 0}, func(c capture.ConnRow, _ Format, _ int) string { return Size(c.AgentLeg.BytesOut) }, 6},
	{"took", "took", true, [6]int{6, 6, 6, 0, 0, 0}, func(c capture.ConnRow, _ Format, _ int) string { return connTook(c) }, 6},
	{"end", "end", false, [6]int{14, 12, 11, 11, 7, 0}, func(c capture.ConnRow, _ Format, _ int) string { return connEnd(c) }, 0},
	{"listener", "listener", false, [6]int{}, func(c capture.ConnRow, _ Format, _ int) string { return c.Listener }, 28},
	{"err", "error", false, [6]int{}, func(c capture.ConnRow, _ Format, _ int) string {
		return cmp.Or(c.AgentLeg.Err, c.UpstreamLeg.Err)
	}, 40},
}

// legWord is what a leg of a connection speaks.
func legWord(c capture.ConnRow, s traffic.Side) string {
	version, address := c.AgentTLS, c.AgentLeg.Address
	if s == traffic.UpstreamSide {
		version, address = c.UpstreamTLS, c.UpstreamLeg.Address
	}
	switch {
	case version != "":
		return "TLS " + version
	case c.Passed && c.Failed > 0:
		return "failed"
	case c.Passed:
		return "passed"
	case c.Failed > 0 && s == traffic.AgentSide && c.UpstreamLeg.Address == "":
		return "failed"
	case address == "" && s == traffic.UpstreamSide:
		return "-"
	case s == traffic.UpstreamSide && c.UpstreamLeg.End == traffic.EndRefused:
		return "refused"
	}
	return "plain"
}

func connTook(c capture.ConnRow) string {
	if c.Closed.IsZero() {
		return "open"
	}
	return Duration(c.Closed.Sub(c.Opened))
}

// connEnd says who ended a connection, and how.
func connEnd(c capture.ConnRow) string {
	a, u := c.AgentLeg, c.UpstreamLeg
	switch {
	case c.Closed.IsZero():
		return "open"
	case a.End == traffic.EndProxy && u.End != traffic.EndProxy && u.End != traffic.EndOpen:
		return "MP " + string(u.End)
	case a.End == traffic.EndProxy:
		return "mpproxy"
	}
	return "agent " + string(a.End)
}

func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}

// clientID is a client id, cut to its first eight digits where it does not
// fit; "-" for none.
func clientID(id string, cells int) string {
	if id == "" {
		return "-"
	}
	if len(id) <= cells {
		return id
	}
	id = strings.Trim(strings.TrimPrefix(strings.ToUpper(id), "GUID:"), "{}")
	return id[:min(len(id), 8)]
}

// Findings is the list of findings by kind.
var Findings = Table[FoundKind]{
	{"sev", "S", false, [6]int{1, 1, 1, 1, 1, 1}, func(g FoundKind, _ Format, _ int) string { return g.Kind.Severity.Letter() }, 0},
	{"count", "count", true, [6]int{7, 7, 7, 6, 6, 5}, func(g FoundKind, _ Format, _ int) string { return strconv.FormatInt(g.Count, 10) }, 0},
	{"agents", "agents", true, [6]int{6, 6, 6, 6, 6, 0}, func(g FoundKind, _ Format, _ int) string { return strconv.FormatInt(g.Agents, 10) }, 0},
	{"moot", "moot", true, [6]int{6, 0, 0, 0, 0, 0}, func(g FoundKind, _ Format, _ int) string { return strconv.FormatInt(g.Moot, 10) }, 5},
	{"first", "first", false, [6]int{19, 12, 12, 8, 0, 0}, func(g FoundKind, f Format, n int) string { return f.Time(g.First, timeLayouts[n]) }, 0},
	{"last", "last", false, [6]int{19, 12, 12, 8, 8, 0}, func(g FoundKind, f Format, n int) string { return f.Time(g.Last, timeLayouts[n]) }, 0},
	{"who", "who", false, [6]int{7, 7, 7, 7, 6, 0}, func(g FoundKind, _ Format, _ int) string { return whoName(g.Who) }, 0},
	{"sure", "sure", false, [6]int{8, 8, 0, 0, 0, 0}, func(g FoundKind, _ Format, _ int) string { return g.sure() }, 8},
	{"ref", "ref", false, [6]int{5, 5, 5, 0, 0, 0}, func(g FoundKind, _ Format, _ int) string { return g.Kind.Ref }, 5},
	{"code", "code", false, [6]int{32, 28, 0, 0, 0, 0}, func(g FoundKind, _ Format, _ int) string { return g.Kind.Code }, 28},
	{"title", "what", false, [6]int{-1, -1, -1, -1, -1, -1}, func(g FoundKind, _ Format, _ int) string { return g.title() }, 0},
}

// whoName is who has to act, as lists write it.
func whoName(who string) string {
	switch who {
	case "":
		return "-"
	case "mp":
		return "MP"
	}
	return who
}

// EndpointStat is what the exchanges of one endpoint add up to.
type EndpointStat struct {
	Endpoint            string
	Exchanges, Errors   int64
	ReqBytes, RespBytes int64
	Longest             time.Duration
	Took                capture.Took
	// Span is the time over which they were counted.
	Span time.Duration
}

// Quantile is about the duration that a share q of all stayed below. The
// histogram behind it is coarse, so the longest one bounds it.
func (e EndpointStat) Quantile(q float64) time.Duration {
	return min(e.Took.Quantile(q), e.Longest)
}

// Endpoints is the list of endpoints with their sums.
var Endpoints = Table[EndpointStat]{
	{"endpoint", "endpoint", false, [6]int{-1, -1, -1, -1, -1, -1}, func(e EndpointStat, _ Format, _ int) string { return cmp.Or(e.Endpoint, "(none)") }, 0},
	{"exchanges", "msgs", true, [6]int{9, 9, 8, 8, 7, 6}, func(e EndpointStat, _ Format, _ int) string { return strconv.FormatInt(e.Exchanges, 10) }, 0},
	{"hourly", "n/h", true, [6]int{9, 9, 8, 0, 0, 0}, func(e EndpointStat, _ Format, _ int) string { return hourly(e) }, 8},
	{"errors", "E%", true, [6]int{6, 6, 6, 5, 5, 5}, func(e EndpointStat, _ Format, _ int) string { return percent(e.Errors, e.Exchanges) }, 0},
	{"p50", "p50", true, [6]int{7, 7, 6, 6, 6, 6}, func(e EndpointStat, _ Format, _ int) string { return Duration(e.Quantile(0.5)) }, 0},
	{"p95", "p95", true, [6]int{7, 7, 6, 6, 0, 0}, func(e EndpointStat, _ Format, _ int) string { return Duration(e.Quantile(0.95)) }, 0},
	{"p99", "p99", true, [6]int{7, 7, 6, 6, 6, 0}, func(e EndpointStat, _ Format, _ int) string { return Duration(e.Quantile(0.99)) }, 0},
	{"max", "max", true, [6]int{7, 7, 6, 6, 6, 6}, func(e EndpointStat, _ Format, _ int) string { return Duration(e.Longest) }, 0},
	{"req", "req avg", true, [6]int{8, 8, 7, 7, 0, 0}, func(e EndpointStat, _ Format, _ int) string { return Size(e.ReqBytes / max(e.Exchanges, 1)) }, 0},
	{"resp", "reply avg", true, [6]int{9, 9, 9, 9, 0, 0}, func(e EndpointStat, _ Format, _ int) string { return Size(e.RespBytes / max(e.Exchanges, 1)) }, 0},
}

func hourly(e EndpointStat) string {
	if e.Span < time.Minute {
		return "-"
	}
	return strconv.FormatInt(int64(float64(e.Exchanges)/e.Span.Hours()), 10)
}

func percent(part, whole int64) string {
	if whole == 0 {
		return "-"
	}
	return strconv.FormatFloat(100*float64(part)/float64(whole), 'f', 1, 64)
}

// EndpointStats adds the sums of minutes up by endpoint, the busiest first.
func EndpointStats(ms []capture.Minute) []EndpointStat {
	byName := map[string]*EndpointStat{}
	var names []string
	for _, m := range ms {
		e := byName[m.Endpoint]
		if e == nil {
			e = &EndpointStat{Endpoint: m.Endpoint, Span: ms[len(ms)-1].At.Sub(ms[0].At) + time.Minute}
			byName[m.Endpoint] = e
			names = append(names, m.Endpoint)
		}
		e.Exchanges, e.Errors = e.Exchanges+m.Exchanges, e.Errors+m.Errors
		e.ReqBytes, e.RespBytes = e.ReqBytes+m.ReqBytes, e.RespBytes+m.RespBytes
		e.Longest = max(e.Longest, m.Longest)
		e.Took.Merge(m.Took)
	}
	out := make([]EndpointStat, 0, len(names))
	for _, name := range names {
		out = append(out, *byName[name])
	}
	slices.SortStableFunc(out, func(a, b EndpointStat) int { return cmp.Compare(b.Exchanges, a.Exchanges) })
	return out
}
