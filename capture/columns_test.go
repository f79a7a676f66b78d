package capture

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"mpproxy/traffic"
)

// A capture that an earlier mpproxy made has to be read as it is, and gone on
// with: evidence is kept so that a better program can judge it again.
func TestEarlierColumns(t *testing.T) {
	r := record(t, steady())
	take := func(id traffic.ConnID) {
		c := traffic.Conn{ID: id, Listener: "https://127.0.0.1:8443", Mode: "reverse", Agent: "192.0.2.77:51322", Opened: start, Closed: start.Add(time.Second)}
		r.Take(traffic.ConnOpened{Conn: c})
		r.Take(traffic.HandshakeOver{Conn: id, Handshake: &traffic.Handshake{Side: traffic.AgentSide, Began: start, Ended: start, PassedThrough: true, In: []byte{22, 3, 1}}})
		r.Take(traffic.HandshakeOver{Conn: id, Handshake: &traffic.Handshake{Side: traffic.AgentSide, Began: start, Ended: start, Err: "EOF"}})
		r.Take(traffic.ConnClosed{Conn: c})
	}
	take(1)
	closeRecorder(t, r)
	db, err := openDB(r.Path(), "mode=rw")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range laterColumns {
		_, e := db.Exec(fmt.Sprintf("ALTER TABLE %s DROP COLUMN %s", c.table, c.name))
		err = errors.Join(err, e)
	}
	_, e := db.Exec("DROP TABLE revocation; DROP TABLE tls_bytes; DROP TABLE tls_secret; DROP TABLE handshake_opened; PRAGMA user_version = 1")
	if err = errors.Join(err, e, db.Close()); err != nil {
		t.Fatal(err)
	}
	sound := func(conns int) {
		t.Helper()
		s := openTest(t, r.Path())
		mustBeSound(t, s)
		rows, err := s.Conns(bg, 0, Newer, 10)
		if err != nil || len(rows) != conns {
			t.Fatalf("%d connections, %v; want %d", len(rows), err, conns)
		}
		for _, row := range rows {
			hs, err := s.Handshakes(bg, row.ID)
			if err != nil || len(hs) != 2 || !hs[0].PassedThrough || hs[1].PassedThrough || row.Failed != 1 {
				t.Errorf("connection %d: %+v, %v, %d failed", row.ID, hs, err, row.Failed)
			}
		}
	}
	sound(1)
	again, err := Create(r.Path(), steady())
	if err != nil {
		t.Fatal(err)
	}
	r = again
	take(2)
	closeRecorder(t, r)
	sound(2)
}
