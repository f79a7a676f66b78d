package redact

import (
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"strings"
)

// secretNames are properties whose value is a secret wherever they stand, in
// lower case.
var secretNames = map[string]bool{
	"networkaccessusername": true, "networkaccesspassword": true, "ts_sequence": true, "sourcescript": true,
	"_smstsmediapfx": true, "_smsmediaguid": true, "_smstsreserved1-000": true, "_smstsreserved2-000": true,
	"regtoken": true, "registrationtoken": true, "bulktoken": true, "ccmtoken": true, "authtoken": true,
	"password": true, "pfxpassword": true,
}

// secretClasses are WMI classes of which every value is a secret.
var secretClasses = map[string]bool{"ccm_networkaccessaccount": true, "ccm_collectionvariable": true, "ccm_tasksequence": true}

// secretElements are elements whose text is a secret.
var secretElements = map[string]bool{"policysecret": true, "networkaccesspassword": true, "networkaccessusername": true, "ts_sequence": true, "token": true, "regtoken": true}

// secretCategories are policies that are secret as a whole once they are
// packed.
var secretCategories = map[string]bool{"naaconfig": true, "tasksequence": true, "collectionsettings": true}

// hint is true for texts that are worth a look: a scan of every message would
// cost much, and almost none has secrets.
var hint = regexp.MustCompile(`(?i)secret|networkaccess|ts_sequence|sourcescript|_smsts|_smsmedia|token|password|CollectionVariable|CCM_TaskSequence|NAAConfig|PolicyXML`)

// Text takes the secrets out of a message's XML. It returns the same text and 0
// when there are none.
func Text(s string) (string, int) {
	if !hint.MatchString(s) {
		return s, 0
	}
	w := walk{src: s}
	if err := w.run(); err != nil {
		if secretText.MatchString(s) {
			return mark(s), 1 // not XML, but it says that it has secrets
		}
		return s, 0
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

// cut is a range of the text that is replaced.
type cut struct {
	from, to int
	with     string
}

// walk finds the secrets of a text.
type walk struct {
	src  string
	cuts []cut
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
	secret := w.secret() || secretElements[name] ||
		name == "property" && (attrs["secret"] == "1" || secretNames[property]) ||
		name == "instance" && secretClasses[strings.ToLower(attrs["class"])] ||
		name == "policyxml" && attrs["compression"] != "" && (secretCategories[w.category] || w.category == "")
	if secret {
		w.attribute(t, from, to)
	}
	w.open = append(w.open, secret)
}

// attribute takes the Value attribute out of a secret element's tag.
func (w *walk) attribute(t xml.StartElement, from, to int) {
	for _, a := range t.Attr {
		if !strings.EqualFold(a.Name.Local, "value") || a.Value == "" {
			continue
		}
		tag := w.src[from:to]
		if at := valueAt.FindStringSubmatchIndex(tag); at != nil {
			lo, hi := at[2], at[3]
			if lo < 0 {
				lo, hi = at[4], at[5]
			}
			w.cuts = append(w.cuts, cut{from + lo, from + hi, mark(a.Value)})
		}
	}
}

var valueAt = regexp.MustCompile(`(?i)\svalue\s*=\s*(?:"([^"]*)"|'([^']*)')`)

// text takes the text of a secret element out, with its CDATA.
func (w *walk) text(words string, from, to int) {
	if !w.secret() || strings.TrimSpace(words) == "" {
		return
	}
	w.cuts = append(w.cuts, cut{from, to, mark(words)})
}
