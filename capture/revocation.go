package capture

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"mpproxy/traffic"
)

// revocationSince is the version of the file that has the table.
const revocationSince = 2

func (w *writer) storeRevocation(r *traffic.Revocation) error {
	return w.exec(`INSERT OR REPLACE INTO revocation (issuer, serial, kind, url, result, fetched_us, took_us, status, content_type, size, err,
			this_update_us, next_update_us, entries, signature, revoked, reason, revoked_us)
		VALUES (?,?,?,?,?,?,?,?,?,?,?, ?,?,?,?,?,?,?)`,
		plain(r.Issuer), plain(r.Serial), string(r.Kind), plain(r.URL), string(r.Result), r.Fetched.UnixMicro(), r.Took.Microseconds(),
		r.Status, plain(r.ContentType), r.Size, plain(r.Err),
		micros(r.ThisUpdate), micros(r.NextUpdate), r.Entries, r.Signature, r.Revoked, plain(r.Reason), micros(r.RevokedAt))
}

// Revocations are what fetches of revocation evidence came to, the newest for
// each URL and certificate.
func (s *Store) Revocations(ctx context.Context) ([]traffic.Revocation, error) {
	if s.version < revocationSince {
		return nil, nil
	}
	rows, err := s.db.QueryContext(ctx, `SELECT issuer, serial, kind, url, result, fetched_us, took_us, status, content_type, size, err,
			this_update_us, next_update_us, entries, signature, revoked, reason, revoked_us
		FROM revocation ORDER BY issuer, serial, kind, url`)
	all, err := collect(rows, err, func(rows *sql.Rows) (r traffic.Revocation, err error) {
		var fetched, this, next, revoked sql.NullInt64
		var took int64
		err = rows.Scan(&r.Issuer, &r.Serial, &r.Kind, &r.URL, &r.Result, &fetched, &took, &r.Status, &r.ContentType, &r.Size, &r.Err,
			&this, &next, &r.Entries, &r.Signature, &r.Revoked, &r.Reason, &revoked)
		r.Fetched, r.Took = instant(fetched), time.Duration(took)*time.Microsecond
		r.ThisUpdate, r.NextUpdate, r.RevokedAt = instant(this), instant(next), instant(revoked)
		return r, err
	})
	if err != nil {
		return nil, fmt.Errorf("revocation evidence: %w", err)
	}
	return all, nil
}
