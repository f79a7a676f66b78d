package compare

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mpproxy/decode"
	"mpproxy/traffic"
)

func head(s string) traffic.Head { return traffic.ParseHead([]byte(s + "\r\n\r\n")) }

// message is one with a text, or with a header and a text.
func message(kind, header, text string) Message {
	return Message{Head: head("HTTP/1.1 200 OK"), Decoded: &decode.Message{
		Kind: kind, Form: "ccm", HeaderText: decode.Text{String: header}, Text: decode.Text{String: text},
	}}
}

// said is what a comparison found, a line each; what may vary begins with ~.
func said(r *Result) []string {
	var lines []string
	for _, d := range r.Differences {
		line := fmt.Sprintf("%s %s: %s | %s", d.How, d.Place, d.A, d.B)
		if d.Vary != nil {
			line = "~ " + line
		}
		lines = append(lines, line)
	}
	return lines
}

// What is another way to write the same must not be called a difference, or
// every replay would differ; everything else must be, with its place.
func TestTexts(t *testing.T) {
	for _, c := range []struct {
		name, a, b string
		want       []string
	}{
		{"the same", `<A x="1"/>`, `<A x="1"/>`, nil},
		{"order of attributes, white space, quotes", `<A x="1" y="2"><B/></A>`, "<A y='2'\n x='1'>\n  <B></B>\n</A>", nil},
		{"declaration and prefix", `<?xml version="1.0" encoding="utf-16"?><n:A xmlns:n="u"/>`, `<A xmlns="u"/>`, nil},
		{"an attribute", `<A x="1"/>`, `<A x="2"/>`, []string{"changed text /A/@x: 1 | 2"}},
		{"attributes more and less", `<A x="1"/>`, `<A y="1"/>`, []string{"removed text /A/@x: 1 | ", "added text /A/@y:  | 1"}},
		{"a text", `<A><B>one</B></A>`, `<A><B>two</B></A>`, []string{"changed text /A/B: one | two"}},
		{"an element more", `<A><B/></A>`, `<A><B/><C k="v">t</C></A>`, []string{`added text /A/C:  | <C k="v">t`}},
		{"by key, not by place", `<A><P ID="1" v="x"/><P ID="2"/></A>`, `<A><P ID="2"/><P ID="1" v="y"/></A>`, []string{
			"changed text /A/P[@ID='1']/@v: x | y", "moved text /A/P: in one order | in another",
		}},
		{"order of assignments", `<A><PolicyAssignment PolicyAssignmentID="1"/><PolicyAssignment PolicyAssignmentID="2"/></A>`, `<A><PolicyAssignment PolicyAssignmentID="2"/><PolicyAssignment PolicyAssignmentID="1"/></A>`, []string{
			"~ moved text /A/PolicyAssignment: in one order | in another",
		}},
		{"another key", `<A><P ID="1"/></A>`, `<A><P ID="2"/></A>`, []string{"changed text /A/P[@ID='1']/@ID: 1 | 2"}},
		{"a key less", `<A><P ID="1"/><P ID="2"/></A>`, `<A><P ID="2"/></A>`, []string{`removed text /A/P[@ID='1']: <P ID="1"> | `}},
		{"many of one name", `<A><B/><B/><B>x</B></A>`, `<A><B/><B/><B>y</B></A>`, []string{"changed text /A/B[3]: x | y"}},
		{"a time", `<A TimeStamp="2026-05-04T10:41:05Z"/>`, `<A TimeStamp="2026-05-05T10:41:05Z"/>`, []string{
			"~ changed text /A/@TimeStamp: 2026-05-04T10:41:05Z | 2026-05-05T10:41:05Z",
		}},
		{"no time where one should be", `<A TimeStamp="2026-05-04T10:41:05Z"/>`, `<A TimeStamp="never"/>`, []string{
			"changed text /A/@TimeStamp: 2026-05-04T10:41:05Z | never",
		}},
		{"no XML", `hello world`, `hello there`, []string{"changed text: world | there"}},
		{"XML and none", `<A/>`, `<html>`, []string{"changed text: A/> | html>"}},
		{"nothing any more", `<A/>`, ``, []string{"removed text: <A/> | "}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := Messages(message("k", "", c.a), message("k", "", c.b), Standard())
			if diff := cmp.Diff(c.want, said(r)); diff != "" {
				t.Error(diff)
			}
			for _, d := range r.Differences {
				if d.SpanA.To > len(c.a) || d.SpanB.To > len(c.b) || d.SpanA.From > d.SpanA.To || d.SpanB.From > d.SpanB.To {
					t.Errorf("%s: spans %v and %v leave the texts", d.Place, d.SpanA, d.SpanB)
				}
			}
		})
	}
}

// The place has to be found again in the text.
func TestSpans(t *testing.T) {
	a, b := `<A><B Cx="0" x = '12'/></A>`, `<A><B x="345" Cx="0"/></A>`
	r := Messages(message("k", "", a), message("k", "", b), nil)
	d := r.Differences[0]
	if got := a[d.SpanA.From:d.SpanA.To]; got != `x = '12'` {
		t.Errorf("A: %q", got)
	}
	if got := b[d.SpanB.From:d.SpanB.To]; got != `x="345"` {
		t.Errorf("B: %q", got)
	}
}

func TestHeads(t *testing.T) {
	a := Message{Head: head("HTTP/1.1 200 OK\r\nDate: Mon, 04 May 2026 10:41:05 GMT\r\nX-A: 1\r\nContent-Length: 3"), Digest: "aa"}
	b := Message{Head: head("HTTP/1.1 403 Forbidden\r\ncontent-length: 4\r\nDATE: Tue, 05 May 2026 10:41:05 GMT"), Digest: "bb"}
	want := []string{
		"changed status: 200 | 403", "changed reason: OK | Forbidden",
		"~ changed head Date: Mon, 04 May 2026 10:41:05 GMT | Tue, 05 May 2026 10:41:05 GMT",
		"removed head X-A: 1 | ", "~ changed head Content-Length: 3 | 4", "changed body: aa | bb",
	}
	r := Messages(a, b, Standard())
	if diff := cmp.Diff(want, said(r)); diff != "" {
		t.Error(diff)
	}
	if r.Same() || r.Counting() != 4 {
		t.Errorf("%d differences count", r.Counting())
	}
}

func TestAttachments(t *testing.T) {
	with := func(content ...string) Message {
		m := message("k", "<Msg/>", "<A/>")
		for _, c := range content {
			m.Decoded.Attachments = append(m.Decoded.Attachments, decode.Attachment{Bytes: []byte(c)})
		}
		return m
	}
	r := Messages(with("one", "two"), with("one", "three", "four"), Standard())
	r2 := Messages(with(`<R><A TimeStamp="2026-05-04T10:41:05Z" v="1"/></R>`), with(`<R><A TimeStamp="2026-05-05T10:41:05Z" v="2"/></R>`), Standard())
	if want := []string{
		"~ changed attachment1 /R/A/@TimeStamp: 2026-05-04T10:41:05Z | 2026-05-05T10:41:05Z", "changed attachment1 /R/A/@v: 1 | 2",
	}; !cmp.Equal(want, said(r2)) {
		t.Error(cmp.Diff(want, said(r2)))
	}
	if len(r.Differences) != 2 || r.Differences[0].Place != "attachment2" || r.Differences[1].How != Added {
		t.Errorf("%v", said(r))
	}
}

func TestVary(t *testing.T) {
	for _, c := range []struct {
		pattern string
		place   Place
		want    bool
	}{
		{"text **/@TimeStamp", "text /A/B/@TimeStamp", true},
		{"text **/@*Time", "text /A/@SentTime", true},
		{"text /A/*/@x", "text /A/B[@ID='a/b']/@x", true},
		{"text /A/*/@x", "text /A/B/C/@x", false},
		{"text **", "text", true},
		{"text **", "header /Msg/ID", false},
		{"* **", "header /Msg/ID", true},
		{"head ccm*", "head CCMClientID", true},
		{"head Date", "head Data", false},
		{"text **/P", "text /A/P[3]", true},
	} {
		if got := placeFits(c.pattern, c.place); got != c.want {
			t.Errorf("%q and %q: %v", c.pattern, c.place, got)
		}
	}
	for form, values := range map[string][2]string{
		"guid":   {"GUID:8F3C1A20-77B1-4C55-9E0D-2A6D1B90C0F4", "8F3C1A20"},
		"time":   {"20260504104105.000000+000", "soon"},
		"number": {"-12.5", "12a"},
		"hex":    {"0xAB01", "ABC"},
		"base64": {"aGVsbG8=", "a b-c"},
	} {
		if !looksLike(form, values[0]) || looksLike(form, values[1]) {
			t.Errorf("%s: %q is %v, %q is %v", form, values[0], looksLike(form, values[0]), values[1], looksLike(form, values[1]))
		}
	}
}

// A text with very many differences, or nested without end, must not take the
// machine.
func TestBounds(t *testing.T) {
	a := "<A>" + strings.Repeat("<B>x</B>", 5000) + "</A>"
	b := "<A>" + strings.Repeat("<B>y</B>", 5000) + "</A>"
	r := Messages(message("k", "", a), message("k", "", b), nil)
	if len(r.Differences) != MaxDifferences || r.More != 4000 || r.Counting() != 5000 {
		t.Errorf("%d differences and %d more", len(r.Differences), r.More)
	}
	deep := strings.Repeat("<A>", 100_000)
	if r := Messages(message("k", "", deep), message("k", "", deep+"x"), nil); len(r.Differences) != 1 {
		t.Errorf("%v", said(r))
	}
}

func TestPairs(t *testing.T) {
	item := func(agent, kind, target string) Item {
		return Item{Agent: agent, Kind: kind, Method: "GET", Target: target}
	}
	as := []Item{
		item("PC-1", "policy-request", "/a"), item("PC-1", "ddr", "/b"), item("PC-1", "policy-request", "/a"),
		item("", "bits", "/CCM_Incoming/{8F3C1A20-77B1-4C55-9E0D-2A6D1B90C0F4}"), item("PC-9", "x", "/"),
		item("PC-3", "policy-body", "/SMS_MP/.sms_pol?{D6D1}.2_00"),
	}
	bs := []Item{
		item("pc-1", "policy-request", "http://mp/A"), item("PC-2", "new", "/"), item("PC-1", "policy-request", "/a"),
		item("", "bits", "/ccm_incoming/{00000000-77B1-4C55-9E0D-2A6D1B90C0F4}"),
		item("PC-3", "policy-body", "/SMS_MP/.sms_pol?%7BD6D1%7d.2_00"),
	}
	want := []Pair{{0, 0}, {-1, 1}, {1, -1}, {2, 2}, {3, 3}, {4, -1}, {5, 4}}
	if diff := cmp.Diff(want, Pairs(as, bs)); diff != "" {
		t.Error(diff)
	}
}

func FuzzTexts(f *testing.F) {
	f.Add(`<A x="1"><B>t</B></A>`, `<A x='2'><B/><C/></A>`)
	f.Add(`<A`, `text`)
	f.Add(`<a:A xmlns:a="u" a:x="1"/>`, `<!-- --><A><![CDATA[x]]></A>`)
	f.Fuzz(func(t *testing.T, a, b string) {
		r := Messages(message("k", a, b), message("k", b, a), Standard())
		for _, d := range r.Differences {
			if d.SpanA.From > d.SpanA.To || d.SpanB.From > d.SpanB.To || d.SpanA.To > max(len(a), len(b)) || d.SpanB.To > max(len(a), len(b)) {
				t.Errorf("%s: spans %v, %v", d.Place, d.SpanA, d.SpanB)
			}
		}
		if same := Messages(message("k", a, b), message("k", a, b), nil); !same.Same() {
			t.Errorf("a message differs from itself: %v", said(same))
		}
	})
}
