package export

import (
	"bufio"
	"fmt"
	"strings"

	"mpproxy/internal/view"
	"mpproxy/traffic"
)

// cmtrace writes lines as CMTrace reads them: one an exchange, one a finding.
type cmtrace struct{ w *bufio.Writer }

func newCMTrace(o *output) writer { return &cmtrace{bufio.NewWriter(o.w)} }

// logType is how CMTrace colours a line.
func logType(s traffic.Severity) int {
	switch s {
	case traffic.Error:
		return 3
	case traffic.Warning:
		return 2
	}
	return 1
}

func (c *cmtrace) item(i *Item) error {
	words := fmt.Sprintf("exchange %d: %s %s: %s", i.Row.ID, i.Row.Who(), view.KindName(i.Row.Kind), i.Row.Long)
	if i.Row.Status != 0 {
		words += fmt.Sprintf(" (%d)", i.Row.Status)
	}
	if i.Exchange.Err != "" {
		words += "; " + i.Exchange.Err
	}
	if err := c.line(i, words, i.Row.Sev); err != nil {
		return err
	}
	for _, f := range i.Findings {
		if err := c.line(i, fmt.Sprintf("exchange %d: %s: %s. %s", i.Row.ID, f.Kind.Code, f.Kind.Title, f.Evidence), f.Kind.Severity); err != nil {
			return err
		}
	}
	return nil
}

func (c *cmtrace) line(i *Item, words string, sev traffic.Severity) error {
	t := i.Exchange.Begun.UTC()
	words = strings.ReplaceAll(view.Clean(words, false), "]LOG]!>", "]LOG] !>")
	_, err := fmt.Fprintf(c.w, "<![LOG[%s]LOG]!><time=\"%s+000\" date=\"%s\" component=%q context=\"\" type=\"%d\" thread=\"%d\" file=\"mpproxy\">\r\n",
		words, t.Format("15:04:05.000"), t.Format("01-02-2006"), "mpproxy", logType(sev), i.Row.Conn)
	return err
}

func (c *cmtrace) end() error { return c.w.Flush() }
