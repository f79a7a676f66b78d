package export

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"net"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"mpproxy/internal/view"
	"mpproxy/traffic"
)

// har writes an HTTP archive (HAR 1.2), entry by entry.
type har struct {
	w     *bufio.Writer
	count int
}

func newHAR(o *output) writer { return &har{w: bufio.NewWriter(o.w)} }

type harEntry struct {
	Started  string       `json:"startedDateTime"`
	Time     float64      `json:"time"`
	Request  harRequest   `json:"request"`
	Response harResponse  `json:"response"`
	Cache    struct{}     `json:"cache"`
	Timings  harTimings   `json:"timings"`
	ServerIP string       `json:"serverIPAddress,omitempty"`
	Conn     string       `json:"connection,omitempty"`
	Comment  string       `json:"comment,omitempty"`
	MPProxy  harExtension `json:"_mpproxy"`
}

type harRequest struct {
	Method      string     `json:"method"`
	URL         string     `json:"url"`
	HTTPVersion string     `json:"httpVersion"`
	Cookies     []harPair  `json:"cookies"`
	Headers     []harPair  `json:"headers"`
	QueryString []harPair  `json:"queryString"`
	PostData    *harPosted `json:"postData,omitempty"`
	HeadersSize int        `json:"headersSize"`
	BodySize    int64      `json:"bodySize"`
}

type harResponse struct {
	Status      int        `json:"status"`
	StatusText  string     `json:"statusText"`
	HTTPVersion string     `json:"httpVersion"`
	Cookies     []harPair  `json:"cookies"`
	Headers     []harPair  `json:"headers"`
	Content     harContent `json:"content"`
	RedirectURL string     `json:"redirectURL"`
	HeadersSize int        `json:"headersSize"`
	BodySize    int64      `json:"bodySize"`
}

type harPair struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// harPosted is a request's body. HAR has no encoding for it; tools that write
// bytes use base64 and say so.
type harPosted struct {
	MimeType string    `json:"mimeType"`
	Params   []harPair `json:"params"`
	Text     string    `json:"text"`
	Encoding string    `json:"encoding,omitempty"`
	Comment  string    `json:"comment,omitempty"`
}

// harContent is a reply's body without its content coding, as HAR wants it.
type harContent struct {
	Size        int64  `json:"size"`
	Compression int64  `json:"compression,omitempty"` // bytes that the coding saved
	MimeType    string `json:"mimeType"`
	Text        string `json:"text,omitempty"`
	Encoding    string `json:"encoding,omitempty"`
	Comment     string `json:"comment,omitempty"`
}

type harTimings struct {
	Send    float64 `json:"send"`
	Wait    float64 `json:"wait"`
	Receive float64 `json:"receive"`
}

// harExtension is what HAR has no place for.
type harExtension struct {
	ID            traffic.ExchangeID `json:"id"`
	Conn          traffic.ConnID     `json:"conn"`
	Agent         string             `json:"agent"`
	Kind          string             `json:"kind"`
	Endpoint      string             `json:"endpoint"`
	Summary       string             `json:"summary"`
	RequestHeader string             `json:"requestHeader,omitempty"`
	RequestText   string             `json:"requestText,omitempty"`
	ReplyHeader   string             `json:"replyHeader,omitempty"`
	ReplyText     string             `json:"replyText,omitempty"`
	Findings      []string           `json:"findings,omitempty"`
}

// harBegin is what stands before the entries. The version that it names is the
// program's.
func harBegin() string {
	version := "(devel)"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		version = info.Main.Version
	}
	return fmt.Sprintf(`{"log":{"version":"1.2","creator":{"name":"mpproxy","version":%q},"pages":[],"entries":[`, version)
}

func (h *har) item(i *Item) error {
	if i.Request == nil || i.Row.Method == "" {
		return errSkip
	}
	before := ",\n"
	if h.count == 0 {
		before = harBegin() + "\n"
	}
	h.count++
	if _, err := h.w.WriteString(before); err != nil {
		return err
	}
	b, err := json.Marshal(harOf(i))
	if err != nil {
		return err
	}
	_, err = h.w.Write(b)
	return err
}

func (h *har) end() error {
	if h.count == 0 {
		if _, err := h.w.WriteString(harBegin()); err != nil {
			return err
		}
	}
	if _, err := h.w.WriteString("\n]}}\n"); err != nil {
		return err
	}
	return h.w.Flush()
}

func harOf(i *Item) harEntry {
	x := i.Exchange
	e := harEntry{
		Started: x.Begun.UTC().Format("2006-01-02T15:04:05.000000Z07:00"),
		Request: harRequestOf(i), Response: harResponseOf(i), Timings: harTimingsOf(x),
		Conn: strconv.FormatInt(int64(i.Row.Conn), 10), Comment: utf8Of(i.Row.Long), MPProxy: harMore(i),
	}
	e.Time = math.Round((e.Timings.Send+e.Timings.Wait+e.Timings.Receive)*1e3) / 1e3 // as exact as its parts
	if i.Conn != nil {
		if host, _, err := net.SplitHostPort(i.Conn.UpstreamLeg.Address); err == nil && net.ParseIP(host) != nil {
			e.ServerIP = host
		}
	}
	return e
}

// harTimingsOf are the times of an exchange. Whoever never got a reply has waited
// to the end.
func harTimingsOf(x *traffic.Exchange) harTimings {
	replied, ended := x.Replied, x.Ended
	if replied.IsZero() {
		replied = ended
	}
	if ended.IsZero() {
		ended = replied
	}
	return harTimings{0, millis(replied.Sub(x.Begun)), millis(ended.Sub(replied))}
}

func millis(d time.Duration) float64 { return max(0, float64(d.Microseconds())/1e3) }

func harRequestOf(i *Item) harRequest {
	m := i.Request
	method, _, version := m.Head.Request()
	u := URL(i)
	r := harRequest{
		Method: method, URL: u, HTTPVersion: version, Cookies: []harPair{}, Headers: harHeaders(m.Head), QueryString: []harPair{},
		HeadersSize: len(m.Head.Raw), BodySize: m.Size,
	}
	if parsed, err := url.Parse(u); err == nil {
		for pair := range strings.SplitSeq(parsed.RawQuery, "&") {
			if name, value, _ := strings.Cut(pair, "="); name != "" {
				r.QueryString = append(r.QueryString, harPair{utf8Of(name), utf8Of(value)})
			}
		}
	}
	if len(m.Body) > 0 {
		r.PostData = &harPosted{
			MimeType: m.Head.Get("Content-Type"), Params: []harPair{},
			Text: base64.StdEncoding.EncodeToString(m.Body), Encoding: "base64", Comment: "base64",
		}
	}
	return r
}

func harResponseOf(i *Item) harResponse {
	r := harResponse{HTTPVersion: "HTTP/1.1", Cookies: []harPair{}, Headers: []harPair{}, HeadersSize: -1, BodySize: -1}
	m := i.Reply
	if i.Returned != nil {
		m = i.Returned
	}
	if m == nil {
		return r
	}
	version, _, _ := strings.Cut(m.Head.Start, " ")
	r.Status, r.StatusText, r.HTTPVersion = m.Head.Status(), utf8Of(m.Head.Reason()), utf8Of(version)
	r.Headers, r.HeadersSize, r.BodySize = harHeaders(m.Head), len(m.Head.Raw), m.Size
	r.RedirectURL = utf8Of(m.Head.Get("Location"))
	r.Content = harContentOf(m)
	return r
}

func harContentOf(m *Message) harContent {
	c := harContent{Size: m.Size, MimeType: utf8Of(m.Head.Get("Content-Type"))}
	if len(m.Body) == 0 {
		return c
	}
	content := m.Body
	if coding := m.Head.Get("Content-Encoding"); coding != "" {
		plain, ok := decodeContent(coding, m.Body)
		if ok {
			content, c.Size, c.Compression = plain, int64(len(plain)), int64(len(plain)-len(m.Body))
		} else {
			c.Comment = "as on the wire, in content coding " + utf8Of(coding)
		}
	}
	c.Text, c.Encoding = base64.StdEncoding.EncodeToString(content), "base64"
	return c
}

func harHeaders(h traffic.Head) []harPair {
	pairs := []harPair{}
	for _, f := range h.Fields {
		pairs = append(pairs, harPair{utf8Of(f.Name), utf8Of(f.Value)})
	}
	return pairs
}

func harMore(i *Item) harExtension {
	more := harExtension{
		ID: i.Row.ID, Conn: i.Row.Conn, Agent: i.Row.Who(), Kind: i.Row.Kind, Endpoint: i.Row.Endpoint, Summary: i.Row.Long,
	}
	if m := i.Request.Decoded; m != nil {
		more.RequestHeader, more.RequestText = m.HeaderText.String, m.Text.String
	}
	if i.Reply != nil && i.Reply.Decoded != nil {
		more.ReplyHeader, more.ReplyText = i.Reply.Decoded.HeaderText.String, i.Reply.Decoded.Text.String
	}
	for _, f := range i.Findings {
		more.Findings = append(more.Findings, f.Kind.Code+": "+view.Clean(f.Kind.Title, false))
	}
	return more
}

// URL is where a request goes, whole.
func URL(i *Item) string {
	_, target, _ := i.Request.Head.Request()
	if strings.Contains(target, "://") {
		return target
	}
	scheme := "http"
	if i.Exchange.TLS {
		scheme = "https"
	}
	host := i.Request.Head.Get("Host")
	if host == "" && i.Conn != nil {
		host = i.Conn.Upstream
	}
	if !strings.HasPrefix(target, "/") {
		target = "/" + target
	}
	return scheme + "://" + utf8Of(host) + utf8Of(target)
}

func utf8Of(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
