package view

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rivo/uniseg"

	"mpproxy/capture"
	"mpproxy/traffic"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// Every list fills every width exactly, or columns jump and lines wrap.
func TestListWidths(t *testing.T) {
	widths(t, "conns", Conns, capture.ConnRow{
		Conn: traffic.Conn{
			ID: 9917, Agent: "[fe80::1234:5678:9abc:def0%eth0]:51322", Mode: "transparent", Opened: noon, Closed: noon.Add(4 * time.Second),
			AgentLeg: traffic.Leg{End: traffic.EndReset}, Upstream: "mp01.lab.example:443",
		}, Exchanges: 120_000,
	})
	widths(t, "agents", Agents, Agent{Name: "PC-0419 with a name that is very long indeed", Clients: []string{"GUID:8F3C1A20-77B1-4C55-9E0D-2A6D1B90C0F4"}, Last: noon, Exchanges: 1_000_000})
	widths(t, "findings", Findings, FoundKind{FindingGroup: capture.FindingGroup{Kind: &traffic.FindingKind{Code: "a-b", Title: strings.Repeat("long ", 60)}, Count: 1_000_000, Last: noon}})
	widths(t, "endpoints", Endpoints, EndpointStat{Endpoint: "MP_ClientRegistrationEndpointOfSomeLength", Exchanges: 1_000_000, Span: time.Hour})
}

// A leg that says "plain" where TLS was passed through, or failed, hides the
// connection that somebody looks for.
func TestLegWords(t *testing.T) {
	there := traffic.Leg{Address: "192.0.2.1:443", End: traffic.EndFIN}
	for _, c := range []struct {
		row       capture.ConnRow
		agent, mp string
	}{
		{capture.ConnRow{Conn: traffic.Conn{UpstreamLeg: there}}, "plain", "plain"},
		{capture.ConnRow{Conn: traffic.Conn{UpstreamLeg: there}, AgentTLS: "1.3", UpstreamTLS: "1.2"}, "TLS 1.3", "TLS 1.2"},
		{capture.ConnRow{Failed: 1}, "failed", "-"},
		{capture.ConnRow{Conn: traffic.Conn{UpstreamLeg: there}, Passed: true}, "passed", "passed"},
		{capture.ConnRow{Conn: traffic.Conn{UpstreamLeg: there}, Passed: true, Failed: 1}, "failed", "failed"},
		{capture.ConnRow{Conn: traffic.Conn{UpstreamLeg: traffic.Leg{Address: "192.0.2.1:443", End: traffic.EndRefused}}}, "plain", "refused"},
	} {
		if a, mp := legWord(c.row, traffic.AgentSide), legWord(c.row, traffic.UpstreamSide); a != c.agent || mp != c.mp {
			t.Errorf("%+v: %s, %s; want %s, %s", c.row, a, mp, c.agent, c.mp)
		}
	}
}

func widths[R any](t *testing.T, name string, table Table[R], r R) {
	t.Helper()
	f := Format{Zone: time.UTC}
	for cells := 60; cells <= 200; cells++ {
		l := table.For(cells)
		for _, line := range []string{l.Line(r, f), l.Heading(f)} {
			if w := uniseg.StringWidth(line); w != cells {
				t.Fatalf("%s at %d columns the line has %d: %q", name, cells, w, line)
			}
		}
	}
}

// An agent has no id before it is registered, and downloads name neither: it
// would stand in the list three times.
func TestAgentsOf(t *testing.T) {
	const id = "GUID:8F3C1A20-77B1-4C55-9E0D-2A6D1B90C0F4"
	got := AgentsOf([]capture.Agent{
		{Client: id, Address: "192.0.2.7:1", Auth: "cert", First: noon.Add(2), Last: noon.Add(9), Exchanges: 4, Errors: 1},
		{Name: "PC-0412", Client: id, Address: "192.0.2.7:1", Auth: "cert", First: noon.Add(1), Last: noon.Add(8), Exchanges: 2},
		{Name: "pc-0412", Address: "192.0.2.8:1", Auth: "self", First: noon, Last: noon.Add(3), Exchanges: 1},
		{Address: "192.0.2.9:7", First: noon, Last: noon, Exchanges: 1},
		{Name: "PC-0107", Client: "GUID:1", First: noon, Last: noon},
		{Name: "PC-0107", Client: "GUID:2", First: noon, Last: noon},
	})
	if len(got) != 3 {
		t.Fatalf("%d agents, want 3: %+v", len(got), got)
	}
	a := got[0]
	if a.Name != "PC-0412" || a.Exchanges != 7 || a.Sev() != traffic.Error || !a.First.Equal(noon) || !a.Last.Equal(noon.Add(9)) ||
		a.Auth != "cert" || !slices.Equal(a.Addresses, []string{"192.0.2.7", "192.0.2.8"}) || a.Registered() != "yes" {
		t.Errorf("%+v", a)
	}
	if got[1].Name != "192.0.2.9" || got[1].Registered() != "no" || got[2].Registered() != "dup" {
		t.Errorf("%+v", got[1:])
	}
}
