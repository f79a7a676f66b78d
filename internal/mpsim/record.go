package mpsim

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Record is what a site remembers of an exchange.
type Record struct {
	At time.Time
	// Kind is a name of Kinds, or "unknown".
	Kind   string
	Method string
	// Target is the request target as written.
	Target string
	Status int
	// Endpoint, Root, MsgID, Client and Host are a message's: where it went,
	// the root element of its body, its id, and its sender's id and name.
	Endpoint, Root, MsgID, Client, Host string
	// Signature is what the site found: see the constants.
	Signature Signature
	// Text is the message's body, or its first 64 KiB; empty for anything but a
	// CCM_POST and a fallback status. For a message that could not be read it
	// says why.
	Text string
	// Attachments are the message's, uploaded ones included.
	Attachments []Upload
	// Reply is the root element of the reply's document, and ReplyText the
	// document or its first 64 KiB; empty for anything but messages and lists.
	Reply, ReplyText string
	// Fault is the name of the fault that was applied; empty without one.
	Fault string
}

// Signature is the outcome of a check.
type Signature string

// The outcomes.
const (
	Unsigned Signature = ""
	Valid    Signature = "valid"
	// Invalid is a signature that the sender's key did not make.
	Invalid Signature = "invalid"
	// UnknownKey is a signature of a sender who is not registered.
	UnknownKey Signature = "unknown key"
)

// Stats are counts since the site was made.
type Stats struct {
	// Exchanges counts by kind.
	Exchanges map[string]int
	// Uploads are the last complete ones.
	Uploads []Upload
	// SignatureFailures counts messages, tokens and registrations whose
	// signature was not Valid.
	SignatureFailures int
	// Unknown counts what the site did not understand.
	Unknown int
	// Clients are the registered agents.
	Clients int
}

// recordLimit bounds each list of a recorder; the oldest go first.
const (
	recordLimit = 10_000
	textLimit   = 64 << 10
)

// recorder keeps the site's memory. The zero value is ready.
type recorder struct {
	mu      sync.Mutex
	stats   Stats
	records []Record
}

func (r *recorder) add(record Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stats.Exchanges == nil {
		r.stats.Exchanges = map[string]int{}
	}
	r.stats.Exchanges[record.Kind]++
	if record.Kind == unknownKind {
		r.stats.Unknown++
	}
	if record.Signature == Invalid || record.Signature == UnknownKey {
		r.stats.SignatureFailures++
	}
	record.Text, record.ReplyText = beginning(record.Text), beginning(record.ReplyText)
	r.records = bounded(r.records, record)
}

// beginning is a copy, so that the rest can be forgotten.
func beginning(s string) string { return strings.Clone(s[:min(len(s), textLimit)]) }

func (r *recorder) upload(u Upload) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.Uploads = bounded(r.stats.Uploads, u)
}

func bounded[T any](list []T, item T) []T {
	if len(list) >= recordLimit {
		list = slices.Delete(list, 0, recordLimit/10)
	}
	return append(list, item)
}

// Stats is a snapshot.
func (s *Site) Stats() Stats {
	s.mu.Lock()
	clients := len(s.clients)
	s.mu.Unlock()
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	stats := s.log.stats
	stats.Exchanges = maps.Clone(stats.Exchanges)
	stats.Uploads = slices.Clone(stats.Uploads)
	stats.Clients = clients
	return stats
}

// Received are the last exchanges, oldest first: at most ten thousand.
func (s *Site) Received() []Record {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	return slices.Clone(s.log.records)
}
