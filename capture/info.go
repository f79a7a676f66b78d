package capture

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"mpproxy/decode"
	"mpproxy/traffic"
)

// Info is what the recorder kept of a message's meaning: what the view
// "message" shows.
type Info struct {
	Exchange traffic.ExchangeID
	Dir      traffic.Dir
	// Form, Endpoint, Kind, Root, MsgID, Corr, Client and Signature are as in
	// decode.Message.
	Form, Endpoint, Kind, Root     string
	MsgID, Corr, Client, Signature string
	// Hooks are the names of the header's hooks.
	Hooks       []string
	TextBytes   int64
	Attachments int
	// Decoder is the version of the decoder, 0 when the message was not
	// decoded, and Depth how deep it went.
	Decoder int
	Depth   decode.Depth
}

// Infos are what was kept of an exchange's messages, the request first.
func (s *Store) Infos(ctx context.Context, id traffic.ExchangeID) ([]Info, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT w.exchange, w.dir, f.text, e.text, k.text, r.text, w.msgid, w.corr, c.text, s.text, h.text,
			w.text_bytes, w.attachments, w.decoder, w.depth
		FROM wire w JOIN name f ON f.id = w.form JOIN name e ON e.id = w.endpoint JOIN name k ON k.id = w.kind
			JOIN name r ON r.id = w.root JOIN name c ON c.id = w.client JOIN name s ON s.id = w.signature
			JOIN name h ON h.id = w.hooks
		WHERE w.exchange = ? AND w.forwarded = 0 ORDER BY w.dir`, id)
	infos, err := collect(rows, err, func(rows *sql.Rows) (i Info, err error) {
		var hooks string
		err = rows.Scan(&i.Exchange, &i.Dir, &i.Form, &i.Endpoint, &i.Kind, &i.Root, &i.MsgID, &i.Corr, &i.Client, &i.Signature, &hooks,
			&i.TextBytes, &i.Attachments, &i.Decoder, &i.Depth)
		if err == nil && hooks != "" {
			err = json.Unmarshal([]byte(hooks), &i.Hooks)
		}
		return i, err
	})
	if err != nil {
		return nil, fmt.Errorf("messages of exchange %d: %w", id, err)
	}
	return infos, nil
}
