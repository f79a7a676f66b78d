// Package view says what a screen or a printed line shows of a thing in a
// capture, as text without a terminal.
//
// Values of package capture go in; cleaned text, columns and labelled facts
// come out. The screen draws them and the commands print them, so that both say
// the same. The package holds no state and does no I/O but reading the store.
package view
