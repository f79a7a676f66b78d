package decode

import (
	"bytes"
	"regexp"
	"strings"
)

// zlibHook is the header's element that says that the payload is packed.
var zlibHook = regexp.MustCompile(`<Hook3\s+Name\s*=\s*["']zlib-compress["']\s*(?:/>|>\s*</Hook3>)`)

// usualLevel is how hard a payload is packed that was not packed before.
const usualLevel = 6

// WantsPackedReply tells whether a request wants its reply compressed, which it
// does unless it says "none".
func (m *Message) WantsPackedReply() bool {
	return m.Header == nil || !strings.EqualFold(m.Header.ReplyCompression, "none")
}

// repacks tells whether an edit changes that the payload is compressed.
func (w *writer) repacks() bool {
	return w.edit.Compress != nil && *w.edit.Compress != (w.m.Inflated.Method != "") && w.m.Header != nil && len(w.m.wire.payload) > 0
}

// method is how the payload will be packed, "" for not at all.
func (w *writer) method() string {
	switch {
	case !w.repacks():
		return w.m.Inflated.Method
	case *w.edit.Compress:
		return "zlib"
	}
	return ""
}

// hooked is a header's text that says whether the payload is packed.
func (w *writer) hooked(text string) string {
	switch hook := `<Hook3 Name="zlib-compress"/>`; {
	case !w.repacks():
		return text
	case !*w.edit.Compress:
		return zlibHook.ReplaceAllString(text, "")
	case zlibHook.MatchString(text):
		return text
	case strings.Contains(text, "<Hooks>"):
		return strings.Replace(text, "<Hooks>", "<Hooks>"+hook, 1)
	case strings.Contains(text, "<Hooks/>"):
		return strings.Replace(text, "<Hooks/>", "<Hooks>"+hook+"</Hooks>", 1)
	default:
		return strings.Replace(text, "</Msg>", "<Hooks>"+hook+"</Hooks></Msg>", 1)
	}
}

// partHead is the head of the part with the payload: its type says whether it
// is packed.
func (w *writer) partHead(head []byte) []byte {
	if !w.repacks() {
		return head
	}
	was, is := "application/octet-stream", "text/plain; charset=UTF-16"
	if *w.edit.Compress {
		was, is = is, was
	}
	return bytes.Replace(head, []byte(was), []byte(is), 1)
}

// level is how hard the payload is packed.
func (w *writer) level() int {
	if w.repacks() {
		return usualLevel
	}
	return w.m.Inflated.Level
}
