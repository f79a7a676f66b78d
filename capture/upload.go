package capture

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"mpproxy/decode"
	"mpproxy/traffic"
)

// storeUpload ties a BITS packet to its session. Sessions outlive connections,
// so they are known by host and session id; the packet that opens one learns
// the id from its reply.
func (w *writer) storeUpload(x *traffic.Exchange, m *meaning) error {
	if m.request == nil || m.request.upload == nil {
		return nil
	}
	p := m.request.upload
	reply := &decode.Packet{Next: -1}
	if m.reply != nil && m.reply.upload != nil {
		reply = m.reply.upload
	}
	session := cmp.Or(p.Session, reply.Session)
	if session == "" {
		return nil
	}
	_, target, _ := x.Request.Head.Request()
	id, err := w.uploadOf(strings.ToLower(x.Request.Head.Get("Host")), strings.ToLower(session), target, p.Name)
	if err != nil {
		return err
	}
	return w.exec(`INSERT OR REPLACE INTO upload_packet (exchange, upload, packet, first, last, total, status, next)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		x.ID, id, plain(p.Type), known(p.From), known(p.To-1), known(p.Total), status(x), known(reply.Next))
}

// uploadOf is the row of a session; the name comes with the first fragment.
func (w *writer) uploadOf(host, session, target, name string) (id int64, err error) {
	err = w.row(`INSERT INTO upload (host, session, target, name) VALUES (?, ?, ?, ?)
		ON CONFLICT (host, session) DO UPDATE SET name = iif(excluded.name = '', name, excluded.name) RETURNING id`,
		[]any{plain(host), plain(session), plain(target), plain(name)}, &id)
	return id, err
}

// known is n, or NULL for the decoder's "not given".
func known(n int64) any {
	if n < 0 {
		return nil
	}
	return n
}

// Upload is a BITS upload: one session with one host.
type Upload struct {
	ID int64
	// Host is as in the Host field, Session the id, both in lower case.
	Host, Session string
	// Target is where it goes, Name the file's name, when given.
	Target, Name string
	// Packets are in the order in which they were sent.
	Packets []UploadPacket
}

// UploadPacket is one exchange of an upload.
type UploadPacket struct {
	Exchange traffic.ExchangeID
	// Type is in lower case: "create-session", "fragment", "close-session".
	Type string
	// First and Last are the range of a fragment, Total the size of the whole;
	// -1 when not given.
	First, Last, Total int64
	// Status is the reply's, 0 without one; Next the offset that it asks for,
	// -1 when it names none.
	Status int
	Next   int64
}

// Size is how large the whole file is, -1 when no fragment says.
func (u *Upload) Size() int64 {
	size := int64(-1)
	for _, p := range u.Packets {
		size = max(size, p.Total)
	}
	return size
}

// Uploads lists the uploads that the exchanges from one to another belong to;
// zero is no limit.
func (s *Store) Uploads(ctx context.Context, from, to traffic.ExchangeID) ([]Upload, error) {
	if to == 0 {
		to = 1<<63 - 1
	}
	rows, err := s.db.QueryContext(ctx, `SELECT id, host, session, target, name FROM upload
		WHERE id IN (SELECT upload FROM upload_packet WHERE exchange BETWEEN ? AND ?) ORDER BY id`, from, to)
	all, err := collect(rows, err, func(rows *sql.Rows) (u Upload, err error) {
		return u, rows.Scan(&u.ID, &u.Host, &u.Session, &u.Target, &u.Name)
	})
	if err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].Packets, err = s.packets(ctx, all[i].ID); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// UploadOf is the upload that an exchange is a packet of, nil when it is none.
func (s *Store) UploadOf(ctx context.Context, id traffic.ExchangeID) (*Upload, error) {
	all, err := s.Uploads(ctx, id, id)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return &all[0], nil
}

func (s *Store) packets(ctx context.Context, upload int64) ([]UploadPacket, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT exchange, packet, ifnull(first, -1), ifnull(last, -1), ifnull(total, -1),
		ifnull(status, 0), ifnull(next, -1) FROM upload_packet WHERE upload = ? ORDER BY exchange`, upload)
	return collect(rows, err, func(rows *sql.Rows) (p UploadPacket, err error) {
		return p, rows.Scan(&p.Exchange, &p.Type, &p.First, &p.Last, &p.Total, &p.Status, &p.Next)
	})
}

// Uploaded is the joined content of an upload, as far as it was accepted
// without a gap: what the server has of it. Content and length are those of
// the fragments' bodies.
func (s *Store) Uploaded(ctx context.Context, u *Upload) (*Body, error) {
	var parts []uploadPart
	end := int64(0)
	for _, p := range u.Packets {
		if p.Type != "fragment" || p.First < 0 || p.First > end || p.Last < end || p.Status/100 != 2 {
			continue
		}
		src, err := s.Source(ctx, p.Exchange, traffic.Request, false)
		if err != nil {
			return nil, fmt.Errorf("upload %s: %w", u.Session, err)
		}
		// BITS gives each fragment a length: its body has no chunk framing.
		body := io.NewSectionReader(src.Body, 0, src.Size)
		have := min(p.Last+1-p.First, body.Size())
		if p.First+have <= end {
			continue
		}
		parts = append(parts, uploadPart{at: end, from: end - p.First, body: body})
		end = p.First + have
	}
	return &Body{ReaderAt: joined(parts), size: end}, nil
}

// uploadPart is a run of the joined content: from offset at on, the bytes of
// body behind from, until the next part begins.
type uploadPart struct {
	at, from int64
	body     *io.SectionReader
}

type joined []uploadPart

func (j joined) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		at := off + int64(n)
		i, found := slices.BinarySearchFunc(j, at, func(part uploadPart, at int64) int { return cmp.Compare(part.at, at) })
		if !found {
			i--
		}
		if i < 0 {
			return n, io.EOF
		}
		want := p[n:]
		if i+1 < len(j) {
			want = want[:min(int64(len(want)), j[i+1].at-at)]
		}
		m, err := j[i].body.ReadAt(want, j[i].from+at-j[i].at)
		n += m
		if err != nil && (m < len(want) || !errors.Is(err, io.EOF)) {
			return n, err
		}
	}
	return n, nil
}
