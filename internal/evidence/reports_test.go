package evidence

import (
	"crypto"
	"encoding/asn1"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"mpproxy/traffic"
)

const iis = "Server: Microsoft-IIS/10.0"

// page is an error, or a page for people, of a web server.
func page(status, heading string, fields ...string) []byte {
	return plain("HTTP/1.1 "+status, "<!DOCTYPE html><html><head><title>"+heading+"</title></head><body><h2>"+heading+"</h2></body></html>",
		append([]string{"Content-Type: text/html"}, fields...)...)
}

var mpList = get("/SMS_MP/.sms_aut?MPLIST")

const policyQuery = "{5B2F8E41-7A0C-4D93-8C6E-2F1B9D7A0E35}"

// policyFor asks for the policy of a client, policyReply answers with
// assignments.
func policyFor(client string) []byte {
	return ask("MP_PolicyManager", `<RequestAssignments SchemaVersion="1.00" RequestType="Always"><Identification><Machine><ClientID>`+client+`</ClientID></Machine></Identification><PolicySource>SMS:LAB</PolicySource></RequestAssignments>`)
}

func policyReply(client, assignments string) []byte {
	return answer("PolicyAgent_ReplyAssignments", `<ReplyAssignments SchemaVersion="1.00" ReplyType="Full"><Identification><Machine><ClientID>`+client+`</ClientID></Machine></Identification>`+assignments+`</ReplyAssignments>`)
}

const otherID = "GUID:1A6F2B11-3C4D-4E5F-9A0B-1C2D3E4F5061"

// reportOf is an inventory of this computer as this client.
func reportOf(name, client, kind, version string) []byte {
	r := string(inventory(kind, version, "A01"))
	r = replaceWide(r, "PC-0001", name)
	return []byte(replaceWide(r, smsid, client))
}

// replaceWide replaces text of the same length in a message.
func replaceWide(s, old, text string) string {
	if len(old) != len(text) {
		panic("a message whose length is not true")
	}
	s = strings.ReplaceAll(s, strings.TrimSuffix(wide(old), "\x00\x00"), strings.TrimSuffix(wide(text), "\x00\x00"))
	return strings.ReplaceAll(s, old, text)
}

// sealed is a reply that is encrypted for the certificate with this serial
// number.
func sealed(t *testing.T, serial int64) []byte {
	t.Helper()
	type issuerSerial struct {
		Issuer asn1.RawValue
		Serial *big.Int
	}
	type algorithm struct{ ID asn1.ObjectIdentifier }
	type recipient struct {
		Version   int
		Who       issuerSerial
		Algorithm algorithm
		Key       []byte
	}
	type content struct {
		Type      asn1.ObjectIdentifier
		Algorithm algorithm
		Sealed    []byte `asn1:"tag:0,implicit"`
	}
	type enveloped struct {
		Version    int
		Recipients []recipient `asn1:"set"`
		Content    content
	}
	type whole struct {
		Type    asn1.ObjectIdentifier
		Content enveloped `asn1:"explicit,tag:0"`
	}
	der, err := asn1.Marshal(whole{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 3}, enveloped{
		Recipients: []recipient{{
			Who: issuerSerial{asn1.RawValue{FullBytes: []byte{0x30, 0}}, big.NewInt(serial)}, Algorithm: algorithm{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}}, Key: []byte{1},
		}},
		Content: content{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}, algorithm{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}}, []byte{1, 2, 3}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return plain("HTTP/1.1 200 OK", string(der), "Content-Type: application/octet-stream", iis)
}

// cut is an answer, or with a nil reply a request, that ends in the middle; mp
// tells whose side ended.
func (f *field) cut(request, reply []byte, mp bool) {
	x := f.begin(request)
	x.Fate, x.Request.Whole = traffic.Broken, reply != nil
	if reply != nil {
		x.Replied, x.Reply = f.now, wire(reply)
		x.Reply.Whole = false
		f.recorder.Take(traffic.Chunk{Exchange: x.ID, Dir: traffic.Reply, Data: reply})
	}
	x.Ended = f.now
	f.recorder.Take(traffic.ExchangeOver{Exchange: x})
	c := f.lastConn()
	if mp {
		c.UpstreamLeg.End = traffic.EndFIN
	}
	f.closed(c)
}

// odd is an exchange of which the proxy has noted something.
func (f *field) odd(request, reply []byte, dir traffic.Dir, code, evidence string) {
	x := f.begin(request)
	x.Fate, x.Replied, x.Reply, x.Ended = traffic.Tunneled, f.now, wire(reply), f.now
	x.Findings = []traffic.Finding{{Kind: &traffic.FindingKind{Code: code, Severity: traffic.Error, Title: code, Why: code, Remedy: code}, Dir: dir, Offset: -1, Evidence: evidence}}
	f.recorder.Take(traffic.Chunk{Exchange: x.ID, Dir: traffic.Reply, Data: reply})
	f.recorder.Take(traffic.ExchangeOver{Exchange: x})
}

// TestReports makes troubles that administrators report besides those of
// TestField, and fails when the first thing said is not their cause, blames
// another side, or is more or less sure than the bytes are. A code of "" is
// traffic in which nothing may be found.
func TestReports(t *testing.T) {
	good, key := identity(t)
	signed := signedRegistration(t, good, key, crypto.SHA256, true)
	full := policyReply(smsid, `<PolicyAssignment PolicyAssignmentID="{A}"/><Signature/>`)
	for _, tt := range []struct {
		name, code, who, sure, says string
		make                        func(*field)
	}{
		{"registration pending for ever", "msg-site-keeps-waiting", "mp", "certain", "the same 2 times, since exchange 1", func(f *field) {
			f.add(signed, registrationReply("1"))
			f.add(signed, registrationReply("1"))
		}},
		{"registration pending, then confirmed", "", "", "", "", func(f *field) {
			f.add(signed, registrationReply("1"))
			f.add(signed, registrationReply("0"))
		}},
		{"registration not processed, then taken", "", "", "", "", func(f *field) {
			f.add(signed, registrationReply("2"))
			f.add(signed, registrationReply("0"))
		}},
		{"client not approved", "msg-site-does-not-approve", "mp", "certain", `ApprovalStatus "0"`, func(f *field) { f.add(signed, registered("0", "0")) }},
		{"certificate reset", "msg-site-resets-certificate", "mp", "certain", "Status 4", func(f *field) { f.add(signed, registrationReply("4")) }},
		{"cloned computers in turn", "msg-client-id-shared", "agent", "likely", `after "PC-0002"`, func(f *field) {
			f.add(reportOf("PC-0001", smsid, "Full", "1.0"), empty)
			f.add(reportOf("PC-0002", smsid, "Full", "9.0"), empty)
			f.add(reportOf("PC-0001", smsid, "Full", "2.0"), empty)
		}},
		{"cloned computers at two addresses", "msg-client-id-shared", "agent", "possible", "renamed and has moved", func(f *field) {
			f.add(reportOf("PC-0001", smsid, "Full", "1.0"), empty)
			f.connect("192.0.2.78:51400")
			f.add(reportOf("PC-0002", smsid, "Delta", "9.2"), empty)
		}},
		{"full inventories again and again", "msg-report-full-again", "mp", "possible", "the third within 2s", func(f *field) {
			for _, v := range []string{"1.0", "2.0", "3.0"} {
				f.add(inventory("Full", v, "A01"), empty)
			}
		}},
		{"a full inventory each day", "", "", "", "", func(f *field) {
			for _, v := range []string{"1.0", "2.0", "3.0"} {
				f.add(inventory("Full", v, "A01"), empty)
				f.now = f.now.Add(20 * time.Hour)
			}
		}},
		{"a message that is sent again from a record", "msg-clocks-apart", "agent", "possible", "from a record", func(f *field) {
			f.now = f.now.AddDate(0, 1, 0)
			f.add(policyFor(smsid), withDate(full, f.now))
		}},
		{"agent's clock behind, the answer has no time", "msg-clocks-apart", "agent", "possible", "by mpproxy's", func(f *field) {
			f.now = f.now.Add(40 * time.Hour)
			f.add(policyFor(smsid), full)
		}},
		{"a computer that was renamed", "", "", "", "", func(f *field) {
			f.add(reportOf("PC-0001", smsid, "Full", "1.0"), empty)
			f.add(reportOf("PC-0002", smsid, "Full", "2.0"), empty)
		}},
		{"client id reset again and again", "msg-client-id-changes", "agent", "likely", "change number 2", func(f *field) {
			for _, id := range []string{smsid, otherID, "GUID:2" + smsid[6:]} {
				f.add(reportOf("PC-0001", id, "Full", "1.0"), empty)
			}
		}},
		{"several management points behind one name", "msg-several-points", "mp", "certain", "is again that of exchange 1", func(f *field) {
			for _, c := range []string{"3082AA", "3082BB", "3082AA"} {
				f.connect("192.0.2.77:51400")
				f.add(get("/SMS_MP/.sms_aut?MPCERT"), document("<MPCertificate><Certificate>"+c+"</Certificate></MPCertificate>"))
			}
		}},
		{"a management point with two names", "msg-several-points", "mp", "certain", `"MP02" answers`, func(f *field) {
			f.add(get("/SMS_MP/.sms_aut?MPKEYINFORMATION"), mpKeys("0602AA", "3082AA"))
			f.add(get("/SMS_MP/.sms_aut?MPKEYINFORMATION"), document("<MPKEYINFORMATION><MACHINENAME>MP02</MACHINENAME><TRUSTEDROOTKEY>0602AA</TRUSTEDROOTKEY><MPCERTIFICATE>3082BB</MPCERTIFICATE></MPKEYINFORMATION>"))
		}},
		{"agent's clock behind", "msg-clocks-apart", "agent", "likely", "as the management point's does", func(f *field) {
			f.now = f.now.Add(40 * time.Hour)
			f.add(policyFor(smsid), withDate(full, f.now))
		}},
		{"management point's clock ahead", "msg-clocks-apart", "mp", "likely", "as the agent's does", func(f *field) { f.add(policyFor(smsid), withDate(full, noon.Add(time.Hour))) }},
		{"a report that waited in the queue", "", "", "", "", func(f *field) {
			f.now = f.now.Add(40 * time.Hour)
			f.add(inventory("Full", "1.0", "A01"), withDate(empty, f.now))
		}},
		{"B14 policy reply for another certificate", "msg-envelope-recipient", "mp", "certain", "serial 4d", func(f *field) {
			f.add(signed, registrationReply("0"))
			f.add(policyFor(smsid), sealed(t, 78))
		}},
		{"B14 policy body for another certificate", "msg-envelope-recipient", "mp", "likely", "serial 4d", func(f *field) {
			f.add(signed, registrationReply("0"))
			f.add(get("/SMS_MP/.sms_pol?"+policyQuery+".12_00"), sealed(t, 78))
		}},
		{"policy body for the agent's own certificate", "", "", "", "", func(f *field) {
			f.add(signed, registrationReply("0"))
			f.add(get("/SMS_MP/.sms_pol?"+policyQuery+".12_00"), sealed(t, 77))
		}},
		{"no policy at all", "msg-policy-none", "mp", "likely", "without PolicyAssignment", func(f *field) { f.add(policyFor(smsid), policyReply(smsid, "")) }},
		{"policy of another client", "msg-policy-foreign", "network", "certain", "X-Cache: HIT", func(f *field) {
			reply := strings.Replace(string(policyReply(otherID, `<PolicyAssignment PolicyAssignmentID="{A}"/><Signature/>`)), "\r\n", "\r\nX-Cache: HIT\r\n", 1)
			f.add(policyFor(smsid), []byte(reply))
		}},
		{"policy without signature", "msg-policy-not-signed", "mp", "certain", "no Signature", func(f *field) {
			f.add(policyFor(smsid), policyReply(smsid, `<PolicyAssignment PolicyAssignmentID="{A}"/>`))
		}},
		{"policy body withheld", "msg-policy-withheld", "mp", "certain", "neither ClientToken nor CCMClientID", func(f *field) {
			f.add(get("/SMS_MP/.sms_pol?"+policyQuery+".12_00"), page("200 OK", "ERROR", iis))
		}},
		{"policy body 404", "msg-policy-missing", "mp", "certain", policyQuery, func(f *field) {
			f.add(get("/SMS_MP/.sms_pol?"+policyQuery+".12_00"), page("404 Not Found", "404", iis))
		}},
		{"policy body changed", "msg-policy-changed", "network", "likely", "expected A4C123B1", func(f *field) {
			f.add(get("/SMS_MP/.sms_pol?"+policyQuery+".SHA256:A4C123B1612DD272D1371C17149D439536B3216FDAEEB975729FAE923D5A4FD1"), document(`<Policy PolicyID="`+policyQuery+`"/>`))
		}},
		{"answer damaged on the way", "msg-reply-broken", "network", "likely", "not well-formed", func(f *field) {
			f.add(get("/SMS_MP/.sms_pol?"+policyQuery+".12_00"), document(`<Policy PolicyID="`+policyQuery+`"><PolicyRule></Polic`))
		}},
		{"answer packed on the way", "http-packed-anew", "mp", "certain", `Content-Encoding "gzip"`, func(f *field) {
			f.add(policyFor(smsid), []byte(strings.Replace(string(full), "\r\n", "\r\nContent-Encoding: gzip\r\n", 1)))
		}},
		{"answer packed as asked", "", "", "", "", func(f *field) {
			f.add(get("/SMS_MP/.sms_aut?MPTRK", "Accept-Encoding: gzip"), plain("HTTP/1.1 200 OK", "<KEYDATA/>", "Content-Encoding: gzip"))
		}},
		{"no site for the agent's subnet", "msg-no-site", "mp", "certain", "names no site code", func(f *field) {
			f.add(ask("MP_LocationManager", `<AssignedSiteRequest SchemaVersion="1.00"/>`), answer("LS_ReplyLocations", `<AssignedSiteReply SchemaVersion="1.00"><Site/></AssignedSiteReply>`))
		}},
		{"wrong site code", "msg-no-site", "mp", "certain", "names no site code", func(f *field) {
			f.add(ask("MP_LocationManager", `<SiteInformationRequest SchemaVersion="1.00"><SiteCode Name="XYZ"/></SiteInformationRequest>`), answer("LS_ReplyLocations", `<SiteInformationReply SchemaVersion="1.00"><Sites/></SiteInformationReply>`))
		}},
		{"no software update point", "msg-no-location", "mp", "certain", "0 software update points", func(f *field) {
			f.add(ask("MP_LocationManager", `<WSUSLocationRequest SchemaVersion="1.00"/>`), answer("LS_ReplyLocations", `<WSUSLocationReply SchemaVersion="1.00"><Sites/></WSUSLocationReply>`))
		}},
		{"empty list of management points", "msg-no-location", "mp", "certain", "0 management points", func(f *field) { f.add(mpList, document("<MPList/>")) }},
		{"list is the start page of IIS", "msg-no-reply", "mp", "certain", `called "IIS Windows Server"`, func(f *field) { f.add(mpList, page("200 OK", "IIS Windows Server", iis)) }},
		{"login page of a guest network", "http-answered-between", "network", "likely", `"Guest login"`, func(f *field) { f.add(mpList, page("200 OK", "Guest login", "Server: nginx")) }},
		{"sent to the login page of a guest network", "http-sent-elsewhere", "network", "likely", "another server", func(f *field) {
			f.add(mpList, plain("HTTP/1.1 302 Found", "", "Location: https://portal.example/login"))
		}},
		{"sent to HTTPS on the same server", "http-needs-https", "agent", "certain", "https://mp01.lab.example/", func(f *field) {
			f.add(mpList, plain("HTTP/1.1 302 Found", "", "Location: https://mp01.lab.example/SMS_MP/.sms_aut?MPLIST", iis))
		}},
		{"proxy wants authentication", "http-answered-between", "network", "certain", "407", func(f *field) {
			f.add(mpList, plain("HTTP/1.1 407 Proxy Authentication Required", "", "Proxy-Authenticate: Negotiate"))
		}},
		{"proxy that was answered", "", "", "", "", func(f *field) {
			f.add(mpList, plain("HTTP/1.1 407 Proxy Authentication Required", "", "Proxy-Authenticate: Negotiate"))
			f.add(mpList, document(`<MPList><MP Name="MP01" FQDN="mp01.lab.example"/></MPList>`))
		}},
		{"web filter", "http-answered-between", "network", "certain", "X-Squid-Error", func(f *field) {
			f.add(mpList, page("403 Forbidden", "Access Denied", "X-Squid-Error: ERR_ACCESS_DENIED 0"))
		}},
		{"load balancer without a server", "http-answered-between", "network", "likely", "HTTP/1.0", func(f *field) {
			f.add(mpList, []byte("HTTP/1.0 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"))
		}},
		{"load balancer waits in vain", "http-answered-between", "network", "likely", "504", func(f *field) { f.add(policyFor(smsid), page("504 Gateway Time-out", "504")) }},
		{"role not installed", "upstream-role-missing", "mp", "certain", "404", func(f *field) { f.add(mpList, page("404 Not Found", "404", iis)) }},
		{"a file that need not be there", "upstream-not-found", "mp", "certain", "/CCM_Client/", func(f *field) {
			f.add(get("/CCM_Client/ccmsetup.cab"), page("404 Not Found", "404", iis))
		}},
		{"verb blocked, says the page", "upstream-verb-blocked", "mp", "certain", "404.6", func(f *field) {
			f.add(policyFor(smsid), page("404 Not Found", "IIS 10.0 Detailed Error - 404.6 - Not Found", iis))
		}},
		{"address not allowed, says the page", "upstream-page-tells", "mp", "certain", "403.6", func(f *field) {
			f.add(mpList, page("403 Forbidden", "IIS 10.0 Detailed Error - 403.6 - Forbidden", iis))
		}},
		{"HTTPS wanted, says the page", "http-needs-https", "agent", "certain", "403.4", func(f *field) {
			f.add(mpList, page("403 Forbidden", "IIS 10.0 Detailed Error - 403.4 - Forbidden", iis))
		}},
		{"file rights, says the page", "upstream-page-tells", "mp", "certain", "401.3", func(f *field) {
			f.add(mpList, page("401 Unauthorized", "IIS 10.0 Detailed Error - 401.3 - Unauthorized", iis, "WWW-Authenticate: Negotiate"))
		}},
		{"anonymous access off", "upstream-unauthorized", "mp", "likely", "meant to be anonymous", func(f *field) {
			f.add(upload("Create-Session"), page("401 Unauthorized", "401", iis, "WWW-Authenticate: Negotiate"))
		}},
		{"report above the limit of request filtering", "upstream-body-limit", "mp", "certain", "404.13", func(f *field) {
			f.add(inventory("Full", "1.0", strings.Repeat("A", 60_000)), page("404 Not Found", "IIS 10.0 Detailed Error - 404.13 - Not Found", iis))
		}},
		{"only large reports are not found", "upstream-body-limit", "mp", "possible", "smaller requests CCM_POST pass", func(f *field) {
			f.add(policyFor(smsid), full)
			f.add(inventory("Full", "1.0", strings.Repeat("A", 60_000)), page("404 Not Found", "404", iis))
		}},
		{"host name without a binding", "upstream-host-unbound", "mp", "certain", `no binding for the name "mp01.lab.example"`, func(f *field) {
			f.add(mpList, page("400 Bad Request", "Bad Request - Invalid Hostname", "Server: Microsoft-HTTPAPI/2.0"))
		}},
		{"ticket too large", "upstream-head-too-large", "agent", "certain", "its field Authorization 17010", func(f *field) {
			f.add(get("/ccm_system_windowsauth/request", "Authorization: Negotiate "+strings.Repeat("A", 17_000)), page("400 Bad Request", "Bad Request - Request Too Long", "Server: Microsoft-HTTPAPI/2.0"))
		}},
		{"content not on the distribution point", "http-content-missing", "mp", "likely", "LAB00017", func(f *field) {
			f.add(get("/SMS_DP_SMSPKG$/LAB00017/sccm?/setup.exe"), page("404 Not Found", "404", iis))
		}},
		{"ranges taken away", "http-range-ignored", "network", "likely", `asked for "bytes=1000-1999", answered 200`, func(f *field) {
			f.add(get("/SMS_DP_SMSPKG$/LAB00017/sccm?/setup.exe", "Range: bytes=1000-1999"), plain("HTTP/1.1 200 OK", strings.Repeat("x", 5000)))
		}},
		{"ranges as asked", "", "", "", "", func(f *field) {
			f.add(get("/SMS_DP_SMSPKG$/LAB00017/sccm?/setup.exe", "Range: bytes=0-1999"), plain("HTTP/1.1 200 OK", strings.Repeat("x", 1500)))
			f.add(get("/SMS_DP_SMSPKG$/LAB00017/sccm?/setup.exe", "Range: bytes=1000-1999"), plain("HTTP/1.1 206 Partial Content", strings.Repeat("x", 1000), "Content-Range: bytes 1000-1999/5000"))
		}},
		{"upload's session is lost", "bits-upload-refused", "mp", "certain", "answered 404", func(f *field) {
			f.add(upload("Create-Session"), ack("200 OK"))
			f.add(upload("Fragment", "Content-Range: bytes 0-3/8"), page("404 Not Found", "404", iis))
		}},
		{"disk full under an upload", "bits-upload-refused", "mp", "certain", "0x80070070", func(f *field) {
			f.add(upload("Create-Session"), ack("200 OK"))
			f.add(upload("Fragment", "Content-Range: bytes 0-3/8"), ack("500 Internal Server Error", "BITS-Error-Code: 0x80070070", "BITS-Error-Context: 0x5"))
		}},
		{"no BITS on the server", "bits-no-protocol", "mp", "certain", "no BITS-Packet-Type", func(f *field) { f.add(upload("Create-Session"), page("200 OK", "IIS Windows Server", iis)) }},
		{"answer cut", "http-reply-cut", "mp", "certain", "its Content-Length says", func(f *field) { f.cut(policyFor(smsid), full[:len(full)-100], true) }},
		{"request cut", "http-request-cut", "agent", "certain", "then the agent's side ended", func(f *field) {
			whole := inventory("Full", "1.0", "A01")
			f.cut(whole[:len(whole)-100], nil, false)
		}},
		{"100 Continue held back", "http-request-cut", "network", "likely", "that did not come", func(f *field) {
			f.cut([]byte("CCM_POST /ccm_system/request HTTP/1.1\r\nContent-Length: 500\r\nExpect: 100-continue\r\n\r\n"), nil, false)
		}},
		{"agent leaves before the answer is whole", "http-agent-left-answer", "agent", "certain", "then the agent ended", func(f *field) { f.cut(policyFor(smsid), full[:len(full)-100], false) }},
		{"idle connection cut", "upstream-idle-cut", "", "likely", "rested for 3m1s", func(f *field) {
			f.add(policyFor(smsid), full)
			f.now = f.now.Add(3 * time.Minute)
			x := f.begin(policyFor(smsid))
			x.Fate, x.Ended = traffic.Broken, f.now
			f.recorder.Take(traffic.ExchangeOver{Exchange: x})
			c := f.lastConn()
			c.UpstreamLeg.End = traffic.EndFIN
			f.closed(c)
		}},
		{"list that is cut names nobody", "http-reply-cut", "mp", "certain", "its Content-Length says", func(f *field) { f.cut(mpList, document("<MPList></MPList>  ")[:80], true) }},
		{"gateway without certificate or token", "http-token-missing", "agent", "certain", "no certificate and no token", func(f *field) {
			f.add(get("/CCM_Proxy_ServerAuth/72057594037928290/SMS_MP/.sms_aut?MPLIST"), plain("HTTP/1.1 401 Unauthorized", ""))
		}},
		{"token path with a token in a field of its own", "upstream-no-challenge", "mp", "certain", "no WWW-Authenticate", func(f *field) {
			f.add(get("/SMS_MP_TokenAuth/.sms_aut?MPLIST", "CCMClientToken: x"), plain("HTTP/1.1 401 Unauthorized", ""))
		}},
		{"token that ran out by this clock, and was taken", "http-token-expired", "agent", "possible", "taken all the same", func(f *field) {
			f.add(get("/SMS_MP_TokenAuth/.sms_aut?MPLIST", token(`{"iss":"i","aud":"a","exp":1770000000}`)), document(`<MPList><MP Name="MP01" FQDN="mp01.lab.example"/></MPList>`))
		}},
		{"management point older than its agents", "upstream-role-missing", "mp", "likely", "older versions", func(f *field) {
			f.add(policyFor(smsid), full)
			f.add([]byte(strings.Replace(string(policyFor(smsid)), "/ccm_system/", "/ccm_system_altauth/", 1)), page("404 Not Found", "404", iis))
		}},
		{"message sent with POST", "upstream-refuses-request", "agent", "certain", "came with POST", func(f *field) {
			f.add([]byte(strings.Replace(string(policyFor(smsid)), "CCM_POST", "POST", 1)), page("405 Method Not Allowed", "405", iis))
		}},
		{"page of a filter in place of a file", "http-answered-between", "network", "likely", `"setup.exe"`, func(f *field) {
			f.add(get("/SMS_DP_SMSPKG$/LAB00017/sccm?/setup.exe"), page("200 OK", "Blocked"))
		}},
		{"a file that is a page", "", "", "", "", func(f *field) {
			f.add(get("/SMS_DP_SMSPKG$/LAB00017/sccm?/readme.htm"), page("200 OK", "Read me"))
		}},
		{"nothing in answer to a faulty question", "msg-no-reply", "agent", "certain", "the question itself is faulty", func(f *field) {
			f.add(ask("MP_NoSuchManager", "<RequestAssignments/>"), empty)
		}},
		{"nothing in answer to an unsigned question", "msg-no-reply", "mp", "certain", "is not signed", func(f *field) { f.add(policyFor(smsid), empty) }},
		{"management point is slow", "upstream-slow", "mp", "likely", "exchange 1 took 5s", func(f *field) {
			x := f.begin(policyFor(smsid))
			f.now = f.now.Add(5*time.Second - 30*time.Millisecond)
			f.end(x, full)
		}},
		{"a notification that is held back", "", "", "", "", func(f *field) {
			x := f.begin(plain("POST /bgb/handler.ashx?RequestType=Continue HTTP/1.1", "<BgbKeepAliveMessage/>"))
			f.now = f.now.Add(5 * time.Minute)
			f.end(x, empty)
		}},
		{"HEAD is not allowed", "upstream-verb-blocked", "mp", "certain", `"HEAD"`, func(f *field) {
			f.add([]byte("HEAD /SMS_DP_SMSPKG$/LAB00017/sccm?/setup.exe HTTP/1.1\r\nHost: mp01.lab.example\r\n\r\n"), plain("HTTP/1.1 405 Method Not Allowed", "", iis))
		}},
		{"gateway without a connection point", "http-gateway-refuses", "mp", "certain", "no connection point is connected", func(f *field) {
			f.add(get("/CCM_Proxy_MutualAuth/72057594037928290/SMS_MP/.sms_aut?MPLIST"), plain("HTTP/1.1 503 CMGService_No_Connector", ""))
		}},
		{"gateway refuses a token", "http-gateway-refuses", "agent", "certain", "the gateway refuses the agent's token", func(f *field) {
			f.add(get("/CCM_Proxy_ServerAuth/72057594037928290/SMS_MP/.sms_aut?MPLIST", token(`{"iss":"i","aud":"a","exp":1900000000}`)), plain("HTTP/1.1 401 CMGService_Invalid_Token", ""))
		}},
		{"two lengths", "http-length-unclear", "network", "certain", "Content-Length: 3", func(f *field) {
			f.odd(mpList, plain("HTTP/1.1 200 OK", "abc"), traffic.Reply, "http-framing-lost", `"Content-Length: 10", "Content-Length: 3"`)
		}},
		{"another service on the port", "upstream-other-protocol", "mp", "certain", `begins "SSH-2.0"`, func(f *field) {
			f.odd(mpList, plain("SSH-2.0-x", ""), traffic.Reply, "http-not-http", `begins "SSH-2.0"`)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newField(t)
			tt.make(f)
			groups := f.groups()
			if !f.found(groups, tt.code != "") {
				return
			}
			first := groups[0].Example
			got := fmt.Sprint(first.Kind.Code, " ", first.Who, " ", first.Sure)
			if want := fmt.Sprint(tt.code, " ", tt.who, " ", tt.sure); got != want || !strings.Contains(strings.Join(first.Proof, "\n"), tt.says) {
				t.Errorf("first is %s: %q; want %s, with %q", got, first.Proof, want, tt.says)
			}
			for _, g := range groups[1:] {
				if g.Example.Sure == "certain" && g.MootBy == "" && g.Example.Kind.Severity > traffic.Info {
					t.Errorf("a second cause is called certain: %s %q", g.Example.Kind.Code, g.Example.Proof)
				}
			}
		})
	}
}

// withDate is a reply with the time of its server.
func withDate(reply []byte, at time.Time) []byte {
	return []byte(strings.Replace(string(reply), "\r\n", "\r\nDate: "+at.UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")+"\r\n", 1))
}
