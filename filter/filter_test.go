package filter

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	zone = time.FixedZone("here", 2*3600)
	now  = time.Date(2026, 5, 4, 12, 41, 5, 0, zone)
)

func mustParse(t testing.TB, src string) *Filter {
	t.Helper()
	f, err := Parse(src, now, zone)
	if err != nil {
		t.Fatalf("Parse(%q): %v", src, err)
	}
	return f
}

// thing is a Subject made of literal values.
type thing struct {
	numbers map[string]int64
	texts   map[string][]string
}

func (x thing) Number(field string) (int64, bool) { n, ok := x.numbers[field]; return n, ok }
func (x thing) Texts(field string) []string       { return x.texts[field] }

var policy = thing{
	numbers: map[string]int64{
		"id": 412, "conn": 9917, "status": 403, "took": 31_400, "size": 5400, "req": 3800, "resp": 1600, "sev": 2,
		"time": time.Date(2026, 5, 4, 10, 40, 30, 0, time.UTC).UnixMicro(), // 12:40:30 here
	},
	texts: map[string][]string{
		"":         {"142 assignments", "PC-0412", "{5C0E1B7A-2F5D-4B0E-9A53-0B1D3A6E4F10}", "call Müller"},
		"agent":    {"PC-0412", "GUID:8F3C1A20-77B1-4C55-9E0D-2A6D1B90C0F4", "192.0.2.12"},
		"kind":     {"policy-request", "policy-reply"},
		"endpoint": {"MP_PolicyManager"},
		"finding":  {"native-no-client-cert", "L101"},
		"is":       {"modified", "tls"},
		"dir":      {"request", "reply"},
		"path":     {"/ccm_system/request?a=b:c"},
		"corr":     {"{5C0E1B7A-2F5D-4B0E-9A53-0B1D3A6E4F10}", ""},
		"text":     {`<Policy PolicyVersion="3.1" Name="Software Updates">`},
		"wire":     {"x\x9cS\x00i\x00t\x00e\x00"},
		"hex":      {"x\x9cS\x00i\x00t\x00e\x00"},
		"note":     {"call Müller"},
	},
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		src  string
		want bool
	}{
		{"", true},
		{"  ", true},
		{"PC-0412", true},
		{"pc-04", true},
		{"assign*nts", true},
		{`"assign*nts"`, false},
		{"MÜLLER", true},
		{"agent:PC-04*", true},
		{"agent:pc-0412", true},
		{"agent:=pc-0412", false},
		{"agent:=PC-0412", true},
		{"agent:PC", false},
		{"agent:PC-????", true},
		{`agent:"PC-????"`, false},
		{"agent:GUID:8F3C1A20-77B1-4C55-9E0D-2A6D1B90C0F4", true},
		{"agent:8f3c1a20*", true},
		{"agent:192.0.2.*", true},
		{"agent:LNX-*,PC-*", true},
		{"agent:PC-04* -kind:policy*", false},
		{"agent:PC-04* NOT kind:ddr", true},
		{"kind:policy-reply", true},
		{"status:400..599 endpoint:MP_PolicyManager", true},
		{"status:..399", false},
		{"status:>=403", true},
		{"status:>403", false},
		{"status:<403", false},
		{"status:200,403", true},
		{"(kind:ddr OR kind:hinv) took:>2s", false},
		{"(kind:ddr OR kind:policy-request) took:<2s", true},
		{"kind:ddr OR kind:policy-request took:>2s", false},
		{"took:31ms", true},
		{"took:=31ms", false},
		{"took:>31ms", true},
		{"took:30ms..32ms", true},
		{"req:3.8k", true},
		{"resp:2k", false},
		{"size:>5Ki", true},
		{"sev:i", true},
		{"sev:W", true},
		{"sev:=W", true},
		{"sev:=i", false},
		{"sev:E", false},
		{"sev:i..W", true},
		{"sev:<E", true},
		{"time:12:40", true},
		{"time:10:40Z", true},
		{"time:10:40", false},
		{"time:2026-05-04", true},
		{"time:>2026-05-04", false},
		{"time:>=2026-05-04", true},
		{"time:2026-05-03..2026-05-04", true},
		{"time:2026-05-04T10:40:30Z", true},
		{"time:<2026-05-04T12:40:30.000", false},
		{"age:<2h", true},
		{"age:>2h", false},
		{"age:30s..1m", true},
		{"is:modified", true},
		{"is:held,tls", true},
		{"-is:modified", false},
		{"dir:reply", true},
		{"finding:native-*", true},
		{"finding:l101", true},
		{"corr:5C0E1B7A-2F5D-4B0E-9A53-0B1D3A6E4F10", true},
		{"corr:{5C0E1B7A-2F5D-4B0E-9A53-0B1D3A6E4F10}", true},
		{`text:"Software Updates"`, true},
		{`text:~"PolicyVersion=.3\."`, true},
		{`text:~policyversion`, false},
		{`text:=software`, false},
		{"path:/ccm_system*b:c", true},
		{"wire:Site", true},
		{`hex:"78 9c"`, true},
		{"hex:789d", false},
		{"note:müller", true},
		{"rule:*", false},
		{"-rule:*", true},
		{"-(kind:ddr OR status:403)", false},
		{"NOT NOT status:403", true},
		{"conn:9917 id:400..500", true},
		{"conn:9917 AND id:<400", false},
	} {
		f := mustParse(t, c.src)
		if got := f.Match(policy); got != c.want {
			t.Errorf("%q matches: %v, want %v", c.src, got, c.want)
		}
		again := mustParse(t, f.String())
		if again.String() != f.String() || again.Match(policy) != c.want {
			t.Errorf("%q printed as %q means something else", c.src, f)
		}
	}
}

func TestString(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{"", ""},
		{" a   AND b ", "a b"},
		{"NOT kind:ddr", "-kind:ddr"},
		{"- - x", "x"},
		{"a OR (b OR c)", "a OR b OR c"},
		{"a (b c)", "a b c"},
		{"(a OR b) c", "(a OR b) c"},
		{"-(a b)", "-(a b)"},
		{`"plain"`, "plain"},
		{`"two words" "OR" "status:x" "a*" "-b" ""`, `"two words" "OR" "status:x" "a*" "-b" ""`},
		{`agent:"PC 1","a,b","-x","=y"`, `agent:"PC 1","a,b",-x,"=y"`},
		{`path:~"a\.\"b"`, `path:~"a\\.\"b"`},
		{"status: 404", "status:404"},
		{"agent:GUID:8F3C", "agent:GUID:8F3C"},
	} {
		if got := mustParse(t, c.src).String(); got != c.want {
			t.Errorf("%q prints as %q, want %q", c.src, got, c.want)
		}
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct {
		src    string
		column int
		says   string
	}{
		{"agnt:x", 1, "did you mean agent"},
		{"a b stat:4", 5, "did you mean status"},
		{"zzzz:1", 1, "in quotes"},
		{"http://x", 1, "in quotes"},
		{"status:abc", 8, "not a number"},
		{"status:", 8, "value is missing"},
		{"status:400,abc", 12, "not a number"},
		{"took:>2", 7, "unit"},
		{"took:2x", 6, "unit"},
		{"size:9999999999G", 6, "too large"},
		{"status:5..4", 8, "empty"},
		{"status:>4..5", 9, "no operator"},
		{"is:modifed", 4, "did you mean modified"},
		{"dir:up", 5, "known: request, reply"},
		{"sev:X", 5, "not a severity"},
		{"time:25:00", 6, "not a time"},
		{"agent:>x", 1, "does not apply"},
		{"is:~x", 1, "does not apply"},
		{"text:~\"(\"", 7, "regular expression"},
		{"hex:7", 5, "hex digits"},
		{"(a OR b", 8, `")" is missing`},
		{"a )", 3, "too early"},
		{"()", 2, "too early"},
		{"OR a", 1, "between two conditions"},
		{"a OR", 5, "should follow"},
		{`a "b`, 3, "not closed"},
		{"ä agnt:x", 3, "did you mean"},
		{"a,b", 2, "comma"},
		{"x:1", 1, "unknown field"},
		{"\xff", 1, "UTF-8"},
		{strings.Repeat("a ", 3000), 1, "longer"},
	} {
		_, err := Parse(c.src, now, zone)
		var wrong *Error
		if !errors.As(err, &wrong) {
			t.Errorf("%q: error %v, want an *Error", c.src, err)
			continue
		}
		if wrong.Column != c.column || !strings.Contains(wrong.Message, c.says) {
			t.Errorf("%q: %v, want column %d and %q", c.src, err, c.column, c.says)
		}
	}
}

func TestPhase(t *testing.T) {
	for src, want := range map[string]Phase{
		"":                           AtRequest,
		"endpoint:MP_DdrEndpoint":    AtRequest,
		"dir:request":                AtRequest,
		"status:200":                 AtReply,
		"kind:ddr -(took:>1s OR x)":  AtReply,
		"resp:>1k":                   AtReply,
		"dir:reply":                  AtReply,
		"is:reply-missing":           AtReply,
		"is:signed agent:PC-1 sev:E": AtRequest,
	} {
		if got := mustParse(t, src).Phase(); got != want {
			t.Errorf("%q is asked at the %v, want the %v", src, got, want)
		}
	}
}

// TestTimes holds the spans that times stand for, where a wrong zone or a
// wrong day would hide rows.
func TestTimes(t *testing.T) {
	at := func(s string) int64 {
		v, err := time.Parse("2006-01-02T15:04:05.999999Z07:00", s)
		if err != nil {
			t.Fatal(err)
		}
		return v.UnixMicro()
	}
	for src, want := range map[string]Span{
		"time:10:40":                {at("2026-05-04T08:40:00Z"), at("2026-05-04T08:40:59.999999Z")},
		"time:23:00":                {at("2026-05-03T21:00:00Z"), at("2026-05-03T21:00:59.999999Z")},
		"time:23:00Z":               {at("2026-05-03T23:00:00Z"), at("2026-05-03T23:00:59.999999Z")},
		"time:2026-05-04":           {at("2026-05-03T22:00:00Z"), at("2026-05-04T21:59:59.999999Z")},
		"time:2026-05-04T10:41:05Z": {at("2026-05-04T10:41:05Z"), at("2026-05-04T10:41:05.999999Z")},
		"time:2026-05-04T10:41:05.000250Z": {
			at("2026-05-04T10:41:05.00025Z"),
			at("2026-05-04T10:41:05.00025Z"),
		},
	} {
		got := mustParse(t, src).Root.(*Term).Values[0].Span
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", src, diff)
		}
	}
}

// TestFields walks the table: a field without help, or one that cannot be
// written in a filter, would be missing from the documents or never be found.
func TestFields(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range Fields() {
		if seen[f.Name] || f.Help == "" || Lookup(f.Name) != f {
			t.Errorf("field %q: twice, without help, or not found", f.Name)
		}
		seen[f.Name] = true
		if (f.Kind == Flag) != (f.Words != nil) {
			t.Errorf("field %q: flags and only flags have words", f.Name)
		}
		for _, w := range f.Words {
			if w.Help == "" {
				t.Errorf("%s:%s has no help", f.Name, w.Name)
			}
			mustParse(t, f.Name+":"+w.Name)
		}
		if f.Kind == Text || f.Kind == Words {
			mustParse(t, f.Name+":x")
		}
	}
	for _, name := range strings.Fields("id conn time age agent kind endpoint sev finding status took size req resp " +
		"dir mode auth tls mp rule method path leg code is msgid corr hook note header text hex wire") {
		if !seen[name] {
			t.Errorf("field %q is promised and missing", name)
		}
	}
}

func TestGlobIsNotExponential(t *testing.T) {
	if glob(strings.Repeat("a*", 500)+"b", strings.Repeat("a", 5000)) {
		t.Error("a string without b matches a pattern that ends in b")
	}
}

func FuzzParse(f *testing.F) {
	for _, src := range []string{
		"PC-0412", "agent:PC-04* -kind:policy*", "sev:E age:<1d", "status:400..599 endpoint:MP_HinvEndpoint",
		"(kind:ddr OR kind:hinv) took:>2s", `text:~"PolicyVersion=.3\."`, "-auth:cert mode:reverse", `hex:"78 9c"`,
		"time:10:40..2026-05-04T10:41:05Z", `a "b\"c" OR NOT (d)`, "path:http://x", "\"\v\"",
	} {
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src string) {
		parsed, err := Parse(src, now, zone)
		if err != nil {
			var wrong *Error
			if !errors.As(err, &wrong) || wrong.Column < 1 || wrong.Column > len([]rune(src))+1 || wrong.Message == "" {
				t.Fatalf("%q: error without a place in the text: %#v", src, err)
			}
			return
		}
		printed := parsed.String()
		if len(printed) > maxSource {
			return // quotes and parentheses made it longer than what is read
		}
		again, err := Parse(printed, now, zone)
		if err != nil {
			t.Fatalf("%q prints as %q, which is refused: %v", src, printed, err)
		}
		if again.String() != printed {
			t.Fatalf("%q prints as %q, that as %q", src, printed, again)
		}
		if !slices.Equal(terms(parsed), terms(again)) || parsed.Match(policy) != again.Match(policy) {
			t.Fatalf("%q and its canonical form %q differ", src, printed)
		}
	})
}

func terms(f *Filter) []string {
	var all []string
	f.Walk(func(t *Term) {
		for _, v := range t.Values {
			all = append(all, t.Field.Name+string(t.Op)+v.Text)
		}
	})
	return all
}
