package decode

import (
	"strings"
	"testing"

	"mpproxy/traffic"
)

func get(line string, fields ...string) Source {
	return source([]byte(line + " HTTP/1.1\r\n" + strings.Join(append(fields, "\r\n"), "\r\n")))
}

func TestRequestsByURL(t *testing.T) {
	tests := []struct{ line, kind, long string }{
		{"GET /SMS_MP/.sms_aut?MPLIST", "mp-list", "MP list?"},
		{"GET /sms_mp/.SMS_AUT?mplist1&P01", "mp-list", "MP list? site P01"},
		{"GET /SMS_MP/.sms_aut?MPCERT", "mp-cert", "MP certificate?"},
		{"GET /SMS_MP/.sms_aut?SITESIGNCERT", "site-cert", "site signing certificate?"},
		{"GET /SMS_MP_AltAuth/.sms_aut?MPKEYINFORMATIONMEDIA", "mp-key", "MP keys? for media"},
		{"GET /SMS_MP/.sms_aut?MPTRK", "trusted-key", "trusted root key?"},
		{"GET /SMS_MP/.sms_aut?MPLOCATION&ir=10.0.0.7&ip=10.0.0.0", "mp-locate", "MP for ir=10.0.0.7&ip=10.0.0.0"},
		{"GET /SMS_MP/.sms_aut?GETCLIENTAFFINITY&GUID:7C1E5B0A-3D24-4F66-9A0B-5E2C8D41F7A3", "affinity", "primary user of 7C1E5B0A"},
		{"GET /SMS_MP/.sms_aut?SMSTRC", "mp-trace", "MP trace?"},
		{"GET /SMS_MP/.sms_aut?NEWTHING&x=1", "mp-query", "MP query? NEWTHING&x=1"},
		{"GET /SMS_MP/.sms_pol?{C83A61F0-94D7-4B2E-A5C1-6E0F7D38B912}.3_00", "policy-body", "policy body {C83A61F0} v3.00"},
		{"GET /SMS_MP/.sms_pol?%7BC83A61F0-94D7-4B2E-A5C1-6E0F7D38B912%7D.12_05", "policy-body", "policy body {C83A61F0} v12.05"},
		{"GET /SMS_MP/.sms_pol?LAB20000-PR100003-6F6BCC28.1_00", "policy-body", "policy body LAB20000-PR100003-6F6BCC28 v1.00"},
		{"GET /SMS_MP/.sms_pol?COMGMT00.SHA256:" + strings.Repeat("AB", 32), "policy-body", "policy body COMGMT00 by hash"},
		{"GET /SMS_MP/.sms_pol?something.else", "policy-body", "policy body something.else"},
		{"GET /SMS_MP/.sms_dcm?Id&amp;DocumentId=ScopeId_3C0E9A52-7D1F-4B86-A0E4-95B2C8D6F713%2FApp_5/3/PROPERTIES&Hash=AA&Compression=zlib", "ci-document", "CI? ScopeId_3C0E9A52/App_5/3/PROPERTIES"},
		{"PROPFIND /SMS_DP_SMSPKG$/LAB00017", "dp-content", "content PROPFIND LAB00017"},
		{"GET /SMS_DP_SMSPKG$/LAB00017/sccm?/setup.exe", "dp-content", "content LAB00017/sccm/setup.exe"},
		{"HEAD /NOCERT_SMS_DP_SMSSIG$/LAB00017.4.tar", "dp-signature", "content signature HEAD LAB00017.4.tar"},
		{"GET /CCM_Client/ccmsetup.cab", "client-file", "client file ccmsetup.cab"},
		{"GET /CCM_Proxy_MutualAuth/72057594037928290/SMS_MP/.sms_aut?MPLIST", "mp-list", "MP list?"},
		{"GET /CCM_PROXY_SERVERAUTH72057594037928290/SMS_MP/.sms_aut?MPLIST", "mp-list", "MP list?"},
		{"GET http://mp01.lab.example/SMS_MP/.sms_aut?MPLIST", "mp-list", "MP list?"},
		{"GET /bgb/handler.ashx?RequestType=Continue", "bgb", "notification RequestType=Continue"},
		{"GET /index.html", "other", "GET /index.html"},
		{"GET /CCM_Incoming/x", "other", "GET /CCM_Incoming/x"},
	}
	for _, test := range tests {
		m := Decode(get(test.line), Summary)
		if m.Kind != test.kind || m.Long != test.long {
			t.Errorf("%s is %s %q, want %s %q", test.line, m.Kind, m.Long, test.kind, test.long)
		}
	}
}

// A policy's request says who asks, though it has no message.
func TestTokenNamesTheClient(t *testing.T) {
	for _, field := range []string{
		"ClientToken: GUID:7C1E5B0A-3D24-4F66-9A0B-5E2C8D41F7A3;2026-03-02T08:15:30Z;2",
		"CCMClientID: GUID:7C1E5B0A-3D24-4F66-9A0B-5E2C8D41F7A3",
	} {
		m := Decode(get("GET /SMS_MP/.sms_pol?{A}.1_00", field), Summary)
		if m.Client != "GUID:7C1E5B0A-3D24-4F66-9A0B-5E2C8D41F7A3" {
			t.Errorf("%s: client is %q", field, m.Client)
		}
	}
}

func TestAnswers(t *testing.T) {
	pol := Decode(get("GET /SMS_MP/.sms_pol?{A}.1_00"), Full)
	ccm := Decode(source(mustRead(t, samples+"wire/03-policy-request.http")), Full)
	dp := Decode(get("GET /SMS_DP_SMSPKG$/LAB00017/x.exe"), Full)
	iis := "<!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Strict//EN\"><html><head><title>IIS 10.0 Detailed Error - 403.7 - Forbidden</title></head><body><h2>HTTP Error 403.7</h2></body></html>"
	packed, err := deflate(Text{String: "<ConfigurationItem xmlns='x' Id='a/b' Version='2'/>"}.Bytes(), "zlib", 6)
	if err != nil {
		t.Fatal(err)
	}
	gz, err := deflate(Text{String: `<?xml version="1.0"?><Policy PolicyVersion="2.00"><PolicyRule/></Policy>`, BOM: true}.Bytes(), "gzip", 6)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, head, body string
		request          *Message
		form, kind, long string
		findings         string
	}{
		{"IIS page", "403 Client certificate required", iis, ccm, "page", "page", "403.7 Client certificate required, Client certificate required", ""},
		{"error without page", "500 Internal Server Error", "", ccm, "empty", "http-error", "500 Internal Server Error", ""},
		{"gateway", "403 CMGConnector_Forbidden", "x", pol, "get", "http-error", "403 CMGConnector_Forbidden", ""},
		{"policy refused", "200 OK", "<HTML><HEAD><TITLE>ERROR</TITLE></HEAD></HTML>", pol, "page", "policy-body", "policy body REFUSED (HTML)", "msg-policy-refused"},
		{"page of a middlebox", "200 OK", "<html><head><title>Welcome</title></head></html>", ccm, "page", "page", "Welcome", "http-no-message"},
		{"zlib", "200 OK", string(packed), Decode(get("GET /SMS_MP/.sms_dcm?Id&DocumentId=x"), Full), "get", "ci-document", "CI b v2", ""},
		{"gzip", "200 OK\r\nContent-Encoding: gzip", string(gz), pol, "get", "policy-body", "policy body v2.00, 146 B", ""},
		{"download", "206 Partial Content\r\nContent-Range: bytes 0-4/99", "MZ\x90\x00\x03", dp, "other", "dp-content", "bytes 0-4/99", ""},
		{"negotiate", "401 Unauthorized\r\nWWW-Authenticate: NTLM", "", Decode(get("CCM_POST /ccm_system_windowsauth/request"), Full), "empty", "http-error", "401 Unauthorized", "http-negotiate"},
		{"replayed", "404 " + NotInCapture, "x", pol, "get", "http-error", "404 Not in the capture", "http-not-in-capture"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := source([]byte(test.body))
			s.Head = traffic.ParseHead([]byte("HTTP/1.1 " + test.head + "\r\n\r\n"))
			s.Request = test.request
			for _, d := range []Depth{Summary, Full} {
				m := Decode(s, d)
				if m.Form != test.form || m.Kind != test.kind || m.Long != test.long {
					t.Errorf("depth %d: %s %s %q, want %s %s %q", d, m.Form, m.Kind, m.Long, test.form, test.kind, test.long)
				}
				var codes []string
				for _, f := range m.Findings {
					codes = append(codes, f.Kind.Code)
				}
				if got := strings.Join(codes, " "); got != test.findings {
					t.Errorf("depth %d: findings %q, want %q", d, got, test.findings)
				}
			}
		})
	}
}

// An answer that says NoReply is one part without a payload.
func TestNoReply(t *testing.T) {
	body := "--B\r\ncontent-type: text/plain; charset=UTF-16\r\n\r\n" +
		string(Text{String: `<Msg SchemaVersion="1.1"><ID>{7D444840-9DC0-11D1-B245-5FFDCE74FAD2}</ID></Msg>`, BOM: true}.Bytes()) + "\r\n--B--"
	s := source([]byte("HTTP/1.1 200 OK\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n" + body))
	s.Request = Decode(source(mustRead(t, samples+"wire/05-metering-request.http")), Summary)
	if m := Decode(s, Summary); m.Kind != "accepted" || m.Short != "" || m.MsgID == "" || len(m.Findings) > 0 {
		t.Errorf("got %s %q %q, findings %v", m.Kind, m.Short, m.MsgID, m.Findings)
	}
}

// The root of the answer is not published, so the question names it.
func TestClientIDReply(t *testing.T) {
	ask := ccmSource(t, "<Msg><TargetEndpoint>MP_ClientIdManager</TargetEndpoint></Msg>",
		Text{String: string(mustRead(t, samples+"client-id-request.xml")), Tail: []byte{0, 0}}.Bytes())
	s := ccmSource(t, "<Msg/>", Text{String: "<X><ClientID>GUID:7C1E5B0A-3D24-4F66-9A0B-5E2C8D41F7A3</ClientID><NetbiosName>WS-0042</NetbiosName></X>", Tail: []byte{0, 0}}.Bytes())
	s.Dir, s.Request = traffic.Reply, Decode(ask, Summary)
	s.Head = traffic.ParseHead([]byte("HTTP/1.1 200 OK\r\nContent-Type: multipart/mixed; boundary=aAbBcCdDv1234567890VxXyYzZ\r\n\r\n"))
	if m := Decode(s, Summary); m.Kind != "client-id-reply" || m.Long != "client id GUID 7C1E5B0A WS-0042" {
		t.Errorf("got %s %q", m.Kind, m.Long)
	}
}
