package diagnose

import (
	"crypto/x509"
	"encoding/asn1"
	hexcodec "encoding/hex"
	"fmt"
	"math/big"
	"strings"

	"mpproxy/decode"
	"mpproxy/traffic"
)

// registrationRules are about how an agent becomes known to its site.
var registrationRules = []rule{
	certificateBroken, signatureOrder, signatureUnfit, registrationRefused, registrationAgain, certificateReset,
	sentWhilePending, registrationPending, notApproved, foreignEnvelope,
	otherHash, noReply, hintNewKey,
}

// message finds the first exchange whose messages do this.
func (f *facts) message(does func(*Exchange) (proof []string, found bool)) (*Exchange, []string) {
	for _, x := range f.requests {
		if x.Message == nil {
			continue
		}
		if proof, found := does(x); found {
			return x, proof
		}
	}
	return nil, nil
}

// messageRule is a rule on the messages of single exchanges.
func messageRule(k traffic.FindingKind, check, who, sure string, does func(*Exchange) ([]string, bool)) rule {
	return messageLike(k, check, who, sure, func(x *Exchange) ([]string, bool) {
		if x.Message == nil {
			return nil, false
		}
		return does(x)
	})
}

func legOf(who string) traffic.Side {
	if who == agentSide {
		return traffic.AgentSide
	}
	return traffic.UpstreamSide
}

// who is the agent of a message, for a sentence.
func (m *Message) who() string {
	switch {
	case m.Agent != "" && m.Client != "":
		return quote(m.Agent) + " (" + quote(m.Client) + ")"
	case m.Agent != "":
		return quote(m.Agent)
	case m.Client != "":
		return quote(m.Client)
	}
	return "the agent"
}

var registrationRefused = messageRule(traffic.FindingKind{
	Code: "msg-site-refuses-agent", Ref: "N01", Severity: traffic.Error,
	Title:  "The management point rejected the agent's registration, although HTTP says 200",
	Why:    "Status 3 is final: the agent's certificate, its signature or its id is not taken. The agent's log calls it an error of registration state.",
	Remedy: "Look into MP_RegistrationManager.log for the reason: a blocked client, a certificate that is not trusted, a signature that does not fit.",
	Moot:   []string{"msg-no-reply", "msg-sent-while-pending", "msg-registration-refused"},
}, "On the management point: MP_RegistrationManager.log; in the console: whether the device is blocked.", mpSide, certain,
	func(x *Exchange) ([]string, bool) {
		return []string{fmt.Sprintf("exchange %d: the reply to the registration of %s has Status 3, rejected", x.ID, x.Message.who())}, x.Message.Registration == "3"
	})

var registrationAgain = latestRule(traffic.FindingKind{
	Code: "msg-site-wants-again", Ref: "N01", Severity: traffic.Warning,
	Title:  "The management point did not process the agent's registration and wants it again",
	Why:    "Status 2 is given when the site is busy or its database is away, and when it does not know the agent that confirms.",
	Remedy: "Wait for the agent to send it again; if it never gets through look into MP_RegistrationManager.log and at the database.",
	Moot:   []string{"msg-registration-again"},
}, "On the management point: MP_RegistrationManager.log.",
	func(x *Exchange, _ *remembered) ([]string, bool) {
		return []string{fmt.Sprintf("exchange %d: the reply to the registration of %s has Status 2, not processed", x.ID, x.Message.who())}, x.Message.Registration == "2"
	})

var certificateReset = messageRule(traffic.FindingKind{
	Code: "msg-site-resets-certificate", Ref: "N01", Severity: traffic.Warning,
	Title:  "The management point wants the agent to make a new certificate and to register again",
	Why:    "Status 4 is said when the key that the site knows of this client id is another one, or a device has two identities: the agent throws its keys away. Once is well; again and again it is a cloned computer, or two that share a client id.",
	Remedy: "Expect one new registration. If they repeat: give cloned computers an identity of their own (stop the agent, delete SMSCFG.ini and the certificates in the store SMS, then start it).",
	Moot:   []string{"msg-certificate-reset", "msg-hint-new-key"},
}, "On the agent: ClientIDManagerStartup.log; on the management point: MP_RegistrationManager.log; in the console: conflicting records.", mpSide, certain,
	func(x *Exchange) ([]string, bool) {
		return []string{fmt.Sprintf("exchange %d: the reply to the registration of %s has Status 4, certificate reset", x.ID, x.Message.who())}, x.Message.Registration == "4"
	})

// latestRule is a rule on the last answer to a registration of an agent: what it
// was told before no longer counts.
func latestRule(k traffic.FindingKind, check string, does func(*Exchange, *remembered) ([]string, bool)) rule {
	return rule{kind: k, check: check, test: func(f *facts) (occurrence, bool) {
		x, proof := f.message(func(x *Exchange) ([]string, bool) {
			a := f.History.remember(x.Message.Client)
			if x.Message.Registration == "" || a != nil && a.registration.where.exchange != x.ID {
				return nil, false
			}
			return does(x, a)
		})
		if x == nil {
			return occurrence{}, false
		}
		return occurrence{leg: traffic.UpstreamSide, who: mpSide, sure: certain, exchange: x, proof: proof}, true
	}}
}

var registrationPending = latestRule(traffic.FindingKind{
	Code: "msg-site-keeps-waiting", Ref: "N01", Severity: traffic.Warning,
	Title:  "The management point keeps the agent's registration pending: no policy and no inventory until the site has decided",
	Why:    "Status 1 is given until the site server has filed the registration: at once at a site that is well, never where its inboxes or the replication to the primary site stand still.",
	Remedy: "If it stays so: see the site server's inboxes (ddm, auth) and MP_RegistrationManager.log, and replication between the sites; the agent asks again by itself.",
	Moot:   []string{"msg-registration-pending"},
}, "On the agent: ClientIDManagerStartup.log, registration is pending. In the console: whether the device is there, and approved.",
	func(x *Exchange, a *remembered) ([]string, bool) {
		proof := []string{fmt.Sprintf("exchange %d: the last answer to the registration of %s has Status 1, pending", x.ID, x.Message.who())}
		if a != nil && a.pending > 1 {
			proof = append(proof, fmt.Sprintf("the answer was the same %d times, since %s", a.pending, a.pendingSince))
		}
		return proof, x.Message.Registration == "1"
	})

var notApproved = latestRule(traffic.FindingKind{
	Code: "msg-site-does-not-approve", Ref: "N01", Severity: traffic.Warning,
	Title:  "The management point registers the agent, and the site has not approved it: it gets no policy with secrets",
	Why:    "Computers outside of trusted domains wait for an administrator unless the site approves all. Task sequences, the network access account and collection variables do not reach them.",
	Remedy: "In the console: Devices, Approve. Computers of a trusted domain are approved by themselves if they register through /ccm_system_windowsauth; see why this one did not.",
	Moot:   []string{"msg-not-approved", "msg-policy-withheld", "msg-policy-none"},
}, "In the console: column Approved of the device; hierarchy settings, Client Approval. On the agent: ClientIDManagerStartup.log, approval status.",
	func(x *Exchange, _ *remembered) ([]string, bool) {
		m := x.Message
		return []string{fmt.Sprintf("exchange %d: the reply to the registration of %s has ApprovalStatus %s", x.ID, m.who(), quote(m.Approval))},
			m.Registration == "0" && (m.Approval == "0" || m.Approval == "-1")
	})

var certificateBroken = messageRule(traffic.FindingKind{
	Code: "msg-certificate-broken", Ref: "N02", Severity: traffic.Error,
	Title:  "The certificate in the agent's registration is not usable",
	Why:    "The field has the hex digits of a DER certificate. One that is cut, or has something behind it, is refused (0x80092002).",
	Remedy: "Write all bytes of the certificate, two digits each and nothing else.",
	Moot:   []string{"msg-site-refuses-agent", "msg-site-wants-again", "msg-no-reply", "msg-signature-unfit"},
}, "mpproxy explain 0x80092002", agentSide, certain,
	func(x *Exchange) ([]string, bool) {
		for _, c := range x.Message.Certificates {
			if !x.RequestWhole {
				break
			}
			if why := brokenCertificate(c.Hex); why != "" {
				return []string{fmt.Sprintf("exchange %d: the certificate field %s is not DER: %s", x.ID, quote(c.Element), why)}, true
			}
		}
		return nil, false
	})

// brokenCertificate says what is wrong with a certificate in hex, "" if nothing.
func brokenCertificate(text string) string {
	text = strings.Join(strings.Fields(text), "")
	der, err := hexcodec.DecodeString(text)
	if err != nil {
		return fmt.Sprintf("cut at byte %d, %v", len(der), err)
	}
	var whole asn1.RawValue
	rest, err := asn1.Unmarshal(der, &whole)
	switch {
	case err != nil:
		return fmt.Sprintf("cut at byte %d, %v", len(der), err)
	case len(rest) > 0:
		return fmt.Sprintf("%d bytes too many behind byte %d", len(rest), len(der)-len(rest))
	}
	if _, err := x509.ParseCertificate(der); err != nil {
		return err.Error()
	}
	return ""
}

var signatureOrder = messageRule(traffic.FindingKind{
	Code: "msg-signature-order", Ref: "N03", Severity: traffic.Error,
	Title:  "The agent's signature verifies only after reversing its bytes",
	Why:    "Windows' CryptoAPI writes signatures with the last byte first, and the management point reads them so. .NET, OpenSSL and Go write the first byte first.",
	Remedy: "Reverse the bytes of the signature before writing them as hex.",
	Moot:   []string{"msg-site-refuses-agent", "msg-site-wants-again", "msg-no-reply", "msg-signature-unfit"},
}, "mpproxy show --signatures, or sign with the bytes reversed and send it again.", agentSide, certain,
	func(x *Exchange) ([]string, bool) {
		for _, s := range x.Message.Signatures {
			if strings.Contains(s.Form, "bytes in order") {
				return []string{
					fmt.Sprintf("exchange %d: the signature of the %s does not verify as sent, it verifies after reversing the bytes", x.ID, s.What),
					"it fits as " + s.Form,
				}, true
			}
		}
		return nil, false
	})

var signatureUnfit = messageRule(traffic.FindingKind{
	Code: "msg-signature-unfit", Ref: "N03", Severity: traffic.Error,
	Title:  "A signature in the agent's registration does not fit what it signs",
	Why:    "The management point refuses a registration whose signature does not verify.",
	Remedy: "Sign the text of <Data> as sent, in UTF-16LE, with the key of the signing certificate. If a rule of mpproxy or a device changes registrations, stop it.",
	Moot:   []string{"msg-site-refuses-agent", "msg-site-wants-again", "msg-no-reply"},
}, "mpproxy show N: what was tried.", agentSide, certain,
	func(x *Exchange) ([]string, bool) {
		if !isRegistration(x.Message.Kind) || !x.RequestWhole {
			return nil, false
		}
		for _, s := range x.Message.Signatures {
			if s.What == "registration" && s.State == decode.Unfit {
				return []string{
					fmt.Sprintf("exchange %d: the signature of the registration fits no key of the message", x.ID),
					"tried: MD5, SHA-1, SHA-256, SHA-384, SHA-512; both orders of bytes; with and without DigestInfo and terminator",
				}, true
			}
		}
		return nil, false
	})

var sentWhilePending = toldRule(traffic.FindingKind{
	Code: toldPending, Ref: "N01", Severity: traffic.Error,
	Title:  "The agent sent a report while its registration is pending: the management point will drop it",
	Why:    "Status 1 means that the site has not decided yet. What an agent sends before it is registered is not kept, whatever HTTP answers.",
	Remedy: "Let the agent ask again for its registration until the answer is Status 0, and send reports only then; approve the device in the console.",
	Moot:   []string{"msg-no-reply", toldDelta, "msg-site-keeps-waiting"},
}, "In the console: whether the device is approved.", agentSide)

var foreignEnvelope = toldRule(traffic.FindingKind{
	Code: toldEnvelope, Ref: "N05", Severity: traffic.Error,
	Title:  "The management point encrypted its reply for another certificate than the agent's",
	Why:    "Only the holder of the recipient's key can open it; the agent reports an error of decryption.",
	Remedy: "Let the agent register again with the certificate that it has now; look for a second device with the same client id.",
	Moot:   []string{"msg-no-reply"},
}, "mpproxy show N: the envelope's recipients.", mpSide)

var hintNewKey = toldRule(traffic.FindingKind{
	Code: toldHint, Ref: "N03", Severity: traffic.Info,
	Title:  "The agent registers a new key without proof that it holds the one registered before: the site takes it for a new device",
	Why:    "A client that changes its certificate sends a hint that is signed with the old key. Without that the site cannot tell it from another computer: it waits for approval, or makes a second record.",
	Remedy: "Sign the hint (CCMClientID, CCMClientTimestamp) with the key of the registration that the site knows; if that key is gone, remove the old record and approve the new one.",
	Moot:   []string{"msg-site-keeps-waiting"},
}, "In the console: two records of one name, the conflicting records; on the management point: MP_RegistrationManager.log.", agentSide)

var otherHash = toldRule(traffic.FindingKind{
	Code: toldHash, Ref: "N06", Severity: traffic.Warning,
	Title:  "The agent signs with another hash than the other agents of this site",
	Why:    "A site can demand SHA-256; then what is signed with SHA-1 is dropped, and old sites know nothing but SHA-1.",
	Remedy: "Sign with the hash that the site's agents use (Signing and Encryption tab of the site).",
	Moot:   []string{"msg-no-reply"},
}, "In the console: site properties, Signing and Encryption.", agentSide)

var noReply = messageRule(traffic.FindingKind{
	Code: "msg-no-reply", Ref: "N04", Severity: traffic.Error,
	Title:  "The management point answered the agent's question with nothing, or with a page, although HTTP says all is well",
	Why:    "It dropped the request: it is not signed, its sender is not registered, or the endpoint's database is away.",
	Remedy: "Look into the management point's log of this endpoint at this time; see whether the agent is registered.",
}, "On the management point: MP_*.log of the endpoint.", mpSide, certain,
	func(x *Exchange) ([]string, bool) {
		for _, code := range []string{"http-empty-answer", "http-no-message"} {
			if l := x.Message.lint(code); l != nil && x.good() {
				return []string{fmt.Sprintf("exchange %d: %s", x.ID, x.line()), l.Kind.Title}, true
			}
		}
		list := x.Method == "GET" && strings.HasSuffix(strings.ToLower(x.path()), "/.sms_aut")
		return []string{fmt.Sprintf("exchange %d: %s", x.ID, x.line()), "the answer is a page, called " + quote(x.Message.Heading)},
			list && x.good() && x.Message.ReplyForm == "page"
	}).then(blamed)

// refusable are the lints of a question for which a management point answers
// nothing.
var refusable = []string{
	"msg-length", "msg-endpoint-unknown", "msg-root", "msg-zlib-without-hook", "msg-not-zlib", "msg-source-id", "msg-signature",
	"msg-body-broken", "msg-utf8-body", "msg-header-incomplete",
}

// blamed adds what is wrong with the question itself: then it is the agent that
// has to act.
func blamed(_ *facts, o *occurrence) {
	m := o.exchange.Message
	for _, code := range refusable {
		if l := m.lint(code); l != nil && l.Dir == traffic.Request {
			o.leg, o.who = traffic.AgentSide, agentSide
			o.proof = append(o.proof, "the question itself is faulty: "+l.Kind.Title+": "+l.Evidence)
			o.do = []string{l.Kind.Remedy}
			return
		}
	}
	if l := m.lint("msg-unsigned"); l != nil && l.Dir == traffic.Request {
		o.proof = append(o.proof, "the question is not signed, and its endpoint wants that: "+l.Evidence)
	}
}

// serialOf is the serial number of a certificate in hex, nil when it is none.
func serialOf(text string) *big.Int {
	der, err := hexcodec.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		return nil
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil
	}
	return c.SerialNumber
}
