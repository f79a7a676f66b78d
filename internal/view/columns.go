package view

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"mpproxy/capture"
	"mpproxy/decode"
	"mpproxy/traffic"
)

// Format says how values are written.
type Format struct {
	// Zone is the zone of times; nil is the local one.
	Zone *time.Location
	// ASCII keeps out everything else.
	ASCII bool
}

func (f Format) zone() *time.Location {
	if f.Zone == nil {
		return time.Local
	}
	return f.Zone
}

// Time writes an instant by a layout of package time; "-" for none.
func (f Format) Time(t time.Time, layout string) string {
	if t.IsZero() {
		return "-"
	}
	return t.In(f.zone()).Format(layout)
}

// Column is one column of the list of exchanges.
type Column struct {
	// Name is what --columns and the screen's settings call it, Head what
	// stands above it.
	Name, Head string
	// Right is true for columns of numbers.
	Right bool
	// cells is how wide it is at each of the breakpoints; 0 leaves it out, -1
	// takes what is left.
	cells [6]int
	value func(capture.Row, Format, int) string
}

// breakpoints are the terminal widths at which the columns change.
var breakpoints = [6]int{160, 120, 100, 80, 60, 0}

// columns are those of the list, from left to right. Widths are fixed for a
// terminal's width, so that columns do not jump while rows scroll.
var columns = []Column{
	{"sev", "S", false, [6]int{1, 1, 1, 1, 1, 1}, func(r capture.Row, _ Format, _ int) string { return r.Sev.Letter() }},
	{"fate", "F", false, [6]int{1, 1, 1, 1, 1, 1}, func(r capture.Row, _ Format, _ int) string { return Fate(r) }},
	{"id", "id", true, [6]int{10, 8, 0, 0, 0, 0}, func(r capture.Row, _ Format, _ int) string { return strconv.FormatInt(int64(r.ID), 10) }},
	{"time", "time", false, [6]int{23, 12, 12, 8, 8, 5}, func(r capture.Row, f Format, n int) string { return f.Time(r.Begun, timeLayouts[n]) }},
	{"agent", "agent", false, [6]int{20, 12, 12, 11, 10, 8}, func(r capture.Row, _ Format, n int) string { return agentName(r, n) }},
	{"endpoint", "endpoint", false, [6]int{22, 18, 0, 0, 0, 0}, func(r capture.Row, _ Format, _ int) string { return r.Endpoint }},
	{"kind", "message", false, [6]int{24, 18, 18, 18, 12, 12}, func(r capture.Row, _ Format, _ int) string { return KindName(r.Kind) }},
	{"summary", "summary", false, [6]int{-1, -1, -1, -1, -1, -1}, func(r capture.Row, _ Format, _ int) string { return summary(r) }},
	{"status", "st", true, [6]int{3, 3, 3, 3, 3, 0}, func(r capture.Row, _ Format, _ int) string { return status(r) }},
	{"req", "req", true, [6]int{6, 5, 5, 0, 0, 0}, func(r capture.Row, _ Format, _ int) string { return Size(r.ReqBytes) }},
	{"resp", "resp", true, [6]int{6, 5, 5, 0, 0, 0}, func(r capture.Row, _ Format, _ int) string { return Size(r.RespBytes) }},
	{"took", "took", true, [6]int{6, 6, 6, 6, 0, 0}, func(r capture.Row, _ Format, _ int) string { return Duration(r.Took()) }},
	{"conn", "conn", true, [6]int{}, func(r capture.Row, _ Format, _ int) string { return strconv.FormatInt(int64(r.Conn), 10) }},
	{"auth", "auth", false, [6]int{}, func(r capture.Row, _ Format, _ int) string { return r.Auth }},
	{"tls", "tls", false, [6]int{}, func(r capture.Row, _ Format, _ int) string { return r.TLS }},
	{"method", "method", false, [6]int{}, func(r capture.Row, _ Format, _ int) string { return r.Method }},
	{"target", "target", false, [6]int{}, func(r capture.Row, _ Format, _ int) string { return r.Target }},
	{"client", "client", false, [6]int{}, func(r capture.Row, _ Format, _ int) string { return r.Client }},
	{"rule", "rule", false, [6]int{}, func(r capture.Row, _ Format, _ int) string { return strings.Join(r.Rules, ",") }},
}

// wideCells is how wide a column is that no breakpoint shows by itself.
var wideCells = map[string]int{"conn": 6, "auth": 7, "tls": 3, "method": 9, "target": 30, "client": 41, "rule": 20}

var timeLayouts = map[int]string{23: "2006-01-02 15:04:05.000", 12: "15:04:05.000", 8: "15:04:05", 5: "04:05"}

// ColumnNames are the names that --columns takes.
func ColumnNames() []string {
	var names []string
	for _, c := range columns {
		names = append(names, c.Name)
	}
	return names
}

// Layout is which columns a list shows, and how wide.
type Layout struct {
	Columns []Column
	Cells   []int
}

// LayoutFor lays the list's columns out for a terminal of some width.
func LayoutFor(cells int) Layout {
	step := slices.IndexFunc(breakpoints[:], func(b int) bool { return cells >= b })
	var l Layout
	for _, c := range columns {
		if n := c.cells[step]; n != 0 {
			l.Columns, l.Cells = append(l.Columns, c), append(l.Cells, n)
		}
	}
	return l.fill(cells)
}

// LayoutOf lays out columns by their names, in that order. The error names the
// known ones.
func LayoutOf(names []string, cells int) (Layout, error) {
	var l Layout
	for _, name := range names {
		i := slices.IndexFunc(columns, func(c Column) bool { return c.Name == name })
		if i < 0 {
			return l, fmt.Errorf("unknown column %q (known: %s)", name, strings.Join(ColumnNames(), ", "))
		}
		n := columns[i].cells[1]
		if n == 0 {
			n = max(columns[i].cells[0], wideCells[name])
		}
		l.Columns, l.Cells = append(l.Columns, columns[i]), append(l.Cells, n)
	}
	return l.fill(cells), nil
}

// fill gives what is left to the column that takes it.
func (l Layout) fill(cells int) Layout {
	rest := cells - max(len(l.Columns)-1, 0)
	at := -1
	for i, n := range l.Cells {
		if n < 0 {
			at = i
			continue
		}
		rest -= n
	}
	if len(l.Columns) > 1 && l.Columns[0].Name == "sev" && l.Columns[1].Name == "fate" {
		rest++ // no blank between the two letters
	}
	if at >= 0 {
		l.Cells[at] = max(rest, 8)
	}
	return l
}

// Heading is the line above the list.
func (l Layout) Heading(f Format) string {
	return l.join(func(c Column, _ int) string { return c.Head }, f)
}

// Line is an exchange as one line, cleaned and cut.
func (l Layout) Line(r capture.Row, f Format) string {
	return l.join(func(c Column, cells int) string { return Clean(c.value(r, f, cells), f.ASCII) }, f)
}

// Value is what a column says of an exchange, cleaned but not cut.
func (c Column) Value(r capture.Row, f Format) string {
	return Clean(c.value(r, f, 23), f.ASCII)
}

// Texts are the parts of Line, each as wide as its column.
func (l Layout) Texts(r capture.Row, f Format) []string {
	var texts []string
	for i, c := range l.Columns {
		texts = append(texts, Fit(Clean(c.value(r, f, l.Cells[i]), f.ASCII), l.Cells[i], c.Right, f.ASCII))
	}
	return texts
}

// Starts is where in Line each column begins, in cells.
func (l Layout) Starts() []int {
	var starts []int
	at := 0
	for i, n := range l.Cells {
		if l.spaced(i) {
			at++
		}
		starts = append(starts, at)
		at += n
	}
	return starts
}

// spaced is true when a blank stands before a column.
func (l Layout) spaced(i int) bool {
	return i > 0 && (l.Columns[i].Name != "fate" || l.Columns[i-1].Name != "sev")
}

func (l Layout) join(value func(Column, int) string, f Format) string {
	var b strings.Builder
	for i, c := range l.Columns {
		if l.spaced(i) {
			b.WriteByte(' ')
		}
		b.WriteString(Fit(value(c, l.Cells[i]), l.Cells[i], c.Right, f.ASCII))
	}
	return b.String()
}

// Fate is the letter for what became of an exchange.
func Fate(r capture.Row) string {
	switch {
	case r.Origin == "replay":
		return "R"
	case r.Fate == traffic.InFlight:
		return ">"
	case r.Fate == traffic.Modified:
		return "M"
	case r.Fate == traffic.Answered:
		return "A"
	case r.Fate == traffic.Dropped, r.Fate == traffic.Broken:
		return "D"
	case r.Fate == traffic.Tunneled:
		return "P"
	case r.Marked:
		return "*"
	}
	return " "
}

// FateWords says in words what a fate is.
func FateWords(f traffic.Fate) string {
	switch f {
	case traffic.InFlight:
		return "under way"
	case traffic.Passed:
		return "passed unchanged"
	case traffic.Modified:
		return "changed by a rule"
	case traffic.Answered:
		return "answered by mpproxy"
	case traffic.Dropped:
		return "dropped by a rule"
	case traffic.Broken:
		return "broken off"
	case traffic.Tunneled:
		return "passed as raw bytes"
	}
	return string(f)
}

var kindNames = func() map[string]string {
	names := map[string]string{"": "-"}
	for _, k := range decode.Kinds() {
		names[k.Slug] = k.Name
	}
	return names
}()

// KindName is a kind's slug in words.
func KindName(slug string) string {
	if name := kindNames[slug]; name != "" {
		return name
	}
	return slug
}

// summary is the row's, or what broke it off where nothing could be decoded.
func summary(r capture.Row) string {
	if r.Kind == "tls" && r.Err != "" || r.Short == "" && r.Fate == traffic.Broken {
		return r.Err
	}
	// What is under way has no summary yet.
	return cmp.Or(r.Short, strings.TrimSpace(r.Method+" "+r.Target))
}

// agentName is the agent's name; a client id is cut to its first eight digits.
func agentName(r capture.Row, cells int) string {
	who := r.Who()
	if r.Agent == "" && r.Client != "" && len(who) > cells {
		who = strings.TrimPrefix(strings.ToUpper(who), "GUID:")
		who = strings.Trim(who, "{}")
		who = who[:min(len(who), 8)]
	}
	return who
}

func status(r capture.Row) string {
	switch {
	case r.Status != 0:
		return strconv.Itoa(r.Status)
	case r.Fate == traffic.InFlight:
		return ""
	}
	return "-"
}

// Duration is a time as lists show it: "0.4ms", "31ms", "2.31s", "3m".
func Duration(d time.Duration) string {
	switch {
	case d <= 0:
		return ""
	case d < 10*time.Millisecond-50*time.Microsecond:
		return fmt.Sprintf("%.1fms", float64(d.Microseconds())/1e3)
	case d < time.Second-500*time.Microsecond:
		return fmt.Sprintf("%.0fms", float64(d.Microseconds())/1e3)
	case d < 10*time.Second:
		return fmt.Sprintf("%.2fs", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0fs", d.Seconds())
	}
	return fmt.Sprintf("%.0fm", d.Minutes())
}
