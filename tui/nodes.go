package tui

import (
	"fmt"
	"slices"
	"strings"

	"mpproxy/capture"
	"mpproxy/decode"
	"mpproxy/internal/view"
	"mpproxy/traffic"
)

// node is one view of an exchange: a tab, or a line of the tree.
type node struct {
	name string
	// dir is the message that it is of, Both for all others.
	dir  traffic.Dir
	note string
	sev  traffic.Severity
	make func(*detail) *text
}

func (n node) is(name string, dir traffic.Dir) bool {
	return n.name == name && (n.dir == traffic.Both || n.dir == dir)
}

// words are those of the tab: a note that is a number stands there too.
func (n node) words() string {
	if n.note != "" && strings.Trim(n.note, "0123456789") == "" {
		return n.name + " " + n.note
	}
	return n.name
}

// nodes are what there is of this exchange.
func (d *detail) nodes() []node {
	x := d.data
	nodes := []node{{name: "Summary", make: (*detail).summaryText}}
	nodes = append(nodes, d.messageNodes(traffic.Request, x.Exchange.Request.Head, x.Request)...)
	nodes = append(nodes, d.messageNodes(traffic.Reply, x.Exchange.Reply.Head, x.Reply)...)
	if x.Upload != nil {
		nodes = append(nodes, node{name: "Upload", note: itoa(len(x.Upload.Packets)), make: (*detail).uploadText})
	}
	if x.Conn != nil {
		nodes = append(nodes, node{name: "TLS", note: tlsNote(x.Conn), make: (*detail).tlsText})
	}
	nodes = append(nodes, node{name: "Findings", note: itoa(len(d.why) + len(x.Findings)), sev: worstFound(x.Findings), make: (*detail).findingsText})
	switch n := len(x.Row.Rules); {
	case n > 0:
		nodes = append(nodes, node{name: "Rules", note: itoa(n), make: (*detail).changesText})
	case x.Exchange.Sent != nil || x.Exchange.Returned != nil:
		nodes = append(nodes, node{name: "Changes", make: (*detail).changesText})
	}
	if len(x.notes) > 0 {
		nodes = append(nodes, node{name: "Notes", note: itoa(len(x.notes)), make: (*detail).notesText})
	}
	return nodes
}

// messageNodes are those of one message.
func (d *detail) messageNodes(dir traffic.Dir, head traffic.Head, m *decode.Message) (nodes []node) {
	if len(head.Raw) > 0 {
		nodes = append(nodes, node{name: "HTTP", dir: dir, note: count(len(head.Fields), "field"), make: (*detail).headText})
	}
	if m == nil {
		return nodes
	}
	if m.HeaderText.String != "" {
		nodes = append(nodes, node{name: "Header", dir: dir, make: (*detail).headerText})
	}
	if len(d.layers(dir)) > 0 {
		nodes = append(nodes, node{name: "Body", dir: dir, note: bodyNote(m), make: (*detail).bodyText})
	}
	if n := len(m.Attachments); n > 0 {
		nodes = append(nodes, node{name: "Attach", dir: dir, note: itoa(n), make: (*detail).attachText})
	}
	if n := len(m.Signatures); n > 0 {
		nodes = append(nodes, node{name: "Sign", dir: dir, note: itoa(n), sev: signSeverity(m.Signatures), make: (*detail).signText})
	}
	return nodes
}

func bodyNote(m *decode.Message) string {
	if m.Text.String == "" {
		return "empty"
	}
	return view.Size(m.TextBytes)
}

func tlsNote(c *traffic.Conn) string {
	var versions []string
	for _, l := range []traffic.Leg{c.AgentLeg, c.UpstreamLeg} {
		switch {
		case l.Handshake == nil:
			versions = append(versions, "none")
		case l.Handshake.PassedThrough:
			versions = append(versions, "passed through")
		case l.Handshake.TLS == nil:
			versions = append(versions, "FAILED")
		default:
			versions = append(versions, strings.TrimPrefix(l.Handshake.TLS.VersionName, "TLS "))
		}
	}
	return strings.Join(versions, " / ")
}

func worstFound(found []capture.Found) traffic.Severity {
	worst := traffic.None
	for _, f := range found {
		worst = max(worst, f.Kind.Severity)
	}
	return worst
}

func signSeverity(ss []decode.Signature) traffic.Severity {
	if slices.ContainsFunc(ss, func(s decode.Signature) bool { return s.State == decode.Unfit }) {
		return traffic.Error
	}
	return traffic.None
}

// current is the chosen node.
func (d *detail) current() node {
	nodes := d.nodes()
	i := slices.IndexFunc(nodes, func(n node) bool { return n.is(d.node, d.dir) })
	return nodes[max(i, 0)]
}

// textKey names the text of a node.
func (d *detail) textKey(n node) string {
	if n.name == "Body" {
		return fmt.Sprintf("%s %v %s %v", n.name, n.dir, d.layer, d.as)
	}
	return fmt.Sprintf("%s %v", n.name, n.dir)
}

// text is the text of a node. It is kept with its place.
func (d *detail) text(n node) *text {
	k := d.textKey(n)
	if d.texts[k] == nil {
		d.texts[k] = n.make(d)
	}
	return d.texts[k]
}

// message is the message that is shown, and its head.
func (d *detail) message() (*decode.Message, traffic.Head) {
	if d.dir == traffic.Reply {
		return d.data.Reply, d.data.Exchange.Reply.Head
	}
	return d.data.Request, d.data.Exchange.Request.Head
}

// labelled are facts as lines: the label in a column of its own.
func labelled(facts []view.Fact) (lines []line) {
	for _, f := range facts {
		label := view.Fit(f.Label, 13, false, true)
		lines = append(lines, line{hang: 13, pieces: []piece{{label, roleDim}, {f.Value, roleText}}})
	}
	return sealed(lines)
}

func (d *detail) summaryText() *text {
	f := d.app.cfg.Format
	lines := labelled(d.data.Summary(f))
	if found := d.foundLines(); len(found) > 0 {
		lines = append(lines, line{})
		lines = append(lines, found...)
	}
	return newText(sealed(lines))
}

func (d *detail) tlsText() *text { return newText(labelled(d.data.TLS(d.app.cfg.Format))) }

func (d *detail) findingsText() *text {
	found := d.foundLines()
	if len(found) == 0 {
		return newText([]line{{pieces: []piece{{"nothing odd was found", roleDim}}}})
	}
	return newText(found)
}

// foundLines are why the exchange failed, and what was found in it. What the
// former explains says so.
func (d *detail) foundLines() []line {
	f := d.app.cfg.Format
	lines := diagnosisLines(d.why, f)
	found := slices.Clone(d.data.Findings)
	for i := range found {
		for _, x := range d.why {
			if found[i].MootBy == "" && slices.Contains(x.Kind.Moot, found[i].Kind.Code) {
				found[i].MootBy = x.Kind.Code
			}
		}
	}
	return sealed(append(lines, findingLines(found, f)...))
}

// findingLines are findings one below the other: what, evidence, why, what to
// do.
func findingLines(found []capture.Found, f view.Format) (lines []line) {
	for _, x := range found {
		for i, s := range view.Finding(x, f) {
			r := roleText
			if i == 0 {
				r = severity(x.Kind.Severity)
			}
			lines = append(lines, line{hang: hangOf(s), pieces: []piece{{s, r}}})
		}
	}
	return sealed(lines)
}

// hangOf is where a finding's line goes on: under the word behind its label.
func hangOf(s string) int {
	body := strings.TrimLeft(s, " ")
	n := len(s) - len(body)
	if i := strings.Index(body, "  "); n > 0 && i > 0 && i < 8 {
		return n + i + len(body[i:]) - len(strings.TrimLeft(body[i:], " "))
	}
	return n + 2
}

// headText is an HTTP head, as it came.
func (d *detail) headText() *text {
	_, head := d.message()
	return newText(headLines(head, d.app.cfg.Format))
}

func headLines(head traffic.Head, f view.Format) (lines []line) {
	for i, s := range view.Head(head, f) {
		name, value, found := strings.Cut(s, ":")
		if i == 0 || !found {
			lines = append(lines, line{hang: 2, pieces: []piece{{s, roleTitle}}})
			continue
		}
		lines = append(lines, line{hang: 2, pieces: []piece{{name + ":", roleName}, {value, roleText}}})
	}
	for _, o := range head.Odd {
		words := fmt.Sprintf("odd at byte %d: %s", o.Offset, o.What)
		lines = append(lines, line{pieces: []piece{{view.Clean(words, f.ASCII), roleWarning}}})
	}
	return sealed(lines)
}

func (d *detail) headerText() *text {
	m, _ := d.message()
	return xmlText(m.HeaderText.String, d.app.cfg.Format)
}

// layers are the layers of a message.
func (d *detail) layers(dir traffic.Dir) []decode.View { return d.data.layers[dir] }

// uploadText is what the fragments of an upload are together.
func (d *detail) uploadText() *text {
	m := d.data.Uploaded
	if m == nil {
		return newText([]line{{pieces: []piece{{"nothing of it came, or too much to show", roleDim}}}})
	}
	f := d.app.cfg.Format
	if m.Text.String != "" {
		return xmlText(m.Text.String, f)
	}
	return attachment(m.Views(nil)[0].Bytes, f)
}

// shownLayer is the layer to show: the chosen one, else the one that reads
// best.
func (d *detail) shownLayer() *decode.View {
	layers := d.layers(d.dir)
	for _, name := range []string{d.layer, "pretty", "text", "wire"} {
		if i := slices.IndexFunc(layers, func(l decode.View) bool { return l.Name == name }); i >= 0 {
			return &layers[i]
		}
	}
	return nil
}

func (d *detail) viewWords() string {
	l := d.shownLayer()
	if l == nil {
		return ""
	}
	words := "view: " + l.Name
	if d.hexShown(l) {
		words += ", hex"
	}
	return words
}

func (d *detail) hexShown(l *decode.View) bool {
	return d.as == asHex || d.as == asTheyAre && !l.Text && !isText(l.Bytes)
}

func isText(b []byte) bool {
	b = b[:min(len(b), 4096)]
	return !slices.ContainsFunc(b, func(c byte) bool { return c < 0x20 && c != '\n' && c != '\r' && c != '\t' || c >= 0x7f })
}

func (d *detail) bodyText() *text {
	l := d.shownLayer()
	f := d.app.cfg.Format
	switch {
	case l == nil:
		return newText(nil)
	case len(l.Bytes) == 0:
		return newText([]line{{pieces: []piece{{"no bytes: the body is empty", roleDim}}}})
	case d.hexShown(l):
		return hexText(l.Bytes)
	case l.Name == "pretty":
		m, _ := d.message()
		return xmlText(m.Text.String, f)
	}
	return plainText(string(l.Bytes), f)
}

// attachText shows attachments one below the other.
func (d *detail) attachText() *text {
	m, _ := d.message()
	f := d.app.cfg.Format
	var lines []line
	for i, at := range m.Attachments {
		words := fmt.Sprintf("%d  %s  %s bytes at %d of the payload", i+1, at.Name, grouped(at.Size), at.Offset)
		lines = append(lines, line{pieces: []piece{{view.Clean(words, f.ASCII), roleTitle}}, last: len(lines)})
		if int64(len(at.Bytes)) < at.Size {
			lines = append(lines, line{pieces: []piece{{"only " + count(len(at.Bytes), "byte") + " of it are there", roleWarning}}, last: len(lines)})
		}
		base := len(lines)
		for _, l := range attachment(at.Bytes, f).lines {
			l.last += base
			lines = append(lines, l)
		}
		lines = append(lines, line{last: len(lines)})
	}
	return newText(lines)
}

// attachment is the content of an attachment: text where it is text.
func attachment(b []byte, f view.Format) *text {
	t := decode.DecodeText(b)
	if len(t.Broken) == 0 && strings.HasPrefix(strings.TrimLeft(t.String, " \r\n\t"), "<") {
		return xmlText(t.String, f)
	}
	if isText(b) {
		return plainText(string(b), f)
	}
	return hexText(b)
}

func (d *detail) signText() *text {
	m, _ := d.message()
	f := d.app.cfg.Format
	var lines []line
	for _, s := range m.Signatures {
		r := roleText
		if s.State == decode.Unfit {
			r = roleError
		}
		lines = append(lines,
			line{pieces: []piece{{view.Clean(s.Words(), f.ASCII), r}}},
		)
		facts := []view.Fact{{Label: "  signs", Value: s.What}, {Label: "  state", Value: s.State.String()}, {Label: "  key", Value: orNone(s.Key)}, {Label: "  form", Value: orNone(s.Form)}}
		for i := range facts {
			facts[i].Value = view.Clean(facts[i].Value, f.ASCII)
		}
		lines = append(lines, labelled(facts)...)
		lines = append(lines, line{})
	}
	return newText(sealed(lines))
}

func orNone(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// changesText says which rules acted, and shows received and forwarded as a
// difference.
func (d *detail) changesText() *text {
	f := d.app.cfg.Format
	x := d.data.Exchange
	var facts []view.Fact
	for _, r := range d.data.Row.Rules {
		facts = append(facts, view.Fact{Label: "Rule", Value: view.Clean(r, f.ASCII)})
	}
	for _, t := range d.data.Row.Tags {
		facts = append(facts, view.Fact{Label: "Tag", Value: view.Clean(t, f.ASCII)})
	}
	lines := labelled(facts)
	if x.Sent != nil {
		lines = append(lines, changeLines("request", "received from the agent", "sent to the management point", &x.Request, x.Sent, d.data.Request, d.data.sent, f)...)
	}
	if x.Returned != nil {
		lines = append(lines, changeLines("reply", "received from the management point", "returned to the agent", &x.Reply, x.Returned, d.data.Reply, d.data.returned, f)...)
	}
	return newText(sealed(lines))
}

// changeLines is the difference between what came and what went on.
func changeLines(what, came, went string, before, after *traffic.Wire, received, forwarded *decode.Message, f view.Format) []line {
	if len(before.Head.Raw) == 0 {
		title := line{pieces: []piece{{what + " of mpproxy itself, " + went, roleTitle}}}
		return append([]line{{}, title}, headLines(after.Head, f)...)
	}
	lines := []line{{}, {pieces: []piece{{what + ":", roleTitle}, {"  - " + came, roleDel}, {"  + " + went, roleAdd}}}}
	lines = append(lines, diffLines(view.Head(before.Head, f), view.Head(after.Head, f))...)
	if after.SameBody || received == nil || forwarded == nil {
		return append(lines, line{pieces: []piece{{"  the body is the same", roleDim}}})
	}
	a, b := view.Text(clip(received.Text.String), f), view.Text(clip(forwarded.Text.String), f)
	if slices.Equal(a, b) {
		return append(lines, line{pieces: []piece{{"  the text of the body is the same", roleDim}}})
	}
	return append(append(lines, line{}), diffLines(a, b)...)
}

func (d *detail) notesText() *text {
	f := d.app.cfg.Format
	var lines []line
	for _, n := range d.data.notes {
		head := f.Time(n.At, "2006-01-02 15:04") + " " + n.Author
		lines = append(lines,
			line{pieces: []piece{{view.Clean(head, f.ASCII), roleDim}}},
			line{hang: 2, pieces: []piece{{"  " + view.Clean(n.Text, f.ASCII), roleText}}})
	}
	return newText(sealed(lines))
}
