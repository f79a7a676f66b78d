package capture

import (
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mpproxy/decode"
	"mpproxy/traffic"
)

// TestConn holds a connection with TLS on both legs against what comes back:
// diagnosis rests on this evidence.
func TestConn(t *testing.T) {
	r := record(t, steady())
	leaf, ca := []byte("leaf certificate"), []byte("ca certificate")
	agent := &traffic.Handshake{
		Side: traffic.AgentSide, Began: start, Ended: start.Add(time.Millisecond), In: []byte{22, 3, 1}, Out: []byte{22, 3, 3},
		TLS: &traffic.TLSInfo{
			Version: 0x0303, Suite: 0xc02f, VersionName: "TLS 1.2", SuiteName: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
			ServerName: "mp01.lab.example", ALPN: "http/1.1",
		},
		InMarks: traffic.Marks{{Offset: 2, After: time.Millisecond}, {Offset: 3, After: 3 * time.Millisecond}}, OutMarks: traffic.Marks{{Offset: 3, After: time.Millisecond}},
		ClientCertAsked: true, OwnCertificates: [][]byte{leaf, ca},
	}
	upstream := &traffic.Handshake{
		Side: traffic.UpstreamSide, Began: start, Ended: start, In: []byte{21}, Out: []byte{22}, Err: "remote error: tls: handshake failure",
		PeerCertificates: [][]byte{leaf}, ClientCertAsked: true, OpenedIn: []byte{21, 3, 3, 0, 2, 2, 40}, OpenedOut: []byte{},
		Asked: &traffic.CertificateAsked{Authorities: [][]byte{{0x30, 0}}, Count: 2, Size: 9, Identity: "none, since mpproxy was given none", Unsuited: "no"},
	}
	c := traffic.Conn{
		ID: 1, Listener: "https://127.0.0.1:8443", Mode: "reverse", Agent: "192.0.2.77:51322", Upstream: "mp01.lab.example:443",
		Opened: start, Closed: start.Add(time.Second),
		AgentLeg: traffic.Leg{Address: "192.0.2.77:51322", BytesIn: 1, BytesOut: 2, Handshake: agent, End: traffic.EndProxy, EndedAt: start},
		UpstreamLeg: traffic.Leg{
			Address: "198.51.100.5:443", BytesIn: 3, BytesOut: 4, Handshake: upstream, End: traffic.EndAlert,
			EndedAt: start, Err: "alert 40",
			After: &traffic.Afterwards{
				In: []traffic.Record{{Type: 22, Length: 40, At: start.UnixMicro()}}, LastIn: 26, LastOut: 40,
				Again: &traffic.CertificateAsked{Identity: "CN=mpproxy"}, AskedAt: start.UnixMicro(), Shown: leaf, WriteErr: "broken pipe",
			},
		},
		Findings: []traffic.Finding{{
			Kind: &traffic.FindingKind{Code: "tls-test", Ref: "A1", Severity: traffic.Error, Title: "T", Why: "W", Remedy: "R", Inferred: true},
			Leg:  traffic.UpstreamSide, Layer: "wire", Offset: 7, Evidence: "alert 40", Sure: "likely", Who: "mp",
		}},
	}
	r.Take(traffic.ConnOpened{Conn: traffic.Conn{ID: 1, Listener: c.Listener, Mode: c.Mode, Agent: c.Agent, Opened: c.Opened}})
	r.Take(traffic.HandshakeOver{Conn: 1, Handshake: agent})
	flush(t, r)
	s := openTest(t, r.Path())
	open, err := s.Conn(bg, 1)
	if err != nil || !open.Closed.IsZero() || open.AgentLeg.Handshake == nil {
		t.Errorf("while open: %+v, %v", open, err)
	}
	r.Take(traffic.HandshakeOver{Conn: 1, Handshake: upstream})
	r.Take(traffic.ConnClosed{Conn: c})
	flush(t, r)
	got, err := s.Conn(bg, 1)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&c, got); diff != "" {
		t.Errorf("(-told +read):\n%s", diff)
	}
	rows, err := s.Conns(bg, 0, Older, 10)
	if err != nil || len(rows) != 1 {
		t.Fatalf("%d connections, %v", len(rows), err)
	}
	if row := rows[0]; row.AgentTLS != "1.2" || row.UpstreamTLS != "" || row.Handshakes != 2 || row.Failed != 1 || row.Sev != traffic.Error {
		t.Errorf("row %+v", row)
	}
	var ends string
	if err := s.db.QueryRow(`SELECT "end" FROM connection`).Scan(&ends); err != nil || ends != "upstream alert" {
		t.Errorf("the view says how it ended: %q (%v)", ends, err)
	}
	mustBeSound(t, s)
}

// TestFindings sums findings up by kind, and folds those that others explain.
func TestFindings(t *testing.T) {
	r := record(t, steady())
	p := newPlay(r.Take)
	c := p.open("192.0.2.12:50001")
	d := p.open("192.0.2.13:50001")
	for _, conn := range []traffic.Conn{c, c, d} {
		p.exchange(conn, message("POST /a HTTP/1.1", "x"), nil, func(x *traffic.Exchange) {
			x.Findings = []traffic.Finding{{Kind: testKinds[2], Who: "agent"}, {Kind: testKinds[0], Who: "mp", Offset: -1}}
		})
	}
	flush(t, r)
	s := openTest(t, r.Path())
	if err := s.Annotate(bg, Silence{Code: "test-info", Text: "known", Author: "me", At: start}); err != nil {
		t.Fatal(err)
	}
	fs, err := s.Findings(bg, 1)
	if err != nil || len(fs) < 2 {
		t.Fatalf("%v, %v", fs, err)
	}
	if fs[0].Kind.Code != "test-error" {
		t.Errorf("the first is %q, want the worst", fs[0].Kind.Code)
	}
	if last := fs[len(fs)-1]; last.Kind.Code != "test-info" || last.MootBy != "test-error" {
		t.Errorf("the last is %q, moot by %q, want test-info by test-error", last.Kind.Code, last.MootBy)
	}
	groups, err := s.FindingGroups(bg, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range groups {
		if g.Kind.Code == "test-info" && (g.Count != 3 || g.Agents != 2 || g.Moot != 3 || g.Who != "agent" || !g.Silenced) {
			t.Errorf("group %+v", g)
		}
	}
	all, err := s.FindingsOf(bg, "test-error", 2)
	if err != nil || len(all) != 2 || all[0].Exchange != 3 {
		t.Errorf("newest two: %+v, %v", all, err)
	}
	if row, err := s.Row(bg, 1); err != nil || row.Sev != traffic.Error {
		t.Errorf("severity of the row: %v, %v", row.Sev, err)
	}
}

// TestAgentsAndMinutes holds the sums that screens show instead of counting.
func TestAgentsAndMinutes(t *testing.T) {
	r := record(t, steady())
	p := newPlay(r.Take)
	playSamples(t, p)
	d := p.open("192.0.2.13:50001")
	p.now = p.now.Add(time.Minute)
	p.exchange(d, message("POST /a HTTP/1.1", "x"), nil, func(x *traffic.Exchange) {
		x.Findings = []traffic.Finding{{Kind: testKinds[0]}}
	})
	closeRecorder(t, r)
	again, err := Create(r.Path(), steady())
	if err != nil {
		t.Fatal(err)
	}
	q := newPlay(again.Take)
	q.conns, q.exchanges, q.now = p.conns, p.exchanges, p.now
	q.exchange(q.open("192.0.2.13:50002"), message("POST /a HTTP/1.1", "x"), nil)
	closeRecorder(t, again)

	s := openTest(t, r.Path())
	agents, err := s.Agents(bg)
	if err != nil {
		t.Fatal(err)
	}
	total := int64(0)
	for _, a := range agents {
		total += a.Exchanges
	}
	if first := agents[0]; first.Address != "192.0.2.13" || first.Exchanges != 2 || first.Errors != 1 || total != 7 {
		t.Errorf("agents %+v", agents)
	}
	minutes, err := s.Minutes(bg, time.Time{}, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	exchanges, errors, counted := int64(0), int64(0), uint32(0)
	for _, m := range minutes {
		exchanges, errors = exchanges+m.Exchanges, errors+m.Errors
		for _, n := range m.Took {
			counted += n
		}
	}
	if exchanges != 7 || counted != 7 || errors < 1 || !minutes[len(minutes)-1].At.After(minutes[0].At) {
		t.Errorf("%d exchanges, %d durations, %d errors in %d minutes", exchanges, counted, errors, len(minutes))
	}
	late, err := s.Minutes(bg, start.Add(time.Minute), time.Time{})
	if err != nil || len(late) != 1 || late[0].Exchanges != 2 {
		t.Errorf("minutes from 10:42 on: %+v, %v", late, err)
	}
}

func TestTookQuantile(t *testing.T) {
	var took Took
	for i := 1; i <= 1000; i++ {
		took.Add(time.Duration(i) * time.Millisecond)
	}
	took.Add(24 * time.Hour)
	took.Add(0)
	for q, want := range map[float64]time.Duration{0.5: 500 * time.Millisecond, 0.95: 950 * time.Millisecond} {
		if got := took.Quantile(q); got < want*3/4 || got > want*4/3 {
			t.Errorf("quantile %v is %v, want about %v", q, got, want)
		}
	}
	if tookOf(took.bytes()) != took {
		t.Error("the histogram does not come back from its bytes")
	}
	if (&Took{}).Quantile(0.5) != 0 {
		t.Error("an empty histogram has a quantile")
	}
}

// TestTotals holds the sums against what was told.
func TestTotals(t *testing.T) {
	r := record(t, steady())
	p := newPlay(r.Take)
	playSamples(t, p)
	closeRecorder(t, r)
	s := openTest(t, r.Path())
	got, err := s.Totals(bg)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(r.Path())
	if err != nil {
		t.Fatal(err)
	}
	want := Totals{
		First: 1, Last: 5, From: p.told[0].Begun, To: p.told[4].Begun, Conns: 1, Exchanges: 5, Size: info.Size(),
		Agents: got.Agents, Errors: got.Errors,
	} // whom and what the decoder found is not ours
	for _, x := range p.told {
		want.ReqBytes += x.Request.Size
		want.RespBytes += x.Reply.Size
	}
	if diff := cmp.Diff(want, got); diff != "" || got.Agents == 0 {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestIdentify holds whom an exchange belongs to when its message says only
// half of it.
func TestIdentify(t *testing.T) {
	const id = "GUID:5B1C7E40-9A3D-4F62-8E15-0D2A6C4B9F77"
	for _, c := range []struct{ name, client, wantName, wantClient string }{
		{"", "", "PC-1", id},
		{"", "{5b1c7e40-9a3d-4f62-8e15-0d2a6c4b9f77}", "PC-1", id},
		{"pc-1", "", "PC-1", id},
		{"PC-2", "", "PC-2", ""},
		{"", "GUID:00000000-9A3D-4F62-8E15-0D2A6C4B9F77", "", "GUID:00000000-9A3D-4F62-8E15-0D2A6C4B9F77"},
		{"", "no GUID", "", "no GUID"},
	} {
		conn := &openConn{name: "PC-1", client: id}
		name, client := conn.identify(decode.Row{Agent: c.name, Client: c.client})
		if name != c.wantName || client != c.wantClient {
			t.Errorf("%q, %q belongs to %q, %q, want %q, %q", c.name, c.client, name, client, c.wantName, c.wantClient)
		}
	}
}
