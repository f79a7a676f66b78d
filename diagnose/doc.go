// Package diagnose turns facts into findings: why a handshake failed, and what
// a code means.
//
// Stored evidence and texts go in, findings and explanations come out. The
// package does no I/O, keeps no state, and never says more than its evidence
// allows: what is not known is said to be not known.
package diagnose
