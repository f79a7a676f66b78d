// Package mpsim is a site in a box: management point, agents, PKI, faults on
// demand.
//
// A [Site] answers on any listener what a management point answers, checks what
// one checks, and keeps a record of what came. An [Agent] lives the life of a
// ConfigMgr client over a connection of its own. A [Scenario] sets both up, a
// [Fault] makes the site misbehave. Names, addresses and content are invented;
// two runs with one seed and one clock differ only in keys, and in what keys
// sign and encrypt.
//
// The bytes are written from the protocol notes alone and share no codec with
// package decode: with one codec for both, one misreading would pass every
// test. The package never opens a connection but to the address it is given,
// and keeps nothing on disk.
//
// Sources of the protocol facts: ConfigMgr 2007 SDK, management point message
// schema; [MC-BUP] for uploads; RFC 5652 for encrypted policies; the rest as
// seen in public tools and logs. Guesses are marked as inferred.
package mpsim
