package tui

import (
	"errors"
	"fmt"
	"slices"

	"mpproxy/traffic"
)

// scope is where a key works.
type scope string

const (
	everywhere scope = "everywhere"
	inMoving   scope = "in lists and texts"
	inMessages scope = "in messages"
	inText     scope = "in texts"
	inDetail   scope = "in an exchange"
	inExchange scope = "on an exchange"
	inFilter   scope = "in the filter bar"
	inPrompt   scope = "in a prompt"
	inLists    scope = "in other lists"
	inConns    scope = "in the list of connections"
	inAgents   scope = "in the list of agents"
	inFindings scope = "in the list of findings"
	inStats    scope = "in the statistics"
	inConn     scope = "in a connection"

	inDifference scope = "in a comparison"
)

// key is one thing that a key does. Dispatch, footer, help and palette are made
// from the table of them.
type key struct {
	on     scope
	press  []stroke         // the first one is shown
	name   string           // the palette's word, unique in its scope
	help   string           // one line for the help
	footer int              // 0: not in the footer; 1 comes first
	can    func(*app) error // nil: always; its error says why not
	do     func(*app)       // runs on the screen's goroutine, returns at once
}

// keys is every key. A new one is a row here.
func keys() []key {
	return []key{
		{inMessages, []stroke{"Enter"}, "open", "show all of this exchange", 1, nil, messagesDo((*messages).open)},
		{inMessages, []stroke{"/", "f"}, "filter", "show only what a filter lets pass", 2, nil, (*app).editFilter},
		{inMessages, []stroke{"F"}, "follow", "follow new exchanges, or stop following", 3, canFollow, messagesDo((*messages).toggleFollow)},
		{inMessages, []stroke{"]"}, "finding", "the next exchange with a finding of the worst severity there is", 4, nil, messagesDo((*messages).nextFinding)},
		{inMessages, []stroke{"["}, "finding-back", "the one before", 0, nil, messagesDo((*messages).previousFinding)},
		{inMessages, []stroke{"="}, "only", "only exchanges with this value in the chosen column", 5, nil, messagesDo((*messages).only)},
		{inMessages, []stroke{"!"}, "without", "no exchanges with this value in the chosen column", 6, nil, messagesDo((*messages).without)},
		{inMessages, []stroke{"h", "Left"}, "column-left", "choose the column to the left", 0, nil, messagesDo((*messages).columnLeft)},
		{inMessages, []stroke{"l", "Right"}, "column-right", "choose the column to the right", 0, nil, messagesDo((*messages).columnRight)},
		{inMessages, []stroke{"m"}, "mark", "mark this exchange, or unmark it", 7, nil, messagesDo((*messages).mark)},
		{inMessages, []stroke{"M"}, "marked", "only marked exchanges, or all again", 0, nil, messagesDo((*messages).onlyMarked)},

		{inDetail, []stroke{"Tab"}, "tab", "the next tab", 1, nil, detailDo((*detail).nextNode)},
		{inDetail, []stroke{"Shift-Tab"}, "tab-back", "the tab before", 0, nil, detailDo((*detail).previousNode)},
		{inDetail, []stroke{">"}, "reply", "the reply's tabs", 2, shows(traffic.Request), detailDo((*detail).toReply)},
		{inDetail, []stroke{"<"}, "request", "the request's tabs", 2, shows(traffic.Reply), detailDo((*detail).toRequest)},
		{inDetail, []stroke{"v"}, "view", "choose a layer of the message, between the wire and the reader", 3, nil, detailDo((*detail).pickView)},
		{inDetail, []stroke{"J"}, "next", "the next exchange of the list", 5, nil, detailDo((*detail).next)},
		{inDetail, []stroke{"K"}, "previous", "the exchange before in the list", 0, nil, detailDo((*detail).previous)},
		{inDetail, []stroke{"]"}, "finding", "the next finding of this exchange", 6, nil, detailDo((*detail).nextFinding)},
		{inDetail, []stroke{"["}, "finding-back", "the finding before", 0, nil, detailDo((*detail).previousFinding)},

		{inDifference, []stroke{"~"}, "varied", "show what differs and may, or hide it", 1, nil, differenceDo((*difference).toggleVaried)},
		{inDifference, []stroke{"v"}, "whole", "the whole messages with what differs, or the places alone", 2, nil, differenceDo((*difference).toggleWhole)},
		{inDifference, []stroke{"n"}, "next", "the next difference, or the next hit of what is sought", 3, nil, differenceDo(func(d *difference) { d.next(1) })},
		{inDifference, []stroke{"N"}, "back", "the difference before, or the hit", 0, nil, differenceDo(func(d *difference) { d.next(-1) })},

		{inConn, []stroke{"Tab"}, "leg", "the other leg, where there is room for one", 1, nil, connDo((*connection).otherLeg)},
		{inConn, []stroke{"Enter"}, "step", "from a line of a diagnosis to the step of the ladder that it is about", 3, nil, connDo((*connection).toStep)},
		{inConn, []stroke{"]"}, "finding", "the next diagnosis", 2, nil, connDo((*connection).nextFinding)},
		{inConn, []stroke{"v"}, "records", "the raw records, or the ladder again", 3, nil, connDo((*connection).toggleRaw)},
		{inConn, []stroke{"c", "y"}, "copy", "copy the report, the certificates, a command", 4, nil, connDo((*connection).copyMenu)},
		{inConn, []stroke{"x"}, "evidence", "write an evidence file: report, certificates, handshakes", 7, nil, connDo((*connection).askEvidence)},
		{inConn, []stroke{"="}, "messages-of", "only the exchanges of this connection", 5, nil, connDo((*connection).exchanges)},
		{inConn, []stroke{"J"}, "next", "the next connection", 6, nil, connDo((*connection).next)},
		{inConn, []stroke{"K"}, "previous", "the connection before", 0, nil, connDo((*connection).previous)},

		{inText, []stroke{"/"}, "find", "find text; without capitals case does not matter", 4, nil, (*app).editFind},
		{inText, []stroke{"n"}, "hit", "the next hit", 0, nil, textDo(func(t *text) { t.hit(1) })},
		{inText, []stroke{"N"}, "hit-back", "the hit before", 0, nil, textDo(func(t *text) { t.hit(-1) })},
		{inText, []stroke{"z"}, "fold", "open or close the block at the cursor", 7, nil, textDo((*text).fold)},
		{inText, []stroke{"Z"}, "fold-all", "open all blocks, or close them", 0, nil, textDo((*text).foldAll)},
		{inText, []stroke{"Enter"}, "value", "show a long value in full, or in brief again", 0, nil, textDo((*text).openValue)},
		{inText, []stroke{"w"}, "wrap", "wrap long lines, or do not", 0, nil, textDo((*text).toggleWrap)},
		{inText, []stroke{"h", "Left"}, "scroll-left", "scroll to the left, where lines are not wrapped", 0, nil, textDo(func(t *text) { t.scroll(-8) })},
		{inText, []stroke{"l", "Right"}, "scroll-right", "scroll to the right", 0, nil, textDo(func(t *text) { t.scroll(8) })},

		{inMoving, []stroke{"j", "Down"}, "down", "one row down", 0, nil, moveDo(func(m mover) { m.move(1) })},
		{inMoving, []stroke{"k", "Up"}, "up", "one row up", 0, nil, moveDo(func(m mover) { m.move(-1) })},
		{inMoving, []stroke{"PgDn", "Ctrl-F", "Space"}, "page-down", "one page down", 0, nil, moveDo(func(m mover) { m.move(m.page()) })},
		{inMoving, []stroke{"PgUp", "Ctrl-B"}, "page-up", "one page up", 0, nil, moveDo(func(m mover) { m.move(-m.page()) })},
		{inMoving, []stroke{"Ctrl-D"}, "half-down", "half a page down", 0, nil, moveDo(func(m mover) { m.move((m.page() + 1) / 2) })},
		{inMoving, []stroke{"Ctrl-U"}, "half-up", "half a page up", 0, nil, moveDo(func(m mover) { m.move(-(m.page() + 1) / 2) })},
		{inMoving, []stroke{"g", "Home"}, "first", "the oldest exchange, or the first line", 0, nil, moveDo(mover.first)},
		{inMoving, []stroke{"G", "End"}, "last", "the newest exchange, or the last line", 0, nil, moveDo(mover.last)},

		{inLists, []stroke{"Enter"}, "open", "go into what the cursor is on", 1, nil, listDo(lister.enter)},
		{inLists, []stroke{"="}, "messages-of", "only the exchanges that belong to it", 2, nil, listDo(lister.messagesOf)},

		{inFindings, []stroke{"d"}, "explain", "what the kind means, and what to do", 3, nil, (*app).explainFinding},

		{inExchange, []stroke{"c", "y"}, "copy", "copy a line, a text, a command", 8, nil, (*app).copyMenu},
		{inExchange, []stroke{"T"}, "tls", "the connection: both legs' handshakes, and why it failed", 9, nil, (*app).openConnOf},
		{inExchange, []stroke{"D"}, "compare", "compare with the marked exchange, or with what went on in its place", 0, nil, (*app).compareExchange},
		{inExchange, []stroke{"r"}, "replay", "send this request to a management point and compare the reply", 0, canReplay, (*app).askReplay},
		{inExchange, []stroke{";"}, "note", "write a note on this exchange", 0, nil, (*app).editNote},

		{everywhere, []stroke{":"}, "command", "do anything by its name", 9, nil, (*app).editCommand},
		{everywhere, []stroke{"?"}, "help", "this help", 0, nil, (*app).openHelp},
		{everywhere, []stroke{"Esc"}, "back", "one step back; it ends a search first", 0, nil, (*app).escape},
		{everywhere, []stroke{"q"}, "leave", "one step back; from the first screen: quit", 0, nil, (*app).leave},
		{everywhere, []stroke{"1"}, "messages", "the list of exchanges", 0, nil, (*app).home},
		{everywhere, []stroke{"2"}, "agents", "the list of agents", 0, nil, (*app).openAgents},
		{everywhere, []stroke{"3"}, "connections", "the list of connections", 0, nil, (*app).openConns},
		{everywhere, []stroke{"4"}, "findings", "what was found, by kind", 0, nil, (*app).openFindings},
		{everywhere, []stroke{"7"}, "statistics", "sums and times by endpoint", 0, nil, (*app).openStats},
		{everywhere, []stroke{"Q", "Ctrl-C"}, "quit", "quit; asks while mpproxy runs, but not on a second Ctrl-C", 0, nil, (*app).quit},
		{everywhere, []stroke{"Ctrl-L"}, "redraw", "draw everything anew", 0, nil, (*app).redraw},

		{inFilter, []stroke{"Enter"}, "keep", "keep the filter", 1, nil, (*app).keepPrompt},
		{inFilter, []stroke{"Tab"}, "complete", "complete a field's name or value, the next one", 2, nil, (*app).complete},
		{inFilter, []stroke{"Shift-Tab"}, "complete-back", "the completion before", 0, nil, (*app).completeBack},
		{inFilter, []stroke{"Up"}, "former", "a former filter", 3, nil, (*app).former},
		{inFilter, []stroke{"Down"}, "latter", "a later one", 0, nil, (*app).latter},
		{inFilter, []stroke{"Esc"}, "restore", "the filter as it was before", 0, nil, (*app).leavePrompt},

		{inPrompt, []stroke{"Enter"}, "done", "take what is typed", 1, nil, (*app).keepPrompt},
		{inPrompt, []stroke{"Tab", "Down"}, "complete", "complete, the next one", 2, nil, (*app).complete},
		{inPrompt, []stroke{"Shift-Tab", "Up"}, "complete-back", "the completion before", 0, nil, (*app).completeBack},
		{inPrompt, []stroke{"Esc"}, "drop", "forget what is typed", 0, nil, (*app).leavePrompt},
	}
}

// mover is what can be moved through: a list or a text.
type mover interface {
	move(by int)
	page() int
	first()
	last()
}

func moveDo(f func(mover)) func(*app) {
	return func(a *app) {
		if m, movable := a.top().(mover); movable {
			f(m)
		}
	}
}

func messagesDo(f func(*messages)) func(*app) {
	return func(a *app) {
		if m, here := a.top().(*messages); here {
			f(m)
		}
	}
}

func detailDo(f func(*detail)) func(*app) {
	return func(a *app) {
		if d, here := a.top().(*detail); here {
			f(d)
		}
	}
}

// textDo does something to the text that is shown.
func textDo(f func(*text)) func(*app) {
	return func(a *app) {
		if t := a.text(); t != nil {
			f(t)
		}
	}
}

// text is the text that is shown, nil when there is none.
func (a *app) text() *text {
	s, has := a.top().(interface{ seen() *text })
	if !has {
		return nil
	}
	return s.seen()
}

// shows says why one cannot go to the other message.
func shows(dir traffic.Dir) func(*app) error {
	return func(a *app) error {
		if d, here := a.top().(*detail); here && d.dir != dir {
			return fmt.Errorf("these are the tabs of the %s", d.dir)
		}
		return nil
	}
}

// canFollow says why there is nothing to follow.
func canFollow(a *app) error {
	if a.cfg.Live == nil && !a.status.written {
		return errors.New("nobody writes into this capture now")
	}
	return nil
}

// keysOf are the keys that work in some scopes, in the order of the scopes.
func keysOf(scopes []scope) []key {
	var ks []key
	for _, s := range scopes {
		for _, k := range keys() {
			if k.on == s {
				ks = append(ks, k)
			}
		}
	}
	return ks
}

// keyFor finds what a stroke does, nil for nothing.
func keyFor(scopes []scope, s stroke) *key {
	ks := keysOf(scopes)
	i := slices.IndexFunc(ks, func(k key) bool { return slices.Contains(k.press, s) })
	if s == "" || i < 0 {
		return nil
	}
	return &ks[i]
}

// press does what a stroke does in some scopes; false when that is nothing.
func (a *app) press(scopes []scope, s stroke) bool {
	k := keyFor(scopes, s)
	if k == nil {
		return false
	}
	a.run(*k)
	return true
}

// run does what a key does, or says why it cannot.
func (a *app) run(k key) {
	if k.can != nil {
		if err := k.can(a); err != nil {
			a.say("%v", err)
			return
		}
	}
	k.do(a)
}
