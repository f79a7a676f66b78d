package export

import (
	"bytes"
	"fmt"
	"go/format"
	"strconv"
	"strings"
)

// goTest writes a package with one test for each exchange. Alone it passes: a
// server on loopback answers as was captured. With MPPROXY_ADDR it asks a live
// management point and compares the status.
type goTest struct {
	o     *output
	cases bytes.Buffer
	count int
}

func newGoTest(o *output) writer { return &goTest{o: o} }

func (g *goTest) item(i *Item) error {
	if i.Request == nil || i.Reply == nil || i.Row.Method == "" || i.Row.Method == "CONNECT" {
		return errSkip
	}
	request, reply := wire(i.Request), wire(i.Reply)
	name := fmt.Sprintf("%08d", i.Row.ID)
	if err := g.o.file(name+".request", request, 0o600); err != nil {
		return err
	}
	if err := g.o.file(name+".reply", reply, 0o600); err != nil {
		return err
	}
	g.count++
	fmt.Fprintf(&g.cases, "\t{%q, %q, %d, %q},\n", name, i.Row.Method, i.Reply.Head.Status(), oneLine(i.Row.Long))
	return nil
}

// wire is a message with its length in the head, whatever framing it had.
func wire(m *Message) []byte {
	var b bytes.Buffer
	b.WriteString(m.Head.Start + "\r\n")
	for _, f := range m.Head.Fields {
		switch strings.ToLower(f.Name) {
		case "transfer-encoding", "content-length":
		default:
			b.WriteString(f.Name + ": " + f.Value + "\r\n")
		}
	}
	b.WriteString("Content-Length: " + strconv.Itoa(len(m.Body)) + "\r\n\r\n")
	b.Write(m.Body)
	return b.Bytes()
}

func (g *goTest) end() error {
	src, err := format.Source([]byte(strings.Replace(goTestFile, "/*CASES*/", g.cases.String(), 1)))
	if err != nil {
		return fmt.Errorf("write the Go test: %w", err)
	}
	if err := g.o.file("go.mod", []byte("module captured\n\ngo 1.22\n"), 0o600); err != nil {
		return err
	}
	return g.o.file("exchanges_test.go", src, 0o600)
}

const goTestFile = `// Package captured sends what agents have sent, as mpproxy has recorded it.
//
// go test alone answers from the capture. With MPPROXY_ADDR=host:port it asks a
// management point (MPPROXY_TLS=1 by TLS, MPPROXY_CERT and MPPROXY_KEY with a
// client certificate) and compares the status with the captured one.
package captured

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"
)

var exchanges = []struct {
	name, method string
	status       int
	what         string
}{
/*CASES*/
}

func TestExchanges(t *testing.T) {
	for _, x := range exchanges {
		t.Run(x.name, func(t *testing.T) {
			t.Log(x.what)
			request, want := read(t, x.name+".request"), read(t, x.name+".reply")
			addr := os.Getenv("MPPROXY_ADDR")
			if addr == "" {
				addr = serve(t, len(request), want)
			}
			conn := dial(t, addr)
			defer conn.Close()
			if _, err := conn.Write(request); err != nil {
				t.Fatal("send:", err)
			}
			reply, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: x.method})
			if err != nil {
				t.Fatal("read the reply:", err)
			}
			body, err := io.ReadAll(reply.Body)
			if err != nil {
				t.Fatal("read the body:", err)
			}
			if reply.StatusCode != x.status {
				t.Errorf("status %d, captured %d; %d bytes", reply.StatusCode, x.status, len(body))
			}
			if os.Getenv("MPPROXY_ADDR") == "" && x.method != "HEAD" && !bytes.HasSuffix(want, body) {
				t.Errorf("the body is not the captured one")
			}
		})
	}
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// serve answers one request of a known length.
func serve(t *testing.T, length int, reply []byte) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		if _, err := io.CopyN(io.Discard, conn, int64(length)); err == nil {
			conn.Write(reply)
		}
	}()
	return l.Addr().String()
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if os.Getenv("MPPROXY_ADDR") == "" || os.Getenv("MPPROXY_TLS") == "" {
		return conn
	}
	host, _, _ := net.SplitHostPort(addr)
	cfg := &tls.Config{ServerName: host, MaxVersion: tls.VersionTLS12, Renegotiation: tls.RenegotiateOnceAsClient}
	if cert := os.Getenv("MPPROXY_CERT"); cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, os.Getenv("MPPROXY_KEY"))
		if err != nil {
			t.Fatal(err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return tls.Client(conn, cfg)
}
`
