package database_test

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"slices"
	"testing"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/errors"
)

func TestUpsert(t *testing.T) {
	ctx := context.Background()
	databasetest.Each(t, testSchema(), func(t *testing.T, db *database.DB) {
		key := benchColumns[:4]
		upsert := func(update []database.Assign, rows ...[]any) error {
			return db.InTx(ctx, func(tx *database.Tx) error { return tx.Upsert(ctx, "tbl_counts", benchColumns, key, update, rows) })
		}
		read := func() (out [][3]int64) {
			err := db.Stream(ctx, "SELECT hash, c, a FROM tbl_counts ORDER BY model_id, n, hash, token", nil, func(r database.Row) error {
				out = append(out, [3]int64{r.Int(0), r.Int(1), r.Int(2)})
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		steps := []struct {
			update []database.Assign
			rows   [][]any
			want   [][3]int64
		}{
			{nil, nil, nil}, // empty batch
			{nil, [][]any{{1, 1, 5, 1, 10, 20}}, [][3]int64{{5, 10, 20}}},
			{nil, [][]any{{1, 1, 5, 1, 99, 99}}, [][3]int64{{5, 10, 20}}}, // no assignment: what is there stays
			{[]database.Assign{{Column: "c", Add: true}, {Column: "a"}}, [][]any{{1, 1, 5, 1, 7, 8}, {1, 1, 6, 1, 1, 2}}, [][3]int64{{5, 17, 8}, {6, 1, 2}}},
			{[]database.Assign{{Column: "c", Add: true}, {Column: "a"}}, [][]any{{1, 1, 5, 1, 1, 3}, {1, 1, 5, 1, 1, 4}}, [][3]int64{{5, 19, 4}, {6, 1, 2}}}, // a key twice
			{[]database.Assign{{Column: "c", Add: true}}, [][]any{{1, 1, 5, 1, -19, 0}, {1, 1, math.MaxInt64, 1, math.MaxInt64, 0}}, [][3]int64{{5, 0, 4}, {6, 1, 2}, {math.MaxInt64, math.MaxInt64, 0}}},
		}
		for i, s := range steps {
			if err := upsert(s.update, s.rows...); err != nil {
				t.Fatalf("step %d: %v", i, err)
			}
			if got := read(); !slices.Equal(got, s.want) {
				t.Errorf("step %d: %v, want %v", i, got, s.want)
			}
		}
		wantError(t, upsert(nil, []any{1, 2}), errors.Internal, "values for")
		many := make([][]any, 1000)
		for i := range many {
			many[i] = []any{2, 1, i, 1, 1, 0}
		}
		for range 2 {
			if err := upsert([]database.Assign{{Column: "c", Add: true}}, many...); err != nil {
				t.Fatal(err)
			}
		}
		var n, sum int64
		if err := db.QueryRow(ctx, "SELECT COUNT(*), SUM(c) FROM tbl_counts WHERE model_id = 2").Scan(&n, &sum); err != nil || n != 1000 || sum != 2000 {
			t.Errorf("%d rows, sum %d, %v", n, sum, err)
		}
	})
}

func TestUpsertLargeValues(t *testing.T) {
	ctx := context.Background()
	databasetest.Each(t, testSchema(), func(t *testing.T, db *database.DB) {
		rows := make([][]any, 10)
		for i := range rows {
			rows[i] = []any{i, fmt.Appendf(nil, "k%d", i), bytes.Repeat([]byte{byte(i), '\'', 0}, 150_000)}
		}
		err := db.InTx(ctx, func(tx *database.Tx) error {
			return tx.Upsert(ctx, "tbl_tokens", []string{"id", "token", "body"}, []string{"id"}, []database.Assign{{Column: "body"}}, rows)
		})
		if err != nil {
			t.Fatal(err)
		}
		err = db.InTx(ctx, func(tx *database.Tx) error {
			_, err := tx.Load(ctx, "tbl_tokens", []string{"id", "token", "body"}, func(w database.RowWriter) error {
				for i, r := range rows {
					w.Int(int64(100 + i))
					w.Bytes(fmt.Appendf(nil, "l%d", i))
					w.Bytes(r[2].([]byte))
					if err := w.EndRow(); err != nil {
						return err
					}
				}
				return nil
			})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		err = db.Stream(ctx, "SELECT id, body FROM tbl_tokens ORDER BY id", nil, func(r database.Row) error {
			if !bytes.Equal(r.Bytes(1), rows[r.Int(0)%100][2].([]byte)) {
				t.Errorf("row %d differs", r.Int(0))
			}
			n++
			return nil
		})
		if err != nil || n != 20 {
			t.Error(n, err)
		}
	})
}
