package redact

import (
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"

	"mpproxy/decode"
)

// secretNames are properties whose value is a secret wherever they stand, in
// lower case.
var secretNames = map[string]bool{
	"networkaccessusername": true, "ts_sequence": true, "sourcescript": true,
	"_smstsmediapfx": true, "_smsmediaguid": true, "_smstsreserved1-000": true, "_smstsreserved2-000": true,
}

// secretClasses are WMI classes of which every value is a secret.
var secretClasses = map[string]bool{"ccm_networkaccessaccount": true, "ccm_collectionvariable": true, "ccm_tasksequence": true}

// secretElements are elements whose text is a secret.
var secretElements = map[string]bool{"policysecret": true, "networkaccessusername": true, "ts_sequence": true}

// secretName tells whether what has a name, in lower case, is a secret by it.
func secretName(name string) bool {
	return strings.Contains(name, "password") || strings.HasSuffix(name, "token") || secretNames[name]
}

// secretCategories are policies that are secret as a whole once they are
// packed.
var secretCategories = map[string]bool{"naaconfig": true, "tasksequence": true, "collectionsettings": true}

// hints are what texts have, in lower case, that are worth a look: a walk through
// every message would cost much, and almost none has secrets.
var hints = []string{
	"secret", "networkaccess", "ts_sequence", "sourcescript", "_smsts", "_smsmedia", "token", "password", "assertion",
	"collectionvariable", "ccm_tasksequence", "naaconfig", "policyxml",
}

func hinted(s string) bool {
	s = strings.ToLower(s)
	return slices.ContainsFunc(hints, func(h string) bool { return strings.Contains(s, h) })
}

// Text takes the secrets out of a message's XML. It returns the same text and 0
// when there are none.
func Text(s string) (string, int) { return text(s, 0) }

// Range is a part of a text, in bytes.
type Range struct{ From, To int }

// Secrets are the parts of a message's XML that [Text] takes out.
func Secrets(s string) (all []Range) {
	if !hinted(s) {
		return nil
	}
	w := walk{src: s}
	if w.run() != nil {
		if _, n := Text(s); n > 0 {
			return []Range{{0, len(s)}}
		}
		return nil
	}
	for _, c := range w.cuts {
		all = append(all, Range{c.from, c.to})
	}
	return all
}

// maxDepth bounds how deep texts are looked for in texts.
const maxDepth = 8

func text(s string, depth int) (string, int) {
	switch {
	case !hinted(s):
		return s, 0
	case depth > maxDepth:
		return mark(s), 1
	}
	w := walk{src: s, depth: depth}
	if err := w.run(); err != nil {
		if secretText.MatchString(s) {
			return mark(s), 1 // not XML, but it says that it has secrets
		}
		return loose(s)
	}
	if len(w.cuts) == 0 {
		return s, 0
	}
	var b strings.Builder
	at := 0
	for _, c := range w.cuts {
		b.WriteString(s[at:c.from])
		b.WriteString(c.with)
		at = c.to
	}
	b.WriteString(s[at:])
	return b.String(), len(w.cuts)
}

var secretText = regexp.MustCompile(`(?i)secret\s*=\s*["']1|<PolicySecret|NetworkAccessPassword`)

// pairs are names and values of JSON and of forms, of which the name says that
// the value is a secret.
var pairs = []*regexp.Regexp{
	regexp.MustCompile(`(?i)"[^"]*(?:token|password|secret|assertion)"\s*:\s*"((?:[^"\\]|\\.)+)"`),
	regexp.MustCompile(`(?i)(?:^|&)[^&=\s]*(?:token|password|secret|assertion)=([^&\s]+)`),
}

// loose takes the secrets out of a text that is no XML.
func loose(s string) (string, int) {
	n := 0
	for _, re := range pairs {
		var count int
		s, count = replaceGroup(re, s, mark)
		n += count
	}
	return s, n
}

// query finds the secret values of a URL's query.
var query = regexp.MustCompile(`(?i)[?&;][^?&;=\s]*(?:token|signature|\bsig|password|pwd|secret|assertion)=([^&;\s"'<>]+)`)

// Line takes the secrets out of the URLs of a line, such as the first of a
// request or a summary.
func Line(s string) (string, int) {
	if !strings.Contains(s, "=") {
		return s, 0
	}
	return replaceGroup(query, s, func(value string) string {
		return strings.NewReplacer(" ", "-", ",", "", "[", "", "]", "").Replace(mark(value)) // a URL has no blanks
	})
}

// replaceGroup changes the first group of each match.
func replaceGroup(re *regexp.Regexp, s string, change func(string) string) (string, int) {
	found := re.FindAllStringSubmatchIndex(s, -1)
	if len(found) == 0 {
		return s, 0
	}
	var b strings.Builder
	at := 0
	for _, m := range found {
		b.WriteString(s[at:m[2]])
		b.WriteString(change(s[m[2]:m[3]]))
		at = m[3]
	}
	b.WriteString(s[at:])
	return b.String(), len(found)
}

// cut is a range of the text that is replaced.
type cut struct {
	from, to int
	with     string
}

// walk finds the secrets of a text.
type walk struct {
	src   string
	depth int
	cuts  []cut
	// open says for each open element whether what stands in it is secret.
	open []bool
	// category is the policy's, in lower case.
	category string
	elements int
}

// maxOpen bounds how deep elements may be nested.
const maxOpen = 500

var errDeep = errors.New("elements are nested too deep")

func (w *walk) run() error {
	d := xml.NewDecoder(strings.NewReader(w.src))
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	for {
		from := int(d.InputOffset())
		tok, err := d.Token()
		if errors.Is(err, io.EOF) && w.elements > 0 {
			return nil
		}
		if err != nil {
			return err
		}
		to := int(d.InputOffset())
		switch t := tok.(type) {
		case xml.StartElement:
			w.elements++
			if len(w.open) >= maxOpen {
				return errDeep
			}
			w.start(t, from, to)
		case xml.EndElement:
			w.open = w.open[:len(w.open)-1]
		case xml.CharData:
			w.text(string(t), from, to)
		}
	}
}

func (w *walk) secret() bool { return len(w.open) > 0 && w.open[len(w.open)-1] }

func (w *walk) start(t xml.StartElement, from, to int) {
	attrs := map[string]string{}
	for _, a := range t.Attr {
		attrs[strings.ToLower(a.Name.Local)] = a.Value
	}
	if c := attrs["policycategory"]; c != "" {
		w.category = strings.ToLower(c)
	}
	name, property := strings.ToLower(t.Name.Local), strings.ToLower(attrs["name"])
	secret := w.secret() || secretElements[name] || secretName(name) ||
		name == "property" && (attrs["secret"] == "1" || secretName(property)) ||
		name == "instance" && secretClasses[strings.ToLower(attrs["class"])] ||
		name == "policyxml" && attrs["compression"] != "" && (secretCategories[w.category] || w.category == "")
	w.attributes(from, to, secret)
	w.open = append(w.open, secret)
}

// attributes takes out of a tag what is a secret: the Value of a secret element,
// and passwords.
func (w *walk) attributes(from, to int, secret bool) {
	for _, at := range attribute.FindAllStringSubmatchIndex(w.src[from:to], -1) {
		name := strings.ToLower(w.src[from+at[2] : from+at[3]])
		lo, hi := at[4], at[5]
		if lo < 0 {
			lo, hi = at[6], at[7]
		}
		if value := w.src[from+lo : from+hi]; value != "" && (secret && name == "value" || strings.Contains(name, "password")) {
			w.cuts = append(w.cuts, cut{from + lo, from + hi, mark(value)})
		}
	}
}

var attribute = regexp.MustCompile(`\s([\w:.-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')`)

// text takes the text of a secret element out, with its CDATA; of another one
// what it holds as XML in turn, as policies do, packed or not.
func (w *walk) text(words string, from, to int) {
	switch {
	case strings.TrimSpace(words) == "":
	case w.secret(), packedSecret(words, w.depth+1):
		w.cuts = append(w.cuts, cut{from, to, mark(words)})
	case strings.Contains(words, "<"):
		if clean, n := text(words, w.depth+1); n > 0 {
			w.cuts = append(w.cuts, cut{from, to, cdata(clean)})
		}
	}
}

// cdata writes a text so that no markup in it counts.
func cdata(s string) string {
	return "<![CDATA[" + strings.ReplaceAll(s, "]]>", "]]]]><![CDATA[>") + "]]>"
}

// maxUnpacked is how much of a packed text is looked at.
const maxUnpacked = 16 << 20

// packedSecret tells whether a text is packed as policies are, and has secrets.
func packedSecret(words string, depth int) bool {
	if !strings.HasPrefix(strings.TrimSpace(words), "78") { // hex of zlib, at a look
		return false
	}
	plain, _ := decode.UnpackHex(words, maxUnpacked) // what came before it broke counts
	_, n := text(decode.DecodeText(plain).String, depth)
	return n > 0
}
