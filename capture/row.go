package capture

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"mpproxy/traffic"
)

// Row is what a list shows of an exchange. Texts are as on the wire, but valid
// UTF-8 and without NUL; whoever shows them still has to clean them.
type Row struct {
	ID   traffic.ExchangeID
	Conn traffic.ConnID
	// Begun, Replied and Ended are zero while they have not happened.
	Begun, Replied, Ended time.Time
	// Agent is the agent's name, Client its client id, each "" when no message
	// said; Address is where it came from, without the port.
	Agent, Client, Address string
	Method, Target         string
	// Status is the reply's, 0 without one.
	Status         int
	Kind, Endpoint string
	// Short is the list's summary, Long the sentence that stands alone.
	Short, Long string
	Sev         traffic.Severity
	Fate        traffic.Fate
	// Origin is "agent", or who else began it.
	Origin string
	// Auth is what the agent proved: "cert", "self", "token", "windows",
	// "none"; TLS the version of its leg, "" without TLS.
	Auth, TLS string
	// Rules are the names of those that acted.
	Rules []string
	// Tags are what rules attached.
	Tags                []string
	ReqBytes, RespBytes int64
	// Marked is true when somebody marked it, Notes how many notes it has.
	Marked bool
	Notes  int
	// Err says why it broke off.
	Err string
}

// Who is the name by which a list calls the agent: its name, else its client
// id, else its address.
func (r Row) Who() string { return cmp.Or(r.Agent, r.Client, r.Address) }

// Took is from the request's first byte to the reply's last; 0 while it is not
// over.
func (r Row) Took() time.Duration {
	if r.Ended.IsZero() {
		return 0
	}
	return r.Ended.Sub(r.Begun)
}

const rowColumns = `SELECT x.id, x.conn, x.begun_us, x.replied_us, x.ended_us, a.name, a.client, a.address,
		m.text, x.target, ifnull(x.status, 0), k.text, e.text, x.summary, x.long, x.sev, f.text, o.text, h.text, t.text,
		(SELECT group_concat(sort || text, char(10)) FROM (SELECT sort, text FROM label WHERE exchange = x.id ORDER BY sort, pos)),
		x.req_bytes, x.resp_bytes, EXISTS (SELECT 1 FROM mark WHERE exchange = x.id),
		(SELECT count(*) FROM note WHERE exchange = x.id), x.err
	FROM list x JOIN agent a ON a.id = x.agent
		JOIN name m ON m.id = x.method JOIN name k ON k.id = x.kind JOIN name e ON e.id = x.endpoint
		JOIN name f ON f.id = x.fate JOIN name o ON o.id = x.origin
		JOIN name h ON h.id = x.auth JOIN name t ON t.id = x.tls`

func scanRow(rows *sql.Rows) (r Row, err error) {
	var begun, replied, ended sql.NullInt64
	var labels sql.NullString
	err = rows.Scan(&r.ID, &r.Conn, &begun, &replied, &ended, &r.Agent, &r.Client, &r.Address,
		&r.Method, &r.Target, &r.Status, &r.Kind, &r.Endpoint, &r.Short, &r.Long, &r.Sev, &r.Fate, &r.Origin, &r.Auth, &r.TLS,
		&labels, &r.ReqBytes, &r.RespBytes, &r.Marked, &r.Notes, &r.Err)
	r.Begun, r.Replied, r.Ended = instant(begun), instant(replied), instant(ended)
	for _, l := range strings.Split(labels.String, "\n") {
		switch {
		case l == "":
		case l[0] == '0'+sortRule:
			r.Rules = append(r.Rules, l[1:])
		default:
			r.Tags = append(r.Tags, l[1:])
		}
	}
	return r, err
}

// rowsLimit is how many numbers go into one query.
const rowsLimit = 500

// Rows reads the rows of these exchanges in the order of their numbers,
// leaving out those that are not there.
func (s *Store) Rows(ctx context.Context, ids []traffic.ExchangeID) ([]Row, error) {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	var all []Row
	for part := range slices.Chunk(slices.Compact(ids), rowsLimit) {
		args := make([]any, len(part))
		for i, id := range part {
			args[i] = id
		}
		rows, err := s.db.QueryContext(ctx, rowColumns+` WHERE x.id IN (`+placeholders(len(args))+`) ORDER BY x.id`, args...)
		some, err := collect(rows, err, scanRow)
		if err != nil {
			return nil, fmt.Errorf("rows: %w", err)
		}
		all = append(all, some...)
	}
	return all, nil
}

// rowsOf reads rows of list that a query picks, in the order of their numbers.
func (s *Store) rowsOf(ctx context.Context, part string, args ...any) ([]Row, error) {
	query := strings.Replace(rowColumns, "FROM list x", "FROM ("+part+") x", 1) + ` ORDER BY x.id`
	rows, err := s.db.QueryContext(ctx, query, args...)
	return collect(rows, err, scanRow)
}

// Row reads one row. ErrNone for an unknown number.
func (s *Store) Row(ctx context.Context, id traffic.ExchangeID) (Row, error) {
	rows, err := s.Rows(ctx, []traffic.ExchangeID{id})
	if err == nil && len(rows) == 0 {
		err = ErrNone
	}
	if err != nil {
		return Row{}, fmt.Errorf("exchange %d: %w", id, err)
	}
	return rows[0], nil
}

// First is the lowest number in the capture, 0 when it is empty.
func (s *Store) First(ctx context.Context) (traffic.ExchangeID, error) {
	return s.number(ctx, `SELECT ifnull(min(id), 0) FROM list`)
}

// Last is the highest number in the capture, 0 when it is empty.
func (s *Store) Last(ctx context.Context) (traffic.ExchangeID, error) {
	return s.number(ctx, `SELECT ifnull(max(id), 0) FROM list`)
}

func (s *Store) number(ctx context.Context, query string, args ...any) (n traffic.ExchangeID, err error) {
	if err := s.db.QueryRowContext(ctx, query, args...).Scan(&n); err != nil {
		return 0, fmt.Errorf("read %s: %w", s.path, classify(err))
	}
	return n, nil
}
