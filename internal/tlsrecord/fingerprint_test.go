package tlsrecord

import (
	"encoding/binary"
	"strconv"
	"strings"
	"testing"
)

// published are JA3 texts with their published MD5, and the library that sent
// them where that was published too or is told by the text.
var published = []struct {
	text, sum string
	stack     string
}{
	// From the description of JA3.
	{
		"769,47-53-5-10-49161-49162-49171-49172-50-56-19-4,0-10-11,23-24-25,0", "ada70206e40642a3e4461f35503241d5",
		"Schannel of Windows Vista, 7, Server 2008 or 2008 R2, not updated",
	},
	{
		"769,4-5-10-9-100-98-3-6-19-18-99,,,", "de350869b8c85de67a350c8d186f11e6",
		"Schannel of Windows XP or Server 2003",
	},
	// From public lists of fingerprints.
	{
		"769,47-53-5-10-49171-49172-49161-49162-50-56-19-4,65281-0-10-11,23-24,0", "1d095e68489d3c535297cd8dffb06cb9",
		"Schannel of Windows Vista, 7, Server 2008 or 2008 R2, not updated",
	},
	{
		"769,49172-49171-57-51-53-47-49162-49161-56-50-10-19-5-4,0-10-11-23-65281,23-24,0", "05af1f5ca1b87cc9cc9b25185115607d",
		"Schannel of Windows 7, 8, Server 2008 R2 or 2012, updated, held down to TLS 1.0",
	},
	{
		"771,49196-49195-49200-49199-159-158-49188-49187-49192-49191-49162-49161-49172-49171-157-156-61-60-53-47-10-106-64-56-50-19,5-10-11-13-35-23-65281,23-24,0", "c50f6a8b9173676b47ba6085bd0c6cee",
		"Schannel of Windows 8.1 or Server 2012 R2",
	},
	{
		"771,49196-49195-49200-49199-159-158-49188-49187-49192-49191-49162-49161-49172-49171-157-156-61-60-53-47-10,0-10-11-13-35-23-65281,29-23-24,0", "3b5074b1b5d032e5620f69f9f700ff0e",
		"Schannel of Windows 10, Server 2016 or 2019",
	},
	{
		"771,49196-49195-49200-49199-49188-49187-49192-49191-49162-49161-49172-49171-157-156-61-60-53-47-10,0-10-11-13-35-23-65281,29-23-24,0", "37f463bf4616ecd445d4a1937da06e19",
		"Schannel of Windows 10, Server 2016 or 2019",
	},
	{
		"771,49196-49195-49200-49199-49188-49187-49192-49191-49162-49161-49172-49171-157-156-61-60-53-47-10,0-5-10-11-13-35-16-23-24-65281,29-23-24,0", "10ee8d30a5d01c042afd7b2b205facc4",
		"Schannel of Windows 10, Server 2016 or 2019",
	},
	{
		"769,49162-49161-49172-49171-53-47-10,0-10-11-35-23-65281,29-23-24,0", "54328bd36c14bd82ddaa0c04b25ed9ad",
		"Schannel of Windows 10, Server 2016 or 2019, held down to TLS 1.0 or 1.1",
	},
	{
		"771,4866-4865-49196-49195-49200-49199-49188-49187-49192-49191-49162-49161-49172-49171-157-156-61-60-53-47,0-5-43-13-35-10-11-16-51-49-23-65281-45,29-23-24,0", "fae0e5d973c96ae1888b99538efa0363",
		"Schannel of Windows 11 or Server 2022 and later",
	},
	{
		"771,49195-49199-49196-49200-52393-52392-49161-49171-49162-49172-156-157-47-53-49170-10-4865-4866-4867,0-5-10-11-13-65281-18-43-51,29-23-24-25,0", "473cd7cb9faa642487833865d516e578",
		"Go, 1.22 or older or with curves or versions set",
	},
	{
		"771,4866-4867-4865-49196-49200-159-52393-52392-52394-49195-49199-158-49188-49192-107-49187-49191-103-49162-49172-57-49161-49171-51-157-156-61-60-53-47-255,0-11-10-13172-16-22-23-49-13-43-45-51,29-23-30-25-24,0-1-2", "ba730f97dcd1122e74e65411e68f1b40",
		"OpenSSL 1.1.1",
	},
}

// TestJA3 makes a hello of each published text, and expects text and sum again.
// If it fails, fingerprints do not match those of other tools.
func TestJA3(t *testing.T) {
	for _, p := range published {
		h := Parse(helloLike(t, p.text), nil).ClientHello()
		if text, sum := h.JA3(); text != p.text || sum != p.sum {
			t.Errorf("JA3 %s %s\nwant %s %s", sum, text, p.sum, p.text)
		}
	}
}

// TestStacksOfPublished expects the library of each published hello as the
// first guess, with reasons.
func TestStacksOfPublished(t *testing.T) {
	for _, p := range published {
		checkStack(t, Parse(helloLike(t, p.text), nil).ClientHello(), p.stack)
	}
}

func checkStack(t *testing.T, h *ClientHello, want string) {
	t.Helper()
	if h == nil {
		t.Fatal("no hello")
	}
	text, _ := h.JA3()
	guesses := h.Stacks()
	switch {
	case len(guesses) == 0:
		t.Errorf("no guess, want %q, for %s", want, text)
	case guesses[0].Name != want:
		t.Errorf("guess %q, want %q, for %s", guesses[0].Name, want, text)
	case len(guesses[0].Reasons) == 0:
		t.Errorf("a guess without reasons: %q", want)
	}
}

// helloLike makes a ClientHello with a JA3.
func helloLike(t testing.TB, ja3 string) []byte {
	fields := strings.Split(ja3, ",")
	if len(fields) != 5 {
		t.Fatalf("no JA3: %s", ja3)
	}
	var groups, formats, versions []byte
	for _, g := range numbersOf(t, fields[3]) {
		groups = binary.BigEndian.AppendUint16(groups, g)
	}
	for _, f := range numbersOf(t, fields[4]) {
		formats = append(formats, byte(f))
	}
	versions = []byte{4, 3, 4, 3, 3}
	var extensions []byte
	for _, e := range numbersOf(t, fields[2]) {
		var data []byte
		switch ExtensionType(e) {
		case ExtSupportedGroups:
			data = counted(2, groups)
		case ExtPointFormats:
			data = counted(1, formats)
		case ExtSupportedVersions:
			data = versions
		case ExtServerName:
			data = counted(2, append([]byte{0}, counted(2, []byte(serverName))...))
		case ExtRenegotiationInfo:
			data = []byte{0}
		}
		extensions = binary.BigEndian.AppendUint16(extensions, e)
		extensions = append(extensions, counted(2, data)...)
	}
	var suites []byte
	for _, s := range numbersOf(t, fields[1]) {
		suites = binary.BigEndian.AppendUint16(suites, s)
	}
	body := binary.BigEndian.AppendUint16(nil, numbersOf(t, fields[0])[0])
	body = append(body, make([]byte, 33)...) // random and an empty session id
	body = append(body, counted(2, suites)...)
	body = append(body, 1, 0)
	if len(extensions) > 0 {
		body = append(body, counted(2, extensions)...)
	}
	return record(ContentHandshake, TLS10, handshake(TypeClientHello, body))
}

func numbersOf(t testing.TB, list string) (out []uint16) {
	if list == "" {
		return nil
	}
	for _, s := range strings.Split(list, "-") {
		n, err := strconv.ParseUint(s, 10, 16)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, uint16(n))
	}
	return out
}

// counted puts a length of so many bytes before b.
func counted(size int, b []byte) []byte {
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(b)))
	return append(n[8-size:], b...)
}

func handshake(t HandshakeType, body []byte) []byte {
	return append([]byte{byte(t)}, counted(3, body)...)
}

func record(t ContentType, v Version, fragment []byte) []byte {
	return append([]byte{byte(t), byte(v >> 8), byte(v)}, counted(2, fragment)...)
}

// TestJA4 expects the fingerprint that the description of JA4 computes for its
// example; and without GREASE, which must make no difference.
func TestJA4(t *testing.T) {
	const (
		want = "t13d1516h2_8daaf6152771_e5627efa2ab1"
		raw  = "t13d1516h2_002f,0035,009c,009d,1301,1302,1303,c013,c014,c02b,c02c,c02f,c030,cca8,cca9_" +
			"0005,000a,000b,000d,0012,0015,0017,001b,0023,002b,002d,0033,4469,ff01_0403,0804,0401,0503,0805,0501,0806,0601"
	)
	client, _ := readVector(t, "testdata/grease.txt")
	h := Parse(client, nil).ClientHello()
	if got := h.JA4(); got != want {
		t.Errorf("JA4 %s, want %s", got, want)
	}
	if got := h.JA4Raw(); got != raw {
		t.Errorf("JA4_r %s, want %s", got, raw)
	}
	if !h.GREASE {
		t.Error("GREASE is not seen")
	}
}

// TestJA4Hashes are the description's hashes of parts.
func TestJA4Hashes(t *testing.T) {
	for in, want := range map[string]string{
		"": "000000000000",
		"0005,000a,000b,000d,0012,0015,0017,001b,0023,002b,002d,0033,4469,ff01": "6d807ffa2a79",
		// Windows 11, as dissected by Wireshark.
		"002f,0035,003c,003d,009c,009d,1301,1302,c009,c00a,c013,c014,c023,c024,c027,c028,c02b,c02c,c02f,c030":                "2b729b4bf6f3",
		"0005,000a,000b,000d,0017,0023,002b,002d,0031,0033,ff01_0804,0805,0806,0401,0501,0201,0403,0503,0203,0202,0601,0603": "e24568c0d440",
	} {
		if got := hash12(in); got != want {
			t.Errorf("hash of %q: %s, want %s", in, got, want)
		}
	}
}

// TestJA4ALPN are the description's examples for the protocol's two characters.
func TestJA4ALPN(t *testing.T) {
	for in, want := range map[string]string{
		"h2": "h2", "http/1.1": "h1", "x": "xx", "": "00",
		"\xab": "ab", "\xab\xcd": "ad", "0\xab": "3b", "01\xab\xcd": "3d", "0\xab\xcd1": "01",
	} {
		if got := ja4ALPN([]string{in}); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
	if got := ja4ALPN(nil); got != "00" {
		t.Errorf("no protocol: %s", got)
	}
}

// TestNoFingerprint must not give a fingerprint of half a hello, or of one that
// JA3 and JA4 do not describe.
func TestNoFingerprint(t *testing.T) {
	for _, file := range []string{"testdata/cut_hello.txt", "testdata/ssl2_hello.txt"} {
		client, _ := readVector(t, file)
		h := Parse(client, nil).ClientHello()
		text, sum := h.JA3()
		if text != "" || sum != "" || h.JA4() != "" || h.JA4Raw() != "" || h.Stacks() != nil {
			t.Errorf("%s: a fingerprint of what has none", file)
		}
	}
}

// TestStackTable fails for a guess that says less than the others, or that none
// of the tests has a hello for.
func TestStackTable(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range stacks {
		if s.name == "" || s.basis == "" || len(s.features) < 3 {
			t.Errorf("an empty field or too few features: %+v", s)
		}
		if seen[s.name] {
			t.Errorf("%q is there twice", s.name)
		}
		seen[s.name] = true
		for _, f := range s.features {
			if f.reason == "" || f.holds == nil {
				t.Errorf("%q has an empty feature", s.name)
			}
		}
	}
	for _, p := range published {
		if !seen[p.stack] {
			t.Errorf("%q is not in the table", p.stack)
		}
	}
}
