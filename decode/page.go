package decode

import "strings"

// page is what an HTML page of IIS says.
type page struct {
	title string
	// substatus is such as "403.7", where the page names it.
	substatus string
}

// readPage reads an error page by looking for words. Such pages have a DOCTYPE
// and are not for an XML parser.
func readPage(html string) page {
	html = html[:min(len(html), 16<<10)]
	p := page{title: between(html, "<title>", "</title>")}
	if p.title == "" {
		p.title = between(html, "<h2>", "</h2>")
	}
	for rest := html; p.substatus == ""; {
		i := indexSubstatus(rest)
		if i < 0 {
			return p
		}
		code := rest[i : i+4+len(digitsOf(rest[i+4:]))]
		if _, known := IISSubstatus(code); known {
			p.substatus = code
		}
		rest = rest[i+4:]
	}
	return p
}

// between is the text between two tags, compared without case, on one line.
func between(html, from, to string) string {
	lower := strings.ToLower(html)
	i := strings.Index(lower, from)
	if i < 0 || len(lower) != len(html) {
		return ""
	}
	i += len(from)
	n := strings.Index(lower[i:], to)
	if n < 0 {
		return ""
	}
	return strings.Join(strings.Fields(unescape(html[i:i+n])), " ")
}

// indexSubstatus finds digits such as 403.7 that begin with 4 or 5.
func indexSubstatus(s string) int {
	for i := 0; i+5 <= len(s); i++ {
		if (s[i] == '4' || s[i] == '5') && isDigits(s[i:i+3]) && s[i+3] == '.' && isDigits(s[i+4:i+5]) &&
			(i == 0 || !isDigits(s[i-1:i])) {
			return i
		}
	}
	return -1
}

func digitsOf(s string) string {
	n := 0
	for n < len(s) && n < 3 && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return s[:n]
}
