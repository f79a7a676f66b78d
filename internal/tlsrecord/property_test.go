package tlsrecord

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// connections are all vectors, and real handshakes, by name.
func connections(t *testing.T) map[string][2][]byte {
	all := map[string][2][]byte{}
	for _, file := range vectors(t) {
		client, server := readVector(t, file)
		all[file] = [2][]byte{client, server}
	}
	s := newSite(t)
	for _, v := range allVersions {
		server := s.serverConfig()
		server.ClientAuth = tls.RequireAnyClientCert
		client := s.clientConfig(v)
		client.Certificates = []tls.Certificate{*s.client}
		fromClient, fromServer := talkBytes(client, server)
		all[v.String()] = [2][]byte{fromClient, fromServer}
	}
	return all
}

// TestTruncated cuts connections at every byte. What was read before must stay
// as it was when more comes: all records and messages but the last.
func TestTruncated(t *testing.T) {
	for name, c := range connections(t) {
		whole := Parse(c[0], c[1])
		for n := range c[0] {
			checkPrefix(t, name, n, &Parse(c[0][:n], c[1]).Client, &whole.Client)
		}
		for n := range c[1] {
			checkPrefix(t, name, n, &Parse(c[0], c[1][:n]).Server, &whole.Server)
		}
	}
}

func checkPrefix(t *testing.T, name string, n int, part, whole *Stream) {
	t.Helper()
	checkStream(t, part, make([]byte, n))
	if k := len(part.Records) - 1; k > 0 && !begins(part.Records[:k], whole.Records) {
		t.Errorf("%s, %s cut at %d: other records than in the whole", name, part.From, n)
	}
	for i := 0; i < len(part.Messages)-1; i++ {
		if i >= len(whole.Messages) || !reflect.DeepEqual(part.Messages[i], whole.Messages[i]) {
			t.Fatalf("%s, %s cut at %d: message %d is %s, in the whole it is not", name, part.From, n, i, &part.Messages[i])
		}
	}
}

// TestAlone reads each direction without the other. All that needs no other must
// be the same.
func TestAlone(t *testing.T) {
	for name, c := range connections(t) {
		both := Parse(c[0], c[1])
		for side, alone := range map[Side]*Transcript{Client: Parse(c[0], nil), Server: Parse(nil, c[1])} {
			got, want := alone.Of(side).Messages, both.Of(side).Messages
			if len(got) != len(want) {
				t.Fatalf("%s: the %s alone has %d messages, with the other %d", name, side, len(got), len(want))
			}
			for i := range got {
				g, w := got[i], want[i]
				g.Plain, g.Guess, w.Plain, w.Guess = Range{}, 0, Range{}, 0
				if !reflect.DeepEqual(g, w) {
					t.Errorf("%s: the %s's message %d differs without the other side", name, side, i)
				}
			}
		}
	}
}

// TestFragmentation sends the same handshake messages in records of every small
// size, and expects the same messages, whose parts are found where they are.
func TestFragmentation(t *testing.T) {
	_, server := readVector(t, "testdata/tls12_no_certificate.txt")
	whole := Parse(nil, server)
	var flight []byte
	for _, m := range whole.Server.Messages[:5] {
		flight = append(flight, handshake(m.Type, m.Raw)...)
	}
	for size := 1; size < 64; size++ {
		var b []byte
		for piece := range slices.Chunk(flight, size) {
			b = append(b, record(ContentHandshake, TLS12, piece)...)
		}
		got := Parse(nil, b)
		if len(got.Server.Messages) != 5 || len(got.Server.Flaws) != 0 {
			t.Fatalf("records of %d bytes:\n%s", size, got)
		}
		for i, m := range got.Server.Messages {
			if m.Type != whole.Server.Messages[i].Type || !bytes.Equal(m.Raw, whole.Server.Messages[i].Raw) {
				t.Errorf("records of %d bytes: message %d differs", size, i)
			}
		}
		for i, der := range got.Certificate(Server).Chain {
			if want := whole.Certificate(Server).Chain[i]; !bytes.Equal(der.Bytes, want.Bytes) || b[der.Offset] != want.Bytes[0] {
				t.Errorf("records of %d bytes: certificate %d is not at %d", size, i, der.Offset)
			}
		}
	}
}

// TestMemory reads bytes made to cost memory, each in its own way. All that is
// allocated, garbage included, stays below 64 times what is read and a megabyte.
func TestMemory(t *testing.T) {
	repeat := func(b []byte, size int) []byte { return bytes.Repeat(b, size/len(b)) }
	hello := func(extensions []byte) []byte {
		body := append([]byte{3, 3}, make([]byte, 33)...)
		body = append(body, 0, 2, 0, 47, 1, 0)
		return handshake(TypeClientHello, append(body, counted(2, extensions)...))
	}
	inRecords := func(b []byte, size int) (out []byte) {
		for piece := range slices.Chunk(b, size) {
			out = append(out, record(ContentHandshake, TLS12, piece)...)
		}
		return out
	}
	const size = 60000
	for name, b := range map[string][]byte{
		"empty records":        repeat(record(ContentHandshake, TLS12, nil), size),
		"alerts":               inRecordsOf(ContentAlert, repeat([]byte{1, 0}, size), 16000),
		"empty messages":       inRecords(repeat(handshake(TypeHelloRequest, nil), size), 16000),
		"one byte a record":    inRecords(hello(repeat([]byte{0xab, 0xcd, 0, 0}, size/8)), 1),
		"extensions":           inRecords(hello(repeat([]byte{0xab, 0xcd, 0, 0}, size)), 16000),
		"other extensions":     inRecords(hello(countUp(size)), 16000),
		"names":                inRecords(handshake(TypeCertificateRequest, append([]byte{0, 0, 0}, counted(2, repeat([]byte{0, 2, 0x30, 0}, size))...)), 16000),
		"certificates":         inRecords(handshake(TypeCertificate, counted(3, repeat([]byte{0, 0, 0}, size))), 16000),
		"a message of 16 MiB":  record(ContentHandshake, TLS12, []byte{1, 0xff, 0xff, 0xff, 3, 3}),
		"application data":     repeat(record(ContentApplicationData, TLS12, []byte{1}), size),
		"hellos":               inRecords(repeat(handshake(TypeClientHello, nil), size), 16000),
		"unprintable name":     inRecords(handshake(TypeCertificateRequest, append([]byte{0, 0, 0}, counted(2, counted(2, longName(t, size)))...)), 16000),
		"SSL 2.0 cipher kinds": append([]byte{0xff, 0xff, 1, 0, 2, 0x7f, 0xf0, 0, 0, 0, 16}, repeat([]byte{1, 0, 0x80}, size/2)...),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		kept := Parse(b, b)
		runtime.ReadMemStats(&after)
		spent := after.TotalAlloc - before.TotalAlloc
		if limit := uint64(64*2*len(b) + 1<<20); spent > limit {
			t.Errorf("%s: %d bytes cost %d, limit %d", name, 2*len(b), spent, limit)
		}
		runtime.KeepAlive(kept)
	}
}

func inRecordsOf(c ContentType, b []byte, size int) (out []byte) {
	for piece := range slices.Chunk(b, size) {
		out = append(out, record(c, TLS12, piece)...)
	}
	return out
}

// countUp is a list of empty extensions with all types.
func countUp(size int) (out []byte) {
	for i := 0; i < size/4; i++ {
		out = append(out, byte(i>>8), byte(i), 0, 0)
	}
	return out
}

func longName(t *testing.T, size int) []byte {
	name, err := asn1.Marshal(pkix.Name{CommonName: strings.Repeat("\x01", size)}.ToRDNSequence())
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// TestManyAuthorities counts what a server with too many authorities sends: the
// list of 16 KiB that Windows cuts.
func TestManyAuthorities(t *testing.T) {
	var list []byte
	for i := range 160 {
		der, err := asn1.Marshal(pkix.Name{CommonName: fmt.Sprintf("Contoso Issuing CA %03d", i), Organization: []string{strings.Repeat("x", 50)}}.ToRDNSequence())
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, counted(2, der)...)
	}
	body := append([]byte{1, 1, 0, 2, 4, 1}, counted(2, list)...)
	b := inRecordsOf(ContentHandshake, handshake(TypeCertificateRequest, body), 1<<14)
	r := Parse(nil, b).CertificateRequest()
	if r == nil || len(r.Authorities) != 160 || r.AuthoritiesSize != len(list) {
		t.Fatalf("not 160 authorities in %d bytes: %+v", len(list), r)
	}
	if name := r.Authorities[159].Name; !strings.HasPrefix(name, "CN=Contoso Issuing CA 159,O=xx") {
		t.Errorf("the last is %q", name)
	}
}

// TestNameAsGo writes names as crypto/x509 does, where that knows their parts.
func TestNameAsGo(t *testing.T) {
	for _, name := range []pkix.Name{
		{CommonName: "Contoso Root CA", Organization: []string{"Contoso, Ltd."}, Country: []string{"DE"}},
		{CommonName: " #a+b\"c\\d<e>f;g ", OrganizationalUnit: []string{"One", "Two"}},
		{SerialNumber: "17", Locality: []string{"Zürich"}, StreetAddress: []string{"1 Main St"}, PostalCode: []string{"8000"}, Province: []string{"ZH"}},
		{},
	} {
		der, err := asn1.Marshal(name.ToRDNSequence())
		if err != nil {
			t.Fatal(err)
		}
		if got, want := Name(der), name.String(); got != want {
			t.Errorf("%q, crypto/x509 writes %q", got, want)
		}
	}
}

// TestOutline reads certificates that crypto/x509 takes, and one that it refuses.
func TestOutline(t *testing.T) {
	ca := newAuthority(t, "Contoso Root CA")
	o := ReadOutline(ca.cert.Raw)
	if o.Stopped != "" || o.Size != len(ca.cert.Raw) || o.Subject != "CN=Contoso Root CA,O=Contoso" || o.Issuer != o.Subject ||
		!o.NotAfter.Equal(ca.cert.NotAfter) || !o.NotBefore.Equal(ca.cert.NotBefore) || o.Version != 3 ||
		new(big.Int).SetBytes(o.Serial).Cmp(ca.cert.SerialNumber) != 0 || o.Negative {
		t.Errorf("outline %+v", o)
	}
	client, _ := readVector(t, "testdata/tls12_bad_certificates.txt")
	o = ReadOutline(Parse(client, nil).Certificate(Client).Chain[0].Bytes)
	if !o.Negative || o.Subject != "CN=pc17.contoso.example" || o.Stopped != "" {
		t.Errorf("the negative serial number is not seen: %+v", o)
	}
	for n := range ca.cert.Raw {
		if o := ReadOutline(ca.cert.Raw[:n]); o.Stopped == "" {
			t.Fatalf("cut at %d has no place where it stops", n)
		}
	}
}

// TestRetryRandom holds the constant against what it is defined as.
func TestRetryRandom(t *testing.T) {
	if want := sha256.Sum256([]byte("HelloRetryRequest")); !bytes.Equal(retryRandom, want[:]) {
		t.Error("the random of a HelloRetryRequest is not the standard's")
	}
}

// TestHello asks hellos what they offer.
func TestHello(t *testing.T) {
	client, _ := readVector(t, "testdata/ssl3.txt")
	h := Parse(client, nil).ClientHello()
	if clock, ok := h.Clock(); !ok || !clock.Equal(time.Date(2012, 1, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("clock %v", clock)
	}
	if h.Offers(TLS10) || !h.Offers(SSL30) || h.SecureRenegotiation() || h.Fallback() {
		t.Error("an SSL 3.0 hello offers what it does not")
	}
	client, _ = readVector(t, "testdata/java17_tls12.txt")
	h = Parse(client, nil).ClientHello()
	if e, ok := h.Extension(ExtExtendedMasterSecret); !ok || len(e.Data) != 0 {
		t.Error("an extension is not found")
	}
	if first, last := h.SignatureSchemes[0], h.SignatureSchemes[len(h.SignatureSchemes)-1]; first.SHA1() || !last.SHA1() {
		t.Errorf("SHA-1 in %s or not in %s", first, last)
	}
	if h.Offers(TLS13) || h.Offers(TLS10) || !h.Offers(TLS12) || !h.SecureRenegotiation() {
		t.Error("a hello held to TLS 1.2 offers something else")
	}
}

// TestCertain tells guesses by the protocol's rules from those by size.
func TestCertain(t *testing.T) {
	for g := range guesses {
		if want := strings.HasSuffix(Guess(g).String(), "by its size"); Guess(g) != NoGuess && Guess(g).Certain() == want {
			t.Errorf("%q is certain: %t", Guess(g), !want)
		}
	}
}

// TestDowngraded finds the mark of a server that can do more than was asked.
func TestDowngraded(t *testing.T) {
	s := newSite(t)
	for v, want := range map[Version]Version{TLS13: 0, TLS12: TLS12, TLS11: TLS11, TLS10: TLS11} {
		if got := talk(s.clientConfig(v), s.serverConfig()).ServerHello().Downgraded; got != want {
			t.Errorf("%s: marked %s, want %s", v, got, want)
		}
	}
}

// TestSniff names what is no TLS by its beginning, also when there is little of it.
func TestSniff(t *testing.T) {
	for in, want := range map[string]Protocol{
		"":                              Nothing,
		"\x16":                          TLS,
		"\x16\x03":                      TLS,
		"\x16\x02":                      Unknown,
		"\x80\x2e\x01\x03\x01":          SSL2,
		"\x80\x0b\x04\x00":              SSL2,
		"GET / HTTP/1.1\r\n":            HTTPRequest,
		"CCM_POST /ccm_system/request ": HTTPRequest,
		"BITS_POST":                     HTTPRequest,
		"CCM":                           HTTPRequest,
		"GET nonsense\r\n":              Text,
		"HTTP/1.1 400 Bad Request\r\n":  HTTPResponse,
		"HT":                            HTTPResponse,
		"<!DOCTYPE html>":               HTML,
		"PROXY TCP4 192.0.2.7":          ProxyHeader,
		"\r\n\r\n\x00\r\nQUIT\n\x21":    ProxyHeader,
		"SSH-2.0-OpenSSH_9.2\r\n":       SSH,
		"220 mail.contoso.example\r\n":  Greeting,
		"\x03\x00\x00\x13\x0e\xe0":      RDP,
		"hello\r\n":                     Text,
		"\x00\x01\x02":                  Unknown,
	} {
		if got := sniff([]byte(in)); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
