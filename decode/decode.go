// Package decode turns HTTP bytes into ConfigMgr messages, and messages back
// into bytes.
package decode

import (
	"io"
	"time"

	"mpproxy/traffic"
)

// Version numbers the decoder. A capture keeps it with each message, so that a
// better decoder knows what to look at again.
const Version = 1

// Depth says how much work a decode may do.
type Depth uint8

// The depths.
const (
	// Summary is for the recording path: bounded time and memory whatever the
	// message's size. It inflates whole up to 64 KiB, beyond that the first
	// 8 KiB, and never builds a tree.
	Summary Depth = iota
	// Full inflates everything, checks signatures and structure, and cuts out
	// every attachment.
	Full
)

// Source is one HTTP message to decode. The zero value of each field means
// that it is not known.
type Source struct {
	Dir traffic.Dir
	// Head is empty for a bare body, such as a file from another tool.
	Head traffic.Head
	// Body has the body's bytes as they stood on the wire, chunk framing
	// included; Size says how many there are to read.
	Body io.ReaderAt
	Size int64
	// Framing says whether Body has chunk framing.
	Framing traffic.Framing
	// Whole is true when the body's end was seen.
	Whole bool
	// Request is what a reply answers; nil for requests and when unknown.
	Request *Message
	TLS     bool
	// Arrived is when the first byte came; some lints compare clocks.
	Arrived time.Time
}

// Message is what an HTTP message means.
type Message struct {
	Dir traffic.Dir
	// Form is how the message is wrapped: "ccm" (CCM_POST multipart), "get"
	// (.sms_aut, .sms_pol, .sms_dcm), "bits", "page" (an HTML page of IIS),
	// "empty", "xml", "other".
	Form string
	// Endpoint is TargetEndpoint; Kind a slug of the kinds table; Root the
	// local name of the text's root element.
	Endpoint, Kind, Root string
	// MsgID and Corr are the message's and its conversation's id as written.
	MsgID, Corr string
	// Client is the sender's client id (SMSID) as written; Agent its name.
	Client, Agent string
	// Signature says what was signed and, at depth Full, whether it fits.
	Signature string
	// TextBytes is the length of the text in bytes as written (UTF-16).
	TextBytes   int64
	Attachments []Attachment
	// Short is the list's summary, without agent and kind; Long the sentence
	// that stands alone.
	Short, Long string
	Findings    []traffic.Finding
}

// Attachment is a byte range of the inflated payload beside the text.
type Attachment struct {
	Name         string
	Offset, Size int64
}

// Row is what the list shows of an exchange.
type Row struct {
	Kind, Endpoint, Agent, Client, Short, Long string
}

// Join sums up both directions of an exchange in one row. reply may be nil.
func Join(request, reply *Message) Row {
	r := Row{request.Kind, request.Endpoint, request.Agent, request.Client, request.Short, request.Long}
	if reply != nil && reply.Short != "" {
		r.Short += " → " + reply.Short
		r.Long += " → " + reply.Long
	}
	return r
}

// Decode reads one message. It never fails: what it cannot understand it
// leaves out, and says why in Findings.
func Decode(s Source, d Depth) *Message {
	return &Message{Dir: s.Dir, Form: "other", Kind: "other"}
}
