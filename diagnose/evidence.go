package diagnose

import (
	"net"
	"strings"
	"time"

	"mpproxy/traffic"
)

// Evidence is what is known of one connection when it is judged.
type Evidence struct {
	// Conn has the last handshake of each leg with its raw bytes and chains.
	Conn *traffic.Conn
	// Exchanges are those that it carried, in their order.
	Exchanges []Exchange
	// Peers is what other connections tell. The zero value knows none.
	Peers Peers
	// OwnIssuer is the name of the authority of the certificates that mpproxy
	// shows to agents, as tlsrecord.Name gives it; empty when it is not known.
	OwnIssuer string
	// Revocations is what fetches of revocation lists came to; nil without.
	Revocations Revocations
	// Probe is true for a connection that mpproxy made itself to look at a
	// management point: what is odd then counts even where nothing failed.
	Probe bool
	// Told is what the order of all exchanges tells about those of this
	// connection.
	Told []Told
	// History is what the whole capture tells; nil tells nothing.
	History *History
	// Now is the present; zero judges as of the connection's beginning.
	Now time.Time
}

// Exchange is an exchange in short.
type Exchange struct {
	ID   traffic.ExchangeID
	Conn traffic.ConnID
	// Agent is the agent's address without its port; empty when it is not
	// known.
	Agent string
	// TLS is true when the agent's leg is encrypted.
	TLS bool
	// Own is true for what mpproxy asked by itself (--prime).
	Own            bool
	Method, Target string
	// Status is what the management point answered, 0 when it did not; Reason
	// is its phrase.
	Status int
	Reason string
	// RequestWhole is true when all of the request came, ReplyWhole when all of
	// the reply did.
	RequestWhole, ReplyWhole bool
	// Question and Answer are the heads of both.
	Question, Answer traffic.Head
	// RequestSize and ReplySize are every byte of the messages, BodySize those
	// of the request behind its head.
	RequestSize, ReplySize, BodySize int64
	// Program is the request's User-Agent field, Asked its Host field.
	Program, Asked string
	// Server is the reply's Server field, Challenges its WWW-Authenticate
	// fields.
	Server       string
	Challenges   []string
	Begun, Ended time.Time
	Fate         traffic.Fate
	// Err says why it broke off, "" when it did not.
	Err string
	// Foreign is how bytes begin that came in place of HTTP, as the proxy has
	// noted it; ForeignReply is true when they are the management point's.
	Foreign      string
	ForeignReply bool
	// Unframed is what is wrong with the length of a message, as the proxy has
	// noted it; UnframedReply is true when that is the management point's.
	Unframed      string
	UnframedReply bool
	// Location is where a redirection leads.
	Location string
	// Host is where the reply tells an upload to go on (BITS-Host-Id).
	Host string
	// Token is the request's token, nil without one.
	Token *Token
	// Binding is the hash of the TLS channel that the agent's NTLM answer is
	// tied to, nil without one.
	Binding []byte
	// Message is what its messages say, nil when they were not decoded.
	Message *Message
}

// ExchangeOf is an exchange in short.
func ExchangeOf(x *traffic.Exchange) Exchange {
	method, target, _ := x.Request.Head.Request()
	return Exchange{
		ID: x.ID, Method: method, Target: target,
		Status: x.Reply.Head.Status(), Reason: x.Reply.Head.Reason(),
		RequestSize: x.Request.Size, ReplySize: x.Reply.Size, BodySize: bodySize(&x.Request), RequestWhole: x.Request.Whole,
		ReplyWhole: x.Reply.Whole, Question: x.Request.Head, Answer: x.Reply.Head,
		Conn: x.Conn, TLS: x.TLS, Own: x.Origin == "proxy", Program: x.Request.Head.Get("User-Agent"),
		Asked:  x.Request.Head.Get("Host"),
		Server: x.Reply.Head.Get("Server"), Challenges: x.Reply.Head.Values("WWW-Authenticate"),
		Location: x.Reply.Head.Get("Location"), Host: x.Reply.Head.Get("BITS-Host-Id"), Token: tokenOf(x.Request.Head),
		Binding: bindingFrom(x.Request.Head.Get("Authorization")),
		Begun:   x.Begun, Ended: x.Ended, Fate: x.Fate, Err: x.Err,
	}
}

// hostOf is an address without its port.
func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}

func bodySize(w *traffic.Wire) int64 {
	return max(w.Size-w.Interim-int64(len(w.Head.Raw)), 0)
}

// isRequest is false for what is no request of an agent's: failed handshakes
// and tunnels are exchanges too, and mpproxy asks by itself when it primes.
func (x *Exchange) isRequest() bool { return x.Method != "" && x.Method != "CONNECT" && !x.Own }

// good is true when the management point answered as asked.
func (x *Exchange) good() bool { return x.Status >= 200 && x.Status < 300 }

// path is the target without scheme, host and query.
func (x *Exchange) path() string {
	path, _, _ := strings.Cut(x.Target, "?")
	if _, rest, absolute := strings.Cut(path, "://"); absolute {
		_, rest, _ = strings.Cut(rest, "/")
		return "/" + rest
	}
	return path
}

// Peers is what other connections of the same capture tell about one.
type Peers struct {
	// Before and After count the same agent's other connections on the same
	// listener.
	Before, After Tally
	// ShowedLater is true when the same agent has shown a certificate on
	// another connection within the next RetryTime.
	ShowedLater bool
	// Agents came to the listener; Failed of them could not get in at all,
	// WithCertificate of them have shown one.
	Agents, Failed, WithCertificate int
	// AgentIssuers are who issued the certificates of the chain that the same
	// agent has shown elsewhere, its own first; nil when it has shown none.
	AgentIssuers []string
	// Issuers are the issuers of certificates whose agents were served.
	Issuers []string
	// Intermediates are subjects of certificates that agents have sent along
	// with their own: authorities that exist and are not roots.
	Intermediates []string
}

// RetryTime is how soon WinHTTP comes back with a certificate after it was
// refused without one.
const RetryTime = 5 * time.Second

// Tally counts connections by how their agent's handshake ended.
type Tally struct{ Good, Failed int }
