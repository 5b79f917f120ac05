package store

import (
	"fmt"
	"strings"
	"testing"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/services/ngram"
)

// Every read of the decode loop goes through the primary key, context by context, whatever the size of the table.
func TestContextsAreReadThroughTheKey(t *testing.T) {
	databasetest.Each(t, Schema, func(t *testing.T, db *database.DB) {
		var rows [][]any
		for n := 1; n <= 3; n++ {
			for hash := range int64(2000) {
				rows = append(rows, []any{1, n, hash * 1_000_003, 0, 1, nil, nil, 0.0, 0, []byte{}})
			}
		}
		err := db.InTx(t.Context(), func(tx *database.Tx) error {
			return tx.Upsert(t.Context(), "tbl_l1_ng_topk_n", []string{
				"model_id", "n", "context_hash", "chunk", "since_build", "until_build", "q_backoff", "backoff", "followers", "packed",
			}, []string{"model_id", "n", "context_hash", "chunk", "since_build"}, nil, rows)
		})
		if err != nil {
			t.Fatal(err)
		}
		b := &loadedBuild{Build: ngram.Build{ID: 1, Model: 1, Storage: ngram.StorageExact}}
		var keys []contextKey
		for i := range int64(40) {
			keys = append(keys, contextKey{1, uint8(2 + i/20), i * 7 * 1_000_003})
		}
		var reader rowReader
		reader.prepare(b.Build, keys)
		query, args := reader.query, reader.args
		if db.Dialect() == database.MySQL {
			var table, op, kind, text string
			if err := db.QueryRow(t.Context(), "ANALYZE TABLE tbl_l1_ng_topk_n").Scan(&table, &op, &kind, &text); err != nil {
				t.Fatal(err)
			}
			explainMySQL(t, db, query, args)
		} else {
			explainSQLite(t, db, query, args)
		}
	})
}

func explainSQLite(t *testing.T, db *database.DB, query string, args []any) {
	t.Helper()
	found := 0
	rows, err := db.Query(t.Context(), "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(detail, "USING PRIMARY KEY (model_id=? AND n=? AND context_hash=?)") {
			found++
		} else if strings.Contains(detail, "tbl_l1") {
			t.Errorf("plan: %s", detail)
		}
	}
	if err := rows.Err(); err != nil || found != 2 {
		t.Errorf("%d arms through the key: %v", found, err)
	}
}

func explainMySQL(t *testing.T, db *database.DB, query string, args []any) {
	t.Helper()
	rows, err := db.Query(t.Context(), "EXPLAIN "+query, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	found := 0
	for rows.Next() {
		var id, kind, table, access, possible, key, length, ref, examined, extra *string
		if err := rows.Scan(&id, &kind, &table, &access, &possible, &key, &length, &ref, &examined, &extra); err != nil {
			t.Fatal(err)
		}
		if deref(table) != "tbl_l1_ng_topk_n" {
			continue
		}
		var count int
		if _, err := fmt.Sscan(deref(examined), &count); err != nil || deref(access) != "range" || deref(key) != "PRIMARY" || count > 100 {
			t.Errorf("access %q through %q, %s rows", deref(access), deref(key), deref(examined))
		}
		found++
	}
	if err := rows.Err(); err != nil || found != 2 {
		t.Errorf("%d arms: %v", found, err)
	}
}
