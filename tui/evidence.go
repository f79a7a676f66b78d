package tui

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// copyMenu lets the user choose what of the connection to copy.
func (c *connection) copyMenu() {
	if c.data == nil || !c.judged {
		c.app.say("the connection is still being read")
		return
	}
	f := c.app.cfg.Format
	m := &menu{title: "copy"}
	offer := func(press stroke, name, help string, text func() string) {
		m.choices = append(m.choices, choice{press, name, help, func(a *app) { a.copyText(name, text()) }})
	}
	offer("r", "report", "both legs, and why it failed, for a ticket", func() string { return strings.Join(c.data.Report(c.findings, f), "\n") + "\n" })
	if c.data.Certificates(f) != "" {
		offer("p", "certificates", "what both sides have shown, as PEM", func() string { return c.data.Certificates(f) })
	}
	if c.body != nil {
		offer("l", "line", "the line with the cursor", func() string { return c.body.lines[c.body.line()].full() })
	}
	offer("s", "show", "the command that prints it", func() string {
		return fmt.Sprintf("mpproxy show %s --conn %d", shellWord(c.app.cfg.Store.Path()), c.id)
	})
	c.app.menu = m
}

// askEvidence asks where the evidence goes, and writes it. A file that is there
// stays as it is.
func (c *connection) askEvidence() {
	if c.data == nil || !c.judged {
		c.app.say("the connection is still being read")
		return
	}
	p := &prompt{label: "write evidence to: ", where: inPrompt}
	p.set(fmt.Sprintf("mpproxy-conn-%d.txt", c.id))
	p.keep = func(path string) error {
		if path == "" {
			return errors.New("the name of a file is needed; Esc writes nothing")
		}
		if err := c.writeEvidence(path); err != nil {
			return err
		}
		c.app.closePrompt()
		c.app.say("wrote %s", path)
		return nil
	}
	c.app.ask(p)
}

func (c *connection) writeEvidence(path string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s is there already: choose another name", path)
	}
	if err != nil {
		return err
	}
	_, err = file.WriteString(c.data.Evidence(c.findings, c.app.cfg.Format))
	return errors.Join(err, file.Close())
}
