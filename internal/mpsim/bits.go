package mpsim

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// bitsProtocol is the upload protocol's id ([MC-BUP] 2.2.2).
const bitsProtocol = "{7df0354d-249b-430f-820d-3d2a9bef4931}"

// The error codes of the protocol, as HRESULT.
const (
	bitsNoSession   = "0x8020001F"
	bitsBadRange    = "0x8020002B"
	bitsBadArgument = "0x80070057"
	bitsNoMemory    = "0x8007000E"
)

const (
	uploadLimit   = 64 << 20  // of one file
	bufferLimit   = 256 << 20 // of all files that are not complete
	sessionLimit  = 1024
	bitsIdleLimit = 14 * 24 * time.Hour // IIS's default
)

// Upload is a file that came by BITS and is complete.
type Upload struct {
	// Name is the last part of the URL, as written.
	Name   string
	Size   int
	SHA256 string
}

// bitsServer is the server side of [MC-BUP]: it takes packets and says what to
// answer, without I/O. Sessions belong to the server, not to a connection.
type bitsServer struct {
	now func() time.Time
	// newID names sessions; url is the destination, n counts the sessions.
	newID func(url string, n int) string
	// deliver is told of each complete file, once.
	deliver func(name string, data []byte)

	mu       sync.Mutex
	made     int
	sessions map[string]*bitsSession
}

type bitsSession struct {
	url string
	// data is what came; nil again once delivered.
	data  []byte
	next  int // the offset that is wanted
	total int // zero until the first fragment
	used  time.Time
}

// bitsPacket is a request, as far as the protocol looks at it.
type bitsPacket struct {
	kind, url, session, protocols, contentRange string
	body                                        []byte
}

// packet answers one packet.
func (b *bitsServer) packet(p bitsPacket) reply {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forgetIdle()
	switch strings.ToLower(p.kind) {
	case "ping":
		return bitsAck("")
	case "create-session":
		return b.create(p)
	}
	session, ok := b.sessions[strings.ToUpper(p.session)]
	if !ok {
		return bitsRefuse(http.StatusInternalServerError, bitsNoSession)
	}
	session.used = b.now()
	switch strings.ToLower(p.kind) {
	case "fragment":
		return b.fragment(session, p)
	case "close-session", "cancel-session":
		// What was complete has been delivered; the rest goes with the session.
		delete(b.sessions, strings.ToUpper(p.session))
		return bitsAck(p.session)
	}
	return bitsRefuse(http.StatusBadRequest, bitsBadArgument)
}

func (b *bitsServer) forgetIdle() {
	for id, session := range b.sessions {
		if b.now().Sub(session.used) > bitsIdleLimit {
			delete(b.sessions, id)
		}
	}
}

func (b *bitsServer) create(p bitsPacket) reply {
	if !strings.Contains(strings.ToLower(p.protocols), bitsProtocol) {
		return bitsRefuse(http.StatusBadRequest, bitsBadArgument)
	}
	if len(b.sessions) >= sessionLimit {
		return bitsRefuse(http.StatusServiceUnavailable, bitsNoMemory)
	}
	b.made++
	id := "{" + b.newID(p.url, b.made) + "}"
	b.sessions[id] = &bitsSession{url: p.url, used: b.now()}
	r := bitsAck("")
	r.status = http.StatusCreated
	r.add("BITS-Protocol", bitsProtocol)
	r.add("BITS-Session-Id", id)
	r.add("Accept-Encoding", "Identity")
	return r
}

// fragment takes what is new of a fragment and always says where to go on.
func (b *bitsServer) fragment(s *bitsSession, p bitsPacket) reply {
	from, to, total, err := parseContentRange(p.contentRange)
	if err != nil || to-from+1 != len(p.body) || total > uploadLimit || s.total != 0 && s.total != total {
		return bitsRefuse(http.StatusBadRequest, bitsBadArgument)
	}
	s.total = total
	if from > s.next {
		r := bitsRefuse(http.StatusRequestedRangeNotSatisfiable, bitsBadRange)
		r.add("BITS-Session-Id", p.session)
		r.add("BITS-Received-Content-Range", strconv.Itoa(s.next))
		return r
	}
	if b.buffered()+len(p.body) > bufferLimit {
		return bitsRefuse(http.StatusServiceUnavailable, bitsNoMemory)
	}
	if to >= s.next {
		s.data = append(s.data, p.body[s.next-from:]...)
		s.next = to + 1
		if s.next == total {
			b.deliver(s.url[strings.LastIndex(s.url, "/")+1:], s.data)
			s.data = nil
		}
	}
	r := bitsAck(p.session)
	r.add("BITS-Received-Content-Range", strconv.Itoa(s.next))
	return r
}

// buffered is how many bytes wait for the rest of their files.
func (b *bitsServer) buffered() (n int) {
	for _, s := range b.sessions {
		n += len(s.data)
	}
	return n
}

// parseContentRange reads "bytes a-b/total".
func parseContentRange(s string) (from, to, total int, err error) {
	unit, spec, _ := strings.Cut(s, " ")
	if !strings.EqualFold(unit, "bytes") {
		return 0, 0, 0, fmt.Errorf("content range %q: unknown unit", s)
	}
	if _, err := fmt.Sscanf(spec, "%d-%d/%d", &from, &to, &total); err != nil {
		return 0, 0, 0, fmt.Errorf("content range %q: %w", s, err)
	}
	if from < 0 || to < from || to >= total {
		return 0, 0, 0, fmt.Errorf("content range %q: not inside the file", s)
	}
	return from, to, total, nil
}

func bitsAck(session string) reply {
	var r reply
	r.add("BITS-Packet-Type", "Ack")
	if session != "" {
		r.add("BITS-Session-Id", session)
	}
	return r
}

// bitsRefuse says the code under both names that the documents give.
func bitsRefuse(status int, code string) reply {
	r := bitsAck("")
	r.status = status
	r.add("BITS-Error", code)
	r.add("BITS-Error-Code", code)
	r.add("BITS-Error-Context", "0x5")
	return r
}
