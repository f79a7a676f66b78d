package decode

import (
	"strings"
	"testing"
)

func TestViews(t *testing.T) {
	tests := []struct {
		file, names string
	}{
		{"wire/05-metering-request.http", "wire head header part inflated text pretty attachment"},
		{"wire/09-osd-policy-request.http", "wire head header part text pretty"},
		{"wire/06-async-ack.http", "wire head"},
		{"wire/08-policy-body-reply.http", "wire head"},
		{"policy-body-compressed.xml", "wire text pretty policy"},
	}
	for _, test := range tests {
		t.Run(test.file, func(t *testing.T) {
			s := source(mustRead(t, samples+test.file))
			m := Decode(s, Full)
			var names []string
			for _, v := range m.Views(s.Head.Raw) {
				names = append(names, v.Name)
				if v.What == "" {
					t.Errorf("layer %s does not say what it is", v.Name)
				}
			}
			if got := strings.Join(names, " "); got != test.names {
				t.Errorf("layers %s, want %s", got, test.names)
			}
		})
	}
}

// What is packed into a policy is a layer like any other.
func TestInnerPolicy(t *testing.T) {
	m := Decode(source(mustRead(t, samples+"policy-body-compressed.xml")), Full)
	inner, ok := m.innerPolicy()
	if !ok || !strings.HasPrefix(inner.String, "<") || wellFormed(inner.String) != nil {
		t.Errorf("unpacked %v: %q", ok, inner.String)
	}
}

func TestPretty(t *testing.T) {
	tests := []struct{ in, want string }{
		{"<a><b/><c>x</c></a>", "<a>\n  <b/>\n  <c>x</c>\n</a>"},
		{"<?xml version='1.0'?><a x='>'><b></b></a>", "<?xml version='1.0'?>\n<a x='>'>\n  <b></b>\n</a>"},
		{"<a>\n\n   <b>  x </b>\n</a>", "<a>\n  <b>  x </b>\n</a>"},
		{"<a><![CDATA[<mp>]]></a>", "<a><![CDATA[<mp>]]></a>"},
		{"<a><!-- c --></a>", "<a>\n  <!-- c -->\n</a>"},
		{"<a><b>", "<a>\n  <b>"},
		{"<a><b", "<a><b"},
		{"no XML", "no XML"},
		{"<!DOCTYPE html><html><p></html>", "<!DOCTYPE html><html><p></html>"},
		{"", ""},
	}
	for _, test := range tests {
		if got := Pretty(test.in); got != test.want {
			t.Errorf("Pretty(%q) is %q, want %q", test.in, got, test.want)
		}
	}
}

func TestMultipart(t *testing.T) {
	const b = "aAbBcCdDv1234567890VxXyYzZ"
	tests := []struct {
		name, body string
		bodies     []string
		closing    bool
	}{
		{"agent", "--" + b + "\r\na: b\r\n\r\none\r\n--" + b + "\r\na: b\r\n\r\ntwo\r\n--" + b + "--", []string{"one", "two"}, true},
		{"preamble and epilogue", "x\r\n--" + b + "\r\n\r\none\r\n--" + b + "--\r\ny", []string{"one"}, true},
		{"part without a head", "--" + b + "\r\na: b\r\n\r\none\r\n--" + b + "\r\n\r\n\x78\x9c\r\n--" + b + "--", []string{"one", "\x78\x9c"}, true},
		{"part without a head and its empty line", "--" + b + "\r\n\x78\x9c\n\r\n--" + b + "--", []string{"\x78\x9c\n"}, true},
		{"line ends of the payload stay", "--" + b + "\r\na: b\r\n\r\n\r\n\r\n\r\n--" + b + "--", []string{"\r\n\r\n"}, true},
		{"boundary inside of a line", "--" + b + "\r\na: b\r\n\r\nx--" + b + "y\r\n--" + b + "--", []string{"x--" + b + "y"}, true},
		{"cut", "--" + b + "\r\na: b\r\n\r\none", []string{"one"}, false},
		{"other case", "--" + strings.ToLower(b) + "\r\na: b\r\n\r\none", nil, false},
		{"empty parts", "--" + b + "\r\n--" + b + "\r\n--" + b + "--", []string{"", ""}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := splitMultipart([]byte(test.body), b)
			var bodies []string
			for _, p := range m.parts {
				bodies = append(bodies, string(p.Body))
			}
			if strings.Join(bodies, "|") != strings.Join(test.bodies, "|") || len(bodies) != len(test.bodies) || (m.closing != nil) != test.closing {
				t.Errorf("parts %q, closing %v", bodies, m.closing != nil)
			}
			if string(m.bytes()) != test.body {
				t.Errorf("put together: %q", m.bytes())
			}
		})
	}
}

func TestBoundary(t *testing.T) {
	for contentType, want := range map[string]string{
		`multipart/mixed; boundary="aAbB"`:                  "aAbB",
		`multipart/mixed; boundary=----------08de7f3c`:      "----------08de7f3c",
		`multipart/mixed;charset=x;Boundary="a b;c"; x="y"`: "a b;c",
		`multipart/mixed; xboundary=no; boundary=yes ; z=1`: "yes",
		`multipart/mixed`:                 "",
		`multipart/mixed; boundary="open`: "open",
	} {
		if got := boundaryOf(contentType); got != want {
			t.Errorf("%s: %q, want %q", contentType, got, want)
		}
	}
}
