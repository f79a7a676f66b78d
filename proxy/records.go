package proxy

import (
	"time"

	"mpproxy/traffic"
)

// records follows the headers of the TLS records of one direction (RFC 8446,
// 5.1) and copies nothing of what they carry.
type records struct {
	header     [5]byte
	have, skip int // of the header, and to the next one
	last       int
	// lost is true once something came that is no record.
	lost  bool
	noted []traffic.Record
}

const (
	recordFirst = 20 // change_cipher_spec
	recordData  = 23 // application_data
	recordLast  = 24 // heartbeat
)

// follow goes through bytes as they pass. Records without application data are
// noted where that is asked for: not those of the handshake, whose bytes are
// kept.
func (r *records) follow(p []byte, note bool, at time.Time) {
	for len(p) > 0 && !r.lost {
		if n := min(len(p), r.skip); n > 0 {
			r.skip -= n
			p = p[n:]
			continue
		}
		n := copy(r.header[r.have:], p)
		p = p[n:]
		if r.have += n; r.have < len(r.header) {
			return
		}
		r.have = 0
		kind := r.header[0]
		if r.lost = kind < recordFirst || kind > recordLast || r.header[1] != 3; r.lost {
			return
		}
		r.skip = int(r.header[3])<<8 | int(r.header[4])
		r.last = r.skip
		if kind != recordData && note && len(r.noted) < traffic.RecordsLimit {
			r.noted = append(r.noted, traffic.Record{Type: kind, Length: r.skip, At: at.UnixMicro()})
		}
	}
}
