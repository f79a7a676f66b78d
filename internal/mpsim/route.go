package mpsim

import (
	"crypto/x509"
	"net/http"
	"slices"
	"strings"
)

// route is a virtual directory of the site's web server.
type route struct {
	// prefix is in lower case; a final slash means that more may follow.
	prefix  string
	methods []string
	// open needs no client certificate at a native site, plain not even HTTPS.
	open, plain bool
	handle      func(*Site, *exchange)
}

var (
	get     = []string{http.MethodGet, http.MethodHead}
	ccmPost = []string{"CCM_POST"}
	bitsVia = []string{"BITS_POST"}
	dav     = []string{http.MethodGet, http.MethodHead, "PROPFIND"}
)

// routes lists what the site answers; the first that fits is taken.
var routes = []route{
	{prefix: "/ccm_system/request", methods: ccmPost, handle: (*Site).ccm},
	{prefix: "/ccm_system_windowsauth/request", methods: ccmPost, handle: (*Site).ccmWithWindowsAuth},
	{prefix: "/ccm_system_altauth/request", methods: ccmPost, open: true, handle: (*Site).ccm},
	{prefix: "/ccm_system_tokenauth/request", methods: ccmPost, open: true, handle: (*Site).ccm},
	{prefix: "/sms_mp/.sms_aut", methods: get, handle: (*Site).sendList},
	{prefix: "/sms_mp_altauth/.sms_aut", methods: get, open: true, handle: (*Site).sendList},
	{prefix: "/sms_mp/.sms_pol", methods: get, handle: (*Site).sendPolicy},
	{prefix: "/sms_mp_altauth/.sms_pol", methods: get, open: true, handle: (*Site).sendPolicy},
	{prefix: "/sms_mp/.sms_dcm", methods: get, handle: (*Site).sendDocument},
	{prefix: "/sms_mp_altauth/.sms_dcm", methods: get, open: true, handle: (*Site).sendDocument},
	{prefix: "/ccm_incoming/", methods: bitsVia, handle: (*Site).upload},
	{prefix: "/sms_dp_smspkg$/", methods: dav, handle: (*Site).content},
	{prefix: "/nocert_sms_dp_smspkg$/", methods: dav, open: true, handle: (*Site).content},
	{prefix: "/sms_dp_smssig$/", methods: get, handle: (*Site).contentSignature},
	{prefix: "/sms_fsp/.sms_fsp", methods: []string{http.MethodPost}, open: true, plain: true, handle: (*Site).fallbackStatus},
}

// answer is the whole way of a request through the site.
func (s *Site) answer(c *connState, request *http.Request, body []byte) reply {
	path, query, _ := strings.Cut(request.RequestURI, "?")
	if request.URL.IsAbs() {
		path = request.URL.Path
	}
	x := &exchange{site: s, conn: c, http: request, path: strings.ToLower(path), query: query, body: body}
	x.record = Record{At: s.cfg.Now(), Kind: unknownKind, Method: request.Method, Target: request.RequestURI}
	s.route(x)
	if f := s.cfg.Fault; f != nil && f.apply != nil && f.apply(x) {
		x.record.Fault = f.Name
	}
	if x.answer != "" {
		x.seal()
	}
	x.record.Status = max(x.reply.status, http.StatusOK)
	s.log.add(x.record)
	return x.reply
}

func (s *Site) route(x *exchange) {
	for _, r := range routes {
		if x.path != r.prefix && (!strings.HasSuffix(r.prefix, "/") || !strings.HasPrefix(x.path, r.prefix)) {
			continue
		}
		if refusal := s.refusal(x, r); refusal.status != 0 {
			x.reply = refusal
			return
		}
		r.handle(s, x)
		return
	}
	x.reply = page(http.StatusNotFound, "", "File or directory not found.")
}

// refusal is the web server's own no; status zero when there is none.
func (s *Site) refusal(x *exchange, r route) reply {
	if !slices.Contains(r.methods, x.http.Method) {
		refusal := page(http.StatusMethodNotAllowed, "", "HTTP verb used to access this page is not allowed.")
		refusal.add("Allow", strings.Join(r.methods, ", "))
		return refusal
	}
	if !s.cfg.Native || r.plain {
		return reply{}
	}
	if !x.secure() {
		return page(http.StatusForbidden, "", "The page you are trying to access is secured with Secure Sockets Layer (SSL).")
	}
	if r.open {
		return reply{}
	}
	return s.certificateRefusal(x.http.TLS.PeerCertificates)
}

// certificateRefusal is the answer to a client without a certificate that the
// site trusts; status zero for one that has it.
func (s *Site) certificateRefusal(chain []*x509.Certificate) reply {
	const reason = "Client certificate required"
	if len(chain) == 0 {
		return page(http.StatusForbidden, reason, "The page you are attempting to access requires your browser to have a Secure Sockets Layer (SSL) client certificate that the Web server will recognize.")
	}
	options := x509.VerifyOptions{
		Roots:         s.clientCAs,
		Intermediates: x509.NewCertPool(),
		CurrentTime:   s.cfg.Now(),
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, cert := range chain[1:] {
		options.Intermediates.AddCert(cert)
	}
	if _, err := chain[0].Verify(options); err != nil {
		return page(http.StatusForbidden, reason, "Your client certificate is either not trusted or is invalid.")
	}
	return reply{}
}

// ccmWithWindowsAuth answers 401 until the connection is authenticated. Any
// token is good: what is tried is the way of the bytes, not Kerberos.
func (s *Site) ccmWithWindowsAuth(x *exchange) {
	scheme, token, _ := strings.Cut(x.http.Header.Get("Authorization"), " ")
	offered := token != "" && (strings.EqualFold(scheme, "Negotiate") || strings.EqualFold(scheme, "NTLM"))
	if !offered && !x.conn.authenticated {
		x.record.Kind = "challenge"
		x.reply = page(http.StatusUnauthorized, "", "You do not have permission to view this directory or page using the credentials that you supplied.")
		x.reply.add("WWW-Authenticate", "Negotiate")
		x.reply.add("WWW-Authenticate", "NTLM")
		return
	}
	if offered {
		x.conn.authenticated = true
		x.reply.add("WWW-Authenticate", "Negotiate oRQwEqADCgEAoQsGCSqGSIb3EgECAg==")
		x.reply.add("Persistent-Auth", "true")
	}
	s.ccm(x)
}

// upload takes a packet of a BITS upload.
func (s *Site) upload(x *exchange) {
	x.record.Kind = "bits"
	h := x.http.Header
	x.reply = s.bits.packet(bitsPacket{
		kind:         h.Get("BITS-Packet-Type"),
		url:          x.http.URL.Path,
		session:      h.Get("BITS-Session-Id"),
		protocols:    h.Get("BITS-Supported-Protocols"),
		contentRange: h.Get("Content-Range"),
		body:         x.body,
	})
}

// fallbackStatus takes a state message of an agent that has no management
// point. It is UTF-16, with or without mark.
func (s *Site) fallbackStatus(x *exchange) {
	x.record.Text = fromUTF16(x.body)
	if x.record.Root = rootName(x.record.Text); x.record.Root == "Report" {
		x.record.Kind = "fsp"
	}
}
