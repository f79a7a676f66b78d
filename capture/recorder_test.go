package capture

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mpproxy/decode"
	"mpproxy/traffic"
)

var bg = context.Background()

// samples plays the messages of the samples on one connection.
func playSamples(t testing.TB, p *play) {
	c := p.open("192.0.2.12:50001")
	p.exchange(c, sample(t, "01-registration-request.http"), sample(t, "02-registration-reply.http"))
	p.exchange(c, sample(t, "03-policy-request.http"), sample(t, "04-policy-reply.http"))
	p.exchange(c, sample(t, "05-metering-request.http"), sample(t, "06-async-ack.http"))
	p.exchange(c, sample(t, "07-policy-body-request.http"), sample(t, "08-policy-body-reply.http"))
	p.exchange(c, sample(t, "11-state-request.http"), nil)
	p.close(c)
}

// TestRoundTrip holds what comes out of a capture against what went in: a
// difference means that evidence is lost or changed.
func TestRoundTrip(t *testing.T) {
	for name, pieces := range map[string]int{"one piece": 0, "pieces of 100 bytes": 100} {
		t.Run(name, func(t *testing.T) {
			r := record(t, steady())
			p := newPlay(r.Take)
			p.pieces = pieces
			playSamples(t, p)
			closeRecorder(t, r)
			s := openTest(t, r.Path())
			mustBeSound(t, s)
			for _, want := range p.told {
				got, err := s.Exchange(bg, want.ID)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("exchange %d (-told +read):\n%s", want.ID, diff)
				}
			}
		})
	}
}

// TestRows holds the list's columns of known traffic.
func TestRows(t *testing.T) {
	r := record(t, steady())
	p := newPlay(r.Take)
	playSamples(t, p)
	closeRecorder(t, r)
	s := openTest(t, r.Path())
	rows, err := s.Page(bg, nil, 0, Older, 10)
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 5 {
		t.Fatalf("%d rows, want 5", len(rows))
	}
	for i, x := range p.told {
		row := rows[i]
		method, target, _ := x.Request.Head.Request()
		want := Row{
			ID: x.ID, Conn: 1, Begun: x.Begun, Replied: x.Replied, Ended: x.Ended, Address: "192.0.2.12",
			Method: method, Target: target, Status: x.Reply.Head.Status(), Fate: traffic.Passed, Origin: "agent",
			ReqBytes: x.Request.Size, RespBytes: x.Reply.Size,
			// what the decoder says is its own tests' business
			Agent: row.Agent, Client: row.Client, Kind: row.Kind, Endpoint: row.Endpoint, Short: row.Short, Long: row.Long,
			Sev: row.Sev, Auth: row.Auth,
		}
		if diff := cmp.Diff(want, row); diff != "" {
			t.Errorf("row %d (-want +got):\n%s", x.ID, diff)
		}
	}
	if rows[1].Kind != "policy-request" || rows[1].Endpoint != "MP_PolicyManager" {
		t.Errorf("kind and endpoint of a policy request: %q, %q", rows[1].Kind, rows[1].Endpoint)
	}
	if rows[3].Who() != rows[2].Who() {
		t.Errorf("a download of the same connection belongs to %q, want %q", rows[3].Who(), rows[2].Who())
	}
}

// TestMessage decodes from the file what the decoder gives for the bytes.
func TestMessage(t *testing.T) {
	r := record(t, steady())
	p := newPlay(r.Take)
	playSamples(t, p)
	closeRecorder(t, r)
	s := openTest(t, r.Path())
	m, err := s.Message(bg, 2, traffic.Reply, decode.Full)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(m.Text.String, "<ReplyAssignments") {
		t.Errorf("the policy reply's text begins with %.40q", m.Text.String)
	}
	if _, err := s.Message(bg, 5, traffic.Reply, decode.Full); !errors.Is(err, ErrNone) {
		t.Errorf("a reply that never came: %v, want ErrNone", err)
	}
	if _, err := s.Message(bg, 99, traffic.Request, decode.Full); !errors.Is(err, ErrNone) {
		t.Errorf("an exchange that never was: %v, want ErrNone", err)
	}
	body, err := s.Wire(bg, 1, traffic.Request, false)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(body.Reader())
	if want := sample(t, "01-registration-request.http"); err != nil || !bytes.Equal(want, got) {
		t.Errorf("wire bytes differ (%v): %d, want %d", err, len(got), len(want))
	}
}

// TestForwarded keeps what mpproxy wrote instead, also when only the head
// differs and the body is not kept twice.
func TestForwarded(t *testing.T) {
	r := record(t, steady())
	p := newPlay(r.Take)
	c := p.open("192.0.2.12:50001")
	request := message("POST /a HTTP/1.1", "the body")
	sent := message("POST /b HTTP/1.1", "the body")
	reply := message("HTTP/1.1 200 OK", "as received")
	returned := message("HTTP/1.1 403 Forbidden", "changed")
	x := p.begin(c, request)
	_, head := splitHead(sent)
	p.bytes(x.ID, traffic.Request, true, head.Raw)
	p.bytes(x.ID, traffic.Reply, true, returned)
	p.end(x, reply, func(x *traffic.Exchange) {
		x.Fate, x.Rules, x.Tags = traffic.Modified, []string{"first", "second"}, []string{"tag"}
		x.Sent = &traffic.Wire{Head: head, Size: int64(len(sent)), Framing: traffic.ByLength, Whole: true, SameBody: true}
		_, h := splitHead(returned)
		x.Returned = &traffic.Wire{Head: h, Size: int64(len(returned)), Framing: traffic.ByLength, Whole: true}
	})
	p.close(c)
	closeRecorder(t, r)
	s := openTest(t, r.Path())
	mustBeSound(t, s)
	got, err := s.Exchange(bg, 1)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(x, got); diff != "" {
		t.Errorf("(-told +read):\n%s", diff)
	}
	for _, v := range []struct {
		dir       traffic.Dir
		forwarded bool
		want      []byte
	}{
		{traffic.Request, false, request},
		{traffic.Request, true, sent},
		{traffic.Reply, false, reply},
		{traffic.Reply, true, returned},
	} {
		body, err := s.Wire(bg, 1, v.dir, v.forwarded)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(body.Reader())
		if err != nil || !bytes.Equal(b, v.want) {
			t.Errorf("%v, forwarded %v: %q (%v), want %q", v.dir, v.forwarded, b, err, v.want)
		}
	}
	row, err := s.Row(bg, 1)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"first", "second"}, row.Rules); diff != "" || row.Tags[0] != "tag" {
		t.Errorf("rules %v, tags %v", row.Rules, row.Tags)
	}
}

// TestLargeBody passes a body larger than what stays in memory, in pieces that
// do not fit the rows.
func TestLargeBody(t *testing.T) {
	r := record(t, steady())
	p := newPlay(r.Take)
	p.pieces = 100_000
	c := p.open("192.0.2.12:50001")
	content := strings.Repeat("0123456789abcdef", 100_000)
	request := message("POST /upload HTTP/1.1", content)
	p.exchange(c, request, message("HTTP/1.1 200 OK", ""))
	p.close(c)
	closeRecorder(t, r)
	s := openTest(t, r.Path())
	mustBeSound(t, s)
	body, err := s.Wire(bg, 1, traffic.Request, false)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(body.Reader())
	if err != nil || !bytes.Equal(got, request) {
		t.Fatalf("%d bytes (%v) differ from the %d that passed", len(got), err, len(request))
	}
	part := make([]byte, 1000)
	if n, err := body.ReadAt(part, 262_000); n != 1000 || err != nil || !bytes.Equal(part, request[262_000:263_000]) {
		t.Errorf("a range over two pieces: %d, %v", n, err)
	}
	if n, err := body.ReadAt(part, body.Size()-10); n != 10 || !errors.Is(err, io.EOF) {
		t.Errorf("a range over the end: %d, %v, want 10 and EOF", n, err)
	}
	var largest int
	if err := s.db.QueryRow(`SELECT max(length(bytes)) FROM chunk`).Scan(&largest); err != nil || largest > chunkLimit {
		t.Errorf("the largest piece has %d bytes (%v), want at most %d", largest, err, chunkLimit)
	}
}

// TestInFlight shows what is under way: the row, and its bytes so far.
func TestInFlight(t *testing.T) {
	r := record(t, steady())
	p := newPlay(r.Take)
	c := p.open("192.0.2.12:50001")
	x := p.begin(c, message("POST /ccm_system/request HTTP/1.1", "half"))
	flush(t, r)
	s := openTest(t, r.Path())
	row, err := s.Row(bg, 1)
	if err != nil {
		t.Fatal(err)
	}
	if row.Fate != traffic.InFlight || row.Target != "/ccm_system/request" || row.Address != "192.0.2.12" || !row.Ended.IsZero() {
		t.Errorf("row in flight: %+v", row)
	}
	open, err := s.Exchange(bg, 1)
	if err != nil {
		t.Fatal(err)
	}
	if open.Request.Size != x.Request.Size || open.Request.Whole {
		t.Errorf("%d bytes of the request, whole %v, want %d and not known to be whole", open.Request.Size, open.Request.Whole, x.Request.Size)
	}
	mustBeSound(t, s)
	p.end(x, message("HTTP/1.1 200 OK", ""))
	flush(t, r)
	if row, err = s.Row(bg, 1); err != nil || row.Fate != traffic.Passed || row.Status != 200 {
		t.Errorf("after the end: %+v, %v", row, err)
	}
}

// TestBeginRowsOnlyWhenOpen holds that a quick exchange is written once: a
// second write would double the work of the whole recorder.
func TestBeginRowsOnlyWhenOpen(t *testing.T) {
	r := record(t, Options{After: func(time.Duration) <-chan time.Time { return nil }, SummaryOnly: true})
	p := newPlay(r.Take)
	playSamples(t, p)
	flush(t, r)
	s := openTest(t, r.Path())
	var changes int
	if err := s.db.QueryRow(`SELECT count(*) FROM change`).Scan(&changes); err != nil || changes != 0 {
		t.Errorf("%d rows were written twice (%v)", changes, err)
	}
}

// TestCloseBreaksOff ends what is open as broken off.
func TestCloseBreaksOff(t *testing.T) {
	r := record(t, steady())
	p := newPlay(r.Take)
	c := p.open("192.0.2.12:50001")
	p.begin(c, message("POST /ccm_system/request HTTP/1.1", "half"))
	closeRecorder(t, r)
	s := openTest(t, r.Path())
	mustBeSound(t, s)
	x, err := s.Exchange(bg, 1)
	if err != nil {
		t.Fatal(err)
	}
	if x.Fate != traffic.Broken || len(x.Findings) != 1 || x.Findings[0].Kind.Code != "store-stopped" {
		t.Errorf("fate %q, findings %v", x.Fate, x.Findings)
	}
	conn, err := s.Conn(bg, 1)
	if err != nil || conn.Closed.IsZero() {
		t.Errorf("the connection is still open: %v, %v", conn, err)
	}
}

// TestOneFile holds that a closed capture is one file that opens where nothing
// can be written.
func TestOneFile(t *testing.T) {
	r := record(t, steady())
	playSamples(t, newPlay(r.Take))
	closeRecorder(t, r)
	dir := filepath.Dir(r.Path())
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Fatalf("files %v (%v), want the capture alone", files, err)
	}
	info, err := files[0].Info()
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v (%v), want 0600", info.Mode(), err)
	}
	if err := os.Chmod(r.Path(), 0o400); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(dir, 0o700) })
	s := openTest(t, r.Path())
	if n, err := s.Count(bg, nil); n != 5 || err != nil {
		t.Errorf("%d rows (%v), want 5", n, err)
	}
}

// TestAppend goes on in a file with the numbers that are free.
func TestAppend(t *testing.T) {
	r := record(t, steady())
	playSamples(t, newPlay(r.Take))
	closeRecorder(t, r)
	again, err := Create(r.Path(), steady())
	if err != nil {
		t.Fatal(err)
	}
	conn, exchange := again.NextIDs()
	if conn != 2 || exchange != 6 {
		t.Errorf("next numbers %d, %d, want 2, 6", conn, exchange)
	}
	p := newPlay(again.Take)
	p.conns, p.exchanges = conn-1, exchange-1
	playSamples(t, p)
	closeRecorder(t, again)
	s := openTest(t, r.Path())
	mustBeSound(t, s)
	if n, err := s.Count(bg, nil); n != 10 || err != nil {
		t.Errorf("%d rows (%v), want 10", n, err)
	}
}

// TestCreateRefuses leaves alone what it must not write to.
func TestCreateRefuses(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "letter.txt")
	const letter = "Dear Sir or Madam, this is not a capture. It is long enough to have had a header of a hundred bytes, though."
	if err := os.WriteFile(text, []byte(letter), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(text, Options{}); !errors.Is(err, ErrForeign) {
		t.Errorf("a text file: %v, want ErrForeign", err)
	}
	if b, _ := os.ReadFile(text); string(b) != letter {
		t.Error("the text file was changed")
	}
	r := record(t, steady())
	if _, err := Create(r.Path(), Options{}); !errors.Is(err, ErrInUse) {
		t.Errorf("a file that is being recorded to: %v, want ErrInUse", err)
	}
	closeRecorder(t, r)
	setVersion(t, r.Path(), 99)
	if _, err := Create(r.Path(), Options{}); !errors.Is(err, ErrNewer) {
		t.Errorf("a file of a newer version: %v, want ErrNewer", err)
	}
	if _, err := Open(r.Path()); !errors.Is(err, ErrNewer) {
		t.Errorf("open a file of a newer version: %v, want ErrNewer", err)
	}
}

func setVersion(t *testing.T, path string, version byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte{0, 0, 0, version}, 60); err != nil {
		t.Fatal(err)
	}
}

// TestOpenDamaged tells damage from other errors.
func TestOpenDamaged(t *testing.T) {
	r := record(t, steady())
	playSamples(t, newPlay(r.Take))
	closeRecorder(t, r)
	whole, err := os.ReadFile(r.Path())
	if err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(t.TempDir(), "broken.mpdb")
	for i := pageSize; i < len(whole); i++ {
		whole[i] = 'x'
	}
	if err := os.WriteFile(broken, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Open(broken)
	if err == nil {
		defer s.Close()
		_, err = s.Page(bg, nil, 0, Older, 10)
	}
	if !errors.Is(err, ErrDamaged) {
		t.Errorf("overwritten pages: %v, want ErrDamaged", err)
	}
	empty := filepath.Join(t.TempDir(), "empty.mpdb")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(empty); !errors.Is(err, ErrForeign) {
		t.Errorf("an empty file: %v, want ErrForeign", err)
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none.mpdb")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v, want ErrNotExist", err)
	}
}

// TestFull goes on when the file may not grow, and says what was lost.
func TestFull(t *testing.T) {
	opts := steady()
	opts.MaxSize, opts.SummaryOnly = 60*pageSize, true
	r := record(t, opts)
	p := newPlay(r.Take)
	c := p.open("192.0.2.12:50001")
	for range 40 {
		p.exchange(c, message("POST /a HTTP/1.1", strings.Repeat("x", 64<<10)), message("HTTP/1.1 200 OK", ""))
		flush(t, r)
	}
	st := r.Stats()
	if st.LostEvents == 0 || st.Err == nil || st.Exchanges == 0 {
		t.Errorf("stats %+v, want some recorded and some lost", st)
	}
	if err := r.Close(bg); err == nil || !strings.Contains(err.Error(), "not recorded") {
		t.Errorf("close: %v, want what was lost", err)
	}
	s := openTest(t, r.Path())
	mustBeSound(t, s)
	if n, err := s.Count(bg, nil); err != nil || n < st.Exchanges {
		t.Errorf("%d rows (%v), want at least the %d that were recorded", n, err, st.Exchanges)
	}
	var open int
	if err := s.db.QueryRow(`SELECT count(*) FROM exchange WHERE fate = 'open'`).Scan(&open); err != nil || open != 0 {
		t.Errorf("%d rows are still in flight (%v) after the end", open, err)
	}
}

// TestTakeWaits holds that a full queue makes connections wait, and that none
// of their events is lost.
func TestTakeWaits(t *testing.T) {
	opts := steady()
	opts.Queue, opts.SummaryOnly = 4, true
	r := record(t, opts)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var conns traffic.ConnID
	var exchanges traffic.ExchangeID
	const agents, each = 8, 50
	for range agents {
		wg.Go(func() {
			p := newPlay(r.Take)
			mu.Lock()
			p.conns = conns
			conns++
			mu.Unlock()
			c := p.open("192.0.2.12:50001")
			for range each {
				mu.Lock()
				p.exchanges = exchanges
				exchanges++
				mu.Unlock()
				p.exchange(c, message("POST /a HTTP/1.1", "x"), message("HTTP/1.1 200 OK", "y"))
			}
			p.close(c)
		})
	}
	wg.Wait()
	flush(t, r)
	if st := r.Stats(); st.Waits == 0 || st.LostEvents != 0 || st.Exchanges != agents*each {
		t.Errorf("stats %+v, want waits, no loss, %d exchanges", st, agents*each)
	}
	closeRecorder(t, r)
	s := openTest(t, r.Path())
	mustBeSound(t, s)
	if n, err := s.Count(bg, nil); n != agents*each || err != nil {
		t.Errorf("%d rows (%v), want %d", n, err, agents*each)
	}
}

// TestAfterClose counts what comes too late instead of blocking or failing.
func TestAfterClose(t *testing.T) {
	r := record(t, steady())
	closeRecorder(t, r)
	playSamples(t, newPlay(r.Take))
	if st := r.Stats(); st.LostEvents == 0 {
		t.Errorf("stats %+v, want the late events counted", st)
	}
}

// TestReadOnlyMedium opens a file that is still in WAL mode where nothing can
// be written beside it: a reader had it open when the recorder ended, and then
// somebody copied it.
func TestReadOnlyMedium(t *testing.T) {
	r := record(t, steady())
	playSamples(t, newPlay(r.Take))
	flush(t, r)
	reader := openTest(t, r.Path())
	if _, err := reader.Last(bg); err != nil {
		t.Fatal(err)
	}
	closeRecorder(t, r)
	if info, err := os.Stat(r.Path() + "-wal"); err == nil && info.Size() > 0 {
		t.Errorf("the WAL has %d bytes after the end, want none", info.Size())
	}
	b, err := os.ReadFile(r.Path())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	copied := filepath.Join(dir, "copied.mpdb")
	if err := os.WriteFile(copied, b, 0o400); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(dir, 0o700) })
	s := openTest(t, copied)
	if n, err := s.Count(bg, nil); n != 5 || err != nil {
		t.Errorf("%d rows (%v), want 5", n, err)
	}
}

// TestAnswered: where mpproxy answers in the management point's place, the row
// has that answer's status and size, and the file is sound.
func TestAnswered(t *testing.T) {
	r := record(t, steady())
	p := newPlay(r.Take)
	c := p.open("192.0.2.12:50001")
	answer := message("HTTP/1.1 502 Bad Gateway", "out of reach")
	x := p.begin(c, message("GET /x HTTP/1.1", ""))
	p.bytes(x.ID, traffic.Reply, true, answer)
	p.end(x, nil, func(x *traffic.Exchange) {
		_, head := splitHead(answer)
		x.Fate = traffic.Answered
		x.Returned = &traffic.Wire{Head: head, Size: int64(len(answer)), Framing: traffic.ByLength, Whole: true}
	})
	p.close(c)
	closeRecorder(t, r)
	s := openTest(t, r.Path())
	mustBeSound(t, s)
	row, err := s.Row(bg, 1)
	if err != nil || row.Status != 502 || row.RespBytes != int64(len(answer)) {
		t.Errorf("status %d, %d bytes, %v; want the answer's", row.Status, row.RespBytes, err)
	}
}
