package capture

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/mattn/go-sqlite3"
)

// laterColumns came to tables of migration 1 after captures had been made with
// it. was is what an old row would have.
var laterColumns = []struct{ table, name, declared, was string }{
	{"conn", "agent_after", "TEXT", "NULL"},
	{"conn", "upstream_after", "TEXT", "NULL"},
	{"handshake", "marks_in", "TEXT", "NULL"},
	{"handshake", "marks_out", "TEXT", "NULL"},
	{"handshake", "passed", "INTEGER NOT NULL DEFAULT 0", "version IS NULL AND err = ''"},
	{"handshake", "asked", "TEXT", "NULL"},
}

// addColumns brings the tables of an old file up to date.
func addColumns(st *statements) error {
	missing, err := columnsMissing(st.conn)
	if err != nil || len(missing) == 0 {
		return err
	}
	script := "BEGIN;\n"
	for _, i := range missing {
		c := laterColumns[i]
		script += fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s %s;\n", c.table, c.name, c.declared)
		if c.was != "NULL" {
			script += fmt.Sprintf("UPDATE %s SET %s = (%s);\n", c.table, c.name, c.was)
		}
	}
	script += "UPDATE handshake SET client_cert_asked = 0 WHERE client_cert_asked IS NULL;\nCOMMIT;"
	if err := st.script(script); err != nil {
		_ = st.script("ROLLBACK")
		return fmt.Errorf("add columns: %w", err)
	}
	return nil
}

// showColumns lets a connection that only reads see an old file as a new one:
// views of its own have the columns that the tables lack.
func showColumns(c *sqlite3.SQLiteConn) error {
	missing, err := columnsMissing(c)
	if err != nil || len(missing) == 0 {
		return err
	}
	more := map[string]string{}
	for _, i := range missing {
		l := laterColumns[i]
		more[l.table] += fmt.Sprintf(", %s AS %s", l.was, l.name)
	}
	script := "PRAGMA query_only = 0;\n"
	for table, columns := range more {
		have, err := columnsOf(c, table)
		if err != nil {
			return err
		}
		for i, name := range have {
			if name == "client_cert_asked" {
				have[i] = "ifnull(client_cert_asked, 0) AS client_cert_asked"
			}
		}
		script += fmt.Sprintf("CREATE TEMP VIEW %s AS SELECT %s%s FROM main.%s;\n", table, strings.Join(have, ", "), columns, table)
	}
	_, err = c.ExecContext(context.Background(), script+"PRAGMA query_only = 1;", nil)
	if err != nil {
		return fmt.Errorf("read a capture of an earlier version: %w", err)
	}
	return nil
}

// columnsMissing are the later columns that a file lacks, by number. A table
// that is not there at all lacks none: the file is no capture.
func columnsMissing(c *sqlite3.SQLiteConn) (missing []int, err error) {
	have := map[string]map[string]bool{}
	for i, l := range laterColumns {
		if have[l.table] == nil {
			names, err := columnsOf(c, l.table)
			if err != nil {
				return nil, err
			}
			have[l.table] = map[string]bool{}
			for _, n := range names {
				have[l.table][n] = true
			}
		}
		if columns := have[l.table]; len(columns) > 0 && !columns[l.name] {
			missing = append(missing, i)
		}
	}
	return missing, nil
}

func columnsOf(c *sqlite3.SQLiteConn, table string) (names []string, err error) {
	rows, err := c.QueryContext(context.Background(), fmt.Sprintf("SELECT name FROM pragma_table_info('%s', 'main')", table), nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	value := make([]driver.Value, 1)
	for {
		switch err := rows.Next(value); {
		case errors.Is(err, io.EOF):
			return names, nil
		case err != nil:
			return nil, err
		}
		switch name := value[0].(type) {
		case string:
			names = append(names, name)
		case []byte:
			names = append(names, string(name))
		}
	}
}
