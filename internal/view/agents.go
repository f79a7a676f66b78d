package view

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"mpproxy/capture"
	"mpproxy/traffic"
)

// Agent is one agent, whatever names and ids it has gone by: a capture counts
// each combination of name, client id and address by itself, since an agent
// has no id before it is registered.
type Agent struct {
	// Name is the computer's, else a client id, else an address.
	Name string
	// Clients are its client ids, Addresses where it came from, the last first.
	Clients, Addresses []string
	// Auth is what it proved last: "cert", "self", "token", "windows", "none".
	Auth                        string
	First, Last                 time.Time
	Exchanges, Errors, Warnings int64
	Bytes                       int64
}

// Registered says whether the agent has got a client id: "yes", "no", or
// "dup" when it has several.
func (a Agent) Registered() string {
	n := 0
	for _, id := range a.Clients {
		if isGUID(id) {
			n++
		}
	}
	switch n {
	case 0:
		return "no"
	case 1:
		return "yes"
	}
	return "dup"
}

// isGUID is true for the id that a site gives; before that, agents call
// themselves by a hardware address or nothing.
func isGUID(id string) bool { return strings.HasPrefix(strings.ToUpper(id), "GUID:") }

// AgentsOf joins what a capture has counted, in its order: by name, and what
// has no name by a client id that a name has too.
func AgentsOf(seen []capture.Agent) []Agent {
	names := map[string]string{}
	for _, a := range seen {
		if a.Name != "" && a.Client != "" {
			names[strings.ToUpper(a.Client)] = a.Name
		}
	}
	var out []Agent
	at := map[string]int{}
	for _, a := range seen {
		name := cmp.Or(a.Name, names[strings.ToUpper(a.Client)], a.Client, hostOf(a.Address))
		key := strings.ToUpper(name)
		i, known := at[key]
		if !known {
			i = len(out)
			at[key] = i
			out = append(out, Agent{Name: name, Auth: a.Auth, First: a.First, Last: a.Last})
		}
		out[i].add(a)
	}
	return out
}

func (a *Agent) add(c capture.Agent) {
	if c.Client != "" && !slices.Contains(a.Clients, c.Client) {
		a.Clients = append(a.Clients, c.Client)
	}
	if host := hostOf(c.Address); host != "" && !slices.Contains(a.Addresses, host) {
		a.Addresses = append(a.Addresses, host)
	}
	if c.First.Before(a.First) {
		a.First = c.First
	}
	if c.Last.After(a.Last) {
		a.Last, a.Auth = c.Last, c.Auth
	}
	a.Exchanges, a.Errors, a.Warnings = a.Exchanges+c.Exchanges, a.Errors+c.Errors, a.Warnings+c.Warnings
	a.Bytes += c.Bytes
}

// Sev is the worst that was found in the agent's exchanges.
func (a Agent) Sev() traffic.Severity {
	switch {
	case a.Errors > 0:
		return traffic.Error
	case a.Warnings > 0:
		return traffic.Warning
	}
	return traffic.None
}

// client is the id to show: the site's, else the last other one.
func (a Agent) client() string {
	for _, id := range a.Clients {
		if isGUID(id) {
			return id
		}
	}
	if len(a.Clients) > 0 {
		return a.Clients[0]
	}
	return ""
}

// Agents is the list of agents.
var Agents = Table[Agent]{
	{"sev", "S", false, [6]int{1, 1, 1, 1, 1, 1}, func(a Agent, _ Format, _ int) string { return a.Sev().Letter() }, 0},
	{"agent", "name", false, [6]int{-1, -1, -1, -1, -1, -1}, func(a Agent, _ Format, _ int) string { return a.Name }, 0},
	{"client", "client id", false, [6]int{41, 9, 9, 9, 9, 0}, func(a Agent, _ Format, n int) string { return clientID(a.client(), n) }, 0},
	{"address", "address", false, [6]int{16, 16, 15, 0, 0, 0}, func(a Agent, _ Format, _ int) string { return strings.Join(a.Addresses, " ") }, 15},
	{"auth", "auth", false, [6]int{7, 7, 7, 7, 7, 0}, func(a Agent, _ Format, _ int) string { return cmp.Or(a.Auth, "none") }, 0},
	{"registered", "reg.", false, [6]int{4, 4, 4, 4, 4, 0}, func(a Agent, _ Format, _ int) string { return a.Registered() }, 0},
	{"first", "first seen", false, [6]int{12, 12, 0, 0, 0, 0}, func(a Agent, f Format, n int) string { return f.Time(a.First, timeLayouts[n]) }, 19},
	{"last", "last seen", false, [6]int{19, 12, 12, 9, 8, 8}, func(a Agent, f Format, n int) string { return f.Time(a.Last, timeLayouts[n]) }, 0},
	{"exchanges", "msgs", true, [6]int{8, 7, 7, 6, 5, 5}, func(a Agent, _ Format, _ int) string { return strconv.FormatInt(a.Exchanges, 10) }, 0},
	{"errors", "E", true, [6]int{6, 5, 5, 4, 4, 3}, func(a Agent, _ Format, _ int) string { return strconv.FormatInt(a.Errors, 10) }, 0},
	{"warnings", "W", true, [6]int{6, 5, 5, 4, 4, 3}, func(a Agent, _ Format, _ int) string { return strconv.FormatInt(a.Warnings, 10) }, 0},
	{"bytes", "bytes", true, [6]int{7, 6, 6, 6, 0, 0}, func(a Agent, _ Format, _ int) string { return Size(a.Bytes) }, 0},
}
