package capture

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"mpproxy/filter"
	"mpproxy/traffic"
)

var testKinds = []*traffic.FindingKind{
	{Code: "test-error", Ref: "T1", Severity: traffic.Error, Moot: []string{"test-info"}},
	{Code: "test-warning", Ref: "T2", Severity: traffic.Warning},
	{Code: "test-info", Ref: "T3", Severity: traffic.Info},
}

// playVariety plays exchanges of every sort that a filter can tell apart.
func playVariety(t testing.TB, p *play) {
	hello := &traffic.Handshake{
		Side: traffic.AgentSide, Began: start, Ended: start, In: []byte{22}, Out: []byte{22},
		TLS: &traffic.TLSInfo{Version: 0x0303, VersionName: "TLS 1.2"}, PeerCertificates: [][]byte{{1, 2, 3}},
	}
	playSamples(t, p)
	for i, agent := range []string{"192.0.2.13:1", "192.0.2.77:2", "[2001:db8::7]:3", "198.51.100.9:4"} {
		c := p.open(agent)
		if i%2 == 1 {
			c.Listener = "https://127.0.0.1:8443"
			p.take(traffic.HandshakeOver{Conn: c.ID, Handshake: hello})
		}
		p.exchange(c, message("GET /SMS_MP/.sms_aut?MPLIST HTTP/1.1", ""), message("HTTP/1.1 404 Not Found", "nothing"))
		p.exchange(c, message("GET /100%_sure?a=b:c HTTP/1.1", ""), message("HTTP/1.1 503 Busy", ""), func(x *traffic.Exchange) {
			x.Rules, x.Tags, x.Fate = []string{"pin-policy", "Zweite Regel"}, []string{"Größe"}, traffic.Modified
			x.Findings = []traffic.Finding{{Kind: testKinds[i%3], Leg: traffic.AgentSide}, {Kind: testKinds[2]}}
		})
		p.exchange(c, message("BITS_POST /CCM_Incoming/x HTTP/1.1", "", "BITS-Packet-Type: Fragment", "BITS-Session-Id: {S1}", "Host: mp"),
			message("HTTP/1.1 416 Range", "", "BITS-Packet-Type: Ack", "BITS-Error: 0x8020002B"), func(x *traffic.Exchange) {
				x.Ended = x.Begun.Add(time.Duration(i) * 700 * time.Millisecond)
			})
		p.exchange(c, message("POST /ccm_system_tokenauth/request HTTP/1.1", "müde", "Authorization: Bearer x"), nil, func(x *traffic.Exchange) {
			x.Fate, x.Err = traffic.Broken, "reset"
			x.Findings = []traffic.Finding{{Kind: testKinds[1], Leg: traffic.UpstreamSide}}
		})
		p.exchange(c, sample(t, "03-policy-request.http"), sample(t, "04-policy-reply.http"), func(x *traffic.Exchange) { x.Origin = "replay" })
		p.begin(c, message("POST /open HTTP/1.1", "half"))
	}
}

// variety is a capture of that, with notes and marks.
func variety(t testing.TB) *Store {
	t.Helper()
	opts := steady()
	opts.SummaryOnly = true // nothing may change while filters are compared
	r := record(t, opts)
	playVariety(t, newPlay(r.Take))
	flush(t, r)
	s := openTest(t, r.Path())
	err := s.Annotate(bg, Mark{Exchange: 3, At: start}, Mark{Exchange: 7, At: start},
		Note{Exchange: 3, Text: "call Müller about 100%", At: start}, Note{Exchange: 3, Text: "done", At: start})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestFilterSQL holds SQL against the predicate over the same rows: a filter
// must mean the same in a list and in a rule.
func TestFilterSQL(t *testing.T) {
	s := variety(t)
	all := subjects(t, s)
	for _, src := range []string{
		"", "id:3..5", "-id:3..5", "conn:2", "time:>=2026-05-04T10:41:00.050Z", "age:<1h", "age:>1h",
		"agent:192.0.2.*", "agent:PC-*", "agent:2001:db8::7", "-agent:*", "kind:policy*", "-kind:policy-reply",
		"endpoint:mp_policymanager", "endpoint:=mp_policymanager", "sev:i", "sev:W", "sev:=W", "sev:E", "sev:none", "-sev:W",
		"finding:test-*", "finding:T2", "finding:~^test-w", "-finding:*", "status:404", "-status:404", "status:>=400", "status:<400",
		"took:>1s", "took:..1s", "-took:>1s", "size:>1k", "req:<200", "resp:>0", "-resp:>0", "dir:reply", "-dir:reply", "dir:request",
		"mode:reverse", "mode:x", "auth:token,windows", "auth:cert", "auth:none", "-auth:cert", "tls:1.2", "-tls:*", "mp:mp01*",
		"rule:pin-*", `rule:"zweite regel"`, "-rule:*", "tag:GRÖSSE", "tag:größe", "tag:GRÖßE", "method:get", "method:=get",
		"path:/100%_sure*", "path:*%?sure*", `path:"*"`, `path:~"a=b:."`, "leg:agent", "leg:upstream", "-leg:*", "code:0x8020002B", "code:*",
		"is:open", "is:held", "is:passed", "is:modified", "is:broken", "is:replayed", "is:marked", "is:signed", "is:compressed", "is:attachment",
		"is:reply-missing", "is:tls", "is:new", "-is:new,tls", "hook:zlib-compress", "hook:client*", "-hook:*",
		"msgid:*", "corr:*", "note:müller", "note:MÜLLER", "note:100%", "note:~^done$", `note:"c*l"`, "note:c*l",
		"müller", "policy", "192.0.2.77", "PC-0*", `"%"`, "assign", "header:zlib", "text:ReplyAssignments", "-text:ReplyAssignments",
		"text:replyassignments sev:none", "-(text:ReplyAssignments OR status:404)", "wire:MPLIST", "hex:4d504c495354", "hex:0000",
		"-(hex:0000 -text:x)", "(status:404 OR is:modified) -agent:192.0.2.13", "NOT (sev:W (kind:policy* OR text:Policy))",
	} {
		compare(t, s, all, src)
	}
}

// subjects are all exchanges of a capture, as filters ask them.
func subjects(t *testing.T, s *Store) []*subject {
	t.Helper()
	last, err := s.Last(bg)
	if err != nil {
		t.Fatal(err)
	}
	var all []*subject
	for id := traffic.ExchangeID(1); id <= last; id++ {
		all = append(all, &subject{ctx: bg, store: s, id: id})
	}
	return all
}

// TestFilterSQLRandom does it for filters that nobody would think of.
func TestFilterSQLRandom(t *testing.T) {
	s := variety(t)
	all := subjects(t, s)
	for seed := range uint64(150) {
		g := generator{rand.New(rand.NewPCG(seed, 1)), all}
		compare(t, s, all, g.filter(3))
	}
}

func compare(t *testing.T, s *Store, all []*subject, src string) {
	t.Helper()
	f, err := filter.Parse(src, start.Add(time.Minute), time.UTC)
	if err != nil {
		t.Fatalf("%q: %v", src, err)
	}
	var want, got []traffic.ExchangeID
	for _, x := range all {
		if f.Match(x) {
			want = append(want, x.id)
		}
		if x.err != nil {
			t.Fatalf("%q: %v", src, x.err)
		}
	}
	rows, err := s.Page(bg, f, 0, Newer, 0)
	if err != nil {
		t.Fatalf("%q: %v", src, err)
	}
	for _, r := range rows {
		got = append(got, r.ID)
	}
	if !slices.Equal(want, got) {
		t.Errorf("%q: predicate %v, SQL %v", src, want, got)
	}
	if n, err := s.Count(bg, f); err != nil || n != int64(len(want)) {
		t.Errorf("%q: count %d (%v), want %d", src, n, err, len(want))
	}
}

// generator makes filters whose values come from the capture.
type generator struct {
	*rand.Rand
	all []*subject
}

func (g generator) filter(depth int) string {
	switch n := g.IntN(10); {
	case depth == 0 || n < 4:
		return g.term()
	case n < 6:
		return g.filter(depth-1) + " " + g.filter(depth-1)
	case n < 8:
		return "(" + g.filter(depth-1) + " OR " + g.filter(depth-1) + ")"
	default:
		return "-(" + g.filter(depth-1) + ")"
	}
}

func (g generator) term() string {
	fields := filter.Fields()
	f := fields[g.IntN(len(fields))]
	op := ""
	var value string
	switch {
	case f.Kind == filter.Flag:
		value = f.Words[g.IntN(len(f.Words))].Name
	case f.Kind == filter.Severity:
		op, value = g.op(), []string{"E", "W", "i", "none"}[g.IntN(4)]
	case f.Kind == filter.Time:
		op, value = g.op(), start.Add(time.Duration(g.IntN(100))*time.Millisecond).Format("2006-01-02T15:04:05.000Z")
	case f.Kind == filter.Duration:
		op, value = g.op(), fmt.Sprintf("%dms", g.IntN(2000))
	case f.Kind.Numeric():
		op, value = g.op(), fmt.Sprint([]int{g.IntN(40), g.IntN(5000), 200, 404}[g.IntN(4)])
	case f.Name == "hex":
		value = fmt.Sprintf("%02x%02x", g.IntN(128), 0)
	default:
		op, value = []string{"", "", "", "=", "~"}[g.IntN(5)], g.text(f)
		if f.Kind == filter.Bytes {
			op = ""
		}
		if op == "~" {
			value = strings.NewReplacer("*", ".*", "(", `\(`, ")", `\)`, "[", `\[`, "?", `\?`, "+", `\+`, "{", `\{`).Replace(value)
		}
		value = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`
		if !strings.ContainsAny(value, " (),") && g.IntN(2) == 0 {
			value = cmp.Or(strings.Trim(value, `"`), "x")
			value = strings.ReplaceAll(strings.TrimLeft(value, "<>=~"), `"`, "")
			value = cmp.Or(value, "x")
		}
	}
	return f.Name + ":" + op + value
}

func (g generator) op() string { return []string{"", "", "=", ">", ">=", "<", "<="}[g.IntN(7)] }

// text is a value that some exchange has, perhaps cut or with wildcards.
func (g generator) text(f *filter.Field) string {
	x := g.all[g.IntN(len(g.all))]
	var texts []string
	for _, text := range x.Texts(f.Source()) {
		if text != "" {
			texts = append(texts, strings.ToValidUTF8(text, "?"))
		}
	}
	if len(texts) == 0 {
		return "x"
	}
	r := []rune(texts[g.IntN(len(texts))])
	if f.Kind != filter.Text && len(r) > 8 {
		at := g.IntN(len(r) - 6)
		r = r[at : at+6]
	}
	switch s := string(r); g.IntN(5) {
	case 0:
		return s[:g.IntN(len(s)+1)] + "*"
	case 1:
		return "*" + string(r[g.IntN(len(r)):])
	case 2:
		r[g.IntN(len(r))] = '?'
		return string(r)
	case 3:
		return strings.ToUpper(s)
	default:
		return s
	}
}

// TestSources holds that every field that can be written has an answer here.
func TestSources(t *testing.T) {
	for _, f := range filter.Fields() {
		if _, known := sources[f.Source()]; !known {
			t.Errorf("field %q is not in the table of sources", f.Name)
		}
		for _, w := range f.Words {
			conditions := isWords
			if f.Name == "dir" {
				conditions = dirWords
			}
			if conditions[w.Name] == "" {
				t.Errorf("%s:%s has no condition", f.Name, w.Name)
			}
		}
	}
}
