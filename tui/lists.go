package tui

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"mpproxy/capture"
	"mpproxy/internal/view"
	"mpproxy/traffic"
)

// goToList shows a list in place of what is above the messages.
func (a *app) goToList(s screen) {
	a.home()
	a.enter(s)
}

// sevRole colours the letter of a severity and nothing else.
func sevRole(column string, sev traffic.Severity) role {
	if column == "sev" {
		return severity(sev)
	}
	return roleText
}

// openConns lists the connections, the newest last.
func (a *app) openConns() {
	a.goToList(newListing(a, listed[capture.ConnRow]{
		crumb: "3 Connections", on: inConns, table: view.Conns, newest: true, none: "no connection has been made",
		fetch: func(ctx context.Context, from int64, way capture.Way, n int) ([]ranked[capture.ConnRow], error) {
			rows, err := a.cfg.Store.Conns(ctx, traffic.ConnID(from), way, n)
			var out []ranked[capture.ConnRow]
			for _, r := range rows {
				out = append(out, ranked[capture.ConnRow]{int64(r.ID), r})
			}
			return out, err
		},
		open: func(r capture.ConnRow) { a.openConn(r.ID) },
		only: func(r capture.ConnRow) string { return "conn:" + strconv.FormatInt(int64(r.ID), 10) },
		info: func(r capture.ConnRow) piece {
			words := fmt.Sprintf("%s %s mpproxy %s %s, %s", r.Agent, a.sym.arrow, a.sym.arrow, r.Upstream, view.Plural(r.Exchanges, "exchange"))
			for _, l := range []traffic.Leg{r.AgentLeg, r.UpstreamLeg} {
				if l.Err != "" {
					words += "; " + l.Err
				}
			}
			return piece{view.Clean(words, a.sym.ascii), roleDim}
		},
		role: func(column string, r capture.ConnRow) role { return sevRole(column, r.Sev) },
	}))
}

// openAgents lists the agents, the last seen first.
func (a *app) openAgents() {
	a.goToList(newListing(a, listed[view.Agent]{
		crumb: "2 Agents", on: inAgents, table: view.Agents, none: "no agent has been seen",
		fetch: inMemory(func(ctx context.Context) ([]view.Agent, error) {
			seen, err := a.cfg.Store.Agents(ctx)
			return view.AgentsOf(seen), err
		}),
		only: func(r view.Agent) string { return textTerm("agent:", r.Name) },
		info: func(r view.Agent) piece {
			words := r.Name
			for _, id := range r.Clients {
				words += "  " + id
			}
			words += "  first seen " + a.cfg.Format.Time(r.First, time.DateTime)
			return piece{view.Clean(words, a.sym.ascii), roleDim}
		},
		role: func(column string, r view.Agent) role { return sevRole(column, r.Sev()) },
	}))
}

// openStats lists the endpoints with what their exchanges add up to.
func (a *app) openStats() {
	a.goToList(newListing(a, listed[view.EndpointStat]{
		crumb: "7 Statistics", on: inStats, table: view.Endpoints, none: "no exchange is over yet",
		fetch: inMemory(func(ctx context.Context) ([]view.EndpointStat, error) {
			minutes, err := a.cfg.Store.Minutes(ctx, time.Time{}, time.Time{})
			return view.EndpointStats(minutes), err
		}),
		only: func(e view.EndpointStat) string { return textTerm("endpoint:", e.Endpoint) },
	}))
}

// explainKind is the screen that says what a kind of finding means.
func (a *app) explainKind(k *traffic.FindingKind) {
	var lines []line
	add := func(label, words string, r role) {
		if words == "" {
			return
		}
		lines = append(lines, line{pieces: []piece{{view.Fit(label, 9, false, a.sym.ascii) + "  ", roleName}, {view.Clean(words, a.sym.ascii), r}}, hang: 11})
	}
	add(k.Severity.String(), k.Title, severity(k.Severity))
	add("code", k.Code, roleText)
	add("number", k.Ref, roleText)
	add("why", k.Why, roleText)
	add("do", k.Remedy, roleText)
	if k.Inferred {
		add("note", "This rule was inferred, not read in a document: tell the authors when it is wrong.", roleText)
	}
	for _, code := range k.Moot {
		add("explains", code, roleText)
	}
	a.enter(&page{a, k.Code, newText(sealed(lines))})
}

// page is a screen that shows a text.
type page struct {
	app  *app
	name string
	body *text
}

func (p *page) crumb() string              { return p.name }
func (p *page) flags() []string            { return nil }
func (p *page) scopes() []scope            { return []scope{inText, inMoving} }
func (p *page) draw(c canvas)              { p.body.draw(c, true) }
func (p *page) info() piece                { return piece{} }
func (p *page) notice(capture.Notice) bool { return false }
func (p *page) seen() *text                { return p.body }
func (p *page) move(by int)                { p.body.move(by) }
func (p *page) page() int                  { return p.body.page() }
func (p *page) first()                     { p.body.first() }
func (p *page) last()                      { p.body.last() }
