package diagnose

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"mpproxy/traffic"
)

// Token is what a token says about itself. Its signature is not kept.
type Token struct {
	Issuer, Version string
	// Audience is one name or several, joined by a comma.
	Audience string
	// From and Until are nbf and exp, zero without.
	From, Until time.Time
}

// maxToken is the largest token that is read, in bytes.
const maxToken = 16 << 10

// tokenOf reads the JSON web token (RFC 7519) of an Authorization or CCMToken
// field, nil without one.
func tokenOf(h traffic.Head) *Token {
	for _, name := range []string{"Authorization", "CCMToken"} {
		value := h.Get(name)
		if len(value) > maxToken {
			continue
		}
		parts := strings.Split(value[strings.LastIndexAny(value, " =")+1:], ".")
		if len(parts) != 3 {
			continue
		}
		raw, err := base64.RawURLEncoding.DecodeString(parts[1])
		if err != nil {
			continue
		}
		var claims struct {
			Iss, Ver string
			Aud      any
			Nbf, Exp float64
		}
		if json.Unmarshal(raw, &claims) != nil {
			continue
		}
		return &Token{
			Issuer: claims.Iss, Version: claims.Ver, Audience: audience(claims.Aud),
			From: unix(claims.Nbf), Until: unix(claims.Exp),
		}
	}
	return nil
}

func audience(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []any:
		var all []string
		for _, one := range v {
			all = append(all, audience(one))
		}
		return strings.Join(all, ", ")
	}
	return ""
}

func unix(seconds float64) time.Time {
	if seconds <= 0 || seconds > 1e11 {
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0).UTC()
}

func (t *Token) String() string {
	s := fmt.Sprintf("iss %s, aud %s, ver %s", quote(t.Issuer), quote(t.Audience), quote(t.Version))
	if !t.From.IsZero() {
		s += ", nbf " + t.From.Format(time.RFC3339)
	}
	if !t.Until.IsZero() {
		s += ", exp " + t.Until.Format(time.RFC3339)
	}
	return s
}

// refused is true when the server wants another proof of who the agent is.
func (x *Exchange) refused() bool { return x.Status == 401 || x.Status == 403 }

var tokenRules = []rule{tokenTime, tokenRefused, tokenMissing}

var tokenTime = messageLike(traffic.FindingKind{
	Code: "http-token-expired", Ref: "N22", Severity: traffic.Error,
	Title:  "The agent's token has run out, or is not yet valid",
	Why:    "An agent that was off for long (90 days) cannot renew its token; a wrong clock has the same effect.",
	Remedy: "Set the agent's clock; else give it a new registration token (/regtoken) or a certificate.",
	Moot:   []string{"upstream-unauthorized", "upstream-no-challenge", "upstream-forbidden", "http-needs-https", "native-no-client-cert"},
}, "On the agent: ClientIDManagerStartup.log and CCM_STS.log of the management point.", agentSide, certain,
	func(x *Exchange) ([]string, bool) {
		t := x.Token
		switch {
		case t == nil || x.good() && x.Begun.Sub(t.Until) < maxApart:
		case !t.Until.IsZero() && x.Begun.After(t.Until):
			return []string{fmt.Sprintf("exchange %d: the token ran out %s before it was used", x.ID, x.Begun.Sub(t.Until).Round(time.Second)), t.String()}, true
		case !t.From.IsZero() && x.Begun.Add(maxApart).Before(t.From):
			return []string{fmt.Sprintf("exchange %d: the token is valid only %s after it was used", x.ID, t.From.Sub(x.Begun).Round(time.Second)), t.String()}, true
		}
		return nil, false
	}).then(unlessTaken)

// unlessTaken is less sure of a token that was taken all the same: the server's
// clock is the one that counts.
func unlessTaken(_ *facts, o *occurrence) {
	if o.exchange.good() {
		o.sure = possible
		o.proof = append(o.proof, "it was taken all the same: mpproxy's clock may be wrong")
	}
}

var tokenRefused = rule{
	kind: traffic.FindingKind{
		Code: "http-token-refused", Ref: "N22", Severity: traffic.Error,
		Title:  "The management point or its gateway refuses the agent's token, which is in date: its issuer or audience is another one",
		Why:    "A validator takes tokens of one issuer, audience and version: v1 of sts.windows.net and v2 of login.microsoftonline.com are not the same.",
		Remedy: "Compare iss, aud and ver with those that the server app of the site expects (requestedAccessTokenVersion in its manifest).",
		Moot:   []string{"upstream-unauthorized", "upstream-no-challenge", "upstream-forbidden", "http-needs-https", "native-no-client-cert"},
	},
	check: "On the management point: CCM_STS.log, no appropriate token validator.",
	test: perRequest(func(f *facts, x *Exchange) (occurrence, bool) {
		if x.Token == nil || !x.refused() {
			return occurrence{}, false
		}
		proof := []string{fmt.Sprintf("exchange %d: %s", x.ID, x.line()), "the token: " + x.Token.String()}
		if good := f.tokenTaken(); good != nil {
			proof = append(proof, fmt.Sprintf("a token that worked (exchange %d): %s", good.ID, good.Token))
		}
		return occurrence{leg: traffic.UpstreamSide, who: mpSide, sure: likely, proof: proof}, true
	}),
}

// tokenTaken is an exchange of this connection whose token was taken, nil
// without one.
func (f *facts) tokenTaken() *Exchange {
	for _, x := range f.requests {
		if x.Token != nil && x.Status >= 200 && x.Status < 300 {
			return x
		}
	}
	return nil
}

var tokenMissing = rule{
	kind: traffic.FindingKind{
		Code: "http-token-missing", Ref: "N22", Severity: traffic.Error,
		Title:  "The agent shows neither certificate nor token on a path that wants one of them",
		Why:    "With /mp the setup goes past the token path; with device tokens off in the server app none is issued (0x800703F0).",
		Remedy: "Install without /mp, with /regtoken; or give the agent a client certificate. See that the site's server app issues device tokens.",
		Moot:   []string{"upstream-unauthorized", "upstream-no-challenge", "upstream-forbidden", "http-needs-https"},
	},
	check: "On the agent: ccmsetup.log; on the management point: CCM_STS.log.",
	test: perRequest(func(f *facts, x *Exchange) (occurrence, bool) {
		certified := f.agent != nil && len(f.agent.client) > 0
		if certified || !x.refused() || !wantsToken(strings.ToLower(x.path())) || x.showsToken() || f.gateway(x) {
			return occurrence{}, false
		}
		return occurrence{leg: traffic.AgentSide, who: agentSide, sure: certain, proof: []string{
			fmt.Sprintf("exchange %d: no certificate and no token in this request, and its path wants one of them", x.ID), x.line(),
		}}, true
	}),
}

// wantsToken is true for paths that take agents by certificate or token alone;
// path is in lower case.
func wantsToken(path string) bool {
	for _, p := range []string{"/ccm_proxy_mutualauth/", "/ccm_proxy_serverauth/", "/ccm_sts", "/ccm_system_tokenauth/", "/sms_mp_tokenauth/"} {
		if strings.HasPrefix(path, p) {
			return true
		}
	}
	return false
}

// showsToken is true when a request has a token of whatever kind: the name of
// the field in which agents put theirs is not published.
func (x *Exchange) showsToken() bool {
	for _, field := range x.Question.Fields {
		name := strings.ToLower(field.Name)
		if name == "authorization" || strings.Contains(name, "token") {
			return true
		}
	}
	return x.Token != nil
}

// messageLike is a rule on the heads of single exchanges.
func messageLike(k traffic.FindingKind, check, who, sure string, does func(*Exchange) ([]string, bool)) rule {
	return rule{kind: k, check: check, test: perRequest(func(_ *facts, x *Exchange) (occurrence, bool) {
		proof, found := does(x)
		return occurrence{leg: legOf(who), who: who, sure: sure, proof: proof}, found
	})}
}
