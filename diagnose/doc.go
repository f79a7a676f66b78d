// Package diagnose turns facts into findings: why a handshake failed, and what
// a code means.
//
// [Judge] takes the [Evidence] of one connection (the raw bytes of its
// handshakes, what its requests came to, what other connections tell) and gives
// findings, causes first; [Fold] joins those of many connections. [Explain]
// takes codes as they stand in logs and gives their meaning.
//
// The package does no I/O, keeps no state, and never says more than its evidence
// allows: a finding is certain only when the bytes prove it, and what is not
// known is said to be not known.
package diagnose
