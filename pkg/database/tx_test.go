package database_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/errors"
)

func insertToken(ctx context.Context, tx *database.Tx, id int, token string) error {
	_, err := tx.Exec(ctx, "INSERT INTO tbl_tokens (id, token) VALUES (?, ?)", id, []byte(token))
	return err
}

// sameError reports whether err is want itself, not wrapped in anything.
func sameError(err error, want *errors.Error) bool {
	got, ok := err.(*errors.Error) //nolint:errorlint // that is the question
	return ok && got == want
}

func countTokens(t *testing.T, db *database.DB) int {
	t.Helper()
	var n int
	if err := db.QueryRow(context.Background(), "SELECT COUNT(*) FROM tbl_tokens").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestTxIsAllOrNothing(t *testing.T) {
	ctx := context.Background()
	databasetest.Each(t, testSchema(), func(t *testing.T, db *database.DB) {
		own := errors.New(errors.NotFound, "X", "own")
		for name, f := range map[string]func(tx *database.Tx) error{
			"returned error": func(tx *database.Tx) error { return errors.Join(insertToken(ctx, tx, 1, "a"), own) },
			"swallowed error": func(tx *database.Tx) error {
				_ = insertToken(ctx, tx, 1, "a")
				_ = insertToken(ctx, tx, 1, "b") // duplicate
				_ = insertToken(ctx, tx, 2, "c") // must not go through
				return nil
			},
			"swallowed scan error": func(tx *database.Tx) error {
				_ = insertToken(ctx, tx, 1, "a")
				var n int
				_ = tx.QueryRow(ctx, "SELECT token FROM tbl_tokens").Scan(&n)
				return nil
			},
			"swallowed syntax error": func(tx *database.Tx) error {
				_ = insertToken(ctx, tx, 1, "a")
				_, _ = tx.Query(ctx, "SELECT FROM WHERE")
				return nil
			},
		} {
			if err := db.InTx(ctx, f); err == nil {
				t.Errorf("%s: no error", name)
			}
			if n := countTokens(t, db); n != 0 {
				t.Errorf("%s: %d rows stayed", name, n)
			}
		}
		if err := db.InTx(ctx, func(tx *database.Tx) error { return own }); !sameError(err, own) {
			t.Errorf("the closure's own error came back as %v", err)
		}
	})
}

func TestTxPanicRollsBack(t *testing.T) {
	ctx := context.Background()
	databasetest.Each(t, testSchema(), func(t *testing.T, db *database.DB) {
		for _, inLoad := range []bool{false, true} {
			func() {
				defer func() {
					if r := recover(); r != "boom" {
						t.Errorf("recovered %v", r)
					}
				}()
				_ = db.InTx(ctx, func(tx *database.Tx) error {
					if err := insertToken(ctx, tx, 1, "a"); err != nil {
						t.Error(err)
					}
					if inLoad {
						_, err := tx.Load(ctx, "tbl_tokens", []string{"id", "token"}, func(w database.RowWriter) error {
							w.Int(2)
							w.Bytes([]byte("b"))
							if err := w.EndRow(); err != nil {
								t.Error(err)
							}
							panic("boom")
						})
						t.Error("Load returned", err)
					}
					panic("boom")
				})
			}()
			if n := countTokens(t, db); n != 0 {
				t.Errorf("%d rows stayed", n)
			}
		}
		if err := db.InTx(ctx, func(tx *database.Tx) error { return insertToken(ctx, tx, 1, "a") }); err != nil {
			t.Errorf("the store is not usable after a panic: %v", err)
		}
	})
}

func TestTxRefusesWrongUse(t *testing.T) {
	ctx := context.Background()
	databasetest.Each(t, testSchema(), func(t *testing.T, db *database.DB) {
		var leaked *database.Tx
		for name, f := range map[string]func(tx *database.Tx) error{
			"rows left open": func(tx *database.Tx) error {
				if _, err := tx.Query(ctx, "SELECT 1"); err != nil {
					return err
				}
				_, err := tx.Exec(ctx, "DELETE FROM tbl_tokens")
				return err
			},
			"use inside Stream": func(tx *database.Tx) error {
				return tx.Stream(ctx, "SELECT 1", nil, func(database.Row) error {
					_, err := tx.Exec(ctx, "DELETE FROM tbl_tokens")
					return err
				})
			},
			"use inside Load": func(tx *database.Tx) error {
				_, err := tx.Load(ctx, "tbl_tokens", []string{"id", "token"}, func(database.RowWriter) error {
					return insertToken(ctx, tx, 1, "a")
				})
				return err
			},
			"names that are SQL": func(tx *database.Tx) error {
				_, err := tx.Load(ctx, "tbl_tokens; DROP TABLE tbl_tokens", []string{"id"}, func(database.RowWriter) error { return nil })
				return err
			},
		} {
			wantError(t, db.InTx(ctx, f), errors.Internal)
			if t.Failed() {
				t.Fatal(name)
			}
		}
		if err := db.InTx(ctx, func(tx *database.Tx) error { leaked = tx; return nil }); err != nil {
			t.Fatal(err)
		}
		wantError(t, insertToken(ctx, leaked, 1, "a"), errors.Internal, "ended")
		wantError(t, db.InReadTx(ctx, func(tx *database.Tx) error { return insertToken(ctx, tx, 1, "a") }), errors.Internal, "read transaction")
		if n := countTokens(t, db); n != 0 {
			t.Errorf("%d rows", n)
		}
	})
}

func TestReadTxIsASnapshot(t *testing.T) {
	ctx := context.Background()
	databasetest.Each(t, testSchema(), func(t *testing.T, db *database.DB) {
		err := db.InReadTx(ctx, func(tx *database.Tx) error {
			for i := range 3 {
				var n int
				if err := tx.QueryRow(ctx, "SELECT COUNT(*) FROM tbl_tokens").Scan(&n); err != nil {
					return err
				}
				if n != 0 {
					t.Errorf("read %d: sees %d rows committed after its first read", i, n)
				}
				// A writer is not blocked by the reader.
				if err := db.InTx(ctx, func(w *database.Tx) error { return insertToken(ctx, w, i, fmt.Sprint(i)) }); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if n := countTokens(t, db); n != 3 {
			t.Errorf("%d rows", n)
		}
	})
}

func TestErrorsHaveKinds(t *testing.T) {
	ctx := context.Background()
	databasetest.Each(t, testSchema(), func(t *testing.T, db *database.DB) {
		exec := func(query string, args ...any) error {
			_, err := db.Exec(ctx, query, args...)
			return err
		}
		if err := exec("INSERT INTO tbl_tokens (id, token) VALUES (1, ?)", []byte("a")); err != nil {
			t.Fatal(err)
		}
		err := exec("INSERT INTO tbl_tokens (id, token) VALUES (1, ?)", []byte("b"))
		wantError(t, err, errors.AlreadyExists)
		if !database.IsDuplicate(err) {
			t.Errorf("IsDuplicate says no to %v", err)
		}
		err = exec("INSERT INTO tbl_tokens (id, token) VALUES (2, ?)", []byte("a"))
		if !database.IsDuplicate(err) {
			t.Errorf("second unique key: %v", err)
		}
		wantError(t, exec("INSERT INTO tbl_tokens (id, token) VALUES (3, NULL)"), errors.InvalidArgument)
		if database.IsDuplicate(exec("INSERT INTO tbl_tokens (id, token) VALUES (3, NULL)")) {
			t.Error("NULL is a duplicate")
		}
		wantError(t, exec("INSERT INTO nowhere (id) VALUES (1)"), errors.FailedPrecondition, "dbslm migrate")
		wantError(t, exec("INSERT INTO tbl_tokens (id) VALUES (1) garbage"), errors.Internal)
		var n int
		if err := db.QueryRow(ctx, "SELECT id FROM tbl_tokens WHERE id = 99").Scan(&n); !errors.Is(err, database.ErrNoRows) {
			t.Errorf("no row: %v", err)
		}
		// A missing row is an answer, not a failure of the transaction.
		err = db.InTx(ctx, func(tx *database.Tx) error {
			if err := tx.QueryRow(ctx, "SELECT id FROM tbl_tokens WHERE id = 99").Scan(&n); !errors.Is(err, database.ErrNoRows) {
				return err
			}
			return insertToken(ctx, tx, 99, "z")
		})
		if err != nil {
			t.Error(err)
		}
		n64, err := db.Exec(ctx, "UPDATE tbl_tokens SET label = NULL WHERE id IN (1, 99, 100)")
		if err != nil || n64 != 2 {
			t.Errorf("an UPDATE that changes nothing matched %d, %v", n64, err)
		}
	})
}

func TestCanceledInTheMiddle(t *testing.T) {
	databasetest.Each(t, testSchema(), func(t *testing.T, db *database.DB) {
		ctx, cancel := context.WithCancel(context.Background())
		err := db.InTx(ctx, func(tx *database.Tx) error {
			if err := insertToken(ctx, tx, 1, "a"); err != nil {
				return err
			}
			cancel()
			return insertToken(ctx, tx, 2, "b")
		})
		wantError(t, err, errors.Canceled)
		ctx, cancel = context.WithCancel(context.Background())
		err = db.InTx(ctx, func(tx *database.Tx) error {
			err := insertToken(ctx, tx, 1, "a")
			cancel()
			return err
		})
		wantError(t, err, errors.Canceled)
		if n := countTokens(t, db); n != 0 {
			t.Errorf("%d rows stayed", n)
		}
		ctx, cancel = context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		start := time.Now()
		err = db.InTx(ctx, func(tx *database.Tx) error {
			_, err := tx.Exec(ctx, slowStatement(db))
			return err
		})
		wantError(t, err, errors.DeadlineExceeded)
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("a deadline of 50 ms took %v", d)
		}
		var n int
		err = db.QueryRow(ctx, "SELECT 1").Scan(&n)
		wantError(t, err, errors.DeadlineExceeded)
		if err := db.Ping(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// slowStatement runs for ten seconds or more unless it is stopped.
func slowStatement(db *database.DB) string {
	if db.Dialect() == database.MySQL {
		return "INSERT INTO tbl_tokens (id, token) SELECT SLEEP(10), 'x'"
	}
	return "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 1000000000) INSERT INTO tbl_tokens (id, token) SELECT 1, x FROM c WHERE x < 0"
}

func TestStatementTimeout(t *testing.T) {
	ctx := context.Background()
	databasetest.EachTarget(t, func(t *testing.T, place database.Target) {
		databasetest.Open(t, place, testSchema(), database.Options{})
		db, err := database.Open(ctx, place, testSchema(), database.Options{StatementTimeout: 100 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		start := time.Now()
		err = db.InTx(ctx, func(tx *database.Tx) error {
			_, err := tx.Exec(ctx, slowStatement(db))
			return err
		})
		wantError(t, err, errors.DeadlineExceeded)
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("took %v", d)
		}
	})
}

func TestConcurrentWritersAllArrive(t *testing.T) {
	databasetest.Each(t, testSchema(), func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		const writers, each, keys = 8, 25, 40
		var wg sync.WaitGroup
		var runs atomic.Int64
		for range writers {
			wg.Go(func() {
				for range each {
					rows := make([][]any, keys)
					for i := range rows {
						rows[i] = []any{1, 1, i, 1, 1, 0}
					}
					err := db.InTx(ctx, func(tx *database.Tx) error {
						runs.Add(1)
						return tx.Upsert(ctx, "tbl_counts", benchColumns, benchColumns[:4], []database.Assign{{Column: "c", Add: true}}, rows)
					})
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		var low, high, n int64
		if err := db.QueryRow(ctx, "SELECT MIN(c), MAX(c), COUNT(*) FROM tbl_counts").Scan(&low, &high, &n); err != nil {
			t.Fatal(err)
		}
		if low != writers*each || high != low || n != keys {
			t.Errorf("counts from %d to %d in %d rows, want %d in %d", low, high, n, writers*each, keys)
		}
		t.Logf("%d transactions took %d runs", writers*each, runs.Load())
	})
}

func TestReadersAreNotBlocked(t *testing.T) {
	ctx := context.Background()
	databasetest.Each(t, testSchema(), func(t *testing.T, db *database.DB) {
		err := db.InTx(ctx, func(tx *database.Tx) error {
			if err := insertToken(ctx, tx, 1, "a"); err != nil {
				return err
			}
			readCtx, cancel := context.WithTimeout(ctx, 5*time.Second)
			defer cancel()
			var n int
			if err := db.QueryRow(readCtx, "SELECT COUNT(*) FROM tbl_tokens").Scan(&n); err != nil || n != 0 {
				t.Errorf("a reader beside a writer sees %d, %v", n, err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestObserverSeesStatements(t *testing.T) {
	ctx := context.Background()
	databasetest.EachTarget(t, func(t *testing.T, place database.Target) {
		seen := &namesSeen{}
		db := databasetest.Open(t, place, testSchema(), database.Options{Observer: seen})
		seen.reset()
		if _, err := db.Exec(ctx, "INSERT INTO tbl_tokens (id, token) VALUES (1, ?)", []byte("a")); err != nil {
			t.Fatal(err)
		}
		rows, err := db.Query(ctx, "SELECT COUNT(*) FROM tbl_tokens")
		if err != nil {
			t.Fatal(err)
		}
		rows.Next()
		if seen.get("SELECT tbl_tokens") != nil {
			t.Error("a query was reported before its end")
		}
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]int64{"INSERT tbl_tokens": 1, "SELECT tbl_tokens": 1} {
			s := seen.get(name)
			if s == nil || s.Rows != want || s.Err != nil || s.Schema != "dbslm_suite" || s.Duration <= 0 {
				t.Errorf("%s: %+v", name, s)
			}
		}
		_, _ = db.Exec(ctx, "DELETE FROM nowhere")
		if s := seen.get("DELETE nowhere"); s == nil || s.Err == nil {
			t.Errorf("a failed statement: %+v", s)
		}
	})
}

type namesSeen struct {
	mu   sync.Mutex
	last map[string]*database.Statement
}

func (n *namesSeen) Statement(_ context.Context, s database.Statement) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.last == nil {
		n.last = map[string]*database.Statement{}
	}
	n.last[s.Name] = &s
}

func (n *namesSeen) get(name string) *database.Statement {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.last[name]
}

func (n *namesSeen) reset() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last = nil
}
