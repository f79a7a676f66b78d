package mpsim

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// talk writes bytes to a site and reads the replies to n requests.
func talk(t *testing.T, url, wire string, methods ...string) []*http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, wire); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(conn)
	var replies []*http.Response
	for _, method := range methods {
		reply, err := http.ReadResponse(reader, &http.Request{Method: method})
		if err != nil {
			t.Fatalf("reply %d: %v", len(replies), err)
		}
		body, err := io.ReadAll(reply.Body)
		if err != nil {
			t.Fatalf("reply %d: %v", len(replies), err)
		}
		reply.Body = io.NopCloser(strings.NewReader(string(body)))
		replies = append(replies, reply)
	}
	return replies
}

func TestAnswers(t *testing.T) {
	_, url := start(t, SiteConfig{})
	tests := []struct {
		name, wire string
		method     string
		status     int
		field      string // a field that must be there, and
		value      string // its value
		body       string // a part of the body
	}{
		{"unknown path", "GET /nowhere HTTP/1.1\r\nHost: mp01\r\n\r\n", "GET", 404, "Content-Type", "text/html", "<!DOCTYPE html"},
		{"wrong verb", "POST /ccm_system/request HTTP/1.1\r\nHost: mp01\r\nContent-Length: 0\r\n\r\n", "POST", 405, "Allow", "CCM_POST", "verb"},
		{"case of the path", "GET /sms_mp/.SMS_AUT?mplist HTTP/1.1\r\nHost: mp01\r\n\r\n", "GET", 200, "Content-Type", "text/xml", "<MPList><MP Name=\"MP01.LAB.EXAMPLE\""},
		{"absolute form", "GET http://mp01/SMS_MP/.sms_aut?MPCERT HTTP/1.1\r\nHost: mp01\r\n\r\n", "GET", 200, "Content-Type", "text/xml", "<MPCertificate>"},
		{"trace", "GET /SMS_MP/.sms_aut?SMSTRC HTTP/1.1\r\nHost: mp01\r\n\r\n", "GET", 200, "Content-Type", "text/plain", "SMSTRC"},
		{"list of another site", "GET /SMS_MP/.sms_aut?MPLIST1&XYZ HTTP/1.1\r\nHost: mp01\r\n\r\n", "GET", 200, "Content-Type", "text/xml", "<MPList></MPList>"},
		{"unknown query", "GET /SMS_MP/.sms_aut?WHAT HTTP/1.1\r\nHost: mp01\r\n\r\n", "GET", 500, "Content-Type", "text/html", "not known"},
		{"no message", "CCM_POST /ccm_system/request HTTP/1.1\r\nHost: mp01\r\nContent-Length: 3\r\n\r\nabc", "CCM_POST", 200, "Content-Length", "0", ""},
		{"unknown policy", "GET /SMS_MP/.sms_pol?{00000000-0000-0000-0000-000000000000}.1_00 HTTP/1.1\r\nHost: mp01\r\n\r\n", "GET", 404, "", "", ""},
		{"windows authentication", "CCM_POST /ccm_system_windowsauth/request HTTP/1.1\r\nHost: mp01\r\nContent-Length: 0\r\n\r\n", "CCM_POST", 401, "Www-Authenticate", "Negotiate", ""},
		{"size of a file", "HEAD /SMS_DP_SMSPKG$/LAB00017/setup.exe HTTP/1.1\r\nHost: mp01\r\n\r\n", "HEAD", 200, "Content-Length", "180000", ""},
		{"list of files", "PROPFIND /SMS_DP_SMSPKG$/LAB00017 HTTP/1.1\r\nHost: mp01\r\nDepth: 1\r\nContent-Length: 0\r\n\r\n", "PROPFIND", 207, "Content-Type", "text/xml", "</D:multistatus>"},
		{"unknown package", "PROPFIND /SMS_DP_SMSPKG$/LAB00018 HTTP/1.1\r\nHost: mp01\r\nContent-Length: 0\r\n\r\n", "PROPFIND", 404, "", "", ""},
		{"too large", "CCM_POST /ccm_system/request HTTP/1.1\r\nHost: mp01\r\nContent-Length: 30000001\r\n\r\n", "CCM_POST", 413, "Connection", "close", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			reply := talk(t, url, test.wire, test.method)[0]
			body, err := io.ReadAll(reply.Body)
			if err != nil {
				t.Fatal(err)
			}
			if reply.StatusCode != test.status || !strings.Contains(string(body), test.body) {
				t.Errorf("%s, body %q; want %d and %q in it", reply.Status, body, test.status, test.body)
			}
			got := reply.Header.Get(test.field)
			if test.field == "Connection" && reply.Close {
				got = "close"
			}
			if test.field != "" && got != test.value {
				t.Errorf("%s: %q, want %q", test.field, got, test.value)
			}
		})
	}
}

func TestPipelinedRequests(t *testing.T) {
	_, url := start(t, SiteConfig{})
	get := "GET /SMS_MP/.sms_aut?MPLIST HTTP/1.1\r\nHost: mp01\r\n\r\n"
	head := "HEAD /SMS_DP_SMSPKG$/LAB00017/setup.ini HTTP/1.1\r\nHost: mp01\r\n\r\n"
	post := "POST /SMS_FSP/.sms_fsp HTTP/1.1\r\nHost: mp01\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
	replies := talk(t, url, get+head+post+get, "GET", "HEAD", "POST", "POST", "GET")
	var got []int
	for _, r := range replies {
		got = append(got, r.StatusCode)
	}
	// The fourth is the POST's own reply, after 100 Continue.
	if want := []int{200, 200, 100, 200, 200}; !equalInts(got, want) {
		t.Errorf("statuses %v, want %v", got, want)
	}
}

func equalInts(a, b []int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func TestRanges(t *testing.T) {
	file := []byte("0123456789")
	tests := []struct {
		want   string
		status int
		body   string
		field  string // Content-Range
	}{
		{"", 0, "0123456789", ""},
		{"bytes=0-3", 206, "0123", "bytes 0-3/10"},
		{"bytes=4-", 206, "456789", "bytes 4-9/10"},
		{"bytes=8-20", 206, "89", "bytes 8-9/10"},
		{"bytes=10-", 416, "", "bytes */10"},
		{"bytes=5-3", 416, "", "bytes */10"},
		{"bytes=0-1,4-5", 0, "0123456789", ""},
		{"bytes=-3", 416, "", "bytes */10"}, // BITS does not ask so
		{"lines=0-3", 0, "0123456789", ""},
	}
	for _, test := range tests {
		r := sendRange(file, test.want)
		contentRange := ""
		for _, f := range r.fields {
			if f.name == "Content-Range" {
				contentRange = f.value
			}
		}
		if r.status != test.status || string(r.body) != test.body || contentRange != test.field {
			t.Errorf("Range %q: %d, %q, %q; want %d, %q, %q", test.want, r.status, r.body, contentRange, test.status, test.body, test.field)
		}
	}
}

// Serve must not end before its connections have, nor wait for idle ones.
func TestServeEndsWithIdleConnections(t *testing.T) {
	s, err := NewSite(SiteConfig{CA: testCA(), Now: noon})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Serve(ctx, l) }()
	a := newAgent(t, s, "http://"+l.Addr().String())
	if err := a.fetchMPList(context.Background()); err != nil {
		t.Fatal(err)
	}
	cancel() // the agent's connection is still open
	if err := <-done; err != nil {
		t.Errorf("Serve: %v", err)
	}
}
