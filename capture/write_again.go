package capture

import (
	"database/sql"
	"errors"
	"slices"

	"mpproxy/decode"
	"mpproxy/traffic"
)

// storeAgain replaces what the summary said by what the whole says.
func (w *writer) storeAgain(d *decoded) error {
	for dir, v := range map[traffic.Dir]*gist{traffic.Request: d.meaning.request, traffic.Reply: d.meaning.reply} {
		if v == nil {
			continue
		}
		names, err := w.nameIDs(v.form, v.endpoint, v.kind, v.root, v.signature, v.hooks, v.client)
		if err != nil {
			return err
		}
		err = w.exec(`UPDATE wire SET form = ?, endpoint = ?, kind = ?, root = ?, signature = ?, hooks = ?, client = ?,
				msgid = ?, corr = ?, text_bytes = ?, attachments = ?, decoder = ?, depth = ?
			WHERE exchange = ? AND dir = ? AND forwarded = 0`,
			names[0], names[1], names[2], names[3], names[4], names[5], names[6],
			v.msgID, v.corr, v.textBytes, v.attachments, decode.Version, v.depth, d.id, dir)
		if err != nil {
			return err
		}
	}
	if err := w.replaceFindings(d); err != nil {
		return err
	}
	return w.updateList(d)
}

// replaceFindings puts what the second pass found in place of what the summary
// found, and says anew what explains what.
func (w *writer) replaceFindings(d *decoded) error {
	if err := w.exec(`DELETE FROM found WHERE exchange = ? AND origin = ?`, d.id, originDecoder); err != nil {
		return err
	}
	proxys := slices.Clone(d.findings)
	for i, f := range proxys {
		// A kind read from the file does not know what it makes moot.
		if row, known := w.kinds[f.Kind.Code]; known {
			proxys[i].Kind = row.kind
		}
	}
	all := slices.Concat(proxys, d.meaning.findings)
	for _, f := range all[len(proxys):] {
		if err := w.storeFinding(d.id, d.conn, f, mootBy(f, all), originDecoder); err != nil {
			return err
		}
	}
	for _, f := range proxys {
		by := ""
		if kind := mootBy(f, all); kind != nil {
			by = kind.Code
		}
		err := w.exec(`UPDATE found SET moot_by = (SELECT id FROM finding_kind WHERE code = ?)
			WHERE exchange = ? AND origin = ? AND kind = (SELECT id FROM finding_kind WHERE code = ?)`,
			by, d.id, originProxy, f.Kind.Code)
		if err != nil {
			return err
		}
	}
	return nil
}

// updateList brings the row in the list up to date, and tells followers when
// it looks different now.
func (w *writer) updateList(d *decoded) error {
	m := &d.meaning
	names, err := w.nameIDs(m.row.Kind, m.row.Endpoint)
	if err != nil {
		return err
	}
	sev := max(traffic.Worst(d.findings), traffic.Worst(m.findings))
	if err := w.recount(d.id, sev); err != nil {
		return err
	}
	var id int64
	err = w.row(`UPDATE list SET kind = ?1, endpoint = ?2, sev = ?3, summary = ?4, long = ?5, flags = (flags & 1) | ?6
		WHERE id = ?7 AND (kind, endpoint, sev, summary, long, flags & ~1) IS NOT (?1, ?2, ?3, ?4, ?5, ?6) RETURNING id`,
		[]any{names[0], names[1], sev, m.row.Short, m.row.Long, m.flags(), d.id}, &id)
	if errors.Is(err, sql.ErrNoRows) {
		return nil // it looks the same
	}
	if err != nil {
		return err
	}
	return w.change(d.id)
}
