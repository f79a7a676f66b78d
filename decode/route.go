package decode

import "strings"

// route says what a request's URL means.
type route struct {
	// prefix is the beginning of the path, compared without case.
	prefix string
	// form is the message's form, kind its slug; "" when the body tells.
	form, kind string
	// auth is how the virtual directory wants the sender to prove who it is.
	auth string
}

// routes lists the paths of a management point and of what often stands on the
// same host, longest first where one begins like another.
var routes = []route{
	{prefix: "/ccm_system_windowsauth/", form: formCCM, auth: "windows"},
	{prefix: "/ccm_system_altauth/", form: formCCM, auth: "alt"},
	{prefix: "/ccm_system_tokenauth/", form: formCCM, auth: "token"},
	{prefix: "/ccm_system/", form: formCCM},
	{prefix: "/SMS_MCS", form: formCCM, kind: "multicast"},
	{prefix: "/SMS_MP_AltAuth/.sms_", form: formGet, auth: "alt"},
	{prefix: "/SMS_MP_TokenAuth/.sms_", form: formGet, auth: "token"},
	{prefix: "/SMS_MP_WindowsAuth/.sms_", form: formGet, auth: "windows"},
	{prefix: "/SMS_MP/.sms_", form: formGet},
	{prefix: "/CCM_Incoming", form: formBITS},
	{prefix: "/CCM_Client/", form: formOther, kind: "client-file"},
	{prefix: "/CCM_STS", form: formOther, kind: "token-service", auth: "token"},
	{prefix: "/CMUserService", form: formOther, kind: "user-service"},
	{prefix: "/bgb/", form: formXML, kind: "bgb"},
	{prefix: "/SMS_FSP/", form: formXML, kind: "fsp"},
	{prefix: "/NOCERT_SMS_DP_SMSPKG$", form: formOther, kind: "dp-content"},
	{prefix: "/NOCERT_SMS_DP_SMSSIG$", form: formOther, kind: "dp-signature"},
	{prefix: "/SMS_DP_SMSPKG$", form: formOther, kind: "dp-content"},
	{prefix: "/SMS_DP_SMSSIG$", form: formOther, kind: "dp-signature"},
	{prefix: "/downloadrestservice.svc/", form: formOther, kind: "dp-content"},
	{prefix: "/AADAuthInfo", form: formOther, kind: "cmg-info"},
}

// target is a request's URL taken apart. Nothing of it is decoded or put into
// another order, as the server reads it by hand, too.
type target struct {
	route
	// path is without a gateway's prefix, query without its question mark.
	path, query string
	// cmg is true when the path came through a cloud management gateway.
	cmg bool
}

// targetOf reads a request's URL.
func targetOf(url string) target {
	var t target
	if i := strings.Index(url, "://"); i > 0 && !strings.HasPrefix(url, "/") {
		if slash := strings.IndexByte(url[i+3:], '/'); slash >= 0 {
			url = url[i+3+slash:]
		} else {
			url = "/"
		}
	}
	t.path, t.query, _ = strings.Cut(url, "?")
	if rest, ok := cutGateway(t.path); ok {
		t.path, t.cmg = rest, true
	}
	for _, r := range routes {
		if hasPrefixFold(t.path, r.prefix) {
			t.route = r
			return t
		}
	}
	return t
}

// cutGateway takes the prefix of a cloud management gateway off a path:
// /CCM_Proxy_MutualAuth/72057594037928290/SMS_MP/... One published log lacks
// the slash before the number.
func cutGateway(path string) (string, bool) {
	for _, prefix := range [...]string{"/CCM_Proxy_MutualAuth", "/CCM_Proxy_ServerAuth"} {
		if !hasPrefixFold(path, prefix) {
			continue
		}
		rest := strings.TrimPrefix(path[len(prefix):], "/")
		rest = strings.TrimLeft(rest, "0123456789")
		if rest == "" {
			rest = "/"
		}
		return rest, strings.HasPrefix(rest, "/")
	}
	return path, false
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

func hasSuffixFold(s, suffix string) bool {
	return len(s) >= len(suffix) && strings.EqualFold(s[len(s)-len(suffix):], suffix)
}
