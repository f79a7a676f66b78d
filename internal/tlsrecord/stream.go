package tlsrecord

import "fmt"

// How much of one stream is listed. A handshake needs a few dozen of each; what
// lies beyond is application data, or was made to cost memory.
const (
	maxRecords  = 2048
	maxMessages = 1024
	maxFlaws    = 64
)

// Stream is what one side sent.
type Stream struct {
	From Side
	// Size is how many bytes were given.
	Size int
	// Looks is what the first bytes look like.
	Looks Protocol
	// Records and Messages are in the order of their offsets.
	Records  []Record
	Messages []Message
	// Parsed is how many bytes were read as records, with a last one that is
	// cut short. Where it is less than Size, Rest says what follows looks like.
	Parsed int
	Rest   Protocol
	// RestLine is the first line of Rest if that is a protocol of lines, as it
	// came, without its end and not more than 512 bytes.
	RestLine string
	// Truncated is true when the bytes end inside of a record or a message.
	Truncated bool
	// Flaws are what is malformed, not more than 64.
	Flaws []Flaw
}

// Flaw is something malformed, in words of our own that quote nothing from the
// wire but numbers.
type Flaw struct {
	// Offset is where in the stream.
	Offset int
	Text   string
}

// Record is one record of the record layer.
type Record struct {
	// Offset is where its header begins.
	Offset int
	Type   ContentType
	// Version is the header's; SSL20 for a record of SSL 2.0, whose Type is
	// ContentHandshake.
	Version Version
	// Length is the fragment's length as the header says it, Have how much of
	// it is there.
	Length, Have int
	// Encrypted says that the fragment cannot be read.
	Encrypted bool
	// Opened is true for a record that is encrypted on the wire and was opened
	// with the connection's secrets; Type is then the one that it has inside.
	Opened bool
}

// HeaderSize is the length of the record's header, in bytes.
func (r *Record) HeaderSize() int {
	if r.Version == SSL20 {
		return 2
	}
	return 5
}

// Truncated is true when the stream ends inside of the record.
func (r *Record) Truncated() bool { return r.Have < r.Length }

const (
	headerSize = 5
	// maxFragment is the most that any version allows in an encrypted record.
	maxFragment = 1<<14 + 2048
)

// reader goes through a stream once, record by record.
type reader struct {
	*Stream
	data []byte
	// sealed is true after a ChangeCipherSpec that encrypts, tls13 once the
	// server chose TLS 1.3, where a ChangeCipherSpec means nothing.
	sealed, tls13 bool
	pending       assembly
	suite         Suite
	opened        openedRecords
}

func parseStream(from Side, data, opened []byte) Stream {
	s := Stream{From: from, Size: len(data), Looks: sniff(data)}
	r := &reader{Stream: &s, data: data, opened: opened}
	for r.Parsed < len(data) && r.record() {
	}
	r.breakOff()
	if r.Parsed < len(data) {
		rest := data[r.Parsed:]
		s.Rest = sniff(rest)
		s.RestLine = firstLine(s.Rest, rest)
	}
	return s
}

// record reads the record at Parsed. It is false when none can be read there.
func (r *reader) record() bool {
	at, rest := r.Parsed, r.data[r.Parsed:]
	if len(r.Records) == maxRecords || len(r.Messages) >= maxMessages {
		r.flaw(at, "not read on after %d records, %d messages", len(r.Records), len(r.Messages))
		return false
	}
	if at == 0 && isSSL2Hello(rest) {
		r.ssl2Hello(rest)
		return true
	}
	if !couldBeRecord(rest) {
		if at > 0 {
			r.flaw(at, "no record begins here")
		}
		return false
	}
	if len(rest) < headerSize {
		r.Parsed, r.Truncated = r.Size, true
		return true
	}
	rec := Record{Offset: at, Type: ContentType(rest[0]), Version: Version(be16(rest[1:])), Length: be16(rest[3:])}
	if rec.Length > maxFragment {
		r.flaw(at, "a record of %d bytes, where %d are the most", rec.Length, maxFragment)
		return false
	}
	fragment := rest[headerSize:]
	rec.Have = min(rec.Length, len(fragment))
	fragment = fragment[:rec.Have]
	rec.Encrypted = r.encrypted(&rec, fragment)
	if rec.sealed13() {
		if kind, content := r.opened.next(rec.Length); kind != ContentApplicationData {
			rec.Type, rec.Encrypted, rec.Opened, fragment = kind, false, true, content
		}
	}
	r.Records = append(r.Records, rec)
	r.Parsed += headerSize + rec.Have
	r.Truncated = r.Truncated || rec.Truncated()
	r.fragment(&r.Records[len(r.Records)-1], fragment)
	return true
}

// couldBeRecord looks at as much of a record's header as there is.
func couldBeRecord(b []byte) bool {
	if t := ContentType(b[0]); t < ContentChangeCipherSpec || t > ContentHeartbeat {
		return false
	}
	return len(b) < 2 || b[1] == 3
}

// encrypted says whether a record's fragment cannot be read. It looks at this
// stream alone, so that one direction is read the same with and without the
// other. In TLS 1.3 all that is encrypted is application data from outside;
// before, everything is once the side has sent its ChangeCipherSpec. A 2-byte
// alert and a 1-byte ChangeCipherSpec are too short to be encrypted.
func (r *reader) encrypted(rec *Record, fragment []byte) bool {
	switch rec.Type {
	case ContentApplicationData:
		return true
	case ContentAlert:
		return r.sealed && rec.Length != 2
	case ContentChangeCipherSpec:
		return r.sealed && rec.Length != 1
	case ContentHandshake:
		return r.sealed && !r.helloAgain(rec, fragment)
	}
	return r.sealed
}

// helloAgain finds the second ClientHello of TLS 1.3, which follows a
// HelloRetryRequest and often an idle ChangeCipherSpec. Encrypted bytes look
// like this once in 2^40.
func (r *reader) helloAgain(rec *Record, fragment []byte) bool {
	return r.From == Client && len(fragment) >= 6 && HandshakeType(fragment[0]) == TypeClientHello &&
		be24(fragment[1:])+4 >= rec.Length && fragment[1] == 0 && fragment[4] == 3
}

// fragment makes messages of what a record carries.
func (r *reader) fragment(rec *Record, fragment []byte) {
	if r.pending.active() && (rec.Type != ContentHandshake || rec.Encrypted) {
		r.flaw(rec.Offset, "a record of %s inside of a handshake message", rec.Type)
		r.breakOff()
	}
	switch {
	case rec.Encrypted:
		r.opaque(rec)
	case rec.Type == ContentHandshake:
		r.handshake(rec, fragment)
	case rec.Type == ContentAlert:
		r.alerts(rec, fragment)
	default:
		r.plain(rec, fragment)
	}
}

// plain is for ChangeCipherSpec and heartbeat in clear.
func (r *reader) plain(rec *Record, fragment []byte) {
	m := r.opaque(rec)
	if m == nil {
		return
	}
	m.Encrypted, m.Raw = false, fragment
	if rec.Type != ContentChangeCipherSpec {
		return
	}
	if rec.Length != 1 || len(fragment) == 1 && fragment[0] != 1 {
		r.flaw(rec.Offset+headerSize, "a ChangeCipherSpec that is not the byte 1")
	}
	r.sealed = r.sealed || !r.tls13
}

// opaque adds a message that is a whole record. It is nil when the list is full.
func (r *reader) opaque(rec *Record) *Message {
	return r.add(Message{
		Offset: rec.Offset + headerSize, End: rec.Offset + headerSize + rec.Have,
		Content: rec.Type, Version: rec.Version, Length: rec.Length,
		Fragments: 1, Truncated: rec.Truncated(), Encrypted: true,
	})
}

func (r *reader) add(m Message) *Message {
	if len(r.Messages) >= maxMessages {
		return nil
	}
	m.From = r.From
	r.Messages = append(r.Messages, m)
	return &r.Messages[len(r.Messages)-1]
}

func (r *reader) flaw(offset int, format string, args ...any) {
	r.flaws(offset, fmt.Sprintf(format, args...))
}

func (s *Stream) flaws(offset int, text string) {
	if len(s.Flaws) < maxFlaws {
		s.Flaws = append(s.Flaws, Flaw{offset, text})
	}
}

func be16(b []byte) int { return int(b[0])<<8 | int(b[1]) }
func be24(b []byte) int { return int(b[0])<<16 | int(b[1])<<8 | int(b[2]) }
