package databasetest

import (
	"strings"
	"testing"
	"testing/fstest"

	"dbslm/pkg/database"
)

func TestGrammarKnowsMySQL8(t *testing.T) {
	for _, good := range []string{
		"SELECT a FROM t WHERE b IN (?,?,?) ORDER BY a DESC LIMIT 1 FOR UPDATE SKIP LOCKED",
		"INSERT INTO t (a, b) VALUES (?,?),(?,?) ON DUPLICATE KEY UPDATE b = b + VALUES(b)",
		`LOAD DATA LOCAL INFILE 'Reader::x1' INTO TABLE t CHARACTER SET binary FIELDS TERMINATED BY '\t' ESCAPED BY '\\' LINES TERMINATED BY '\n' (a, b)`,
		"START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
		"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
		"CREATE OR REPLACE VIEW v AS SELECT a FROM t",
		"WITH RECURSIVE c AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM c WHERE x < 5) SELECT x FROM c",
	} {
		ParseMySQL8(t, good)
	}
	for _, bad := range []string{
		"INSERT INTO t (a) VALUES (1) RETURNING a",
		"SELECT rank FROM t",
		"SELECT system FROM t",
		"CREATE OR REPLACE TABLE t (a INT)",
		"CREATE INDEX IF NOT EXISTS i ON t (a)",
		"CREATE VIEW IF NOT EXISTS v AS SELECT 1",
		"SELECT NEXT VALUE FOR s",
		"CREATE TABLE t (a UUID)",
		"CREATE TABLE t (a INT) ENGINE=Aria",
		"CREATE TABLE t (a VARCHAR(5) COLLATE utf8mb4_nopad_bin)",
		"INSERT INTO t (a) VALUES (?) ON CONFLICT (a) DO NOTHING",
		"SELECT a FROM t WHERE b GLOB 'x'",
	} {
		if parseMySQL8(bad) == nil {
			t.Errorf("passes as MySQL 8: %s", bad)
		}
	}
}

func TestMigrationProblemsAreFound(t *testing.T) {
	for body, want := range map[string]string{
		"CREATE TABLE IF NOT EXISTS t (a INT NOT NULL, PRIMARY KEY (a)) {{table_options}};":                    "",
		"-- why\n{{create_index}} i ON t (a);":                                                                 "",
		"{{create_view}} v AS SELECT a FROM t;":                                                                "",
		"INSERT INTO t (a) SELECT 1 FROM (SELECT 1 AS x) AS y WHERE NOT EXISTS (SELECT 1 FROM t WHERE a = 1);": "",
		"CREATE TABLE t (a INT);":                                                                              "IF NOT EXISTS",
		"CREATE VIEW v AS SELECT 1;":                                                                           "{{create_view}}",
		"INSERT INTO t (a) VALUES (1);":                                                                        "repeatable",
		"CREATE TABLE IF NOT EXISTS t (a INT);\nCREATE INDEX i ON t (a);":                                      "2 statements",
		"CREATE INDEX IF NOT EXISTS i ON t (a);":                                                               "{{create_index}}",
		"{{sqlite}}SELECT 1;{{end}}":                                                                           "no statement for MySQL",
		"DROP TABLE t;":                                                                                        "DROP … IF EXISTS",
		"CREATE TABEL t;":                                                                                      "not MySQL 8",
	} {
		problems, err := migrationProblems(database.Schema{Name: "x", Migrations: fstest.MapFS{"0001_x.sql": {Data: []byte("-- +goose Up\n" + body + "\n")}}})
		if err != nil {
			t.Fatal(err)
		}
		all := strings.Join(problems, "; ")
		if (want == "") != (all == "") || !strings.Contains(all, want) {
			t.Errorf("%s: %q, want %q", body, all, want)
		}
	}
}
