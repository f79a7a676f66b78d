package capture

import (
	"database/sql"
	"errors"
	"fmt"

	"mpproxy/traffic"
)

// name is the number of a word in the table of names.
func (w *writer) name(text string) (int64, error) {
	if id, known := w.names[text]; known {
		return id, nil
	}
	id, err := w.intern(`SELECT id FROM name WHERE text = ?`, `INSERT INTO name (text) VALUES (?) RETURNING id`, plain(text))
	if err != nil {
		return 0, fmt.Errorf("name %q: %w", text, err)
	}
	w.names[text] = id
	return id, nil
}

// nameIDs are the numbers of several words.
func (w *writer) nameIDs(texts ...string) (ids [8]int64, err error) {
	for i, text := range texts {
		if ids[i], err = w.name(text); err != nil {
			return ids, err
		}
	}
	return ids, nil
}

// intern finds a row by its key, or inserts it.
func (w *writer) intern(find, insert string, key ...any) (id int64, err error) {
	err = w.row(find, key, &id)
	if errors.Is(err, sql.ErrNoRows) {
		err = w.row(insert, key, &id)
	}
	return id, err
}

// kindRow is a finding kind's row.
type kindRow struct {
	id   int64
	kind *traffic.FindingKind
}

// findingKind is the row of a finding's kind. A kind that a newer mpproxy
// describes in other words is brought up to date.
func (w *writer) findingKind(k *traffic.FindingKind) (int64, error) {
	if row, known := w.kinds[k.Code]; known {
		return row.id, nil
	}
	var id int64
	err := w.row(`INSERT INTO finding_kind (code, ref, sev, title, why, remedy, inferred) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (code) DO UPDATE SET ref = excluded.ref, sev = excluded.sev, title = excluded.title,
			why = excluded.why, remedy = excluded.remedy, inferred = excluded.inferred
		RETURNING id`,
		[]any{k.Code, k.Ref, k.Severity, k.Title, k.Why, k.Remedy, k.Inferred}, &id)
	if err != nil {
		return 0, fmt.Errorf("finding kind %q: %w", k.Code, err)
	}
	w.kinds[k.Code] = kindRow{id, k}
	return id, nil
}
