package diff

import (
	"cmp"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"mpproxy/capture"
	"mpproxy/compare"
	"mpproxy/internal/view"
	"mpproxy/traffic"
)

// Summary counts outcomes.
type Summary struct {
	// Pairs were compared; Same of them mean the same. OnlyA and OnlyB have no
	// counterpart.
	Pairs, Same, OnlyA, OnlyB int
	// Varied says how often each row of the table was used.
	Varied map[*compare.Vary]int
	// Places are where those that count are.
	Places Places
}

// Add counts one outcome.
func (s *Summary) Add(o Outcome) {
	switch {
	case o.A == nil:
		s.OnlyB++
		return
	case o.B == nil:
		s.OnlyA++
		return
	}
	s.Pairs++
	if o.Same() {
		s.Same++
	}
	if s.Varied == nil {
		s.Varied = map[*compare.Vary]int{}
	}
	s.Places.add(o.A, "request", o.Request)
	s.Places.add(o.A, "reply", o.Reply)
	for _, r := range []*compare.Result{o.Request, o.Reply} {
		if r == nil {
			continue
		}
		for _, d := range r.Differences {
			if d.Vary != nil {
				s.Varied[d.Vary]++
			}
		}
	}
}

// Differ is true when something counts.
func (s *Summary) Differ() bool { return s.Same < s.Pairs || s.OnlyA > 0 || s.OnlyB > 0 }

// rows are those of the table that were used, the most used first.
func (s *Summary) rows() []*compare.Vary {
	var rows []*compare.Vary
	for v := range s.Varied {
		rows = append(rows, v)
	}
	slices.SortFunc(rows, func(a, b *compare.Vary) int {
		return cmp.Or(cmp.Compare(s.Varied[b], s.Varied[a]), cmp.Compare(a.Place, b.Place), cmp.Compare(a.Form, b.Form))
	})
	return rows
}

// Report writes outcomes down as they come.
type Report interface {
	Outcome(Outcome) error
	// End writes what they add up to.
	End(Summary) error
}

// Text is a report for people. Varied also lists what differs and may.
type Text struct {
	W      io.Writer
	Format view.Format
	Varied bool
	// Names are what the two sides are called, such as the names of files.
	Names [2]string
}

// Outcome writes an outcome that counts.
func (t *Text) Outcome(o Outcome) error {
	if o.Same() && !t.Varied {
		return nil
	}
	var b strings.Builder
	switch {
	case o.A == nil:
		fmt.Fprintf(&b, "only %s: %s\n", t.Names[1], t.title(o.B))
	case o.B == nil:
		fmt.Fprintf(&b, "only %s: %s\n", t.Names[0], t.title(o.A))
	default:
		fmt.Fprintf(&b, "%s", t.title(o.A))
		if o.B.ID != o.A.ID {
			fmt.Fprintf(&b, " | %d", o.B.ID)
		}
		b.WriteByte('\n')
		t.result(&b, "request", o.Request)
		t.result(&b, "reply", o.Reply)
	}
	_, err := io.WriteString(t.W, b.String())
	return err
}

// title names an exchange.
func (t *Text) title(r *capture.Row) string {
	words := fmt.Sprintf("%d %s %s %s", r.ID, r.Who(), view.KindName(r.Kind), cmp.Or(r.Short, r.Method+" "+r.Target))
	return strings.TrimSpace(view.Clean(words, t.Format.ASCII))
}

func (t *Text) result(b *strings.Builder, name string, r *compare.Result) {
	if r == nil {
		return
	}
	for _, d := range r.Differences {
		if d.Vary != nil && !t.Varied {
			continue
		}
		sign := sign(d.How)
		why := ""
		if d.Vary != nil {
			sign, why = "~", "   ("+d.Vary.Why+")"
		}
		fmt.Fprintf(b, "  %s %-7s %s%s\n", sign, name, view.Clean(string(d.Place), t.Format.ASCII), why)
		t.values(b, d)
	}
	if r.More > 0 {
		fmt.Fprintf(b, "  ! %-7s and %d differences more\n", name, r.More)
	}
}

func (t *Text) values(b *strings.Builder, d compare.Difference) {
	if d.How != compare.Added {
		fmt.Fprintf(b, "      < %s\n", t.short(d.A))
	}
	if d.How != compare.Removed {
		fmt.Fprintf(b, "      > %s\n", t.short(d.B))
	}
}

// shortValue is how much of a value a line shows.
const shortValue = 100

// short is a value that fits into a line; JSON has all of it.
func (t *Text) short(s string) string {
	s = view.Clean(s, t.Format.ASCII)
	return strings.TrimRight(view.Fit(s, min(shortValue, len(s)), false, t.Format.ASCII), " ")
}

// End writes the counts, and what varied and was let be.
func (t *Text) End(s Summary) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%d compared: %d the same, %d different", s.Pairs, s.Same, s.Pairs-s.Same)
	if s.OnlyA > 0 || s.OnlyB > 0 {
		fmt.Fprintf(&b, "; only %s: %d, only %s: %d", t.Names[0], s.OnlyA, t.Names[1], s.OnlyB)
	}
	b.WriteByte('\n')
	t.places(&b, &s.Places)
	for _, v := range s.rows() {
		place := v.Place
		if v.Form != "" {
			place += " as " + v.Form
		}
		fmt.Fprintf(&b, "  ~ %5d × %s: %s\n", s.Varied[v], place, v.Why)
	}
	_, err := io.WriteString(t.W, t.ascii(b.String()))
	return err
}

// mostPlaces is how many places the sums list.
const mostPlaces = 30

// places lists where differences are, when that is shorter than what was listed
// before.
func (t *Text) places(b *strings.Builder, p *Places) {
	all := p.Sorted()
	if len(all) == 0 || all[0].Count == 1 {
		return
	}
	left := p.More
	for i, c := range all {
		if i >= mostPlaces {
			left += c.Count
			continue
		}
		fmt.Fprintf(b, "  %s %5d × %s %s", sign(c.First.How), c.Count, c.Part, view.Clean(string(c.First.Place), t.Format.ASCII))
		switch {
		case c.Alike && c.First.How == compare.Changed:
			fmt.Fprintf(b, ": %s | %s", t.short(c.First.A), t.short(c.First.B))
		case c.Count > 1:
			fmt.Fprintf(b, " (first: %d)", c.Row.ID)
		}
		b.WriteByte('\n')
	}
	if left > 0 {
		fmt.Fprintf(b, "  ! %5d × elsewhere\n", left)
	}
}

func sign(h compare.How) string {
	return map[compare.How]string{compare.Changed: "!", compare.Added: "+", compare.Removed: "-", compare.Moved: "%"}[h]
}

func (t *Text) ascii(s string) string {
	if t.Format.ASCII {
		return strings.ReplaceAll(s, "×", "x")
	}
	return s
}

// JSON is a report of one object a line.
type JSON struct{ W io.Writer }

type differenceJSON struct {
	Dir   string `json:"dir"`
	Place string `json:"place"`
	How   string `json:"how"`
	A     string `json:"a"`
	B     string `json:"b"`
	AFrom int    `json:"a_from"`
	ATo   int    `json:"a_to"`
	BFrom int    `json:"b_from"`
	BTo   int    `json:"b_to"`
	// Vary says why it may vary, and is empty when it counts.
	Vary string `json:"vary,omitempty"`
}

type outcomeJSON struct {
	Schema      string             `json:"schema"`
	V           int                `json:"v"`
	A           traffic.ExchangeID `json:"a,omitempty"`
	B           traffic.ExchangeID `json:"b,omitempty"`
	Agent       string             `json:"agent"`
	Kind        string             `json:"kind"`
	Same        bool               `json:"same"`
	Differences []differenceJSON   `json:"differences"`
	More        int                `json:"more,omitempty"`
}

type variedJSON struct {
	Place string `json:"place"`
	Form  string `json:"form,omitempty"`
	Why   string `json:"why"`
	Count int    `json:"count"`
}

type summaryJSON struct {
	Schema string       `json:"schema"`
	V      int          `json:"v"`
	Pairs  int          `json:"pairs"`
	Same   int          `json:"same"`
	OnlyA  int          `json:"only_a"`
	OnlyB  int          `json:"only_b"`
	Varied []variedJSON `json:"varied"`
	// Places are where exchanges differ, the most frequent first.
	Places []placeJSON `json:"places"`
	// More is how many differences are elsewhere.
	More int `json:"more,omitempty"`
}

type placeJSON struct {
	Dir   string             `json:"dir"`
	Place string             `json:"place"`
	How   string             `json:"how"`
	Count int                `json:"count"`
	First traffic.ExchangeID `json:"first"`
}

func (j *JSON) encode(v any) error {
	enc := json.NewEncoder(j.W)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// Outcome writes every outcome.
func (j *JSON) Outcome(o Outcome) error {
	out := outcomeJSON{Schema: "mpproxy.difference", V: 1, Same: o.Same(), Differences: []differenceJSON{}}
	out.Agent, out.Kind = o.Row().Agent, o.Row().Kind
	if o.A != nil {
		out.A = o.A.ID
	}
	if o.B != nil {
		out.B = o.B.ID
	}
	for _, side := range []struct {
		dir string
		r   *compare.Result
	}{{"request", o.Request}, {"reply", o.Reply}} {
		if side.r == nil {
			continue
		}
		out.More += side.r.More
		for _, d := range side.r.Differences {
			v := differenceJSON{side.dir, string(d.Place), string(d.How), d.A, d.B, d.SpanA.From, d.SpanA.To, d.SpanB.From, d.SpanB.To, ""}
			if d.Vary != nil {
				v.Vary = d.Vary.Why
			}
			out.Differences = append(out.Differences, v)
		}
	}
	return j.encode(out)
}

// End writes the counts.
func (j *JSON) End(s Summary) error {
	out := summaryJSON{Schema: "mpproxy.difference-summary", V: 1, Pairs: s.Pairs, Same: s.Same, OnlyA: s.OnlyA, OnlyB: s.OnlyB, Varied: []variedJSON{}}
	for _, v := range s.rows() {
		out.Varied = append(out.Varied, variedJSON{v.Place, v.Form, v.Why, s.Varied[v]})
	}
	out.Places, out.More = []placeJSON{}, s.Places.More
	for _, c := range s.Places.Sorted() {
		out.Places = append(out.Places, placeJSON{c.Part, string(c.First.Place), string(c.First.How), c.Count, c.Row.ID})
	}
	return j.encode(out)
}

// JUnit is a report as build servers read it: a test case for each pair. The
// suite's sums stand before its cases, so cases wait in a file of their own.
type JUnit struct {
	W               io.Writer
	Suite           string
	cases           *os.File
	tests, failures int
}

type junitCase struct {
	XMLName xml.Name      `xml:"testcase"`
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Failure *junitFailure `xml:"failure,omitempty"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",cdata"`
}

type junitSuite struct {
	XMLName  xml.Name `xml:"testsuite"`
	Name     string   `xml:"name,attr"`
	Tests    int      `xml:"tests,attr"`
	Failures int      `xml:"failures,attr"`
	Errors   int      `xml:"errors,attr"`
	Skipped  int      `xml:"skipped,attr"`
}

// Outcome keeps a case.
func (j *JUnit) Outcome(o Outcome) error {
	r := o.Row()
	c := junitCase{Class: "mpproxy." + cmp.Or(view.Clean(r.Kind, true), "other"), Name: view.Clean(fmt.Sprintf("%d %s %s", r.ID, r.Who(), cmp.Or(r.Short, r.Target)), false)}
	j.tests++
	if !o.Same() {
		j.failures++
		var b strings.Builder
		text := Text{W: &b, Names: [2]string{"A", "B"}}
		if err := text.Outcome(o); err != nil {
			return err
		}
		first, _, _ := strings.Cut(strings.TrimSpace(b.String()), "\n")
		c.Failure = &junitFailure{first, b.String()}
	}
	line, err := xml.Marshal(c)
	if err == nil && j.cases == nil {
		j.cases, err = os.CreateTemp("", "mpproxy-junit-*") // 0600
	}
	if err == nil {
		_, err = j.cases.Write(append(append([]byte("  "), line...), '\n'))
	}
	if err != nil {
		return fmt.Errorf("keep a test case: %w", err)
	}
	return nil
}

// End writes all cases.
func (j *JUnit) End(Summary) error {
	const end = "</testsuite>"
	suite, err := xml.Marshal(junitSuite{Name: j.Suite, Tests: j.tests, Failures: j.failures})
	if err != nil {
		return err
	}
	head := xml.Header + strings.TrimSuffix(string(suite), end) + "\n"
	if _, err := io.WriteString(j.W, head); err != nil {
		return err
	}
	if j.cases != nil {
		_, err := j.cases.Seek(0, io.SeekStart)
		if err == nil {
			_, err = io.Copy(j.W, j.cases)
		}
		if err != nil {
			return err
		}
	}
	_, err = io.WriteString(j.W, end+"\n")
	return err
}

// Close lets the file of the cases go.
func (j *JUnit) Close() error {
	if j.cases == nil {
		return nil
	}
	return errors.Join(j.cases.Close(), os.Remove(j.cases.Name()))
}
