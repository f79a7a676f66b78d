package capture

import (
	"crypto/sha256"

	"mpproxy/traffic"
)

func (w *writer) storeConn(c *openConn) error {
	a, u := &c.AgentLeg, &c.UpstreamLeg
	names, err := w.nameIDs(c.Listener, c.Mode, c.Upstream, string(a.End), string(u.End), c.agentTLS, c.upstreamTLS)
	if err != nil {
		return err
	}
	if c.told {
		if err := w.exec(`DELETE FROM conn WHERE id = ?`, c.ID); err != nil {
			return err
		}
	}
	err = w.exec(`INSERT INTO conn (id, listener, mode, agent, upstream, opened_us, closed_us,
			agent_address, agent_in, agent_out, agent_end, agent_ended_us, agent_err, agent_tls, agent_after,
			upstream_address, upstream_in, upstream_out, upstream_end, upstream_ended_us, upstream_err, upstream_tls, upstream_after, sev)
		VALUES (?,?,?,?,?,?,?, ?,?,?,?,?,?,?,?, ?,?,?,?,?,?,?,?,?)`,
		c.ID, names[0], names[1], plain(c.Agent), names[2], c.Opened.UnixMicro(), micros(c.Closed),
		plain(a.Address), a.BytesIn, a.BytesOut, names[3], micros(a.EndedAt), plain(a.Err), names[5], packed(a.After),
		plain(u.Address), u.BytesIn, u.BytesOut, names[4], micros(u.EndedAt), plain(u.Err), names[6], packed(u.After),
		traffic.Worst(c.Findings))
	if err != nil || !c.closed {
		return err
	}
	return w.storeFindings(nil, c.ID, c.Findings, nil)
}

func (w *writer) storeHandshake(e traffic.HandshakeOver) error {
	h := e.Handshake
	args := []any{
		e.Conn, h.Side, micros(h.Began), micros(h.Ended), blob(h.In), blob(h.Out), packedMarks(h.InMarks), packedMarks(h.OutMarks),
		plain(h.Err), h.PassedThrough, h.ClientCertAsked, packed(h.Asked),
	}
	if t := h.TLS; t != nil {
		args = append(args, t.Version, t.Suite, plain(t.VersionName), plain(t.SuiteName), plain(t.ServerName), plain(t.ALPN), t.Resumed)
	} else {
		args = append(args, nil, nil, nil, nil, nil, nil, nil)
	}
	var id int64
	err := w.row(`INSERT INTO handshake (conn, leg, began_us, ended_us, bytes_in, bytes_out, marks_in, marks_out,
			err, passed, client_cert_asked, asked, version, suite, version_name, suite_name, server_name, alpn, resumed)
		VALUES (?,?,?,?,?,?,?,?, ?,?,?,?, ?,?,?,?,?,?,?) RETURNING id`, args, &id)
	if err != nil {
		return err
	}
	if len(h.OpenedIn)+len(h.OpenedOut) > 0 {
		err := w.exec(`INSERT INTO handshake_opened (handshake, bytes_in, bytes_out) VALUES (?, ?, ?)`, id, blob(h.OpenedIn), blob(h.OpenedOut))
		if err != nil {
			return err
		}
	}
	for own, chain := range [][][]byte{h.PeerCertificates, h.OwnCertificates} {
		for pos, der := range chain {
			if err := w.storeCertificate(id, own, pos, der); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *writer) storeCertificate(handshake int64, own, pos int, der []byte) error {
	sum := sha256.Sum256(der)
	id, known := w.certificates[sum]
	if !known {
		err := w.row(`INSERT INTO certificate (sha256, der) VALUES (?, ?)
			ON CONFLICT (sha256) DO UPDATE SET der = excluded.der RETURNING id`, []any{sum[:], der}, &id)
		if err != nil {
			return err
		}
		w.certificates[sum] = id
	}
	return w.exec(`INSERT INTO handshake_certificate (handshake, own, pos, certificate) VALUES (?, ?, ?, ?)`, handshake, own, pos, id)
}

// blob is b, and no bytes instead of NULL.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
