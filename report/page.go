package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"

	"mpproxy/internal/redact"
)

//go:embed page.html
var pageHTML string

// Write writes the page.
func (r *Report) Write(w io.Writer) error {
	t, err := template.New("page").Parse(pageHTML)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	var page strings.Builder
	if err := t.Execute(&page, r); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	text := page.String()
	if !r.Secrets { // what a URL's query has stands in titles and evidence too
		text, _ = redact.Line(text)
	}
	if _, err := io.WriteString(w, text); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}
