package capture

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func schemaDocument(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "docs", "schema.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestDocumentedQueries runs each query of docs/schema.md: one that fails is
// one that a user will copy in vain.
func TestDocumentedQueries(t *testing.T) {
	s := variety(t)
	parts := strings.Split(schemaDocument(t), "```")
	queries := 0
	for i := 1; i < len(parts); i += 2 {
		query, isSQL := strings.CutPrefix(parts[i], "sql\n")
		if !isSQL {
			continue
		}
		queries++
		rows, err := s.db.Query(query)
		if err != nil {
			t.Errorf("%v in:\n%s", err, query)
			continue
		}
		for rows.Next() {
		}
		if err := rows.Err(); err != nil {
			t.Errorf("%v in:\n%s", err, query)
		}
		rows.Close()
	}
	if queries < 10 {
		t.Errorf("%d queries in the document, want at least 10", queries)
	}
}

// TestViews holds the stable columns, in their order: none may go, none may
// move.
func TestViews(t *testing.T) {
	s := variety(t)
	for view, want := range map[string]string{
		"exchange":   "id conn begun_us ended_us agent method target status kind endpoint summary sev fate origin rule req_bytes resp_bytes",
		"message":    "exchange dir form endpoint kind root msgid corr client text_bytes attachments signature decoder",
		"finding":    "exchange conn leg dir code ref sev who sure offset evidence moot_by",
		"connection": "id listener mode agent upstream opened_us closed_us agent_tls upstream_tls end",
	} {
		rows, err := s.db.Query(`SELECT * FROM ` + view)
		if err != nil {
			t.Fatal(err)
		}
		columns, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		if !rows.Next() {
			t.Errorf("view %s is empty though there is something to show", view)
		}
		rows.Close()
		stable := strings.Fields(want)
		if len(columns) < len(stable) || !slices.Equal(columns[:len(stable)], stable) {
			t.Errorf("view %s begins with %v, want %v", view, columns, stable)
		}
	}
}

// TestTablesAreDocumented holds that each table and view column is named in
// docs/schema.md.
func TestTablesAreDocumented(t *testing.T) {
	s := variety(t)
	document := schemaDocument(t)
	rows, err := s.db.Query(`SELECT s.type, s.name, c.name FROM sqlite_schema s, pragma_table_info(s.name) c
		WHERE s.type IN ('table', 'view') AND s.name NOT LIKE 'sqlite%'`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var kind, table, column string
		if err := rows.Scan(&kind, &table, &column); err != nil {
			t.Fatal(err)
		}
		if kind == "table" && !strings.Contains(document, "`"+table+"`") {
			t.Errorf("table %s is not in docs/schema.md", table)
		}
		_, section, found := strings.Cut(document, "### "+table+"\n")
		section, _, _ = strings.Cut(section, "\n## ")
		section, _, _ = strings.Cut(section, "\n### ")
		if kind == "view" && (!found || !strings.Contains(section, "`"+column+"`")) {
			t.Errorf("column %s of view %s is not in docs/schema.md", column, table)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}
