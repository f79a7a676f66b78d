package decode

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"mpproxy/traffic"
)

// changed is a good message whose header's text was changed.
func changed(t *testing.T, pairs ...string) Source {
	t.Helper()
	header := string(mustRead(t, samples+"header-policy-request.xml"))
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(header, pairs[i]) {
			t.Fatalf("header has no %q", pairs[i])
		}
		header = strings.Replace(header, pairs[i], pairs[i+1], 1)
	}
	body := Text{String: string(mustRead(t, samples+"policy-request-machine.xml")), Tail: []byte{0, 0}}
	return ccmSource(t, header, body.Bytes())
}

// rewired is a good message whose bytes on the wire were changed.
func rewired(t *testing.T, from, to string) Source {
	s := changed(t, "<ID>", "<ID>")
	b := make([]byte, s.Size)
	if _, err := s.Body.ReadAt(b, 0); err != nil || !bytes.Contains(b, []byte(from)) {
		t.Fatalf("body has no %q: %v", from, err)
	}
	b = bytes.Replace(b, []byte(from), []byte(to), 1)
	s.Body, s.Size = bytes.NewReader(b), int64(len(b))
	return s
}

func withHead(s Source, head string) Source {
	s.Head = traffic.ParseHead([]byte(head + "\r\n\r\n"))
	return s
}

// reply is an answer to a good policy request.
func reply(t *testing.T, head, body string) Source {
	s := withHead(source([]byte(body)), "HTTP/1.1 "+head)
	s.Request = Decode(changed(t, "<ID>", "<ID>"), Full)
	return s
}

// Cases for rules that no sample breaks.
func lintCases(t *testing.T) map[string]Source {
	const multipartHead = "CCM_POST /ccm_system/request HTTP/1.1\r\nContent-Type: multipart/mixed; boundary=aAbBcCdDv1234567890VxXyYzZ"
	chunked := changed(t, "<ID>", "<ID>")
	chunked.Framing = traffic.Chunked
	late := withHead(source(nil), "GET /SMS_MP/.sms_pol?{A}.1_00 HTTP/1.1\r\nClientToken: GUID:x;2019-01-01T00:00:00Z;2")
	overTLS := func(s Source) Source { s.TLS = true; return s }
	mpListReply := func(text string) Source {
		s := withHead(source([]byte(text)), "HTTP/1.1 200 OK")
		s.Request = Decode(get("GET /SMS_MP/.sms_aut?MPLIST"), Full)
		return s
	}
	hashed := func(body, of string) Source {
		sum := sha256.Sum256([]byte(of))
		s := withHead(source([]byte(body)), "HTTP/1.1 200 OK")
		s.Request = Decode(get("GET /SMS_MP/.sms_pol?{A}.SHA256:"+hex.EncodeToString(sum[:])), Full)
		return s
	}
	serials := strings.Replace(string(mustRead(t, samples+"state-sum.xml")), "4712", "4711", 1)
	zeros := ccmSource(t, `<Msg><Hooks><Hook3 Name="zlib-compress"/></Hooks></Msg>`, make([]byte, 8<<20))
	return map[string]Source{
		"L109":                rewired(t, "application/octet-stream", "application/pdf"),
		"L110":                rewired(t, "\xFF\xFE<\x00M\x00", "<\x00M\x00"),
		"L113":                zeros,
		"L114":                withHead(changed(t, "<ID>", "<ID>"), strings.Replace(multipartHead, "CCM_POST", "POST", 1)),
		"L115":                withHead(changed(t, "<ID>", "<ID>"), multipartHead+"\r\nContent-Length: 7"),
		"L115 chunked":        chunked,
		"L116":                reply(t, "200 OK\r\nContent-Type: text/html", "<html><title>x</title></html>"),
		"L117":                reply(t, "200 OK\r\nContent-Length: 0", ""),
		"L201 root":           rewired(t, "<\x00M\x00s\x00g\x00", "<\x00M\x00s\x00h\x00"),
		"L219":                withHead(changed(t, "<ID>", "<ID>"), multipartHead+"\r\nHost: mp99.lab.example:80"),
		"L221":                changed(t, "<Priority>0", "<Priority>-1"),
		"L222":                changed(t, "<Protocol>http", "<Protocol>https"),
		"L223":                changed(t, `SchemaVersion="1.1"`, `SchemaVersion="9.9"`),
		"L224":                changed(t, "<ID>", "<New>x</New><ID>"),
		"L225":                changed(t, `ReplyCompression="zlib"`, `ReplyCompression="brotli"`),
		"L304":                changed(t, "<ID>", "<ID>"),
		"L308 plain":          changed(t, ">NonSSL<", ">SSL<"),
		"L310":                reply(t, "200 OK", string(envelopeOf(t))),
		"L311":                late,
		"L417":                ccmSource(t, "<Msg/>", Text{String: `<Report x="` + strings.Repeat("y", 5000) + `"/>`, Tail: []byte{0, 0}}.Bytes()),
		"L510":                negotiate(t),
		"http-not-in-capture": reply(t, "404 "+NotInCapture, "x"),
		"L605":                hashed("<Policy/>", "something else"),
		"L706":                overTLS(mpListReply(`<MPList><MP Name="A"><Capabilities><Property Name="SSLState" Value="0"/></Capabilities></MP></MPList>`)),
		"L801":                changed(t, "<Hooks>", `<Attachment Name="a" Offset="900" Length="60000000"/><Hooks>`),
		"L905":                ccmSource(t, "<Msg/>", Text{String: serials, Tail: []byte{0, 0}}.Bytes()),
		"msg-surplus-parts": rewired(t, "\r\n--aAbBcCdDv1234567890VxXyYzZ--",
			"\r\n--aAbBcCdDv1234567890VxXyYzZ\r\n\r\nx\r\n--aAbBcCdDv1234567890VxXyYzZ--"),
		"bits-fragment": withHead(source([]byte("xy")), "BITS_POST /CCM_Incoming/x HTTP/1.1\r\nBITS-Packet-Type: Fragment\r\nContent-Range: bytes 0-0/1"),
		"bits-refused":  withHead(source(nil), "HTTP/1.1 416 No\r\nBITS-Packet-Type: Ack"),
	}
}

func envelopeOf(t *testing.T) []byte {
	raw := mustRead(t, samples+"wire/08-policy-body-reply.http")
	_, body, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
	return body
}

func negotiate(t *testing.T) Source {
	s := withHead(source(nil), "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Negotiate")
	s.Request = Decode(get("CCM_POST /ccm_system_windowsauth/request"), Full)
	return s
}

// Every rule can be broken: one that never fires is none.
func TestEveryLintFires(t *testing.T) {
	fired := make(map[string]bool)
	note := func(m *Message) []string {
		var names []string
		for _, f := range m.Findings {
			fired[f.Kind.Code] = true
			names = append(names, f.Kind.Ref, f.Kind.Code)
		}
		return names
	}
	for _, row := range manifest(t) {
		note(Decode(sampleSource(t, row), Full))
	}
	for name, s := range lintCases(t) {
		want, _, _ := strings.Cut(name, " ")
		m := Decode(s, Full)
		if names := strings.Join(note(m), " "); !strings.Contains(" "+names+" ", " "+want+" ") {
			t.Errorf("%s does not fire; found %s", name, names)
		}
		for _, f := range m.Findings {
			checkFinding(t, m, f)
		}
	}
	for _, l := range lints {
		if !fired[l.kind.Code] {
			t.Errorf("nothing breaks %s %s", l.kind.Code, l.kind.Ref)
		}
	}
}

// What is right must stay silent: the cases beside those of lintCases.
func TestLintsStaySilent(t *testing.T) {
	const multipartHead = "CCM_POST /ccm_system/request HTTP/1.1\r\nContent-Type: multipart/mixed; boundary=aAbBcCdDv1234567890VxXyYzZ"
	location := changed(t, "MP_PolicyManager", "MP_LocationManager", "MP_PolicyManager", "MP_LocationManager",
		"<ReplyMode>Sync", "<ReplyMode>Async", "SccmMessaging", "LS_ReplyLocations")
	tests := []struct {
		name, code string
		s          Source
	}{
		{"agent points at the proxy by address", "msg-target-host", withHead(changed(t, "<ID>", "<ID>"), multipartHead+"\r\nHost: 127.0.0.1:8443")},
		{"host with the site's own port", "msg-target-host", withHead(changed(t, "<ID>", "<ID>"), multipartHead+"\r\nHost: MP01.lab.example:888")},
		{"host without domain", "msg-target-host", withHead(changed(t, "<ID>", "<ID>"), multipartHead+"\r\nHost: mp01")},
		{"agents queue location requests", "msg-async-invoke", location},
		{"known clients write http always", "msg-protocol", func() Source { s := changed(t, "<ID>", "<ID>"); s.TLS = true; return s }()},
		{"signing is a matter of HTTP", "msg-unsigned", func() Source {
			s := changed(t, `Name="clientauth"`, `Name="other"`)
			s.TLS = true
			return s
		}()},
		{"no clock to compare with", "msg-clock", func() Source {
			s := changed(t, "2026-03-02T08:21:00Z", "2001-01-01T00:00:00Z")
			s.Arrived = time.Time{}
			return s
		}()},
		{"body that was cut on the way", "msg-boundary", func() Source {
			s := rewired(t, "\r\n--aAbBcCdDv1234567890VxXyYzZ--", "")
			s.Whole = false
			return s
		}()},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, f := range Decode(test.s, Full).Findings {
				if f.Kind.Code == test.code {
					t.Errorf("%s: %s", f.Kind.Code, f.Evidence)
				}
			}
		})
	}
}

// An attachment that was uploaded before is not in the payload, so it cannot
// leave it.
func TestUploadedAttachmentHasNoRange(t *testing.T) {
	attachment := `<Attachment Name="{A}" Offset="5000" Length="400000"/><Hooks>`
	for payload, want := range map[string]bool{"inline": true, "http": false} {
		m := Decode(changed(t, `<Hooks>`, attachment, `Type="inline"`, `Type="`+payload+`"`), Full)
		got := false
		for _, f := range m.Findings {
			got = got || f.Kind.Ref == "L204"
		}
		if got != want {
			t.Errorf("payload %s: L204 found %v, want %v", payload, got, want)
		}
	}
}

// TestCollectedFiles fails when a collected file that begins like XML is taken
// for the report that it comes with.
func TestCollectedFiles(t *testing.T) {
	for text, want := range map[string]bool{
		"<\x1aÎ\x00": false, "<?xml version=\"1.0\"?><configuration/>": false, "< x": false, "": false,
		"<?xml version=\"1.0\"?>\r\n<Report/>": true, "\r\n<!-- by hand --><report x='1'>": true,
	} {
		if beginsReport(text) != want {
			t.Errorf("%q: want %v", text, want)
		}
	}
}
