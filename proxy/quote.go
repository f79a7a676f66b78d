package proxy

import (
	"strconv"
	"strings"
)

// quoted shows the first bytes of something from the wire, safe to print.
func quoted(b []byte) string {
	const most = 48
	more := ""
	if len(b) > most {
		b, more = b[:most], "…"
	}
	return strconv.QuoteToASCII(string(b)) + more
}

func firstLine(b []byte) string {
	line, _, _ := strings.Cut(string(b), "\n")
	return strings.TrimRight(line, "\r")
}
