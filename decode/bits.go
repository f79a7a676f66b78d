package decode

import (
	"fmt"
	"strconv"
	"strings"
)

// Packet is one packet of a BITS upload, [MC-BUP].
type Packet struct {
	// Type is in lower case: "ping", "create-session", "fragment",
	// "close-session", "cancel-session", "ack"; others as they come.
	Type string
	// Session is the session's id as written. Sessions outlive connections,
	// so they are known by host and this.
	Session string
	// Name is what the first fragment calls the file.
	Name string
	// From and To are a fragment's first byte and the one after its last,
	// Total the size of the whole; -1 when not given.
	From, To, Total int64
	// Next is the offset that the server wants next, in an ack; -1 when not
	// given.
	Next int64
	// Error is the error code as written, Context where it comes from.
	Error, Context string
	// ReplyURL is where the answer to an upload-reply can be fetched.
	ReplyURL string
}

// bits reads a packet. All of it is in the head; the body of a fragment is a
// piece of something else.
func (d *decoder) bits() {
	h := d.Head
	p := &Packet{
		Type:    strings.ToLower(strings.TrimSpace(h.Get("BITS-Packet-Type"))),
		Session: clipName(h.Get("BITS-Session-Id")),
		Name:    clipName(h.Get("Content-Name")),
		Error:   clipName(h.Get("BITS-Error")),
		Context: clipName(h.Get("BITS-Error-Context")),
		From:    -1, To: -1, Total: -1, Next: -1,
	}
	if p.Error == "" {
		p.Error = clipName(h.Get("BITS-Error-Code"))
	}
	p.ReplyURL = clipName(h.Get("BITS-Reply-URL"))
	if from, to, total, ok := parseContentRange(h.Get("Content-Range")); ok {
		p.From, p.To, p.Total = from, to+1, total
	}
	if n, err := strconv.ParseInt(h.Get("BITS-Received-Content-Range"), 10, 64); err == nil && n >= 0 {
		p.Next = n
	}
	d.m.Upload = p
	d.m.wire.sent = d.Size
	d.m.wire.payload = d.body
	d.m.wire.inflated = d.body
}

// parseContentRange reads "bytes a-b/total". The unit is compared without
// case, as documents differ; a total of * is -1.
func parseContentRange(s string) (from, to, total int64, ok bool) {
	if !hasPrefixFold(s, "bytes ") {
		return 0, 0, 0, false
	}
	pair, all, _ := strings.Cut(strings.TrimSpace(s[len("bytes "):]), "/")
	first, last, found := strings.Cut(pair, "-")
	from, err1 := strconv.ParseInt(strings.TrimSpace(first), 10, 62)
	to, err2 := strconv.ParseInt(strings.TrimSpace(last), 10, 62)
	total, err := strconv.ParseInt(strings.TrimSpace(all), 10, 62)
	if err != nil {
		total = -1
	}
	return from, to, total, found && err1 == nil && err2 == nil && from >= 0 && to >= from-1
}

// words sums the packet up.
func (p *Packet) words() string {
	session := ""
	if p.Session != "" {
		session = "session " + shortID(p.Session)
	}
	var what string
	switch {
	case p.Error != "":
		what = "error " + clip(p.Error)
	case p.From >= 0:
		what = fmt.Sprintf("%d-%d of %d", p.From, p.To-1, p.Total)
	case p.Next >= 0:
		what = fmt.Sprintf("next %d", p.Next)
	}
	return joined(", ", what, session)
}
