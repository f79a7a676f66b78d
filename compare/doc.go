// Package compare says where two messages differ in meaning.
//
// Two decoded messages go in, with a table of what may vary; a list of
// differences comes out, each with its place, both values, and, when it may
// vary, the row of the table that lets it. White space, the order of
// attributes, prefixes of namespaces, chunking and compression are no
// differences: they are other ways to write the same.
//
// The package does no I/O, keeps no state and never fails on what came from the
// wire: text that is no XML is compared as text.
package compare
