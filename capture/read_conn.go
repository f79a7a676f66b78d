package capture

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"mpproxy/traffic"
)

// Conn reads a connection with its handshakes and findings. A connection that
// is open has what is known so far, and Closed zero. ErrNone for an unknown
// number.
func (s *Store) Conn(ctx context.Context, id traffic.ConnID) (*traffic.Conn, error) {
	c, err := s.conn(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("connection %d: %w", id, err)
	}
	return c, nil
}

func (s *Store) conn(ctx context.Context, id traffic.ConnID) (*traffic.Conn, error) {
	rows, err := s.db.QueryContext(ctx, connColumns+` WHERE c.id = ?`, id)
	cs, err := collect(rows, err, scanConn)
	if err != nil {
		return nil, err
	}
	if len(cs) == 0 {
		return nil, ErrNone
	}
	c := cs[0].Conn
	hs, err := s.handshakes(ctx, id)
	if err != nil {
		return nil, err
	}
	for _, h := range hs {
		if h.Side == traffic.UpstreamSide {
			c.UpstreamLeg.Handshake = h
		} else {
			c.AgentLeg.Handshake = h
		}
	}
	c.Findings, err = readFindings(ctx, s.db, "f.conn = ? AND f.exchange IS NULL", id)
	return &c, err
}

// ConnRow is what a list shows of a connection.
type ConnRow struct {
	// Conn has neither handshakes nor findings.
	traffic.Conn
	// AgentTLS and UpstreamTLS are the versions agreed on, "1.2"; "" without
	// TLS, when the handshake failed, and when TLS was passed through.
	AgentTLS, UpstreamTLS string
	// Handshakes is how many were made, Failed how many of them failed: one that
	// was passed through when its exchange has an error. Passed is true where
	// there is one.
	Handshakes, Failed int
	Passed             bool
	// Exchanges is how many it carried, Sev the worst finding about it or one of
	// them, OwnSev the worst about itself.
	Exchanges   int64
	Sev, OwnSev traffic.Severity
}

const connColumns = `SELECT c.id, l.text, m.text, c.agent, u.text, c.opened_us, c.closed_us,
		c.agent_address, c.agent_in, c.agent_out, ae.text, c.agent_ended_us, c.agent_err, at.text, c.agent_after,
		c.upstream_address, c.upstream_in, c.upstream_out, ue.text, c.upstream_ended_us, c.upstream_err, ut.text, c.upstream_after, c.sev,
		(SELECT count(*) FROM handshake h WHERE h.conn = c.id),
		(SELECT count(*) FROM handshake h WHERE h.conn = c.id AND h.version IS NULL AND NOT h.passed),
		EXISTS (SELECT 1 FROM handshake h WHERE h.conn = c.id AND h.passed),
		(SELECT count(*) FROM list x WHERE x.conn = c.id),
		max(c.sev, ifnull((SELECT max(x.sev) FROM list x WHERE x.conn = c.id), 0))
	FROM conn c JOIN name l ON l.id = c.listener JOIN name m ON m.id = c.mode JOIN name u ON u.id = c.upstream
		JOIN name ae ON ae.id = c.agent_end JOIN name ue ON ue.id = c.upstream_end
		JOIN name at ON at.id = c.agent_tls JOIN name ut ON ut.id = c.upstream_tls`

func scanConn(rows *sql.Rows) (c ConnRow, err error) {
	a, u := &c.AgentLeg, &c.UpstreamLeg
	var opened, closed, agentEnded, upstreamEnded sql.NullInt64
	var agentAfter, upstreamAfter sql.NullString
	err = rows.Scan(&c.ID, &c.Listener, &c.Mode, &c.Agent, &c.Upstream, &opened, &closed,
		&a.Address, &a.BytesIn, &a.BytesOut, &a.End, &agentEnded, &a.Err, &c.AgentTLS, &agentAfter,
		&u.Address, &u.BytesIn, &u.BytesOut, &u.End, &upstreamEnded, &u.Err, &c.UpstreamTLS, &upstreamAfter, &c.OwnSev,
		&c.Handshakes, &c.Failed, &c.Passed, &c.Exchanges, &c.Sev)
	if c.Passed && c.Sev == traffic.Error {
		c.Failed++
	}
	c.Opened, c.Closed = instant(opened), instant(closed)
	a.EndedAt, u.EndedAt = instant(agentEnded), instant(upstreamEnded)
	a.After, u.After = unpacked[traffic.Afterwards](agentAfter), unpacked[traffic.Afterwards](upstreamAfter)
	return c, err
}

// Conns reads up to n connections, in the order of their numbers: those before
// from going Older, those behind it going Newer. from 0 going Older begins
// with the newest.
func (s *Store) Conns(ctx context.Context, from traffic.ConnID, way Way, n int) ([]ConnRow, error) {
	query := connColumns + ` WHERE c.id > ? ORDER BY c.id LIMIT ?`
	if way == Older {
		query = connColumns + ` WHERE c.id < ? ORDER BY c.id DESC LIMIT ?`
		if from == 0 {
			from = 1<<63 - 1
		}
	}
	rows, err := s.db.QueryContext(ctx, query, from, n)
	cs, err := collect(rows, err, scanConn)
	if err != nil {
		return nil, fmt.Errorf("connections: %w", err)
	}
	if way == Older {
		slices.Reverse(cs)
	}
	return cs, nil
}

// handshakes are a connection's, in the order in which they were over.
func (s *Store) handshakes(ctx context.Context, id traffic.ConnID) ([]*traffic.Handshake, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT id, leg, began_us, ended_us, bytes_in, bytes_out, marks_in, marks_out,
			err, passed, client_cert_asked, asked, version, suite, version_name, suite_name, server_name, alpn, resumed
		FROM handshake WHERE conn = ? ORDER BY id`, id)
	var ids []int64
	hs, err := collect(rows, err, func(rows *sql.Rows) (*traffic.Handshake, error) {
		h, row, err := scanHandshake(rows)
		ids = append(ids, row)
		return h, err
	})
	if err != nil {
		return nil, err
	}
	for i, h := range hs {
		if err := s.certificates(ctx, ids[i], h); err != nil {
			return nil, err
		}
		if err := s.opened(ctx, ids[i], h); err != nil {
			return nil, err
		}
	}
	return hs, nil
}

func scanHandshake(rows *sql.Rows) (h *traffic.Handshake, row int64, err error) {
	h = &traffic.Handshake{}
	var began, ended, version, suite sql.NullInt64
	var marksIn, marksOut, asked, versionName, suiteName, serverName, alpn sql.NullString
	var resumed sql.NullBool
	err = rows.Scan(&row, &h.Side, &began, &ended, &h.In, &h.Out, &marksIn, &marksOut, &h.Err, &h.PassedThrough, &h.ClientCertAsked, &asked,
		&version, &suite, &versionName, &suiteName, &serverName, &alpn, &resumed)
	h.Began, h.Ended = instant(began), instant(ended)
	h.InMarks, h.OutMarks = unpackedMarks(marksIn), unpackedMarks(marksOut)
	h.Asked = unpacked[traffic.CertificateAsked](asked)
	if version.Valid {
		h.TLS = &traffic.TLSInfo{
			Version: uint16(version.Int64), Suite: uint16(suite.Int64), VersionName: versionName.String, SuiteName: suiteName.String,
			ServerName: serverName.String, ALPN: alpn.String, Resumed: resumed.Bool,
		}
	}
	return h, row, err
}

func (s *Store) certificates(ctx context.Context, handshake int64, h *traffic.Handshake) error {
	rows, err := s.db.QueryContext(ctx, `SELECT h.own, c.der FROM handshake_certificate h JOIN certificate c ON c.id = h.certificate
		WHERE h.handshake = ? ORDER BY h.own, h.pos`, handshake)
	_, err = collect(rows, err, func(rows *sql.Rows) (struct{}, error) {
		var own bool
		var der []byte
		err := rows.Scan(&own, &der)
		if own {
			h.OwnCertificates = append(h.OwnCertificates, der)
		} else {
			h.PeerCertificates = append(h.PeerCertificates, der)
		}
		return struct{}{}, err
	})
	return err
}

// openedSince is the version of the file that has what was opened of
// handshakes.
const openedSince = 4

// opened reads what was encrypted of a handshake that failed.
func (s *Store) opened(ctx context.Context, handshake int64, h *traffic.Handshake) error {
	if s.version < openedSince || h.TLS != nil || h.PassedThrough {
		return nil
	}
	err := s.db.QueryRowContext(ctx, `SELECT bytes_in, bytes_out FROM handshake_opened WHERE handshake = ?`, handshake).Scan(&h.OpenedIn, &h.OpenedOut)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return err
}

// Handshakes are all handshakes of a connection, in the order in which they
// were over; Conn has the last one of each leg.
func (s *Store) Handshakes(ctx context.Context, id traffic.ConnID) ([]*traffic.Handshake, error) {
	hs, err := s.handshakes(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("handshakes of connection %d: %w", id, err)
	}
	return hs, nil
}

// ExchangesOf are the numbers of the exchanges that a connection carried.
func (s *Store) ExchangesOf(ctx context.Context, id traffic.ConnID) ([]traffic.ExchangeID, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT id FROM list WHERE conn = ? ORDER BY id`, id)
	ids, err := collect(rows, err, func(rows *sql.Rows) (x traffic.ExchangeID, err error) { return x, rows.Scan(&x) })
	if err != nil {
		return nil, fmt.Errorf("exchanges of connection %d: %w", id, err)
	}
	return ids, nil
}
