package database

import "testing"

func TestStatementName(t *testing.T) {
	for query, want := range map[string]string{
		"SELECT a, COUNT(*) FROM tbl_x WHERE b = ?": "SELECT tbl_x",
		"select 1": "SELECT",
		"SELECT a FROM (SELECT b FROM tbl_y) AS z":                     "SELECT tbl_y",
		"\n  INSERT INTO tbl_x (a) VALUES (?)":                         "INSERT tbl_x",
		"UPDATE tbl_x SET a = 1":                                       "UPDATE tbl_x",
		"DELETE FROM tbl_x":                                            "DELETE tbl_x",
		"LOAD DATA LOCAL INFILE 'Reader::dbslm7' INTO TABLE tbl_x (a)": "LOAD tbl_x",
		"CREATE TABLE IF NOT EXISTS tbl_x (a INT)":                     "CREATE",
		"SELECT a FROM tbl_x UNION ALL SELECT b FROM tbl_y":            "SELECT tbl_x",
		"COMMIT": "COMMIT",
		"START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY": "START",
		"WITH c AS (SELECT 1 FROM tbl_x) SELECT * FROM c":       "WITH tbl_x",
		"INSERT INTO `tbl_x` SELECT 1":                          "INSERT tbl_x",
		"":                                                      "",
	} {
		if got := statementName(query); got != want {
			t.Errorf("%q is %q, want %q", query, got, want)
		}
	}
}
