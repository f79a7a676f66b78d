package mpsim

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"mime"
	"strings"
)

// boundary is the product's constant, in requests and replies.
const boundary = "aAbBcCdDv1234567890VxXyYzZ"

const contentTypeCCM = `multipart/mixed; boundary="` + boundary + `"`

// inflateLimit bounds what one payload may become.
const inflateLimit = 64 << 20

// attachment is a part of the payload beside the body.
type attachment struct {
	name string
	data []byte
}

// payload is a body and its attachments, before compression.
type payload struct {
	bytes []byte
	// body is the length of the body with its terminator; it begins at 0.
	body int
	// ranges say where the attachments are, in their order.
	ranges []byteRange
}

type byteRange struct {
	Name   string `xml:"Name,attr"`
	Type   string `xml:"Type,attr"`
	Offset int    `xml:"Offset,attr"`
	Length int    `xml:"Length,attr"`
}

func pack(text string, attachments []attachment) payload {
	p := payload{bytes: withNUL(text)}
	p.body = len(p.bytes)
	for _, a := range attachments {
		p.ranges = append(p.ranges, byteRange{a.name, "ByteRange", len(p.bytes), len(a.data)})
		p.bytes = append(p.bytes, a.data...)
	}
	return p
}

func deflate(b []byte) []byte {
	var out bytes.Buffer
	w := zlib.NewWriter(&out)
	_, _ = w.Write(b) // a Buffer takes everything
	_ = w.Close()
	return out.Bytes()
}

func inflate(b []byte) ([]byte, error) {
	r, err := zlib.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("inflate payload: %w", err)
	}
	out, err := io.ReadAll(io.LimitReader(r, inflateLimit))
	if err != nil {
		return nil, fmt.Errorf("inflate payload: %w", err)
	}
	return out, nil
}

// multipart is the body of a CCM_POST or of its reply. A payload that is not
// compressed is announced as text.
func multipart(header string, payload []byte, compressed bool) []byte {
	contentType := "application/octet-stream"
	if !compressed {
		contentType = "text/plain; charset=UTF-16"
	}
	var b bytes.Buffer
	b.WriteString("--" + boundary + "\r\ncontent-type: text/plain; charset=UTF-16\r\n\r\n")
	b.Write(withBOM(header))
	b.WriteString("\r\n--" + boundary + "\r\ncontent-type: " + contentType + "\r\n\r\n")
	b.Write(payload)
	b.WriteString("\r\n--" + boundary + "--")
	return b.Bytes()
}

// message is a CCM_POST or a reply that was read.
type message struct {
	msgHeader
	// sent is the payload as sent, which is what its signature covers.
	sent []byte
	// text is the body, without terminator.
	text        string
	attachments []attachment
}

// msgHeader is the <Msg> of the first part.
type msgHeader struct {
	ReplyCompression string `xml:"ReplyCompression,attr"`
	ID               string
	CorrelationID    string
	SourceID         string
	SourceHost       string
	TargetHost       string
	TargetEndpoint   string
	ReplyTo          string
	ReplyMode        string
	Body             byteRange
	Attachments      []byteRange   `xml:"Attachment"`
	Properties       []msgProperty `xml:"Property"`
	Hooks            struct {
		Hook2 []hook
		Hook3 []hook
	}
	Payload struct {
		Type string `xml:"Type,attr"`
	}
}

type msgProperty struct {
	Name  string `xml:"Name,attr"`
	Value string `xml:"Value,attr"`
}

type hook struct {
	Name       string `xml:"Name,attr"`
	Properties []struct {
		Name string `xml:"Name,attr"`
		Text string `xml:",chardata"`
	} `xml:"Property"`
}

// fileType is what the relay endpoint sorts by.
func (h *msgHeader) fileType() string {
	for _, p := range h.Properties {
		if p.Name == "FileType" {
			return p.Value
		}
	}
	return ""
}

func (h *msgHeader) compressed() bool {
	for _, hook := range h.Hooks.Hook3 {
		if hook.Name == "zlib-compress" {
			return true
		}
	}
	return false
}

// auth is a property of the clientauth hook; empty when there is none.
func (h *msgHeader) auth(name string) string {
	for _, hook := range h.Hooks.Hook2 {
		if hook.Name != "clientauth" {
			continue
		}
		for _, p := range hook.Properties {
			if p.Name == name {
				return strings.TrimSpace(p.Text)
			}
		}
	}
	return ""
}

// inline says whether the payload is in the message itself.
func (h *msgHeader) inline() bool {
	return h.Payload.Type == "" || strings.EqualFold(h.Payload.Type, "inline")
}

// parseMessage reads a multipart body.
func parseMessage(contentType string, body []byte) (*message, error) {
	header, sent, err := splitParts(contentType, body)
	if err != nil {
		return nil, err
	}
	m := &message{sent: sent}
	if err := parse(fromUTF16(header), &m.msgHeader); err != nil {
		return nil, fmt.Errorf("read message header: %w", err)
	}
	plain := sent
	if m.compressed() {
		if plain, err = inflate(sent); err != nil {
			return nil, err
		}
	}
	text, err := cut(plain, m.Body)
	if err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	m.text = fromUTF16(text)
	if !m.inline() {
		return m, nil // the attachments came another way
	}
	for _, r := range m.Attachments {
		data, err := cut(plain, r)
		if err != nil {
			return nil, fmt.Errorf("attachment %q: %w", r.Name, err)
		}
		m.attachments = append(m.attachments, attachment{r.Name, data})
	}
	return m, nil
}

func cut(b []byte, r byteRange) ([]byte, error) {
	if r.Offset < 0 || r.Length < 0 || r.Offset > len(b) || r.Length > len(b)-r.Offset {
		return nil, fmt.Errorf("range %d+%d leaves the payload of %d bytes", r.Offset, r.Length, len(b))
	}
	return b[r.Offset : r.Offset+r.Length], nil
}

// splitParts cuts the two parts out without touching their bytes.
func splitParts(contentType string, body []byte) (header, payload []byte, err error) {
	_, params, err := mime.ParseMediaType(contentType)
	if err != nil || params["boundary"] == "" {
		return nil, nil, fmt.Errorf("content type %q names no boundary", contentType)
	}
	delimiter := []byte("\r\n--" + params["boundary"])
	pieces := bytes.Split(append([]byte("\r\n"), body...), delimiter)
	if len(pieces) != 4 || !bytes.HasPrefix(pieces[3], []byte("--")) {
		return nil, nil, errors.New("not two parts and an end")
	}
	_, header, headerOK := bytes.Cut(pieces[1], []byte("\r\n\r\n"))
	_, payload, payloadOK := bytes.Cut(pieces[2], []byte("\r\n\r\n"))
	if !headerOK || !payloadOK {
		return nil, nil, errors.New("a part has no blank line after its head")
	}
	return header, payload, nil
}
