package diagnose

import (
	"bytes"
	"crypto/md5" //nolint:gosec // the hash of the protocol
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"

	"mpproxy/traffic"
)

// bindingRules are about Windows authentication tied to TLS, which is called
// Extended Protection.
var bindingRules = []rule{channelBinding}

var channelBinding = rule{
	kind: traffic.FindingKind{
		Code: "upstream-extended-protection", Ref: "M17", Severity: traffic.Error,
		Title:  "The management point refuses the agent's Windows authentication, since it is tied to the certificate of mpproxy (Extended Protection)",
		Why:    "The agent signs which certificate it saw; the management point compares that with its own and takes mpproxy for an attacker.",
		Remedy: "Switch Extended Protection off for ccm_system_windowsauth, give mpproxy the management point's own certificate and key (--cert), or pass this listener through.",
		Moot:   []string{"upstream-windows-auth", "upstream-unauthorized", "upstream-auth-challenge"},
	},
	check: "On the management point: Extended Protection of ccm_system_windowsauth; Security log, event 4625, status 0xc000035b.",
	test: func(f *facts) (occurrence, bool) {
		if f.agent == nil || f.upstream == nil || f.agent.sealed {
			return occurrence{}, false
		}
		ours, theirs := f.agent.server.leaf(), f.upstream.server.leaf()
		if ours == nil || theirs == nil || ours.Equal(theirs) {
			return occurrence{}, false
		}
		for _, x := range f.requests {
			if x.Status == 401 && len(x.Binding) > 0 && bytes.Equal(x.Binding, bindingOf(ours)) {
				return occurrence{leg: traffic.UpstreamSide, who: mpSide, sure: certain, exchange: x, proof: []string{
					fmt.Sprintf("exchange %d: the NTLM answer has the channel binding %x, which is that of mpproxy's certificate %s; the answer is 401", x.ID, x.Binding, quote(ours.Subject.String())),
					fmt.Sprintf("the management point expects %x, of its own certificate %s", bindingOf(theirs), quote(theirs.Subject.String())),
				}}, true
			}
		}
		return occurrence{}, false
	},
}

// bindingOf is the hash of the channel binding tls-server-end-point of a
// certificate, RFC 5929, 4.1, as NTLM writes it: MD5 of a gss_channel_bindings
// structure without addresses, [MS-NLMP] 2.2.2.1.
func bindingOf(c *x509.Certificate) []byte {
	var hash []byte
	switch c.SignatureAlgorithm {
	case x509.SHA384WithRSA, x509.ECDSAWithSHA384, x509.SHA384WithRSAPSS:
		h := sha512.Sum384(c.Raw)
		hash = h[:]
	case x509.SHA512WithRSA, x509.ECDSAWithSHA512, x509.SHA512WithRSAPSS:
		h := sha512.Sum512(c.Raw)
		hash = h[:]
	default:
		h := sha256.Sum256(c.Raw)
		hash = h[:]
	}
	data := append([]byte("tls-server-end-point:"), hash...)
	b := binary.LittleEndian.AppendUint32(make([]byte, 16), uint32(len(data)))
	sum := md5.Sum(append(b, data...)) //nolint:gosec // the hash of the protocol
	return sum[:]
}

// The parts of an NTLM message, [MS-NLMP] 2.2.1.3 and 2.2.2.7.
const (
	ntlmAnswerField = 20      // where the fields of NtChallengeResponse are
	ntlmPairs       = 16 + 28 // where the AV pairs begin in it
	avEnd           = 0
	avBinding       = 0x000A
)

// bindingFrom is the channel binding in an Authorization field with an NTLM
// AUTHENTICATE message, bare or within SPNEGO; nil without one.
func bindingFrom(field string) []byte {
	_, value, _ := strings.Cut(field, " ")
	if len(value) > maxToken {
		return nil
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(value))
	if err != nil {
		return nil
	}
	at := bytes.Index(raw, []byte("NTLMSSP\x00\x03\x00\x00\x00"))
	if at < 0 || len(raw) < at+ntlmAnswerField+8 {
		return nil
	}
	m := raw[at:]
	size := int(binary.LittleEndian.Uint16(m[ntlmAnswerField:]))
	from := int(binary.LittleEndian.Uint32(m[ntlmAnswerField+4:]))
	if from > len(m) || size > len(m)-from || size < ntlmPairs {
		return nil
	}
	pairs := m[from+ntlmPairs : from+size]
	for len(pairs) >= 4 {
		id, n := binary.LittleEndian.Uint16(pairs), int(binary.LittleEndian.Uint16(pairs[2:]))
		if id == avEnd || n > len(pairs)-4 {
			return nil
		}
		if value := pairs[4 : 4+n]; id == avBinding && n == md5.Size {
			return value
		}
		pairs = pairs[4+n:]
	}
	return nil
}
