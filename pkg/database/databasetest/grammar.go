package databasetest

import (
	"context"
	"fmt"
	"regexp"
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
		if stmt == known {
			return nil
		}
	}
	for _, trap := range traps {
		if found := trap.pattern.FindString(stmt); found != "" {
			return fmt.Errorf("%q: %s", found, trap.why)
		}
	}
	_, _, err := parser.New().Parse(stmt, "utf8mb4", "utf8mb4_bin")
	return err
}

// outsideGrammar lists statements of pkg/database itself that MySQL's manual has and the parser has not.
var outsideGrammar = []string{
	"START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
}

// traps are what the parser takes beyond MySQL 8.
var traps = []struct {
	pattern *regexp.Regexp
	why     string
}{
	{regexp.MustCompile(`(?i)\b(INDEX|KEY|COLUMN)\s+IF\s+(NOT\s+)?EXISTS`), "MySQL has no IF EXISTS there; use {{create_index}}, which may be repeated"},
	{regexp.MustCompile(`(?i)\b(CREATE\s+SEQUENCE|NEXT\s+VALUE\s+FOR|LASTVAL|NEXTVAL)\b`), "MySQL has no sequences"},
	{regexp.MustCompile(`(?i)\b(TRANSACTIONAL|PAGE_COMPRESSED|PAGE_CHECKSUM)\s*=`), "a table option of MariaDB"},
	{regexp.MustCompile(`(?i)\bENGINE\s*=\s*(Aria|ROCKSDB)`), "an engine of MariaDB"},
	{regexp.MustCompile(`(?i)utf8mb4_(0900|nopad|uca1400)\w*`), "a collation that only one of the servers has"},
	{regexp.MustCompile(`(?i)(^|[\s,(.])(system|empty|function|grouping|json_table|manual|parallel|qualify|tablesample|library)([\s,)]|$)`), "a word MySQL reserves; choose another name"},
}

// CheckMigrations fails the test if a migration of the schema does not parse for MySQL 8, or is not one step that may be run
// again after an interruption: one statement per file, tables and views with IF NOT EXISTS or through the placeholders.
func CheckMigrations(t testing.TB, schema database.Schema) {
	t.Helper()
	problems, err := migrationProblems(schema)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Error(p)
	}
}

func migrationProblems(schema database.Schema) (problems []string, err error) {
	migrations, err := schema.ExpandedMigrations(database.MySQL)
	if err != nil {
		return nil, err
	}
	for _, m := range migrations {
		say := func(format string, args ...any) {
			problems = append(problems, "migration "+m.Name+": "+fmt.Sprintf(format, args...))
		}
		nodes, _, err := parser.New().Parse(upPart(m.SQL), "utf8mb4", "utf8mb4_bin")
		if err != nil {
			say("not MySQL 8: %v", err)
			continue
		}
		if len(nodes) == 0 {
			say("holds no statement for MySQL; put SELECT 1 into a {{mysql}} block if that is meant")
		}
		schemaChanges := 0
		for _, n := range nodes {
			text := bare(n.Text())
			if err := parseMySQL8(text); err != nil {
				say("not MySQL 8: %v", err)
			}
			upper := strings.ToUpper(text)
			verb, _, _ := strings.Cut(upper, " ")
			switch {
			case verb == "INSERT":
				if !strings.Contains(upper, "ON DUPLICATE KEY") && !strings.Contains(upper, "NOT EXISTS") {
					say("an INSERT must be repeatable: INSERT … SELECT … WHERE NOT EXISTS (…)")
				}
			case verb != "UPDATE" && verb != "DELETE" && verb != "SELECT":
				schemaChanges++
			}
			if strings.HasPrefix(upper, "CREATE TABLE") && !strings.HasPrefix(upper, "CREATE TABLE IF NOT EXISTS") {
				say("write CREATE TABLE IF NOT EXISTS, so that it can be run again")
			}
			if strings.HasPrefix(upper, "CREATE VIEW") {
				say("write {{create_view}}, so that it can be run again")
			}
			if strings.HasPrefix(upper, "DROP") && !strings.Contains(upper, "IF EXISTS") && !strings.HasPrefix(upper, "DROP INDEX") {
				say("write DROP … IF EXISTS, so that it can be run again")
			}
		}
		if schemaChanges > 1 {
			say("has %d statements that change the schema; MySQL commits each by itself, so put one into each file", schemaChanges)
		}
	}
	return problems, nil
}

// bare is a statement without comments before it and with single spaces.
func bare(text string) string {
	for {
		text = strings.TrimSpace(text)
		switch {
		case strings.HasPrefix(text, "--"):
			_, text, _ = strings.Cut(text, "\n")
		case strings.HasPrefix(text, "/*"):
			_, text, _ = strings.Cut(text, "*/")
		default:
			return strings.Join(strings.Fields(text), " ")
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
