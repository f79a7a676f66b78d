package diff

import (
	"bytes"
	"encoding/xml"
	"os"
	"strings"
	"testing"

	"mpproxy/capture"
	"mpproxy/compare"
)

// outcomes are one pair that is the same, one that differs, and one exchange
// without a counterpart; a value tries to break out of each format.
func outcomes() []Outcome {
	vary := &compare.Vary{Place: "head Date", Form: "time", Why: "the time"}
	a, b := capture.Row{ID: 1, Kind: "ddr", Agent: "PC-1", Short: "x"}, capture.Row{ID: 2, Kind: "ddr", Agent: "PC-1"}
	return []Outcome{
		{A: &a, B: &b, Reply: &compare.Result{Differences: []compare.Difference{{Place: "head Date", How: compare.Changed, A: "1", B: "2", Vary: vary}}}},
		{A: &a, B: &b, Reply: &compare.Result{More: 3, Differences: []compare.Difference{{Place: "text /A", How: compare.Changed, A: "\x1b[2J]]></failure>", B: "\"\n"}}}},
		{B: &b},
	}
}

func write(t *testing.T, r Report) {
	t.Helper()
	var sum Summary
	for _, o := range outcomes() {
		sum.Add(o)
		if err := r.Outcome(o); err != nil {
			t.Fatal(err)
		}
	}
	if !sum.Differ() || sum.Pairs != 2 || sum.Same != 1 || sum.OnlyB != 1 {
		t.Errorf("%+v", sum)
	}
	if err := r.End(sum); err != nil {
		t.Fatal(err)
	}
}

func TestText(t *testing.T) {
	var b bytes.Buffer
	write(t, &Text{W: &b, Names: [2]string{"a.mpdb", "b.mpdb"}})
	want := `1 PC-1 heartbeat (DDR) x | 2
  ! reply   text /A
      < ␛[2J]]></failure>
      > "␊
  ! reply   and 3 differences more
only b.mpdb: 2 PC-1 heartbeat (DDR)
2 compared: 1 the same, 1 different; only a.mpdb: 0, only b.mpdb: 1
  ~     1 × head Date as time: the time
`
	if got := b.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A change that all agents see has to be one line of the sums, or nobody finds
// the other ones.
func TestPlaces(t *testing.T) {
	var sum Summary
	row, date := &capture.Row{ID: 7}, &compare.Vary{Place: "head Date", Why: "the time"}
	for _, value := range []string{"1", "2", "3"} {
		sum.Add(Outcome{A: row, B: row, Reply: &compare.Result{Differences: []compare.Difference{
			{Place: compare.Place("text /L/P[@N='" + value + "']/@V"), How: compare.Changed, A: "63", B: "0"},
			{Place: "text /L/Q", How: compare.Changed, A: value, B: "0"},
			{Place: "head Date", How: compare.Changed, A: value, B: "0", Vary: date},
		}}})
	}
	sum.Add(Outcome{A: row, B: row, Request: &compare.Result{Differences: []compare.Difference{{Place: "text /L/Q", How: compare.Added, B: "x"}}}})
	var b bytes.Buffer
	if err := (&Text{W: &b}).End(sum); err != nil {
		t.Fatal(err)
	}
	want := `4 compared: 0 the same, 4 different
  !     3 × reply text /L/P[@N='1']/@V: 63 | 0
  !     3 × reply text /L/Q (first: 7)
  +     1 × request text /L/Q
  ~     3 × head Date: the time
`
	if got := b.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Build servers have to be able to read the file, whatever the values are.
func TestJUnit(t *testing.T) {
	var b bytes.Buffer
	j := &JUnit{W: &b, Suite: "a | b"}
	write(t, j)
	kept := j.cases.Name()
	if err := j.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(kept); err == nil {
		t.Error("the cases' own file is left")
	}
	var got struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Cases    []struct {
			Failure string `xml:"failure"`
		} `xml:"testcase"`
	}
	if err := xml.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatalf("%v\n%s", err, b.String())
	}
	if got.Tests != 3 || got.Failures != 2 || len(got.Cases) != 3 || !strings.Contains(got.Cases[1].Failure, "]]></failure>") {
		t.Errorf("%+v", got)
	}
}

func TestJSON(t *testing.T) {
	var b bytes.Buffer
	write(t, &JSON{W: &b})
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(lines) != 4 || !strings.Contains(lines[0], `"same":true`) || !strings.Contains(lines[1], `"more":3`) || !strings.Contains(lines[3], `"varied":[{"place":"head Date"`) {
		t.Errorf("%s", b.String())
	}
}
