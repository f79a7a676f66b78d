package mpsim

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// bitsStep is one packet and what it must be answered; session "S" stands for
// the session that is open.
type bitsStep struct {
	packet bitsPacket
	status int
	fields map[string]string // those that must be there, with their values
}

func fragment(from, to, total int) bitsPacket {
	const file = "0123456789"
	return bitsPacket{
		kind: "Fragment", session: "S", url: "/CCM_Incoming/F",
		contentRange: fmt.Sprintf("bytes %d-%d/%d", from, to, total), body: []byte(file[from : to+1]),
	}
}

func next(offset string) map[string]string {
	return map[string]string{"BITS-Packet-Type": "Ack", "BITS-Session-Id": "S", "BITS-Received-Content-Range": offset}
}

func TestBITSStates(t *testing.T) {
	var (
		open = bitsStep{
			bitsPacket{kind: "Create-Session", url: "/CCM_Incoming/F", protocols: "{00000000-0000-0000-0000-000000000000} " + bitsProtocol},
			201,
			map[string]string{"BITS-Packet-Type": "Ack", "BITS-Protocol": bitsProtocol, "BITS-Session-Id": "S"},
		}
		closing = bitsPacket{kind: "Close-Session", session: "S"}
		cancel  = bitsPacket{kind: "CANCEL-SESSION", session: "S"}
		ack     = map[string]string{"BITS-Packet-Type": "Ack", "BITS-Session-Id": "S"}
		unknown = map[string]string{"BITS-Error": bitsNoSession, "BITS-Error-Code": bitsNoSession, "BITS-Error-Context": "0x5"}
		wrong   = map[string]string{"BITS-Error": bitsBadArgument}
	)
	tests := []struct {
		name      string
		steps     []bitsStep
		delivered []string // name and content
	}{
		{"ping needs no session", []bitsStep{{bitsPacket{kind: "Ping"}, 200, map[string]string{"BITS-Packet-Type": "Ack"}}}, nil},
		{"unknown protocol", []bitsStep{{bitsPacket{kind: "Create-Session", protocols: "{00000000-0000-0000-0000-000000000000}"}, 400, wrong}}, nil},
		{"unknown session", []bitsStep{
			{fragment(0, 4, 10), 500, unknown}, {closing, 500, unknown}, {cancel, 500, unknown},
		}, nil},
		{"unknown packet", []bitsStep{open, {bitsPacket{kind: "Hello", session: "S"}, 400, wrong}}, nil},
		{"whole in one", []bitsStep{open, {fragment(0, 9, 10), 200, next("10")}, {closing, 200, ack}}, []string{"F 0123456789"}},
		{"in pieces", []bitsStep{open, {fragment(0, 3, 10), 200, next("4")}, {fragment(4, 9, 10), 200, next("10")}}, []string{"F 0123456789"}},
		{"a gap, then from where it was wanted", []bitsStep{
			open,
			{fragment(0, 3, 10), 200, next("4")},
			{fragment(6, 9, 10), 416, map[string]string{"BITS-Received-Content-Range": "4", "BITS-Error": bitsBadRange, "BITS-Session-Id": "S"}},
			{fragment(4, 9, 10), 200, next("10")},
		}, []string{"F 0123456789"}},
		{"overlap takes what is new", []bitsStep{open, {fragment(0, 5, 10), 200, next("6")}, {fragment(2, 9, 10), 200, next("10")}}, []string{"F 0123456789"}},
		{"all old", []bitsStep{open, {fragment(0, 5, 10), 200, next("6")}, {fragment(1, 3, 10), 200, next("6")}}, nil},
		{"another total", []bitsStep{open, {fragment(0, 3, 10), 200, next("4")}, {fragment(4, 7, 9), 400, wrong}}, nil},
		{"repeated after the end", []bitsStep{
			open,
			{fragment(0, 9, 10), 200, next("10")},
			{fragment(5, 9, 10), 200, next("10")},
			{closing, 200, ack},
		}, []string{"F 0123456789"}},
		{"close before the end drops", []bitsStep{open, {fragment(0, 3, 10), 200, next("4")}, {closing, 200, ack}, {fragment(4, 9, 10), 500, unknown}}, nil},
		{"cancel before the end drops", []bitsStep{open, {fragment(0, 3, 10), 200, next("4")}, {cancel, 200, ack}}, nil},
		{"cancel after the end keeps", []bitsStep{open, {fragment(0, 9, 10), 200, next("10")}, {cancel, 200, ack}}, []string{"F 0123456789"}},
		{"range and body differ", []bitsStep{open, {bitsPacket{kind: "Fragment", session: "S", contentRange: "bytes 0-4/10", body: []byte("0")}, 400, wrong}}, nil},
		{"no range", []bitsStep{open, {bitsPacket{kind: "Fragment", session: "S", body: []byte("0")}, 400, wrong}}, nil},
		{"too large", []bitsStep{open, {bitsPacket{kind: "Fragment", session: "S", contentRange: fmt.Sprintf("Bytes 0-0/%d", uploadLimit+1), body: []byte("0")}, 400, wrong}}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var delivered []string
			b := newBITS(noon, func(name string, data []byte) { delivered = append(delivered, name+" "+string(data)) })
			session := ""
			for i, step := range test.steps {
				if step.packet.session == "S" {
					step.packet.session = strings.ToLower(session) // ids are compared without case
				}
				answer := b.packet(step.packet)
				if answer.status = max(answer.status, 200); answer.status != step.status {
					t.Fatalf("packet %d, %s: status %d, want %d", i, step.packet.kind, answer.status, step.status)
				}
				got := map[string]string{}
				for _, f := range answer.fields {
					if _, wanted := step.fields[f.name]; wanted {
						got[f.name] = f.value
					}
				}
				if step.packet.kind == "Create-Session" && answer.status == 201 {
					session = got["BITS-Session-Id"]
				}
				if id := got["BITS-Session-Id"]; id != "" && strings.EqualFold(id, session) {
					got["BITS-Session-Id"] = "S"
				}
				if diff := cmp.Diff(step.fields, got); diff != "" {
					t.Errorf("packet %d, %s: fields differ:\n%s", i, step.packet.kind, diff)
				}
			}
			if diff := cmp.Diff(test.delivered, delivered); diff != "" {
				t.Errorf("delivered files differ:\n%s", diff)
			}
		})
	}
}

func newBITS(now func() time.Time, deliver func(string, []byte)) *bitsServer {
	return &bitsServer{
		now: now, deliver: deliver, sessions: map[string]*bitsSession{},
		newID: func(url string, n int) string { return guid(1, url, fmt.Sprint(n)) },
	}
}

func TestBITSSessionEndsWhenIdle(t *testing.T) {
	now := noon()
	b := newBITS(func() time.Time { return now }, func(string, []byte) {})
	id := b.packet(bitsPacket{kind: "Create-Session", protocols: bitsProtocol}).fields[2].value
	p := fragment(0, 3, 10)
	p.session = id
	now = now.Add(bitsIdleLimit)
	if answer := b.packet(p); answer.status != 0 {
		t.Errorf("the session ended too early: status %d", answer.status)
	}
	now = now.Add(bitsIdleLimit + time.Second)
	if answer := b.packet(p); answer.status != 500 {
		t.Errorf("after two idle weeks: status %d, want 500", answer.status)
	}
}

// Whatever order fragments come in, what is delivered is the file, once.
func FuzzBITSDelivers(f *testing.F) {
	f.Add([]byte{0x04, 0x49})
	f.Add([]byte{0x09, 0x59, 0x09})
	f.Fuzz(func(t *testing.T, ranges []byte) {
		var delivered []string
		b := newBITS(noon, func(_ string, data []byte) { delivered = append(delivered, string(data)) })
		id := b.packet(bitsPacket{kind: "Create-Session", url: "/F", protocols: bitsProtocol}).fields[2].value
		for _, r := range ranges {
			from, to := int(r>>4)%10, int(r&15)%10
			if from > to {
				continue
			}
			p := fragment(from, to, 10)
			p.session = id
			b.packet(p)
		}
		if len(delivered) > 1 || len(delivered) == 1 && delivered[0] != "0123456789" {
			t.Errorf("delivered %q", delivered)
		}
	})
}
