package replay

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"mpproxy/traffic"
)

// uploads takes BITS uploads by the protocol's rules ([MC-BUP]) and forgets
// their bytes: what a mock has to know of one is how far it is. The zero value
// is ready.
type uploads struct {
	mu       sync.Mutex
	sessions map[string]*upload
	order    []string
	last     int
}

// upload is a session: next is the offset wanted, total the file's size once it
// is known.
type upload struct {
	next, total int64
}

// maxSessions bounds the sessions that are remembered; the oldest go first.
const maxSessions = 10_000

// The protocol, and the errors it names.
const (
	bitsProtocol     = "{7df0354d-249b-430f-820d-3d2a9bef4931}"
	bitsNoSession    = "0x8020001F"
	bitsBadArgument  = "0x80070057"
	bitsContextError = "0x5"
)

// packet answers one packet of an upload.
func (u *uploads) packet(h traffic.Head, body []byte) []byte {
	u.mu.Lock()
	defer u.mu.Unlock()
	id := strings.TrimSpace(h.Get("BITS-Session-Id"))
	switch strings.ToLower(strings.TrimSpace(h.Get("BITS-Packet-Type"))) {
	case "ping":
		return bitsReply(200, "", "")
	case "create-session":
		if !strings.Contains(strings.ToLower(h.Get("BITS-Supported-Protocols")), bitsProtocol) {
			return bitsRefusal(400, bitsBadArgument)
		}
		id = u.create()
		return bitsReply(201, id, "BITS-Protocol: "+bitsProtocol+"\r\n")
	case "fragment":
		return u.fragment(id, h, int64(len(body)))
	case "close-session", "cancel-session":
		if u.sessions[id] == nil {
			return bitsRefusal(500, bitsNoSession)
		}
		delete(u.sessions, id)
		return bitsReply(200, id, "")
	}
	return bitsRefusal(400, bitsBadArgument)
}

func (u *uploads) create() string {
	if u.sessions == nil {
		u.sessions = map[string]*upload{}
	}
	u.last++
	id := fmt.Sprintf("{00000000-0000-4000-8000-%012X}", u.last)
	u.sessions[id] = &upload{total: -1}
	if u.order = append(u.order, id); len(u.order) > maxSessions {
		delete(u.sessions, u.order[0])
		u.order = u.order[1:]
	}
	return id
}

var contentRange = regexp.MustCompile(`(?i)^\s*bytes\s+(\d+)-(\d+)/(\d+)\s*$`)

func (u *uploads) fragment(id string, h traffic.Head, n int64) []byte {
	s := u.sessions[id]
	if s == nil {
		return bitsRefusal(500, bitsNoSession)
	}
	parts := contentRange.FindStringSubmatch(h.Get("Content-Range"))
	if parts == nil {
		return bitsRefusal(400, bitsBadArgument)
	}
	from, _ := strconv.ParseInt(parts[1], 10, 64)
	to, _ := strconv.ParseInt(parts[2], 10, 64)
	total, _ := strconv.ParseInt(parts[3], 10, 64)
	switch {
	case to < from || to-from+1 != n || to >= total || s.total >= 0 && s.total != total:
		return bitsRefusal(400, bitsBadArgument)
	case from > s.next:
		return bitsReply(416, id, "BITS-Received-Content-Range: "+strconv.FormatInt(s.next, 10)+"\r\n")
	}
	s.total, s.next = total, max(s.next, to+1)
	return bitsReply(200, id, "BITS-Received-Content-Range: "+strconv.FormatInt(s.next, 10)+"\r\n")
}

func bitsReply(status int, session, more string) []byte {
	if session != "" {
		more = "BITS-Session-Id: " + session + "\r\n" + more
	}
	return fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nBITS-Packet-Type: Ack\r\n%sContent-Length: 0\r\n\r\n", status, http.StatusText(status), more)
}

func bitsRefusal(status int, code string) []byte {
	return bitsReply(status, "", "BITS-Error: "+code+"\r\nBITS-Error-Code: "+code+"\r\nBITS-Error-Context: "+bitsContextError+"\r\n")
}
