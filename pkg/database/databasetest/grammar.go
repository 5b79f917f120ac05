package databasetest

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"

	"github.com/pingcap/tidb/pkg/parser"
	_ "github.com/pingcap/tidb/pkg/parser/test_driver" // values of literals; the parser wants one linked in
)

// ParseMySQL8 fails the test if stmt is not in the grammar of MySQL 8 (that of TiDB's parser, which follows it). No server of
// that kind can be had on a Debian machine, so this is what keeps MariaDB's own words out of the SQL.
func ParseMySQL8(t testing.TB, stmt string) {
	t.Helper()
	if err := parseMySQL8(stmt); err != nil {
		t.Errorf("not MySQL 8: %v\n%s", err, stmt)
	}
}

func parseMySQL8(stmt string) error {
	for _, known := range outsideGrammar {
		if strings.HasPrefix(stmt, known) {
			return nil
		}
	}
	_, _, err := parser.New().Parse(stmt, "utf8mb4", "utf8mb4_bin")
	return err
}

// outsideGrammar lists statements of pkg/database itself that MySQL's manual has and the parser has not.
var outsideGrammar = []string{
	"START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
}

// CheckMigrations fails the test if a migration of the schema does not parse for MySQL 8, or is not one step that may be run
// again after an interruption: one statement per file, tables and views with IF NOT EXISTS or through the placeholders.
func CheckMigrations(t testing.TB, schema database.Schema) {
	t.Helper()
	migrations, err := schema.ExpandedMigrations(database.MySQL)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range migrations {
		nodes, _, err := parser.New().Parse(upPart(m.SQL), "utf8mb4", "utf8mb4_bin")
		if err != nil {
			t.Errorf("migration %s: not MySQL 8: %v", m.Name, err)
			continue
		}
		if len(nodes) == 0 {
			t.Errorf("migration %s holds no statement for MySQL; put SELECT 1 into a {{mysql}} block if that is meant", m.Name)
		}
		ddl := 0
		for _, n := range nodes {
			text := strings.Join(strings.Fields(strings.ToUpper(n.Text())), " ")
			text = text[strings.IndexAny(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"):]
			if !strings.HasPrefix(text, "INSERT") && !strings.HasPrefix(text, "UPDATE") && !strings.HasPrefix(text, "DELETE") && !strings.HasPrefix(text, "SELECT") {
				ddl++
			}
			if strings.HasPrefix(text, "CREATE TABLE") && !strings.HasPrefix(text, "CREATE TABLE IF NOT EXISTS") {
				t.Errorf("migration %s: write CREATE TABLE IF NOT EXISTS, so that it can be run again", m.Name)
			}
			if strings.HasPrefix(text, "INSERT") && !strings.Contains(text, "ON DUPLICATE KEY") && !strings.Contains(text, "NOT EXISTS") && !strings.HasPrefix(text, "INSERT IGNORE") {
				t.Errorf("migration %s: an INSERT must be repeatable (INSERT … SELECT … WHERE NOT EXISTS)", m.Name)
			}
		}
		if ddl > 1 {
			t.Errorf("migration %s has %d DDL statements; MySQL commits each by itself, so put one into each file", m.Name, ddl)
		}
	}
}

// upPart is what goose runs forward.
func upPart(text string) string {
	if _, after, ok := strings.Cut(text, "-- +goose Up"); ok {
		text = after
	}
	before, _, _ := strings.Cut(text, "-- +goose Down")
	return before
}

// Recorder is a database.Observer that keeps the distinct statements it sees, but for those the server could not understand
// either.
type Recorder struct {
	mu   sync.Mutex
	seen map[string]int
}

// Statement implements database.Observer.
func (r *Recorder) Statement(_ context.Context, s database.Statement) {
	if s.Err != nil && errors.KindOf(s.Err) == errors.Internal {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen == nil {
		r.seen = map[string]int{}
	}
	r.seen[s.SQL]++
}

// Statements lists the distinct statements, sorted.
func (r *Recorder) Statements() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]string, 0, len(r.seen))
	for s := range r.seen {
		list = append(list, s)
	}
	slices.Sort(list)
	return list
}

// Count is how often a statement beginning with prefix was seen.
func (r *Recorder) Count(prefix string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for s, c := range r.seen {
		if strings.HasPrefix(s, prefix) {
			n += c
		}
	}
	return n
}

// Check fails the test for every recorded statement that MySQL 8 would not parse.
func (r *Recorder) Check(t testing.TB) {
	t.Helper()
	shapes := map[string]bool{} // lists of placeholders differ only in length
	for _, s := range r.Statements() {
		shape := strings.ReplaceAll(s, "?,", "")
		shape = strings.ReplaceAll(shape, "(?),", "")
		if shapes[shape] {
			continue
		}
		shapes[shape] = true
		ParseMySQL8(t, s)
	}
}
