// Package rules decides what happens to a message: pass, change, delay, drop,
// tag.
//
// A [Set] is asked with what is known of a message and answers with a
// [Verdict], a value; waiting, sending and closing are the proxy's. The package
// does no I/O, and never touches bytes that no action named.
package rules
