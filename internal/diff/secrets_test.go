package diff

import (
	"strings"
	"testing"

	"mpproxy/compare"
	"mpproxy/decode"
	"mpproxy/traffic"
)

// A difference is told to build servers, whose pages many can read: it says that
// a secret differs, and not the secret.
func TestWithoutSecrets(t *testing.T) {
	message := func(password, name string) compare.Message {
		return compare.Message{
			Head: traffic.ParseHead([]byte("HTTP/1.1 200 OK\r\nSet-Cookie: id=" + password + "\r\nServer: " + name + "\r\n\r\n")),
			Decoded: &decode.Message{Text: decode.Text{
				String: `<P><property name="x" secret="1"><value><![CDATA[` + password + `]]></value></property><property name="y"><value>` + name + `</value></property></P>`,
			}},
		}
	}
	a, b := message("hunter2one", "old"), message("hunter2two", "new")
	o := Outcome{Reply: compare.Messages(a, b, nil)}
	var text strings.Builder
	said := 0
	for _, d := range o.WithoutSecrets().Reply.Differences {
		text.WriteString(string(d.Place) + " " + d.A + " " + d.B + "\n")
		said++
	}
	if said != len(o.Reply.Differences) || strings.Contains(text.String(), "hunter2") || !strings.Contains(text.String(), "old new") || strings.Count(text.String(), "[redacted") != 4 {
		t.Errorf("%s", text.String())
	}
}
