package tlsrecord

import "bytes"

// Protocol is what bytes look like by how they begin.
type Protocol string

// The protocols that are told apart.
const (
	Nothing      Protocol = ""
	TLS          Protocol = "TLS"
	SSL2         Protocol = "SSL 2.0"
	HTTPRequest  Protocol = "HTTP request"
	HTTPResponse Protocol = "HTTP response"
	HTML         Protocol = "HTML or XML"
	ProxyHeader  Protocol = "PROXY header of a load balancer"
	SSH          Protocol = "SSH"
	Greeting     Protocol = "greeting of a mail or file server"
	RDP          Protocol = "remote desktop"
	SMB          Protocol = "SMB"
	Text         Protocol = "text"
	Unknown      Protocol = "unknown"
)

// beginnings are how protocols begin; the first that fits is taken. Bytes that
// stop before the beginning is over fit too, from two bytes on.
var beginnings = []struct {
	protocol Protocol
	begin    string
}{
	{HTTPResponse, "HTTP/1."},
	{HTTPResponse, "HTTP/2"},
	{ProxyHeader, "PROXY TCP"},
	{ProxyHeader, "PROXY UNKNOWN"},
	{ProxyHeader, "\r\n\r\n\x00\r\nQUIT\n"},
	{SSH, "SSH-"},
	{Greeting, "220 "},
	{Greeting, "220-"},
	{Greeting, "+OK"},
	{Greeting, "* OK"},
	{HTML, "<"},
	{HTML, "\xef\xbb\xbf<"},
	{RDP, "\x03\x00\x00"},
	{SMB, "\x00\x00\x00\x00\xfeSMB"},
	{SMB, "\x00\x00\x00\x00\xffSMB"},
}

// sniff says what bytes look like.
func sniff(b []byte) Protocol {
	switch {
	case len(b) == 0:
		return Nothing
	case couldBeRecord(b):
		return TLS
	case isSSL2Hello(b), isSSL2ServerHello(b):
		return SSL2
	}
	for _, p := range beginnings {
		n := min(len(b), len(p.begin))
		if string(b[:n]) == p.begin[:n] && (n == len(p.begin) || n >= 2) {
			return p.protocol
		}
	}
	switch {
	case isRequest(b):
		return HTTPRequest
	case isText(b):
		return Text
	}
	return Unknown
}

// isSSL2ServerHello knows the answer to an SSL 2.0 CLIENT-HELLO, type 4.
func isSSL2ServerHello(b []byte) bool { return len(b) >= 3 && b[0]&0x80 != 0 && b[2] == 4 }

// isRequest knows a request line by its method in capitals, such as CCM_POST,
// and a target; where the line ends, it must end in a version.
func isRequest(b []byte) bool {
	line, _, ended := bytes.Cut(b[:min(len(b), maxLine)], []byte("\n"))
	method, rest, ok := bytes.Cut(line, []byte(" "))
	if len(method) == 0 || len(method) > 20 || bytes.ContainsFunc(method, notMethod) {
		return false
	}
	if !ok {
		return !ended && len(method) >= 3
	}
	return len(rest) == 0 || !ended || bytes.Contains(rest, []byte(" HTTP/"))
}

func notMethod(r rune) bool { return r != '_' && r != '-' && (r < 'A' || r > 'Z') }

// isText is true for printable ASCII with line ends.
func isText(b []byte) bool {
	for _, c := range b[:min(len(b), 64)] {
		if (c < ' ' || c > '~') && c != '\r' && c != '\n' && c != '\t' {
			return false
		}
	}
	return true
}

const maxLine = 512

// firstLine is the first line of bytes that look like a text protocol, without
// its end and cut at 512 bytes.
func firstLine(p Protocol, b []byte) string {
	switch p {
	case Nothing, Unknown, TLS, SSL2, RDP, SMB:
		return ""
	}
	line, _, _ := bytes.Cut(b[:min(len(b), maxLine)], []byte("\n"))
	return string(bytes.TrimSuffix(line, []byte("\r")))
}
