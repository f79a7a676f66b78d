package capture

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"

	"mpproxy/traffic"
)

// Problem is something wrong with a capture.
type Problem struct {
	// Exchange is what it is about, 0 for the file as a whole.
	Exchange traffic.ExchangeID
	What     string
}

// String is the problem in one line.
func (p Problem) String() string {
	if p.Exchange == 0 {
		return p.What
	}
	return fmt.Sprintf("exchange %d: %s", p.Exchange, p.What)
}

// invariant is something that must hold in every capture: its query gives the
// exchanges (0: none) for which it does not, and a number that says how.
type invariant struct {
	what  string
	query string
}

// problemLimit is how many problems of one kind are told.
const problemLimit = 100

// invariants are checked in this order.
var invariants = []invariant{
	{"bytes are missing or twice at offset %d", `SELECT exchange, offset FROM (SELECT exchange, offset,
			lag(offset + length(bytes), 1, 0) OVER (PARTITION BY exchange, dir, forwarded ORDER BY offset) AS want
			FROM chunk) c
		WHERE offset <> want AND ` + notHoled("c.exchange")},
	{"a message has another number of bytes than its row says: %d", `SELECT w.exchange, w.size FROM wire w
		WHERE w.size <> ifnull((SELECT c.offset + length(c.bytes) FROM chunk c
			WHERE c.exchange = w.exchange AND c.dir = w.dir AND c.forwarded = w.forwarded ORDER BY c.offset DESC LIMIT 1), 0)
			AND w.same_body = 0 AND ` + notHoled("w.exchange")},
	{"a changed head has another number of bytes than its row says: %d", `SELECT w.exchange, w.head FROM wire w
		WHERE w.same_body = 1 AND w.interim + w.head <> ifnull((SELECT sum(length(c.bytes)) FROM chunk c
			WHERE c.exchange = w.exchange AND c.dir = w.dir AND c.forwarded = w.forwarded), 0)
			AND ` + notHoled("w.exchange")},
	{"the request's size in the list differs from its message's: %d", `SELECT x.id, x.req_bytes FROM list x
		WHERE x.ended_us IS NOT NULL AND x.req_bytes <>
			ifnull((SELECT size FROM wire WHERE exchange = x.id AND dir = 1 AND forwarded = 0), 0)`},
	{"the reply's size in the list differs from its message's: %d", `SELECT x.id, x.resp_bytes FROM list x
		WHERE x.ended_us IS NOT NULL AND x.resp_bytes <>
			coalesce((SELECT nullif(size, 0) FROM wire WHERE exchange = x.id AND dir = 2 AND forwarded = 0),
				(SELECT size FROM wire WHERE exchange = x.id AND dir = 2 AND forwarded = 1), 0)`},
	{"bytes without an exchange", `SELECT DISTINCT exchange, 0 FROM chunk WHERE exchange NOT IN (SELECT id FROM list)`},
	{"a message without an exchange", `SELECT DISTINCT exchange, 0 FROM wire WHERE exchange NOT IN (SELECT id FROM list)`},
	{"a finding without an exchange", `SELECT DISTINCT exchange, 0 FROM found
		WHERE exchange IS NOT NULL AND exchange NOT IN (SELECT id FROM list)`},
	{"an unknown agent: %d", `SELECT id, agent FROM list WHERE agent NOT IN (SELECT id FROM agent)`},
	{"an unknown name", `SELECT id, 0 FROM list WHERE NOT (method IN (SELECT id FROM name) AND kind IN (SELECT id FROM name)
		AND endpoint IN (SELECT id FROM name) AND fate IN (SELECT id FROM name) AND origin IN (SELECT id FROM name)
		AND auth IN (SELECT id FROM name) AND tls IN (SELECT id FROM name) AND code IN (SELECT id FROM name))`},
	{"a message with an unknown name", `SELECT exchange, 0 FROM wire WHERE NOT (form IN (SELECT id FROM name)
		AND endpoint IN (SELECT id FROM name) AND kind IN (SELECT id FROM name) AND root IN (SELECT id FROM name)
		AND signature IN (SELECT id FROM name) AND hooks IN (SELECT id FROM name) AND client IN (SELECT id FROM name))`},
	{"a finding of an unknown kind", `SELECT ifnull(exchange, 0), 0 FROM found WHERE kind NOT IN (SELECT id FROM finding_kind)`},
	{"an agent's errors differ from its exchanges'", `SELECT 0, a.id FROM agent a WHERE a.errors <>
		(SELECT count(*) FROM list x WHERE x.agent = a.id AND x.sev = 3)`},
	{"the minutes' exchanges differ from the list's: %d", `SELECT 0, n FROM (SELECT (SELECT ifnull(sum(exchanges), 0) FROM minute) AS n)
		WHERE n <> (SELECT count(*) FROM list WHERE ended_us IS NOT NULL)`},
	{"the severity differs from its worst finding's: %d", `SELECT x.id, x.sev FROM list x WHERE x.ended_us IS NOT NULL AND x.sev <>
		ifnull((SELECT max(k.sev) FROM found f JOIN finding_kind k ON k.id = f.kind WHERE f.exchange = x.id), 0)`},
}

// notHoled leaves out exchanges that say themselves that bytes are missing.
func notHoled(exchange string) string {
	return exchange + ` NOT IN (SELECT f.exchange FROM found f JOIN finding_kind k ON k.id = f.kind
		WHERE f.exchange IS NOT NULL AND k.code = 'store-hole')`
}

// Check looks for damage: SQLite's own check, and whether what is in one table
// fits the others. It reads the whole file. No problems is a nil slice.
func (s *Store) Check(ctx context.Context) ([]Problem, error) {
	problems, err := s.integrity(ctx)
	if err != nil || len(problems) > 0 {
		return problems, err
	}
	for _, v := range invariants {
		found, err := s.violations(ctx, v)
		if err != nil {
			return nil, fmt.Errorf("check %s: %w", s.path, err)
		}
		problems = append(problems, found...)
	}
	return problems, nil
}

func (s *Store) integrity(ctx context.Context) ([]Problem, error) {
	rows, err := s.db.QueryContext(ctx, `PRAGMA integrity_check(100)`)
	lines, err := collect(rows, err, func(rows *sql.Rows) (p Problem, err error) { return p, rows.Scan(&p.What) })
	if err != nil {
		return nil, fmt.Errorf("check %s: %w", s.path, err)
	}
	if len(lines) == 1 && lines[0].What == "ok" {
		return nil, nil
	}
	return lines, nil
}

func (s *Store) violations(ctx context.Context, v invariant) ([]Problem, error) {
	rows, err := s.db.QueryContext(ctx, v.query+fmt.Sprintf(" LIMIT %d", problemLimit))
	return collect(rows, err, func(rows *sql.Rows) (p Problem, err error) {
		var n int64
		err = rows.Scan(&p.Exchange, &n)
		p.What = strings.ReplaceAll(v.what, "%d", strconv.FormatInt(n, 10))
		return p, err
	})
}
