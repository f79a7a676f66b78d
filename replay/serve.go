package replay

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"mpproxy/capture"
	"mpproxy/compare"
	"mpproxy/decode"
	"mpproxy/filter"
	"mpproxy/traffic"
)

// Unknown is a live request that no captured exchange answers.
type Unknown struct {
	Agent, Method, Target, Kind string
	// Nearest is the target of a captured request that is a little like it, ""
	// for none.
	Nearest string
}

// ServerOptions say how a Server answers.
type ServerOptions struct {
	// Unknown is told of requests that are not answered; nil tells nobody.
	Unknown func(Unknown)
	// Native demands a client certificate on connections of TLS: 403 without.
	Native bool
	// Timeout bounds how long a connection may be idle; zero is five minutes.
	Timeout time.Duration
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Server answers live agents as a capture's management point has answered.
type Server struct {
	store *capture.Store
	index *index
	ServerOptions
	uploads uploads

	mu     sync.Mutex
	agents map[string]*liveAgent
	taken  map[string]bool
	// names are of agents by their client ids, which is all that some requests
	// say.
	names map[string]string
}

// liveAgent is an agent that is being answered.
type liveAgent struct {
	// captured is the agent of the capture whose part it has.
	captured string
	// asked counts its requests by meaning.
	asked map[string]int
	// client is its id as it calls itself, "" before it is registered.
	client string
}

// maxAgents bounds how many live agents are told apart.
const maxAgents = 100_000

// NewServer reads what of a capture can answer.
func NewServer(ctx context.Context, s *capture.Store, f *filter.Filter, opts ServerOptions) (*Server, error) {
	x, err := newIndex(ctx, s, f)
	if err != nil {
		return nil, err
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Timeout == 0 {
		opts.Timeout = 5 * time.Minute
	}
	if opts.Unknown == nil {
		opts.Unknown = func(Unknown) {}
	}
	return &Server{store: s, index: x, ServerOptions: opts, agents: map[string]*liveAgent{}, taken: map[string]bool{}, names: map[string]string{}}, nil
}

// Agents are how many agents the capture has.
func (s *Server) Agents() int { return len(s.index.agents) }

// Empty is true when the capture has no answer at all.
func (s *Server) Empty() bool { return len(s.index.answers) == 0 }

// Serve answers on a listener until ctx ends.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	var group errgroup.Group
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	for {
		conn, err := l.Accept()
		if err != nil {
			_ = group.Wait() // connections end with ctx
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("serve the replay: %w", err)
		}
		group.Go(func() error {
			s.connection(ctx, conn)
			return nil
		})
	}
}

// connection answers one request after the other.
func (s *Server) connection(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	in := bufio.NewReader(conn)
	// who is the agent that spoke last: downloads do not say whose they are.
	who := "connection " + conn.RemoteAddr().String()
	for ctx.Err() == nil {
		if conn.SetDeadline(s.Now().Add(s.Timeout)) != nil {
			return
		}
		req, err := readRequest(in, conn)
		if errors.Is(err, errTooLarge) {
			_, _ = conn.Write(plainReply(http.StatusRequestEntityTooLarge, "Request Entity Too Large", "mpproxy replay: "+err.Error())) // and no more of this agent
			return
		}
		if err != nil {
			return
		}
		var out []byte
		if s.Native && !certified(conn) {
			out = plainReply(http.StatusForbidden, "Forbidden", "mpproxy replay: this management point demands a client certificate, and the agent has shown none (403.7)")
		} else if out, who, err = s.answer(ctx, who, req); err != nil {
			out = plainReply(http.StatusInternalServerError, "Internal Server Error", "mpproxy replay: "+err.Error())
		}
		if method, _, _ := req.head.Request(); method == "HEAD" {
			out = onlyHead(out)
		}
		if _, err := conn.Write(out); err != nil || req.last {
			return
		}
	}
}

// certified is true when the client has shown a certificate.
func certified(conn net.Conn) bool {
	secure, ok := conn.(*tls.Conn)
	return ok && len(secure.ConnectionState().PeerCertificates) > 0
}

// live is a live request.
type live struct {
	head traffic.Head
	body []byte
	last bool
}

// maxLive is how large a live request may be.
const maxLive = 256 << 20

var errTooLarge = errors.New("the request is larger than 256 MiB, or does not say how large it is")

// readRequest reads a request whole, and says that it may come when it asks.
func readRequest(in *bufio.Reader, out io.Writer) (*live, error) {
	raw, err := readHead(in)
	if err != nil {
		return nil, err
	}
	r := &live{head: traffic.ParseHead(raw)}
	_, _, version := r.head.Request()
	r.last = strings.EqualFold(r.head.Get("Connection"), "close") || version == "HTTP/1.0"
	if strings.EqualFold(r.head.Get("Expect"), "100-continue") {
		if _, err := io.WriteString(out, "HTTP/1.1 100 Continue\r\n\r\n"); err != nil {
			return nil, err
		}
	}
	var body io.Reader
	switch n, err := strconv.ParseInt(strings.TrimSpace(cmp.Or(r.head.Get("Content-Length"), "0")), 10, 64); {
	case strings.EqualFold(strings.TrimSpace(r.head.Get("Transfer-Encoding")), "chunked"):
		body = &chunked{httputil.NewChunkedReader(in), in}
	case err != nil || n < 0 || n > maxLive:
		return nil, errTooLarge
	default:
		body = &exactly{io.LimitReader(in, n), n}
	}
	r.body, err = io.ReadAll(io.LimitReader(body, maxLive+1))
	if err == nil && len(r.body) > maxLive {
		err = errTooLarge
	}
	return r, err
}

// answer finds and fits the reply to a request.
func (s *Server) answer(ctx context.Context, who string, r *live) (out []byte, agent string, err error) {
	method, target, _ := r.head.Request()
	if method == "BITS_POST" {
		return s.uploads.packet(r.head, r.body), who, nil
	}
	m := decode.Decode(decode.Source{
		Dir: traffic.Request, Head: r.head, Body: bytes.NewReader(r.body), Size: int64(len(r.body)), Framing: traffic.ByLength, Whole: true,
	}, decode.Content)
	who = s.nameOf(m, who)
	item := compare.Item{Kind: m.Kind, Endpoint: m.Endpoint, Method: method, Target: target}
	captured, n, client := s.part(who, m, item)
	id, found := s.index.find(item, captured, n)
	if !found && method == "HEAD" {
		// What a GET brings says what a HEAD does.
		item.Method = "GET"
		id, found = s.index.find(item, captured, n)
	}
	if !found {
		item.Method = method
		s.Unknown(Unknown{Agent: who, Method: method, Target: target, Kind: m.Kind, Nearest: s.index.nearest(item)})
		return plainReply(http.StatusNotFound, decode.NotInCapture, "mpproxy replay: no captured exchange answers "+method+" "+target), who, nil
	}
	out, err = s.fit(ctx, id, m, method, r.head, client)
	return out, who, err
}

// nameOf is who sent a request: by its name, its client id, or the connection
// that it came on.
func (s *Server) nameOf(m *decode.Message, who string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	name, client := strings.ToUpper(m.Agent), strings.ToUpper(m.Client)
	if name != "" && client != "" && len(s.names) < maxAgents {
		s.names[client] = name
	}
	return cmp.Or(name, s.names[client], client, who)
}

// part gives a live agent its part: the captured agent of its name, else the
// next that nobody has, else the first. It counts what was asked.
func (s *Server) part(who string, m *decode.Message, item compare.Item) (captured string, n int, client string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.agents[who]
	if a == nil {
		a = &liveAgent{captured: s.cast(who), asked: map[string]int{}}
		if len(s.agents) < maxAgents {
			s.agents[who] = a
		}
	}
	if m.Client != "" {
		a.client = m.Client
	}
	key := item.Key()
	n = a.asked[key]
	a.asked[key]++
	return a.captured, n, a.client
}

func (s *Server) cast(who string) string {
	if slices.Contains(s.index.agents, who) {
		s.taken[who] = true
		return who
	}
	if strings.HasPrefix(who, "connection ") {
		return ""
	}
	for _, name := range s.index.agents {
		if !s.taken[name] {
			s.taken[name] = true
			return name
		}
	}
	if len(s.index.agents) > 0 {
		return s.index.agents[0]
	}
	return ""
}

// fit makes a captured reply fit a live request.
func (s *Server) fit(ctx context.Context, id traffic.ExchangeID, m *decode.Message, method string, asked traffic.Head, client string) ([]byte, error) {
	src, err := s.store.Source(ctx, id, traffic.Reply, false)
	if err != nil {
		return nil, fmt.Errorf("read the reply of exchange %d: %w", id, err)
	}
	body, err := plainBody(src)
	if err != nil && src.Framing != traffic.Chunked {
		return nil, fmt.Errorf("read the reply of exchange %d: %w", id, err)
	}
	was, err := s.store.Message(ctx, id, traffic.Request, decode.Content)
	if err != nil {
		return nil, fmt.Errorf("read the request of exchange %d: %w", id, err)
	}
	if fitted, ok := s.message(src.Head, body, was, m, client); ok {
		body = fitted
	}
	head := src.Head
	if coding := head.Get("Content-Encoding"); coding != "" && !accepts(asked, coding) {
		if plain, err := gunzip(coding, body); err == nil {
			body = plain
			head.Fields = slices.DeleteFunc(slices.Clone(head.Fields), func(f traffic.Field) bool { return strings.EqualFold(f.Name, "Content-Encoding") })
		}
	}
	return s.wire(head, body, method == "HEAD" && src.Size == 0), nil
}

// accepts tells whether a request takes a content coding.
func accepts(h traffic.Head, coding string) bool {
	for part := range strings.SplitSeq(h.Get("Accept-Encoding"), ",") {
		name, weight, _ := strings.Cut(part, ";")
		if name = strings.TrimSpace(name); strings.EqualFold(name, coding) || name == "*" {
			return strings.ReplaceAll(weight, " ", "") != "q=0"
		}
	}
	return false
}

// gunzip takes gzip off a body.
func gunzip(coding string, body []byte) ([]byte, error) {
	if !strings.EqualFold(coding, "gzip") && !strings.EqualFold(coding, "x-gzip") {
		return nil, fmt.Errorf("content coding %q is not known", coding)
	}
	r, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(r, maxLive))
}

// message fits the texts of a reply; false when it has none.
func (s *Server) message(head traffic.Head, body []byte, was, m *decode.Message, client string) ([]byte, bool) {
	reply := decode.Decode(decode.Source{
		Dir: traffic.Reply, Head: head, Body: bytes.NewReader(body), Size: int64(len(body)), Framing: traffic.ByLength, Whole: true,
	}, decode.Content)
	if reply.Header == nil {
		return nil, false
	}
	v := &values{}
	if was.MsgID != "" && m.MsgID != "" {
		v.set("message id", was.MsgID, m.MsgID)
	}
	if was.Client != "" && client != "" && !strings.EqualFold(was.Client, client) {
		v.set("client id", was.Client, client)
	}
	quiet := func(Change) {}
	header := substitute(messageID, reply.HeaderText.String, guidLike)
	header = substitute(sentTime, header, func(old string) string { return stamp(old, s.Now()) })
	header = v.apply(header, quiet)
	edit := decode.Edit{Header: &header}
	if text := reply.Text.String; text != "" && !strings.Contains(text, "Signature") {
		// What the site has signed stays as it is.
		text = v.apply(text, quiet)
		if text != reply.Text.String {
			edit.Text = &text
		}
	}
	if packed := m.WantsPackedReply(); packed != was.WantsPackedReply() && !strings.Contains(header, "PayloadSignature") {
		edit.Compress = &packed
	}
	fitted, _, err := reply.Edit(edit)
	return fitted, err == nil
}

// wire is a reply as it is sent. bodiless is true for the captured reply to a
// HEAD: its length is that of what was asked about.
func (s *Server) wire(h traffic.Head, body []byte, bodiless bool) []byte {
	var b bytes.Buffer
	b.WriteString(h.Start + "\r\n")
	length := false
	for _, f := range h.Fields {
		switch strings.ToLower(f.Name) {
		case "transfer-encoding", "connection", "keep-alive":
		case "date":
			b.WriteString(f.Name + ": " + s.Now().UTC().Format(http.TimeFormat) + "\r\n")
		case "content-length":
			length = true
			n := strconv.Itoa(len(body))
			if bodiless {
				n = f.Value
			}
			b.WriteString(f.Name + ": " + n + "\r\n")
		default:
			b.WriteString(f.Name + ": " + f.Value + "\r\n")
		}
	}
	if status := h.Status(); !length && status != 204 && status != 304 {
		b.WriteString("Content-Length: " + strconv.Itoa(len(body)) + "\r\n")
	}
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes()
}

// onlyHead is a reply without its body.
func onlyHead(reply []byte) []byte {
	if i := bytes.Index(reply, []byte("\r\n\r\n")); i >= 0 {
		return reply[:i+4]
	}
	return reply
}

// plainReply is an answer of our own.
func plainReply(status int, reason, sentence string) []byte {
	return fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n\r\n%s\r\n",
		status, reason, len(sentence)+2, sentence)
}

// nearest is a captured request of the same method that begins like another
// one, for people to compare.
func (x *index) nearest(item compare.Item) string {
	best, length := "", 0
	path, _, _ := strings.Cut(strings.ToLower(item.Target), "?")
	for key := range x.answers {
		parts := strings.Split(key, "\x00")
		method, target := parts[len(parts)-2], parts[len(parts)-1]
		if method != item.Method {
			continue
		}
		n := 0
		for n < len(path) && n < len(target) && path[n] == target[n] {
			n++
		}
		if n > length || n == length && target < best {
			best, length = target, n
		}
	}
	if length < 2 {
		return ""
	}
	return best
}
