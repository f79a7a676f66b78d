package mpsim

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// forwardProxy is the least that an agent's proxy setting needs: it remembers
// the first line and the proxy's credentials of each request, and passes bytes.
type forwardProxy struct {
	mu    sync.Mutex
	lines []string
	auth  []string
}

func (p *forwardProxy) serve(t *testing.T) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go p.pass(conn)
		}
	}()
	return l.Addr().String()
}

// pass serves one request; whoever wants another one connects again.
func (p *forwardProxy) pass(conn net.Conn) {
	defer conn.Close()
	reader := bufio.NewReader(conn)
	request, err := http.ReadRequest(reader)
	if err != nil {
		return
	}
	p.mu.Lock()
	p.lines = append(p.lines, request.Method+" "+request.RequestURI)
	p.auth = append(p.auth, request.Header.Get("Proxy-Authorization"))
	p.mu.Unlock()
	upstream, err := net.Dial("tcp", request.Host)
	if err != nil {
		return
	}
	defer upstream.Close()
	if request.Method == http.MethodConnect {
		io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n")
		go func() { io.Copy(upstream, reader); upstream.Close() }()
	} else {
		request.RequestURI = ""
		request.Close = true
		request.Write(upstream)
	}
	io.Copy(conn, upstream)
}

func TestForwardProxy(t *testing.T) {
	for _, native := range []bool{false, true} {
		t.Run(fmt.Sprintf("native %v", native), func(t *testing.T) {
			s, url := start(t, SiteConfig{Native: native})
			proxy := &forwardProxy{}
			a := newAgent(t, s, url, func(c *AgentConfig) { c.ProxyURL = "http://me:secret@" + proxy.serve(t) })
			if err := a.fetchMPList(context.Background()); err != nil {
				t.Fatal(err)
			}
			address := url[strings.Index(url, "//")+2:]
			want := "GET http://" + address + "/SMS_MP/.sms_aut?MPLIST"
			if native {
				want = "CONNECT " + address
			}
			if proxy.lines[0] != want || proxy.auth[0] != "Basic bWU6c2VjcmV0" {
				t.Errorf("the proxy was asked %q with %q, want %q with credentials", proxy.lines[0], proxy.auth[0], want)
			}
		})
	}
}

// An agent's head has its own order, case and spacing: a proxy must keep them,
// so the simulation has to have them.
func TestRequestBytes(t *testing.T) {
	s, err := NewSite(SiteConfig{CA: testCA(), Now: noon})
	if err != nil {
		t.Fatal(err)
	}
	a := newAgent(t, s, "http://127.0.0.1:8090")
	got := string(a.link.wire(request{
		method: "CCM_POST", target: "/ccm_system/request", agent: ccmHTTP,
		fields: []field{{"Content-Type", contentTypeCCM}}, body: []byte("body"),
	}))
	want := "CCM_POST /ccm_system/request HTTP/1.1\r\nConnection: Keep-Alive\r\n" +
		"Content-Type: multipart/mixed; boundary=\"aAbBcCdDv1234567890VxXyYzZ\"\r\nUser-Agent: ccmhttp\r\n" +
		"Content-Length: 4\r\nHost: mp01.lab.example:8090\r\n\r\nbody"
	if got != want {
		t.Errorf("wrote\n%s\nwant\n%s", got, want)
	}
}

func TestReopensAClosedConnection(t *testing.T) {
	s, url := start(t, SiteConfig{})
	a := newAgent(t, s, url)
	ctx := context.Background()
	if err := a.fetchMPList(ctx); err != nil {
		t.Fatal(err)
	}
	a.link.conn.Close() // a connection that is found to be closed, as after a long pause
	if err := a.fetchMPList(ctx); err != nil {
		t.Errorf("the next exchange does not open a new connection: %v", err)
	}
}
