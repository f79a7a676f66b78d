package revocation

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
	"unicode"

	"mpproxy/traffic"
)

// The bounds of what is fetched.
const (
	maxList     = 16 << 20
	maxIssuer   = 256 << 10
	maxHead     = 64 << 10
	maxURLs     = 8
	maxURL      = 2048
	maxChain    = 10
	maxAnswers  = 1000
	maxKept     = 64 << 20
	maxRedirect = 3
	timeout     = 10 * time.Second
)

// Options are a Fetcher's settings; the zero value fetches from the public
// network alone.
type Options struct {
	// Private allows addresses of the own network.
	Private bool
	// Own are URLs of this machine's own, which may be anywhere.
	Own []string
	// Timeout bounds one fetch; zero is 10 s.
	Timeout time.Duration
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Fetcher fetches each URL once and remembers what came. Any goroutine may use
// it.
type Fetcher struct {
	opts         Options
	public, open *http.Client

	mu      sync.Mutex
	answers map[string]*answer
	kept    int
}

// New makes a Fetcher.
func New(opts Options) *Fetcher {
	opts.Timeout = cmp.Or(opts.Timeout, timeout)
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Fetcher{
		opts: opts, answers: map[string]*answer{},
		public: client(opts.Timeout, opts.Private), open: client(opts.Timeout, true),
	}
}

// client is an HTTP client that goes straight to the server: a proxy for
// people's browsers is not what a service uses.
func client(timeout time.Duration, private bool) *http.Client {
	dialer := &net.Dialer{Timeout: timeout, Control: guard(private)}
	return &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			DialContext: dialer.DialContext, DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: maxHead,
		},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > maxRedirect {
				return fmt.Errorf("more than %d redirects", maxRedirect)
			}
			if r.URL.Scheme != "http" {
				return errAway{r.URL.Redacted()}
			}
			return allowed(r.URL)
		},
	}
}

// errSkipped says why a URL is not fetched.
type errSkipped struct{ why string }

func (e errSkipped) Error() string { return e.why }

// errAway is a redirect to where no list is fetched from, as portals make them
// to log people on.
type errAway struct{ to string }

func (e errAway) Error() string { return "the server sends one elsewhere: " + e.to }

// allowed says whether a URL may be fetched at all.
func allowed(u *url.URL) error {
	switch {
	case u.Scheme != "http":
		return errSkipped{"only http: is fetched, not " + u.Scheme + ":"}
	case u.User != nil:
		return errSkipped{"the URL has a user name in it"}
	case u.Hostname() == "":
		return errSkipped{"the URL names no host"}
	}
	return nil
}

// answer is what came from one URL. Its content is there until done, then what
// was read of it.
type answer struct {
	done        chan struct{}
	result      traffic.RevocationResult
	fetched     time.Time
	took        time.Duration
	status      int
	contentType string
	size        int64
	err         string
	list        *List
	issuer      *x509.Certificate
}

// get gives the answer of a URL, fetched now or before. An answer is nil when
// there have been too many.
func (f *Fetcher) get(ctx context.Context, raw string, kind traffic.RevocationKind) *answer {
	key := string(kind) + " " + raw
	if kind == traffic.RevocationDelta {
		key = string(traffic.RevocationList) + " " + raw
	}
	f.mu.Lock()
	a := f.answers[key]
	if a != nil {
		f.mu.Unlock()
		select {
		case <-a.done:
			return a
		case <-ctx.Done():
			return &answer{result: traffic.RevocationSkipped, fetched: f.opts.Now(), err: "interrupted"}
		}
	}
	if len(f.answers) >= maxAnswers {
		f.mu.Unlock()
		return &answer{result: traffic.RevocationSkipped, fetched: f.opts.Now(), err: fmt.Sprintf("more than %d URLs", maxAnswers)}
	}
	a = &answer{done: make(chan struct{})}
	f.answers[key] = a
	f.mu.Unlock()
	defer close(a.done)
	a.fetched = f.opts.Now()
	content := f.fetch(ctx, a, raw, kind)
	a.took = f.opts.Now().Sub(a.fetched)
	if a.result == traffic.RevocationGood {
		f.read(a, content, kind)
	}
	return a
}

// fetch asks for a URL and fills in how that went.
func (f *Fetcher) fetch(ctx context.Context, a *answer, raw string, kind traffic.RevocationKind) []byte {
	u, err := url.Parse(raw)
	if err == nil && len(raw) > maxURL {
		err = errSkipped{fmt.Sprintf("the URL is longer than %d characters", maxURL)}
	}
	if err == nil {
		err = allowed(u)
	}
	if err != nil {
		a.fail(traffic.RevocationSkipped, err)
		return nil
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, raw, http.NoBody)
	if err != nil {
		a.fail(traffic.RevocationSkipped, err)
		return nil
	}
	request.Header.Set("User-Agent", "mpproxy")
	request.Header.Set("Accept", "*/*")
	c := f.public
	for _, own := range f.opts.Own {
		if own == raw {
			c = f.open
		}
	}
	response, err := c.Do(request)
	if err != nil {
		a.fail(failure(err), err)
		return nil
	}
	defer func() { _ = response.Body.Close() }() // it was only read
	a.status, a.contentType = response.StatusCode, short(response.Header.Get("Content-Type"))
	return a.readBody(response.Body, kind)
}

// failure tells what was not allowed from what did not work.
func failure(err error) traffic.RevocationResult {
	var private errPrivate
	var skipped errSkipped
	var away errAway
	if errors.As(err, &away) {
		return traffic.RevocationPage
	}
	if errors.As(err, &private) || errors.As(err, &skipped) {
		return traffic.RevocationSkipped
	}
	return traffic.RevocationUnreachable
}

func (a *answer) fail(result traffic.RevocationResult, err error) {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err // the URL is said beside it
	}
	a.result, a.err = result, short(err.Error())
}

// readBody reads what came, and sees whether it can be what was asked for.
func (a *answer) readBody(r io.Reader, kind traffic.RevocationKind) []byte {
	limit := int64(maxList)
	if kind == traffic.RevocationIssuer {
		limit = maxIssuer
	}
	content, err := io.ReadAll(io.LimitReader(r, limit+1))
	a.size = int64(len(content))
	page := isPage(content)
	switch {
	case a.status != http.StatusOK:
		a.result, a.err = traffic.RevocationStatus, fmt.Sprintf("HTTP %d %s", a.status, http.StatusText(a.status))
		if page {
			a.err += ", with a page: " + title(content)
		}
	case err != nil:
		a.fail(traffic.RevocationUnreachable, fmt.Errorf("broke off after %d bytes: %w", a.size, err))
	case a.size > limit:
		a.result, a.err = traffic.RevocationTooLarge, fmt.Sprintf("more than %d bytes", limit)
	case page:
		a.result, a.err = traffic.RevocationPage, "a page: "+title(content)
	default:
		a.result = traffic.RevocationGood
	}
	return content
}

// read reads a good answer.
func (f *Fetcher) read(a *answer, content []byte, kind traffic.RevocationKind) {
	var err error
	switch {
	case kind == traffic.RevocationIssuer:
		a.issuer, err = parseIssuer(content)
	case !f.keep(len(content)):
		a.fail(traffic.RevocationSkipped, fmt.Errorf("all lists together are larger than %d bytes", maxKept))
		return
	default:
		a.list, err = ParseList(content)
	}
	if err != nil {
		a.fail(traffic.RevocationUnreadable, err)
	}
}

// keep counts the bytes of lists that are held, and says whether there is room.
func (f *Fetcher) keep(n int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.kept+n > maxKept {
		return false
	}
	f.kept += n
	return true
}

// isPage knows text for people: HTML as proxies, portals and web servers send.
func isPage(content []byte) bool {
	start := bytes.ToLower(bytes.TrimLeftFunc(content[:min(len(content), 1024)], unicode.IsSpace))
	start = bytes.TrimPrefix(start, []byte("\xef\xbb\xbf"))
	return bytes.HasPrefix(start, []byte("<")) || bytes.Contains(start, []byte("<html"))
}

// title is a page's title, or how it begins.
func title(content []byte) string {
	content = content[:min(len(content), 4096)]
	lower := bytes.ToLower(content)
	if from := bytes.Index(lower, []byte("<title>")); from >= 0 && len(lower) == len(content) {
		from += len("<title>")
		if n := bytes.Index(lower[from:], []byte("</title>")); n >= 0 {
			return short(string(content[from : from+n]))
		}
	}
	return short(string(content[:min(len(content), 80)]))
}

// short is text from the wire on one line of bounded length.
func short(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "\uFFFD")), " ")
	if runes := []rune(s); len(runes) > 200 {
		return string(runes[:200]) + "…"
	}
	return s
}
