package rules

import (
	"fmt"
	"slices"
	"time"
)

// maxDelay is how long a message may be held back: agents give up after 30 s
// by default, but some are asked to wait longer.
const maxDelay = 10 * time.Minute

// delay holds a message back.
type delay struct{ d time.Duration }

func (delay) needs() Need              { return HeadOnly }
func (a delay) apply(e *edit, _ *Rule) { e.verdict.Delay += a.d }

func makeDelay(args arguments) (Action, error) {
	s, err := args.scalar("a time such as 2s")
	if err != nil {
		return nil, err
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 || d > maxDelay {
		return nil, args.wrong("", fmt.Sprintf("%q is no time from 0s to %s, such as 1500ms or 2s", s, maxDelay))
	}
	return delay{d}, nil
}

// drop ends the connection in place of sending the message.
type drop struct{}

func (drop) needs() Need            { return HeadOnly }
func (drop) apply(e *edit, _ *Rule) { e.verdict.Drop = true }

func makeDrop(args arguments) (Action, error) {
	if s, err := args.scalar("nothing, or true"); err != nil || s != "" && s != "true" && s != "null" {
		return nil, args.wrong("", "takes no value")
	}
	return drop{}, nil
}

// tag attaches a word to the exchange.
type tag struct{ word string }

func (tag) needs() Need { return HeadOnly }

func (a tag) apply(e *edit, _ *Rule) {
	if !slices.Contains(e.verdict.Tags, a.word) {
		e.verdict.Tags = append(e.verdict.Tags, a.word)
	}
}

func makeTag(args arguments) (Action, error) {
	s, err := args.scalar("a word")
	if err == nil && s == "" {
		err = args.wrong("", "names no word")
	}
	return tag{s}, err
}
