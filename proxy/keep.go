package proxy

import (
	"bytes"
	"io"
	"time"

	"mpproxy/traffic"
)

// keepRecords tells the Sink of every byte of TLS that crosses a leg from now
// on, when that was asked for.
func (c *connection) keepRecords(t *tap, side traffic.Side) {
	if !c.s.KeepRecords {
		return
	}
	t.passed = func(in bool, at time.Time, p []byte) {
		c.s.Sink.Take(traffic.TLSPassed{Conn: c.facts.ID, Side: side, In: in, At: at, Data: bytes.Clone(p)})
	}
}

// keyLog is where the secrets of a leg's TLS go; nil is nowhere.
func (c *connection) keyLog(side traffic.Side) io.Writer {
	if !c.s.KeepRecords {
		return c.s.KeyLog
	}
	kept := secretWriter{c, side}
	if c.s.KeyLog == nil {
		return kept
	}
	return io.MultiWriter(c.s.KeyLog, kept)
}

// secretWriter gives lines of a key log to the Sink.
type secretWriter struct {
	c    *connection
	side traffic.Side
}

func (w secretWriter) Write(p []byte) (int, error) {
	w.c.s.Sink.Take(traffic.TLSSecret{Conn: w.c.facts.ID, Side: w.side, Line: string(bytes.TrimSpace(p))})
	return len(p), nil
}
