package diagnose

import (
	"fmt"
	"html"
	"regexp"
	"slices"
	"strings"

	"mpproxy/decode"
)

// maxPage is how much of an error page is read, in bytes, and maxCodes how many
// of its codes are explained.
const (
	maxPage  = 64 << 10
	maxCodes = 4
)

var (
	// pageCode finds what IIS writes into error pages: 500.19, 0x80070032, the
	// same in decimal, and a number behind the words for a Win32 code.
	pageCode    = regexp.MustCompile(`\b[45]\d\d\.\d{1,3}\b|\b0x[0-9A-Fa-f]{8}\b|(?:\b|-)214\d{7}\b|(?i:\b(?:win32 ?(?:error|status|code)?|error code|system error)[ :=(]{1,3}\d{1,10}\b)`)
	pageTitle   = regexp.MustCompile(`(?is)<title>([^<]{1,200})</title>`)
	pageHeading = regexp.MustCompile(`(?is)<h2>([^<]{1,200})</h2>`)
	pageTag     = regexp.MustCompile(`(?s)<(?:script|style)\b.*?</(?:script|style)>|<[^>]*>`)
)

// readPage reads what the body of an error, or a page, says.
func (m *Message) readPage(reply *decode.Message) {
	if reply.Status < 400 && reply.Form != "page" {
		return
	}
	text := reply.BodyText(maxPage)
	for _, tag := range []*regexp.Regexp{pageHeading, pageTitle} {
		if found := tag.FindStringSubmatch(text); found != nil && m.Heading == "" {
			m.Heading = strings.Join(strings.Fields(html.UnescapeString(found[1])), " ")
		}
	}
	if reply.Status < 400 {
		return
	}
	m.Page = pageWords(text)
	for _, found := range pageCode.FindAllString(text, -1) {
		if _, known := decode.IISSubstatus(found); known && strings.HasPrefix(found, fmt.Sprint(reply.Status)+".") {
			m.Substatus = found
			return
		}
	}
}

// pageWords are the codes in the body of an error, explained; nil when there are
// none.
func pageWords(text string) []string {
	text = strings.Join(strings.Fields(html.UnescapeString(pageTag.ReplaceAllString(text, " "))), " ")
	var out []string
	for _, found := range pageCode.FindAllString(text, -1) {
		said := Explain(found)
		if !strings.ContainsAny(found, ".x") {
			said = decimal(found[strings.LastIndexAny(found, " :=(")+1:])
		}
		for _, e := range said {
			line := "its page has " + quote(found) + ": " + strings.TrimPrefix(e.words(), found+" ")
			if !slices.Contains(out, line) && len(out) < maxCodes {
				out = append(out, line)
			}
		}
	}
	return out
}

// words is an explanation in one line.
func (e *Explanation) words() string {
	s := e.Code
	if e.Name != "" {
		s += " " + e.Name
	}
	s += ", " + e.Meaning
	if e.LookAt != "" {
		s += " (" + e.LookAt + ")"
	}
	return s
}

// heading is what the page of an answer is called, "" without.
func (x *Exchange) heading() string {
	if x.Message == nil {
		return ""
	}
	return x.Message.Heading
}

// substatus is the one of IIS that the page of an answer names ("404.13"), ""
// without.
func (x *Exchange) substatus() string {
	if x.Message == nil {
		return ""
	}
	return x.Message.Substatus
}

// isCalled is true for an answer whose page has this in its heading; it is in
// lower case.
func (x *Exchange) isCalled(heading string) bool {
	return strings.Contains(strings.ToLower(x.heading()), heading)
}

// called is the heading of an answer's page, for the end of a line of evidence.
func (x *Exchange) called() string {
	if x.heading() == "" {
		return ""
	}
	return ", with a page called " + quote(x.heading())
}
