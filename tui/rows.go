package tui

import (
	"fmt"
	"strings"

	"mpproxy/capture"
	"mpproxy/internal/view"
	"mpproxy/traffic"
)

// draw draws filter, heading and rows.
func (m *messages) draw(c canvas) {
	y := 0
	if m.text != "" || m.app.filtering() {
		// The bar comes last, as what it offers lies over the rows.
		defer m.app.drawFilter(c, m)
		y++
	}
	m.layout = view.Exchanges.For(c.w)
	m.drawHeading(c.lines(y, 1))
	body := c.lines(y+1, c.h-y-1)
	m.height = body.h
	if m.marks() {
		m.height--
	}
	m.settle()
	for i, r := range m.visible() {
		m.drawRow(body.lines(i, 1), r)
	}
	if m.marks() && m.fresh > 0 {
		m.drawMarker(body.lines(body.h-1, 1))
	}
	if len(m.rows) == 0 {
		m.drawEmpty(body)
	}
}

// marks is true when the last line is kept for what came meanwhile.
func (m *messages) marks() bool {
	return !m.follow && (m.app.cfg.Live != nil || m.app.status.written)
}

func (m *messages) drawHeading(c canvas) {
	starts := m.layout.Starts()
	for i, col := range m.layout.Columns {
		st := c.theme.style(roleHeading)
		if i == m.columnIndex() {
			st = st.Underline(true).Dim(false).Bold(true)
		}
		n := m.layout.Cells[i]
		head := view.Fit(col.Head, n, col.Right, c.sym.ascii)
		c.text(starts[i], 0, n, "", roleHeading)
		pad := n - len(strings.TrimLeft(head, " "))
		word := strings.TrimSpace(head)
		if !col.Right {
			pad = 0
		}
		c.styled(starts[i]+pad, 0, cells(word), word, st)
	}
}

func (m *messages) drawRow(c canvas, r capture.Row) {
	chosen := r.ID == m.cursor
	style := c.theme.style
	if chosen {
		style = c.theme.on
		c.styled(0, 0, c.w, "", style(roleText))
	}
	starts := m.layout.Starts()
	for i, text := range m.layout.Texts(r, m.app.cfg.Format) {
		c.styled(starts[i], 0, m.layout.Cells[i], text, style(cellRole(m.layout.Columns[i].Name, r)))
	}
}

// cellRole is how a cell of a row looks.
func cellRole(column string, r capture.Row) role {
	switch {
	case column == "sev":
		return severity(r.Sev)
	case column == "fate" && r.Fate == traffic.Modified:
		return roleModified
	case column == "fate" && (r.Fate == traffic.Dropped || r.Fate == traffic.Broken):
		return roleError
	case column == "status" && r.Status >= 500:
		return roleError
	case column == "status" && r.Status >= 400:
		return roleWarning
	}
	return roleText
}

// drawMarker says what came while nobody looked.
func (m *messages) drawMarker(c canvas) {
	words := grouped(int64(m.fresh)) + " new"
	for _, sev := range []traffic.Severity{traffic.Error, traffic.Warning} {
		n := 0
		for _, s := range m.bad {
			if s == sev {
				n++
			}
		}
		if n > 0 {
			words += fmt.Sprintf(", %d %s", n, sev.Letter())
		}
	}
	words += "   G newest"
	if len(m.bad) > 0 {
		words += "  ] finding"
	}
	h := c.sym.horizontal
	left := max(2, (c.w-cells(words)-4)/2)
	line := " " + strings.Repeat(h, left) + " " + words + " " + strings.Repeat(h, max(0, c.w-left-cells(words)-4))
	c.line(0, line, roleNote)
}

// drawEmpty says why there are no rows.
func (m *messages) drawEmpty(c canvas) {
	var words []string
	switch {
	case m.scan != nil && !m.stopped, m.pages.busy():
		return
	case m.text != "":
		words = []string{"no exchange passes this filter", "Esc takes the filter away, / changes it"}
	case m.app.cfg.Live != nil:
		words = []string{"nothing has come yet", "agents that are pointed at this proxy appear here as soon as they speak"}
	default:
		words = []string{"this capture is empty"}
	}
	for i, w := range words {
		c.text(max(0, (c.w-cells(w))/2), c.h/2-1+i, cells(w), w, roleDim)
	}
}
