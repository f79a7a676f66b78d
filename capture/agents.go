package capture

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"mpproxy/traffic"
)

// agentKey is what an agent is known by: its name, its client id and the
// address that it came from, each "" when not known.
type agentKey struct{ name, client, address string }

// agentRow is an agent's row and what was added to it since the last commit.
type agentRow struct {
	id, auth                       int64
	last                           int64
	exchanges, errors, warns, size int64
}

// agent is the number of an exchange's agent, and whether it is a new one.
func (w *writer) agent(r listRow) (id int64, isNew bool, err error) {
	row := w.agents[r.agent]
	if row == nil {
		if row, isNew, err = w.findAgent(r.agent, begunMicros(r.x)); err != nil {
			return 0, false, err
		}
		w.agents[r.agent] = row
	}
	if !r.over {
		return row.id, isNew, nil
	}
	if row.auth, err = w.name(r.auth); err != nil {
		return 0, false, err
	}
	if row.exchanges == 0 {
		w.changedAgents = append(w.changedAgents, row)
	}
	row.last = max(row.last, begunMicros(r.x))
	row.exchanges++
	row.size += r.x.Request.Size + r.x.Reply.Size
	switch r.sev() {
	case traffic.Error:
		row.errors++
	case traffic.Warning:
		row.warns++
	}
	return row.id, isNew, nil
}

func (w *writer) findAgent(k agentKey, at int64) (*agentRow, bool, error) {
	row := &agentRow{last: at}
	err := w.row(`SELECT id, auth FROM agent WHERE name = ? AND client = ? AND address = ?`,
		[]any{k.name, k.client, k.address}, &row.id, &row.auth)
	if !errors.Is(err, sql.ErrNoRows) {
		return row, false, err
	}
	err = w.row(`INSERT INTO agent (name, client, address, auth, first_us, last_us, exchanges, errors, warnings, bytes)
		VALUES (?, ?, ?, 0, ?, ?, 0, 0, 0, 0) RETURNING id`, []any{k.name, k.client, k.address, at, at}, &row.id)
	return row, true, err
}

// storeAgents adds what was counted since the last commit.
func (w *writer) storeAgents() error {
	for _, row := range w.changedAgents {
		err := w.exec(`UPDATE agent SET auth = ?, last_us = max(last_us, ?), exchanges = exchanges + ?,
			errors = errors + ?, warnings = warnings + ?, bytes = bytes + ? WHERE id = ?`,
			row.auth, row.last, row.exchanges, row.errors, row.warns, row.size, row.id)
		if err != nil {
			return err
		}
		row.exchanges, row.errors, row.warns, row.size = 0, 0, 0, 0
	}
	w.changedAgents = w.changedAgents[:0]
	return nil
}

// recount corrects the sums of an exchange's agent and minute when its
// severity is another one now.
func (w *writer) recount(id traffic.ExchangeID, sev traffic.Severity) error {
	var before, agent, begun, endpoint int64
	err := w.row(`SELECT sev, agent, begun_us, endpoint FROM list WHERE id = ?`, []any{id}, &before, &agent, &begun, &endpoint)
	was := traffic.Severity(before)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil // somebody has removed it meanwhile
	case err != nil || was == sev:
		return err
	}
	errs := boolInt(sev == traffic.Error) - boolInt(was == traffic.Error)
	warnings := boolInt(sev == traffic.Warning) - boolInt(was == traffic.Warning)
	if err := w.exec(`UPDATE agent SET errors = errors + ?, warnings = warnings + ? WHERE id = ?`, errs, warnings, agent); err != nil {
		return err
	}
	row, err := w.minute(minuteKey{begun / 60e6, endpoint})
	if err != nil {
		return err
	}
	row.errors += int64(errs)
	w.touchMinute(row)
	return nil
}

// Agent is one combination of name, client id and address, and what came from
// it.
type Agent struct {
	Name, Client, Address string
	// Auth is what it proved last: "cert", "self", "token", "windows", "none".
	Auth                        string
	First, Last                 time.Time
	Exchanges, Errors, Warnings int64
	Bytes                       int64
}

// Agents lists the agents, the last seen first.
func (s *Store) Agents(ctx context.Context) ([]Agent, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT a.name, a.client, a.address, h.text, a.first_us, a.last_us,
			a.exchanges, a.errors, a.warnings, a.bytes
		FROM agent a JOIN name h ON h.id = a.auth WHERE a.exchanges > 0 ORDER BY a.last_us DESC, a.id DESC`)
	return collect(rows, err, func(rows *sql.Rows) (a Agent, err error) {
		var first, last sql.NullInt64
		err = rows.Scan(&a.Name, &a.Client, &a.Address, &a.Auth, &first, &last, &a.Exchanges, &a.Errors, &a.Warnings, &a.Bytes)
		a.First, a.Last = instant(first), instant(last)
		return a, err
	})
}
