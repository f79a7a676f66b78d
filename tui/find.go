package tui

import (
	"fmt"

	"mpproxy/capture"
)

// editFind asks what to find in the text that is shown.
func (a *app) editFind() {
	t := a.text()
	if t == nil {
		a.say("there is no text to search")
		return
	}
	before, cursor := t.sought, t.cursor
	a.ask(&prompt{
		label: "find: ", where: inPrompt,
		changed: func(s string) {
			t.find(s)
			t.cursor = min(cursor, max(0, len(t.rows)-1))
			t.hit(0)
		},
		keep: func(s string) error {
			if t.find(s) == 0 && s != "" {
				return fmt.Errorf("%q is not in this text", s)
			}
			return nil
		},
		leave: func() {
			t.find(before)
			t.cursor = min(cursor, max(0, len(t.rows)-1))
		},
	})
}

// editNote asks for a note on an exchange.
func (a *app) editNote() {
	id, chosen := a.exchange()
	if !chosen {
		a.say("there is no exchange to write on")
		return
	}
	a.ask(&prompt{
		label: fmt.Sprintf("note on %d: ", id), where: inPrompt,
		keep: func(s string) error {
			if s != "" {
				a.annotate(capture.Note{Exchange: id, Text: s, Author: author(), At: a.cfg.Now()})
			}
			return nil
		},
	})
}
