// Package doctor looks at a management point as an agent would, and at the
// machine that mpproxy runs on.
//
// [Probe] resolves, connects, tries TLS versions, reads the chain and its
// revocation lists, finds out when a client certificate is asked for, and asks
// for the lists that any agent may ask for; it never registers and sends no
// report. What it saw becomes evidence as a proxied connection's would, and
// package diagnose judges it. [Machine] checks authority, clock, files and
// ports. Both give lines to print.
package doctor
