package capture

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mpproxy/traffic"
)

// TestRevocation: what was fetched comes back as it was, and a second fetch
// takes the first one's place: diagnosis rests on the newest.
func TestRevocation(t *testing.T) {
	r := record(t, steady())
	base := traffic.Revocation{
		URL: "http://pki.lab.example/site.crl", Kind: traffic.RevocationList, Result: traffic.RevocationUnreachable,
		Issuer: "CN=Site CA", Serial: "03e8", Fetched: start, Took: time.Second, Err: "connection refused",
	}
	newer := base
	newer.Result, newer.Err, newer.Status, newer.ContentType, newer.Size = traffic.RevocationGood, "", 200, "application/pkix-crl", 512
	newer.Fetched, newer.ThisUpdate, newer.NextUpdate, newer.Entries, newer.Signature = start.Add(time.Minute), start, start.Add(time.Hour), 3, "good"
	newer.Revoked, newer.Reason, newer.RevokedAt = true, "key compromise", start
	delta := base
	delta.Kind, delta.Result, delta.Err = traffic.RevocationDelta, traffic.RevocationSkipped, "only http:"
	for _, x := range []traffic.Revocation{base, delta, newer} {
		r.Take(traffic.RevocationFetched{Revocation: x})
	}
	if err := r.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	s, err := Open(r.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got, err := s.Revocations(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]traffic.Revocation{newer, delta}, got); diff != "" {
		t.Error(diff)
	}
}

// TestRevocationOldFile: a file of before is read as one without evidence, and
// gets the table when it is gone on with.
func TestRevocationOldFile(t *testing.T) {
	s := variety(t)
	s.version = revocationSince - 1
	if got, err := s.Revocations(t.Context()); err != nil || len(got) > 0 {
		t.Errorf("%v, %v", got, err)
	}
}
