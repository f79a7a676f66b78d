package capture

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"mpproxy/traffic"
)

// Found is a finding and what it was found in.
type Found struct {
	traffic.Finding
	// Exchange is 0 when it is about the connection as a whole.
	Exchange traffic.ExchangeID
	Conn     traffic.ConnID
	// MootBy is the code of the finding that explains this one, or "".
	MootBy string
}

const findingColumns = `SELECT ifnull(f.exchange, 0), f.conn, f.leg, f.dir, f.layer, f.offset, f.evidence, f.sure, f.who,
		k.code, k.ref, k.sev, k.title, k.why, k.remedy, k.inferred, ifnull(m.code, '')
	FROM found f JOIN finding_kind k ON k.id = f.kind LEFT JOIN finding_kind m ON m.id = f.moot_by`

func scanFinding(rows *sql.Rows) (f Found, err error) {
	k := &traffic.FindingKind{}
	f.Kind = k
	return f, rows.Scan(&f.Exchange, &f.Conn, &f.Leg, &f.Dir, &f.Layer, &f.Offset, &f.Evidence, &f.Sure, &f.Who,
		&k.Code, &k.Ref, &k.Severity, &k.Title, &k.Why, &k.Remedy, &k.Inferred, &f.MootBy)
}

// Findings are all that was found in an exchange, the worst first, what is
// explained by another one last.
func (s *Store) Findings(ctx context.Context, id traffic.ExchangeID) ([]Found, error) {
	rows, err := s.db.QueryContext(ctx, findingColumns+` WHERE f.exchange = ?
		ORDER BY f.moot_by IS NOT NULL, k.sev DESC, f.id`, id)
	return s.found(rows, err, "exchange %d", id)
}

// ConnFindings are those about a connection as a whole, in the same order.
func (s *Store) ConnFindings(ctx context.Context, id traffic.ConnID) ([]Found, error) {
	rows, err := s.db.QueryContext(ctx, findingColumns+` WHERE f.conn = ? AND f.exchange IS NULL
		ORDER BY f.moot_by IS NOT NULL, k.sev DESC, f.id`, id)
	return s.found(rows, err, "connection %d", id)
}

// FindingsOf are the newest n occurrences of a kind, the newest first.
func (s *Store) FindingsOf(ctx context.Context, code string, n int) ([]Found, error) {
	rows, err := s.db.QueryContext(ctx, findingColumns+` WHERE f.kind = (SELECT id FROM finding_kind WHERE code = ?)
		ORDER BY f.id DESC LIMIT ?`, code, n)
	return s.found(rows, err, "findings %q", code)
}

func (s *Store) found(rows *sql.Rows, err error, format string, args ...any) ([]Found, error) {
	all, err := collect(rows, err, scanFinding)
	if err != nil {
		return nil, fmt.Errorf(format+": %w", append(args, err)...)
	}
	return all, nil
}

// FindingGroup is all that was found of one kind.
type FindingGroup struct {
	Kind *traffic.FindingKind
	// Count is how often it was found, Agents from how many agents. Moot of
	// them are explained by others.
	Count, Agents, Moot int64
	// First and Last are when the exchanges or connections began.
	First, Last time.Time
	// Who is the side that has to act, when all occurrences agree.
	Who string
	// Silenced is true when people have silenced the kind.
	Silenced bool
}

// FindingGroups sums up all findings since a time (zero: all) by kind, the
// worst first, then the most frequent.
func (s *Store) FindingGroups(ctx context.Context, since time.Time) ([]FindingGroup, error) {
	from := int64(0)
	if !since.IsZero() {
		from = since.UnixMicro()
	}
	rows, err := s.db.QueryContext(ctx, `SELECT k.code, k.ref, k.sev, k.title, k.why, k.remedy, k.inferred,
			count(*), count(DISTINCT ifnull(x.agent, c.agent)), sum(f.moot_by IS NOT NULL),
			min(ifnull(x.begun_us, c.opened_us)), max(ifnull(x.begun_us, c.opened_us)),
			iif(min(f.who) = max(f.who), min(f.who), ''),
			EXISTS (SELECT 1 FROM silence s WHERE s.code = k.code)
		FROM found f JOIN finding_kind k ON k.id = f.kind
			LEFT JOIN list x ON x.id = f.exchange LEFT JOIN conn c ON c.id = f.conn
		WHERE ifnull(x.begun_us, ifnull(c.opened_us, 0)) >= ?
		GROUP BY k.id ORDER BY k.sev DESC, count(*) DESC, k.code`, from)
	all, err := collect(rows, err, func(rows *sql.Rows) (g FindingGroup, err error) {
		k := &traffic.FindingKind{}
		g.Kind = k
		var first, last sql.NullInt64
		err = rows.Scan(&k.Code, &k.Ref, &k.Severity, &k.Title, &k.Why, &k.Remedy, &k.Inferred,
			&g.Count, &g.Agents, &g.Moot, &first, &last, &g.Who, &g.Silenced)
		g.First, g.Last = instant(first), instant(last)
		return g, err
	})
	if err != nil {
		return nil, fmt.Errorf("findings: %w", err)
	}
	return all, nil
}
