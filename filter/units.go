package filter

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// unit is a name behind a number and what it multiplies with.
type unit struct {
	name string
	by   int64
}

var numberUnits = []unit{{"", 1}, {"k", 1e3}, {"M", 1e6}}

var sizeUnits = []unit{
	{"", 1},
	{"B", 1},
	{"k", 1e3},
	{"kB", 1e3},
	{"M", 1e6},
	{"MB", 1e6},
	{"G", 1e9},
	{"GB", 1e9},
	{"Ki", 1 << 10},
	{"KiB", 1 << 10},
	{"Mi", 1 << 20},
	{"MiB", 1 << 20},
	{"Gi", 1 << 30},
	{"GiB", 1 << 30},
}

// durationUnits are in microseconds.
var durationUnits = []unit{
	{"us", 1}, {"µs", 1}, {"ms", 1e3}, {"s", 1e6}, {"m", 60e6}, {"h", 3600e6}, {"d", 24 * 3600e6},
}

// quantity reads a number with a unit. rounded makes it stand for all that is
// written like it: 1.6M for 1600000 to 1699999.
func quantity(text string, units []unit, rounded bool, want string) (Span, error) {
	number := strings.TrimRight(text, "BGKMdhikmsuµ")
	whole, decimals, _ := strings.Cut(number, ".")
	u, known := findUnit(units, text[len(number):])
	n, err := strconv.ParseInt(whole+decimals, 10, 64)
	if !known || err != nil || number[0] < '0' || number[0] > '9' || len(decimals) > 9 || strings.HasSuffix(number, ".") {
		return Span{}, fmt.Errorf("%q is not %s", text, want)
	}
	parts := int64(math.Pow10(len(decimals)))
	if n > math.MaxInt64/2/u.by {
		return Span{}, fmt.Errorf("%q is too large", text)
	}
	s := Span{n * u.by / parts, n * u.by / parts}
	if rounded {
		s.Hi = max(s.Lo, (n+1)*u.by/parts-1)
	}
	return s, nil
}

func findUnit(units []unit, name string) (unit, bool) {
	for _, u := range units {
		if u.name == name {
			return u, true
		}
	}
	return unit{}, false
}

// severity reads a severity in any of its spellings.
func severity(text string) (Span, error) {
	for n, names := range [...]string{"none", "info i note", "warning warn w", "error e"} {
		for _, name := range strings.Fields(names) {
			if strings.EqualFold(name, text) {
				return Span{int64(n), int64(n)}, nil
			}
		}
	}
	return Span{}, fmt.Errorf("%q is not a severity: error, warning, info, none, or E, W, i", text)
}

// timeForms are the ways to write a time, and how much of it each one covers.
// Those without a date mean the latest such time.
var timeForms = []struct {
	layout string
	days   int
	covers time.Duration
	clock  bool
}{
	{layout: "2006-01-02", days: 1},
	{layout: "2006-01-02T15:04", covers: time.Minute},
	{layout: "2006-01-02T15:04:05", covers: time.Second},
	{layout: "2006-01-02T15:04:05.000", covers: time.Millisecond},
	{layout: "2006-01-02T15:04:05.000000", covers: time.Microsecond},
	{layout: "15:04", covers: time.Minute, clock: true},
	{layout: "15:04:05", covers: time.Second, clock: true},
	{layout: "15:04:05.000", covers: time.Millisecond, clock: true},
}

// time reads a time as the microseconds that it covers.
func (r *reader) time(text string) (Span, error) {
	bare, loc := text, r.loc
	if strings.HasSuffix(text, "Z") {
		bare, loc = strings.TrimSuffix(text, "Z"), time.UTC
	}
	for _, form := range timeForms {
		if len(bare) != len(form.layout) {
			continue
		}
		t, err := time.ParseInLocation(form.layout, bare, loc)
		if err != nil {
			continue
		}
		if form.clock {
			t = latest(t, r.now.In(loc))
		}
		end := t.AddDate(0, 0, form.days).Add(form.covers)
		return Span{t.UnixMicro(), end.UnixMicro() - 1}, nil
	}
	return Span{}, fmt.Errorf("%q is not a time such as 10:40, 2026-05-04 or 2026-05-04T10:41:05Z", text)
}

// latest is the last time before now at which the clock showed t.
func latest(t, now time.Time) time.Time {
	at := time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), now.Location())
	if at.After(now) {
		at = at.AddDate(0, 0, -1)
	}
	return at
}
