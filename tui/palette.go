package tui

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"mpproxy/traffic"
)

// command is something that is done by its name, with words behind it.
type command struct {
	name, args, help string
	do               func(a *app, arg string) error
	// values are what arg can be; nil for anything.
	values func() []string
}

// commands are those that are no key. A new one is a row here.
func commands() []command {
	return []command{
		{"goto", "NUMBER", "go to an exchange by its number", (*app).goTo, nil},
		{"filter", "FILTER", "show only what the filter lets pass", (*app).setFilter, nil},
		{"theme", "NAME", "other colours", (*app).setTheme, themeNames},
		{"utc", "", "times in UTC, or local ones", (*app).toggleUTC, nil},
	}
}

// editCommand asks for a command.
func (a *app) editCommand() {
	p := &prompt{label: ":", where: inPrompt, offers: a.commandOffers}
	p.keep = func(s string) error { return a.command(strings.TrimSpace(s)) }
	a.ask(p)
	p.offered = p.offers("")
}

// command does what a line says: a command, or a key by its name.
func (a *app) command(s string) error {
	name, arg, _ := strings.Cut(s, " ")
	arg = strings.TrimSpace(arg)
	if name == "" {
		return nil
	}
	for _, c := range commands() {
		if c.name == name && (arg != "" || c.args == "") {
			return c.do(a, arg)
		}
	}
	for _, k := range keysOf(a.scopes()) {
		if k.name == name && arg == "" {
			a.closePrompt()
			a.run(k)
			return nil
		}
	}
	if i := slices.IndexFunc(commands(), func(c command) bool { return c.name == name }); i >= 0 {
		return fmt.Errorf("%s %s: %s", name, commands()[i].args, commands()[i].help)
	}
	if _, err := strconv.Atoi(name); err == nil {
		return a.goTo(name)
	}
	return fmt.Errorf("there is no command %q here; Tab shows those that there are", name)
}

// commandOffers are the commands that a line can become.
func (a *app) commandOffers(before string) (fit []offer) {
	name, arg, hasArg := strings.Cut(before, " ")
	if hasArg {
		for _, c := range commands() {
			if c.name != name || c.values == nil {
				continue
			}
			for _, v := range c.values() {
				if strings.HasPrefix(v, arg) {
					fit = append(fit, offer{word: v, help: c.help, cut: len(arg)})
				}
			}
		}
		return fit
	}
	for _, c := range commands() {
		if strings.HasPrefix(c.name, name) {
			word := c.name
			if c.args != "" {
				word += " "
			}
			fit = append(fit, offer{word: word, help: strings.TrimSpace(c.args + "  " + c.help), cut: len(name)})
		}
	}
	for _, k := range keysOf(a.scopes()) {
		if !strings.HasPrefix(k.name, name) || slices.ContainsFunc(fit, func(o offer) bool { return strings.TrimSpace(o.word) == k.name }) {
			continue
		}
		help := a.sym.shown(k.press[0]) + "  " + k.help
		if k.can != nil {
			if err := k.can(a); err != nil {
				help = "not now: " + err.Error()
			}
		}
		fit = append(fit, offer{word: k.name, help: help, cut: len(name)})
	}
	return fit
}

// home goes back to the first screen.
func (a *app) home() {
	for len(a.stack) > 1 {
		a.leave()
	}
}

func (a *app) messages() *messages { return a.stack[0].(*messages) }

func (a *app) goTo(arg string) error {
	n, err := strconv.ParseInt(strings.ReplaceAll(arg, " ", ""), 10, 64)
	if err != nil || n < 1 {
		return fmt.Errorf("%q is not an exchange's number", arg)
	}
	a.home()
	m := a.messages()
	m.goToID(traffic.ExchangeID(n))
	if r := m.row(); r != nil && r.ID != traffic.ExchangeID(n) && !m.pages.busy() {
		a.say("%d is not here; this is the nearest", n)
	}
	return nil
}

func (a *app) setFilter(arg string) error {
	m := a.messages()
	before := m.text
	if err := m.set(arg); err != nil {
		return err
	}
	a.remember(before)
	a.remember(arg)
	a.home()
	return nil
}

func (a *app) setTheme(arg string) error {
	t := themeNamed(arg)
	if t == nil {
		return fmt.Errorf("there is no theme %q (known: %s)", arg, strings.Join(themeNames(), ", "))
	}
	if t.colors > a.colors() {
		return fmt.Errorf("theme %s needs %d colours; this terminal has %d", t.name, t.colors, a.colors())
	}
	a.theme = t
	return nil
}

func (a *app) toggleUTC(string) error {
	if a.cfg.Format.Zone == time.UTC {
		a.cfg.Format.Zone = time.Local
	} else {
		a.cfg.Format.Zone = time.UTC
	}
	a.say("times are in %s", a.cfg.Format.Zone)
	return nil
}
