package replay

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"mpproxy/compare"
	"mpproxy/decode"
	"mpproxy/traffic"
)

// Change is one thing that was made fresh in a request.
type Change struct {
	// What is "message id", "sent time", "client id", "token", "host",
	// "session id", "cookie", "signature payload" and the like.
	What          string
	Before, After string
}

// values are what the live management point has given in place of what the
// captured one gave: client ids, sessions, cookies. They belong to one agent.
type values struct {
	pairs []pair
}

type pair struct{ what, old, new string }

// maxValues is how many values of one agent are remembered.
const maxValues = 500

// Given is a value that the live management point gave an agent in place of
// the captured one.
type Given struct {
	Agent, What, Old, New string
}

// learn takes from the comparison of a reply what the management point has
// given anew.
func (v *values) learn(r *compare.Result) (learnt []pair) {
	for _, d := range r.Differences {
		what := given(d)
		before, after := d.A, d.B
		if what == policyLocation {
			_, before, _ = strings.Cut(d.A, "?")
			_, after, _ = strings.Cut(d.B, "?")
		}
		if what == "" || len(before) < 8 || before == after || after == "" {
			continue
		}
		v.set(what, before, after)
		learnt = append(learnt, pair{what, before, after})
	}
	return learnt
}

func (v *values) set(what, old, fresh string) {
	for i := range v.pairs {
		if v.pairs[i].old == old {
			v.pairs[i].new = fresh
			return
		}
	}
	if len(v.pairs) >= maxValues {
		v.pairs = v.pairs[1:]
	}
	v.pairs = append(v.pairs, pair{what, old, fresh})
}

// policyLocation is where a policy's body is fetched: what follows the "?" of
// its URL.
const policyLocation = "policy location"

// given says what a difference gives to later requests, "" for nothing.
func given(d compare.Difference) string {
	place := string(d.Place)
	switch {
	case d.How != compare.Changed:
		return ""
	case strings.EqualFold(place, "head BITS-Session-Id"):
		return "session id"
	case strings.HasSuffix(place, "/ServerCookie"):
		return "cookie"
	case strings.HasSuffix(place, "/PolicyLocation"):
		return policyLocation
	case strings.HasSuffix(place, "SMSID"), strings.HasSuffix(place, "ClientID") && strings.HasPrefix(place, "text"):
		return "client id"
	}
	return ""
}

// apply puts the live values in a text.
func (v *values) apply(text string, note func(Change)) string {
	for _, p := range v.pairs {
		if strings.Contains(text, p.old) {
			text = strings.ReplaceAll(text, p.old, p.new)
			note(Change{p.what, p.old, p.new})
		}
	}
	return text
}

// request is a request on its way to be sent.
type request struct {
	head    traffic.Head
	body    []byte // without chunk framing
	chunked bool
	message *decode.Message
	changes []Change
	// unsigned is what was signed and is sent as it was captured.
	unsigned []string
}

// freshener makes requests fresh for one agent.
type freshener struct {
	now    func() time.Time
	host   string // the Host field, "" leaves it
	signer *decode.Signer
	known  []decode.Key
	values *values
}

// make makes a captured request fresh.
func (f *freshener) make(src decode.Source, body []byte) (*request, error) {
	r := &request{head: src.Head, body: body, chunked: src.Framing == traffic.Chunked}
	m := decode.Decode(decode.Source{
		Dir: traffic.Request, Head: src.Head, Body: bytes.NewReader(body), Size: int64(len(body)),
		Framing: traffic.ByLength, Whole: true, TLS: src.TLS,
	}, decode.Content)
	was := m.VerifyWith(f.known)
	note := func(c Change) { r.changes = append(r.changes, c) }
	f.fields(r, len(was) > 0, note)
	edit, changed := f.texts(m, len(was) > 0, note)
	if changed {
		fresh, _, err := m.Edit(edit)
		if err != nil {
			return nil, fmt.Errorf("make the message fresh: %w", err)
		}
		r.body = fresh
	}
	if err := f.sign(r, was); err != nil {
		return nil, err
	}
	f.length(r)
	r.message = m
	return r, nil
}

// sign makes the signatures again, or says which stay as they were.
func (f *freshener) sign(r *request, was []decode.Signature) error {
	if len(was) == 0 {
		return nil
	}
	if f.signer == nil {
		for _, s := range was {
			r.unsigned = append(r.unsigned, s.What)
		}
		return nil
	}
	m := decode.Decode(decode.Source{
		Dir: traffic.Request, Head: r.head, Body: bytes.NewReader(r.body), Size: int64(len(r.body)), Framing: traffic.ByLength, Whole: true,
	}, decode.Content)
	head, body, signed, err := m.Sign(*f.signer, was)
	if err != nil {
		return fmt.Errorf("sign the message again: %w", err)
	}
	r.head, r.body = head, body
	for _, what := range signed {
		r.changes = append(r.changes, Change{What: "signature " + what})
	}
	return nil
}

// tokenTime finds the time in a client token: GUID:…;2026-05-04T10:41:05Z;2.
var tokenTime = regexp.MustCompile(`;(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z?)`)

// fields makes the HTTP head fresh. What is signed stays unless it can be
// signed again.
func (f *freshener) fields(r *request, signed bool, note func(Change)) {
	raw := r.head.Raw
	for _, field := range r.head.Fields {
		value := field.Value
		switch name := strings.ToLower(field.Name); {
		case name == "host" && f.host != "":
			value = f.host
			if value != field.Value {
				note(Change{"host", field.Value, value})
			}
		case name == "clienttoken", name == "ccmclienttimestamp":
			if f.signer == nil {
				continue
			}
			value = f.values.apply(f.time(value, note), note)
		case name == "bits-session-id", name == "ccmclientid" && (f.signer != nil || !signed):
			value = f.values.apply(value, note)
		}
		if value != field.Value {
			raw = decode.SetField(raw, field.Name, value)
		}
	}
	r.head = traffic.ParseHead(target(raw, f.values, note))
}

// target puts the live values in the request's target.
func target(raw []byte, v *values, note func(Change)) []byte {
	line, rest, found := bytes.Cut(raw, []byte("\n"))
	if !found {
		return raw
	}
	fresh := v.apply(string(line), note)
	if fresh == string(line) {
		return raw
	}
	return append([]byte(fresh+"\n"), rest...)
}

// time puts the present in a token, in the form that it has.
func (f *freshener) time(token string, note func(Change)) string {
	at := tokenTime.FindStringSubmatchIndex(token)
	if at == nil {
		return token
	}
	old := token[at[2]:at[3]]
	fresh := stamp(old, f.now())
	note(Change{"token", old, fresh})
	return token[:at[2]] + fresh + token[at[3]:]
}

// stamp writes an instant in the form of another one.
func stamp(like string, t time.Time) string {
	layout := "2006-01-02T15:04:05"
	if _, fraction, has := strings.Cut(strings.TrimSuffix(like, "Z"), "."); has {
		layout += "." + strings.Repeat("0", len(fraction))
	}
	if strings.HasSuffix(like, "Z") {
		layout += "Z"
	}
	return t.UTC().Format(layout)
}

var (
	messageID = regexp.MustCompile(`(<ID>)(\{?[0-9A-Fa-f-]{36}\}?)(</ID>)`)
	sentTime  = regexp.MustCompile(`(<SentTime>)([^<]+)(</SentTime>)`)
	timeStamp = regexp.MustCompile(`(<Data\s[^>]*TimeStamp\s*=\s*["'])([^"']+)(["'])`)
	sourceID  = regexp.MustCompile(`(<SourceID>)([^<]+)(</SourceID>)`)
)

// texts makes the message's texts fresh.
func (f *freshener) texts(m *decode.Message, signed bool, note func(Change)) (e decode.Edit, changed bool) {
	header, text := m.HeaderText.String, m.Text.String
	fresh := substitute(messageID, header, func(old string) string {
		id := guidLike(old)
		note(Change{"message id", old, id})
		return id
	})
	fresh = substitute(sentTime, fresh, func(old string) string {
		now := stamp(old, f.now())
		note(Change{"sent time", old, now})
		return now
	})
	free := f.signer != nil || !signed
	if free {
		fresh = substitute(sourceID, fresh, func(old string) string { return f.values.apply(old, note) })
	}
	if fresh != header {
		e.Header, changed = &fresh, true
	}
	if !free {
		return e, changed
	}
	body := f.values.apply(text, note)
	body = substitute(timeStamp, body, func(old string) string {
		now := stamp(old, f.now())
		note(Change{"time stamp", old, now})
		return now
	})
	if body != text {
		e.Text, changed = &body, true
	}
	return e, changed
}

// substitute changes the middle group of a pattern's first match.
func substitute(re *regexp.Regexp, text string, change func(string) string) string {
	at := re.FindStringSubmatchIndex(text)
	if at == nil {
		return text
	}
	return text[:at[4]] + change(text[at[4]:at[5]]) + text[at[5]:]
}

// guidLike is a new GUID written as another one is.
func guidLike(old string) string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	id := fmt.Sprintf("%X-%X-%X-%X-%X", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
	if strings.HasPrefix(old, "{") {
		id = "{" + id + "}"
	}
	if old == strings.ToLower(old) {
		id = strings.ToLower(id)
	}
	return id
}

// length makes the head say how long the body is. A body that was chunked goes
// out as one chunk.
func (f *freshener) length(r *request) {
	if r.chunked {
		return
	}
	if _, has := r.head.Lookup("Content-Length"); has {
		r.head = traffic.ParseHead(decode.SetField(r.head.Raw, "Content-Length", strconv.Itoa(len(r.body))))
	}
}
