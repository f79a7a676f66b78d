package mpsim

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// exchange is one request on its way through the site.
type exchange struct {
	site *Site
	conn *connState
	http *http.Request
	// path is the request's path in lower case, since IIS does not mind;
	// query is what follows the first question mark, as written.
	path, query string
	body        []byte
	// message is a CCM_POST's; nil otherwise.
	message *message
	// answer is the text of the reply message; empty means that there is none.
	answer string
	// record is what the site remembers of the exchange.
	record Record
	reply  reply
}

// secure says whether the exchange is encrypted.
func (x *exchange) secure() bool { return x.http.TLS != nil }

// reply is an HTTP reply before it is bytes. The zero value is an empty 200.
type reply struct {
	status int // zero is 200
	reason string
	// fields are written in this order, after those that IIS puts first.
	fields  []field
	kind    string // the content type
	body    []byte
	chunked bool
	// length is what Content-Length says when there is no body to count: the
	// reply to HEAD. Zero counts the body.
	length int
	// delay is waited before the head is sent.
	delay time.Duration
	// cut closes the connection in the middle of the body, close after it.
	cut, close bool
}

type field struct{ name, value string }

func (r *reply) add(name, value string) { r.fields = append(r.fields, field{name, value}) }

// statusLine is the reply's first line; the reason phrase is the only hint
// that a management point gives for some refusals.
func (r *reply) statusLine() string {
	status, reason := r.status, r.reason
	if status == 0 {
		status = http.StatusOK
	}
	if reason == "" {
		reason = http.StatusText(status)
	}
	return fmt.Sprintf("HTTP/1.1 %d %s\r\n", status, reason)
}

// head is the reply's head as IIS orders it.
func (r *reply) head(now time.Time) []byte {
	var b bytes.Buffer
	b.WriteString(r.statusLine())
	if r.chunked {
		b.WriteString("Transfer-Encoding: chunked\r\n")
	} else {
		b.WriteString("Content-Length: " + strconv.Itoa(max(len(r.body), r.length)) + "\r\n")
	}
	if r.kind != "" {
		b.WriteString("Content-Type: " + r.kind + "\r\n")
	}
	b.WriteString("Server: Microsoft-IIS/10.0\r\n")
	for _, f := range r.fields {
		b.WriteString(f.name + ": " + f.value + "\r\n")
	}
	if r.close {
		b.WriteString("Connection: close\r\n")
	}
	b.WriteString("Date: " + now.UTC().Format(http.TimeFormat) + "\r\n\r\n")
	return b.Bytes()
}

// chunkSize is small, so that replies have several chunks.
const chunkSize = 512

func (r *reply) writeTo(w io.Writer, now time.Time) error {
	wire := r.head(now)
	switch {
	case r.chunked:
		wire = appendChunks(wire, r.body)
	case r.cut:
		wire = append(wire, r.body[:len(r.body)/2]...)
	default:
		wire = append(wire, r.body...)
	}
	_, err := w.Write(wire)
	return err
}

func appendChunks(wire, body []byte) []byte {
	for len(body) > 0 {
		n := min(chunkSize, len(body))
		wire = fmt.Appendf(wire, "%x\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
	return append(wire, "0\r\n\r\n"...)
}

// page is what IIS sends instead of an answer: XHTML with a DOCTYPE.
func page(status int, reason, text string) reply {
	if reason == "" {
		reason = http.StatusText(status)
	}
	title := fmt.Sprintf("%d - %s", status, reason)
	return reply{status: status, reason: reason, kind: "text/html", body: []byte(fill(`
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-strict.dtd">
<html xmlns="http://www.w3.org/1999/xhtml">
<head><meta http-equiv="Content-Type" content="text/html; charset=iso-8859-1"/><title>«title»</title></head>
<body><div id="header"><h1>Server Error</h1></div>
<div id="content"><fieldset><h2>«title»</h2><h3>«text»</h3></fieldset></div></body>
</html>`, "title", title, "text", text))}
}

// xmlReply is a document in UTF-8, as the list queries answer.
func xmlReply(document string) reply {
	return reply{kind: "text/xml", body: []byte(document)}
}
