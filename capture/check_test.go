package capture

import (
	"strings"
	"testing"
)

// TestCheckFinds damages a capture in every way that Check knows, and expects
// it to be told: a check that cannot fail is none.
func TestCheckFinds(t *testing.T) {
	for _, c := range []struct{ damage, says string }{
		{`UPDATE chunk SET offset = offset + 5 WHERE exchange = 2 AND dir = 1`, "bytes are missing"},
		{`UPDATE chunk SET bytes = substr(bytes, 1, 10) WHERE id = (SELECT max(id) FROM chunk WHERE exchange = 2)`, "another number of bytes"},
		{`UPDATE wire SET same_body = 1, head = 1 WHERE exchange = 1 AND dir = 2`, "a changed head"},
		{`UPDATE list SET req_bytes = 1 WHERE id = 1`, "the request's size"},
		{`UPDATE list SET resp_bytes = 1 WHERE id = 1`, "the reply's size"},
		{`UPDATE chunk SET exchange = 77 WHERE exchange = 1`, "bytes without"},
		{`UPDATE wire SET exchange = 77 WHERE exchange = 1`, "a message without"},
		{`INSERT INTO found SELECT NULL, 77, 1, 1, 0, 0, '', 0, '', '', '', NULL, 0`, "a finding without"},
		{`UPDATE list SET agent = 77 WHERE id = 1`, "an unknown agent: 77"},
		{`UPDATE list SET kind = 7777 WHERE id = 1`, "an unknown name"},
		{`UPDATE wire SET root = 7777 WHERE exchange = 1`, "a message with an unknown name"},
		{`INSERT INTO found SELECT NULL, 1, 1, 7777, 0, 0, '', 0, '', '', '', NULL, 0`, "unknown kind"},
		{`UPDATE agent SET errors = errors + 1`, "an agent's errors"},
		{`DELETE FROM minute`, "the minutes' exchanges"},
		{`UPDATE list SET sev = sev + 1 WHERE id = 1`, "the severity differs"},
	} {
		r := record(t, steady())
		p := newPlay(r.Take)
		p.pieces = 1000
		playSamples(t, p)
		closeRecorder(t, r)
		mustBeSound(t, openTest(t, r.Path()))
		db, err := openDB(r.Path(), "mode=rw")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec(c.damage); err != nil {
			t.Fatal(c.damage, err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		problems, err := openTest(t, r.Path()).Check(bg)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, p := range problems {
			all = append(all, p.String())
		}
		if !strings.Contains(strings.Join(all, "\n"), c.says) {
			t.Errorf("after %s: %q, want %q", c.damage, all, c.says)
		}
	}
}

// TestEveryInvariantIsTested counts, so that a new one needs a test.
func TestEveryInvariantIsTested(t *testing.T) {
	const damages = 15
	if len(invariants) != damages {
		t.Errorf("%d invariants, %d ways of damage in TestCheckFinds", len(invariants), damages)
	}
}
