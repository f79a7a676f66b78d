package decode

import (
	"strconv"
	"strings"
)

// Header is the message's own header, the <Msg> of the first part. Values are
// as written, without white space around them; an absent one is "". Has tells
// absent from empty.
type Header struct {
	SchemaVersion, ReplyCompression           string
	ID, CorrelationID                         string
	SourceID, SourceHost, SourceType          string
	TargetHost, TargetEndpoint, TargetAddress string
	ReplyTo, ReplyMode                        string
	Protocol, Priority, Timeout               string
	SentTime, ReqVersion                      string
	// RegistrationReset is ReplyCapabilities/AllowRegistrationReset.
	RegistrationReset string
	// Payload is the type of the payload: "inline" when it is in the message,
	// something else when it was uploaded before.
	Payload string
	// Body is where the text is in the inflated payload, Attachments where
	// the attachments are. They may overlap, and may leave the payload.
	Body        Range
	Attachments []Range
	Hooks       []Hook
	// Properties are those directly under Msg, such as FileType.
	Properties []Property
	// Unknown are children of Msg that we do not know, with their text.
	Unknown []Property

	root string
	seen uint32
}

// Range is a byte range of the inflated payload, as the header declares it.
type Range struct {
	Name, Type     string
	Offset, Length int64
	// Known is true when Offset and Length are there and are numbers.
	Known bool
	// at are the places of Offset's and Length's digits in the header's text.
	offsetAt, lengthAt span
}

// End is where the range ends.
func (r Range) End() int64 { return r.Offset + r.Length }

// span is a place in a string.
type span struct{ from, to int }

// Hook is what was done to the message while it was sent.
type Hook struct {
	// Element is Hook, Hook2 or Hook3: the hook's generation.
	Element, Name string
	Properties    []Property
}

// Get returns a property of the hook, or "".
func (h *Hook) Get(name string) string {
	if h == nil {
		return ""
	}
	for _, p := range h.Properties {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}

// Property is a name with a value.
type Property struct{ Name, Value string }

// headerElements are the children of Msg; an element's place is its bit in
// Header.seen.
var headerElements = [...]string{
	"ID", "CorrelationID", "SourceID", "SourceHost", "SourceType", "TargetHost", "TargetEndpoint",
	"TargetAddress", "ReplyTo", "ReplyMode", "ReplyCapabilities", "Protocol", "Priority", "Timeout",
	"SentTime", "ReqVersion", "Body", "Attachment", "Hooks", "Payload", "Property",
}

// isInline is true when the attachments have to be in the message itself.
func (h *Header) isInline() bool { return h.Payload == "" || strings.EqualFold(h.Payload, "inline") }

// Has tells whether Msg has a child of this name.
func (h *Header) Has(element string) bool {
	for i, e := range headerElements {
		if e == element {
			return h.seen&(1<<i) != 0
		}
	}
	return false
}

// Hook returns the hook of this name, or nil.
func (h *Header) Hook(name string) *Hook {
	for i := range h.Hooks {
		if h.Hooks[i].Name == name {
			return &h.Hooks[i]
		}
	}
	return nil
}

// Property returns a property directly under Msg, or "".
func (h *Header) Property(name string) string {
	for _, p := range h.Properties {
		if strings.EqualFold(p.Name, name) {
			return p.Value
		}
	}
	return ""
}

// ParseHeader reads a header's text. It takes elements in any order and
// namespace, and what it can from damaged ones; nil means that there is no Msg.
func ParseHeader(text string) *Header {
	s := scanner{src: text}
	if !s.next() || s.name != "Msg" {
		return nil
	}
	h := &Header{
		root:             s.name,
		SchemaVersion:    s.attr("SchemaVersion"),
		ReplyCompression: s.attr("ReplyCompression"),
	}
	for s.next() {
		switch {
		case s.depth <= 1:
			h.child(&s)
		case strings.HasPrefix(s.name, "Hook"):
			h.Hooks = append(h.Hooks, Hook{Element: s.name, Name: s.attr("Name")})
		case s.name == "Property":
			h.property(&s)
		case s.name == "AllowRegistrationReset":
			h.RegistrationReset = strings.TrimSpace(s.value())
		}
	}
	return h
}

// property adds a Property to the hook that is open, or to the message, as
// nobody outside knows where else there are some.
func (h *Header) property(s *scanner) {
	p := Property{Name: s.attr("Name"), Value: s.attr("Value")}
	if p.Value == "" {
		p.Value = strings.TrimSpace(s.value())
	}
	if n := len(h.Hooks); n > 0 && s.depth > 2 {
		h.Hooks[n-1].Properties = append(h.Hooks[n-1].Properties, p)
		return
	}
	h.Properties = append(h.Properties, p)
}

// child takes a child of Msg.
func (h *Header) child(s *scanner) {
	h.mark(s.name)
	if field := h.field(s.name); field != nil {
		*field = strings.TrimSpace(s.value())
		return
	}
	switch s.name {
	case "Body":
		h.Body = newRange(s)
	case "Attachment":
		h.Attachments = append(h.Attachments, newRange(s))
	case "Payload":
		h.Payload = s.attr("Type")
	case "SourceType":
		h.SourceType = s.attr("Type")
	case "Property":
		h.property(s)
	case "Hooks", "ReplyCapabilities":
	default:
		h.Unknown = append(h.Unknown, Property{s.name, s.value()})
	}
}

func (h *Header) mark(element string) {
	for i, e := range headerElements {
		if e == element {
			h.seen |= 1 << i
			return
		}
	}
}

// field is where the text of an element goes, or nil.
func (h *Header) field(element string) *string {
	switch element {
	case "ID":
		return &h.ID
	case "CorrelationID":
		return &h.CorrelationID
	case "SourceID":
		return &h.SourceID
	case "SourceHost":
		return &h.SourceHost
	case "TargetHost":
		return &h.TargetHost
	case "TargetEndpoint":
		return &h.TargetEndpoint
	case "TargetAddress":
		return &h.TargetAddress
	case "ReplyTo":
		return &h.ReplyTo
	case "ReplyMode":
		return &h.ReplyMode
	case "Protocol":
		return &h.Protocol
	case "Priority":
		return &h.Priority
	case "Timeout":
		return &h.Timeout
	case "SentTime":
		return &h.SentTime
	case "ReqVersion":
		return &h.ReqVersion
	}
	return nil
}

func newRange(s *scanner) Range {
	r := Range{Name: s.attr("Name"), Type: s.attr("Type")}
	var ok1, ok2 bool
	r.Offset, r.offsetAt, ok1 = number(s, "Offset")
	r.Length, r.lengthAt, ok2 = number(s, "Length")
	r.Known = ok1 && ok2
	return r
}

// number reads an attribute that has to be a size. Anything beyond 2^53 is
// as good as no number.
func number(s *scanner, attr string) (int64, span, bool) {
	from, to := s.attrSpan(attr)
	if from < 0 {
		return 0, span{}, false
	}
	digits := strings.TrimSpace(s.src[from:to])
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || n > 1<<53 {
		return 0, span{from, to}, false
	}
	return n, span{from, to}, true
}
