package filter

import (
	"slices"
	"strings"
)

// Kind says what a field's values are and how they compare.
type Kind uint8

// The kinds. Fields of the kinds from Number to Severity have numbers, the
// others have texts.
const (
	Text     Kind = iota // equal without case, * and ? are wildcards
	Words                // text that contains the value
	Flag                 // one of the field's Words, or not
	Bytes                // bytes that contain the value
	Number               // integers
	Size                 // bytes
	Duration             // microseconds
	Time                 // microseconds since 1970, UTC
	Severity             // 0 to 3; a value means it or worse
)

var kindNames = [...]string{"text", "words", "flag", "bytes", "number", "size", "duration", "time", "severity"}

// String is the kind's name in documents.
func (k Kind) String() string { return kindNames[k] }

// Numeric is true for kinds whose values are compared as numbers.
func (k Kind) Numeric() bool { return k >= Number }

// Field is something that can be asked.
type Field struct {
	Name string
	Kind Kind
	// Help is one line for people.
	Help string
	// Reply is true when the value is only known once the reply has come.
	Reply bool
	// From names the field whose values are asked instead: "age" asks "time".
	// Empty means the field's own name.
	From string
	// GUID is true when the values may be GUIDs; braces and the "GUID:" before
	// them need not be written.
	GUID bool
	// Words are the only values of a closed set; nil for an open one.
	Words []Word
}

// Word is a value of a closed set.
type Word struct {
	Name, Help string
	// Reply is true when it is only known once the reply has come.
	Reply bool
}

// Source is the name that a Subject is asked for.
func (f *Field) Source() string {
	if f.From != "" {
		return f.From
	}
	return f.Name
}

func (f *Field) word(name string) (Word, bool) {
	for _, w := range f.Words {
		if strings.EqualFold(w.Name, name) {
			return w, true
		}
	}
	return Word{}, false
}

// free is the field of words without a field.
var free = &Field{Name: "", Kind: Words, Help: "summary, agent, ids and notes"}

// fields is every field that can be asked, in the order of the help.
var fields = []*Field{
	{Name: "id", Kind: Number, Help: "the exchange's number"},
	{Name: "conn", Kind: Number, Help: "the connection's number"},
	{Name: "time", Kind: Time, Help: "when the request began: 10:40, 2026-05-04, 2026-05-04T10:41:05Z"},
	{Name: "age", Kind: Duration, From: "time", Help: "how long ago the request began: <2h"},
	{Name: "agent", Kind: Text, GUID: true, Help: "the agent's name, client id or address"},
	{Name: "kind", Kind: Text, Help: "the message's kind, of request or reply: policy-request"},
	{Name: "endpoint", Kind: Text, Help: "the endpoint that a message is for: MP_PolicyManager"},
	{Name: "sev", Kind: Severity, Help: "the worst finding, or worse: E, W, i; with = exactly"},
	{Name: "finding", Kind: Text, Help: "a finding's code or number: native-*, L101"},
	{Name: "status", Kind: Number, Reply: true, Help: "the reply's HTTP status"},
	{Name: "took", Kind: Duration, Reply: true, Help: "from the request's first byte to the reply's last"},
	{Name: "size", Kind: Size, Reply: true, Help: "request and reply together, in bytes on the wire"},
	{Name: "req", Kind: Size, Help: "the request, in bytes on the wire"},
	{Name: "resp", Kind: Size, Reply: true, Help: "the reply, in bytes on the wire"},
	{Name: "dir", Kind: Flag, Help: "has a message that way", Words: []Word{
		{Name: "request", Help: "the agent sent something"},
		{Name: "reply", Help: "something came back", Reply: true},
	}},
	{Name: "mode", Kind: Text, Help: "how the agent got here: reverse, forward"},
	{Name: "auth", Kind: Text, Help: "what the agent proved: cert, self, token, windows, none"},
	{Name: "tls", Kind: Text, Help: "the TLS version of the agent's leg: 1.2"},
	{Name: "mp", Kind: Text, Help: "the management point's name or address and port"},
	{Name: "rule", Kind: Text, Help: "a rule that acted"},
	{Name: "tag", Kind: Text, Help: "what a rule attached"},
	{Name: "method", Kind: Text, Help: "the request's HTTP method"},
	{Name: "path", Kind: Text, Help: "the request's target"},
	{Name: "leg", Kind: Text, Help: "the side that a finding is about: agent, upstream"},
	{Name: "code", Kind: Text, Reply: true, Help: "an error code that the reply's head names: BITS-Error"},
	{Name: "is", Kind: Flag, Help: "what became of it, and what it has", Words: flags},
	{Name: "msgid", Kind: Text, GUID: true, Help: "a message's id"},
	{Name: "corr", Kind: Text, GUID: true, Help: "a message's correlation id"},
	{Name: "hook", Kind: Text, Help: "a hook of a message's header: clientauth, zlib-compress"},
	{Name: "note", Kind: Words, Help: "words of a note"},
	{Name: "header", Kind: Words, Help: "words of a message's XML header; slow"},
	{Name: "text", Kind: Words, Help: "words of a message's text; slow"},
	{Name: "hex", Kind: Bytes, Help: "bytes of the wire or of the unpacked payload, in hex; slow"},
	{Name: "wire", Kind: Bytes, Help: "text in the wire bytes, as ASCII or UTF-16; slow"},
}

var flags = []Word{
	{Name: "open", Help: "not over yet"},
	{Name: "held", Help: "waits for a decision"},
	{Name: "passed", Help: "answered and forwarded unchanged", Reply: true},
	{Name: "modified", Help: "a rule or a hand changed it"},
	{Name: "answered", Help: "mpproxy answered itself"},
	{Name: "dropped", Help: "a rule dropped it"},
	{Name: "broken", Help: "a side went away before the end", Reply: true},
	{Name: "tunnel", Help: "bytes without HTTP"},
	{Name: "replayed", Help: "sent by a replay"},
	{Name: "marked", Help: "marked by hand"},
	{Name: "signed", Help: "a message has a signature"},
	{Name: "attachment", Help: "a message has attachments"},
	{Name: "compressed", Help: "a message's payload is compressed"},
	{Name: "reply-missing", Help: "over without a reply", Reply: true},
	{Name: "tls", Help: "the agent's leg is encrypted"},
	{Name: "new", Help: "the first exchange of its agent"},
}

// Fields are the fields that can be asked, in the order of the help.
func Fields() []*Field { return slices.Clone(fields) }

// Lookup finds a field by its name, nil when there is none. The empty name is
// the field of words without a field.
func Lookup(name string) *Field {
	if name == "" {
		return free
	}
	for _, f := range fields {
		if f.Name == name {
			return f
		}
	}
	return nil
}
