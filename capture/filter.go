package capture

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"mpproxy/filter"
	"mpproxy/traffic"
)

// query is a filter as a condition on "list x" between two numbers.
//
// Fields that need a message decoded have no SQL. Where they stand the
// condition lets everything pass, and what it lets pass is asked again as the
// filter itself means it.
type query struct {
	filter *filter.Filter
	where  string
	args   []any
	// again is true when the rows have to be asked again.
	again bool
}

// The first two parameters of every condition are the interval's ends, so that
// conditions on other tables can be bounded too.
const (
	lowest  = "?1"
	highest = "?2"
)

// compile turns a filter into a condition.
func compile(f *filter.Filter) (*query, error) {
	q := &query{filter: f, where: "1"}
	if f.Empty() {
		return q, nil
	}
	where, err := q.node(f.Root, true)
	if err != nil {
		return nil, fmt.Errorf("filter %q: %w", f, err)
	}
	q.where = where
	return q, nil
}

// firstStep is how many numbers to look at first.
func (q *query) firstStep() traffic.ExchangeID {
	if q.again {
		return firstStep / 100
	}
	return firstStep
}

// param adds a parameter and gives its place in the text.
func (q *query) param(v any) string {
	q.args = append(q.args, v)
	return fmt.Sprintf("?%d", len(q.args)+2)
}

// node writes a node. positive is false below an odd number of negations:
// there, what cannot be said must not exclude anything either.
func (q *query) node(n filter.Node, positive bool) (string, error) {
	switch n := n.(type) {
	case filter.All:
		return q.list(n, " AND ", positive)
	case filter.Any:
		return q.list(n, " OR ", positive)
	case filter.Not:
		inner, err := q.node(n.Node, !positive)
		return "(" + inner + ") IS NOT TRUE", err
	case *filter.Term:
		return q.term(n, positive)
	}
	return "", fmt.Errorf("a node of type %T has no SQL", n)
}

func (q *query) list(nodes []filter.Node, between string, positive bool) (string, error) {
	var parts []string
	for _, n := range nodes {
		part, err := q.node(n, positive)
		if err != nil {
			return "", err
		}
		parts = append(parts, "("+part+")")
	}
	return strings.Join(parts, between), nil
}

func (q *query) term(t *filter.Term, positive bool) (string, error) {
	source, known := sources[t.Field.Source()]
	switch {
	case !known:
		return "", fmt.Errorf("field %q is not in a capture", t.Field.Name)
	case source == nil:
		q.again = true
		return fmt.Sprint(boolInt(positive)), nil
	}
	return source(q, t), nil
}

// source writes a term on one field.
type source func(*query, *filter.Term) string

// sources says where each field is found. nil needs the message decoded.
var sources = map[string]source{
	"id":       number("x.id"),
	"conn":     number("x.conn"),
	"time":     number("x.begun_us"),
	"sev":      number("x.sev"),
	"status":   number("x.status"),
	"took":     number("(x.ended_us - x.begun_us)"),
	"size":     number("(x.req_bytes + x.resp_bytes)"),
	"req":      number("x.req_bytes"),
	"resp":     number("nullif(x.resp_bytes, 0)"),
	"agent":    agentText,
	"kind":     wireName("kind"),
	"endpoint": wireName("endpoint"),
	"finding":  findingText,
	"mode":     connName("mode"),
	"mp":       connName("upstream"),
	"auth":     listName("auth"),
	"tls":      listName("tls"),
	"method":   listName("method"),
	"code":     listName("code"),
	"rule":     labelText(sortRule),
	"tag":      labelText(sortTag),
	"path":     text("x.target"),
	"leg":      legText,
	"hook":     hookText,
	"msgid":    wireText("msgid"),
	"corr":     wireText("corr"),
	"note":     noteText,
	"dir":      words(dirWords),
	"is":       words(isWords),
	"":         freeText,
	"header":   nil,
	"text":     nil,
	"hex":      nil,
	"wire":     nil,
}

// number is a column with a number, NULL for none.
func number(column string) source {
	return func(q *query, t *filter.Term) string {
		return q.any(t, func(v filter.Value) string {
			return column + " BETWEEN " + q.param(v.Span.Lo) + " AND " + q.param(v.Span.Hi)
		})
	}
}

// any joins the alternatives of a term.
func (q *query) any(t *filter.Term, one func(filter.Value) string) string {
	var parts []string
	for _, v := range t.Values {
		parts = append(parts, "("+one(v)+")")
	}
	return strings.Join(parts, " OR ")
}

// text is a column with text; "" is no value.
func text(column string) source {
	return func(q *query, t *filter.Term) string { return q.text(column, t) }
}

// text is a condition on a text that may be of any table.
func (q *query) text(column string, t *filter.Term) string {
	like := q.any(t, func(v filter.Value) string {
		var parts []string
		for _, p := range v.Patterns {
			parts = append(parts, q.pattern(column, p))
		}
		return strings.Join(parts, " OR ")
	})
	return column + " <> '' AND (" + like + ")"
}

// pattern is the condition that a column looks like p.
func (q *query) pattern(column string, p filter.Pattern) string {
	switch {
	case p.Regexp != nil:
		return column + " REGEXP " + q.param(p.Regexp.String())
	case p.Case && p.Contains:
		return "instr(" + column + ", " + q.param(p.Text) + ") > 0"
	case p.Case:
		return column + " = " + q.param(p.Text)
	case isASCII(p.Text):
		return column + " LIKE " + q.param(like(p)) + ` ESCAPE '\'`
	}
	p.Text = filter.Fold(p.Text)
	return "fold(" + column + ") LIKE " + q.param(like(p)) + ` ESCAPE '\'`
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// like writes a pattern in LIKE's language.
func like(p filter.Pattern) string {
	var b strings.Builder
	for _, r := range p.Text {
		switch {
		case r == '%' || r == '_' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '*' && !p.Literal:
			b.WriteByte('%')
		case r == '?' && !p.Literal:
			b.WriteByte('_')
		default:
			b.WriteRune(r)
		}
	}
	if p.Contains {
		return "%" + b.String() + "%"
	}
	return b.String()
}

// names is a condition that a column holds the number of a name.
func (q *query) names(column string, t *filter.Term) string {
	return column + " IN (SELECT id FROM name WHERE " + q.text("text", t) + ")"
}

func listName(column string) source {
	return func(q *query, t *filter.Term) string { return q.names("x."+column, t) }
}

func connName(column string) source {
	return func(q *query, t *filter.Term) string {
		return "x.conn IN (SELECT c.id FROM conn c WHERE " + q.names("c."+column, t) + ")"
	}
}

// wireName is a name that request or reply has, found by its index.
func wireName(column string) source {
	return func(q *query, t *filter.Term) string {
		return "x.id IN (SELECT w.exchange FROM wire w WHERE " + q.names("w."+column, t) +
			" AND w." + column + " > 0 AND w.exchange BETWEEN " + lowest + " AND " + highest + ")"
	}
}

// wireText is a text that request or reply has.
func wireText(column string) source {
	return func(q *query, t *filter.Term) string {
		return "x.id IN (SELECT w.exchange FROM wire w WHERE w.exchange BETWEEN " + lowest + " AND " + highest +
			" AND " + q.text("w."+column, t) + ")"
	}
}

func hookText(q *query, t *filter.Term) string {
	return "x.id IN (SELECT w.exchange FROM wire w WHERE w.exchange BETWEEN " + lowest + " AND " + highest +
		" AND w.hooks > 0 AND w.hooks IN (SELECT n.id FROM name n, json_each(n.text) h WHERE n.text LIKE '[%' AND " +
		q.text("h.value", t) + "))"
}

func agentText(q *query, t *filter.Term) string {
	return "x.agent IN (SELECT id FROM agent WHERE (" + q.text("name", t) + ") OR (" +
		q.text("client", t) + ") OR (" + q.text("address", t) + "))"
}

func findingText(q *query, t *filter.Term) string {
	return "x.id IN (SELECT f.exchange FROM found f WHERE f.kind IN (SELECT id FROM finding_kind WHERE (" +
		q.text("code", t) + ") OR (" + q.text("ref", t) + ")) AND f.exchange BETWEEN " + lowest + " AND " + highest + ")"
}

func legText(q *query, t *filter.Term) string {
	name := "CASE f.leg WHEN 1 THEN 'agent' WHEN 2 THEN 'upstream' ELSE '' END"
	return "EXISTS (SELECT 1 FROM found f WHERE f.exchange = x.id AND " + q.text(name, t) + ")"
}

func labelText(sort int) source {
	return func(q *query, t *filter.Term) string {
		return fmt.Sprintf("EXISTS (SELECT 1 FROM label l WHERE l.exchange = x.id AND l.sort = %d AND %s)", sort, q.text("l.text", t))
	}
}

func noteText(q *query, t *filter.Term) string {
	return "x.id IN (SELECT n.exchange FROM note n WHERE " + q.text("n.text", t) + ")"
}

// freeText searches summary, agent, ids and notes.
func freeText(q *query, t *filter.Term) string {
	return strings.Join([]string{
		"(" + q.text("x.summary", t) + ")",
		agentText(q, t),
		wireText("msgid")(q, t), wireText("corr")(q, t),
		noteText(q, t),
	}, " OR ")
}

// words is a field with a closed set of values.
func words(conditions map[string]string) source {
	return func(q *query, t *filter.Term) string {
		return q.any(t, func(v filter.Value) string { return conditions[strings.ToLower(v.Text)] })
	}
}

var dirWords = map[string]string{
	"request": "x.req_bytes > 0",
	"reply":   "x.resp_bytes > 0",
}

var isWords = map[string]string{
	"open":          fateIs(traffic.InFlight) + " OR " + fateIs(fateHeld),
	"held":          fateIs(fateHeld),
	"passed":        fateIs(traffic.Passed),
	"modified":      fateIs(traffic.Modified),
	"answered":      fateIs(traffic.Answered),
	"dropped":       fateIs(traffic.Dropped),
	"broken":        fateIs(traffic.Broken),
	"tunnel":        fateIs(traffic.Tunneled),
	"replayed":      "x.origin IN (SELECT id FROM name WHERE text = 'replay')",
	"marked":        "EXISTS (SELECT 1 FROM mark k WHERE k.exchange = x.id)",
	"signed":        flagIs(flagSigned),
	"attachment":    flagIs(flagAttachment),
	"compressed":    flagIs(flagCompressed),
	"new":           flagIs(flagNew),
	"reply-missing": "x.ended_us IS NOT NULL AND x.resp_bytes = 0",
	"tls":           "x.tls > 0",
}

// fateHeld is the fate of an exchange in flight that waits for a decision.
const fateHeld = "held"

func fateIs(f traffic.Fate) string {
	return "x.fate IN (SELECT id FROM name WHERE text = '" + string(f) + "')"
}

func flagIs(flag int) string { return fmt.Sprintf("x.flags & %d", flag) }

// step looks at the exchanges from lo to hi and gives up to n (-1: all) that
// pass, in the order of the walk.
func (s *Store) step(ctx context.Context, q *query, lo, hi traffic.ExchangeID, way Way, n int) ([]traffic.ExchangeID, error) {
	limit := n
	if q.again {
		limit = -1
	}
	rows, err := s.db.QueryContext(ctx, q.picks("x.id", way, limit), append([]any{lo, hi}, q.args...)...)
	ids, err := collect(rows, err, func(rows *sql.Rows) (id traffic.ExchangeID, err error) { return id, rows.Scan(&id) })
	if err != nil || !q.again {
		return ids, err
	}
	return s.askAgain(ctx, q, ids, n)
}

// stepRows is step that gives the rows, in the order of their numbers. Where
// few pass it is cheaper to look for them first.
func (s *Store) stepRows(ctx context.Context, q *query, lo, hi traffic.ExchangeID, way Way, n int) ([]Row, error) {
	if q.filter.Empty() {
		return s.rowsOf(ctx, q.picks("*", way, n), append([]any{lo, hi}, q.args...)...)
	}
	ids, err := s.step(ctx, q, lo, hi, way, n)
	if err != nil {
		return nil, err
	}
	return s.Rows(ctx, ids)
}

// picks is the query for columns of the exchanges between the first two
// parameters that pass.
func (q *query) picks(columns string, way Way, limit int) string {
	order := ""
	if way == Older {
		order = " DESC"
	}
	return `SELECT ` + columns + ` FROM list x WHERE x.id BETWEEN ?1 AND ?2 AND (` + q.where + `) ORDER BY x.id` + order +
		fmt.Sprintf(" LIMIT %d", limit)
}

func (s *Store) countStep(ctx context.Context, q *query, lo, hi traffic.ExchangeID) (n int64, err error) {
	if q.again {
		ids, err := s.step(ctx, q, lo, hi, Newer, -1)
		return int64(len(ids)), err
	}
	text := `SELECT count(*) FROM list x WHERE x.id BETWEEN ?1 AND ?2 AND (` + q.where + `)`
	err = s.db.QueryRowContext(ctx, text, append([]any{lo, hi}, q.args...)...).Scan(&n)
	return n, classify(err)
}
