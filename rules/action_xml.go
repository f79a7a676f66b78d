package rules

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/beevik/etree"
)

// setXML sets an element's text or an attribute, found by its path.
type setXML struct {
	path      string // of the element
	compiled  etree.Path
	attribute string // empty: the element's text
	value     string
	inHeader  bool
}

func (setXML) needs() Need { return Whole }

func (a setXML) apply(e *edit, r *Rule) {
	text, ok := e.content(a.inHeader)
	if !ok {
		e.find(&nothingFound, r, "the message has no text")
		return
	}
	changed, err := a.in(*text)
	if err != nil {
		e.find(&nothingFound, r, err.Error())
		return
	}
	*text, e.by = changed, r
}

// makeSet reads {field, value} or {path, value, in}.
func makeSet(args arguments) (Action, error) {
	value, err := args.text("value")
	if err != nil {
		return nil, err
	}
	if args.has("field") {
		name, err := args.fieldName("field")
		if err != nil {
			return nil, err
		}
		if strings.ContainsAny(value, "\r\n\x00") {
			return nil, args.wrong("value", "has a line break")
		}
		return setField{name, value}, args.done()
	}
	path, err := args.text("path")
	if err != nil {
		return nil, err
	}
	a := setXML{value: value, path: path}
	if i := strings.LastIndex(path, "/@"); i >= 0 {
		a.path, a.attribute = path[:i], path[i+2:]
	}
	if a.compiled, err = etree.CompilePath(a.path); err != nil {
		return nil, args.wrong("path", fmt.Sprintf("cannot be read: %v", err))
	}
	if a.inHeader, err = args.place(); err != nil {
		return nil, err
	}
	return a, args.done()
}

// in sets the value at every place the path finds. The tree only finds: what
// is written is the text as it was, with those spans replaced, since writing a
// tree would change quotes, empty elements and character references everywhere.
func (a setXML) in(text string) (string, error) {
	doc := etree.NewDocument()
	doc.ReadSettings.CharsetReader = asDecoded
	if err := doc.ReadFromString(text); err != nil {
		return "", fmt.Errorf("the text is no XML: %w", err)
	}
	wanted := map[int]bool{}
	order := ordinals(doc)
	for _, e := range doc.FindElementsPath(a.compiled) {
		wanted[order[e]] = true
	}
	if len(wanted) == 0 {
		return "", fmt.Errorf("no element %s", a.path)
	}
	spans, err := elementSpans(text, wanted)
	if err != nil {
		return "", err
	}
	for i := len(spans) - 1; i >= 0; i-- {
		if text, err = a.splice(text, spans[i]); err != nil {
			return "", err
		}
	}
	return text, nil
}

// asDecoded passes text through whose declaration names the coding it had on
// the wire.
func asDecoded(_ string, r io.Reader) (io.Reader, error) { return r, nil }

// ordinals numbers elements in document order, from 0.
func ordinals(doc *etree.Document) map[*etree.Element]int {
	order := map[*etree.Element]int{}
	var walk func(*etree.Element)
	walk = func(e *etree.Element) {
		for _, c := range e.ChildElements() {
			order[c] = len(order)
			walk(c)
		}
	}
	walk(&doc.Element)
	return order
}

// elementSpan is where an element stands: its start tag, and its content.
type elementSpan struct {
	tagFrom, tagTo, contentTo int
	hasChildren               bool
}

// elementSpans reads the text as the tree's parser does, and gives the spans of
// the wanted elements in the order in which they begin.
func elementSpans(text string, wanted map[int]bool) ([]elementSpan, error) {
	d := xml.NewDecoder(strings.NewReader(text))
	d.CharsetReader = asDecoded
	var spans []elementSpan
	var open []int // index in spans, or -1
	for n, from := 0, 0; ; from = int(d.InputOffset()) {
		token, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			return spans, nil
		}
		if err != nil {
			return nil, fmt.Errorf("the text is no XML: %w", err)
		}
		switch token.(type) {
		case xml.StartElement:
			if len(open) > 0 && open[len(open)-1] >= 0 {
				spans[open[len(open)-1]].hasChildren = true
			}
			index := -1
			if wanted[n] {
				index = len(spans)
				spans = append(spans, elementSpan{tagFrom: from, tagTo: int(d.InputOffset())})
			}
			open = append(open, index)
			n++
		case xml.EndElement:
			if len(open) == 0 {
				return nil, errors.New("the text is no XML: an end tag too many")
			}
			if i := open[len(open)-1]; i >= 0 {
				spans[i].contentTo = max(from, spans[i].tagTo)
			}
			open = open[:len(open)-1]
		}
	}
}

func (a setXML) splice(text string, s elementSpan) (string, error) {
	if a.attribute != "" {
		return a.spliceAttribute(text, s)
	}
	if s.hasChildren {
		return "", fmt.Errorf("element %s has elements within: set one of those", a.path)
	}
	tag := text[s.tagFrom:s.tagTo]
	if empty, ok := strings.CutSuffix(tag, "/>"); ok {
		name := strings.TrimLeft(tag, "<")
		name = name[:strings.IndexAny(name, " \t\r\n/>")]
		return text[:s.tagFrom] + strings.TrimRight(empty, " ") + ">" + escape(a.value) + "</" + name + ">" + text[s.tagTo:], nil
	}
	value := escape(a.value)
	if strings.HasPrefix(text[s.tagTo:s.contentTo], "<![CDATA[") && !strings.Contains(a.value, "]]>") {
		value = "<![CDATA[" + a.value + "]]>"
	}
	return text[:s.tagTo] + value + text[s.contentTo:], nil
}

// spliceAttribute replaces an attribute's value within a start tag, or adds
// the attribute at its end.
func (a setXML) spliceAttribute(text string, s elementSpan) (string, error) {
	tag := text[s.tagFrom:s.tagTo]
	at := strings.IndexAny(tag, " \t\r\n/>")
	for at < len(tag) {
		rest := strings.TrimLeft(tag[at:], " \t\r\n")
		eq := strings.IndexByte(rest, '=')
		if eq < 0 {
			break
		}
		name := strings.TrimSpace(rest[:eq])
		value := strings.TrimLeft(rest[eq+1:], " \t\r\n")
		from := len(tag) - len(value) + 1
		if value == "" || value[0] != '"' && value[0] != '\'' {
			break
		}
		length := strings.IndexByte(value[1:], value[0])
		if length < 0 {
			break
		}
		if local(name) == a.attribute {
			return text[:s.tagFrom+from] + escape(a.value) + text[s.tagFrom+from+length:], nil
		}
		at = from + length + 1
	}
	end := len(tag) - 1
	if strings.HasSuffix(tag, "/>") {
		end--
	}
	for tag[end-1] == ' ' {
		end--
	}
	return text[:s.tagFrom+end] + " " + a.attribute + `="` + escape(a.value) + `"` + text[s.tagFrom+end:], nil
}

func local(name string) string { return name[strings.IndexByte(name, ':')+1:] }

var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&apos;",
	"\r", "&#13;", "\n", "&#10;", "\t", "&#9;")

func escape(s string) string { return escaper.Replace(s) }
