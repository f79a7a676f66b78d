package view

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"mpproxy/capture"
	"mpproxy/decode"
	"mpproxy/traffic"
)

// Format says how values are written.
type Format struct {
	// Zone is the zone of times; nil is the local one.
	Zone *time.Location
	// ASCII keeps out everything else.
	ASCII bool
}

func (f Format) zone() *time.Location {
	if f.Zone == nil {
		return time.Local
	}
	return f.Zone
}

// Time writes an instant by a layout of package time; "-" for none.
func (f Format) Time(t time.Time, layout string) string {
	if t.IsZero() {
		return "-"
	}
	return t.In(f.zone()).Format(layout)
}

// Exchanges is the list of exchanges.
var Exchanges = Table[capture.Row]{
	{"sev", "S", false, [6]int{1, 1, 1, 1, 1, 1}, func(r capture.Row, _ Format, _ int) string { return r.Sev.Letter() }, 0},
	{"fate", "F", false, [6]int{1, 1, 1, 1, 1, 1}, func(r capture.Row, _ Format, _ int) string { return Fate(r) }, 0},
	{"id", "id", true, [6]int{10, 8, 0, 0, 0, 0}, func(r capture.Row, _ Format, _ int) string { return strconv.FormatInt(int64(r.ID), 10) }, 0},
	{"time", "time", false, [6]int{23, 12, 12, 8, 8, 5}, func(r capture.Row, f Format, n int) string { return f.Time(r.Begun, timeLayouts[n]) }, 0},
	{"agent", "agent", false, [6]int{20, 12, 12, 11, 10, 8}, func(r capture.Row, _ Format, n int) string { return agentName(r, n) }, 0},
	{"endpoint", "endpoint", false, [6]int{22, 18, 0, 0, 0, 0}, func(r capture.Row, _ Format, _ int) string { return r.Endpoint }, 0},
	{"kind", "message", false, [6]int{24, 18, 18, 18, 12, 12}, func(r capture.Row, _ Format, _ int) string { return KindName(r.Kind) }, 0},
	{"summary", "summary", false, [6]int{-1, -1, -1, -1, -1, -1}, func(r capture.Row, _ Format, _ int) string { return summary(r) }, 0},
	{"status", "st", true, [6]int{3, 3, 3, 3, 3, 0}, func(r capture.Row, _ Format, _ int) string { return status(r) }, 0},
	{"req", "req", true, [6]int{6, 5, 5, 0, 0, 0}, func(r capture.Row, _ Format, _ int) string { return Size(r.ReqBytes) }, 0},
	{"resp", "resp", true, [6]int{6, 5, 5, 0, 0, 0}, func(r capture.Row, _ Format, _ int) string { return Size(r.RespBytes) }, 0},
	{"took", "took", true, [6]int{6, 6, 6, 6, 0, 0}, func(r capture.Row, _ Format, _ int) string { return Duration(r.Took()) }, 0},
	{"conn", "conn", true, [6]int{}, func(r capture.Row, _ Format, _ int) string { return strconv.FormatInt(int64(r.Conn), 10) }, 6},
	{"auth", "auth", false, [6]int{}, func(r capture.Row, _ Format, _ int) string { return r.Auth }, 7},
	{"tls", "tls", false, [6]int{}, func(r capture.Row, _ Format, _ int) string { return r.TLS }, 3},
	{"method", "method", false, [6]int{}, func(r capture.Row, _ Format, _ int) string { return r.Method }, 9},
	{"target", "target", false, [6]int{}, func(r capture.Row, _ Format, _ int) string { return r.Target }, 30},
	{"client", "client", false, [6]int{}, func(r capture.Row, _ Format, _ int) string { return r.Client }, 41},
	{"rule", "rule", false, [6]int{}, func(r capture.Row, _ Format, _ int) string { return strings.Join(r.Rules, ",") }, 20},
}

var timeLayouts = map[int]string{23: "2006-01-02 15:04:05.000", 19: time.DateTime, 12: "15:04:05.000", 9: time.TimeOnly, 8: time.TimeOnly, 5: "04:05"}

// Fate is the letter for what became of an exchange.
func Fate(r capture.Row) string {
	switch {
	case r.Origin == "replay":
		return "R"
	case r.Fate == traffic.InFlight:
		return ">"
	case r.Fate == traffic.Modified:
		return "M"
	case r.Fate == traffic.Answered:
		return "A"
	case r.Fate == traffic.Dropped, r.Fate == traffic.Broken:
		return "D"
	case r.Fate == traffic.Tunneled:
		return "P"
	case r.Marked:
		return "*"
	}
	return " "
}

// FateWords says in words what a fate is.
func FateWords(f traffic.Fate) string {
	switch f {
	case traffic.InFlight:
		return "under way"
	case traffic.Passed:
		return "passed unchanged"
	case traffic.Modified:
		return "changed by a rule"
	case traffic.Answered:
		return "answered by mpproxy"
	case traffic.Dropped:
		return "dropped by a rule"
	case traffic.Broken:
		return "broken off"
	case traffic.Tunneled:
		return "passed as raw bytes"
	}
	return string(f)
}

var kindNames = func() map[string]string {
	names := map[string]string{"": "-"}
	for _, k := range decode.Kinds() {
		names[k.Slug] = k.Name
	}
	return names
}()

// KindName is a kind's slug in words.
func KindName(slug string) string {
	if name := kindNames[slug]; name != "" {
		return name
	}
	return slug
}

// summary is the row's, or what broke it off where nothing could be decoded.
func summary(r capture.Row) string {
	if r.Kind == "tls" && r.Err != "" || r.Short == "" && r.Fate == traffic.Broken {
		return r.Err
	}
	// What is under way has no summary yet.
	return cmp.Or(r.Short, strings.TrimSpace(r.Method+" "+r.Target))
}

// agentName is the agent's name; a client id is cut to its first eight digits.
func agentName(r capture.Row, cells int) string {
	who := r.Who()
	if r.Agent == "" && r.Client != "" && len(who) > cells {
		who = strings.TrimPrefix(strings.ToUpper(who), "GUID:")
		who = strings.Trim(who, "{}")
		who = who[:min(len(who), 8)]
	}
	return who
}

func status(r capture.Row) string {
	switch {
	case r.Status != 0:
		return strconv.Itoa(r.Status)
	case r.Fate == traffic.InFlight:
		return ""
	}
	return "-"
}

// Duration is a time as lists show it: "0.4ms", "31ms", "2.31s", "3m".
func Duration(d time.Duration) string {
	switch {
	case d <= 0:
		return ""
	case d < 10*time.Millisecond-50*time.Microsecond:
		return fmt.Sprintf("%.1fms", float64(d.Microseconds())/1e3)
	case d < time.Second-500*time.Microsecond:
		return fmt.Sprintf("%.0fms", float64(d.Microseconds())/1e3)
	case d < 10*time.Second:
		return fmt.Sprintf("%.2fs", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0fs", d.Seconds())
	}
	return fmt.Sprintf("%.0fm", d.Minutes())
}
