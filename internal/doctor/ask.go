package doctor

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"time"

	"mpproxy/decode"
	"mpproxy/diagnose"
	"mpproxy/internal/tlsrecord"
	"mpproxy/traffic"
)

// questions are what is asked: nothing that changes anything there. The last
// is only to see whether a certificate is asked for; what it answers counts
// only when it refuses.
var questions = []struct {
	method, target string
	quiet          bool
}{
	{http.MethodGet, "/SMS_MP/.sms_aut?MPLIST", false},
	{http.MethodGet, "/SMS_MP/.sms_aut?MPCERT", false},
	{http.MethodHead, "/ccm_system/request", true},
}

// maxReply bounds a reply.
const maxReply = 4 << 20

// request is one question and what came of it.
type request struct {
	method, target string
	begun, ended   time.Time
	size           int64
	quiet          bool // only whether a certificate is asked for counts
	reply          *http.Response
	body           []byte
	err            string
	attempt        *attempt // nil without TLS
}

// ask asks the questions, without the client certificate and with it.
func (p *probe) ask(ctx context.Context) {
	certificates := []*tls.Certificate{nil}
	if p.secure && p.Certificate != nil {
		certificates = append(certificates, p.Certificate)
	}
	clock := false
	for _, q := range questions {
		for _, cert := range certificates {
			r := p.request(ctx, q.method, q.target, cert)
			r.quiet = q.quiet
			p.requestLine(r, cert)
			if !clock && r.reply != nil {
				clock = p.clockLine(r)
			}
			if p.secure && cert == nil && p.Certificate != nil { // an agent has one
				continue
			}
			p.requests = append(p.requests, r)
			if status := r.status(); p.main == nil || p.main.hs.Err == "" {
				if !q.quiet || r.refused() || status == http.StatusForbidden || status >= 500 && status != http.StatusNotImplemented {
					p.judgeRequest(r)
				}
			}
			if status := r.status(); status == http.StatusOK && q.method == http.MethodGet {
				p.decode(r)
			}
		}
	}
}

func (r *request) status() int {
	if r.reply == nil {
		return 0
	}
	return r.reply.StatusCode
}

// request makes a connection of its own and asks one question.
func (p *probe) request(ctx context.Context, method, target string, cert *tls.Certificate) *request {
	r := &request{method: method, target: target, begun: p.Now()}
	defer func() { r.ended = p.Now() }()
	var conn net.Conn
	if p.secure {
		from := uint16(tls.VersionTLS12)
		if p.min != 0 {
			from = min(from, p.min)
		}
		a, err := p.shake(ctx, lenient(from, p.max), cert)
		if err != nil {
			r.err = err.Error()
			return r
		}
		defer a.tap.Close()
		if r.attempt, conn = a, a.tls; a.hs.Err != "" {
			r.err = a.hs.Err
			return r
		}
	} else {
		plain, err := p.dial(ctx, p.address)
		if err != nil {
			r.err = err.Error()
			return r
		}
		defer plain.Close()
		conn = plain
	}
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	if err := r.exchange(conn, p.hostHeader()); err != nil {
		r.err = err.Error()
	}
	return r
}

// hostHeader is the Host field that an agent would send.
func (p *probe) hostHeader() string {
	if p.secure && p.port == "443" || !p.secure && p.port == "80" {
		return p.host
	}
	return net.JoinHostPort(p.host, p.port)
}

// exchange sends the request and reads the reply. After a failed write it reads
// all the same: the peer may have said why.
func (r *request) exchange(conn net.Conn, host string) error {
	size, writeErr := fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: mpproxy doctor\r\nConnection: close\r\n\r\n", r.method, r.target, host)
	r.size = int64(size)
	in := bufio.NewReader(io.LimitReader(conn, maxReply))
	reply, err := http.ReadResponse(in, &http.Request{Method: r.method})
	switch {
	case err != nil && writeErr != nil:
		return errors.Join(writeErr, err)
	case err != nil:
		return err
	}
	defer func() { _ = reply.Body.Close() }() // the connection is closed behind it
	r.reply = reply
	r.body, err = io.ReadAll(reply.Body)
	return err
}

// requestLine says how a question went, and when a certificate was asked for.
func (p *probe) requestLine(r *request, cert *tls.Certificate) {
	text := r.method + " " + r.target
	if p.secure {
		text += map[bool]string{true: " without a certificate", false: " with the certificate"}[cert == nil]
	}
	state := Good
	switch status := r.status(); {
	case r.reply == nil:
		state = Bad
		text += ": " + r.err
	case status == http.StatusForbidden, status == http.StatusBadRequest, status >= 500 && status != http.StatusNotImplemented:
		state = Bad
		text += ": " + r.reply.Status
	default:
		text += ": " + r.reply.Status
	}
	if state == Bad && cert == nil && p.secure && p.Certificate != nil || r.quiet && r.reply == nil && !r.refused() {
		state = Note // it was given one to show; or nobody has to answer this
	}
	if a := r.attempt; a != nil {
		text += "; " + a.askedWhen()
	}
	p.add(state, "request", "%s", text)
	if a := r.attempt; a != nil && len(a.hints) > 0 && !p.said("authorities") {
		p.hintsLine(a)
	}
}

// refused is true for a question to which an alert of TLS was the answer, as to a
// client certificate that is missing or not liked.
func (r *request) refused() bool {
	return r.reply == nil && strings.Contains(r.err, "remote error: tls: ")
}

func (p *probe) said(what string) bool {
	for _, l := range p.lines {
		if l.What == what {
			return true
		}
	}
	return false
}

// hintsLine lists the authorities that the management point names.
func (p *probe) hintsLine(a *attempt) {
	var named []string
	state := Good
	if p.Certificate != nil {
		state = Bad
	}
	for _, h := range a.hints {
		name := tlsrecord.Name(h)
		if len(named) < 5 {
			named = append(named, name)
		}
		if p.Certificate != nil && p.issuedBy(h) {
			state = Good
		}
	}
	text := fmt.Sprintf("those named whose certificates are taken (%d): %s", len(a.hints), strings.Join(named, "; "))
	if len(a.hints) > len(named) {
		text += "; …"
	}
	if state == Bad {
		text += "; the given certificate's is not among them"
	}
	p.add(state, "authorities", "%s", text)
}

// issuedBy is true when the chain of the client certificate has this issuer.
func (p *probe) issuedBy(name []byte) bool {
	for _, der := range p.Certificate.Certificate {
		if x, err := x509.ParseCertificate(der); err == nil && bytes.Equal(x.RawIssuer, name) {
			return true
		}
	}
	return false
}

// askedWhen says when a certificate was asked for.
func (a *attempt) askedWhen() string {
	switch {
	case a.later > 0:
		return "a client certificate is asked for by renegotiation, after the request"
	case a.asked > 0:
		return "a client certificate is asked for at once"
	}
	return "no client certificate is asked for"
}

// clockLine compares clocks.
func (p *probe) clockLine(r *request) bool {
	theirs, err := http.ParseTime(r.reply.Header.Get("Date"))
	if err != nil {
		return false
	}
	middle := r.begun.Add(p.Now().Sub(r.begun) / 2)
	apart := theirs.Add(time.Second / 2).Sub(middle) // it has whole seconds
	if apart.Abs() <= 2*time.Second {
		p.add(Good, "clock", "the management point's clock and this one agree")
		return true
	}
	direction := "ahead of"
	if apart < 0 {
		direction = "behind"
	}
	p.add(goodIf(apart.Abs() <= 5*time.Minute), "clock", "the management point's clock is %s %s this machine's", apart.Abs().Round(time.Second), direction)
	return true
}

// judgeRequest lets the rules see a question as an exchange.
func (p *probe) judgeRequest(r *request) {
	c := p.newConn()
	if r.attempt != nil {
		c = r.attempt.conn(p)
	} else {
		c.UpstreamLeg = traffic.Leg{Address: p.address, EndedAt: r.ended, BytesOut: r.size, BytesIn: int64(len(r.body))}
	}
	c.Closed = r.ended
	c.UpstreamLeg.End = r.howItEnded()
	if a := r.attempt; a != nil && a.later > 0 {
		c.UpstreamLeg.After = a.afterwards(r.ended)
	}
	if r.attempt != nil && r.attempt.hs.Err != "" {
		p.judge(c, nil)
		return
	}
	x := diagnose.Exchange{ID: traffic.ExchangeID(c.ID), Method: r.method, Target: r.target, RequestSize: r.size, Begun: r.begun, Ended: r.ended, Fate: traffic.Passed, Err: r.err}
	if r.reply != nil {
		_, x.Reason, _ = strings.Cut(r.reply.Status, " ")
		x.Status, x.ReplySize = r.reply.StatusCode, int64(len(r.body))
		x.Server, x.Challenges = r.reply.Header.Get("Server"), r.reply.Header.Values("WWW-Authenticate")
	} else {
		x.Fate = traffic.Broken
	}
	p.judge(c, []diagnose.Exchange{x})
}

// howItEnded is how the management point ended the connection, if it did so in
// place of an answer.
func (r *request) howItEnded() traffic.End {
	switch {
	case r.reply != nil:
	case strings.HasSuffix(r.err, "EOF"):
		return traffic.EndFIN
	case strings.Contains(r.err, "reset"):
		return traffic.EndReset
	case r.refused():
		return traffic.EndAlert
	}
	return traffic.EndProxy
}

// afterwards is a certificate asked for by renegotiation, as evidence.
func (a *attempt) afterwards(at time.Time) *traffic.Afterwards {
	again := &traffic.CertificateAsked{Authorities: a.hints, Count: len(a.hints), Identity: "none"}
	for _, name := range a.hints {
		again.Size += 2 + len(name)
	}
	after := &traffic.Afterwards{Again: again, AskedAt: at.UnixMicro()}
	if len(a.shown) > 0 {
		after.Shown, again.Identity = a.shown[0], tlsrecord.ReadOutline(a.shown[0]).Subject
	}
	return after
}

// listed is one management point of the list.
type listed struct {
	name, version, sslState string
	secure                  bool
}

// decode decodes an answer and says what is in it.
func (p *probe) decode(r *request) {
	head := fmt.Sprintf("HTTP/1.1 %s\r\nContent-Type: %s\r\n\r\n", r.reply.Status, r.reply.Header.Get("Content-Type"))
	question := decode.Decode(decode.Source{Dir: traffic.Request, Head: traffic.ParseHead([]byte(r.method + " " + r.target + " HTTP/1.1\r\n\r\n")), Whole: true}, decode.Full)
	m := decode.Decode(decode.Source{
		Dir: traffic.Reply, Head: traffic.ParseHead([]byte(head)), Body: bytes.NewReader(r.body), Size: int64(len(r.body)), Whole: true, Request: question,
	}, decode.Full)
	_, keyword, _ := strings.Cut(r.target, "?")
	good := m.Kind == question.Kind
	if m.Kind == "mp-list" {
		p.mpList = parseMPList(m.Text.String)
		good = good && len(p.mpList) > 0
	}
	p.add(goodIf(good), keyword, "%s", m.Long)
	switch m.Kind {
	case "mp-list":
		p.namesLines()
	case "mp-cert":
		p.certificateLines(keyword, m.Text.String)
	}
}

// hexRun is hex long enough to be a certificate.
var hexRun = regexp.MustCompile(`[0-9A-Fa-f]{400,}`)

// certificateLines says which certificates an answer has. Its form is not
// published, so they are looked for by what they are.
func (p *probe) certificateLines(what, text string) {
	for _, run := range hexRun.FindAllString(text, maxListed) {
		der, err := hex.DecodeString(run[:len(run)&^1])
		if err != nil {
			continue
		}
		x, err := x509.ParseCertificate(der)
		if err != nil {
			continue // a signature
		}
		line := fmt.Sprintf("%s, by %s, %s to %s", x.Subject, x.Issuer, day(x.NotBefore), day(x.NotAfter))
		if len(p.chain) > 0 && bytes.Equal(der, p.chain[0]) {
			line += "; the same as in TLS"
		}
		now := p.Now()
		p.add(goodIf(!now.Before(x.NotBefore) && !now.After(x.NotAfter)), what, "%s", line)
	}
}

// maxListed bounds the management points of a list that are looked at.
const maxListed = 100

// parseMPList reads an MP list.
func parseMPList(text string) []listed {
	var out []listed
	in := ""
	d := xml.NewDecoder(strings.NewReader(text))
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil } // it is decoded already
	for len(out) < maxListed {
		token, err := d.Token()
		if err != nil {
			return out
		}
		switch t := token.(type) {
		case xml.StartElement:
			in = t.Name.Local
			if in == "MP" {
				out = append(out, listed{name: attribute(t, "FQDN", "Name")})
			}
			if last := len(out) - 1; in == "Property" && last >= 0 {
				switch name := attribute(t, "Name"); name {
				case "SSLState":
					out[last].sslState = attribute(t, "Value")
					out[last].secure = out[last].secure || out[last].sslState != "0"
				case "SSL":
					out[last].secure = true
				}
			}
		case xml.CharData:
			if last := len(out) - 1; in == "Version" && last >= 0 {
				out[last].version = strings.TrimSpace(string(t))
			}
		case xml.EndElement:
			in = ""
		}
	}
	return out
}

// attribute is the first of these that the element has.
func attribute(e xml.StartElement, names ...string) string {
	for _, n := range names {
		for _, a := range e.Attr {
			if a.Name.Local == n && a.Value != "" {
				return a.Value
			}
		}
	}
	return ""
}

// namesLines holds the names that agents are told to use against the
// certificate.
func (p *probe) namesLines() {
	var leaf *x509.Certificate
	if len(p.chain) > 0 {
		leaf, _ = x509.ParseCertificate(p.chain[0]) // nil when it cannot be read, which is said
	}
	covered := false
	for _, m := range p.mpList {
		covered = covered || leaf != nil && leaf.VerifyHostname(m.name) == nil
	}
	for _, m := range p.mpList {
		scheme := "http"
		if m.secure {
			scheme = "https"
		}
		text := fmt.Sprintf("%s, version %s, %s (SSLState %s)", m.name, m.version, scheme, m.sslState)
		state := Good
		switch {
		case leaf == nil:
		case leaf.VerifyHostname(m.name) == nil:
			text += "; the name is in this certificate"
		default:
			state = Note
			if !covered {
				state = Bad
			}
			text += "; the name is not in this certificate"
		}
		p.add(state, "MP", "%s", text)
	}
}
