package decode

import (
	"strings"
	"time"

	"mpproxy/traffic"
)

var unsigned = lint{
	kind: traffic.FindingKind{
		Code: "msg-unsigned", Ref: "L301", Severity: traffic.Warning,
		Title:  "The message is not signed, and its endpoint wants it signed",
		Why:    "Over HTTP the management point answers nothing, or 0x87D00232.",
		Remedy: "Sign it: the hook clientauth, with a key that is registered.",
	},
	check: func(c *checking) {
		h := c.header()
		if h == nil || c.isReply() || c.TLS {
			return
		}
		if e := endpointOf(h.TargetEndpoint); e != nil && e.Signed && h.Hook(hookAuth) == nil {
			c.inHeader("Hooks", "no hook clientauth to %s over http", e.Name)
		}
	},
}

// weakHashes are what HashAlgorithm names for MD5 and SHA-1: object
// identifiers, and numbers of CryptoAPI.
var weakHashes = map[string]string{
	"1.2.840.113549.1.1.5": "SHA-1", "1.3.14.3.2.29": "SHA-1", "32772": "SHA-1",
	"1.2.840.113549.1.1.4": "MD5", "32771": "MD5",
}

var weakHash = lint{
	kind: traffic.FindingKind{
		Code: "msg-weak-hash", Ref: "L302", Severity: traffic.Warning,
		Title:  "The message is signed with an old hash",
		Why:    "It is weak; sites that demand SHA-256 refuse it.",
		Remedy: "Sign with 1.2.840.113549.1.1.11, SHA-256.",
	},
	check: func(c *checking) {
		if h := c.header(); h != nil {
			oid := h.Hook(hookAuth).Get("HashAlgorithm")
			if name := weakHashes[oid]; name != "" {
				c.inHeader("Hook2", "HashAlgorithm is %s (%s); expected 1.2.840.113549.1.1.11", quoted(oid), name)
			}
		}
	},
}

var payloadUnfit = lint{
	kind: traffic.FindingKind{
		Code: "msg-signature", Ref: "L303", Severity: traffic.Error,
		Title:  "A signature does not fit what it signs",
		Why:    "What is signed was changed after signing, or the key is another; the management point drops the message.",
		Remedy: "Do not rewrite signed bodies, or sign again with a key that is registered.",
	},
	depth: Full,
	check: func(c *checking) { c.unfit("payload", "registration", "token") },
}

var idUnfit = lint{
	kind: traffic.FindingKind{
		Code: "msg-id-signature", Ref: "L304", Severity: traffic.Warning,
		Title:  "The signature of the client id does not fit",
		Why:    "Management points are seen to ignore it; it shows a faulty sender all the same.",
		Remedy: "Sign the text of SourceID in UTF-16LE with its terminator.",
	},
	depth: Full,
	check: func(c *checking) { c.unfit("client id", "client id header", "timestamp") },
}

// unfit reports those of the signatures that were checked and do not fit.
func (c *checking) unfit(kinds ...string) {
	for _, s := range c.m.Signatures {
		for _, k := range kinds {
			if s.What == k && s.State == Unfit && s.Key == "" {
				c.found("header", -1, "%s: neither in SHA-256 nor in an older form, in either byte order", s.What)
			}
		}
	}
}

var cutSignature = lint{
	kind: traffic.FindingKind{
		Code: "msg-signature-cut", Ref: "L305", Severity: traffic.Warning, Inferred: true,
		Title:  "A signature is not as long as its key",
		Why:    "It was cut, or is no hex.",
		Remedy: "Check the encoder.",
	},
	check: func(c *checking) {
		h := c.header()
		if h == nil {
			return
		}
		hook := h.Hook(hookAuth)
		key := blobKeyDigits(hook.Get("PublicKey"))
		for _, name := range [...]string{"ClientIDSignature", "PayloadSignature"} {
			sig := hook.Get(name)
			if sig == "" || isHex(sig) && len(sig)%2 == 0 && (key == 0 || key == len(sig)) {
				continue
			}
			c.inHeader("Hook2", "%s has %d characters, hex %v; expected %d", name, len(sig), isHex(sig), max(key, 512))
		}
	},
}

// blobKeyDigits is how many hex digits a signature by this key has, 0 when
// that cannot be told. It reads the bit length of a PUBLICKEYBLOB only.
func blobKeyDigits(blob string) int {
	const head = 20 * 2
	if len(blob) < head || !isHex(blob[:head]) {
		return 0
	}
	digits := len(blob) - head
	if blob[24:32] != "00080000" && blob[24:32] != "00100000" && blob[24:32] != "00040000" && blob[24:32] != "000C0000" {
		return 0
	}
	return digits
}

var capabilityMismatch = lint{
	kind: traffic.FindingKind{
		Code: "msg-capability", Ref: "L308", Severity: traffic.Warning, Inferred: true,
		Title:  "The client speaks of another transport than it uses",
		Why:    "The modes of site and client are mixed up.",
		Remedy: "Check the site's mode and the client's properties.",
	},
	check: func(c *checking) {
		h := c.header()
		if h == nil {
			return
		}
		hook := h.Hook(hookAuth)
		capability := hook.Get("ClientCapabilities")
		if capability == "" {
			capability = hook.Get("ClientCapability")
		}
		switch {
		case c.TLS && strings.EqualFold(capability, "NonSSL"):
			c.inHeader("Hook2", "ClientCapabilities is %s over TLS", quoted(capability))
		case !c.TLS && c.Head.Start != "" && strings.EqualFold(capability, "SSL"):
			c.inHeader("Hook2", "ClientCapabilities is %s without TLS", quoted(capability))
		}
	},
}

var senderMismatch = lint{
	kind: traffic.FindingKind{
		Code: "msg-auth-sender", Ref: "L309", Severity: traffic.Warning,
		Title:  "The message is signed in another machine's name",
		Why:    "The machine was renamed, or the sender is forged.",
		Remedy: "Compare AuthSenderMachine with SourceHost.",
	},
	check: func(c *checking) {
		h := c.header()
		if h == nil || h.SourceHost == "" {
			return
		}
		sender := h.Hook(hookAuth).Get("AuthSenderMachine")
		if sender == "" {
			return
		}
		for name := range strings.SplitSeq(sender, ";") {
			if strings.EqualFold(firstLabel(strings.TrimSpace(name)), firstLabel(h.SourceHost)) {
				return
			}
		}
		c.inHeader("Hook2", "AuthSenderMachine is %s; SourceHost is %s", quoted(sender), quoted(h.SourceHost))
	},
}

var encryptedPayload = lint{
	kind: traffic.FindingKind{
		Code: "msg-encrypted", Ref: "L310", Severity: traffic.Info,
		Title:  "The payload is encrypted",
		Why:    "It cannot be shown without the recipient's key.",
		Remedy: "Nothing has to be done.",
	},
	check: func(c *checking) {
		e := c.m.Envelope
		if e == nil {
			return
		}
		to := ""
		if len(e.Recipients) > 0 {
			to = e.Recipients[0].Issuer + " serial " + e.Recipients[0].Serial + ", " + e.Recipients[0].Algorithm
		}
		c.found("payload", 0, "CMS EnvelopedData for %s, %s", quoted(to), clip(e.Content))
	},
}

var tokenTime = lint{
	kind: traffic.FindingKind{
		Code: "http-token-time", Ref: "L311", Severity: traffic.Error, Inferred: true,
		Title:  "The time in the client's token is not now",
		Why:    "The management point answers 403, or an HTML page.",
		Remedy: "Set the clock of the client, or of this machine.",
	},
	check: func(c *checking) {
		if c.isReply() || c.Arrived.IsZero() {
			return
		}
		for _, name := range [...]string{"ClientToken", "CCMClientTimestamp"} {
			value := c.Head.Get(name)
			for part := range strings.SplitSeq(value, ";") {
				t, ok := parseISO(strings.TrimSpace(part))
				if skew := c.Arrived.Sub(t).Abs(); ok && skew > maxSkew {
					c.found("head", fieldAt(c.Head, name), "%s says %s, came %s: %s apart", name, part,
						c.Arrived.UTC().Format(time.RFC3339), skew.Round(time.Second))
				}
			}
		}
	},
}
