package decode

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
)

// fault is the first place where a text is not XML.
type fault struct {
	// at is a byte offset in the text, line counts from 1.
	at, line int
	what     string
}

// maxDepth is more than any message has; a text that nests deeper is not read
// on.
const maxDepth = 256

// wellFormed looks for the first fault of a text; nil means that it is
// well-formed. References to entities are faults, as nothing is expanded.
func wellFormed(text string) *fault {
	d := xml.NewDecoder(strings.NewReader(text))
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	depth, roots := 0, 0
	for {
		at := int(d.InputOffset())
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			return unfinished(text, depth, roots)
		}
		if err != nil {
			return newFault(text, int(d.InputOffset()), faultWords(err))
		}
		switch t := t.(type) {
		case xml.StartElement:
			if depth == 0 {
				roots++
			}
			if depth++; depth > maxDepth {
				return newFault(text, at, "elements are nested too deeply")
			}
		case xml.EndElement:
			depth--
		case xml.CharData:
			if depth == 0 && len(strings.TrimSpace(strings.Trim(string(t), "\uFEFF"))) > 0 {
				return newFault(text, at, "text outside of the root element")
			}
		}
		if depth < 0 || roots > 1 {
			return newFault(text, at, "more than one root element")
		}
	}
}

// faultWords is an error's text without the line number, which is counted
// from elsewhere.
func faultWords(err error) string {
	var syntax *xml.SyntaxError
	if errors.As(err, &syntax) {
		return syntax.Msg
	}
	return err.Error()
}

func unfinished(text string, depth, roots int) *fault {
	switch {
	case depth > 0:
		return newFault(text, len(text), "elements are left open at the end")
	case roots == 0:
		return newFault(text, 0, "no root element")
	}
	return nil
}

func newFault(text string, at int, what string) *fault {
	at = max(0, min(at, len(text)))
	return &fault{at, 1 + strings.Count(text[:at], "\n"), what}
}
