package view

import (
	"encoding/pem"
	"fmt"
	"strings"

	"mpproxy/internal/tlsrecord"
	"mpproxy/traffic"
)

// Certificates are those that both sides of both legs have shown, as PEM. A
// comment before each says who showed it, and whose it is.
func (c *Connection) Certificates(f Format) string {
	var out strings.Builder
	for _, hs := range c.Handshakes {
		peer, own := shownBy(hs)
		agent, mp := "the agent", "mpproxy"
		if hs.PassedThrough {
			mp = "the management point"
		}
		if hs.Side == traffic.UpstreamSide {
			agent, mp = "the management point", "mpproxy"
		}
		writeChain(&out, hs.Side, agent, peer, f)
		writeChain(&out, hs.Side, mp, own, f)
	}
	return out.String()
}

// shownBy are the chains of a handshake: the peer's, and mpproxy's or that of
// the management point behind it.
func shownBy(hs *traffic.Handshake) (peer, own [][]byte) {
	if !hs.PassedThrough {
		return hs.PeerCertificates, hs.OwnCertificates
	}
	t := tlsrecord.ParseOpened(hs.Bytes())
	return chainIn(t.Certificate(tlsrecord.Client)), chainIn(t.Certificate(tlsrecord.Server))
}

func chainIn(c *tlsrecord.Certificate) [][]byte {
	if c == nil {
		return nil
	}
	var out [][]byte
	for _, der := range c.Chain {
		if !der.Truncated {
			out = append(out, der.Bytes)
		}
	}
	return out
}

func writeChain(out *strings.Builder, side traffic.Side, who string, chain [][]byte, f Format) {
	for i, der := range chain {
		fmt.Fprintf(out, "# %s, shown by %s, %d: %s\n", SideName(side), who, i, Clean(subjectAndIssuer(der), f.ASCII))
		out.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
}
