// Package proxy moves bytes between agent and management point, asks the rules
// what to do, and reports what it saw.
//
// A connection comes in through a listener, perhaps through the door (CONNECT,
// by goproxy), perhaps through TLS; from there every way ends in the same
// relay, which reads only as much HTTP as it needs to know where a message
// begins and ends. What no rule changes is written as it was read.
//
//	socket → tap → (door) → (TLS) → relay → (TLS) → tap → socket
//	                                  └→ Sink
//
// What was seen goes to a [Sink] as traffic events. The package never decodes
// on its own account, never stores, and never judges why something failed: it
// collects the evidence.
package proxy
