package database_test

import (
	"bytes"
	"context"
	"slices"
	"testing"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/errors"
)

const addToken = "INSERT INTO tbl_tokens (id, token) VALUES (?, ?)"

// A transaction begins before its first statement takes effect, whatever that is: when it fails nothing is kept.
func TestTxBeginsWithItsFirstStatement(t *testing.T) {
	ctx := context.Background()
	databasetest.Each(t, testSchema(), func(t *testing.T, db *database.DB) {
		own := errors.New(errors.NotFound, "X", "own")
		columns := []string{"id", "token"}
		for name, first := range map[string]func(tx *database.Tx) error{
			"nothing": func(*database.Tx) error { return nil },
			"Exec":    func(tx *database.Tx) error { return insertToken(ctx, tx, 1, "a") },
			"ExecAll": func(tx *database.Tx) error {
				_, err := tx.ExecAll(ctx, database.Command{SQL: addToken, Args: []any{1, []byte("a")}}, database.Command{SQL: addToken, Args: []any{2, []byte("b")}})
				return err
			},
			"Query": func(tx *database.Tx) error {
				var n int
				if err := tx.QueryRow(ctx, "SELECT COUNT(*) FROM tbl_tokens").Scan(&n); err != nil {
					return err
				}
				return insertToken(ctx, tx, 1, "a")
			},
			"Stream": func(tx *database.Tx) error {
				if err := tx.Stream(ctx, "SELECT id FROM tbl_tokens", nil, func(database.Row) error { return nil }); err != nil {
					return err
				}
				return insertToken(ctx, tx, 1, "a")
			},
			"Upsert": func(tx *database.Tx) error {
				return tx.Upsert(ctx, "tbl_tokens", columns, columns[:1], nil, [][]any{{1, []byte("a")}})
			},
			"Load": func(tx *database.Tx) error {
				_, err := tx.Load(ctx, "tbl_tokens", columns, func(w database.RowWriter) error {
					w.Int(1)
					w.Bytes([]byte("a"))
					return w.EndRow()
				})
				return err
			},
		} {
			err := db.InTx(ctx, func(tx *database.Tx) error {
				if err := first(tx); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				return own
			})
			if !sameError(err, own) {
				t.Errorf("%s: %v", name, err)
			}
			if n := countTokens(t, db); n != 0 {
				t.Errorf("%s: %d rows are left of a transaction that failed", name, n)
			}
		}
		if err := db.InTx(ctx, func(*database.Tx) error { return nil }); err != nil {
			t.Errorf("nothing to commit: %v", err)
		}
	})
}

// Writes that go together happen in order, tell how many rows each matched, and stop at the first that fails.
func TestExecAll(t *testing.T) {
	ctx := context.Background()
	databasetest.Each(t, testSchema(), func(t *testing.T, db *database.DB) {
		add := func(id int, token string) database.Command {
			return database.Command{SQL: addToken, Args: []any{id, []byte(token)}}
		}
		remove := func(ids string) database.Command {
			return database.Command{SQL: "DELETE FROM tbl_tokens WHERE id IN " + ids}
		}
		run := func(commands ...database.Command) (affected []int64, err error) {
			err = db.InTx(ctx, func(tx *database.Tx) (err error) {
				affected, err = tx.ExecAll(ctx, commands...)
				return err
			})
			return affected, err
		}
		hostile := `'; DROP TABLE tbl_tokens; -- ? \' " \\`
		long := string(bytes.Repeat([]byte("x"), 600<<10)) // more than goes together
		const update = "UPDATE tbl_tokens SET token = ? WHERE id = ?"
		for _, c := range []struct {
			name     string
			commands []database.Command
			want     []int64
		}{
			{"none", nil, nil},
			{"one", []database.Command{add(1, "a")}, []int64{1}},
			{"several", []database.Command{add(2, hostile), add(3, "c"), {SQL: update, Args: []any{[]byte("c"), 3}}, remove("(1, 3, 9)"), remove("(9)")}, []int64{1, 1, 1, 2, 0}},
		} {
			if got, err := run(c.commands...); err != nil || !slices.Equal(got, c.want) {
				t.Errorf("%s: %v, %v, want %v", c.name, got, err, c.want)
			}
		}
		var token []byte
		if err := db.QueryRow(ctx, "SELECT token FROM tbl_tokens WHERE id = 2").Scan(&token); err != nil || string(token) != hostile {
			t.Errorf("%q, %v", token, err)
		}
		_, err := run(add(4, "d"), add(2, "again"), add(5, "e"))
		if !database.IsDuplicate(err) {
			t.Errorf("a duplicate among others: %v", err)
		}
		if n := countTokens(t, db); n != 1 {
			t.Errorf("%d rows after a failure, want the one from before", n)
		}
		err = db.InTx(ctx, func(tx *database.Tx) error {
			_, _ = tx.ExecAll(ctx, add(4, "d"), database.Command{SQL: "UPDATE tbl_nowhere SET id = 1"})
			_, err := tx.ExecAll(ctx, add(6, "f"))
			if err == nil {
				t.Error("a transaction goes on after an error")
			}
			return nil
		})
		if err == nil || countTokens(t, db) != 1 {
			t.Errorf("a swallowed error: %v, %d rows", err, countTokens(t, db))
		}
		const fill = "UPDATE tbl_tokens SET body = ? WHERE id = 2"
		if n, err := db.Exec(ctx, fill, []byte(long)); err != nil || n != 1 {
			t.Errorf("a long first statement: %d rows, %v", n, err)
		}
		got, err := run(database.Command{SQL: fill, Args: []any{[]byte(long + long)}}, remove("(2)"))
		if !slices.Equal(got, []int64{1, 1}) {
			t.Errorf("long ones: %v", got)
		}
		if err != nil || countTokens(t, db) != 0 {
			t.Errorf("long ones: %v", err)
		}
	})
}
