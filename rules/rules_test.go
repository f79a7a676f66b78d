package rules

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mpproxy/decode"
	"mpproxy/traffic"
)

func parse(t *testing.T, src string) *Set {
	t.Helper()
	s, err := Parse("test.yaml", []byte(src), time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC), time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// rule wraps one action in a rule that always acts.
func rule(do string) string {
	return "rules:\n  - name: r\n    do:\n      - " + do + "\n"
}

func sample(t *testing.T, name string) Question {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "testdata", "samples", "wire", name))
	if err != nil {
		t.Fatal(err)
	}
	return question(raw)
}

func question(raw []byte) Question {
	end := bytes.Index(raw, []byte("\r\n\r\n")) + 4
	q := Question{
		Dir: traffic.Request, Head: traffic.ParseHead(raw[:end]), Body: raw[end:], Complete: true,
		Framing: traffic.ByLength, Conn: &traffic.Conn{Agent: "192.0.2.7:50001", Mode: "reverse"},
		Exchange: &traffic.Exchange{ID: 7, Begun: time.Date(2026, 3, 2, 8, 15, 30, 0, time.UTC)},
	}
	q.Exchange.Request.Head = q.Head
	if len(q.Body) == 0 {
		q.Framing = traffic.NoBody
	}
	return q
}

// sent is what goes on after a verdict.
func sent(q Question, v Verdict) string {
	head, body := q.Head.Raw, q.Body
	if v.Head != nil {
		head = v.Head
	}
	if v.BodyChanged {
		body = v.Body
	}
	return string(head) + string(body)
}

func TestHeadActions(t *testing.T) {
	const raw = "CCM_POST /ccm_system/request HTTP/1.1\r\nhost:  mp01.lab.example \r\nX-A: 1\r\nAccept: a\r\n b\r\nX-A: 2\r\nEmpty:\r\nContent-Length: 4\r\n\r\nbody"
	for _, c := range []struct{ do, old, new string }{
		{`set: {field: Host, value: mp02}`, "mp01.lab.example", "mp02"},
		{`set: {field: X-New, value: v}`, "Content-Length: 4\r\n", "Content-Length: 4\r\nX-New: v\r\n"},
		{`set: {field: empty, value: full}`, "Empty:", "Empty:full"},
		{`set: {field: X-A, value: one}`, "X-A: 1", "X-A: one"},
		{`remove: {field: accept}`, "Accept: a\r\n b\r\n", ""},
		{`replace: {field: Host, find: mp01, with: mp99}`, "mp01", "mp99"},
		{`replace: {field: Host, find: 'mp(\d+)', with: 'dp$1', regexp: true}`, "mp01", "dp01"},
	} {
		q := question([]byte(raw))
		set := parse(t, rule(c.do))
		if need := set.Need(q); need != HeadOnly {
			t.Errorf("%s: needs %d of the message, want the head only", c.do, need)
		}
		v := set.Decide(q)
		if want := strings.Replace(raw, c.old, c.new, 1); sent(q, v) != want {
			t.Errorf("%s:\n got %q\nwant %q", c.do, sent(q, v), want)
		}
		if v.BodyChanged || !slices.Equal(v.Rules, []string{"r"}) {
			t.Errorf("%s: body changed %v, rules %v", c.do, v.BodyChanged, v.Rules)
		}
	}
}

// An edit changes the span it names, and what has to follow; the rest of the
// text stays as its author wrote it.
func TestTextActions(t *testing.T) {
	for _, c := range []struct {
		file, do, old, new string
		signature          bool
	}{
		{"03-policy-request.http", `set: {path: /RequestAssignments/@RequestType, value: Full}`, `RequestType="Always"`, `RequestType="Full"`, true},
		{"03-policy-request.http", `set: {path: //PolicySource, value: "SMS:<X>"}`, `SMS:LB1`, `SMS:&lt;X&gt;`, true},
		{"03-policy-request.http", `set: {path: //ServerCookie, value: c}`, `<ServerCookie/>`, `<ServerCookie>c</ServerCookie>`, true},
		{"03-policy-request.http", `set: {path: //Resource/@New, value: n}`, `<Resource ResourceType="Machine"/>`, `<Resource ResourceType="Machine" New="n"/>`, true},
		{"03-policy-request.http", `replace: {find: PC-0001, with: PC-0002}`, "PC-0001", "PC-0002", true},
		{"02-registration-reply.http", `set: {path: /ClientRegistrationResponse/@Status, value: "1"}`, `Status="0"`, `Status="1"`, false},
		{"04-policy-reply.http", `replace: {find: 'PolicyVersion="2.00"', with: 'PolicyVersion="3.00"'}`, `PolicyVersion="2.00"`, `PolicyVersion="3.00"`, false},
	} {
		q := sample(t, c.file)
		if strings.Contains(c.file, "reply") {
			q.Dir = traffic.Reply
			c.do += "\n    when: dir:reply"
		}
		before := decoded(q, q.Head, q.Body)
		set := parse(t, rule(c.do))
		if set.Need(q) != Whole {
			t.Fatalf("%s: does not ask for the whole body", c.do)
		}
		v := set.Decide(q)
		if !v.BodyChanged {
			t.Errorf("%s: changed nothing: %v", c.do, v.Findings)
			continue
		}
		head := traffic.ParseHead(v.Head)
		after := decoded(q, head, v.Body)
		if want := strings.ReplaceAll(before.Text.String, c.old, c.new); after.Text.String != want || want == before.Text.String {
			t.Errorf("%s:\n got %s\nwant %s", c.do, after.Text.String, want)
		}
		for _, f := range after.Findings {
			if f.Kind.Ref == "L203" || f.Kind.Ref == "L101" {
				t.Errorf("%s: the edited message has %s: %s", c.do, f.Kind.Title, f.Evidence)
			}
		}
		if n := head.Get("Content-Length"); n == q.Head.Get("Content-Length") && len(v.Body) != len(q.Body) {
			t.Errorf("%s: Content-Length still %s", c.do, n)
		}
		if has := slices.ContainsFunc(v.Findings, func(f traffic.Finding) bool { return f.Kind == &breaksSignature }); has != c.signature {
			t.Errorf("%s: signature finding %v, want %v: %v", c.do, has, c.signature, v.Findings)
		}
	}
}

func decoded(q Question, head traffic.Head, body []byte) *decode.Message {
	return decode.Decode(decode.Source{
		Dir: q.Dir, Head: head, Body: bytes.NewReader(body), Size: int64(len(body)),
		Framing: q.Framing, Whole: true, Arrived: q.Exchange.Begun,
	}, decode.Full)
}

// A change of the unsigned header leaves the payload's bytes, and so their
// signature, alone.
func TestHeaderActionKeepsPayload(t *testing.T) {
	q := sample(t, "03-policy-request.http")
	v := parse(t, rule(`set: {path: /Msg/Priority, value: "5", in: header}`)).Decide(q)
	if !v.BodyChanged {
		t.Fatal("changed nothing", v.Findings)
	}
	payload := func(b []byte) []byte { return b[bytes.LastIndex(b, []byte("\r\n\r\n")):] }
	if !bytes.Equal(payload(v.Body), payload(q.Body)) {
		t.Error("the payload's bytes changed")
	}
	for _, f := range v.Findings {
		t.Error("finding:", f.Kind.Title, f.Evidence)
	}
	if m := decoded(q, traffic.ParseHead(v.Head), v.Body); !strings.Contains(m.HeaderText.String, "<Priority>5</Priority>") {
		t.Errorf("header is %s", m.HeaderText.String)
	}
}

func TestChunkedBodyIsChunkedAgain(t *testing.T) {
	q := sample(t, "02-registration-reply.http")
	q.Dir, q.Framing = traffic.Reply, traffic.Chunked
	q.Head = traffic.ParseHead(bytes.Replace(q.Head.Raw, []byte("Content-Length: 1597"), []byte("Transfer-Encoding: chunked"), 1))
	q.Body = append(append([]byte("63d\r\n"), q.Body...), "\r\n0\r\n\r\n"...)
	v := parse(t, rule("set: {path: //@Status, value: \"3\"}\n    when: dir:reply")).Decide(q)
	if !v.BodyChanged || !bytes.HasSuffix(v.Body, []byte("\r\n0\r\n\r\n")) || v.Head == nil || !bytes.Contains(v.Head, []byte("Transfer-Encoding: chunked")) {
		t.Fatalf("head %q, body ends %q, findings %v", v.Head, v.Body[max(0, len(v.Body)-20):], v.Findings)
	}
	if m := decoded(q, traffic.ParseHead(v.Head), v.Body); !strings.Contains(m.Text.String, `Status="3"`) {
		t.Errorf("text is %s, findings %v", m.Text.String, m.Findings)
	}
}

// A rule that cannot concern a message must not hold it up.
func TestNeed(t *testing.T) {
	post := sample(t, "03-policy-request.http")
	get := question([]byte("GET /SMS_MP/.sms_aut?MPLIST HTTP/1.1\r\n\r\n"))
	reply := sample(t, "04-policy-reply.http")
	reply.Dir = traffic.Reply
	for _, c := range []struct {
		when             string
		post, get, reply Need
	}{
		{"method:GET", Nothing, HeadOnly, Nothing},
		{"path:/ccm_system* kind:ddr", Whole, Nothing, Nothing},
		{"endpoint:MP_PolicyManager", Header, HeadOnly, Nothing},
		{"status:403", Nothing, Nothing, Nothing},
		{"status:200", Nothing, Nothing, HeadOnly},
		{"dir:reply kind:policy-request", Whole, HeadOnly, Whole},
		{"dir:reply endpoint:X method:GET", Nothing, HeadOnly, Header},
		{"text:x OR method:CCM_POST", HeadOnly, HeadOnly, Nothing},
		{"-method:CCM_POST text:x", Nothing, HeadOnly, Nothing},
	} {
		set := parse(t, "rules:\n  - name: r\n    when: '"+c.when+"'\n    do: {tag: x}\n")
		reply.Exchange.Request.Head = get.Head
		if p, g, r := set.Need(post), set.Need(get), set.Need(reply); p != c.post || g != c.get || r != c.reply {
			t.Errorf("%s: needs %d, %d, %d of post, get and reply; want %d, %d, %d", c.when, p, g, r, c.post, c.get, c.reply)
		}
	}
	if (*Set)(nil).Need(post) != Nothing {
		t.Error("no rules hold a message up")
	}
}

func TestVerdicts(t *testing.T) {
	q := sample(t, "03-policy-request.http")
	set := parse(t, `
rules:
  - name: first
    when: kind:policy-request agent:PC-*
    do: [{tag: seen}, {delay: 20ms}]
  - name: off
    off: true
    do: drop
  - name: second
    when: rule:first tag:seen
    do: {tag: again, delay: 30ms}
  - name: other
    when: agent:nobody
    do: drop
`)
	v := set.Decide(q)
	if !slices.Equal(v.Rules, []string{"first", "second"}) || !slices.Equal(v.Tags, []string{"seen", "again"}) ||
		v.Delay != 50*time.Millisecond || v.Drop || v.Changed() {
		t.Errorf("verdict %+v", v)
	}
	if v := parse(t, rule("drop")).Decide(q); !v.Drop {
		t.Error("not dropped")
	}
}

func TestNothingToChange(t *testing.T) {
	for _, do := range []string{
		`set: {path: //NoSuch, value: x}`, `replace: {find: nosuchtext, with: x}`, `remove: {field: NoSuch}`,
		`set: {path: //Identification, value: x}`, `replace: {field: Host, find: nosuch, with: x}`,
	} {
		v := parse(t, rule(do)).Decide(sample(t, "03-policy-request.http"))
		if v.Changed() || len(v.Findings) != 1 || v.Findings[0].Kind != &nothingFound {
			t.Errorf("%s: changed %v, findings %v", do, v.Changed(), v.Findings)
		}
	}
}

func TestErrorsHavePlaces(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{"rules:\n  - name: a\n    do: {replce: {find: x}}\n", "test.yaml:3:10: unknown action \"replce\" (known: set, replace, remove, delay, drop, tag)"},
		{"rules:\n  - name: a\n    wenn: x\n    do: drop\n", "test.yaml:3:5: unknown key \"wenn\" in a rule (known: name, when, do, off)"},
		{"rule: []\n", "test.yaml:1:1: unknown key \"rule\" in a file of rules (known: rules)"},
		{"rules:\n  - name: a\n    when: kid:ddr\n    do: drop\n", "test.yaml:3:11: when: "},
		{"rules:\n  - name: a\n    when: method:GET kid:ddr\n    do: drop\n", "test.yaml:3:22: when: "},
		{"rules:\n  - name: a\n    when: 'method:GET kid:ddr'\n    do: drop\n", "test.yaml:3:23: when: "},
		{"rules:\n  - do: drop\n", "test.yaml:2:5: a rule needs a name"},
		{"rules:\n  - name: a\n    do: drop\n  - name: a\n    do: drop\n", "test.yaml:4:5: a second rule with the name \"a\""},
		{"rules:\n  - name: a\n", "test.yaml:2:5: rule \"a\" does nothing"},
		{rule("delay: soon"), "test.yaml:4:16: delay \"soon\" is no time"},
		{rule("delay: 1h"), "test.yaml:4:16: delay \"1h\" is no time"},
		{rule("set: {value: x}"), "test.yaml:4:9: set: path: is missing"},
		{rule("set: {path: '//a[', value: x}"), "test.yaml:4:21: set: path cannot be read"},
		{rule("set: {field: 'a b', value: x}"), "test.yaml:4:22: set: field \"a b\" is no name"},
		{rule("set: {field: a, value: x, valu: y}"), "test.yaml:4:35: unknown key \"valu\" in set"},
		{rule("replace: {find: '(', with: x, regexp: true}"), "test.yaml:4:25: replace: find is no regular expression"},
		{rule("replace: {find: '', with: x}"), "test.yaml:4:25: replace: find is empty"},
		{rule("replace: {find: a, with: x, in: head}"), "test.yaml:4:41: replace: in has to be text or header"},
		{rule("drop: 5"), "test.yaml:4:15: drop takes no value"},
		{"rules: 5\n", "test.yaml:1:8: rules has to be a list"},
		{"rules:\n  - 5\n", "test.yaml:2:5: a rule has to be"},
		{"rules: [\n", "test.yaml:"},
	} {
		_, err := Parse("test.yaml", []byte(c.src), time.Now(), time.UTC)
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%q:\n got %v\nwant %s", c.src, err, c.want)
		}
	}
}

func TestAllErrorsAtOnce(t *testing.T) {
	_, err := Parse("f", []byte("rules:\n  - name: a\n    do: nope\n  - name: b\n    when: nope:1\n    do: drop\n"), time.Now(), time.UTC)
	if n := strings.Count(err.Error(), "\n") + 1; n != 2 {
		t.Errorf("%d errors, want both: %v", n, err)
	}
}

func TestTables(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range makers {
		if m.name == "" || m.help == "" || m.make == nil || seen[m.name] {
			t.Errorf("action %+v is incomplete or twice there", m)
		}
		seen[m.name] = true
	}
	for _, k := range FindingKinds {
		if seen[k.Code] || !strings.HasPrefix(k.Code, "rule-") || k.Title == "" || k.Why == "" || k.Remedy == "" || k.Severity == traffic.None {
			t.Errorf("finding kind %+v is incomplete or twice there", k)
		}
		seen[k.Code] = true
	}
}

// FuzzSetXML holds the splice against the tree: whatever the text, setting a
// value either fails, or gives a text in which the tree finds that value.
func FuzzSetXML(f *testing.F) {
	f.Add(`<a><b c="d"/><b c='e'>text</b></a>`, "v")
	f.Add(`<?xml version="1.0" encoding="UTF-16"?><a xmlns:x="y"><x:b x:c = "1" ><![CDATA[<mp>]]></x:b></a>`, "&<\r\n")
	f.Add(`<a><!-- <b> --><b/><?pi <b>?><b c=">" ></b></a>`, "]]>")
	set := func(t *testing.T, path string) setXML {
		return parse(t, rule("set: {path: '"+path+"', value: x}")).Rules[0].Do[0].(setXML)
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		if strings.ToValidUTF8(value, "") != value || strings.ContainsFunc(value, func(r rune) bool {
			return r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff
		}) {
			return // cannot stand in XML
		}
		for _, path := range []string{"//b", "//b/@c"} {
			a := set(t, path)
			a.value = value
			out, err := a.in(text)
			if err != nil {
				continue
			}
			again, err := a.in(out)
			if err != nil {
				t.Fatalf("%s in %q gave %q, which cannot be read: %v", path, text, out, err)
			}
			if again != out {
				t.Fatalf("%s in %q: setting twice gave %q, then %q", path, text, out, again)
			}
		}
	})
}
