package evidence

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha1" // old agents sign with it
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"math/big"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"mpproxy/capture"
	"mpproxy/diagnose"
	"mpproxy/traffic"
)

var noon = time.Date(2026, 5, 4, 10, 41, 0, 0, time.UTC)

// field records exchanges into a capture, each connection from one agent.
type field struct {
	t        *testing.T
	recorder *capture.Recorder
	store    *capture.Store
	conn     traffic.ConnID
	agent    string
	last     traffic.ExchangeID
	now      time.Time
	// earlier are captures to compare with.
	earlier []*field
}

func newField(t *testing.T) *field {
	t.Helper()
	path := filepath.Join(t.TempDir(), "field.mpdb")
	r, err := capture.Create(path, capture.Options{SummaryOnly: true, Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	s, err := capture.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		r.Close(context.Background())
	})
	return &field{t: t, recorder: r, store: s, now: noon}
}

// connect opens a plain connection for the exchanges that follow.
func (f *field) connect(agent string) {
	f.conn++
	f.agent, f.now = agent, f.now.Add(time.Second)
	f.recorder.Take(traffic.ConnOpened{Conn: f.lastConn()})
}

// close ends the connection, as its agent does.
func (f *field) close() { f.closed(f.lastConn()) }

// refuse is a connection for which the management point could not be reached.
func (f *field) refuse(agent string) {
	f.connect(agent)
	c := f.lastConn()
	c.UpstreamLeg.End, c.UpstreamLeg.Err = traffic.EndRefused, "dial tcp 198.51.100.5:80: connect: connection refused"
	f.add(get("/SMS_MP/.sms_aut?MPLIST"), nil)
	f.closed(c)
}

func (f *field) lastConn() traffic.Conn {
	return traffic.Conn{
		ID: f.conn, Listener: "http://127.0.0.1:8080", Mode: "reverse", Agent: f.agent, Upstream: "mp01.lab.example:80",
		Opened: f.now, AgentLeg: traffic.Leg{Address: f.agent, BytesIn: 1}, UpstreamLeg: traffic.Leg{Address: "198.51.100.5:80"},
	}
}

func (f *field) closed(c traffic.Conn) {
	f.now = f.now.Add(time.Second)
	c.Closed, c.AgentLeg.End, c.AgentLeg.EndedAt, c.UpstreamLeg.EndedAt = f.now, traffic.EndFIN, f.now, f.now
	if c.UpstreamLeg.End == traffic.EndOpen {
		c.UpstreamLeg.End, c.UpstreamLeg.BytesIn = traffic.EndProxy, 1
	}
	f.recorder.Take(traffic.ConnClosed{Conn: c})
}

// before is a capture that was made earlier.
func (f *field) before() *field {
	e := newField(f.t)
	f.earlier = append(f.earlier, e)
	return e
}

// add records one exchange.
func (f *field) add(request, reply []byte) { f.end(f.begin(request), reply) }

// begin records an exchange whose reply is to come.
func (f *field) begin(request []byte) *traffic.Exchange {
	if f.conn == 0 {
		f.connect("192.0.2.77:51322")
	}
	f.last++
	f.now = f.now.Add(time.Second)
	x := &traffic.Exchange{ID: f.last, Conn: f.conn, Begun: f.now, Origin: "agent", Fate: traffic.InFlight, Request: wire(request)}
	f.recorder.Take(traffic.ExchangeBegun{Exchange: *x})
	f.recorder.Take(traffic.Chunk{Exchange: x.ID, Dir: traffic.Request, Data: bytes.Clone(request)})
	return x
}

func (f *field) end(x *traffic.Exchange, reply []byte) {
	x.Fate = traffic.Passed
	if reply == nil {
		x.Fate = traffic.Broken
	}
	if reply != nil {
		x.Replied, x.Reply = f.now, wire(reply)
		f.recorder.Take(traffic.Chunk{Exchange: x.ID, Dir: traffic.Reply, Data: bytes.Clone(reply)})
	}
	x.Ended = f.now.Add(30 * time.Millisecond)
	f.recorder.Take(traffic.ExchangeOver{Exchange: x})
}

func wire(b []byte) traffic.Wire {
	end := bytes.Index(b, []byte("\r\n\r\n")) + 4
	w := traffic.Wire{Head: traffic.ParseHead(bytes.Clone(b[:end])), Size: int64(len(b)), Whole: true}
	if end < len(b) {
		w.Framing = traffic.ByLength
	}
	return w
}

// plain is an HTTP message with its length.
func plain(start, body string, fields ...string) []byte {
	return fmt.Appendf(nil, "%s\r\nContent-Length: %d\r\n\r\n%s", strings.Join(append([]string{start}, fields...), "\r\n"), len(body), body)
}

const boundary = "aAbBcCdDv1234567890VxXyYzZ"

// wide is text as messages carry it, with its terminator.
func wide(s string) string {
	var b strings.Builder
	for _, u := range append(utf16.Encode([]rune(s)), 0) {
		b.WriteByte(byte(u))
		b.WriteByte(byte(u >> 8))
	}
	return b.String()
}

// ccm is a message of ConfigMgr; start is the HTTP start line.
func ccm(start, endpoint, client, mode, text string) []byte {
	body := wide(text)
	header := fmt.Sprintf(`<Msg SchemaVersion="1.1"><ID>{9E8D7C6B-5A49-4838-A716-F5E4D3C2B1A0}</ID><SourceHost>PC-0001</SourceHost>%s<TargetAddress>mp:%s</TargetAddress><ReplyTo>direct:PC-0001:SccmMessaging</ReplyTo><CorrelationID>{00000000-0000-0000-0000-000000000000}</CorrelationID><Priority>3</Priority><Timeout>600</Timeout><TargetHost>mp01.lab.example</TargetHost><TargetEndpoint>%s</TargetEndpoint><ReplyMode>%s</ReplyMode><Protocol>http</Protocol><SentTime>2026-05-04T10:41:00Z</SentTime><Body Type="ByteRange" Offset="0" Length="%d"/><Payload Type="inline"/></Msg>`,
		client, endpoint, endpoint, mode, len(body))
	part := "\xff\xfe" + strings.TrimSuffix(wide(header), "\x00\x00")
	whole := "--" + boundary + "\r\ncontent-type: text/plain; charset=UTF-16\r\n\r\n" + part +
		"\r\n--" + boundary + "\r\ncontent-type: text/plain\r\n\r\n" + body + "\r\n--" + boundary + "--"
	return plain(start, whole, "Host: mp01.lab.example", `Content-Type: multipart/mixed; boundary="`+boundary+`"`)
}

const smsid = "GUID:0A6F2B11-3C4D-4E5F-9A0B-1C2D3E4F5061"

func ask(endpoint, text string) []byte {
	return ccm("CCM_POST /ccm_system/request HTTP/1.1", endpoint, "<SourceID>"+smsid+"</SourceID>", "Sync", text)
}

func post(endpoint, text string) []byte {
	return ccm("CCM_POST /ccm_system/request HTTP/1.1", endpoint, "<SourceID>"+smsid+"</SourceID>", "Async", text)
}

func answer(endpoint, text string) []byte { return ccm("HTTP/1.1 200 OK", endpoint, "", "Sync", text) }

var empty = plain("HTTP/1.1 200 OK", "")

// registration is a request with these certificate digits.
func registration(certificate string) []byte {
	return ask("MP_ClientRegistration", `<ClientRegistrationRequest><Data RequestType="Registration" SMSID="`+smsid+`"><AgentInformation AgentIdentity="CCMSetup.exe" AgentVersion="5.00.9128.1000"/><Certificates><Signing Encoding="HexBinary" KeyType="1">`+certificate+`</Signing></Certificates></Data></ClientRegistrationRequest>`)
}

func registrationReply(status string) []byte { return registered(status, "1") }

func registered(status, approval string) []byte {
	return answer("ClientRegistration", `<ClientRegistrationResponse ResponseType="Registration" Status="`+status+`" SMSID="`+smsid+`" ApprovalStatus="`+approval+`"/>`)
}

// certificate is a fresh one in hex.
func certificate(t *testing.T) string {
	t.Helper()
	text, _ := identity(t)
	return text
}

// identity is a fresh certificate in hex, and its key.
func identity(t *testing.T) (string, *rsa.PrivateKey) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(77), Subject: pkix.Name{CommonName: "PC-0001"}, NotBefore: noon, NotAfter: noon.AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%X", der), key
}

// signedRegistration is a registration of this identity, signed by hash;
// reversed is the order of bytes of Windows.
func signedRegistration(t *testing.T, certificate string, key *rsa.PrivateKey, hash crypto.Hash, reversed bool) []byte {
	t.Helper()
	return registrationWith(t, certificate, "", key, hash, reversed)
}

// registrationWith is a signed registration with a further element.
func registrationWith(t *testing.T, certificate, more string, key *rsa.PrivateKey, hash crypto.Hash, reversed bool) []byte {
	t.Helper()
	data := `<Data RequestType="Registration" SMSID="` + smsid + `"><AgentInformation AgentIdentity="CCMSetup.exe" AgentVersion="5.00.9128.1000"/><Certificates><Signing Encoding="HexBinary" KeyType="1">` + certificate + `</Signing></Certificates>` + more + `</Data>`
	h := hash.New()
	h.Write([]byte(strings.TrimSuffix(wide(data), "\x00\x00")))
	signature, err := rsa.SignPKCS1v15(nil, key, hash, h.Sum(nil))
	if err != nil {
		t.Fatal(err)
	}
	if reversed {
		slices.Reverse(signature)
	}
	return ask("MP_ClientRegistration", fmt.Sprintf("<ClientRegistrationRequest>%s<Signature><SignatureValue>%X</SignatureValue></Signature></ClientRegistrationRequest>", data, signature))
}

// hinted is a registration of this identity with the hint of a known client,
// which is signed with a key of its own.
func hinted(t *testing.T, certificate string, key, hint *rsa.PrivateKey) []byte {
	t.Helper()
	sign := func(value string) string {
		h := crypto.SHA256.New()
		h.Write([]byte(wide(value)))
		signature, err := rsa.SignPKCS1v15(nil, hint, crypto.SHA256, h.Sum(nil))
		if err != nil {
			t.Fatal(err)
		}
		slices.Reverse(signature)
		return fmt.Sprintf("%X", signature)
	}
	text := "CCMClientID: " + smsid + "\r\nCCMClientIDSignature: " + sign(smsid) + "\r\nCCMClientTimestamp: 2026-05-04T10:41:00Z\r\nCCMClientTimestampSignature: " + sign("2026-05-04T10:41:00Z") + "\r\nCCMAuthHeaderType: 1;2\r\n"
	return registrationWith(t, certificate, "<RegistrationHint>"+text+"</RegistrationHint>", key, crypto.SHA256, true)
}

func inventory(kind, version, value string) []byte {
	return post("MP_HinvEndpoint", `<Report><ReportHeader><Identification><Machine><ClientID>`+smsid+`</ClientID></Machine></Identification><ReportDetails><ReportContent>Inventory Data</ReportContent><ReportType>`+kind+`</ReportType><Date>20260504104100.000000+000</Date><Version>`+version+`</Version><Format>1.1</Format></ReportDetails><InventoryAction ActionType="Predefined"><InventoryActionID>{00000000-0000-0000-0000-000000000001}</InventoryActionID></InventoryAction></ReportHeader><ReportBody><Instance Content="New" Class="Win32_BIOS"><Win32_BIOS><Name>`+value+`</Name></Win32_BIOS></Instance></ReportBody></Report>`)
}

func get(target string, fields ...string) []byte {
	return plain("GET "+target+" HTTP/1.1", "", append(fields, "Host: mp01.lab.example")...)
}

var contentRequest = ask("MP_LocationManager", `<ContentLocationRequest SchemaVersion="1.00"><Package ID="LAB00001" Version="1"/></ContentLocationRequest>`)

// contentReply names distribution points by their URLs.
func contentReply(urls ...string) []byte {
	records := ""
	for _, u := range urls {
		records += `<LocationRecord><URL Name="` + u + `/SMS_DP_SMSPKG$/LAB00001"/><Capabilities SchemaVersion="1.0"><Property Name="SSLState" Value="0"/></Capabilities></LocationRecord>`
	}
	return answer("LS_ReplyLocations", `<ContentLocationReply SchemaVersion="1.00"><Sites><Site><LocationRecords>`+records+`</LocationRecords></Site></Sites></ContentLocationReply>`)
}

func document(text string) []byte { return plain("HTTP/1.1 200 OK", text, "Content-Type: text/xml") }

// token is a field with a token of these claims.
func token(claims string) string {
	enc := base64.RawURLEncoding.EncodeToString
	return "Authorization: Bearer " + enc([]byte(`{"alg":"RS256"}`)) + "." + enc([]byte(claims)) + "." + enc([]byte("signature"))
}

const session = "BITS-Session-Id: {E621E1F8-C36C-495A-93FC-0C247A3E6E5F}"

// upload is a packet of an upload.
func upload(kind string, fields ...string) []byte {
	body := ""
	if kind == "Fragment" {
		body = "data"
	}
	return plain("BITS_POST /CCM_Incoming/{C56A4180-65AA-42EC-A945-5FD21DEC0599} HTTP/1.1", body,
		append(fields, "BITS-Packet-Type: "+kind, session, "Host: mp01.lab.example")...)
}

// uploadAll is an upload that was acknowledged to its end.
func uploadAll(f *field) {
	f.add(upload("Create-Session"), ack("200 OK"))
	f.add(upload("Fragment", "Content-Range: bytes 0-3/8"), ack("200 OK", "BITS-Received-Content-Range: 4"))
	f.add(upload("Fragment", "Content-Range: bytes 4-7/8"), ack("200 OK", "BITS-Received-Content-Range: 8"))
	f.add(upload("Close-Session"), ack("200 OK"))
}

func mpKeys(key, certificate string) []byte {
	return document("<MPKEYINFORMATION><MACHINENAME>MP01</MACHINENAME><TRUSTEDROOTKEY>" + key + "</TRUSTEDROOTKEY><MPCERTIFICATE>" + certificate + "</MPCERTIFICATE></MPKEYINFORMATION>")
}

func ack(status string, fields ...string) []byte {
	return plain("HTTP/1.1 "+status, "", append(fields, "BITS-Packet-Type: Ack", session)...)
}

// TestField makes troubles that were reported from the field, and fails when
// the first thing said of them is not their cause, or blames another side.
func TestField(t *testing.T) {
	good, key := identity(t)
	other, otherKey := identity(t)
	for _, tt := range []struct {
		row, name      string
		make           func(*field)
		ref, who, says string
	}{
		{"B12", "rejected", func(f *field) { f.add(registration(good), registrationReply("3")) }, "N01", "mp", "Status 3"},
		{"B12", "empty", func(f *field) { f.add(registration(good), empty) }, "N04", "mp", "answered 200"},
		{"B25", "odd number of digits", func(f *field) { f.add(registration(good[:401]), registrationReply("3")) }, "N02", "agent", "not DER: cut at byte 200"},
		{"B25", "cut", func(f *field) { f.add(registration(good[:400]), empty) }, "N02", "agent", "not DER: cut at byte 200"},
		{"B25", "something behind", func(f *field) { f.add(registration(good+"0D0A"), empty) }, "N02", "agent", "2 bytes too many"},
		{"B30", "bytes in .NET's order", func(f *field) {
			f.add(signedRegistration(t, good, key, crypto.SHA256, false), registrationReply("3"))
		}, "N03", "agent", "verifies after reversing the bytes"},
		{"B30", "another key", func(f *field) {
			f.add(signedRegistration(t, other, key, crypto.SHA256, true), registrationReply("3"))
		}, "N03", "agent", "fits no key"},
		{"B30", "good", func(f *field) {
			f.add(signedRegistration(t, good, key, crypto.SHA256, true), registrationReply("0"))
		}, "", "", ""},
		{"B15", "SHA-1 at a site of SHA-256", func(f *field) {
			for range 3 {
				f.add(signedRegistration(t, good, key, crypto.SHA256, true), registrationReply("0"))
			}
			f.connect("192.0.2.78:51400")
			f.add(signedRegistration(t, good, key, crypto.SHA1, true), empty)
		}, "N06", "agent", "verifies as SHA-1; earlier agents of this site use SHA-256"},
		{"B31", "report while pending", func(f *field) {
			f.add(registration(good), registrationReply("1"))
			f.connect("192.0.2.77:51400")
			f.add(inventory("Full", "1.0", "A01"), empty)
		}, "N01", "agent", "report sent while registration is pending (exchange 1)"},
		{"B33", "gap", func(f *field) {
			f.add(inventory("Full", "4.8", "A01"), empty)
			f.add(inventory("Delta", "4.9", "A01"), empty)
			f.connect("192.0.2.77:51400")
			f.add(inventory("Delta", "4.11", "A01"), empty)
		}, "N07", "agent", "report 4.10 of this agent never passed"},
		{"B33", "a report that was refused", func(f *field) {
			f.add(inventory("Full", "4.8", "A01"), empty)
			f.add(inventory("Delta", "4.9", "A01"), nil)
			f.connect("192.0.2.77:51400")
			f.add(inventory("Delta", "4.10", "A01"), empty)
		}, "N07", "agent", "report 4.9 of this agent was sent with exchange 2 and not acknowledged"},
		{"B33", "a report that was sent again", func(f *field) {
			f.add(inventory("Full", "4.8", "A01"), empty)
			f.add(inventory("Delta", "4.9", "A01"), plain("HTTP/1.1 503 Service Unavailable", ""))
			f.add(inventory("Delta", "4.9", "A01"), empty)
			f.add(inventory("Delta", "4.10", "A01"), empty)
		}, "M18", "mp", "503"},
		{"B33", "a gap, and an upload between", func(f *field) {
			f.add(inventory("Full", "4.8", "A01"), empty)
			uploadAll(f)
			f.add(inventory("Delta", "4.10", "A01"), empty)
		}, "N07", "agent", "which may have been that report"},
		{"B33", "no gap: the report between was large", func(f *field) {
			f.add(inventory("Full", "4.8", "A01"), empty)
			f.add(inventory("Delta", "4.9", strings.Repeat("A01 ", 200_000)), empty)
			f.add(inventory("Delta", "4.10", "A01"), empty)
		}, "", "", ""},
		{"B35", "first delta", func(f *field) { f.add(inventory("Delta", "4.9", "A01"), empty) }, "N07", "agent", "is a delta"},
		{"B51", "control character", func(f *field) { f.add(inventory("Full", "1.0", "A\x0301"), empty) }, "N09", "agent", "Windows' parsers refuse this"},
		{"B27", "another site key", func(f *field) {
			f.add(get("/SMS_MP/.sms_aut?MPKEYINFORMATION"), document("<MPKEYINFORMATION><TRUSTEDROOTKEY>0602AA</TRUSTEDROOTKEY></MPKEYINFORMATION>"))
			f.connect("192.0.2.78:51400")
			f.add(get("/SMS_MP/.sms_aut?MPKEYINFORMATION"), document("<MPKEYINFORMATION><TRUSTEDROOTKEY>0602BB</TRUSTEDROOTKEY></MPKEYINFORMATION>"))
		}, "N14", "mp", "the site key differs from that of exchange 1"},
		{"B27", "another site key than in an earlier capture", func(f *field) {
			f.before().add(get("/SMS_MP/.sms_aut?MPKEYINFORMATION"), mpKeys("0602AA", "3082AA"))
			f.add(get("/SMS_MP/.sms_aut?MPKEYINFORMATION"), mpKeys("0602BB", "3082AA"))
			f.close()
		}, "N14", "mp", "differs from that of exchange 1 of earlier.mpdb, 2026-05-04 10:41 UTC"},
		{"B27", "the agent stops there", func(f *field) {
			f.before().add(get("/SMS_MP/.sms_aut?MPTRK"), document("<KEYDATA><TRUSTEDROOTKEY>0602AA</TRUSTEDROOTKEY></KEYDATA>"))
			f.add(get("/SMS_MP/.sms_aut?MPTRK"), document("<KEYDATA><TRUSTEDROOTKEY>0602BB</TRUSTEDROOTKEY></KEYDATA>"))
			f.close()
		}, "N14", "mp", "agents that stop here keep the old one"},
		{"B27", "another certificate of the management point", func(f *field) {
			f.add(get("/SMS_MP/.sms_aut?MPKEYINFORMATION"), mpKeys("0602AA", "3082AA"))
			f.add(get("/SMS_MP/.sms_aut?MPKEYINFORMATION"), mpKeys("0602AA", "3082BB"))
		}, "N14", "mp", `the certificate of the management point "MP01" differs from that of exchange 1`},
		{"B27", "the same as earlier", func(f *field) {
			f.before().add(get("/SMS_MP/.sms_aut?MPKEYINFORMATION"), mpKeys("0602AA", "3082AA"))
			f.add(get("/SMS_MP/.sms_aut?MPKEYINFORMATION"), mpKeys("0602 aa", "3082AA"))
		}, "", "", ""},
		{"B49", "another signing certificate than in an earlier capture", func(f *field) {
			f.before().add(get("/SMS_MP/.sms_aut?SITESIGNCERT"), document("<MPSITESIGNCERT><X509Certificate>"+good+"</X509Certificate></MPSITESIGNCERT>"))
			f.add(get("/SMS_MP/.sms_aut?SITESIGNCERT"), document("<MPSITESIGNCERT><X509Certificate>"+other+"</X509Certificate></MPSITESIGNCERT>"))
		}, "N13", "mp", "exchange 1 of earlier.mpdb"},
		{"B33", "no gap between captures", func(f *field) {
			f.before().add(inventory("Full", "4.8", "A01"), empty)
			f.add(inventory("Delta", "4.11", "A01"), empty)
		}, "", "", ""},
		{"B49", "another signing certificate", func(f *field) {
			f.add(get("/SMS_MP/.sms_aut?SITESIGNCERT"), document("<MPSITESIGNCERT><X509Certificate>"+good+"</X509Certificate></MPSITESIGNCERT>"))
			f.add(get("/SMS_MP/.sms_aut?SITESIGNCERT"), document("<MPSITESIGNCERT><X509Certificate>"+other+"</X509Certificate></MPSITESIGNCERT>"))
		}, "N13", "mp", "the site signing certificate differs from that of exchange 1"},
		{"B41", "no distribution point", func(f *field) {
			f.add(ask("MP_LocationManager", `<ContentLocationRequest SchemaVersion="1.00"><Package ID="LAB00001" Version="1"/></ContentLocationRequest>`),
				answer("LS_ReplyLocations", `<ContentLocationReply SchemaVersion="1.00"><Sites/></ContentLocationReply>`))
		}, "N12", "mp", "names 0 distribution points"},
		{"B50", "three management points", func(f *field) {
			f.add(get("/SMS_MP/.sms_aut?MPLIST"), document(`<MPList><MP Name="MP01" FQDN="mp01.lab.example"><Capabilities><Property Name="SSLState" Value="0"/></Capabilities></MP><MP Name="MP02" FQDN="mp02.lab.example"><Capabilities><Property Name="SSLState" Value="31"/></Capabilities></MP><MP Name="MP03" FQDN="mp03.lab.example"/></MPList>`))
		}, "N12", "", "names 3 management points\n\"mp01.lab.example\", http (SSLState 0), no certificate of this management point was seen\n\"mp02.lab.example\", https (SSLState 31, binary 11111), no certificate of this management point was seen\n\"mp03.lab.example\", scheme not said"},
		{"N12", "https addresses for an agent of http", func(f *field) {
			f.add(contentRequest, contentReply("https://dp01.lab.example"))
		}, "N12", "mp", `the agent came by http, and the reply names only servers by https: "dp01.lab.example", https`},
		{"N12", "both schemes", func(f *field) {
			f.add(contentRequest, contentReply("https://dp01.lab.example", "http://dp02.lab.example"))
		}, "", "", ""},
		{"B32", "hint signed with the new key", func(f *field) {
			f.add(signedRegistration(t, good, key, crypto.SHA256, true), registrationReply("0"))
			f.connect("192.0.2.77:51400")
			f.add(hinted(t, other, otherKey, otherKey), registrationReply("1"))
		}, "N03", "agent", "hint is signed with the new key"},
		{"B32", "hint signed with a key that nobody knows", func(f *field) {
			_, stranger := identity(t)
			f.add(signedRegistration(t, good, key, crypto.SHA256, true), registrationReply("0"))
			f.add(hinted(t, other, otherKey, stranger), registrationReply("1"))
		}, "N03", "agent", "fits neither the registered key nor the new one"},
		{"B32", "new key without a hint", func(f *field) {
			f.before().add(signedRegistration(t, good, key, crypto.SHA256, true), registrationReply("0"))
			f.add(signedRegistration(t, other, otherKey, crypto.SHA256, true), registrationReply("1"))
		}, "N03", "agent", "has a new key and no hint"},
		{"B32", "hint signed with the registered key", func(f *field) {
			f.add(signedRegistration(t, good, key, crypto.SHA256, true), registrationReply("0"))
			f.add(hinted(t, other, otherKey, key), registrationReply("0"))
		}, "", "", ""},
		{"B32", "first registration with a hint", func(f *field) { f.add(hinted(t, other, otherKey, key), registrationReply("0")) }, "", "", ""},
		{"B53", "401 without a challenge", func(f *field) {
			f.add(ask("MP_PolicyManager", "<RequestAssignments/>"), plain("HTTP/1.1 401 Unauthorized", "", "Server: Microsoft-IIS/10.0"))
		}, "N16", "mp", "the answer has no WWW-Authenticate field"},
		{"B53", "500 with a code in its page", func(f *field) {
			f.add(get("/SMS_MP/.sms_aut?MPCERT"), plain("HTTP/1.1 500 Internal Server Error", `<!DOCTYPE html><html><head><title>IIS 10.0 Detailed Error - 500.19</title></head><body><h3>HTTP Error 500.19 - Internal Server Error</h3><tr><th>Error Code</th><td>&nbsp;&nbsp;&nbsp;0x80070005</td></tr></body></html>`, "Content-Type: text/html"))
		}, "M18", "mp", `its page has "0x80070005": ERROR_ACCESS_DENIED, Access denied`},
		{"B53", "500 with a Win32 status", func(f *field) {
			f.add(ask("MP_PolicyManager", "<RequestAssignments/>"), plain("HTTP/1.1 500 Internal Server Error", `<html><body><p>Internal error. Win32 status: 126</p></body></html>`, "Content-Type: text/html"))
		}, "M18", "mp", `its page has "Win32 status: 126": 0x8007007E`},
		{"B10", "connection point without certificate", func(f *field) {
			f.add(get("/CCM_PROXY_MUTUALAUTH/72057594037928290/SMS_MP/.sms_aut?SITESIGNCERT"), plain("HTTP/1.1 403 CMGConnector_Clientcertificaterequired", ""))
		}, "N15", "mp", "CMGConnector_Clientcertificaterequired"},
		{"B42", "neither certificate nor token", func(f *field) {
			f.add(get("/CCM_Proxy_MutualAuth/72057594037928290/SMS_MP/.sms_aut?MPLIST"), plain("HTTP/1.1 403 Forbidden", ""))
		}, "N22", "agent", "no certificate and no token in this request"},
		{"B46", "no device token", func(f *field) { f.add(get("/CCM_STS"), plain("HTTP/1.1 401 Unauthorized", "")) }, "N22", "agent", "no certificate and no token"},
		{"B43", "token ran out", func(f *field) {
			f.add(get("/CCM_STS", token(`{"iss":"https://sts.windows.net/x/","aud":"https://cm.example","ver":"1.0","exp":1770000000}`)), plain("HTTP/1.1 401 Unauthorized", ""))
		}, "N22", "agent", "exp 2026-02-02T02:40:00Z"},
		{"B44", "token of another issuer", func(f *field) {
			f.add(get("/CCM_STS", token(`{"iss":"https://sts.windows.net/x/","aud":["https://cm.example"],"ver":"1.0","exp":1900000000}`)), plain("HTTP/1.1 401 Unauthorized", ""))
		}, "N22", "mp", `iss "https://sts.windows.net/x/", aud "https://cm.example", ver "1.0"`},
		{"B44", "beside one that worked", func(f *field) {
			f.add(get("/CCM_STS", token(`{"iss":"https://login.microsoftonline.com/x/v2.0","aud":"id","ver":"2.0","exp":1900000000}`)), plain("HTTP/1.1 200 OK", "x"))
			f.add(get("/CCM_STS", token(`{"iss":"https://sts.windows.net/x/","aud":"https://cm.example","ver":"1.0","exp":1900000000}`)), plain("HTTP/1.1 401 Unauthorized", ""))
		}, "N22", "mp", `a token that worked (exchange 1): iss "https://login.microsoftonline.com/x/v2.0"`},
		{"B59", "another host", func(f *field) { f.add(upload("Create-Session"), ack("200 OK", "BITS-Host-Id: mp02.internal")) }, "N24", "mp", `continue at "mp02.internal"`},
		{"B60", "uploads are off", func(f *field) {
			f.add(upload("Create-Session"), ack("501 Not Implemented", "BITS-Error-Code: 0x80200020", "BITS-Error-Context: 0x7"))
		}, "N23", "mp", "BITS-Error-Code 0x80200020"},
		{"B60", "too large", func(f *field) {
			f.add(upload("Create-Session"), ack("200 OK"))
			f.add(upload("Fragment", "Content-Range: bytes 0-3/9000000"), plain("HTTP/1.1 413 Request Entity Too Large", ""))
		}, "N23", "mp", "the agent announced 9000000 bytes"},
		{"B48", "cut", func(f *field) {
			f.add(upload("Create-Session"), ack("200 OK"))
			f.add(upload("Fragment", "Content-Range: bytes 0-9999/20000"), nil)
		}, "N23", "agent", "of a fragment of 10000 bytes (0 to 9999 of 20000)"},
		{"B34", "gap", func(f *field) {
			f.add(upload("Fragment", "Content-Range: bytes 0-3/100"), ack("200 OK"))
			f.add(upload("Fragment", "Content-Range: bytes 10-13/100"), ack("200 OK"))
		}, "N23", "agent", "6 bytes are missing"},
		{"B34", "gap on another connection", func(f *field) {
			f.add(upload("Fragment", "Content-Range: bytes 0-3/100"), ack("200 OK"))
			f.connect("192.0.2.77:51400")
			f.add(upload("Fragment", "Content-Range: bytes 10-13/100"), ack("200 OK"))
		}, "N23", "agent", "6 bytes are missing"},
		{"B34", "gap refused, then filled", func(f *field) {
			f.add(upload("Fragment", "Content-Range: bytes 0-3/12"), ack("200 OK"))
			f.add(upload("Fragment", "Content-Range: bytes 8-11/12"), ack("416 Requested Range Not Satisfiable", "BITS-Received-Content-Range: 4"))
			f.add(upload("Fragment", "Content-Range: bytes 4-7/12"), ack("200 OK"))
			f.add(upload("Fragment", "Content-Range: bytes 8-11/12"), ack("200 OK"))
			f.add(upload("Close-Session"), ack("200 OK"))
			f.close()
		}, "", "", ""},
		{"B34", "gap refused, and no more", func(f *field) {
			f.add(upload("Fragment", "Content-Range: bytes 0-3/12"), ack("200 OK"))
			f.add(upload("Fragment", "Content-Range: bytes 8-11/12"), ack("416 Requested Range Not Satisfiable", "BITS-Received-Content-Range: 4"))
		}, "N23", "agent", "4 bytes are missing; the server refused it with 416"},
		{"B34", "overlap", func(f *field) {
			f.add(upload("Fragment", "Content-Range: bytes 0-3/100"), ack("200 OK"))
			f.add(upload("Fragment", "Content-Range: bytes 2-5/100"), ack("200 OK"))
		}, "N23", "agent", "bytes 2 to 3 came twice"},
		{"B34", "sent again after a break", func(f *field) {
			f.add(upload("Fragment", "Content-Range: bytes 0-3/8"), ack("200 OK"))
			f.add(upload("Fragment", "Content-Range: bytes 4-7/8"), ack("200 OK", "BITS-Received-Content-Range: 4"))
			f.add(upload("Fragment", "Content-Range: bytes 4-7/8"), ack("200 OK"))
			f.add(upload("Close-Session"), ack("200 OK"))
			f.close()
		}, "", "", ""},
		{"B34", "no final ack", func(f *field) {
			f.add(upload("Create-Session"), ack("200 OK"))
			f.add(upload("Fragment", "Content-Range: bytes 0-3/4"), nil)
		}, "N23", "agent", "the last fragment (0 to 3 of 4) passed whole, and no acknowledgement came"},
		{"B34", "no ack of the close", func(f *field) {
			f.add(upload("Fragment", "Content-Range: bytes 0-3/4"), ack("200 OK"))
			f.add(upload("Close-Session"), nil)
		}, "N23", "agent", "exchange 2 closes the upload, and no acknowledgement came"},
		{"B34", "never closed", func(f *field) {
			f.add(upload("Fragment", "Content-Range: bytes 0-3/4"), ack("200 OK"))
			f.close()
			f.connect("192.0.2.77:51400")
			f.add(get("/SMS_MP/.sms_aut?MPCERT"), document("<MPCertificate/>"))
		}, "N23", "agent", "no Close-Session followed"},
		{"B34", "the management point stops after the ack", func(f *field) {
			uploadAll(f)
			f.close()
			f.refuse("192.0.2.77:51400")
			f.refuse("192.0.2.78:51400")
		}, "N23", "mp", "upload of 192.0.2.77 acknowledged (exchange 4, 10:41:05 UTC), no reply within 2s"},
		{"B34", "the management point stops after a report", func(f *field) {
			f.add(inventory("Full", "4.8", "A01"), empty)
			f.close()
			f.refuse("192.0.2.77:51400")
		}, "N23", "mp", "the next report of this agent is a delta: risk of a gap"},
		{"B34", "the management point stops long after", func(f *field) {
			uploadAll(f)
			f.close()
			f.now = f.now.Add(time.Hour)
			f.refuse("192.0.2.77:51400")
		}, "M02", "mp", "connection refused"},
		{"B37", "plain and query form", func(f *field) {
			f.add(get("/SMS_DP_SMSPKG$/LAB00001/web.config"), plain("HTTP/1.1 404 Not Found", ""))
			f.connect("192.0.2.78:51400")
			f.add(get("/query?SMS_DP_SMSPKG$/LAB00001/web.config"), plain("HTTP/1.1 200 OK", "x"))
		}, "N11", "agent", "the same file works in the query form (exchange 2)"},
		{"B16", "challenge, then good", func(f *field) {
			request := bytes.Replace(registration(good), []byte("/ccm_system/"), []byte("/ccm_system_windowsauth/"), 1)
			f.add(request, plain("HTTP/1.1 401 Unauthorized", "", "WWW-Authenticate: Negotiate"))
			f.add(request, registrationReply("0"))
		}, "N16", "", "401"},
		{"B26", "http where https is wanted", func(f *field) {
			f.add(get("/CCM_Client/ccmsetup.exe"), plain("HTTP/1.1 403 Forbidden", ""))
		}, "N10", "agent", "403.4 is likely"},
		{"B33", "no gap", func(f *field) {
			f.add(inventory("Full", "4.8", "A01"), empty)
			f.add(inventory("Delta", "4.9", "A01"), empty)
		}, "", "", ""},
	} {
		t.Run(tt.row+" "+tt.name, func(t *testing.T) {
			f := newField(t)
			tt.make(f)
			groups := f.groups()
			if !f.found(groups, tt.ref != "") {
				return
			}
			first := groups[0].Example
			if first.Kind.Ref != tt.ref || first.Who != tt.who || !strings.Contains(strings.Join(first.Proof, "\n"), tt.says) {
				t.Errorf("first is %s %s, side %q: %q", first.Kind.Ref, first.Kind.Code, first.Who, first.Proof)
			}
		})
	}
}

// found is true when something was to be found, and is; it fails when nothing
// was found, and when something was that should not have been.
func (f *field) found(groups []diagnose.Group, wanted bool) bool {
	f.t.Helper()
	switch {
	case !wanted && len(groups) > 0:
		f.t.Errorf("false alarm %s: %q", groups[0].Example.Kind.Code, groups[0].Example.Proof)
	case wanted && len(groups) == 0:
		f.t.Error("nothing was found")
	}
	return wanted && len(groups) > 0
}

// groups is what is found, with what earlier captures tell.
func (f *field) groups() []diagnose.Group {
	f.t.Helper()
	ctx := context.Background()
	s := New(f.store, func() time.Time { return noon })
	for _, e := range append(f.earlier, f) {
		if err := e.recorder.Flush(ctx); err != nil {
			f.t.Fatal(err)
		}
		if e == f {
			break
		}
		if err := s.Earlier(ctx, e.store, "earlier.mpdb"); err != nil {
			f.t.Fatal(err)
		}
	}
	folding, err := s.Run(ctx, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	return folding.Groups()
}

// TestUnderWay fails when what an exchange says is lost since it was under way
// when the survey first met it.
func TestUnderWay(t *testing.T) {
	f, ctx := newField(t), context.Background()
	x := f.begin(registration(certificate(t)))
	s := New(f.store, func() time.Time { return noon })
	look := func() {
		t.Helper()
		if err := f.recorder.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		if err := s.Update(ctx); err != nil {
			t.Fatal(err)
		}
	}
	look()
	f.end(x, registrationReply("1"))
	look()
	f.connect("192.0.2.77:51400")
	f.add(inventory("Full", "1.0", "A01"), empty)
	look()
	found, err := s.Conn(ctx, f.conn)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 || found[0].Kind.Ref != "N01" {
		t.Errorf("found %v, want the report sent while pending", found)
	}
}
