package diagnose

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"mpproxy/decode"
	"mpproxy/traffic"
)

func testLeaf(t *testing.T, name string) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(0x4D), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}

// ntlmAnswer is an Authorization field with this channel binding.
func ntlmAnswer(binding []byte) string {
	pairs := append([]byte{2, 0, 2, 0, 'L', 0, avBinding, 0, 16, 0}, binding...)
	answer := append(make([]byte, ntlmPairs), append(pairs, 0, 0, 0, 0)...)
	m := append([]byte("NTLMSSP\x00\x03\x00\x00\x00"), make([]byte, 52)...)
	binary.LittleEndian.PutUint16(m[ntlmAnswerField:], uint16(len(answer)))
	binary.LittleEndian.PutUint32(m[ntlmAnswerField+4:], uint32(len(m)))
	return "NTLM " + base64.StdEncoding.EncodeToString(append(m, answer...))
}

// TestChannelBinding fails when Extended Protection is missed, or is said of an
// answer that is tied to the management point's own certificate.
func TestChannelBinding(t *testing.T) {
	ours, theirs := testLeaf(t, "proxy"), testLeaf(t, "mp01.lab.example")
	for _, tt := range []struct {
		name  string
		tied  []byte
		found bool
	}{{"to ours", bindingOf(ours), true}, {"to theirs", bindingOf(theirs), false}, {"to nothing", make([]byte, 16), false}} {
		conn := &traffic.Conn{
			AgentLeg:    traffic.Leg{Handshake: &traffic.Handshake{Side: traffic.AgentSide, TLS: &traffic.TLSInfo{}, OwnCertificates: [][]byte{ours.Raw}}},
			UpstreamLeg: traffic.Leg{Handshake: &traffic.Handshake{Side: traffic.UpstreamSide, TLS: &traffic.TLSInfo{}, PeerCertificates: [][]byte{theirs.Raw}}},
		}
		e := Evidence{Conn: conn, Exchanges: []Exchange{{
			ID: 1, Method: "CCM_POST", Target: "/ccm_system_windowsauth/request", Status: 401,
			Challenges: []string{"NTLM"}, Binding: bindingFrom(ntlmAnswer(tt.tied)),
		}}}
		found := Judge(e)
		if first := len(found) > 0 && found[0].Kind.Code == "upstream-extended-protection" && found[0].Sure == certain; first != tt.found {
			t.Errorf("tied %s: found %v, want %v: %+v", tt.name, first, tt.found, found)
		}
	}
}

// TestBindingFrom fails when a broken answer is taken for one with a binding.
func TestBindingFrom(t *testing.T) {
	whole, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(ntlmAnswer(make([]byte, 16)), "NTLM "))
	for n := range len(whole) {
		if got := bindingFrom("NTLM " + base64.StdEncoding.EncodeToString(whole[:n])); got != nil {
			t.Fatalf("cut at %d: %x", n, got)
		}
	}
	for _, field := range []string{"", "NTLM", "Negotiate !!!", "Bearer x.y.z"} {
		if got := bindingFrom(field); got != nil {
			t.Errorf("%q: %x", field, got)
		}
	}
}

// TestEnvelope fails when a reply for another certificate goes unnoticed, or
// one for the agent's own is blamed.
func TestEnvelope(t *testing.T) {
	hex := func(c *x509.Certificate) string { return fmt.Sprintf("%X", c.Raw) }
	for serial, want := range map[string]int{"4D": 0, "4E": 1} {
		var h History
		h.Add(&Exchange{ID: 1, Message: &Message{Kind: "registration", Client: "GUID:1", Certificates: []CertificateField{{"Signing", hex(testLeaf(t, "agent"))}}}})
		told := h.Add(&Exchange{ID: 2, Message: &Message{Kind: "policy-request", Client: "guid:1", Recipients: []decode.Recipient{{Issuer: "CN=LAB", Serial: serial}}}})
		if len(told) != want || want == 1 && told[0].Code != toldEnvelope {
			t.Errorf("serial %s: %v", serial, told)
		}
	}
}

// TestOwnHealthCheck fails when the management point's own check is taken for
// an agent.
func TestOwnHealthCheck(t *testing.T) {
	conn := &traffic.Conn{AgentLeg: traffic.Leg{Address: "198.51.100.5:50000"}, UpstreamLeg: traffic.Leg{Address: "198.51.100.5:443"}}
	e := Evidence{Conn: conn, Exchanges: []Exchange{{ID: 1, Method: "GET", Target: "/SMS_MP/.sms_aut?MPLIST", Status: 403}}}
	for _, f := range Judge(e) {
		if f.Kind.Code == "http-own-health-check" {
			return
		}
	}
	t.Error("nothing is said of where the request comes from")
}

// TestHistoryBounded fails when history grows with the number of agents.
func TestHistoryBounded(t *testing.T) {
	var h History
	for i := range maxHistory + 100 {
		id, name := traffic.ExchangeID(i+1), big.NewInt(int64(i)).String()
		h.Add(&Exchange{ID: id, Conn: traffic.ConnID(id), Agent: name, Method: "POST", Status: 200, Message: &Message{Kind: "hinv", Client: name, ReportVersion: "1.0"}})
		h.Add(&Exchange{ID: id, Conn: traffic.ConnID(id), Status: 200, Message: &Message{Kind: "mp-key", MPCert: name, MPName: name, Places: []Place{{Host: name}}}})
		h.Add(&Exchange{ID: id, Conn: traffic.ConnID(id), Method: "BITS_POST", Status: 200, Message: &Message{
			Packet: &decode.Packet{Type: "close-session", Session: name}, Ack: &decode.Packet{ReplyURL: "/" + name},
		}})
		h.Add(&Exchange{ID: id, Status: 200, Message: &Message{Kind: "mp-list", Places: []Place{{Host: "mp01"}}}})
		h.AddConn(&traffic.Conn{ID: traffic.ConnID(id), Opened: time.Unix(int64(id), 0), Agent: name, Upstream: "mp01", UpstreamLeg: traffic.Leg{BytesIn: int64(i % 2), End: []traffic.End{traffic.EndRefused, traffic.EndFIN}[i%2]}})
	}
	for what, n := range map[string]int{
		"agents": len(h.agents), "addresses": len(h.addresses), "names": len(h.named), "certificates": len(h.mpCerts),
		"sessions": len(h.uploads.sessions), "acknowledged reports": len(h.uploads.acked), "answers": len(h.uploads.replies),
	} {
		if n == 0 || n > maxHistory {
			t.Errorf("%d %s are remembered", n, what)
		}
	}
	if n := len(h.outages["mp01"]); n != maxOutages {
		t.Errorf("%d outages are remembered", n)
	}
	if n := len(h.named["mp01"]); n != maxMentions {
		t.Errorf("%d replies with one name are remembered", n)
	}
}

// TestElements fails when broken text stops a diagnosis, or text in pieces is
// not put together.
func TestElements(t *testing.T) {
	for text, want := range map[string]string{
		`<?xml version="1.0" encoding="UTF-16"?><a>x<!-- -->y<b>z</b></a>`: "b=z a=xy ",
		"<a><b>x</b><c":                   "b=x ",
		"</a>":                            "",
		"":                                "",
		strings.Repeat("<a>", 2*maxDepth): "",
	} {
		got := ""
		for e := range elements(text) {
			got += e.name + "=" + e.text + " "
		}
		if got != want {
			t.Errorf("%.40q: %q, want %q", text, got, want)
		}
	}
}

// TestPlaces fails when a server that a reply names is missed, is taken for one
// of another kind, or the agent's own name is taken for a server.
func TestPlaces(t *testing.T) {
	for text, want := range map[string]string{
		`<MPList><MP Name="MP01" FQDN="mp01.lab.example"><Capabilities><Property Name="SSLState" Value="0"/></Capabilities></MP><MP Name="MP02.LAB.EXAMPLE"><Capabilities><Property Name="SSL" Version="1"/></Capabilities></MP><MP Name="MP03"><FQDN>mp03.lab.example</FQDN></MP></MPList>`: `"mp01.lab.example", http (SSLState 0); "MP02.LAB.EXAMPLE", https (a cloud gateway); "mp03.lab.example", scheme not said`,
		`<ContentLocationReply><LocationRecord><URL Name="https://dp01.lab.example:8443/SMS_DP_SMSPKG$/X"/><Capabilities><Property Name="SSLState" Value="0"/></Capabilities><ServerRemoteName>dp01.lab.example</ServerRemoteName></LocationRecord></ContentLocationReply>`:                  `"dp01.lab.example", https; "dp01.lab.example", http (SSLState 0)`,
		`<WSUSLocationReply><LocationRecord WSUSURL="https://sup01.lab.example:8531"/></WSUSLocationReply>`:                                                                                                                                                                                       `"sup01.lab.example", https`,
		`<EnumerateMPLocationReply><LocationRecord><IntranetName Value="mp01.lab.example"/><InternetName Value=""/></LocationRecord></EnumerateMPLocationReply>`:                                                                                                                                  `"mp01.lab.example", scheme not said`,
		`<UploadReply><Host>up01.lab.example</Host><URL>http://up01.lab.example:80/CCM_Incoming/{1}</URL></UploadReply>`:                                                                                                                                                                          `"up01.lab.example", scheme not said; "up01.lab.example", http`,
		`<ReplyAssignments><Identification><Machine><FQDN>pc-1.lab.example</FQDN></Machine></Identification><PolicyAssignment><Policy><PolicyLocation><![CDATA[http://<mp>/SMS_MP/.sms_pol?{A}]]></PolicyLocation></Policy></PolicyAssignment></ReplyAssignments>`:                                ``,
		`<Policy><instance class="CCM_InternetMP"><property name="MP"><value>cmg.cloudapp.example/CCM_Proxy_MutualAuth/1</value></property><property name="n"><value>5.00.9128</value></property><property name="x"><value>some words. And more. Of them.</value></property></instance></Policy>`: `"cmg.cloudapp.example", scheme not said`,
		`<MPList><MP FQDN="a b"/><MP FQDN="http://["/></MPList>`: ``,
	} {
		root, _, _ := strings.Cut(strings.TrimPrefix(text, "<"), ">")
		var got []string
		for _, p := range placesOf(&decode.Message{Root: root, Text: decode.Text{String: text}}) {
			got = append(got, p.words())
		}
		if joined := strings.Join(got, "; "); joined != want {
			t.Errorf("%.60s…\n got %s\nwant %s", text, joined, want)
		}
	}
}
