package diagnose

import (
	"crypto/tls"
	"strings"
	"time"

	"mpproxy/internal/tlsrecord"
	"mpproxy/traffic"
)

// leg is one side of a connection with its handshake read.
type leg struct {
	side traffic.Side
	hs   *traffic.Handshake
	end  traffic.Leg
	tr   *tlsrecord.Transcript
	// sealed is true when TLS was passed through: the agent speaks with the
	// management point itself.
	sealed bool
	stage  tlsrecord.Stage
	// server and client are the chains that the two sides have shown, as far
	// as the bytes or crypto/tls tell.
	server, client chain
	// leafOnly is true when no more than the leaf is known of client.
	leafOnly bool
	alert    alertSeen
}

// alertSeen is the alert that decided a handshake.
type alertSeen struct {
	from tlsrecord.Side
	code tlsrecord.AlertCode
	// seen is false when there was none; clear is true when its bytes were
	// read on the wire, else it was encrypted and mpproxy has decrypted it.
	seen, clear bool
}

// readLeg reads a leg's handshake; nil when it has none.
func readLeg(side traffic.Side, end traffic.Leg) *leg {
	hs := end.Handshake
	if hs == nil {
		return nil
	}
	l := &leg{side: side, hs: hs, end: end}
	l.tr = tlsrecord.ParseOpened(hs.Bytes())
	l.stage = l.tr.Stage()
	if l.sealed = hs.PassedThrough; l.sealed && l.stage < tlsrecord.StageFinished && l.wentOn() {
		l.stage = tlsrecord.StageData
	}
	l.server, l.client = shownChain(&l.tr.Server), shownChain(&l.tr.Client)
	l.fromTLS()
	l.alert = l.findAlert()
	return l
}

// fromTLS adds the chains that crypto/tls has decrypted or was given.
func (l *leg) fromTLS() {
	agents, ours := readChain(l.hs.PeerCertificates), readChain(l.hs.OwnCertificates)
	if l.side == traffic.UpstreamSide {
		agents, ours = ours, agents
	}
	if len(agents) > len(l.client) {
		l.client = agents
	}
	if len(ours) > len(l.server) {
		l.server = ours
	}
	if after := l.end.After; l.side == traffic.UpstreamSide && len(l.client) == 0 && after != nil && len(after.Shown) > 0 {
		l.client, l.leafOnly = readChain([][]byte{after.Shown}), true // in a renegotiation
	}
}

// findAlert finds the alert that ended the handshake. Where both sides sent
// one, the second answers the first: what crypto/tls says tells which is which.
func (l *leg) findAlert() alertSeen {
	mine, theirs := fatal(&l.tr.Server), fatal(&l.tr.Client)
	if l.sealed && l.afterAgent(&l.tr.Server) {
		mine.seen = false // OpenSSL says decode_error to an end that it did not expect
	}
	if l.side == traffic.UpstreamSide {
		mine, theirs = theirs, mine
	}
	remote, isRemote := alertIn(l.hs.Err, "remote error: ")
	if isRemote && !theirs.seen {
		theirs = alertSeen{theirs.from, remote, true, false}
	}
	// In TLS 1.3 an alert may come unencrypted; crypto/tls then takes it for a
	// damaged record and says bad_record_mac of itself.
	misread := strings.Contains(l.hs.Err, "local error: tls: bad record MAC")
	switch {
	case theirs.seen && (isRemote || misread || l.sealed || !mine.seen):
		return theirs
	case mine.seen:
		return mine
	}
	if local, ok := alertIn(l.hs.Err, "local error: "); ok {
		return alertSeen{mine.from, local, true, false}
	}
	return alertSeen{}
}

// afterAgent is true when the alert of a server that was passed through came
// once the agent had left.
func (l *leg) afterAgent(s *tlsrecord.Stream) bool {
	gone := l.end.End == traffic.EndFIN || l.end.End == traffic.EndReset
	for _, m := range s.Alerts() {
		return gone && l.hs.Began.Add(l.hs.Passed(false, m.End)).After(l.end.EndedAt)
	}
	return false
}

// fatal is the first alert of a side that can be read and ends a handshake.
func fatal(s *tlsrecord.Stream) alertSeen {
	for _, m := range s.Alerts() {
		if a, ok := m.Body.(*tlsrecord.Alert); ok && a.Code != 0 && (a.Level == tlsrecord.Fatal || a.Code == 41) {
			return alertSeen{s.From, a.Code, true, !m.Opened}
		}
	}
	return alertSeen{from: s.From}
}

// alertIn finds the alert that crypto/tls names in an error's text behind
// a prefix.
func alertIn(text, prefix string) (tlsrecord.AlertCode, bool) {
	_, rest, found := strings.Cut(text, prefix)
	if !found {
		return 0, false
	}
	best, length := tlsrecord.AlertCode(0), 0
	for code := range 256 {
		name := tls.AlertError(code).Error()
		if strings.HasPrefix(rest, name) && len(name) > length {
			best, length = tlsrecord.AlertCode(code), len(name)
		}
	}
	return best, length > 0
}

// failed is true when the handshake came to no good end.
func (l *leg) failed() bool {
	if l.sealed {
		return l.alert.seen || l.stage < tlsrecord.StageFinished
	}
	return l.hs.Err != "" && (!stopped(l.hs.Err) || l.unanswered())
}

// longSilence is how long a peer may take for its first byte.
const longSilence = 10 * time.Second

// unanswered is true for a handshake of mpproxy's to which not a byte came for
// long, however it ended.
func (l *leg) unanswered() bool {
	return l.side == traffic.UpstreamSide && len(l.hs.Out) > 0 && len(l.hs.In) == 0 && l.hs.Ended.Sub(l.hs.Began) >= longSilence
}

// stopped is true for a handshake that ended because mpproxy did.
func stopped(err string) bool {
	return strings.Contains(err, "context canceled") || strings.Contains(err, "use of closed network connection")
}

// at is when the handshake was made.
func (l *leg) at() time.Time {
	if !l.hs.Ended.IsZero() {
		return l.hs.Ended
	}
	return l.hs.Began
}

// wentOn is true for a handshake of TLS 1.3 that must have been finished, though
// no message has the size of a Finished, as when the agent puts its certificate
// and its Finished into one record: the server has more to say to the agent's
// answer than an alert.
func (l *leg) wentOn() bool {
	if l.tr.Version() < tlsrecord.TLS13 {
		return false
	}
	answered := false
	for _, r := range l.inTime() {
		switch m := r.Message; {
		case m == nil || !m.Encrypted || m.Guess == tlsrecord.MaybeAlert:
		case r.From == tlsrecord.Client:
			answered = true
		case answered:
			return true
		}
	}
	return false
}

// inTime are the messages of both sides of an agent's leg in order of time.
func (l *leg) inTime() []tlsrecord.Rung {
	return l.tr.Ladder(func(from tlsrecord.Side, offset int) time.Duration {
		return l.hs.Passed(from == tlsrecord.Client, offset)
	})
}

// fromServer is the beginning of what the server sent.
func (l *leg) fromServer(n int) []byte {
	b := l.hs.In
	if l.side == traffic.AgentSide {
		b = l.hs.Out
	}
	return b[:min(len(b), n)]
}

// alertLike is true when the client's last message has an alert's size in TLS
// 1.3, which hides what it is.
func (l *leg) alertLike() bool {
	n := len(l.tr.Client.Messages)
	return n > 0 && l.tr.Client.Messages[n-1].Guess == tlsrecord.MaybeAlert
}

// hello is the client's hello; an empty one when there is none.
func (l *leg) hello() *tlsrecord.ClientHello {
	if h := l.tr.ClientHello(); h != nil {
		return h
	}
	return &tlsrecord.ClientHello{}
}

// says is true when a side's fatal alert is one of these.
func (l *leg) says(from tlsrecord.Side, codes ...tlsrecord.AlertCode) bool {
	if !l.alert.seen || l.alert.from != from {
		return false
	}
	for _, c := range codes {
		if c == l.alert.code {
			return true
		}
	}
	return len(codes) == 0
}

// asked is true when the server asked for a client certificate, as far as it
// is known.
func (l *leg) asked() bool {
	return l.tr.CertificateRequest() != nil || l.hs.ClientCertAsked
}

// showedNone is true when the client answered with an empty Certificate.
func (l *leg) showedNone() bool {
	if c := l.tr.Certificate(tlsrecord.Client); c != nil {
		return len(c.Chain) == 0
	}
	return l.asked() && l.hs.TLS != nil && len(l.client) == 0
}

// serverName and clientName are who the sides are, in words.
func (l *leg) serverName() string {
	if l.side == traffic.UpstreamSide || l.sealed {
		return "the management point"
	}
	return "mpproxy"
}

func (l *leg) clientName() string {
	if l.side == traffic.UpstreamSide {
		return "mpproxy"
	}
	return "the agent"
}

// serverWho and clientWho are the same as traffic.Finding.Who names them.
func (l *leg) serverWho() string {
	if l.serverName() == "mpproxy" {
		return proxySide
	}
	return mpSide
}

func (l *leg) clientWho() string {
	if l.side == traffic.UpstreamSide {
		return proxySide
	}
	return agentSide
}

func (l *leg) nameOf(s tlsrecord.Side) string {
	if s == tlsrecord.Server {
		return l.serverName()
	}
	return l.clientName()
}

// alertLine is the alert as a line of evidence.
func (l *leg) alertLine() string {
	how := "decrypted by mpproxy"
	if l.alert.clear {
		how = "read on the wire"
	}
	line := "alert " + alertText(l.alert.code) + " from " + l.nameOf(l.alert.from) + ", " + l.stage.String() + " (" + how + ")"
	if strings.Contains(l.hs.Err, "bad record MAC") {
		line += "; sent unencrypted, so crypto/tls alone reports bad record MAC"
	}
	return line
}
