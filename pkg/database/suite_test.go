package database_test

import (
	"context"
	"testing"
	"testing/fstest"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
)

func testSchema() database.Schema {
	return database.Schema{Name: "dbslm_suite", Migrations: fstest.MapFS{
		"0001_counts.sql": {Data: []byte(`-- +goose Up
CREATE TABLE IF NOT EXISTS tbl_counts (
  model_id SMALLINT NOT NULL,
  n TINYINT NOT NULL,
  hash BIGINT NOT NULL,
  token INT NOT NULL,
  c BIGINT NOT NULL,
  a INT NOT NULL,
  PRIMARY KEY (model_id, n, hash, token)
) {{table_options}};
`)},
		"0002_tokens.sql": {Data: []byte(`-- +goose Up
CREATE TABLE IF NOT EXISTS tbl_tokens (
  id INT NOT NULL,
  token VARBINARY(1024) NOT NULL,
  label VARCHAR(64) NULL,
  weight DOUBLE NULL,
  body LONGBLOB NULL,
  PRIMARY KEY (id),
  UNIQUE (token)
) {{table_options}};
`)},
		"0003_label_index.sql": {Data: []byte("-- +goose Up\n{{create_index}} idx_tokens_label ON tbl_tokens (label);\n")},
		"0004_view.sql":        {Data: []byte("-- +goose Up\n{{create_view}} tbl_view AS SELECT id, token FROM tbl_tokens;\n")},
	}}
}

func TestSmoke(t *testing.T) {
	databasetest.Each(t, testSchema(), func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		if err := db.CheckSchema(ctx); err != nil {
			t.Fatal(err)
		}
		err := db.InTx(ctx, func(tx *database.Tx) error {
			n, err := tx.Load(ctx, "tbl_counts", []string{"model_id", "n", "hash", "token", "c", "a"}, func(w database.RowWriter) error {
				for i := range 10000 {
					w.Int(1)
					w.Int(3)
					w.Int(int64(i) - 5000)
					w.Int(7)
					w.Int(1 << 40)
					w.Int(3)
					if err := w.EndRow(); err != nil {
						return err
					}
				}
				return nil
			})
			if n != 10000 {
				t.Errorf("loaded %d", n)
			}
			if err != nil {
				return err
			}
			return tx.Upsert(ctx, "tbl_counts", []string{"model_id", "n", "hash", "token", "c", "a"}, []string{"model_id", "n", "hash", "token"},
				[]database.Assign{{Column: "c", Add: true}, {Column: "a"}}, [][]any{{1, 3, -5000, 7, 5, 9}, {1, 3, 1 << 50, 7, 1, 1}})
		})
		if err != nil {
			t.Fatal(err)
		}
		var c, a, count int64
		if err := db.QueryRow(ctx, "SELECT c, a FROM tbl_counts WHERE hash = ?", -5000).Scan(&c, &a); err != nil || c != 1<<40+5 || a != 9 {
			t.Errorf("%d %d %v", c, a, err)
		}
		err = db.Stream(ctx, "SELECT model_id, n, hash, token, c, a FROM tbl_counts", nil, func(r database.Row) error {
			count += r.Int(0)
			return nil
		})
		if err != nil || count != 10001 {
			t.Errorf("%d %v", count, err)
		}
	})
}

func TestMigrationsParse(t *testing.T) { databasetest.CheckMigrations(t, testSchema()) }
