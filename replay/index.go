package replay

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"mpproxy/capture"
	"mpproxy/compare"
	"mpproxy/filter"
	"mpproxy/internal/diff"
	"mpproxy/traffic"
)

// answer is a captured exchange that can answer a live request.
type answer struct {
	id    traffic.ExchangeID
	agent string
}

// index finds captured exchanges by what they are about.
type index struct {
	answers map[string][]answer
	// agents are the captured agents in the order of their coming.
	agents []string
}

// newIndex reads what a capture can answer.
func newIndex(ctx context.Context, s *capture.Store, f *filter.Filter) (*index, error) {
	type row struct {
		id     traffic.ExchangeID
		conn   traffic.ConnID
		key    string
		name   string
		client string
	}
	var rows []row
	names, byClient := map[traffic.ConnID]string{}, map[string]string{}
	err := s.Scan(ctx, f, 0, capture.Newer, 0, func(some []capture.Row, _ capture.Progress) bool {
		for _, r := range some {
			if r.Method == "" || r.Method == "CONNECT" || r.Status == 0 || r.Fate == traffic.Tunneled || r.Fate == traffic.Answered || r.Origin != "agent" {
				continue
			}
			item := diff.ItemOf(r)
			item.Agent = ""
			name, client := strings.ToUpper(r.Agent), strings.ToUpper(r.Client)
			rows = append(rows, row{r.ID, r.Conn, item.Key(), name, client})
			if name != "" && client != "" {
				byClient[client] = name
			}
			if names[r.Conn] == "" {
				names[r.Conn] = cmp.Or(name, client)
			}
		}
		return ctx.Err() == nil
	})
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("read what the capture can answer: %w", err)
	}
	x := &index{answers: map[string][]answer{}}
	known := map[string]bool{}
	for _, r := range rows {
		// Downloads say at most a client id: it is known from other messages, or
		// the connection's agent is theirs.
		name := cmp.Or(r.name, byClient[r.client], names[r.conn])
		name = cmp.Or(byClient[name], name)
		x.answers[r.key] = append(x.answers[r.key], answer{r.id, name})
		if name != "" && !known[name] {
			known[name] = true
			x.agents = append(x.agents, name)
		}
	}
	return x, nil
}

// find is the n-th answer to a meaning that a captured agent got, its last one
// when there are not so many, another agent's when it got none.
func (x *index) find(item compare.Item, agent string, n int) (traffic.ExchangeID, bool) {
	item.Agent = ""
	all := x.answers[item.Key()]
	if len(all) == 0 {
		return 0, false
	}
	var own []answer
	for _, a := range all {
		if a.agent == agent {
			own = append(own, a)
		}
	}
	if len(own) == 0 {
		own = all[:1]
	}
	return own[min(n, len(own)-1)].id, true
}
