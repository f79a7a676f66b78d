package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
)

// heard is a connection that keeps what crosses it.
type heard struct {
	net.Conn
	in, out bytes.Buffer
}

func (h *heard) Read(p []byte) (int, error) {
	n, err := h.Conn.Read(p)
	h.in.Write(p[:n])
	return n, err
}

func (h *heard) Write(p []byte) (int, error) {
	n, err := h.Conn.Write(p)
	h.out.Write(p[:n])
	return n, err
}

// pcapBlocks are the payloads of a pcapng file's TCP streams by their source,
// on interfaces with TLS, and the secrets in it.
func pcapBlocks(t *testing.T, path string) (streams map[string][]byte, secrets string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	streams = map[string][]byte{}
	var interfaces []string
	for len(b) >= 12 {
		n := binary.LittleEndian.Uint32(b[4:])
		body := b[8 : n-4]
		switch binary.LittleEndian.Uint32(b) {
		case 1:
			interfaces = append(interfaces, string(body[12:12+binary.LittleEndian.Uint16(body[10:])]))
		case 10:
			secrets += string(body[8 : 8+binary.LittleEndian.Uint32(body[4:])])
		case 6:
			name := interfaces[binary.LittleEndian.Uint32(body)]
			if !strings.HasSuffix(name, ", TLS") {
				break
			}
			frame := body[20 : 20+binary.LittleEndian.Uint32(body[12:])]
			key := name + " " + net.IP(frame[12:16]).String()
			streams[key] = append(streams[key], frame[40:]...)
		}
		b = b[n:]
	}
	return streams, secrets
}

// What an agent wrote and read of TLS has to come out again byte for byte, with
// the secrets that open it only when they were asked for. A handshake that
// failed has no exchange to go by, and is what one wants to see most.
func TestExportTLS(t *testing.T) {
	l := newLab(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) { exportsTLS(t, l, version) })
	}
}

func exportsTLS(t *testing.T, l *lab, version uint16) {
	var wire heard
	var keys bytes.Buffer
	file := l.record(t, &labCase{
		records: true, conns: 2,
		agent: func(t *testing.T, l *lab, addr string) {
			goAgent(trustsSite(nil))(t, l, addr)
			wire.Conn = dialLab(t, addr)
			defer wire.Close()
			c := tls.Client(&wire, &tls.Config{ServerName: mpName, RootCAs: l.mpproxy.Pool(), KeyLogWriter: &keys, MaxVersion: version})
			if _, err := io.WriteString(c, labRequest); err != nil {
				t.Error(err)
			}
			if _, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil {
				t.Error(err)
			}
			c.Close()
		},
	})
	whole, secrets := pcapBlocks(t, exported(t, file, "pcapng", "--secrets"))
	sent, got := whole["agent leg, TLS 127.0.0.1"], whole["agent leg, TLS 192.0.2.2"]
	if !bytes.HasSuffix(sent, wire.out.Bytes()) || len(sent) == wire.out.Len() {
		t.Errorf("%d bytes from the agents, want those of the handshake that failed and the %d of the other", len(sent), wire.out.Len())
	}
	if !bytes.Contains(got, wire.in.Bytes()) { // what came after the agent closed, it did not read
		t.Errorf("%d bytes to the agents lack the %d that one read", len(got), wire.in.Len())
	}
	if len(whole["management point leg, TLS 192.0.2.2"]) == 0 || len(whole["management point leg, TLS 127.0.0.1"]) == 0 {
		t.Error("the leg to the management point is not there")
	}
	for line := range bytes.Lines(keys.Bytes()) {
		if !bytes.Contains([]byte(secrets), line) {
			t.Errorf("a secret that the agent knows is not there: %.20s", line)
		}
	}

	part, none := pcapBlocks(t, exported(t, file, "pcapng", "status:>0"))
	if none != "" {
		t.Error("secrets without --secrets")
	}
	if !bytes.Equal(part["agent leg, TLS 127.0.0.1"], wire.out.Bytes()) {
		t.Error("the filter's connection, and no other, should be there")
	}
	if kept, _ := pcapBlocks(t, exported(t, l.record(t, &labCase{agent: goAgent(nil)}), "pcapng", "--secrets")); len(kept) > 0 {
		t.Error("TLS was kept, though nobody asked for it")
	}
}
