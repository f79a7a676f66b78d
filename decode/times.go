package decode

import (
	"strconv"
	"time"
)

// parseCIM reads a CIM date, yyyyMMddHHmmss.ffffff±mmm, whose offset is in
// minutes.
func parseCIM(s string) (time.Time, bool) {
	if len(s) != len("20260302082100.000000+000") || s[14] != '.' {
		return time.Time{}, false
	}
	t, err := time.Parse("20060102150405.000000", s[:21])
	if err != nil {
		return time.Time{}, false
	}
	offset, err := strconv.Atoi(s[21:])
	if err != nil {
		return time.Time{}, false
	}
	return t.Add(-time.Duration(offset) * time.Minute).UTC(), true
}

// parseISO reads yyyy-MM-ddTHH:mm:ssZ.
func parseISO(s string) (time.Time, bool) {
	t, err := time.Parse("2006-01-02T15:04:05Z", s)
	return t, err == nil
}

// parseUS reads MM/dd/yyyy HH:mm:ss, which names no zone; it is taken as UTC.
func parseUS(s string) (time.Time, bool) {
	t, err := time.Parse("01/02/2006 15:04:05", s)
	return t, err == nil
}
