package replay

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mpproxy/traffic"
)

// answering is a management point that answers each request with what answer
// gives, and closes the connection when that is "". It counts requests.
func answering(t *testing.T, answer func(request, connection int) string) (*link, *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	var requests atomic.Int32
	go func() {
		for n := 1; ; n++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				in := bufio.NewReader(conn)
				for {
					if _, err := readHead(in); err != nil {
						return
					}
					reply := answer(int(requests.Add(1)), n)
					if reply == "" {
						return
					}
					if _, err := io.WriteString(conn, reply); err != nil || strings.Contains(reply, "close") {
						return
					}
				}
			}()
		}
	}()
	host, port, _ := net.SplitHostPort(l.Addr().String())
	return &link{target: Target{Host: host, Port: port}, timeout: 10 * time.Second}, &requests
}

func get() *request {
	return &request{head: traffic.ParseHead([]byte("GET / HTTP/1.1\r\nHost: mp\r\n\r\n"))}
}

const fine = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

// A connection that the management point has left is opened again, as agents
// do; but nothing is sent twice that may have had its effect.
func TestLinkSendsAgainOnlyWhatWasNotAnswered(t *testing.T) {
	for name, c := range map[string]struct {
		second         string // the answer to the second request on the first connection
		requests       int32
		fails, timeout bool
	}{
		"left":      {second: "", requests: 3},
		"cut":       {second: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: close\r\n\r\nab", requests: 2, fails: true},
		"no reply":  {second: "hello\r\n\r\n", requests: 2, fails: true},
		"too late":  {second: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", requests: 2, fails: true, timeout: true},
		"kept open": {second: fine, requests: 2},
	} {
		t.Run(name, func(t *testing.T) {
			l, requests := answering(t, func(request, connection int) string {
				if connection == 1 && request == 2 {
					return c.second
				}
				return fine
			})
			if _, err := l.do(t.Context(), get()); err != nil {
				t.Fatal(err)
			}
			if c.timeout {
				l.timeout = 50 * time.Millisecond
			}
			_, err := l.do(t.Context(), get())
			if (err != nil) != c.fails || requests.Load() != c.requests {
				t.Errorf("%d requests, want %d; error %v", requests.Load(), c.requests, err)
			}
			if c.timeout && !strings.Contains(err.Error(), "--timeout") {
				t.Errorf("what to do is not said: %v", err)
			}
		})
	}
}

// An answer that ends the connection may come before the request is written
// whole: the write must neither wait nor bring the program down.
func TestLinkAnsweredEarly(t *testing.T) {
	l, _ := answering(t, func(int, int) string {
		return "HTTP/1.1 413 Request Entity Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
	})
	for range 20 {
		r := get()
		r.body = make([]byte, 4<<20)
		out, err := l.do(t.Context(), r)
		if err == nil && out.head.Status() != 413 {
			t.Fatalf("status %d", out.head.Status())
		}
	}
}

// What is under way when a replay is stopped comes to its end.
func TestLater(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	sending, end := later(ctx)
	stop()
	if sending.Err() != nil {
		t.Error("it ended at once")
	}
	end()
	if !errors.Is(sending.Err(), context.Canceled) {
		t.Error("it did not end")
	}
}

// However large a body is, the same bytes go out.
func TestWire(t *testing.T) {
	for n, want := range map[int][2]string{0: {"", "0\r\n\r\n"}, 5: {"5\r\n", "\r\n0\r\n\r\n"}, writeStep + 1: {"4001\r\n", "\r\n0\r\n\r\n"}} {
		r := get()
		r.body = bytes.Repeat([]byte("x"), n)
		head := string(r.head.Raw)
		if got := string(bytes.Join(r.wire(), nil)); got != head+string(r.body) {
			t.Errorf("%d bytes: %d went out", n, len(got))
		}
		r.chunked = true
		if got := string(bytes.Join(r.wire(), nil)); got != head+want[0]+string(r.body)+want[1] {
			t.Errorf("%d bytes in chunks: %q", n, got[:min(len(got), 80)])
		}
	}
}

// A management point that takes a connection and says nothing cannot be reached;
// how long was waited is said.
func TestLinkSilentTLS(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	host, port, _ := net.SplitHostPort(silent.Addr().String())
	l := &link{target: Target{Host: host, Port: port}, tls: &tls.Config{ServerName: "mp"}, timeout: 50 * time.Millisecond}
	if _, err := l.do(t.Context(), get()); !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "within 50ms") {
		t.Errorf("%v", err)
	}
}
