package tui

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"mpproxy/capture"
	"mpproxy/decode"
	"mpproxy/diagnose"
	"mpproxy/internal/view"
	"mpproxy/traffic"
)

// detail is the screen of one exchange: tabs, or beside them a tree where
// there is room.
type detail struct {
	app  *app
	id   traffic.ExchangeID
	load lane
	data *exchangeData // nil while it is read
	// why is what the connection's failure comes to, for exchanges that failed.
	judging lane
	why     []diagnose.Finding
	// node is the chosen one, by its name; dir is the message shown.
	node string
	dir  traffic.Dir
	// texts are those of the nodes that were looked at; layer is the one of
	// the body that is shown, "" for the one that reads best, and as how.
	texts map[string]*text
	layer string
	as    form
}

// form is how bytes are shown.
type form uint8

const (
	asTheyAre form = iota // text as text, other bytes as a dump
	asHex
	asText
)

// exchangeData is all that is read for a detail.
type exchangeData struct {
	*view.Detail
	// sent and returned are what went on instead, nil when nothing else did.
	sent, returned *decode.Message
	notes          []capture.Note
	// begin are the first bytes of messages too large to decode whole.
	layers map[traffic.Dir][]decode.View
}

// openDetail goes into an exchange.
func (a *app) openDetail(id traffic.ExchangeID) {
	d := &detail{app: a, node: "Summary", dir: traffic.Request}
	d.load.app, d.judging.app = a, a
	a.enter(d)
	d.open(id)
}

// open reads an exchange.
func (d *detail) open(id traffic.ExchangeID) {
	if id != d.id {
		d.data, d.why = nil, nil
		d.judging.stop()
	}
	d.id = id
	d.load.read(func(ctx context.Context) func() {
		data, err := loadExchange(ctx, d.app.cfg.Store, id)
		if err != nil {
			return func() {
				if !errors.Is(err, context.Canceled) {
					d.app.say("%v", err)
				}
			}
		}
		return func() {
			d.show(data)
			d.explain()
		}
	})
}

// explain has the connection judged of an exchange that failed.
func (d *detail) explain() {
	if row := d.data.Row; failed(&row) {
		d.judging.read(func(ctx context.Context) func() {
			found, err := d.app.judge.conn(ctx, row.Conn)
			if err != nil {
				return nil // the connection's own screen says so
			}
			return func() {
				d.why = causes(found, row.ID)
				d.show(d.data)
			}
		})
	}
}

// show takes what was read; places in texts stay where they can.
func (d *detail) show(data *exchangeData) {
	old := d.texts
	d.data, d.texts = data, map[string]*text{}
	nodes := d.nodes()
	if !slices.ContainsFunc(nodes, func(n node) bool { return n.is(d.node, d.dir) }) {
		d.node = "Summary"
	}
	if was := old[d.textKey(d.current())]; was != nil {
		t := d.text(d.current())
		t.wrap, t.sought = was.wrap, was.sought
		t.find(t.sought)
	}
}

// loadExchange reads an exchange. It runs beside the screen.
func loadExchange(ctx context.Context, s *capture.Store, id traffic.ExchangeID) (*exchangeData, error) {
	d, err := view.Load(ctx, s, id)
	if err != nil {
		return nil, err
	}
	data := &exchangeData{Detail: d, layers: map[traffic.Dir][]decode.View{}}
	x := d.Exchange
	for dir, m := range map[traffic.Dir]*decode.Message{traffic.Request: d.Request, traffic.Reply: d.Reply} {
		head := x.Request.Head
		if dir == traffic.Reply {
			head = x.Reply.Head
		}
		switch {
		case m != nil && m.Depth == decode.Full:
			data.layers[dir] = m.Views(head.Raw)
		case m != nil:
			if data.layers[dir], err = beginning(ctx, s, id, dir, head); err != nil {
				return nil, err
			}
		}
	}
	if x.Sent != nil {
		if data.sent, err = forwarded(ctx, s, id, traffic.Request); err != nil {
			return nil, err
		}
	}
	if x.Returned != nil {
		if data.returned, err = forwarded(ctx, s, id, traffic.Reply); err != nil {
			return nil, err
		}
	}
	data.notes, err = s.Notes(ctx, id)
	return data, err
}

// beginning is what is shown of a message that is too large to be decoded
// whole.
func beginning(ctx context.Context, s *capture.Store, id traffic.ExchangeID, dir traffic.Dir, head traffic.Head) ([]decode.View, error) {
	body, err := s.Wire(ctx, id, dir, false)
	if err != nil {
		return nil, fmt.Errorf("read exchange %d: %w", id, err)
	}
	b := make([]byte, min(body.Size(), maxShown))
	n, err := body.ReadAt(b, 0)
	if n == 0 && err != nil {
		return nil, fmt.Errorf("read exchange %d: %w", id, err)
	}
	what := fmt.Sprintf("the first %s of %s bytes of the message", grouped(int64(n)), grouped(body.Size()))
	return []decode.View{{Name: "wire", Bytes: b[:n], What: what}, {Name: "head", Bytes: head.Raw, What: "HTTP head as received", Text: true}}, nil
}

// forwarded decodes what went on in place of a message; nil when there was
// nothing.
func forwarded(ctx context.Context, s *capture.Store, id traffic.ExchangeID, dir traffic.Dir) (*decode.Message, error) {
	src, err := s.Source(ctx, id, dir, true)
	switch {
	case errors.Is(err, capture.ErrNone):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read what went on of exchange %d: %w", id, err)
	}
	return decode.Decode(src, decode.Full), nil
}

func (d *detail) crumb() string {
	words := fmt.Sprint(d.id)
	if d.data != nil && d.data.Row.Kind != "" {
		words += " " + view.KindName(d.data.Row.Kind)
	}
	return view.Clean(words, d.app.sym.ascii)
}

func (d *detail) flags() []string {
	switch {
	case d.load.busy():
		return []string{"reading" + d.app.sym.dots}
	case d.judging.busy():
		return []string{"judging" + d.app.sym.dots}
	}
	return nil
}

func (d *detail) scopes() []scope { return []scope{inDetail, inText, inExchange, inMoving} }

func (d *detail) close() {
	d.load.stop()
	d.judging.stop()
}

// info is why it failed, else the worst finding, else what the exchange is.
func (d *detail) info() piece {
	switch {
	case d.data == nil:
		return piece{}
	case len(d.why) > 0:
		return causePiece(&d.why[0], d.app.sym.ascii)
	case len(d.data.Findings) > 0:
		return findingPiece(d.data.Findings[0], d.app.sym.ascii)
	}
	return piece{view.Clean(d.data.Row.Long, d.app.sym.ascii), roleDim}
}

// notice reads the exchange again when it has changed.
func (d *detail) notice(n capture.Notice) bool {
	if _, changed := slices.BinarySearch(n.Changed, d.id); changed || n.All {
		d.open(d.id)
		return true
	}
	return false
}

// seen is the text that is shown, nil when there is none yet.
func (d *detail) seen() *text {
	if d.data == nil {
		return nil
	}
	return d.text(d.current())
}

func (d *detail) move(by int) { d.withText(func(t *text) { t.move(by) }) }

func (d *detail) page() int {
	if t := d.seen(); t != nil {
		return t.page()
	}
	return 1
}

func (d *detail) first() { d.withText((*text).first) }

func (d *detail) last() { d.withText((*text).last) }

func (d *detail) withText(f func(*text)) {
	if t := d.seen(); t != nil {
		f(t)
	}
}

// nextNode and previousNode go through the tabs.
func (d *detail) nextNode() { d.turn(1) }

func (d *detail) previousNode() { d.turn(-1) }

func (d *detail) turn(by int) {
	if d.data == nil {
		return
	}
	nodes := d.nodes()
	if !d.wide() {
		nodes = slices.DeleteFunc(nodes, func(n node) bool { return n.dir != traffic.Both && n.dir != d.dir })
	}
	i := slices.IndexFunc(nodes, func(n node) bool { return n.is(d.node, d.dir) })
	d.choose(nodes[(i+by+len(nodes))%len(nodes)])
}

func (d *detail) choose(n node) {
	d.node = n.name
	if n.dir != traffic.Both {
		d.dir = n.dir
	}
}

// reply and request switch between the messages.
func (d *detail) toReply() { d.toDir(traffic.Reply) }

func (d *detail) toRequest() { d.toDir(traffic.Request) }

func (d *detail) toDir(dir traffic.Dir) {
	if d.data == nil {
		return
	}
	nodes := slices.DeleteFunc(d.nodes(), func(n node) bool { return n.dir != dir })
	if len(nodes) == 0 {
		d.app.say("there is no %s", dir)
		return
	}
	d.dir = dir
	i := slices.IndexFunc(nodes, func(n node) bool { return n.name == d.node })
	switch cur := d.current(); {
	case i >= 0:
		d.choose(nodes[i])
	case cur.dir == traffic.Both && cur.name != "Summary":
		// TLS, findings and the like are of both.
	default:
		d.choose(nodes[min(1, len(nodes)-1)])
	}
}

// next and previous go through the exchanges of the list below.
func (d *detail) next() { d.neighbour(1) }

func (d *detail) previous() { d.neighbour(-1) }

func (d *detail) neighbour(by int) {
	m, below := d.app.stack[len(d.app.stack)-2].(*messages)
	if !below {
		return
	}
	if m.pages.busy() {
		return
	}
	before := m.cursor
	m.move(by)
	switch {
	case m.pages.busy():
		d.app.say("reading the list; press again")
	case m.cursor == before && by > 0:
		d.app.say("this is the newest")
	case m.cursor == before:
		d.app.say("this is the oldest")
	default:
		d.open(m.cursor)
	}
}

// nextFinding goes to the next finding.
func (d *detail) nextFinding() { d.finding(1) }

func (d *detail) previousFinding() { d.finding(-1) }

func (d *detail) finding(by int) {
	if d.data == nil {
		return
	}
	if len(d.data.Findings) == 0 {
		d.app.say("nothing odd was found in this exchange")
		return
	}
	if d.node != "Findings" {
		d.node = "Findings"
		d.withText((*text).first)
		return
	}
	t := d.seen()
	starts := findingStarts(t)
	i, found := slices.BinarySearch(starts, t.line())
	if by > 0 && found {
		i++
	} else if by < 0 {
		i--
	}
	if i < 0 || i >= len(starts) {
		d.app.say("there are no more findings that way")
		return
	}
	t.goToLine(starts[i])
	t.settle()
}

// findingStarts are the lines in which findings begin: those not moved in.
func findingStarts(t *text) (at []int) {
	for i := range t.lines {
		if s := t.lines[i].full(); s != "" && s[0] != ' ' {
			at = append(at, i)
		}
	}
	return at
}

// wide is true where a tree has room.
func (d *detail) wide() bool {
	w, h := d.app.screen.Size()
	return w >= 120 && h >= 15
}

// treeWidth is how wide the tree is.
const treeWidth = 34

// draw draws title, tabs or tree, and the text.
func (d *detail) draw(c canvas) {
	if d.data == nil {
		if d.load.busy() {
			c.text(2, 1, c.w-2, "reading"+c.sym.dots, roleDim)
		}
		return
	}
	what, how := d.data.TitleParts(d.app.cfg.Format)
	n := cells(how)
	c.text(1, 0, c.w-n-4, what, roleHeading)
	c.text(c.w-n-1, 0, n, how, roleHeading)
	body := c.lines(1, c.h-1)
	if d.wide() {
		d.drawTree(body.columns(0, treeWidth))
		for y := range body.h {
			body.text(treeWidth, y, 1, c.sym.vertical, roleDim)
		}
		body = body.columns(treeWidth+2, body.w-treeWidth-2)
		body.text(0, 0, body.w, d.heading(), roleTitle)
		body = body.lines(1, body.h-1)
		if h := d.footnotes(body); h > 0 {
			d.drawFindings(body.lines(body.h-h, h))
			body = body.lines(0, body.h-h)
		}
	} else {
		d.drawTabs(c.lines(1, 1))
		body = c.lines(2, c.h-2)
	}
	t := d.seen()
	if status := d.status(t); status.text != "" && body.h > 3 {
		body.line(body.h-1, " "+status.text, status.role)
		body = body.lines(0, body.h-1)
	}
	t.draw(body, true)
}

// heading says what the text beside the tree is.
func (d *detail) heading() string {
	n := d.current()
	words := n.name
	if n.dir != traffic.Both {
		words += " of the " + n.dir.String()
	}
	if n.name == "Body" {
		words += "  " + d.viewWords()
	}
	return words
}

// status is the line under a text: where the cursor is, what was found.
func (d *detail) status(t *text) piece {
	var words []string
	if t.sought != "" {
		n, of := t.found()
		words = append(words, fmt.Sprintf("find: %d/%d %q", n, of, view.Clean(t.sought, d.app.sym.ascii)))
	}
	if d.current().name == "Body" && !d.wide() {
		words = append(words, d.viewWords())
	}
	if t.numbers {
		if path := xmlPath(t); path != "" {
			words = append(words, path)
		}
	}
	return piece{strings.Join(words, "   "), roleDim}
}

// xmlPath names the elements around the cursor.
func xmlPath(t *text) string {
	if len(t.lines) == 0 {
		return ""
	}
	at := t.line()
	var names []string
	for i := 0; i <= at; i++ {
		if l := &t.lines[i]; l.last >= at {
			if name := elementName(l.full()); name != "" {
				names = append(names, name)
			}
		}
	}
	if len(names) == 0 {
		return ""
	}
	return "/" + strings.Join(names, "/")
}

func elementName(s string) string {
	s = strings.TrimLeft(s, " ")
	if !strings.HasPrefix(s, "<") || strings.HasPrefix(s, "</") || strings.HasPrefix(s, "<?") || strings.HasPrefix(s, "<!") {
		return ""
	}
	s = s[1:]
	if i := strings.IndexAny(s, " />"); i >= 0 {
		s = s[:i]
	}
	return s
}

// drawTabs draws the nodes of one message as tabs.
func (d *detail) drawTabs(c canvas) {
	x, dir := 1, traffic.Both
	tab := func(words string, r role) {
		if x < c.w {
			c.text(x, 0, cells(words), words, r)
		}
		x += cells(words)
	}
	for _, n := range d.nodes() {
		if n.dir != traffic.Both && n.dir != d.dir {
			continue
		}
		if n.dir != dir {
			if dir = n.dir; dir != traffic.Both {
				tab(" "+dir.String()+":", roleDim)
			} else {
				tab(" ", roleText)
			}
		}
		words, r := n.words(), severity(n.sev)
		if n.is(d.node, d.dir) {
			tab("["+words+"]", roleTitle)
			continue
		}
		tab(" ", roleText)
		tab(words, r)
		tab(" ", roleText)
	}
}

// drawTree draws all nodes, those of messages under their message.
func (d *detail) drawTree(c canvas) {
	y, dir := 0, traffic.Both
	for _, n := range d.nodes() {
		if n.dir != dir {
			dir = n.dir
			if dir != traffic.Both {
				c.line(y, "  "+dir.String(), roleDim)
				c.text(c.w-10, y, 9, view.Fit(d.sizeOf(dir), 9, true, c.sym.ascii), roleDim)
				y++
			}
		}
		indent := " "
		if dir != traffic.Both {
			indent = "   "
		}
		style := c.theme.style
		if n.is(d.node, d.dir) {
			style = c.theme.on
		}
		c.styled(0, y, c.w-1, indent+" "+n.name, style(severity(n.sev)))
		c.styled(c.w-19, y, 18, view.Fit(n.note, 18, true, c.sym.ascii), style(severity(n.sev)))
		y++
	}
}

func (d *detail) sizeOf(dir traffic.Dir) string {
	if dir == traffic.Reply {
		return view.Size(d.data.Row.RespBytes)
	}
	return view.Size(d.data.Row.ReqBytes)
}

// footnotes is how many lines under the text the findings get.
func (d *detail) footnotes(c canvas) int {
	if n := d.node; n == "Findings" || n == "Summary" || len(d.data.Findings)+len(d.why) == 0 || c.h < 20 {
		return 0
	}
	t := newText(d.foundLines())
	t.lay(c.w, c.h/3)
	return min(len(t.rows)+1, c.h/3)
}

func (d *detail) drawFindings(c canvas) {
	c.line(0, strings.Repeat(c.sym.horizontal, c.w), roleDim)
	t := newText(d.foundLines())
	t.draw(c.lines(1, c.h-1), false)
}
