// Package revocation fetches what certificates name: revocation lists, delta
// lists and issuers.
//
// What is fetched stands in certificates that came over the wire, so the
// package trusts nothing of it: only http URLs, only GET, bounded in size, time,
// number and redirects, and never to an address of the own network unless the
// user allows that. A list is read without keeping its entries, whatever its
// size. The results are facts ([traffic.Revocation]); package diagnose judges.
package revocation
