package traffic

import "time"

// RevocationKind says what was fetched.
type RevocationKind string

// The kinds of revocation evidence.
const (
	RevocationList  RevocationKind = "crl"
	RevocationDelta RevocationKind = "delta"
	// RevocationIssuer is an issuer's certificate (authority information
	// access), which a chain without its intermediate needs.
	RevocationIssuer RevocationKind = "issuer"
)

// RevocationResult says what came of a fetch.
type RevocationResult string

// The results of a fetch.
const (
	RevocationGood        RevocationResult = "good"        // what was wanted came
	RevocationSkipped     RevocationResult = "skipped"     // it was not tried; Err says why
	RevocationUnreachable RevocationResult = "unreachable" // no HTTP answer came
	RevocationStatus      RevocationResult = "status"      // the answer was not 200
	RevocationPage        RevocationResult = "page"        // a page for people came in its place
	RevocationUnreadable  RevocationResult = "unreadable"  // something else came in its place
	RevocationTooLarge    RevocationResult = "too-large"
)

// Revocation is what mpproxy's own fetch of one URL came to, for one
// certificate that names it.
type Revocation struct {
	URL    string
	Kind   RevocationKind
	Result RevocationResult
	// Issuer and Serial are the certificate's: the issuer's name in words, the
	// serial number in lower-case hex, by whole bytes.
	Issuer, Serial string
	// Fetched is when the fetch began, Took how long it lasted.
	Fetched time.Time
	Took    time.Duration
	// Status and ContentType are the answer's; Status is 0 without one.
	Status      int
	ContentType string
	// Size is the answer's, in bytes.
	Size int64
	// Err says why nothing good came; empty when it did.
	Err string
	// ThisUpdate and NextUpdate are the list's. NextUpdate is zero when it
	// names none.
	ThisUpdate, NextUpdate time.Time
	// Entries is how many certificates the list revokes.
	Entries int
	// Signature is "good" or "bad", empty when the issuer is not at hand: of a
	// list by the certificate's issuer, of an issuer on the certificate.
	Signature string
	// Revoked is true when the list has the certificate; Reason and RevokedAt
	// are then what it says.
	Revoked   bool
	Reason    string
	RevokedAt time.Time
}
