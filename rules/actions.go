package rules

import (
	"fmt"
	"slices"
	"strings"
)

// maker reads the arguments of one action from a rules file.
type maker struct {
	name string
	help string
	make func(arguments) (Action, error)
}

// makers are the actions that a rule can take, in the order of the help. A new
// one is a file and a row.
var makers = []maker{
	{"set", "an HTTP field, or a value in the XML by its path", makeSet},
	{"replace", "text by text, in the message or in an HTTP field", makeReplace},
	{"remove", "an HTTP field", makeRemove},
	{"delay", "hold the message back for a time", makeDelay},
	{"drop", "end the connection in place of sending", makeDrop},
	{"tag", "attach a word to the exchange", makeTag},
}

func makerOf(name string) (maker, error) {
	if i := slices.IndexFunc(makers, func(m maker) bool { return m.name == name }); i >= 0 {
		return makers[i], nil
	}
	var known []string
	for _, m := range makers {
		known = append(known, m.name)
	}
	return maker{}, fmt.Errorf("unknown action %q (known: %s)", name, strings.Join(known, ", "))
}
