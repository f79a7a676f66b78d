// Package traffic has the nouns: what crossed the wire, as facts that anyone
// may read.
//
// The proxy fills these values while bytes pass, the recorder stores them, and
// decoders, rules and screens read them. Nothing here decides, does I/O, or
// knows ConfigMgr: a [Head] is an HTTP head, a message's XML header lives in
// package decode. Every value is frozen once it was given to somebody else.
package traffic
