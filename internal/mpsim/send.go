package mpsim

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// The programs that speak for an agent.
const (
	ccmHTTP   = "ccmhttp"
	bitsAgent = "Microsoft BITS/7.8"
)

// do is one exchange, counted under a kind.
func (a *Agent) do(ctx context.Context, kind string, r request) (response, error) {
	if !wait(ctx, a.cfg.Pause) {
		return response{}, ctx.Err()
	}
	reply, err := a.link.do(ctx, r)
	if err != nil {
		return reply, err
	}
	if reply.status == http.StatusUnauthorized {
		kind = "challenge"
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.account.Exchanges[kind]++
	return reply, nil
}

// get fetches a path; anything but 200 is an error.
func (a *Agent) get(ctx context.Context, kind, target, agent string, fields ...field) (response, error) {
	fields = append([]field{{"Accept", "*/*"}}, fields...)
	reply, err := a.do(ctx, kind, request{method: http.MethodGet, target: target, fields: fields, agent: agent})
	if err == nil && reply.status != http.StatusOK {
		err = reply.unexpected(target)
	}
	return reply, err
}

func (r *response) unexpected(what string) error {
	return fmt.Errorf("%s: the management point answers %s", what, r.line)
}

// errEmptyReply is how a management point refuses a message: status 200 and
// nothing else.
var errEmptyReply = errors.New("the reply is empty: refused, or not ready")

// post sends a message and reads its reply message; nil for an empty one.
func (a *Agent) post(ctx context.Context, kind, path string, m outgoing) (*message, error) {
	if m.id == "" {
		m.id = a.id()
	}
	m.queue = or(m.queue, "SccmMessaging")
	s, err := a.seal(m)
	if err != nil {
		return nil, err
	}
	r := request{
		method: "CCM_POST", target: path + "/request", agent: ccmHTTP,
		fields: []field{{"Content-Type", contentTypeCCM}},
		body:   multipart(a.header(s), s.sent, !m.plain),
	}
	reply, err := a.doAuthenticated(ctx, kind, r)
	if err != nil {
		return nil, err
	}
	return readReply(reply, m)
}

// doAuthenticated answers a challenge for Windows authentication, with a token
// that only looks like one.
func (a *Agent) doAuthenticated(ctx context.Context, kind string, r request) (response, error) {
	reply, err := a.do(ctx, kind, r)
	if err != nil || reply.status != http.StatusUnauthorized || !strings.HasPrefix(r.target, windowsAuth) {
		return reply, err
	}
	r.fields = append(r.fields, field{"Authorization", "Negotiate YIIBGgYGKwYBBQUCoIIBDjCCAQqgGDAWBgkqhkiC9xIBAgIGCSqGSIb3EgECAg=="})
	return a.do(ctx, kind, r)
}

func readReply(reply response, m outgoing) (*message, error) {
	if reply.status != http.StatusOK {
		return nil, reply.unexpected(m.endpoint)
	}
	if len(reply.body) == 0 {
		return nil, nil
	}
	answer, err := parseMessage(reply.header.Get("Content-Type"), reply.body)
	if err != nil {
		return nil, fmt.Errorf("reply of %s: %w", m.endpoint, err)
	}
	if !strings.EqualFold(answer.CorrelationID, m.id) {
		return nil, fmt.Errorf("reply of %s answers message %s, not %s", m.endpoint, answer.CorrelationID, m.id)
	}
	if answer.TargetEndpoint != m.queue {
		return nil, fmt.Errorf("reply of %s is for %s, not for %s", m.endpoint, answer.TargetEndpoint, m.queue)
	}
	return answer, nil
}

const (
	system      = "/ccm_system"
	windowsAuth = "/ccm_system_windowsauth"
)

// ask posts a message whose reply has a root, and reads the reply's text.
func (a *Agent) ask(ctx context.Context, kind, path, root string, m outgoing) (string, error) {
	answer, err := a.post(ctx, kind, path, m)
	if err != nil {
		return "", err
	}
	if answer == nil {
		return "", fmt.Errorf("%s: %w", m.endpoint, errEmptyReply)
	}
	if got := rootName(answer.text); got != root {
		return "", fmt.Errorf("%s answers <%s>, not <%s>", m.endpoint, got, root)
	}
	return answer.text, nil
}

// tell posts a message that has no reply.
func (a *Agent) tell(ctx context.Context, kind string, m outgoing) error {
	answer, err := a.post(ctx, kind, system, m)
	if err == nil && answer != nil {
		err = fmt.Errorf("%s answers <%s>, though nothing was asked", m.endpoint, rootName(answer.text))
	}
	return err
}

// uploadBITS sends a file to a path of the management point as BITS does, and
// follows the offsets that it is told.
func (a *Agent) uploadBITS(ctx context.Context, path, name string, data []byte) error {
	packet := func(kind string, body []byte, fields ...field) (response, error) {
		all := append([]field{{"Accept", "*/*"}, {"BITS-Packet-Type", kind}}, fields...)
		return a.do(ctx, "bits", request{method: "BITS_POST", target: path, fields: all, agent: bitsAgent, body: body})
	}
	if reply, err := packet("Ping", nil); err != nil || reply.status != http.StatusOK {
		return bitsError("Ping", reply, err)
	}
	reply, err := packet("Create-Session", nil, field{"BITS-Supported-Protocols", bitsProtocol})
	if err != nil || reply.status != http.StatusCreated && reply.status != http.StatusOK {
		return bitsError("Create-Session", reply, err)
	}
	session := field{"BITS-Session-Id", reply.header.Get("BITS-Session-Id")}
	size := len(data)/(3+pick(3, a.cfg.Seed, a.cfg.Name, "fragments")) + 1
	for next, trials := 0, 0; next < len(data); trials++ {
		if trials > 2*len(data)/size+4 {
			return errors.New("upload does not come to an end: the server's offsets do not grow")
		}
		if trials == 1 && pick(4, a.cfg.Seed, a.cfg.Name, "interrupted") == 0 {
			a.link.close() // sessions outlive connections
		}
		to := min(next+size, len(data))
		fields := []field{session, {"Content-Range", fmt.Sprintf("bytes %d-%d/%d", next, to-1, len(data))}}
		if next == 0 {
			fields = append(fields, field{"Content-Name", name})
		}
		reply, err := packet("Fragment", data[next:to], fields...)
		offset, offsetErr := strconv.Atoi(reply.header.Get("BITS-Received-Content-Range"))
		if err != nil || offsetErr != nil || reply.status != http.StatusOK && reply.status != http.StatusRequestedRangeNotSatisfiable {
			return bitsError("Fragment", reply, err)
		}
		next = min(max(offset, 0), len(data))
	}
	if reply, err := packet("Close-Session", nil, session); err != nil || reply.status != http.StatusOK {
		return bitsError("Close-Session", reply, err)
	}
	return nil
}

func bitsError(packet string, reply response, err error) error {
	if err != nil {
		return fmt.Errorf("upload, %s: %w", packet, err)
	}
	return fmt.Errorf("upload, %s: the server answers %s, error %q", packet, reply.line, reply.header.Get("BITS-Error-Code"))
}
